package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"context"
	"net/http"
	"time"
)

// RolesAnywhere is CreateSession of IAM Roles Anywhere: credentials of a role for a certificate and a
// signature by its key.
type RolesAnywhere struct {
	// Signer has the key of the certificate: RSA, P-256 or P-384.
	Signer *Signer
	// Certificates are in DER: the signer's first, then up to five intermediate ones, as in
	// tls.Certificate.
	Certificates [][]byte
	// TrustAnchorARN is "arn:aws:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID".
	TrustAnchorARN string
	// ProfileARN is "arn:aws:rolesanywhere:REGION:ACCOUNT:profile/ID".
	ProfileARN string
	// RoleARN is "arn:aws:iam::ACCOUNT:role/NAME".
	RoleARN string
	// Region is the trust anchor's if it is empty.
	Region string
	// Endpoint is a host, with an optional port, in place of the region's.
	Endpoint string
	// SessionName is for profiles that accept one.
	SessionName string
	// InstanceProperties are for profiles that require them; at most 32.
	InstanceProperties []Pair
	// Duration is the life of the credentials, 15 minutes to 12 hours; 0 leaves it to the profile.
	Duration time.Duration
	// CertificateInBody sends the certificate in the body too.
	CertificateInBody bool
}

// RolesAnywhereSession is what CreateSession gives.
type RolesAnywhereSession struct {
	AWSCredentials
	// AssumedRoleARN is the role session's; may be empty, like the two below.
	AssumedRoleARN string
	// SubjectARN is the certificate's subject's.
	SubjectARN string
	// SourceIdentity is the session's.
	SourceIdentity string
}

func (r *RolesAnywhere) params(c *call) *C.cloudauth_rolesanywhere_create_session_params {
	p := sized[C.cloudauth_rolesanywhere_create_session_params](&c.memory)
	p.certificate, p.chain, p.chain_count = c.chain(r.Signer, r.Certificates)
	p.trust_anchor_arn = octets(&c.memory, r.TrustAnchorARN)
	p.profile_arn = octets(&c.memory, r.ProfileARN)
	p.role_arn = octets(&c.memory, r.RoleARN)
	p.region = octets(&c.memory, r.Region)
	p.endpoint = octets(&c.memory, r.Endpoint)
	p.role_session_name = octets(&c.memory, r.SessionName)
	p.instance_properties, p.instance_property_count = pairs(&c.memory, r.InstanceProperties)
	p.duration_seconds = c.seconds(r.Duration, "duration")
	p.certificate_in_body = flag(r.CertificateInBody)
	return p
}

// Request implements [Exchange].
func (r *RolesAnywhere) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("AWS Roles Anywhere CreateSession")
	defer c.release()
	p := r.params(c)
	return c.signed(ctx, r.Signer, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, prepared *C.cloudauth_prepared,
	) C.cloudauth_result {
		return C.cloudauth_rolesanywhere_create_session_prepare(p, at, out, size, n, prepared, c.err)
	})
}

// Response implements [Exchange].
func (r *RolesAnywhere) Response(answer *http.Response) (*RolesAnywhereSession, error) {
	c := begin("AWS Roles Anywhere CreateSession")
	defer c.release()
	p := r.params(c)
	o := sized[C.cloudauth_rolesanywhere_session](&c.memory)
	err := c.response(answer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_rolesanywhere_create_session_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return &RolesAnywhereSession{
		AWSCredentials: credentials(o.access_key_id, o.secret_access_key, o.session_token, o.expiration),
		AssumedRoleARN: text(o.assumed_role_arn),
		SubjectARN:     text(o.subject_arn),
		SourceIdentity: text(o.source_identity),
	}, nil
}

func credentials(id, secret, token C.cloudauth_bytes, expiration C.int64_t) AWSCredentials {
	return AWSCredentials{
		AccessKeyID:     text(id),
		SecretAccessKey: Secret(text(secret)),
		SessionToken:    Secret(text(token)),
		Expires:         unix(expiration),
	}
}
