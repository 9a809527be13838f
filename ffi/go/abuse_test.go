package cloudauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// every is every flow that signs or asks, filled in so that it works.
func every(t testing.TB) map[string]func() any {
	rsa, ec := who(t, "RSA-2048"), who(t, "P-256")
	sts := newSTS(t)
	const role = "arn:aws:iam::123456789012:role/R"
	azure := func() *AzureClientAssertion {
		return &AzureClientAssertion{Signer: rsa.signer, Certificates: rsa.chain, Tenant: "contoso.example", ClientID: "00000000-1111-2222-3333-444444444444"}
	}
	subject := func() *GCPSubjectToken {
		return &GCPSubjectToken{Signer: ec.signer, Provider: provider, Issuer: "https://issuer.example", Subject: "robot"}
	}
	return map[string]func() any{
		"RolesAnywhere": func() any { return anywhere(ec) },
		"AssumeRole":    func() any { return &AssumeRole{Signer: sts, RoleARN: role, SessionName: "robot"} },
		"AssumeRoleWithWebIdentity": func() any {
			return &AssumeRoleWithWebIdentity{Region: "eu-central-1", RoleARN: role, SessionName: "robot", Token: "e30.e30.AA"}
		},
		"GetSessionToken":      func() any { return &GetSessionToken{Signer: sts} },
		"GetCallerIdentity":    func() any { return &GetCallerIdentity{Signer: sts} },
		"AzureClientAssertion": func() any { return azure() },
		"AzureToken":           func() any { return &AzureToken{Scopes: []string{"https://a.example/.default"}, Assertion: azure()} },
		"GCPSelfSigned": func() any {
			return &GCPSelfSigned{Signer: rsa.signer, Email: "a@b.example", Audience: "https://a.example/"}
		},
		"GCPSubjectToken": func() any { return subject() },
		"GCPFederation":   func() any { return &GCPFederation{SignedToken: subject(), Scopes: []string{"a"}} },
		"GCPAccessToken": func() any {
			return &GCPAccessToken{Signer: ec.signer, Email: "a@b.example", Scopes: []string{"a"}}
		},
		"GCPIDToken": func() any {
			return &GCPIDToken{Signer: ec.signer, Email: "a@b.example", TargetAudience: "https://a.example"}
		},
		"GCPGenerateAccessToken": func() any { return &GCPGenerateAccessToken{Token: "ya29", Email: "a@b.example"} },
		"GCPGenerateIDToken": func() any {
			return &GCPGenerateIDToken{Token: "ya29", Email: "a@b.example", Audience: "https://a.example"}
		},
	}
}

// try calls a flow; all errors must be ours.
func try(t *testing.T, flow any, at time.Time) error {
	t.Helper()
	var err error
	switch flow := flow.(type) {
	case interface {
		Sign(time.Time) (Secret, error)
	}:
		_, err = flow.Sign(at)
	case interface {
		Request(context.Context, time.Time) (*http.Request, error)
	}:
		var request *http.Request
		if request, err = flow.Request(context.Background(), at); err == nil {
			whole, sent := request.Body, request.ContentLength
			equal(t, "length", int64(len(must(io.ReadAll(whole)))), sent)
		}
	default:
		t.Fatalf("%T", flow)
	}
	var ours *Error
	if err != nil && (!errors.As(err, &ours) || ours.Op == "" || err.Error() == "") {
		t.Errorf("%T: %#v", flow, err)
	}
	return err
}

var nasty = []string{
	"", "\x00", "a\x00b", "\xff\xfe", "\r\nX: y", "\"}", "&x=y", "%00", "../..", "\u202e", "https://",
	strings.Repeat("a", 1<<20), strings.Repeat("\"", 1<<16),
}

// Every field of every flow takes everything: the answer is a request or an error, and nothing breaks.
func TestAbuse(t *testing.T) {
	for name, make := range every(t) {
		if err := try(t, make(), at); err != nil {
			t.Fatal(name, err)
		}
		tries, errs := 0, 0
		count := func(flow any) {
			tries++
			if try(t, flow, at) != nil {
				errs++
			}
		}
		kind := reflect.TypeOf(make()).Elem()
		for i := range kind.NumField() {
			change := func(value any) {
				flow := make()
				field := reflect.ValueOf(flow).Elem().Field(i)
				field.Set(reflect.ValueOf(value).Convert(field.Type()))
				count(flow)
			}
			switch field := reflect.Zero(kind.Field(i).Type).Interface().(type) {
			case string, Secret:
				for _, text := range nasty {
					change(text)
				}
			case []string:
				for _, text := range nasty {
					change([]string{text})
				}
				change([]string{})
				change(strings.Split(strings.Repeat("a ", 5000), " "))
			case []Pair:
				for _, text := range nasty {
					change([]Pair{{text, "x"}, {"x", text}})
				}
				change(make2[Pair](5000))
			case [][]byte:
				for _, text := range nasty {
					change([][]byte{[]byte(text)})
					change([][]byte{who(t, "P-256").chain[0], []byte(text)})
				}
			case time.Duration:
				for _, d := range []time.Duration{-1, 1, time.Second, 1 << 62, -1 << 63, 1<<63 - 1} {
					change(d)
				}
			case Scheme, AzureAuthority, GCPTokenType:
				for _, n := range []uint32{1, 2, 3, 99, 1<<32 - 1} {
					change(n)
				}
			case *Signer, *SigV4, *AzureClientAssertion, *GCPSubjectToken:
				flow := make()
				reflect.ValueOf(flow).Elem().Field(i).SetZero()
				count(flow)
			case bool:
				change(true)
			default:
				t.Fatalf("%s: no abuse for %T", name, field)
			}
		}
		count(reflect.New(kind).Interface())
		for _, when := range []time.Time{{}, time.Unix(-1, 0), time.Unix(1<<40, 0), time.Unix(1<<62, 0)} {
			if err := try(t, make(), when); err == nil {
				t.Errorf("%s: accepted in the year %d", name, when.Year())
			}
		}
		if errs == 0 || errs == tries {
			t.Errorf("%s: %d of %d refused", name, errs, tries)
		}
	}
}

func make2[T any](n int) []T { return make([]T, n) }

func TestAbuseSigV4(t *testing.T) {
	s := must(NewSigV4(SigV4Options{Credentials: example, Region: "us-east-1", Service: "s3"}))
	defer s.Close()
	signed := 0
	for _, text := range nasty {
		for _, change := range []func(*http.Request){
			func(r *http.Request) { r.Method = text },
			func(r *http.Request) { r.Host = text },
			func(r *http.Request) { r.URL.Host = text },
			func(r *http.Request) { r.URL.Path = text },
			func(r *http.Request) { r.URL.Path = "/" + text },
			func(r *http.Request) { r.URL.RawPath = text },
			func(r *http.Request) { r.URL.Opaque = text },
			func(r *http.Request) { r.URL.RawQuery = text },
			func(r *http.Request) { r.Header[text] = []string{"x"} },
			func(r *http.Request) { r.Header.Set("X-A", text) },
			func(r *http.Request) { *r = http.Request{} },
			func(r *http.Request) { *r = http.Request{URL: &url.URL{Host: "a.example"}, Header: nil} },
		} {
			request := must(http.NewRequest("GET", "https://a.example/p?q", nil))
			change(request)
			if s.Sign(request, at, "") == nil {
				signed++
				equal(t, "one signature", len(request.Header["Authorization"]), 1)
			}
			_, _ = s.Presign(request, at, time.Hour, "")
		}
		for _, options := range []SigV4Options{
			{Credentials: AWSCredentials{AccessKeyID: text, SecretAccessKey: "x"}, Region: "r", Service: "s"},
			{Credentials: AWSCredentials{AccessKeyID: "a", SecretAccessKey: Secret(text)}, Region: "r", Service: "s"},
			{Credentials: AWSCredentials{AccessKeyID: "a", SecretAccessKey: "x", SessionToken: Secret(text)}, Region: "r", Service: "s"},
			{Credentials: example, Region: text, Service: "s"},
			{Credentials: example, Region: "r", Service: text},
			{Credentials: example, Region: "r", Service: "s", Settings: 1 << 31},
		} {
			one, err := NewSigV4(options)
			if err != nil {
				continue
			}
			request := must(http.NewRequest("GET", "https://a.example/p?q", nil))
			if one.Sign(request, at, "") == nil {
				signed++
			}
			one.Close()
		}
	}
	if signed == 0 {
		t.Error("nothing was signed")
	}
}

// Everything is shared by many goroutines, across midnight, while one signer is closed. For -race.
func TestGoroutines(t *testing.T) {
	flows := every(t)
	s3 := must(NewSigV4(SigV4Options{Credentials: example, Region: "us-east-1", Service: "s3"}))
	closing := must(NewSigV4(SigV4Options{Credentials: example, Region: "us-east-1", Service: "s3"}))
	set := must(NewKeySet(VerificationKey{Key: who(t, "P-256").key.Public()}))
	token := issue(who(t, "P-256").key, ES256, nil, map[string]any{"exp": at.Unix() + 1})
	shared := map[string]any{}
	for name, make := range flows {
		shared[name] = make()
	}
	signatures := sync.Map{}
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			for round := range 6 {
				for name, flow := range shared {
					if err := try(t, flow, at); err != nil {
						t.Error(name, err)
					}
				}
				for day := range 3 {
					request := must(http.NewRequest("GET", "https://a.example/p?q", nil))
					if err := s3.Sign(request, at.AddDate(0, 0, day), ""); err != nil {
						t.Error(err)
					} else if seen, loaded := signatures.LoadOrStore(day, signatureOf(t, request)); loaded {
						equal(t, "signature", signatureOf(t, request), seen.(string))
					}
				}
				if _, err := set.Verify(token, Expect{Schemes: []Scheme{ES256}, AnyIssuer: true, AnyAudience: true}, at); err != nil {
					t.Error(err)
				}
				request := must(http.NewRequest("GET", "https://a.example/p?q", nil))
				if err := closing.Sign(request, at, ""); err != nil && !errors.Is(err, ErrState) {
					t.Error(err)
				}
				if worker == 0 && round == 3 {
					closing.Close()
				}
			}
		})
	}
	group.Wait()
	s3.Close()
}
