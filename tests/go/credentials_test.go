package compare

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
	"github.com/libcloudauth/libcloudauth/ffi/go/awscred"
	"github.com/libcloudauth/libcloudauth/ffi/go/azcred"
	"github.com/libcloudauth/libcloudauth/ffi/go/gcptoken"
	"golang.org/x/oauth2"
)

// buckets lists them with AWS's SDK, from the emulator, which verifies the signature.
func buckets(t testing.TB, e *emulator, credentials aws.CredentialsProvider) error {
	t.Helper()
	client := s3.New(s3.Options{
		Region: "us-east-1", Credentials: credentials, BaseEndpoint: aws.String(e.plain), UsePathStyle: true,
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	listed, err := client.ListBuckets(ctx, nil)
	if err == nil && (len(listed.Buckets) != 1 || aws.ToString(listed.Buckets[0].Name) != "demo") {
		t.Errorf("buckets: %v", listed.Buckets)
	}
	return err
}

// rolesAnywhere is a profile with a key that put gives the URI of, and that the emulator knows.
func rolesAnywhere(t testing.TB, e *emulator, kind string, put func(testing.TB, crypto.Signer) string) cloudauth.Profile {
	t.Helper()
	authority, key := newAuthority(t), newKey(t, kind)
	const of = "arn:aws:rolesanywhere:us-east-1:123456789012:"
	anchor, profile := of+"trust-anchor/"+kind, of+"profile/"+kind
	e.control(t, "POST", "register", map[string]any{"aws": map[string]any{
		"trust_anchors": []any{map[string]any{"arn": anchor, "certificates": string(certificatePEM(authority.certificate.Raw))}},
		"profiles":      []any{map[string]any{"arn": profile, "roles": []string{role}}},
	}})
	return cloudauth.Profile{
		"kind": "aws-roles-anywhere", "key": put(t, key), "certificate": write(t, filepath.Join(t.TempDir(), "c.pem"), certificatePEM(authority.issue(t, "device", key.Public())), 0o644),
		"trust-anchor-arn": anchor, "profile-arn": profile, "role-arn": role, "endpoint-url": e.url,
	}
}

func TestAWSKeysInSoftHSM(t *testing.T) {
	e := newEmulator(t)
	library := must(module())
	token()
	// The secret of an AWS user, which never leaves the token.
	secret := "pkcs11:token=t;object=aws?module-path=" + library
	run(t, userSecret, program(t), "key", "import", "--aws-secret", "--from", "-", "--key", secret)
	awsKeys(t, e, map[string]cloudauth.Profile{
		"RSA": rolesAnywhere(t, e, "RSA", inToken), "P-256": rolesAnywhere(t, e, "P-256", inToken),
		"P-384":      rolesAnywhere(t, e, "P-384", inToken),
		"AssumeRole": assumeRole(e, secret),
		"GetSessionToken": {
			"kind": "aws-session-token", "access-key-id": "AKIAIOSFODNN7EXAMPLE", "key": secret, "region": "us-east-1",
			"endpoint-url": e.url,
		},
	})
}

// assumeRole is a profile with the secret of the emulator's user.
func assumeRole(e *emulator, secret string) cloudauth.Profile {
	return cloudauth.Profile{
		"kind": "aws-assume-role", "access-key-id": "AKIAIOSFODNN7EXAMPLE", "key": secret, "role-arn": role,
		"session-name": "go", "region": "us-east-1", "duration": 20 * time.Minute, "endpoint-url": e.url,
		"tags": [][2]string{{"team", "a:b"}},
	}
}

// awsKeys lists buckets with the credentials of each profile, and sees them kept and got anew.
func awsKeys(t *testing.T, e *emulator, profiles map[string]cloudauth.Profile) {
	t.Helper()
	for name, profile := range profiles {
		t.Run(name, func(t *testing.T) {
			opened := must(cloudauth.Config{CAFile: e.caFile, Profiles: map[string]cloudauth.Profile{name: profile}}.Open())
			defer opened.Close()
			provider := awscred.New(opened, name)
			if err := buckets(t, e, provider); err != nil {
				t.Fatal(err)
			}
			kept := must(provider.Retrieve(t.Context()))
			real := must(opened.AWSKeys(t.Context(), name)).Expires
			early := real.Sub(kept.Expires)
			if !kept.CanExpire || kept.Source != awscred.Source || early <= 0 || early > 5*time.Minute+time.Second {
				t.Error(kept.CanExpire, kept.Source, early)
			}
			if again := must(provider.Retrieve(t.Context())); again.AccessKeyID != kept.AccessKeyID {
				t.Error("not kept")
			}
			if err := provider.Invalidate(); err != nil {
				t.Fatal(err)
			}
			if again := must(provider.Retrieve(t.Context())); again.AccessKeyID == kept.AccessKeyID {
				t.Error("not invalidated")
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := provider.Retrieve(ended); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// Due after an hour of the service's time: then it is renewed once, whoever asks.
func TestExpiry(t *testing.T) {
	e := newEmulator(t)
	sleeper := rolesAnywhere(t, e, "P-256", inToken)
	teacher := rolesAnywhere(t, e, "P-384", inToken)
	opened := must(cloudauth.Config{CAFile: e.caFile, Profiles: map[string]cloudauth.Profile{"sleeper": sleeper, "teacher": teacher}}.Open())
	defer opened.Close()
	provider := awscred.New(opened, "sleeper")
	ask := func() (ids map[string]int, calls int) {
		ids = map[string]int{}
		before := e.requests(t, "roles-anywhere")
		var group sync.WaitGroup
		var mu sync.Mutex
		for range 50 {
			group.Go(func() {
				keys, err := provider.Retrieve(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[keys.AccessKeyID]++
			})
		}
		group.Wait()
		return ids, e.requests(t, "roles-anywhere") - before
	}
	// The library learns the service's time from its answers.
	at := func(offset time.Duration) {
		e.control(t, "POST", "clock", map[string]any{"offset": int(offset / time.Second)})
		if err := opened.Invalidate("teacher"); err != nil {
			t.Fatal(err)
		}
		if _, err := opened.AWSKeys(t.Context(), "teacher"); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, minute := range []int{0, 10, 20, 30, 40, 58} {
		at(time.Duration(minute) * time.Minute)
		ids, calls := ask()
		total += calls
		wanted := 0
		if minute == 0 || minute == 58 {
			wanted = 1
		}
		if calls != wanted || len(ids) != 1 {
			t.Errorf("minute %d: %d calls, %v", minute, calls, ids)
		}
	}
	if total != 2 {
		t.Errorf("%d calls in an hour", total)
	}
}

// blobs is a stand-in for Azure's storage: it lists two containers for a token of the emulator's Entra ID.
func blobs(t testing.TB, e *emulator) *httptest.Server {
	t.Helper()
	answer := must(http.Get(e.plain + "/" + tenant + "/discovery/v2.0/keys"))
	defer answer.Body.Close()
	var keys json.RawMessage
	if err := json.NewDecoder(answer.Body).Decode(&keys); err != nil {
		t.Fatal(err)
	}
	stub := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		expect := cloudauth.Expect{Schemes: []cloudauth.Scheme{cloudauth.RS256}, AnyIssuer: true, AnyAudience: true, Skew: time.Minute}
		set, err := cloudauth.ParseJWKS(keys)
		if err == nil {
			_, err = set.Verify(given, expect, time.Now())
		}
		if !ok || err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Containers>`+
			`<Container><Name>one</Name></Container><Container><Name>two</Name></Container></Containers><NextMarker/></EnumerationResults>`)
	}))
	t.Cleanup(stub.Close)
	return stub
}

// containers lists them with Azure's SDK.
func containers(t testing.TB, stub *httptest.Server, credential azcore.TokenCredential) error {
	t.Helper()
	options := azblob.ClientOptions{}
	options.Transport, options.Retry.MaxRetries = stub.Client(), -1
	client := must(azblob.NewClient(stub.URL, credential, &options))
	names := []string{}
	for pages := client.NewListContainersPager(nil); pages.More(); {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			return err
		}
		for _, item := range page.ContainerItems {
			names = append(names, *item.Name)
		}
	}
	if strings.Join(names, " ") != "one two" {
		t.Error(names)
	}
	return nil
}

func TestAzureKeyInSoftHSM(t *testing.T) {
	e := newEmulator(t)
	authority, key := newAuthority(t), newKey(t, "RSA")
	const mine = "77777777-7777-8888-9999-000000000000"
	certificate := certificatePEM(authority.issue(t, "robot", key.Public()))
	for _, tenant := range []string{tenant, "other.example"} {
		e.control(t, "POST", "register", map[string]any{"entra": map[string]any{"applications": []any{
			map[string]any{"tenant": tenant, "client_id": mine, "certificates": []string{string(certificate)}},
		}}})
	}
	profile := cloudauth.Profile{
		"kind": "azure-token", "key": inToken(t, key), "certificate": write(t, filepath.Join(t.TempDir(), "c.pem"), certificate, 0o644),
		"tenant": tenant, "client-id": mine, "authority": e.url,
	}
	credential := must(azcred.Open(profile, &azcred.Options{CAFile: e.caFile}))
	defer credential.Close()
	stub := blobs(t, e)
	if err := containers(t, stub, credential); err != nil {
		t.Fatal(err)
	}

	get := func(c *azcred.Credential, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
		return c.GetToken(t.Context(), options)
	}
	asked := policy.TokenRequestOptions{Scopes: []string{scope}}
	first := must(get(credential, asked))
	if left := time.Until(first.ExpiresOn); left < 50*time.Minute || !first.RefreshOn.Before(first.ExpiresOn) || time.Until(first.RefreshOn) < left/2 {
		t.Error(first.ExpiresOn, first.RefreshOn)
	}
	if must(get(credential, asked)).Token != first.Token {
		t.Error("not kept")
	}
	// Each is asked for anew: a challenge is not answered with the one that was refused.
	for _, options := range []policy.TokenRequestOptions{
		{Scopes: []string{"https://vault.azure.net/.default"}},
		{Scopes: []string{scope}, Claims: `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`},
		{Scopes: []string{scope}, TenantID: strings.ToUpper(tenant)},
	} {
		before := e.requests(t, "entra")
		for range 2 {
			if _, err := get(credential, options); err != nil {
				t.Errorf("%+v: %v", options, err)
			}
		}
		if calls := e.requests(t, "entra") - before; calls != 1 {
			t.Errorf("%+v: %d calls", options, calls)
		}
	}
	// Nor is anybody given the one that was refused.
	before := e.requests(t, "entra")
	must(get(credential, asked))
	must(get(credential, asked))
	if calls := e.requests(t, "entra") - before; calls != 1 {
		t.Errorf("%d calls for the one that a service refused", calls)
	}
	// Which tenant is not a service's to say, unless it is listed.
	other := policy.TokenRequestOptions{Scopes: []string{scope}, TenantID: "other.example"}
	if _, err := get(credential, other); !errors.Is(err, cloudauth.ErrInvalid) {
		t.Error(err)
	}
	listed := must(azcred.Open(profile, &azcred.Options{CAFile: e.caFile, AdditionallyAllowedTenants: []string{"other.example"}}))
	if _, err := get(listed, other); err != nil {
		t.Error(err)
	}
	if _, err := get(credential, policy.TokenRequestOptions{}); !errors.Is(err, cloudauth.ErrInvalid) {
		t.Error(err)
	}
	listed.Close()
	listed.Close()
	if _, err := get(listed, asked); !errors.Is(err, cloudauth.ErrState) {
		t.Error(err)
	}
}

func TestGoogleKeyInSoftHSM(t *testing.T) {
	key := newKey(t, "RSA")
	google(t, key, inToken(t, key))
}

// google calls Google's API with a token of the key that uri names, and makes a token that nobody is asked for.
func google(t *testing.T, key crypto.Signer, uri string) {
	t.Helper()
	e := newEmulator(t)
	const email, target = "robot@project.iam.gserviceaccount.com", "target@project.iam.gserviceaccount.com"
	authority := newAuthority(t)
	certificate := certificatePEM(authority.issue(t, "robot", key.Public()))
	e.control(t, "POST", "register", map[string]any{"google": map[string]any{"service_accounts": []any{
		map[string]any{"email": email, "keys": []any{map[string]any{"id": "0123456789abcdef", "public_key": string(certificate)}}},
		map[string]any{"email": target, "impersonators": []string{"serviceAccount:" + email, email}},
	}}})
	profile := cloudauth.Profile{
		"kind": "gcp-oauth", "key": uri, "email": email, "key-id": "0123456789abcdef",
		"scopes": []string{"https://www.googleapis.com/auth/cloud-platform"}, "endpoint-url": e.url,
	}
	opened, err := cloudauth.Config{CAFile: e.caFile, Profiles: map[string]cloudauth.Profile{"google": profile}}.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	source := gcptoken.New(opened, "google")
	// Google's IAM API, which verifies the token.
	client := oauth2.NewClient(t.Context(), source)
	answer := must(client.Post(e.plain+"/v1/projects/-/serviceAccounts/"+target+":generateAccessToken", "application/json",
		strings.NewReader(`{"scope":["https://www.googleapis.com/auth/cloud-platform"]}`)))
	answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Error(answer.Status)
	}
	token := must(source.Token())
	if !token.Valid() || token.TokenType != "Bearer" || time.Until(token.Expiry) < 50*time.Minute {
		t.Error(token.TokenType, token.Expiry)
	}
	if must(source.Token()).AccessToken != token.AccessToken {
		t.Error("not kept")
	}
	if err := source.Invalidate(); err != nil || must(source.Token()).AccessToken == token.AccessToken {
		t.Error("not invalidated", err)
	}
	// Nobody is asked for a self-signed one.
	signed := must(gcptoken.Open(cloudauth.Profile{"kind": "gcp-token", "key": profile["key"], "email": email, "audience": "https://a.example/"}))
	if token := must(signed.Token()); strings.Count(token.AccessToken, ".") != 2 {
		t.Error("no token")
	}
	signed.Close()
	if _, err := signed.Token(); !errors.Is(err, cloudauth.ErrState) {
		t.Error(err)
	}
}
