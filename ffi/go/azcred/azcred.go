// Package azcred gives Azure's SDK for Go the tokens of libcloudauth: of keys in a TPM, an HSM or a file, and of
// attested token brokers.
//
//	credential, err := azcred.Open(cloudauth.Profile{
//		"kind":        "azure-token",
//		"key":         "pkcs11:token=demo;object=robot",
//		"certificate": "robot.pem",
//		"tenant":      "contoso.onmicrosoft.com",
//		"client-id":   "11111111-2222-3333-4444-555555555555",
//	}, nil)
//	...
//	client, err := azblob.NewClient("https://account.blob.core.windows.net", credential, nil)
//
// They are kept and renewed by the C library: however many ask at once, one call is made.
package azcred

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
	"github.com/libcloudauth/libcloudauth/ffi/go/internal/seed"
)

// Options are optional.
type Options struct {
	// AdditionallyAllowedTenants are those whose tokens a service may ask for beside the profile's; "*" for all.
	AdditionallyAllowedTenants []string
	// CAFile is that of [cloudauth.Config].
	CAFile string
}

// Credential is an [azcore.TokenCredential]. It may be used by several goroutines at once.
type Credential struct {
	profile cloudauth.Profile
	options Options
	// Whether the profile takes a tenant and claims, and how it is told the scopes.
	azure bool
	seed  cloudauth.Profile

	mu      sync.Mutex
	clients map[string]*entry
	closed  bool
	turn    uint64
}

type entry struct {
	client *cloudauth.Client
	used   uint64
	// When the claims of a challenge were answered with a token of its own.
	answered time.Time
}

var _ azcore.TokenCredential = (*Credential)(nil)

// How many sets of scopes, tenant and claims are kept. The one that was not asked for longest goes first.
const maxClients = 64

const name = "azure"

// Open takes a profile: "azure-token", whose scopes are those of the one who asks, or an attested one, whose
// broker says what its tokens are for. No service is called before a token is asked for. Close is optional: what
// is not closed is collected.
func Open(profile cloudauth.Profile, options *Options) (*Credential, error) {
	c := &Credential{profile: maps.Clone(profile), clients: map[string]*entry{}}
	if options != nil {
		c.options = *options
		c.options.AdditionallyAllowedTenants = slices.Clone(options.AdditionallyAllowedTenants)
	}
	switch profile["kind"] {
	case "azure-token":
		c.azure = true
		if _, given := profile["scopes"]; given {
			return nil, wrong("scopes", "are those of the one who asks: leave them out")
		}
	case "attested":
		if wanted, ok := profile["seed"].(cloudauth.Profile); ok {
			c.seed = maps.Clone(wanted)
		}
	default:
		return nil, wrong("kind", "expected azure-token or attested")
	}
	client, err := c.open(c.profile) // what is wrong is told now
	if err != nil {
		return nil, err
	}
	return c, client.Close()
}

func wrong(field, help string) error {
	return &cloudauth.Error{Op: "Azure credential", Code: cloudauth.ErrInvalid, Field: field, Help: help}
}

// Close forgets all tokens. It may be called more than once.
func (c *Credential) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, entry := range c.clients {
		entry.client.Close()
	}
	clear(c.clients)
	return nil
}

// GetToken implements [azcore.TokenCredential]. Claims (of a challenge) make a token of their own. Where ctx ends
// first, the call to the service goes on, and what it brings is kept for the next one who asks.
func (c *Credential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	none := azcore.AccessToken{}
	client, err := c.client(options)
	if err != nil {
		return none, err
	}
	token, err := client.BearerToken(ctx, name)
	if err != nil {
		return none, err
	}
	return azcore.AccessToken{
		Token: string(token.Token), ExpiresOn: token.Expires, RefreshOn: refresh(time.Now(), token.Expires),
	}, nil
}

// refresh is when to ask again: as the C library begins to renew, a quarter of an hour before the end. It begins
// within some minutes of it, lest all ask at once: whoever gets the same token asks again soon.
func refresh(now, end time.Time) time.Time {
	at := end.Add(-15 * time.Minute)
	if soon := now.Add(30 * time.Second); at.Before(soon) {
		at = soon
	}
	if at.After(end) {
		return end
	}
	return at
}

// client is the one for these options.
func (c *Credential) client(options policy.TokenRequestOptions) (*cloudauth.Client, error) {
	profile := maps.Clone(c.profile)
	if len(options.Scopes) == 0 {
		return nil, wrong("Scopes", "expected at least one")
	}
	if err := c.allow(options.TenantID); err != nil {
		return nil, err
	}
	switch {
	case c.azure:
		profile["scopes"] = slices.Clone(options.Scopes)
		if options.TenantID != "" {
			delete(profile, "tenant-id") // its other name
			profile["tenant"] = options.TenantID
		}
		if options.Claims != "" {
			profile["claims"] = options.Claims
		}
	case options.Claims != "":
		return nil, wrong("Claims", "a broker takes none: its tokens cannot answer a challenge")
	case c.seed != nil:
		if len(options.Scopes) != 1 {
			return nil, wrong("Scopes", "expected exactly one")
		}
		wanted := maps.Clone(c.seed)
		wanted["scope"] = options.Scopes[0]
		profile["seed"] = wanted
	}
	key := keyOf(options.TenantID, options.Claims, options.Scopes)

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &cloudauth.Error{Op: "Azure credential", Code: cloudauth.ErrState, Help: "is closed"}
	}
	c.turn++
	if known, ok := c.clients[key]; ok {
		known.used = c.turn
		if options.Claims == "" || time.Since(known.answered) < time.Minute {
			return known.client, nil // many requests meet one challenge
		}
		// It comes again: what answered it was refused too.
		known.answered = time.Now()
		return known.client, errors.Join(known.client.Invalidate(name), c.refused(options))
	}
	client, err := c.open(profile)
	if err != nil {
		return nil, err
	}
	if len(c.clients) >= maxClients {
		oldest := ""
		for key, entry := range c.clients {
			if oldest == "" || entry.used < c.clients[oldest].used {
				oldest = key
			}
		}
		delete(c.clients, oldest) // closed when its last call is done: it is collected
	}
	c.clients[key] = &entry{client: client, used: c.turn, answered: time.Now()}
	return client, c.refused(options)
}

// refused forgets the token that a challenge is about, the one that was given without claims.
func (c *Credential) refused(options policy.TokenRequestOptions) error {
	base, ok := c.clients[keyOf(options.TenantID, "", options.Scopes)]
	if options.Claims == "" || !ok {
		return nil
	}
	return base.client.Invalidate(name)
}

func keyOf(tenant, claims string, scopes []string) string {
	return strings.Join(append([]string{tenant, claims}, scopes...), "\x00")
}

func (c *Credential) open(profile cloudauth.Profile) (*cloudauth.Client, error) {
	return cloudauth.Config{CAFile: c.options.CAFile, Profiles: map[string]cloudauth.Profile{name: profile}}.Open()
}

// allow refuses a tenant that a service may not choose.
func (c *Credential) allow(tenant string) error {
	if tenant == "" {
		return nil
	}
	own, _ := c.profile["tenant"].(string)
	if other, ok := c.profile["tenant-id"].(string); ok {
		own = other
	}
	if c.seed != nil {
		own, _ = c.seed["tenant"].(string)
	}
	if expected, ok := c.profile["expect-tenant"].(string); ok && !c.azure {
		own = expected
	}
	if !c.azure && own == "" {
		return nil // the broker alone knows it; a service says its own with every request
	}
	if strings.EqualFold(tenant, own) {
		return nil
	}
	if !c.azure {
		return wrong("TenantID", "a broker says of which tenant its tokens are")
	}
	for _, allowed := range c.options.AdditionallyAllowedTenants {
		if allowed == "*" || strings.EqualFold(allowed, tenant) {
			return nil
		}
	}
	return wrong("TenantID", "is not the profile's: list it in AdditionallyAllowedTenants if a service may ask for it")
}

// EKMAZCredentialOptions are the options of azure-channel-jwt-credential: its names, with the same meaning.
type EKMAZCredentialOptions struct {
	// ClientOptions are not used, as there.
	azcore.ClientOptions
	// ClientID is an application's, which brokers do not use.
	ClientID string
	// Audience is that of the attestation.
	Audience string
	// TenantID is a tenant's, which brokers do not use.
	TenantID string
	// STSEndpointHost is the host:port that is connected to.
	STSEndpointHost string
	// STSEndpoint is the URL of the broker's API: "https://broker.example:8081/token".
	STSEndpoint string
	// STSSNI is the name in the broker's certificate; the host that is connected to if it is empty.
	STSSNI string
	// AttestationTokenPath is the socket that gives attestations; Confidential Space's own if it is empty.
	AttestationTokenPath string
	// UseMTLS shows ClientCert to the broker.
	UseMTLS bool
	// TrustCA is a file with the certificates (PEM) that the broker's is held against. Nobody but its owner and root
	// may be able to change it.
	TrustCA string
	// ClientCert is a file with the client's certificate (PEM).
	ClientCert string
	// ClientKey is a file with its key (PEM), or a key URI: "pkcs11:...?module-path=...", "tpm:...?tcti=...".
	ClientKey string
	// Scope is not used, as there: the one who asks says it.
	Scope string
	// SendCertificateChain is not used, as there: the broker has the certificate.
	SendCertificateChain bool
}

// NewEKMAZCredentials gives the tokens of a broker that speaks the protocol of azure-channel-jwt-credential: that
// one, or cloudauth broker with a [[compatibility]] listener. A token is asked for with exactly one scope. For
// binder v1, and all else that an attested profile can say, there is [Open].
func NewEKMAZCredentials(options *EKMAZCredentialOptions) (*Credential, error) {
	if options == nil {
		return nil, seed.Missing("EKMAZCredentialOptions")
	}
	profile, err := seed.Options{
		Host: options.STSEndpointHost, Endpoint: options.STSEndpoint, SNI: options.STSSNI, Audience: options.Audience,
		TokenPath: options.AttestationTokenPath, UseMTLS: options.UseMTLS, TrustCA: options.TrustCA,
		ClientCert: options.ClientCert, ClientKey: options.ClientKey,
	}.Profile()
	if err != nil {
		return nil, err
	}
	wanted := cloudauth.Profile{"cloud": "azure", "scope": ""}
	if options.TenantID != "" {
		wanted["tenant"] = options.TenantID
	}
	if options.ClientID != "" {
		wanted["appid"] = options.ClientID
	}
	profile["seed"] = wanted
	return Open(profile, nil)
}
