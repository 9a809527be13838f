// Seed-server answers as the brokers of aws- and azure-channel-jwt-credential do: exporter label my_nonce,
// the checks in their order, HTTP/2 where the client offers it, `ok` behind the JSON, a content type that is
// set after the body and so is sniffed, errors as plain text. It gives one fixed credential.
//
// It prints its port, then a line of JSON for each request that it granted.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/libcloudauth/libcloudauth/tests/attested/token"
)

func main() {
	authority := flag.String("clientCertRootCA", "", "authority of clients' certificates")
	certificate := flag.String("serverCert", "", "")
	key := flag.String("serverKey", "", "")
	audience := flag.String("audience", "https://server.domain.com", "")
	keyset := flag.String("jwks", "", "file with the attestation issuer's keys")
	azure := flag.Bool("azure", false, "answer as the Azure broker")
	mode := flag.String("answer", "good", "good; error (500 in plain text); truncated; expired")
	flag.Parse()

	keys, err := token.ReadKeys(*keyset)
	check(err)
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	check(err)
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
	if *authority != "" {
		pem, err := os.ReadFile(*authority)
		check(err)
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			log.Fatalf("no certificate in %s", *authority)
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}

	token := func(w http.ResponseWriter, r *http.Request) {
		request, err := verified(r, keys, *audience)
		if err != nil {
			http.Error(w, fmt.Sprintf("Error verifying %v", err), http.StatusBadRequest)
			return
		}
		if *mode == "error" {
			http.Error(w, "Error: upstream said %v", http.StatusInternalServerError)
			return
		}
		expires := time.Now().Add(time.Hour)
		if *mode == "expired" {
			expires = time.Now().Add(-time.Hour)
		}
		moment := expires.UTC().Format(time.RFC3339)
		var answer any
		if *azure {
			answer = struct {
				ExpiresIn   string `json:"expires_in"`
				AccessToken string `json:"access_token"`
			}{moment, "seed-access-token"}
		} else {
			answer = struct {
				Version         int
				AccessKeyId     string
				SecretAccessKey string
				SessionToken    string
				Expiration      string
			}{0, "ASIASEEDEXAMPLE", "seed-secret", "seed-session-token", moment}
		}
		if *mode == "truncated" {
			_, _ = w.Write([]byte(`{"Version":0,"AccessKeyId":"ASIA`))
			return
		}
		w.WriteHeader(http.StatusOK)
		check(json.NewEncoder(w).Encode(answer))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "ok")
		fmt.Printf("%s\n", request)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/token", token)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: mux, TLSConfig: config, ReadHeaderTimeout: 20 * time.Second}
	check(server.ServeTLS(listener, "", ""))
}

// The checks of the older brokers, and no more than those; the request's payload.
func verified(r *http.Request, keys token.Keys, audience string) ([]byte, error) {
	var body struct {
		Token       string `json:"token_jwt"`
		Attestation string `json:"attestation_jwt"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	exported, err := r.TLS.ExportKeyingMaterial("my_nonce", nil, 32)
	if err != nil {
		return nil, err
	}
	claims, err := keys.Verify(body.Attestation, time.Now())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(body.Token))
	switch {
	case len(claims.Audience) != 1 || claims.Audience[0] != audience:
		return nil, fmt.Errorf("audience")
	case len(claims.Nonces) != 2:
		return nil, fmt.Errorf("%d nonces", len(claims.Nonces))
	case claims.Nonces[0] != hex.EncodeToString(exported):
		return nil, fmt.Errorf("the first nonce")
	case claims.Nonces[1] != hex.EncodeToString(sum[:]):
		return nil, fmt.Errorf("the second nonce")
	}
	return token.VerifyHS256(exported, body.Token)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
