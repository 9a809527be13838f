// Peer is a broker of binder v1 with Go's net/http and crypto/tls: the same exchange, the same checks of the
// attestation, a fixed credential. It is what this project's broker is measured beside.
//
// It prints its port.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/libcloudauth/libcloudauth/tests/attested/binder"
	"github.com/libcloudauth/libcloudauth/tests/attested/token"
)

const maxBody = 64 << 10

type broker struct {
	keys     token.Keys
	issuer   string
	audience string
	grant    string
	digest   string
	project  string
	spki     []byte
}

// The one challenge of a connection.
type outstanding struct {
	mutex     sync.Mutex
	challenge *[32]byte
	expires   time.Time
}

func (o *outstanding) take() (*[32]byte, bool) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	challenge, good := o.challenge, o.challenge != nil && time.Now().Before(o.expires)
	o.challenge = nil
	return challenge, good
}

type connectionKey struct{}

func main() {
	certificate := flag.String("cert", "", "server certificate")
	key := flag.String("key", "", "its key")
	keyset := flag.String("jwks", "", "the attestation issuer's keys")
	b := broker{}
	flag.StringVar(&b.issuer, "issuer", "", "")
	flag.StringVar(&b.audience, "audience", "https://broker.example", "")
	flag.StringVar(&b.grant, "grant", "g", "")
	flag.StringVar(&b.digest, "image-digest", "", "")
	flag.StringVar(&b.project, "project", "", "")
	flag.Parse()

	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	check(err)
	b.spki = pair.Leaf.RawSubjectPublicKeyInfo
	b.keys, err = token.ReadKeys(*keyset)
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/challenge", b.challenge)
	mux.HandleFunc("POST /v1/credentials", b.credentials)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{
		Handler: mux,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13,
			NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true,
		},
		// No HTTP/2.
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ReadHeaderTimeout: 60 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, &outstanding{})
		},
	}
	check(server.ServeTLS(listener, "", ""))
}

func (b *broker) challenge(w http.ResponseWriter, r *http.Request) {
	if err := strict(w, r, &struct{}{}); err != nil {
		problem(w, http.StatusBadRequest, "malformed")
		return
	}
	state := r.Context().Value(connectionKey{}).(*outstanding)
	var challenge [32]byte
	_, _ = rand.Read(challenge[:])
	state.mutex.Lock()
	state.challenge, state.expires = &challenge, time.Now().Add(time.Minute)
	state.mutex.Unlock()
	answer(w, struct {
		Challenge string `json:"challenge"`
		ExpiresIn int    `json:"expires_in"`
	}{base64.RawURLEncoding.EncodeToString(challenge[:]), 60})
}

func (b *broker) credentials(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Request     string `json:"request"`
		Attestation string `json:"attestation"`
	}
	if err := strict(w, r, &body); err != nil {
		problem(w, http.StatusBadRequest, "malformed")
		return
	}
	challenge, good := r.Context().Value(connectionKey{}).(*outstanding).take()
	if !good {
		problem(w, http.StatusConflict, "challenge_expired")
		return
	}
	request, err := base64.RawURLEncoding.DecodeString(body.Request)
	if err != nil {
		problem(w, http.StatusBadRequest, "malformed")
		return
	}
	claims, err := b.keys.Verify(body.Attestation, time.Now())
	if err != nil || claims.Issuer != b.issuer || len(claims.Audience) != 1 || len(claims.Nonces) != 1 {
		problem(w, http.StatusForbidden, "attestation_invalid")
		return
	}
	var client []byte
	if len(r.TLS.PeerCertificates) > 0 {
		client = r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo
	}
	nonce, err := binder.Of(r.TLS, binder.Client, *challenge, b.spki, client, claims.Audience[0], request)
	if err != nil || subtle.ConstantTimeCompare([]byte(nonce), []byte(claims.Nonces[0])) != 1 {
		problem(w, http.StatusForbidden, "channel_mismatch")
		return
	}
	var asked struct {
		Grant string `json:"grant"`
	}
	if err := json.Unmarshal(request, &asked); err != nil {
		problem(w, http.StatusBadRequest, "malformed")
		return
	}
	if asked.Grant != b.grant || !b.allows(claims) {
		problem(w, http.StatusForbidden, "denied")
		return
	}
	answer(w, struct {
		Grant     string            `json:"grant"`
		ExpiresAt string            `json:"expires_at"`
		AWS       map[string]string `json:"aws"`
	}{b.grant, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), map[string]string{
		"access_key_id": "ASIAEXAMPLE", "secret_access_key": "secret", "session_token": "token", "region": "eu-central-1",
	}})
}

func (b *broker) allows(claims *token.Claims) bool {
	container := claims.Submods.Container
	return claims.Audience[0] == b.audience && claims.DebugStatus == "disabled-since-boot" &&
		claims.SoftwareName == "CONFIDENTIAL_SPACE" && claims.HardwareModel == "GCP_AMD_SEV" &&
		claims.SecureBoot && container.ImageDigest == b.digest &&
		claims.Submods.GCE.ProjectID == b.project && len(container.EnvOverride) == 0 &&
		len(container.CmdOverride) == 0 &&
		slices.Contains(claims.Submods.ConfidentialSpace.SupportAttributes, "STABLE")
}

// The body, which must be one object with known members.
func strict(w http.ResponseWriter, r *http.Request, into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(body)
}

func problem(w http.ResponseWriter, status int, name string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "urn:libcloudauth:error:" + name, "status": status, "title": name,
	})
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
