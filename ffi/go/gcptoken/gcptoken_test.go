package gcptoken

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

func TestTokenSource(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := Open(cloudauth.Profile{"kind": "gcp-token", "key": "file:" + path, "email": "a@b.example", "audience": "https://a.example/"})
	if err != nil {
		t.Fatal(err)
	}
	first, err := source.Token()
	if err != nil || !first.Valid() {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if token, err := source.Token(); err != nil || token.AccessToken != first.AccessToken {
				t.Error(err, "not kept")
			}
		})
	}
	group.Wait()
	source.Close()
	if _, err := source.Token(); !errors.Is(err, cloudauth.ErrState) {
		t.Error(err)
	}
	if _, err := Open(cloudauth.Profile{"kind": "gcp-token"}); !errors.Is(err, cloudauth.ErrConfig) {
		t.Error(err)
	}
}
