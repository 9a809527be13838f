package cloudauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestGCPSelfSigned(t *testing.T) {
	for kind, scheme := range map[string]Scheme{"RSA-2048": RS256, "RSA-3072": RS256, "P-256": ES256} {
		id := who(t, kind)
		flow := &GCPSelfSigned{
			Signer: id.signer, Email: "robot@project.iam.gserviceaccount.com", KeyID: "k1",
			Scopes: []string{"https://www.googleapis.com/auth/cloud-platform", "openid"},
		}
		token, err := flow.Sign(at)
		if err != nil {
			t.Fatal(kind, err)
		}
		header, claims := opened(t, token, id.key.Public(), scheme)
		equal(t, "kid", header["kid"], any("k1"))
		equal(t, "iss", claims["iss"], any(flow.Email))
		equal(t, "sub", claims["sub"], any(flow.Email))
		equal(t, "scope", claims["scope"], any(strings.Join(flow.Scopes, " ")))
		equal(t, "iat", claims["iat"], any(float64(at.Unix())))
		equal(t, "exp", claims["exp"], any(float64(at.Unix()+3600)))

		flow.Audience = "https://pubsub.googleapis.com/"
		_, err = flow.Sign(at)
		refused(t, err, ErrInvalid, "audience")
		flow.Scopes, flow.Lifetime, flow.Subject = nil, 5*time.Minute, ""
		token, err = flow.Sign(at)
		if err != nil {
			t.Fatal(kind, err)
		}
		_, claims = opened(t, token, id.key.Public(), scheme)
		equal(t, "aud", claims["aud"], any(flow.Audience))
		equal(t, "exp", claims["exp"], any(float64(at.Unix()+300)))
		flow.Lifetime = 1500 * time.Millisecond
		_, err = flow.Sign(at)
		refused(t, err, ErrInvalid, "lifetime")
	}
	_, err := (&GCPSelfSigned{Signer: who(t, "P-384").signer, Email: "a@b.example", Audience: "https://a.example/"}).Sign(at)
	refused(t, err, ErrMismatch, "signer")
}

func TestGCPSubjectToken(t *testing.T) {
	id := who(t, "P-256")
	flow := &GCPSubjectToken{
		Signer: id.signer, KeyID: "k2", Issuer: "https://issuer.example", Subject: "robot-7",
		Provider: provider,
	}
	token, err := flow.Sign(at)
	if err != nil {
		t.Fatal(err)
	}
	_, claims := opened(t, token, id.key.Public(), ES256)
	equal(t, "iss", claims["iss"], any(flow.Issuer))
	equal(t, "sub", claims["sub"], any(flow.Subject))
	equal(t, "exp", claims["exp"], any(float64(at.Unix()+600)))
	flow.Issuer = "http://issuer.example"
	_, err = flow.Sign(at)
	refused(t, err, ErrInvalid, "issuer")
}

const provider = "//iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/pool/providers/prov"

func TestAzureClientAssertion(t *testing.T) {
	id := who(t, "RSA-2048")
	flow := &AzureClientAssertion{
		Signer: id.signer, Certificates: id.chain,
		Tenant: "contoso.onmicrosoft.com", ClientID: "00000000-1111-2222-3333-444444444444",
	}
	token, err := flow.Sign(at)
	if err != nil {
		t.Fatal(err)
	}
	header, claims := opened(t, token, id.key.Public(), PS256)
	sum := sha256.Sum256(id.chain[0])
	equal(t, "x5t#S256", header["x5t#S256"], any(base64.RawURLEncoding.EncodeToString(sum[:])))
	equal(t, "aud", claims["aud"], any("https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"))
	equal(t, "iss", claims["iss"], any(flow.ClientID))
	again, err := flow.Sign(at)
	if err != nil {
		t.Fatal(err)
	}
	if _, other := opened(t, again, id.key.Public(), PS256); other["jti"] == claims["jti"] {
		t.Error("the same jti twice")
	}

	flow.Scheme, flow.SendChain, flow.SHA1Thumbprint, flow.Authority = RS256, true, true, AzureChina
	if token, err = flow.Sign(at); err != nil {
		t.Fatal(err)
	}
	header, claims = opened(t, token, id.key.Public(), RS256)
	sha := sha1.Sum(id.chain[0])
	equal(t, "x5t", header["x5t"], any(base64.RawURLEncoding.EncodeToString(sha[:])))
	equal(t, "x5c", header["x5c"].([]any)[0], any(base64.StdEncoding.EncodeToString(id.chain[0])))
	if !strings.HasPrefix(claims["aud"].(string), "https://login.partner.microsoftonline.cn/") {
		t.Error(claims["aud"])
	}

	flow.Certificates = who(t, "RSA-3072").chain
	_, err = flow.Sign(at)
	refused(t, err, ErrMismatch, "certificate")
	flow.Certificates = [][]byte{id.chain[0][:100]}
	_, err = flow.Sign(at)
	if !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	flow.Certificates = nil
	_, err = flow.Sign(at)
	refused(t, err, ErrInvalid, "certificate")
	flow.Certificates, flow.Authority = id.chain, 99
	_, err = flow.Sign(at)
	refused(t, err, ErrUnknownNumber, "authority")
}

// Of a list, the error tells which.
func TestElement(t *testing.T) {
	flow := &GCPSelfSigned{Signer: who(t, "P-256").signer, Email: "a@b.example", Scopes: []string{"a", "b", "\xff"}}
	_, err := flow.Sign(at)
	var ours *Error
	if !errors.As(err, &ours) || ours.Code != ErrUTF8 {
		t.Fatal(err)
	}
	equal(t, "element", ours.Element, 3)
	equal(t, "text", err.Error(), "cloudauth: Google self-signed token: scope 3: expected UTF-8")
}

// Outputs that are larger than the first buffer.
func TestLarge(t *testing.T) {
	id := who(t, "P-256")
	scopes := slices.Repeat([]string{"https://www.googleapis.com/auth/" + strings.Repeat("a", 1000)}, 32)
	token, err := (&GCPSelfSigned{Signer: id.signer, Email: "a@b.example", Scopes: scopes}).Sign(at)
	if err != nil {
		t.Fatal(err)
	}
	_, claims := opened(t, token, id.key.Public(), ES256)
	equal(t, "scope", claims["scope"], any(strings.Join(scopes, " ")))

	set := must(NewKeySet(VerificationKey{Key: id.key.Public()}))
	expect := Expect{Schemes: []Scheme{ES256}, AnyIssuer: true, AnyAudience: true}
	report, err := set.Verify(string(token), expect, at)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "claims", len(report.Claims) > 32_000, true)

	s := must(NewSigV4(SigV4Options{
		Credentials: AWSCredentials{AccessKeyID: "AKID", SecretAccessKey: "x", SessionToken: Secret(strings.Repeat("t", 20_000))},
		Region:      "us-east-1", Service: "s3",
	}))
	defer s.Close()
	request := must(http.NewRequest("GET", "https://a.example/"+strings.Repeat("p", 20_000), nil))
	signed, err := s.Presign(request, at, time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sign(request, at, ""); err != nil {
		t.Error(err)
	}
	equal(t, "presigned", len(signed.String()) > 40_000, true)
}

// A key somewhere else, as it may be or may fail.
type device struct {
	crypto.Signer
	sign func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (d device) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.sign(digest, opts)
}

// A key that wants the message.
type messages struct {
	crypto.Signer
	seen *[]byte
}

func (m messages) SignMessage(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	*m.seen = message
	digest := opts.HashFunc().New()
	digest.Write(message)
	return m.Sign(random, digest.Sum(nil), opts)
}

func TestDevices(t *testing.T) {
	broken := errors.New("the token was removed")
	flow := func(key crypto.Signer) (Secret, error) {
		signer, err := NewSigner(key)
		if err != nil {
			t.Fatal(err)
		}
		return (&GCPSelfSigned{Signer: signer, Email: "a@b.example", Audience: "https://a.example/"}).Sign(at)
	}
	for _, kind := range []string{"RSA-2048", "P-256"} {
		id := who(t, kind)
		scheme := Scheme(id.signer.scheme())

		var seen []byte
		token, err := flow(messages{id.key, &seen})
		if err != nil {
			t.Fatal(err)
		}
		opened(t, token, id.key.Public(), scheme)
		if !strings.HasPrefix(string(token), string(seen)+".") {
			t.Error("not the message of the token")
		}

		// Signing in another goroutine, as a remote key does.
		token, err = flow(device{id.key, func(digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
			done := make(chan struct{})
			go func() { defer close(done); signature, err = id.key.Sign(rand.Reader, digest, opts) }()
			<-done
			clear(digest)
			return
		}})
		if err != nil {
			t.Fatal(err)
		}
		opened(t, token, id.key.Public(), scheme)

		_, err = flow(device{id.key, func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, broken }})
		refused(t, err, ErrSigner, "signer")
		if !errors.Is(err, broken) {
			t.Error("the key's error is lost:", err)
		}
		for _, wrong := range [][]byte{nil, {}, {0x30}, make([]byte, 63), make([]byte, 5000)} {
			_, err = flow(device{id.key, func([]byte, crypto.SignerOpts) ([]byte, error) { return wrong, nil }})
			refused(t, err, ErrSigner, "signer")
		}

		// A panic is the key's own business, and passes through.
		func() {
			defer func() { equal(t, "panic", recover(), any("device")) }()
			_, _ = flow(device{id.key, func([]byte, crypto.SignerOpts) ([]byte, error) { panic("device") }})
			t.Error("no panic")
		}()
	}
}

// r and s of an ECDSA signature may be short: they are padded on the left.
func TestShortECDSA(t *testing.T) {
	id := who(t, "P-256")
	for short := 0; short < 4; {
		var der []byte
		signer := must(NewSigner(device{id.key, func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			var err error
			der, err = id.key.Sign(rand.Reader, digest, opts)
			return der, err
		}}))
		token, err := (&GCPSelfSigned{Signer: signer, Email: "a@b.example", Audience: "https://a.example/"}).Sign(at)
		if err != nil {
			t.Fatal(err)
		}
		if len(der) < 70 {
			opened(t, token, id.key.Public(), ES256)
			short++
		}
	}
}

type onlyPublic struct{ crypto.PublicKey }

func (o onlyPublic) Public() crypto.PublicKey { return o.PublicKey }
func (onlyPublic) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("cannot")
}

func TestNewSigner(t *testing.T) {
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for _, key := range []crypto.Signer{
		p224, ed, onlyPublic{}, onlyPublic{(*rsa.PublicKey)(nil)}, onlyPublic{(*ecdsa.PublicKey)(nil)},
		onlyPublic{&rsa.PublicKey{}}, onlyPublic{&ecdsa.PublicKey{}}, onlyPublic{"key"},
	} {
		if _, err := NewSigner(key); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%T: %v", key, err)
		}
	}
	if _, err := NewSigner(nil); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	for _, none := range []*Signer{nil, {}} {
		_, err := (&GCPSelfSigned{Signer: none, Email: "a@b.example", Audience: "https://a.example/"}).Sign(at)
		refused(t, err, ErrInvalid, "signer")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	c := AWSCredentials{AccessKeyID: "AKID", SecretAccessKey: "hush", SessionToken: "hush"}
	session := RolesAnywhereSession{AWSCredentials: c}
	options := SigV4Options{Credentials: c}
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("", "secret", c.SecretAccessKey)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb, c)
		fmt.Fprintf(&log, verb, &session)
		fmt.Fprintf(&log, verb, options)
		fmt.Fprintf(&log, verb, c.SecretAccessKey)
	}
	if s := log.String(); strings.Contains(s, "hush") || strings.Contains(s, "68757368") || !strings.Contains(s, "AKID") {
		t.Error(s)
	}
	equal(t, "conversion", string(c.SecretAccessKey), "hush")
}
