package azcred

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

func TestRefresh(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	for left, early := range map[time.Duration]time.Duration{
		24 * time.Hour: 15 * time.Minute, time.Hour: 15 * time.Minute, 20 * time.Minute: 15 * time.Minute,
		// The library did not renew it yet: it is asked again soon.
		15 * time.Minute: 15*time.Minute - 30*time.Second, time.Minute: 30 * time.Second, 10 * time.Second: 0,
		0: 0, -time.Hour: 0,
	} {
		if end := now.Add(left); refresh(now, end) != end.Add(-early) {
			t.Errorf("%s: %s before the end", left, end.Sub(refresh(now, end)))
		}
	}
}

func good() EKMAZCredentialOptions {
	return EKMAZCredentialOptions{
		STSEndpointHost: "localhost:8081", STSEndpoint: "https://server.domain.com:8081/token", STSSNI: "server.domain.com",
		Audience: "https://server.domain.com", TrustCA: "ca.pem", UseMTLS: true, ClientCert: "client.pem", ClientKey: "client.key",
		TenantID: "t", ClientID: "c", Scope: "unused", SendCertificateChain: true,
	}
}

func TestTenants(t *testing.T) {
	attested, azure := cloudauth.Profile{"kind": "attested"}, cloudauth.Profile{"kind": "azure-token", "tenant": "t"}
	for _, one := range []struct {
		credential *Credential
		tenant     string
		good       bool
	}{
		{&Credential{profile: attested}, "whose", true}, // azsecrets always names one
		{&Credential{profile: cloudauth.Profile{"kind": "attested", "expect-tenant": "t"}}, "T", true},
		{&Credential{profile: cloudauth.Profile{"kind": "attested", "expect-tenant": "t"}}, "u", false},
		{&Credential{profile: attested, seed: cloudauth.Profile{"tenant": "t"}}, "t", true},
		{&Credential{profile: attested, seed: cloudauth.Profile{"tenant": "t"}}, "u", false},
		{&Credential{profile: attested, seed: cloudauth.Profile{}}, "u", true},
		{&Credential{profile: azure, azure: true}, "T", true},
		{&Credential{profile: azure, azure: true}, "u", false},
		{&Credential{profile: azure, azure: true, options: Options{AdditionallyAllowedTenants: []string{"U"}}}, "u", true},
		{&Credential{profile: azure, azure: true}, "", true},
	} {
		if err := one.credential.allow(one.tenant); (err == nil) != one.good {
			t.Error(one.credential.profile, one.credential.seed, one.tenant, err)
		}
	}
}

func TestEKMAZCredentialOptions(t *testing.T) {
	for name, change := range map[string]func(*EKMAZCredentialOptions){
		"all":       func(*EKMAZCredentialOptions) {},
		"no client": func(o *EKMAZCredentialOptions) { o.UseMTLS, o.ClientCert, o.ClientKey = false, "", "" },
		"no tenant": func(o *EKMAZCredentialOptions) { o.TenantID, o.ClientID = "", "" },
	} {
		options := good()
		change(&options)
		if _, err := NewEKMAZCredentials(&options); err != nil {
			t.Error(name, err)
		}
	}
	for option, change := range map[string]func(*EKMAZCredentialOptions){
		"STSEndpointHost": func(o *EKMAZCredentialOptions) { o.STSEndpointHost = "" },
		"STSEndpoint":     func(o *EKMAZCredentialOptions) { o.STSEndpoint = "" },
		"Audience":        func(o *EKMAZCredentialOptions) { o.Audience = "" },
		"TrustCA":         func(o *EKMAZCredentialOptions) { o.TrustCA = "" },
		"ClientCert":      func(o *EKMAZCredentialOptions) { o.ClientCert = "" },
		"ClientKey":       func(o *EKMAZCredentialOptions) { o.ClientKey = "" },
	} {
		options := good()
		change(&options)
		if _, err := NewEKMAZCredentials(&options); !errors.Is(err, cloudauth.ErrInvalid) || !strings.Contains(err.Error(), option) {
			t.Error(option, err)
		}
	}
	if _, err := NewEKMAZCredentials(nil); !errors.Is(err, cloudauth.ErrInvalid) {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	for field, profile := range map[string]cloudauth.Profile{
		"kind":   {"kind": "gcp-oauth"},
		"scopes": {"kind": "azure-token", "scopes": []string{"a"}},
	} {
		if _, err := Open(profile, nil); !errors.Is(err, cloudauth.ErrInvalid) || !strings.Contains(err.Error(), field) {
			t.Error(field, err)
		}
	}
	if _, err := Open(cloudauth.Profile{"kind": "azure-token", "unknown": 1}, nil); !errors.Is(err, cloudauth.ErrConfig) {
		t.Error(err)
	}
	if _, err := Open(cloudauth.Profile{"kind": "azure-token"}, &Options{CAFile: "/missing.pem"}); !errors.Is(err, cloudauth.ErrFile) {
		t.Error(err)
	}
}

// However many scopes are asked for, few clients are kept, and those in use are among them. For -race.
func TestManyScopes(t *testing.T) {
	credential, err := Open(cloudauth.Profile{"kind": "azure-token", "tenant": "t", "client-id": "c"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	of := func(scope string) *cloudauth.Client {
		client, err := credential.client(policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			t.Error(err)
		}
		return client
	}
	first := of("often")
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for n := range 40 {
				of(fmt.Sprintf("%d of %d", n, worker))
				if of("often") != first {
					t.Error("the one in use was put away")
				}
			}
		})
	}
	group.Wait()
	if len(credential.clients) != maxClients {
		t.Error(len(credential.clients))
	}
	credential.Close()
	if _, err := credential.client(policy.TokenRequestOptions{Scopes: []string{"often"}}); !errors.Is(err, cloudauth.ErrState) {
		t.Error(err)
	}
}
