package cloudauth

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// keyFile writes a private key that others cannot read, and gives its URI.
func keyFile(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der := must(x509.MarshalPKCS8PrivateKey(key))
	return secretFile(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func secretFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

func TestOpenKey(t *testing.T) {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	message := []byte("message")
	short, long := sha256.Sum256(message), sha512.Sum384(message)
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	for _, test := range []struct {
		kind   string
		key    crypto.Signer
		opts   crypto.SignerOpts
		verify func(public crypto.PublicKey, signature []byte) bool
	}{
		{"RS256", who(t, "RSA-2048").key, crypto.SHA256, func(public crypto.PublicKey, signature []byte) bool {
			return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, short[:], signature) == nil
		}},
		{"PS256", who(t, "RSA-2048").key, pss, func(public crypto.PublicKey, signature []byte) bool {
			return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, short[:], signature, pss) == nil
		}},
		{"ES256", who(t, "P-256").key, crypto.SHA256, func(public crypto.PublicKey, signature []byte) bool {
			return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), short[:], signature)
		}},
		{"P-384, SHA-256", p384, crypto.SHA256, func(public crypto.PublicKey, signature []byte) bool {
			return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), short[:], signature)
		}},
		{"ES384", p384, crypto.SHA384, func(public crypto.PublicKey, signature []byte) bool {
			return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), long[:], signature)
		}},
	} {
		key, err := OpenKey(keyFile(t, test.key))
		if err != nil {
			t.Fatal(test.kind, err)
		}
		public := test.key.Public()
		if !public.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) || key.Warning() != "" {
			t.Error(test.kind, "another public key, or a warning", key.Warning())
		}
		signature, err := crypto.SignMessage(key, rand.Reader, message, test.opts)
		if err != nil || !test.verify(public, signature) {
			t.Error(test.kind, err, signature)
		}
		digest, other := short[:], long[:]
		if test.opts.HashFunc() == crypto.SHA384 {
			digest, other = other, digest
		}
		signature, err = key.Sign(rand.Reader, digest, test.opts)
		if err != nil || !test.verify(public, signature) {
			t.Error(test.kind, err, signature)
		}
		for _, wrong := range [][]byte{nil, digest[1:], other} {
			_, err = key.Sign(rand.Reader, wrong, test.opts)
			if !errors.Is(err, ErrLength) || !strings.Contains(err.Error(), fmt.Sprintf("not %d", len(wrong))) {
				t.Error(test.kind, err)
			}
		}
		ofRSA := func(words string) string {
			if _, ok := public.(*rsa.PublicKey); ok {
				return words
			}
			return "PSS is a padding of RSA"
		}
		for _, refused := range []struct {
			opts  crypto.SignerOpts
			words string
		}{
			{nil, "none is named"},
			{crypto.Hash(0), "none is named"},
			{crypto.SHA512, "not SHA-512"},
			{crypto.SHA1, "not SHA-1"},
			{&rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}, ofRSA("not 20")},
			{&rsa.PSSOptions{Hash: crypto.SHA256}, "PSS"},
			{&rsa.PSSOptions{SaltLength: 64, Hash: crypto.SHA512}, ofRSA("not SHA-512")},
		} {
			_, one := key.SignMessage(rand.Reader, message, refused.opts)
			_, two := key.Sign(rand.Reader, digest, refused.opts)
			for _, err := range []error{one, two} {
				if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), refused.words) {
					t.Error(test.kind, refused.words, err)
				}
			}
		}
		key.Close()
		key.Close()
		if _, err = key.SignMessage(rand.Reader, message, test.opts); !errors.Is(err, ErrState) {
			t.Error(test.kind, err)
		}
		if _, err = key.Sign(rand.Reader, digest, test.opts); !errors.Is(err, ErrState) {
			t.Error(test.kind, err)
		}
	}
}

// An opened key serves the flows, and Go's own certificate requests.
func TestOpenedKeyInFlows(t *testing.T) {
	key := must(OpenKey(keyFile(t, who(t, "P-256").key)))
	defer key.Close()
	flow := &GCPSelfSigned{Signer: must(NewSigner(key)), Email: "a@b.example", Audience: "https://a.example/"}
	token := string(must(flow.Sign(at)))
	signed, _, _ := strings.Cut(token, ".")
	if strings.Count(token, ".") != 2 || signed == "" {
		t.Error(token)
	}
	request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "device"}}
	parsed := must(x509.ParseCertificateRequest(must(x509.CreateCertificateRequest(rand.Reader, request, key))))
	if err := parsed.CheckSignature(); err != nil {
		t.Error(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := flow.Sign(at); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestKeysThatCannotBeOpened(t *testing.T) {
	for uri, code := range map[string]Code{
		"": ErrInvalid, "ftp:a": ErrInvalid, "\xff": ErrUTF8,
		"file:/missing": ErrKey, "env:CLOUDAUTH_NO_SUCH_KEY": ErrKey, secretFile(t, []byte("s3cr3t")): ErrKey,
	} {
		_, err := OpenKey(uri)
		if !errors.Is(err, code) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %v", uri, err)
		}
	}
	path, _ := strings.CutPrefix(keyFile(t, who(t, "P-256").key), "file:")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	key := must(OpenKey("file:" + path))
	if !strings.Contains(key.Warning(), path) {
		t.Error("not warned of:", key.Warning())
	}
	// Not closed: it is collected.
	runtime.GC()
}

func TestMACKey(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	mac := must(OpenMACKey(secretFile(t, []byte(secret))))
	options := SigV4Options{Credentials: AWSCredentials{AccessKeyID: "AKID"}, Region: "eu-central-1", Service: "sts"}
	with := func(change func(*SigV4Options)) string {
		o := options
		change(&o)
		s := must(NewSigV4(o))
		defer s.Close()
		request := must(http.NewRequest("GET", "https://sts.eu-central-1.amazonaws.com/", nil))
		if err := s.Sign(request, at, ""); err != nil {
			t.Fatal(err)
		}
		return request.Header.Get("Authorization")
	}
	byMAC := with(func(o *SigV4Options) { o.MAC = mac })
	equal(t, "signature", byMAC, with(func(o *SigV4Options) { o.Credentials.SecretAccessKey = secret }))
	mac.Close()
	if _, err := mac.HMACSHA256([]byte("20261122")); !errors.Is(err, ErrState) {
		t.Error(err)
	}
	if _, err := OpenMACKey(secretFile(t, []byte("AWS4"+secret))); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

// configuration writes a file of profiles, and opens it.
func configuration(t *testing.T, profiles string) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := OpenClient(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// Nobody is asked for a self-signed token.
func TestClientWithoutNetwork(t *testing.T) {
	key := keyFile(t, who(t, "P-256").key)
	client := configuration(t, fmt.Sprintf("[profiles.google]\nkind = 'gcp-token'\nkey = '%s'\nemail = 'a@b.example'\n", key))
	ctx := context.Background()
	first := must(client.BearerToken(ctx, "google"))
	if strings.Count(string(first.Token), ".") != 2 || time.Until(first.Expires) < 55*time.Minute {
		t.Error(first.Expires)
	}
	equal(t, "kept", must(client.BearerToken(ctx, "google")).Token, first.Token)
	if err := client.Invalidate("google"); err != nil {
		t.Fatal(err)
	}
	if must(client.BearerToken(ctx, "google")).Token == first.Token {
		t.Error("not invalidated")
	}

	_, err := client.AWSKeys(ctx, "google")
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "gives a token") {
		t.Error(err)
	}
	_, err = client.BearerToken(ctx, "unknown")
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), `no profile "unknown"`) {
		t.Error(err)
	}
	if err = client.Invalidate("unknown"); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err = client.BearerToken(ended, "google"); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrTransport) {
		t.Error(err)
	}
	client.Close()
	client.Close()
	if _, err = client.BearerToken(ctx, "google"); !errors.Is(err, ErrState) {
		t.Error(err)
	}
	if _, err = (&Client{}).AWSKeys(ctx, "google"); !errors.Is(err, ErrState) {
		t.Error(err)
	}
	if _, err = OpenClient("/missing/config.toml"); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "/missing/config.toml") {
		t.Error(err)
	}
}

// emulator starts the stand-ins for the clouds: where they listen, with and without TLS, and their certificate.
func emulator(t *testing.T) (url, plain, certificate string) {
	t.Helper()
	program := os.Getenv("CLOUDAUTH")
	if program == "" {
		t.Skip("NOT CHECKED: set CLOUDAUTH to the cloudauth program, as tests/go/run does")
	}
	command := exec.Command(program, "emulator", "--demo", "--state-dir", t.TempDir(), "--listen-http", "127.0.0.1:0")
	command.Stderr = os.Stderr
	out := must(command.StdoutPipe())
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	var said struct {
		URL     string `json:"url"`
		HTTPURL string `json:"http_url"`
		CAFile  string `json:"ca_file"`
	}
	line := must(bufio.NewReader(out).ReadBytes('\n'))
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatal(err)
	}
	return said.URL, said.HTTPURL, said.CAFile
}

func TestClientWithEmulator(t *testing.T) {
	url, plain, certificate := emulator(t)
	secret := secretFile(t, []byte("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
	client := configuration(t, fmt.Sprintf(`
ca-file = '%s'
[profiles.demo]
kind = 'aws-assume-role'
access-key-id = 'AKIAIOSFODNN7EXAMPLE'
key = '%s'
role-arn = 'arn:aws:iam::123456789012:role/demo'
session-name = 'go-test'
region = 'eu-central-1'
endpoint-url = '%s'
`, certificate, secret, url))
	control := func(method, path, body string) []byte {
		request := must(http.NewRequest(method, plain+"/_emulator/"+path, strings.NewReader(body)))
		request.Header.Set("Content-Type", "application/json")
		answer := must(http.DefaultClient.Do(request))
		defer answer.Body.Close()
		if answer.StatusCode >= 300 {
			t.Fatal(path, answer.Status)
		}
		return must(io.ReadAll(answer.Body))
	}

	// Many at once: one session.
	var group sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]int{}
	for range 50 {
		group.Go(func() {
			keys, err := client.AWSKeys(t.Context(), "demo")
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
	equal(t, "sessions", len(ids), 1)
	equal(t, "calls", bytes.Count(control("GET", "sessions", ""), []byte("ASIA")), 1)

	// They are credentials: they sign.
	keys := must(client.AWSKeys(context.Background(), "demo"))
	if time.Until(keys.Expires) < 55*time.Minute {
		t.Error(keys.Expires)
	}
	signer := must(NewSigV4(SigV4Options{Credentials: *keys, Region: "eu-central-1", Service: "sts"}))
	defer signer.Close()
	host, _ := strings.CutPrefix(plain, "http://")
	request := must((&GetCallerIdentity{Signer: signer, Endpoint: host}).Request(t.Context(), time.Now()))
	request.URL.Scheme = "http"
	flow := &GetCallerIdentity{Signer: signer, Endpoint: host}
	caller := must(flow.Response(must(http.DefaultClient.Do(request))))
	equal(t, "caller", caller.ARN, "arn:aws:sts::123456789012:assumed-role/demo/go-test")

	// A refusal is told in the service's words, and it is told whether to try again.
	for _, test := range []struct {
		fault     string
		status    int
		transient bool
	}{{`{"kind":"status","status":403,"count":1}`, 403, false}, {`{"kind":"throttle","count":9}`, 429, true}} {
		if err := client.Invalidate("demo"); err != nil {
			t.Fatal(err)
		}
		control("POST", "fault", test.fault)
		_, err := client.AWSKeys(t.Context(), "demo")
		var refusal *ServiceError
		var ours *Error
		if !errors.Is(err, ErrService) || !errors.As(err, &refusal) || !errors.As(err, &ours) ||
			refusal.Status != test.status || refusal.Transient != test.transient || ours.Transient != test.transient {
			t.Errorf("%s: %v", test.fault, err)
		}
		control("DELETE", "fault", "")
	}

	// Whoever gives up does so at once.
	if err := client.Invalidate("demo"); err != nil {
		t.Fatal(err)
	}
	control("POST", "fault", `{"kind":"latency","milliseconds":1500}`)
	soon, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := client.AWSKeys(soon, "demo"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
		t.Error(err, time.Since(began))
	}
	must(client.AWSKeys(context.Background(), "demo"))
}
