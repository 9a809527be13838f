package cloudauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func anywhere(id identity) *RolesAnywhere {
	return &RolesAnywhere{
		Signer: id.signer, Certificates: id.chain, Duration: time.Hour,
		TrustAnchorARN: "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/0b2d9e2a-1f0e-4c53-9f1c-2f7a0f6b1d11",
		ProfileARN:     "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/6f9c2f0e-7b55-4a13-8a4f-1d9d1d0d9f22",
		RoleARN:        "arn:aws:iam::123456789012:role/R",
	}
}

const session = `{"credentialSet":[{"assumedRoleUser":{"arn":"arn:aws:sts::123456789012:assumed-role/R/s","assumedRoleId":"AROA:s"},
"credentials":{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"hush/secret","sessionToken":"hush/token",
"expiration":"2026-11-22T13:00:00Z"},"packedPolicySize":0,"roleArn":"arn:aws:iam::123456789012:role/R","sourceIdentity":"CN=x"}],
"subjectArn":"arn:aws:rolesanywhere:eu-central-1:123456789012:subject/s"}`

// checkX509 verifies an AWS4-X509 signature with nothing of ours: the canonical request as AWS documents
// it, and Go's cryptography.
func checkX509(t *testing.T, r *http.Request, body string, id identity) {
	t.Helper()
	fields := map[string]string{}
	algorithm, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for field := range strings.SplitSeq(rest, ", ") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	serial, scope, _ := strings.Cut(fields["Credential"], "/")
	equal(t, "serial", serial, big.NewInt(0x1234567890).String())
	equal(t, "certificate", r.Header.Get("X-Amz-X509"), base64.StdEncoding.EncodeToString(id.chain[0]))
	names := strings.Split(fields["SignedHeaders"], ";")
	for _, wanted := range []string{"host", "x-amz-date", "x-amz-x509"} {
		if !slices.Contains(names, wanted) {
			t.Error(wanted, "is not signed")
		}
	}
	var headers strings.Builder
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, value)
	}
	query := strings.Split(r.URL.RawQuery, "&")
	slices.Sort(query)
	sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), strings.Join(query, "&"), headers.String(),
		fields["SignedHeaders"], sum(body)}, "\n")
	toSign := strings.Join([]string{algorithm, r.Header.Get("X-Amz-Date"), scope, sum(canonical)}, "\n")
	signature := must(hex.DecodeString(fields["Signature"]))
	if key, ok := id.key.Public().(*ecdsa.PublicKey); ok {
		equal(t, "algorithm", algorithm, "AWS4-X509-ECDSA-SHA256")
		digest := sha256.Sum256([]byte(toSign))
		if !ecdsa.VerifyASN1(key, digest[:], signature) {
			t.Error("the signature does not verify")
		}
		return
	}
	equal(t, "algorithm", algorithm, "AWS4-X509-RSA-SHA256")
	if err := verifies(id.key.Public(), RS256, []byte(toSign), signature); err != nil {
		t.Error(err)
	}
}

func TestRolesAnywhere(t *testing.T) {
	for kind, id := range identities() {
		flow := anywhere(id)
		flow.InstanceProperties = []Pair{{"role", "web"}}
		client := service(func(r *http.Request, body string) (int, string) {
			equal(t, "host", r.Host, "rolesanywhere.eu-central-1.amazonaws.com")
			checkX509(t, r, body, id)
			var sent map[string]any
			if err := json.Unmarshal([]byte(body), &sent); err != nil {
				t.Error(err)
			}
			equal(t, "duration", sent["durationSeconds"], any(3600.0))
			return 201, session
		}).client()
		got, err := Do(context.Background(), client, flow)
		if err != nil {
			t.Fatal(kind, err)
		}
		equal(t, "session", *got, RolesAnywhereSession{
			AWSCredentials: AWSCredentials{"ASIAEXAMPLE", "hush/secret", "hush/token", time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)},
			AssumedRoleARN: "arn:aws:sts::123456789012:assumed-role/R/s",
			SubjectARN:     "arn:aws:rolesanywhere:eu-central-1:123456789012:subject/s", SourceIdentity: "CN=x",
		})
		// What was got signs requests.
		s, err := NewSigV4(SigV4Options{Credentials: got.AWSCredentials, Region: "eu-central-1", Service: "s3"})
		if err != nil {
			t.Fatal(err)
		}
		request := must(http.NewRequest("GET", "https://bucket.s3.eu-central-1.amazonaws.com/", nil))
		if err := s.Sign(request, at, ""); err != nil {
			t.Fatal(err)
		}
		equal(t, "token", request.Header.Get("X-Amz-Security-Token"), "hush/token")
		s.Close()
	}
	flow := anywhere(who(t, "P-256"))
	flow.Signer = who(t, "P-384").signer
	_, err := flow.Request(context.Background(), at)
	refused(t, err, ErrMismatch, "certificate")
	flow.Signer = nil
	_, err = flow.Request(context.Background(), at)
	refused(t, err, ErrInvalid, "signer")
	flow = anywhere(who(t, "P-256"))
	flow.Certificates = append(flow.Certificates, slices.Repeat(flow.Certificates, 6)...)
	if _, err = flow.Request(context.Background(), at); !errors.Is(err, ErrCapacity) {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	flow := anywhere(who(t, "P-256"))
	secretish := "no\nlog line"
	for status, transient := range map[int]bool{403: false, 429: true, 503: true} {
		answer := &http.Response{
			StatusCode: status, Header: http.Header{"X-Amzn-Errortype": {"AccessDeniedException:http://x/"}},
			Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"message":%q}`, secretish))),
		}
		_, err := flow.Response(answer)
		var refusal *ServiceError
		if !errors.Is(err, ErrService) || !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		equal(t, "refusal", *refusal, ServiceError{status, "AccessDeniedException", secretish, transient})
		if strings.Contains(err.Error(), "\n") {
			t.Error("a line of its own in", err)
		}
	}
	read := func(body string) error {
		_, err := flow.Response(&http.Response{StatusCode: 201, Body: io.NopCloser(strings.NewReader(body))})
		return err
	}
	for name, body := range map[string]string{"empty": "", "other": "<html>", "half": session[:200]} {
		if err := read(body); !errors.Is(err, ErrMalformed) {
			t.Error(name, err)
		}
	}
	long := session + strings.Repeat(" ", maxAnswer-len(session))
	if err := read(long); err != nil {
		t.Error(err)
	}
	refused(t, read(long+" "), ErrCapacity, "body of the answer")
	for name, answer := range map[string]*http.Response{"nil": nil, "empty": {}, "no body": {StatusCode: 201}, "status": {StatusCode: -1}, "large": {StatusCode: 1 << 40}} {
		if _, err := flow.Response(answer); err == nil {
			t.Error(name, "is an answer")
		}
	}
	broken := errors.New("reset")
	_, err := flow.Response(&http.Response{StatusCode: 201, Body: io.NopCloser(failing{broken})})
	if !errors.Is(err, ErrTransport) || !errors.Is(err, broken) {
		t.Error(err)
	}
	headers := http.Header{"X-Many": make([]string, 200)}
	_, err = flow.Response(&http.Response{StatusCode: 201, Header: headers, Body: io.NopCloser(strings.NewReader(session))})
	if !errors.Is(err, ErrCapacity) {
		t.Error(err)
	}
	//lint:ignore SA1012 that it is refused is what is tested
	_, err = flow.Request(nil, at) //nolint
	refused(t, err, ErrInvalid, "context or endpoint")
	for _, endpoint := range []string{"a b", "a/b", "user@host", "host:port", "host?x", "h\x00"} {
		flow.Endpoint = endpoint
		if _, err := flow.Request(context.Background(), at); err == nil {
			t.Errorf("%q is a host", endpoint)
		}
	}
}

// A redirection must not carry a signature or an assertion to another place.
func TestNoRedirect(t *testing.T) {
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
	defer other.Close()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	flow := anywhere(who(t, "P-256"))
	flow.Endpoint = strings.TrimPrefix(server.URL, "https://")
	client := server.Client()
	_, err := Do(context.Background(), client, flow)
	var refusal *ServiceError
	if !errors.As(err, &refusal) || refusal.Status != 307 {
		t.Error(err)
	}
	equal(t, "the caller's client", client.CheckRedirect == nil, true)
	server.Close()
	if _, err = Do(context.Background(), client, flow); !errors.Is(err, ErrTransport) {
		t.Error(err)
	}
}

// Through a real server: what net/http sends is what was signed.
func TestOverHTTP(t *testing.T) {
	id := who(t, "P-256")
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			equal(t, "HTTP/2", r.ProtoMajor == 2, http2)
			checkX509(t, r, string(must(io.ReadAll(r.Body))), id)
			w.WriteHeader(201)
			io.WriteString(w, session)
		}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		flow := anywhere(id)
		flow.Endpoint = strings.TrimPrefix(server.URL, "https://")
		if _, err := Do(context.Background(), server.Client(), flow); err != nil {
			t.Error(err)
		}
		server.Close()
	}
}

func xmlCredentials(call, more string) string {
	return `<` + call + `Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><` + call + `Result>` + more +
		`<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>hush</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>2026-11-22T13:00:00Z</Expiration></Credentials></` + call + `Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></` + call + `Response>`
}

func TestSTS(t *testing.T) {
	ctx := context.Background()
	signer := newSTS(t)
	form := func(body string) url.Values { return must(url.ParseQuery(body)) }
	want := AWSCredentials{"ASIAEXAMPLE", "hush", "token", time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)}

	role, err := Do(ctx, service(func(r *http.Request, body string) (int, string) {
		equal(t, "host", r.Host, "sts.eu-central-1.amazonaws.com")
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
			t.Error(r.Header)
		}
		f := form(body)
		equal(t, "action", f.Get("Action"), "AssumeRole")
		equal(t, "tag", f.Get("Tags.member.1.Key")+f.Get("Tags.member.1.Value"), "ab")
		equal(t, "external id", f.Get("ExternalId"), "third-party")
		return 200, xmlCredentials("AssumeRole", `<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/R/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>`)
	}).client(), &AssumeRole{
		Signer: signer, RoleARN: "arn:aws:iam::123456789012:role/R", SessionName: "robot-7", Tags: []Pair{{"a", "b"}},
		TransitiveTagKeys: []string{"a"}, ExternalID: "third-party", Duration: 15 * time.Minute,
		PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"},
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "role", *role, AssumedRole{want, "arn:aws:sts::123456789012:assumed-role/R/s", "AROA:s", "", -1})

	federated, err := Do(ctx, service(func(r *http.Request, body string) (int, string) {
		equal(t, "token", form(body).Get("WebIdentityToken"), "e30.e30.AA")
		return 200, xmlCredentials("AssumeRoleWithWebIdentity", `<SubjectFromWebIdentityToken>sub</SubjectFromWebIdentityToken><Audience>aud</Audience><Provider>iss</Provider>`)
	}).client(), &AssumeRoleWithWebIdentity{
		Region: "eu-central-1", RoleARN: "arn:aws:iam::123456789012:role/R", SessionName: "robot-7", Token: "e30.e30.AA",
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "credentials", federated.AWSCredentials, want)
	equal(t, "who", federated.Subject+federated.Audience+federated.Provider, "subaudiss")

	given, err := Do(ctx, service(func(r *http.Request, body string) (int, string) {
		equal(t, "action", form(body).Get("Action"), "GetSessionToken")
		return 200, xmlCredentials("GetSessionToken", "")
	}).client(), &GetSessionToken{Signer: signer, SerialNumber: "arn:aws:iam::123456789012:mfa/u", TokenCode: "123456"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "credentials", *given, want)

	flow := &GetCallerIdentity{Signer: signer}
	identity, err := Do(ctx, service(func(r *http.Request, body string) (int, string) {
		equal(t, "action", form(body).Get("Action"), "GetCallerIdentity")
		return 200, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/u</Arn><UserId>AIDA</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
	}).client(), flow)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "identity", *identity, CallerIdentity{"123456789012", "arn:aws:iam::123456789012:user/u", "AIDA"})

	_, err = Do(ctx, service(func(*http.Request, string) (int, string) {
		return 403, `<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>no</Message></Error></ErrorResponse>`
	}).client(), flow)
	var refusal *ServiceError
	if !errors.As(err, &refusal) {
		t.Fatal(err)
	}
	equal(t, "refusal", *refusal, ServiceError{403, "InvalidClientTokenId", "no", false})

	// A signer for another service, one that is closed, and none.
	other := must(NewSigV4(SigV4Options{Credentials: example, Region: "eu-central-1", Service: "s3"}))
	defer other.Close()
	flow.Signer = other
	if _, err := flow.Request(ctx, at); !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	signer.Close()
	flow.Signer = signer
	_, err = flow.Request(ctx, at)
	refused(t, err, ErrState, "signer")
	_, err = flow.Response(&http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("<a/>"))})
	refused(t, err, ErrState, "signer")
	flow.Signer = nil
	_, err = flow.Request(ctx, at)
	refused(t, err, ErrInvalid, "signer")

	// A device that fails while an answer is read must not make it an empty identity.
	d := &inDevice{fail: errors.New("no device")}
	flow.Signer = must(NewSigV4(SigV4Options{Credentials: AWSCredentials{AccessKeyID: "AKID"}, MAC: d, Region: "eu-central-1", Service: "sts"}))
	defer flow.Signer.Close()
	_, err = flow.Response(&http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("<a/>"))})
	refused(t, err, ErrSigner, "MAC")
}

func TestAzureToken(t *testing.T) {
	ctx := context.Background()
	id := who(t, "RSA-2048")
	assertion := &AzureClientAssertion{Signer: id.signer, Certificates: id.chain, Tenant: "contoso.example", ClientID: "00000000-1111-2222-3333-444444444444"}
	const scope = "https://vault.azure.net/.default"
	for name, flow := range map[string]*AzureToken{
		"assertion": {Scopes: []string{scope}, Assertion: assertion},
		"secret":    {Scopes: []string{scope}, Tenant: assertion.Tenant, ClientID: assertion.ClientID, ClientSecret: "hush+&="},
		"federated": {Scopes: []string{scope}, Tenant: assertion.Tenant, ClientID: assertion.ClientID, FederatedToken: "e30.e30.AA"},
	} {
		token, err := Do(ctx, service(func(r *http.Request, body string) (int, string) {
			equal(t, "URL", r.URL.String(), "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token")
			form := must(url.ParseQuery(body))
			equal(t, "scope", form.Get("scope"), scope)
			equal(t, "grant", form.Get("grant_type"), "client_credentials")
			switch name {
			case "secret":
				equal(t, "secret", form.Get("client_secret"), "hush+&=")
			case "federated":
				equal(t, "token", form.Get("client_assertion"), "e30.e30.AA")
			case "assertion":
				opened(t, Secret(form.Get("client_assertion")), id.key.Public(), PS256)
			}
			return 200, `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":7199,"refresh_in":1800,"access_token":"t.o.k"}`
		}).client(), flow)
		if err != nil {
			t.Fatal(name, err)
		}
		equal(t, name, *token, AzureAccessToken{"t.o.k", "Bearer", 3599 * time.Second, 7199 * time.Second, 1800 * time.Second})
	}
	for _, flow := range []*AzureToken{
		{Scopes: []string{scope}},
		{Scopes: []string{scope}, Assertion: assertion, ClientSecret: "hush"},
	} {
		_, err := flow.Request(ctx, at)
		refused(t, err, ErrInvalid, "credential")
	}
	_, err := (&AzureToken{Scopes: []string{scope}, Assertion: assertion, Tenant: "x"}).Request(ctx, at)
	refused(t, err, ErrInvalid, "tenant")
}

func TestGCPExchanges(t *testing.T) {
	ctx := context.Background()
	id := who(t, "RSA-2048")
	const email = "robot@project.iam.gserviceaccount.com"
	const answer = `{"access_token":"ya29.x","token_type":"Bearer","expires_in":3599}`
	want := AccessToken{"ya29.x", "Bearer", 3599 * time.Second}

	token, err := Do(ctx, service(func(r *http.Request, body string) (int, string) {
		equal(t, "URL", r.URL.String(), "https://oauth2.googleapis.com/token")
		_, claims := opened(t, Secret(must(url.ParseQuery(body)).Get("assertion")), id.key.Public(), RS256)
		equal(t, "scope", claims["scope"], any("a b"))
		equal(t, "aud", claims["aud"], any("https://oauth2.googleapis.com/token"))
		return 200, answer
	}).client(), &GCPAccessToken{Signer: id.signer, Email: email, Scopes: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "token", *token, want)

	idToken, err := Do(ctx, service(func(r *http.Request, body string) (int, string) {
		_, claims := opened(t, Secret(must(url.ParseQuery(body)).Get("assertion")), id.key.Public(), RS256)
		equal(t, "target_audience", claims["target_audience"], any("https://service.example"))
		return 200, `{"id_token":"e30.e30.AA"}`
	}).client(), &GCPIDToken{Signer: id.signer, Email: email, TargetAudience: "https://service.example"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "token", *idToken, IDToken{"e30.e30.AA"})

	for name, flow := range map[string]*GCPFederation{
		"ours":  {Scopes: []string{"a"}, SignedToken: &GCPSubjectToken{Signer: who(t, "P-256").signer, Provider: provider, Issuer: "https://issuer.example", Subject: "robot"}},
		"given": {Scopes: []string{"a"}, Token: "e30.e30.AA", TokenType: GCPTokenJWT, Provider: provider},
	} {
		token, err := Do(ctx, service(func(r *http.Request, body string) (int, string) {
			equal(t, "URL", r.URL.String(), "https://sts.googleapis.com/v1/token")
			// Google takes both forms; the subject token is in either.
			subject := must(url.ParseQuery(body)).Get("subject_token")
			if subject == "" {
				var sent struct{ SubjectToken string }
				if err := json.Unmarshal([]byte(body), &sent); err != nil {
					t.Error(err)
				}
				subject = sent.SubjectToken
			}
			if name == "given" {
				equal(t, "subject", subject, "e30.e30.AA")
			} else {
				opened(t, Secret(subject), who(t, "P-256").key.Public(), ES256)
			}
			return 200, `{"access_token":"ya29.x","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3599}`
		}).client(), flow)
		if err != nil {
			t.Fatal(name, err)
		}
		equal(t, name, *token, want)
	}

	impersonated, err := Do(ctx, service(func(r *http.Request, body string) (int, string) {
		equal(t, "URL", r.URL.RequestURI(), "/v1/projects/-/serviceAccounts/"+email+":generateAccessToken")
		equal(t, "bearer", r.Header.Get("Authorization"), "Bearer ya29.x")
		return 200, `{"accessToken":"ya29.y","expireTime":"2026-11-22T13:00:00Z"}`
	}).client(), &GCPGenerateAccessToken{Token: token.Token, Email: email, Delegates: []string{"d@project.iam.gserviceaccount.com"}})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "token", *impersonated, GCPImpersonatedToken{"ya29.y", time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)})

	idToken, err = Do(ctx, service(func(r *http.Request, body string) (int, string) {
		var sent struct {
			Audience     string
			IncludeEmail bool
		}
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Error(err)
		}
		equal(t, "audience", sent.Audience, "https://service.example")
		equal(t, "e-mail", sent.IncludeEmail, true)
		return 200, `{"token":"e30.e30.AA"}`
	}).client(), &GCPGenerateIDToken{Token: "ya29.x", Email: email, Audience: "https://service.example"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "token", *idToken, IDToken{"e30.e30.AA"})

	_, err = Do(ctx, service(func(*http.Request, string) (int, string) {
		return 400, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`
	}).client(), &GCPAccessToken{Signer: id.signer, Email: email, Scopes: []string{"a"}})
	var refusal *ServiceError
	if !errors.As(err, &refusal) {
		t.Fatal(err)
	}
	equal(t, "refusal", *refusal, ServiceError{400, "invalid_grant", "Invalid JWT Signature.", false})
}

// The certificate and key that package tls loads are what RolesAnywhere takes.
func TestTLSCertificate(t *testing.T) {
	id := who(t, "P-384")
	loaded := tls.Certificate{Certificate: id.chain, PrivateKey: id.key}
	flow := anywhere(identity{id.key, must(NewSigner(id.key)), loaded.Certificate})
	if _, err := flow.Request(context.Background(), at); err != nil {
		t.Error(err)
	}
}
