package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"context"
	"net/http"
	"time"
)

// GCPSelfSigned is a token that a Google service account signs for itself, for an API. Exactly one of
// Scopes and Audience is given.
type GCPSelfSigned struct {
	// Signer has a key of the service account: RSA (RS256) or P-256 (ES256).
	Signer *Signer
	// Email is the service account's.
	Email string
	// KeyID is the key's at Google (kid); empty if it is not known.
	KeyID string
	// Scopes are for every API that takes them; at most 32.
	Scopes []string
	// Audience is one API, such as "https://pubsub.googleapis.com/".
	Audience string
	// Subject is the user to act for by domain-wide delegation.
	Subject string
	// Lifetime is 1 second to an hour; 0 for an hour.
	Lifetime time.Duration
}

// Sign makes the token.
func (g *GCPSelfSigned) Sign(at time.Time) (Secret, error) {
	c := begin("Google self-signed token")
	defer c.release()
	p := sized[C.cloudauth_gcp_self_signed_params](&c.memory)
	p.email = octets(&c.memory, g.Email)
	p.key_id = octets(&c.memory, g.KeyID)
	p.scopes, p.scope_count = list(&c.memory, g.Scopes)
	p.audience = octets(&c.memory, g.Audience)
	p.subject = octets(&c.memory, g.Subject)
	p.lifetime = c.seconds(g.Lifetime, "lifetime")
	p.scheme = g.Signer.scheme()
	return c.token(g.Signer, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, prepared *C.cloudauth_prepared,
	) C.cloudauth_result {
		return C.cloudauth_gcp_self_signed_prepare(p, at, out, size, n, prepared, c.err)
	})
}

// AccessToken is an access token out of an answer (RFC 6749, section 5.1).
type AccessToken struct {
	// Token is printable ASCII without spaces.
	Token Secret
	// Type is "Bearer", in the letter case of the answer.
	Type string
	// ExpiresIn is how long the token is good for, from the moment of the answer: never 0.
	ExpiresIn time.Duration
}

func accessToken(o *C.cloudauth_access_token) *AccessToken {
	return &AccessToken{
		Token:     Secret(text(o.access_token)),
		Type:      text(o.token_type),
		ExpiresIn: span(o.expires_in),
	}
}

// IDToken is an ID token out of an answer. It is not verified: it is meant for someone else.
type IDToken struct{ Token Secret }

// GCPAccessToken is a service account's access token from Google's token endpoint.
type GCPAccessToken struct {
	// Signer has a key of the service account: RSA (RS256) or P-256 (ES256).
	Signer *Signer
	// Email is the service account's.
	Email string
	// KeyID is the key's at Google (kid); empty if it is not known.
	KeyID string
	// Scopes are what the token is for; 1 to 32.
	Scopes []string
	// Subject is the user to act for by domain-wide delegation.
	Subject string
	// TokenURI is the token endpoint, an https URI; empty for Google's. Whoever answers there gets what
	// proves who asks.
	TokenURI string
	// Lifetime is the assertion's, 1 second to an hour; 0 for an hour.
	Lifetime time.Duration
}

func (g *GCPAccessToken) params(c *call) *C.cloudauth_gcp_access_token_params {
	p := sized[C.cloudauth_gcp_access_token_params](&c.memory)
	p.email = octets(&c.memory, g.Email)
	p.key_id = octets(&c.memory, g.KeyID)
	p.scopes, p.scope_count = list(&c.memory, g.Scopes)
	p.subject = octets(&c.memory, g.Subject)
	p.token_uri = octets(&c.memory, g.TokenURI)
	p.lifetime = c.seconds(g.Lifetime, "lifetime")
	p.scheme = g.Signer.scheme()
	return p
}

// Request implements [Exchange].
func (g *GCPAccessToken) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("Google access token")
	defer c.release()
	p := g.params(c)
	return c.signed(ctx, g.Signer, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, prepared *C.cloudauth_prepared,
	) C.cloudauth_result {
		return C.cloudauth_gcp_access_token_prepare(p, at, out, size, n, prepared, c.err)
	})
}

// Response implements [Exchange].
func (g *GCPAccessToken) Response(answer *http.Response) (*AccessToken, error) {
	c := begin("Google access token")
	defer c.release()
	p := g.params(c)
	o := sized[C.cloudauth_access_token](&c.memory)
	err := c.response(answer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_gcp_access_token_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return accessToken(o), nil
}

// GCPIDToken is a service account's ID token from Google's token endpoint.
type GCPIDToken struct {
	// Signer has a key of the service account: RSA (RS256) or P-256 (ES256).
	Signer *Signer
	// Email is the service account's.
	Email string
	// KeyID is the key's at Google (kid); empty if it is not known.
	KeyID string
	// TargetAudience is who the token is for: the service's URL, or an OAuth client id.
	TargetAudience string
	// TokenURI is as in GCPAccessToken.
	TokenURI string
	// Lifetime is the assertion's, 1 second to an hour; 0 for an hour.
	Lifetime time.Duration
}

func (g *GCPIDToken) params(c *call) *C.cloudauth_gcp_id_token_params {
	p := sized[C.cloudauth_gcp_id_token_params](&c.memory)
	p.email = octets(&c.memory, g.Email)
	p.key_id = octets(&c.memory, g.KeyID)
	p.target_audience = octets(&c.memory, g.TargetAudience)
	p.token_uri = octets(&c.memory, g.TokenURI)
	p.lifetime = c.seconds(g.Lifetime, "lifetime")
	p.scheme = g.Signer.scheme()
	return p
}

// Request implements [Exchange].
func (g *GCPIDToken) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("Google ID token")
	defer c.release()
	p := g.params(c)
	return c.signed(ctx, g.Signer, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, prepared *C.cloudauth_prepared,
	) C.cloudauth_result {
		return C.cloudauth_gcp_id_token_prepare(p, at, out, size, n, prepared, c.err)
	})
}

// Response implements [Exchange].
func (g *GCPIDToken) Response(answer *http.Response) (*IDToken, error) {
	c := begin("Google ID token")
	defer c.release()
	p := g.params(c)
	o := sized[C.cloudauth_id_token](&c.memory)
	err := c.response(answer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_gcp_id_token_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return &IDToken{Token: Secret(text(o.token))}, nil
}
