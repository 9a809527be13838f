package cloudauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

var at = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A key and its certificate, made once.
type identity struct {
	key    crypto.Signer
	signer *Signer
	chain  [][]byte
}

var identities = sync.OnceValue(func() map[string]identity {
	made := map[string]identity{}
	for _, kind := range []string{"RSA-2048", "RSA-3072", "P-256", "P-384"} {
		var key crypto.Signer
		var err error
		switch kind {
		case "RSA-2048":
			key, err = rsa.GenerateKey(rand.Reader, 2048)
		case "RSA-3072":
			key, err = rsa.GenerateKey(rand.Reader, 3072)
		case "P-256":
			key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		case "P-384":
			key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		}
		if err != nil {
			panic(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(0x1234567890), Subject: pkix.Name{CommonName: kind},
			DNSNames: []string{"broker.example"}, NotBefore: at.AddDate(-10, 0, 0), NotAfter: at.AddDate(50, 0, 0),
			KeyUsage: x509.KeyUsageDigitalSignature,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			panic(err)
		}
		signer, err := NewSigner(key)
		if err != nil {
			panic(err)
		}
		made[kind] = identity{key, signer, [][]byte{der}}
	}
	return made
})

func who(t testing.TB, kind string) identity {
	t.Helper()
	id, ok := identities()[kind]
	if !ok {
		t.Fatal(kind)
	}
	return id
}

// verifies checks a signature with Go's own cryptography.
func verifies(public crypto.PublicKey, scheme Scheme, message, signature []byte) error {
	var digest []byte
	if scheme == ES384 {
		sum := sha512.Sum384(message)
		digest = sum[:]
	} else {
		sum := sha256.Sum256(message)
		digest = sum[:]
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		if scheme == PS256 {
			return rsa.VerifyPSS(key, crypto.SHA256, digest, signature, &rsa.PSSOptions{SaltLength: 32})
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature)
	case *ecdsa.PublicKey:
		half := (key.Curve.Params().BitSize + 7) / 8
		if len(signature) != 2*half {
			return errors.New("not r||s")
		}
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		if !ecdsa.Verify(key, digest, r, s) {
			return errors.New("does not verify")
		}
		return nil
	}
	return errors.New("which key?")
}

// opened takes a token apart, its signature verified.
func opened(t *testing.T, token Secret, public crypto.PublicKey, scheme Scheme) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(string(token), ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	decode := func(part string) []byte {
		octets, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		return octets
	}
	if err := json.Unmarshal(decode(parts[0]), &header); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(decode(parts[1]), &claims); err != nil {
		t.Fatal(err)
	}
	if header["alg"] != scheme.String() {
		t.Errorf("alg %v, not %v", header["alg"], scheme)
	}
	if err := verifies(public, scheme, []byte(parts[0]+"."+parts[1]), decode(parts[2])); err != nil {
		t.Error(err)
	}
	return header, claims
}

// refused wants an error of one kind, that names a field.
func refused(t *testing.T, err error, code Code, field string) {
	t.Helper()
	var ours *Error
	if !errors.Is(err, code) || !errors.As(err, &ours) {
		t.Errorf("%v, not %v", err, code)
	} else if ours.Field != field {
		t.Errorf("field %q, not %q: %v", ours.Field, field, err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, not %v", what, got, want)
	}
}

// service stands for a service: it sees the request, and gives an answer.
type service func(*http.Request, string) (status int, body string)

func (s service) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	status, answer := s(request, string(body))
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(answer)), Request: request,
	}, nil
}

func (s service) client() *http.Client { return &http.Client{Transport: s} }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newSTS(t testing.TB) *SigV4 {
	s, err := NewSigV4(SigV4Options{Credentials: example, Region: "eu-central-1", Service: "sts"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var example = AWSCredentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

func now() time.Time { return at }
