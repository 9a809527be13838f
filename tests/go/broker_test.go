package compare

import (
	"errors"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
	"github.com/libcloudauth/libcloudauth/ffi/go/awscred"
	"github.com/libcloudauth/libcloudauth/ffi/go/azcred"
)

// The constructors of the older brokers' Go packages, with their clients' programs in mind.
func TestSeedBrokers(t *testing.T) {
	b := newBroker(t)
	certificate, key := b.client(t, newKey(t, "P-256"))
	config := awscred.CredConfig{
		STSEndpointHost: b.seedAWS, STSEndpoint: "https://" + server + ":8081/token", STSSNI: server, Audience: audience,
		AttestationTokenPath: b.teeserver, UseMTLS: true, TrustCA: b.caFile, ClientCert: certificate, ClientKey: key,
		AWSRoleArn: role, AWSSessionName: "foo", UseAssumeRole: true, Duration: 900,
	}
	credentials := must(awscred.NewEKMAWSCredentials(config))
	if err := buckets(t, b.emulator, credentials); err != nil {
		t.Fatal(err)
	}
	first := must(credentials.Retrieve(t.Context()))
	if again := must(credentials.Retrieve(t.Context())); !first.CanExpire || again.AccessKeyID != first.AccessKeyID {
		t.Error("not kept")
	}
	options := azcred.EKMAZCredentialOptions{
		STSEndpointHost: b.seedAzure, STSEndpoint: "https://" + server + ":8081/token", STSSNI: server, Audience: audience,
		AttestationTokenPath: b.teeserver, UseMTLS: true, TrustCA: b.caFile, ClientCert: certificate, ClientKey: key,
	}
	azure := must(azcred.NewEKMAZCredentials(&options))
	defer azure.Close()
	if err := containers(t, blobs(t, b.emulator), azure); err != nil {
		t.Fatal(err)
	}
	for scopes, code := range map[string]cloudauth.Code{
		scope: 0, "": cloudauth.ErrInvalid, scope + " " + scope: cloudauth.ErrInvalid,
		"https://graph.microsoft.com/.default": cloudauth.ErrService,
	} {
		_, err := azure.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: strings.Fields(scopes)})
		if code == 0 && err != nil || code != 0 && !errors.Is(err, code) {
			t.Errorf("%q: %v", scopes, err)
		}
	}
	if _, err := azure.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}, Claims: "{}"}); !errors.Is(err, cloudauth.ErrInvalid) {
		t.Error(err)
	}
	// A service says its tenant with every request; the options know none to hold it against.
	if _, err := azure.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}, TenantID: tenant}); err != nil {
		t.Error(err)
	}
	options.TenantID = "99999999-2222-3333-4444-555555555555"
	foreign := must(azcred.NewEKMAZCredentials(&options))
	defer foreign.Close()
	if _, err := foreign.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}, TenantID: tenant}); !errors.Is(err, cloudauth.ErrInvalid) {
		t.Error(err)
	}

	// Two objects do not share what they trust: a client without a certificate is refused, beside one that has one.
	plain := config
	plain.UseMTLS = false
	if _, err := must(awscred.NewEKMAWSCredentials(plain)).Retrieve(t.Context()); err == nil {
		t.Error("given without a client certificate")
	}
	for name, change := range map[string]func(*awscred.CredConfig){
		"audience": func(c *awscred.CredConfig) { c.Audience = "https://other.example" },
		"role":     func(c *awscred.CredConfig) { c.AWSRoleArn = "arn:aws:iam::123456789012:role/other" },
		"duration": func(c *awscred.CredConfig) { c.Duration = 3600 },
		"own":      func(c *awscred.CredConfig) { c.UseAssumeRole = false },
		"name":     func(c *awscred.CredConfig) { c.STSSNI = "other.example" },
		"CA":       func(c *awscred.CredConfig) { c.TrustCA = b.emulator.caFile },
	} {
		wrong := config
		change(&wrong)
		if _, err := must(awscred.NewEKMAWSCredentials(wrong)).Retrieve(t.Context()); err == nil {
			t.Error(name, "accepted")
		}
	}
	if _, err := must(awscred.NewEKMAWSCredentials(config)).Retrieve(t.Context()); err != nil {
		t.Error(err)
	}
}

// Binder v1, with a client's key in the token.
func TestBroker(t *testing.T) {
	b := newBroker(t)
	key := newKey(t, "P-256")
	certificate, _ := b.client(t, key)
	_, port, _ := strings.Cut(b.api, ":")
	profile := func(grant string) cloudauth.Profile {
		return cloudauth.Profile{
			"kind": "attested", "broker": "https://" + server + ":" + port, "address": b.api, "server-name": server, "ca-file": b.caFile, "audience": audience,
			"grant": grant, "teeserver": b.teeserver, "certificate": certificate, "key": inToken(t, key),
		}
	}
	credentials := must(awscred.Open(profile("aws")))
	defer credentials.Close()
	if err := buckets(t, b.emulator, credentials); err != nil {
		t.Fatal(err)
	}
	azure := must(azcred.Open(profile("azure"), nil))
	defer azure.Close()
	if err := containers(t, blobs(t, b.emulator), azure); err != nil {
		t.Fatal(err)
	}
	var refusal *cloudauth.ServiceError
	if _, err := must(awscred.Open(profile("other"))).Retrieve(t.Context()); !errors.As(err, &refusal) || refusal.Status != 403 {
		t.Error(err)
	}
	// A bearer token is no AWS credential.
	if _, err := must(awscred.Open(profile("azure"))).Retrieve(t.Context()); err == nil {
		t.Error("a token passed as AWS credentials")
	}
}
