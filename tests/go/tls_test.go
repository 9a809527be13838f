package compare

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

func TestTLSWithKeysInSoftHSM(t *testing.T) { withTLS(t, inToken) }

// digests is a key that is given digests alone, as other libraries wrap one, and older ones call it.
type digests struct {
	key    crypto.Signer
	signed *atomic.Int32
}

func (d digests) Public() crypto.PublicKey { return d.key.Public() }

func (d digests) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	d.signed.Add(1)
	return d.key.Sign(random, digest, opts)
}

// withTLS is Go's own TLS, with keys that cannot be copied on both sides: put gives their URIs. Go has them sign
// messages, and then digests.
func withTLS(t *testing.T, put func(testing.TB, crypto.Signer) string) {
	t.Helper()
	authority := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(authority.certificate)
	kinds := []string{"RSA", "P-256", "P-384"}
	type end struct {
		private crypto.Signer
		uri     string
	}
	// All of them before the first is opened: see tpm.load.
	ends := map[string][2]end{}
	for _, kind := range kinds {
		var both [2]end
		for i := range both {
			private := newKey(t, kind)
			both[i] = end{private, put(t, private)}
		}
		ends[kind] = both
	}
	for _, kind := range kinds {
		pair := func(name string, of end) tls.Certificate {
			key := must(cloudauth.OpenKey(of.uri))
			t.Cleanup(func() { key.Close() })
			certificate, err := key.Certificate(authority.issue(t, name, of.private.Public()), authority.certificate.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := key.Certificate(authority.certificate.Raw); !errors.Is(err, cloudauth.ErrMismatch) {
				t.Error(err)
			}
			if _, err := key.Certificate(); !errors.Is(err, cloudauth.ErrInvalid) {
				t.Error(err)
			}
			return certificate
		}
		here, there := pair("localhost", ends[kind][0]), pair("device", ends[kind][1])
		connect(t, kind, pool, here, there)
		var signed atomic.Int32
		for _, certificate := range []*tls.Certificate{&here, &there} {
			certificate.PrivateKey = digests{certificate.PrivateKey.(crypto.Signer), &signed}
		}
		connect(t, kind+", digests", pool, here, there)
		if signed.Load() != 4 {
			t.Errorf("%s: %d digests signed", kind, signed.Load())
		}
	}
}

// connect has both ends show their certificates, in both versions.
func connect(t *testing.T, kind string, pool *x509.CertPool, here, there tls.Certificate) {
	t.Helper()
	served := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	served.TLS = &tls.Config{Certificates: []tls.Certificate{here}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	served.StartTLS()
	defer served.Close()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: pool, ServerName: "localhost", MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{there},
		}}
		answer, err := (&http.Client{Transport: transport}).Get(served.URL)
		if err != nil {
			t.Errorf("%s, %s: %v", kind, tls.VersionName(version), err)
			continue
		}
		said := must(io.ReadAll(answer.Body))
		answer.Body.Close()
		transport.CloseIdleConnections()
		if string(said) != "device" || answer.TLS.Version != version {
			t.Errorf("%s: %q", kind, said)
		}
	}
}

// What other libraries ask of a crypto.Signer, here Go's own: certificates and requests, in every scheme.
func TestDigestsInSoftHSM(t *testing.T) {
	for kind, algorithms := range map[string][]x509.SignatureAlgorithm{
		"RSA":   {x509.SHA256WithRSA, x509.SHA256WithRSAPSS},
		"P-256": {x509.ECDSAWithSHA256},
		"P-384": {x509.ECDSAWithSHA256, x509.ECDSAWithSHA384},
	} {
		key := must(cloudauth.OpenKey(inToken(t, newKey(t, kind))))
		defer key.Close()
		var signed atomic.Int32
		for _, algorithm := range algorithms {
			template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "device"}, SignatureAlgorithm: algorithm}
			der, err := x509.CreateCertificateRequest(rand.Reader, template, digests{key, &signed})
			if err != nil {
				t.Error(kind, algorithm, err)
				continue
			}
			request := must(x509.ParseCertificateRequest(der))
			if err := request.CheckSignature(); err != nil || request.SignatureAlgorithm != algorithm {
				t.Error(kind, algorithm, request.SignatureAlgorithm, err)
			}
		}
		if int(signed.Load()) != len(algorithms) {
			t.Errorf("%s: %d digests signed", kind, signed.Load())
		}
		// A hash that the scheme does not have, and what is no digest of it.
		if _, err := key.Sign(nil, make([]byte, 64), crypto.SHA512); !errors.Is(err, cloudauth.ErrUnsupported) || !strings.Contains(err.Error(), "SHA-512") {
			t.Error(kind, err)
		}
		if _, err := key.Sign(nil, make([]byte, 31), crypto.SHA256); !errors.Is(err, cloudauth.ErrLength) || !strings.Contains(err.Error(), "31") {
			t.Error(kind, err)
		}
	}
}
