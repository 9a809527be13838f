package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"context"
	"net/http"
	"time"
)

// AssumeRole is AWS STS AssumeRole: credentials of a role for who has credentials already.
type AssumeRole struct {
	// Signer is for the service "sts"; its region is the one that is called.
	Signer *SigV4
	// RoleARN is "arn:aws:iam::ACCOUNT:role/NAME".
	RoleARN string
	// SessionName is for logs and policies.
	SessionName string
	// PolicyARNs name managed policies that narrow the session; at most 10.
	PolicyARNs []string
	// Policy is one in JSON that narrows the session.
	Policy string
	// Tags are the session's; at most 50.
	Tags []Pair
	// TransitiveTagKeys are of tags that go on to the sessions that this session starts; at most 50.
	TransitiveTagKeys []string
	// ExternalID is what the role's owner wants from third parties.
	ExternalID string
	// SerialNumber and TokenCode are of a device of multi-factor authentication.
	SerialNumber, TokenCode string
	// SourceIdentity is who is behind the session.
	SourceIdentity string
	// ProvidedContexts are what AWS services have asserted: provider ARN and assertion; at most 5.
	ProvidedContexts []Pair
	// Endpoint is a host, with an optional port, in place of the region's.
	Endpoint string
	// Duration is the life of the credentials, 15 minutes to 12 hours; 0 for the service's hour.
	Duration time.Duration
}

// AssumedRole is what AssumeRole gives.
type AssumedRole struct {
	AWSCredentials
	// ARN is the role session's; may be empty, like the two below.
	ARN string
	// ID is the role's unique id and the session's name.
	ID string
	// SourceIdentity is who is behind the session.
	SourceIdentity string
	// PackedPolicySize is how much of the room for policies and tags is used, in percent; -1 if that is
	// not said.
	PackedPolicySize int64
}

func (r *AssumeRole) params(c *call) *C.cloudauth_sts_assume_role_params {
	p := sized[C.cloudauth_sts_assume_role_params](&c.memory)
	p.role_arn = octets(&c.memory, r.RoleARN)
	p.role_session_name = octets(&c.memory, r.SessionName)
	p.policy_arns, p.policy_arn_count = list(&c.memory, r.PolicyARNs)
	p.policy = octets(&c.memory, r.Policy)
	p.tags, p.tag_count = pairs(&c.memory, r.Tags)
	p.transitive_tag_keys, p.transitive_tag_key_count = list(&c.memory, r.TransitiveTagKeys)
	p.external_id = octets(&c.memory, r.ExternalID)
	p.serial_number = octets(&c.memory, r.SerialNumber)
	p.token_code = octets(&c.memory, r.TokenCode)
	p.source_identity = octets(&c.memory, r.SourceIdentity)
	p.provided_contexts, p.provided_context_count = pairs(&c.memory, r.ProvidedContexts)
	p.endpoint = octets(&c.memory, r.Endpoint)
	p.duration_seconds = c.seconds(r.Duration, "duration")
	return p
}

// Request implements [Exchange].
func (r *AssumeRole) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("AWS AssumeRole")
	defer c.release()
	p := r.params(c)
	return c.aws(ctx, r.Signer, at, &p.signer, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, made *C.cloudauth_request,
	) C.cloudauth_result {
		return C.cloudauth_sts_assume_role_request(p, at, out, size, n, made, c.err)
	})
}

// Response implements [Exchange].
func (r *AssumeRole) Response(answer *http.Response) (*AssumedRole, error) {
	c := begin("AWS AssumeRole")
	defer c.release()
	p := r.params(c)
	o := sized[C.cloudauth_sts_role](&c.memory)
	err := c.awsResponse(r.Signer, answer, &p.signer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_sts_assume_role_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return &AssumedRole{
		AWSCredentials:   credentials(o.access_key_id, o.secret_access_key, o.session_token, o.expiration),
		ARN:              text(o.assumed_role_arn),
		ID:               text(o.assumed_role_id),
		SourceIdentity:   text(o.source_identity),
		PackedPolicySize: int64(o.packed_policy_size),
	}, nil
}

// AssumeRoleWithWebIdentity is AWS STS AssumeRoleWithWebIdentity: credentials of a role for a token of
// an identity provider. The request is not signed.
type AssumeRoleWithWebIdentity struct {
	// Region is the one that is called.
	Region string
	// RoleARN is "arn:aws:iam::ACCOUNT:role/NAME".
	RoleARN string
	// SessionName is for logs and policies.
	SessionName string
	// Token is the OpenID Connect ID token, or an OAuth 2.0 access token.
	Token Secret
	// ProviderID is the provider's host, for OAuth 2.0 access tokens only.
	ProviderID string
	// PolicyARNs name managed policies that narrow the session; at most 10.
	PolicyARNs []string
	// Policy is one in JSON that narrows the session.
	Policy string
	// Endpoint is a host, with an optional port, in place of the region's.
	Endpoint string
	// Duration is the life of the credentials, 15 minutes to 12 hours; 0 for the service's hour.
	Duration time.Duration
}

// WebIdentityRole is what AssumeRoleWithWebIdentity gives.
type WebIdentityRole struct {
	AssumedRole
	// Subject is whom the token is about (sub); may be empty, like the two below.
	Subject string
	// Audience is whom the token is for (aud).
	Audience string
	// Provider is who issued the token (iss).
	Provider string
}

func (r *AssumeRoleWithWebIdentity) params(c *call) *C.cloudauth_sts_assume_role_with_web_identity_params {
	p := sized[C.cloudauth_sts_assume_role_with_web_identity_params](&c.memory)
	p.region = octets(&c.memory, r.Region)
	p.role_arn = octets(&c.memory, r.RoleARN)
	p.role_session_name = octets(&c.memory, r.SessionName)
	p.web_identity_token = octets(&c.memory, r.Token)
	p.provider_id = octets(&c.memory, r.ProviderID)
	p.policy_arns, p.policy_arn_count = list(&c.memory, r.PolicyARNs)
	p.policy = octets(&c.memory, r.Policy)
	p.endpoint = octets(&c.memory, r.Endpoint)
	p.duration_seconds = c.seconds(r.Duration, "duration")
	return p
}

// Request implements [Exchange].
func (r *AssumeRoleWithWebIdentity) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("AWS AssumeRoleWithWebIdentity")
	defer c.release()
	p := r.params(c)
	return c.build(ctx, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, made *C.cloudauth_request,
	) C.cloudauth_result {
		return C.cloudauth_sts_assume_role_with_web_identity_request(p, at, out, size, n, made, c.err)
	})
}

// Response implements [Exchange].
func (r *AssumeRoleWithWebIdentity) Response(answer *http.Response) (*WebIdentityRole, error) {
	c := begin("AWS AssumeRoleWithWebIdentity")
	defer c.release()
	p := r.params(c)
	o := sized[C.cloudauth_sts_federated_role](&c.memory)
	err := c.response(answer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_sts_assume_role_with_web_identity_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return &WebIdentityRole{
		AssumedRole: AssumedRole{
			AWSCredentials:   credentials(o.access_key_id, o.secret_access_key, o.session_token, o.expiration),
			ARN:              text(o.assumed_role_arn),
			ID:               text(o.assumed_role_id),
			SourceIdentity:   text(o.source_identity),
			PackedPolicySize: int64(o.packed_policy_size),
		},
		Subject:  text(o.subject),
		Audience: text(o.audience),
		Provider: text(o.provider),
	}, nil
}

// GetSessionToken is AWS STS GetSessionToken: temporary credentials with a user's own rights.
type GetSessionToken struct {
	// Signer is for the service "sts"; its region is the one that is called.
	Signer *SigV4
	// SerialNumber and TokenCode are of a device of multi-factor authentication.
	SerialNumber, TokenCode string
	// Endpoint is a host, with an optional port, in place of the region's.
	Endpoint string
	// Duration is the life of the credentials, 15 minutes to 36 hours; 0 for the service's 12 hours.
	Duration time.Duration
}

func (r *GetSessionToken) params(c *call) *C.cloudauth_sts_get_session_token_params {
	p := sized[C.cloudauth_sts_get_session_token_params](&c.memory)
	p.serial_number = octets(&c.memory, r.SerialNumber)
	p.token_code = octets(&c.memory, r.TokenCode)
	p.endpoint = octets(&c.memory, r.Endpoint)
	p.duration_seconds = c.seconds(r.Duration, "duration")
	return p
}

// Request implements [Exchange].
func (r *GetSessionToken) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("AWS GetSessionToken")
	defer c.release()
	p := r.params(c)
	return c.aws(ctx, r.Signer, at, &p.signer, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, made *C.cloudauth_request,
	) C.cloudauth_result {
		return C.cloudauth_sts_get_session_token_request(p, at, out, size, n, made, c.err)
	})
}

// Response implements [Exchange].
func (r *GetSessionToken) Response(answer *http.Response) (*AWSCredentials, error) {
	c := begin("AWS GetSessionToken")
	defer c.release()
	p := r.params(c)
	o := sized[C.cloudauth_aws_credentials](&c.memory)
	err := c.awsResponse(r.Signer, answer, &p.signer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_sts_get_session_token_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	given := credentials(o.access_key_id, o.secret_access_key, o.session_token, o.expiration)
	return &given, nil
}

// GetCallerIdentity is AWS STS GetCallerIdentity: whose credentials these are.
type GetCallerIdentity struct {
	// Signer is for the service "sts"; its region is the one that is called.
	Signer *SigV4
	// Endpoint is a host, with an optional port, in place of the region's.
	Endpoint string
}

// CallerIdentity is what GetCallerIdentity gives.
type CallerIdentity struct {
	// Account is the account's twelve digits.
	Account string
	// ARN is the user's or the role session's.
	ARN string
	// UserID is the unique id; for a role session with the session's name behind a colon.
	UserID string
}

func (r *GetCallerIdentity) params(c *call) *C.cloudauth_sts_get_caller_identity_params {
	p := sized[C.cloudauth_sts_get_caller_identity_params](&c.memory)
	p.endpoint = octets(&c.memory, r.Endpoint)
	return p
}

// Request implements [Exchange].
func (r *GetCallerIdentity) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("AWS GetCallerIdentity")
	defer c.release()
	p := r.params(c)
	return c.aws(ctx, r.Signer, at, &p.signer, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, made *C.cloudauth_request,
	) C.cloudauth_result {
		return C.cloudauth_sts_get_caller_identity_request(p, at, out, size, n, made, c.err)
	})
}

// Response implements [Exchange].
func (r *GetCallerIdentity) Response(answer *http.Response) (*CallerIdentity, error) {
	c := begin("AWS GetCallerIdentity")
	defer c.release()
	p := r.params(c)
	o := sized[C.cloudauth_sts_caller_identity](&c.memory)
	err := c.awsResponse(r.Signer, answer, &p.signer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_sts_get_caller_identity_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return &CallerIdentity{Account: text(o.account), ARN: text(o.arn), UserID: text(o.user_id)}, nil
}

// aws builds a request that is signed with SigV4: signer is the member of its parameters.
func (c *call) aws(
	ctx context.Context, s *SigV4, at time.Time, signer **C.cloudauth_sigv4_params,
	f func(at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, made *C.cloudauth_request) C.cloudauth_result,
) (request *http.Request, err error) {
	err = s.with(c, at, false, func(params *C.cloudauth_sigv4_params) error {
		*signer = params
		request, err = c.build(ctx, at, f)
		return err
	})
	return request, err
}

// awsResponse reads the answer to one; the C interface wants the signer again.
func (c *call) awsResponse(
	s *SigV4, answer *http.Response, signer **C.cloudauth_sigv4_params,
	f func(head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal) C.cloudauth_result,
) error {
	return c.response(answer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) (result C.cloudauth_result) {
		err := s.with(c, time.Now(), true, func(params *C.cloudauth_sigv4_params) error {
			*signer = params
			result = f(head, body, size, refusal)
			return nil
		})
		if err != nil {
			c.failed = err
		}
		return result
	})
}
