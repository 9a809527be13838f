package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"context"
	"net/http"
	"time"
)

// AzureAuthority is a cloud of Microsoft's.
type AzureAuthority uint32

const (
	// AzurePublic is login.microsoftonline.com.
	AzurePublic AzureAuthority = C.CLOUDAUTH_AZURE_PUBLIC
	// AzureUSGovernment is login.microsoftonline.us.
	AzureUSGovernment AzureAuthority = C.CLOUDAUTH_AZURE_US_GOVERNMENT
	// AzureChina is login.partner.microsoftonline.cn.
	AzureChina AzureAuthority = C.CLOUDAUTH_AZURE_CHINA
	// AzureCustom is the host in AuthorityHost.
	AzureCustom AzureAuthority = C.CLOUDAUTH_AZURE_CUSTOM
)

// AzureClientAssertion is a token by which an application proves to Entra ID who it is, with the key of
// its certificate. It is valid for ten minutes. [AzureToken] makes and sends one by itself.
type AzureClientAssertion struct {
	// Signer has the key of the certificate: RSA.
	Signer *Signer
	// Certificates are in DER: the application's first, then up to eight on the way to the root, as in
	// tls.Certificate.
	Certificates [][]byte
	// Tenant is its id, or one of its domains.
	Tenant string
	// ClientID is the application's.
	ClientID string
	// Authority is the cloud; the public one if it is zero.
	Authority AzureAuthority
	// AuthorityHost is for AzureCustom: the host, with an optional port.
	AuthorityHost string
	// Scheme is PS256 or RS256; PS256 if it is zero.
	Scheme Scheme
	// SendChain also sends the certificates (x5c), for applications that trust a subject name and issuer.
	SendChain bool
	// SHA1Thumbprint names the certificate by its SHA-1 (x5t), for services such as ADFS.
	SHA1Thumbprint bool
}

func (a *AzureClientAssertion) params(c *call) *C.cloudauth_azure_client_assertion_params {
	p := sized[C.cloudauth_azure_client_assertion_params](&c.memory)
	p.certificate, p.chain, p.chain_count = c.chain(a.Signer, a.Certificates)
	p.tenant = octets(&c.memory, a.Tenant)
	p.client_id = octets(&c.memory, a.ClientID)
	p.authority = C.uint32_t(a.Authority)
	p.authority_host = octets(&c.memory, a.AuthorityHost)
	p.scheme = C.cloudauth_scheme(a.Scheme)
	p.flags = flag(a.SendChain)*C.CLOUDAUTH_AZURE_SEND_CHAIN +
		flag(a.SHA1Thumbprint)*C.CLOUDAUTH_AZURE_SHA1_THUMBPRINT
	return p
}

// Sign makes the assertion.
func (a *AzureClientAssertion) Sign(at time.Time) (Secret, error) {
	c := begin("Azure client assertion")
	defer c.release()
	p := a.params(c)
	return c.token(a.Signer, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, prepared *C.cloudauth_prepared,
	) C.cloudauth_result {
		return C.cloudauth_azure_client_assertion_prepare(p, at, out, size, n, prepared, c.err)
	})
}

// AzureToken is an access token of Entra ID for an application (client credentials flow). Exactly one of
// Assertion, ClientSecret and FederatedToken is given.
type AzureToken struct {
	// Scopes are what the token is for: one resource's "/.default".
	Scopes []string
	// Claims are what a resource asked for: the JSON object of its challenge, out of base64.
	Claims string
	// Assertion is the application and its certificate.
	Assertion *AzureClientAssertion
	// ClientSecret is the application's.
	ClientSecret Secret
	// FederatedToken is of an issuer that the application trusts.
	FederatedToken Secret
	// Tenant, ClientID, Authority and AuthorityHost are as in AzureClientAssertion. They belong to
	// ClientSecret and FederatedToken.
	Tenant, ClientID string
	Authority        AzureAuthority
	AuthorityHost    string
}

// AzureAccessToken is what Entra ID gives. Its durations count from the moment of the answer.
type AzureAccessToken struct {
	// Token is printable ASCII without spaces.
	Token Secret
	// Type is "Bearer", in the letter case of the answer.
	Type string
	// ExpiresIn is how long the token is good for: never 0.
	ExpiresIn time.Duration
	// ExtExpiresIn is how long it may be used while Entra ID cannot be reached; 0 if that is not said.
	ExtExpiresIn time.Duration
	// RefreshIn is when a new token should be asked for; 0 if that is not said.
	RefreshIn time.Duration
}

func (a *AzureToken) params(c *call) (*C.cloudauth_azure_token_params, *Signer) {
	p := sized[C.cloudauth_azure_token_params](&c.memory)
	p.scopes, p.scope_count = list(&c.memory, a.Scopes)
	p.claims = octets(&c.memory, a.Claims)
	p.tenant = octets(&c.memory, a.Tenant)
	p.client_id = octets(&c.memory, a.ClientID)
	p.authority = C.uint32_t(a.Authority)
	p.authority_host = octets(&c.memory, a.AuthorityHost)
	var signer *Signer
	given := 0
	if a.Assertion != nil {
		given++
		signer = a.Assertion.Signer
		p.credential = C.CLOUDAUTH_AZURE_CREDENTIAL_ASSERTION
		p.assertion = a.Assertion.params(c)
		if a.Tenant != "" || a.ClientID != "" || a.Authority != 0 || a.AuthorityHost != "" {
			c.fail(ErrInvalid, "tenant", "is the assertion's: leave out what it says already")
		}
	}
	if a.ClientSecret != "" {
		given++
		p.credential = C.CLOUDAUTH_AZURE_CREDENTIAL_SECRET
		p.secret = octets(&c.memory, a.ClientSecret)
	}
	if a.FederatedToken != "" {
		given++
		p.credential = C.CLOUDAUTH_AZURE_CREDENTIAL_FEDERATED
		p.secret = octets(&c.memory, a.FederatedToken)
	}
	if given != 1 {
		c.fail(ErrInvalid, "credential", "expected exactly one of assertion, client secret and federated token")
	}
	return p, signer
}

// Request implements [Exchange].
func (a *AzureToken) Request(ctx context.Context, at time.Time) (*http.Request, error) {
	c := begin("Azure access token")
	defer c.release()
	p, signer := a.params(c)
	return c.signed(ctx, signer, at, func(
		at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, prepared *C.cloudauth_prepared,
	) C.cloudauth_result {
		return C.cloudauth_azure_token_prepare(p, at, out, size, n, prepared, c.err)
	})
}

// Response implements [Exchange].
func (a *AzureToken) Response(answer *http.Response) (*AzureAccessToken, error) {
	c := begin("Azure access token")
	defer c.release()
	p, _ := a.params(c)
	o := sized[C.cloudauth_azure_access_token](&c.memory)
	err := c.response(answer, func(
		head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal,
	) C.cloudauth_result {
		return C.cloudauth_azure_token_response(p, head, body, size, o, refusal, c.err)
	})
	if err != nil {
		return nil, err
	}
	return &AzureAccessToken{
		Token:        Secret(text(o.access_token)),
		Type:         text(o.token_type),
		ExpiresIn:    span(o.expires_in),
		ExtExpiresIn: span(o.ext_expires_in),
		RefreshIn:    span(o.refresh_in),
	}, nil
}
