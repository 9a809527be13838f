package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"context"
	"net/http"
	"time"
)

// GCPSubjectToken is a token that a key of ours signs as the issuer of an OIDC provider of a workload or
// workforce identity pool. [GCPFederation] makes and sends one by itself.
type GCPSubjectToken struct {
	// Signer has a key of the provider's key set: RSA (RS256) or P-256 (ES256).
	Signer *Signer
	// Provider is the one that is to believe it:
	// "//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER",
	// or of a workforce pool.
	Provider string
	// Issuer is an https URI, exactly as the provider was given it.
	Issuer string
	// Subject is what the provider's mapping makes google.subject.
	Subject string
	// Audience is the provider's own if it is empty.
	Audience string
	// KeyID is the key's in the provider's key set (kid); may be empty.
	KeyID string
	// Lifetime is 1 second to a day; 0 for 10 minutes.
	Lifetime time.Duration
}

func (g *GCPSubjectToken) params(c *call) *C.cloudauth_gcp_subject_token_params {
	p := sized[C.cloudauth_gcp_subject_token_params](&c.memory)
	p.provider = octets(&c.memory, g.Provider)
	p.issuer = octets(&c.memory, g.Issuer)
	p.subject = octets(&c.memory, g.Subject)
	p.audience = octets(&c.memory, g.Audience)
	p.key_id = octets(&c.memory, g.KeyID)
	p.lifetime = c.seconds(g.Lifetime, "lifetime")
	p.scheme = g.Signer.scheme()
	return p
}

// Sign makes the token.
func (g *GCPSubjectToken) Sign(at time.Time) (Secret, error) {
	c := begin("Google subject token")
	defer c.release()
	p := g.params(c)
	return c.token(g.Signer, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, prepared *C.cloudauth_prepared,
	) C.cloudauth_result {
		return C.cloudauth_gcp_subject_token_prepare(p, at, out, size, n, prepared, c.err)
	})
}

// GCPTokenType is the type of a token that was given to us.
type GCPTokenType uint32

const (
	// GCPTokenAWS4Request is a signed GetCallerIdentity request of AWS, in Google's JSON form.
	GCPTokenAWS4Request GCPTokenType = C.CLOUDAUTH_GCP_TOKEN_TYPE_AWS4_REQUEST
	// GCPTokenID is an OpenID Connect ID token.
	GCPTokenID GCPTokenType = C.CLOUDAUTH_GCP_TOKEN_TYPE_ID_TOKEN
	// GCPTokenJWT is a JWT.
	GCPTokenJWT GCPTokenType = C.CLOUDAUTH_GCP_TOKEN_TYPE_JWT
	// GCPTokenSAML2 is a SAML 2.0 assertion, in base64.
	GCPTokenSAML2 GCPTokenType = C.CLOUDAUTH_GCP_TOKEN_TYPE_SAML2
)

// GCPFederation is the exchange of a token for a federated access token at Google's Security Token
// Service. Exactly one of SignedToken and Token is given.
type GCPFederation struct {
	// SignedToken is one that our key signs.
	SignedToken *GCPSubjectToken
	// Token is one that was given to us, TokenType its type, and Provider the provider, as in
	// GCPSubjectToken.
	Token     Secret
	TokenType GCPTokenType
	Provider  string
	// Scopes are what the access token is for; 1 to 32.
	Scopes []string
	// UserProject is the project that is billed, for workforce pools only.
	UserProject string
	// Universe is the domain of the cloud; empty for "googleapis.com".
	Universe string
}

func (g *GCPFederation) params(c *call) (*C.cloudauth_gcp_federation_params, *Signer) {
	p := sized[C.cloudauth_gcp_federation_params](&c.memory)
	p.token = octets(&c.memory, g.Token)
	p.token_type = C.uint32_t(g.TokenType)
	p.provider = octets(&c.memory, g.Provider)
	p.scopes, p.scope_count = list(&c.memory, g.Scopes)
	p.user_project = octets(&c.memory, g.UserProject)
	p.universe = octets(&c.memory, g.Universe)
	if g.SignedToken == nil {
		return p, nil
	}
	p.signed_token = g.SignedToken.params(c)
	return p, g.SignedToken.Signer
}

// Request implements [Exchange].
func (g *GCPFederation) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("Google federated token")
	defer c.release()
	p, signer := g.params(c)
	return c.signed(ctx, signer, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, prepared *C.cloudauth_prepared,
	) C.cloudauth_result {
		return C.cloudauth_gcp_federation_prepare(p, at, out, size, n, prepared, c.err)
	})
}

// Response implements [Exchange].
func (g *GCPFederation) Response(answer *http.Response) (*AccessToken, error) {
	c := begin("Google federated token")
	defer c.release()
	p, _ := g.params(c)
	o := sized[C.cloudauth_access_token](&c.memory)
	err := c.response(answer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_gcp_federation_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return accessToken(o), nil
}

// GCPGenerateAccessToken is an access token of a service account, for whoever may impersonate it.
type GCPGenerateAccessToken struct {
	// Token is the access token of whoever asks.
	Token Secret
	// Email is of the service account to impersonate.
	Email string
	// Scopes are what the new token is for, at most 32; none for all of Google Cloud.
	Scopes []string
	// Delegates are the e-mails of service accounts in between, each of which may impersonate the next;
	// at most 32.
	Delegates []string
	// Universe is the domain of the cloud; empty for "googleapis.com".
	Universe string
	// Lifetime is 1 second to 12 hours; 0 for an hour.
	Lifetime time.Duration
}

// GCPImpersonatedToken is what generateAccessToken gives.
type GCPImpersonatedToken struct {
	// Token is printable ASCII without spaces.
	Token Secret
	// Expires is when it ends.
	Expires time.Time
}

func (g *GCPGenerateAccessToken) params(c *call) *C.cloudauth_gcp_generate_access_token_params {
	p := sized[C.cloudauth_gcp_generate_access_token_params](&c.memory)
	p.token = octets(&c.memory, g.Token)
	p.email = octets(&c.memory, g.Email)
	p.scopes, p.scope_count = list(&c.memory, g.Scopes)
	p.delegates, p.delegate_count = list(&c.memory, g.Delegates)
	p.universe = octets(&c.memory, g.Universe)
	p.lifetime = c.seconds(g.Lifetime, "lifetime")
	return p
}

// Request implements [Exchange].
func (g *GCPGenerateAccessToken) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("Google generateAccessToken")
	defer c.release()
	p := g.params(c)
	return c.build(ctx, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, made *C.cloudauth_request,
	) C.cloudauth_result {
		return C.cloudauth_gcp_generate_access_token_request(p, at, out, size, n, made, c.err)
	})
}

// Response implements [Exchange].
func (g *GCPGenerateAccessToken) Response(answer *http.Response) (*GCPImpersonatedToken, error) {
	c := begin("Google generateAccessToken")
	defer c.release()
	p := g.params(c)
	o := sized[C.cloudauth_gcp_impersonated_token](&c.memory)
	err := c.response(answer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_gcp_generate_access_token_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return &GCPImpersonatedToken{Token: Secret(text(o.access_token)), Expires: unix(o.expiration)}, nil
}

// GCPGenerateIDToken is an ID token of a service account, for whoever may impersonate it.
type GCPGenerateIDToken struct {
	// Token is the access token of whoever asks.
	Token Secret
	// Email is of the service account to impersonate.
	Email string
	// Audience is who the ID token is for (aud).
	Audience string
	// Delegates are as in GCPGenerateAccessToken.
	Delegates []string
	// Universe is the domain of the cloud; empty for "googleapis.com".
	Universe string
	// WithoutEmail leaves the service account's e-mail out of the ID token.
	WithoutEmail bool
}

func (g *GCPGenerateIDToken) params(c *call) *C.cloudauth_gcp_generate_id_token_params {
	p := sized[C.cloudauth_gcp_generate_id_token_params](&c.memory)
	p.token = octets(&c.memory, g.Token)
	p.email = octets(&c.memory, g.Email)
	p.audience = octets(&c.memory, g.Audience)
	p.delegates, p.delegate_count = list(&c.memory, g.Delegates)
	p.universe = octets(&c.memory, g.Universe)
	p.without_email = flag(g.WithoutEmail)
	return p
}

// Request implements [Exchange].
func (g *GCPGenerateIDToken) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("Google generateIdToken")
	defer c.release()
	p := g.params(c)
	return c.build(ctx, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, made *C.cloudauth_request,
	) C.cloudauth_result {
		return C.cloudauth_gcp_generate_id_token_request(p, at, out, size, n, made, c.err)
	})
}

// Response implements [Exchange].
func (g *GCPGenerateIDToken) Response(answer *http.Response) (*IDToken, error) {
	c := begin("Google generateIdToken")
	defer c.release()
	p := g.params(c)
	o := sized[C.cloudauth_id_token](&c.memory)
	err := c.response(answer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_gcp_generate_id_token_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return &IDToken{Token: Secret(text(o.token))}, nil
}
