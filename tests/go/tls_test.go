package compare

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

// Go's own TLS, with keys in the token on both sides.
func TestTLSWithKeysInSoftHSM(t *testing.T) {
	authority := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(authority.certificate)
	for _, kind := range []string{"RSA", "P-256", "P-384"} {
		pair := func(name string) tls.Certificate {
			private := newKey(t, kind)
			key := must(cloudauth.OpenKey(inToken(t, private)))
			t.Cleanup(func() { key.Close() })
			certificate, err := key.Certificate(authority.issue(t, name, private.Public()), authority.certificate.Raw)
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
		served := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		}))
		served.TLS = &tls.Config{Certificates: []tls.Certificate{pair("localhost")}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
		served.StartTLS()
		mine := pair("device")
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			transport := &http.Transport{TLSClientConfig: &tls.Config{
				RootCAs: pool, ServerName: "localhost", MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{mine},
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
		served.Close()
	}
}
