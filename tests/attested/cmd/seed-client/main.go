// Seed-client asks a broker of the older protocol for a credential as the clients of aws- and
// azure-channel-jwt-credential do, octet for octet: exporter label my_nonce without a context, the request
// as a JWS with HS256 under the exported octets, two nonces, POST to the endpoint on the same connection.
// It offers no ALPN, and of the answer it reads the first JSON value.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/libcloudauth/libcloudauth/tests/attested/token"
)

// The members in this order, as encoding/json writes them.
type awsRequest struct {
	UseAssumeRole bool   `json:"use_assume_role"`
	AccessKeyID   string `json:"access_key_id"`
	RoleArn       string `json:"role_arn"`
	Region        string `json:"region"`
	Duration      uint64 `json:"duration"`
	SessionName   string `json:"session_name"`
}

type azureRequest struct {
	Tenant string `json:"tenant,omitempty"`
	AppID  string `json:"appid,omitempty"`
	Scope  string `json:"scope"`
}

func main() {
	host := flag.String("host", "localhost:8081", "address of the broker")
	endpoint := flag.String("endpoint", "https://localhost:8081/token", "URL of the broker")
	audience := flag.String("audience", "https://server.domain.com", "audience of the attestation")
	sni := flag.String("sts-sni", "localhost", "name in the broker's certificate")
	trust := flag.String("trust-ca", "", "authority of the broker's certificate")
	certificate := flag.String("cert", "", "client certificate")
	key := flag.String("key", "", "its key")
	socket := flag.String("attestation_token_path", "/run/container_launcher/teeserver.sock", "launcher's socket")
	azure := flag.Bool("azure", false, "the body of azure-channel-jwt-credential")
	var aws awsRequest
	flag.BoolVar(&aws.UseAssumeRole, "use-assume-role", false, "")
	flag.StringVar(&aws.AccessKeyID, "aws-access-key-id", "", "")
	flag.StringVar(&aws.RoleArn, "aws-arn", "", "")
	flag.StringVar(&aws.Region, "aws-region", "us-east-1", "")
	flag.Uint64Var(&aws.Duration, "duration", 900, "")
	flag.StringVar(&aws.SessionName, "aws-session-name", "gcp-session", "")
	var entra azureRequest
	flag.StringVar(&entra.Tenant, "tenant", "", "")
	flag.StringVar(&entra.AppID, "appid", "", "")
	flag.StringVar(&entra.Scope, "scope", "https://storage.azure.com/.default", "")
	// What a broker must refuse, by name.
	wrong := flag.String("wrong", "", "other-key, swapped, one-nonce, unbound, no-body, twice")
	show := flag.String("nonces-to", "", "a file that the nonces are appended to, for a test that looks for them")
	flag.Parse()

	roots := x509.NewCertPool()
	pem, err := os.ReadFile(*trust)
	check(err)
	if !roots.AppendCertsFromPEM(pem) {
		fail("no certificate in %s", *trust)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: *sni, RootCAs: roots}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		check(err)
		config.Certificates = []tls.Certificate{pair}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	connection, err := tls.DialWithDialer(dialer, "tcp", *host, config)
	check(err)
	check(connection.SetDeadline(time.Now().Add(30 * time.Second)))
	state := connection.ConnectionState()
	exported, err := state.ExportKeyingMaterial("my_nonce", nil, 32)
	check(err)

	var payload []byte
	if *azure {
		payload, err = json.Marshal(entra)
	} else {
		payload, err = json.Marshal(aws)
	}
	check(err)
	signingKey := exported
	if *wrong == "other-key" {
		signingKey = make([]byte, 32)
	}
	request := token.HS256(signingKey, payload)
	sum := sha256.Sum256([]byte(request))
	nonces := []string{hex.EncodeToString(exported), hex.EncodeToString(sum[:])}
	if *show != "" {
		file, err := os.OpenFile(*show, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		check(err)
		_, err = fmt.Fprintf(file, "%s\n%s\n", nonces[0], nonces[1])
		check(err)
		check(file.Close())
	}
	switch *wrong {
	case "swapped":
		nonces[0], nonces[1] = nonces[1], nonces[0]
	case "one-nonce":
		nonces = nonces[:1]
	case "unbound":
		nonces[0] = hex.EncodeToString(make([]byte, 32))
	}
	attestation := attest(*socket, *audience, nonces)

	body, err := json.Marshal(struct {
		Token       string `json:"token_jwt"`
		Attestation string `json:"attestation_jwt"`
	}{request, attestation})
	check(err)
	if *wrong == "no-body" {
		body = nil
	}
	client := &http.Client{Transport: &http.Transport{
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return connection, nil },
	}}
	times := 1
	if *wrong == "twice" {
		times = 2
	}
	for range times {
		answer, err := client.Post(*endpoint, "application/json", bytes.NewReader(body))
		check(err)
		said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		check(err)
		if answer.StatusCode != http.StatusOK {
			fail("%d %s %s", answer.StatusCode, answer.Header.Get("Content-Type"), said)
		}
		printCredential(*azure, said)
	}
}

// What the process of the seed prints: for AWS, the contract of credential_process.
func printCredential(azure bool, said []byte) {
	first := json.NewDecoder(bytes.NewReader(said))
	if azure {
		var got struct {
			ExpiresIn   string `json:"expires_in"`
			AccessToken string `json:"access_token"`
		}
		check(first.Decode(&got))
		expires, err := time.Parse(time.RFC3339, got.ExpiresIn)
		check(err)
		if got.AccessToken == "" || expires.Before(time.Now()) {
			fail("an answer without a token that lives")
		}
		check(json.NewEncoder(os.Stdout).Encode(got))
		return
	}
	got := struct {
		Version                                    int
		AccessKeyId, SecretAccessKey, SessionToken string
		Expiration                                 string
	}{Version: -1}
	check(first.Decode(&got))
	expires, err := time.Parse(time.RFC3339, got.Expiration)
	check(err)
	if got.AccessKeyId == "" || got.SecretAccessKey == "" || got.SessionToken == "" || expires.Before(time.Now()) {
		fail("an answer without a credential that lives")
	}
	if got.Version != 0 {
		fail("Version is %d where the seeds have 0", got.Version)
	}
	got.Version = 1
	check(json.NewEncoder(os.Stdout).Encode(got))
}

func attest(socket, audience string, nonces []string) string {
	body, err := json.Marshal(struct {
		Audience  string   `json:"audience"`
		Nonces    []string `json:"nonces"`
		TokenType string   `json:"token_type"`
	}{audience, nonces, "OIDC"})
	check(err)
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	answer, err := client.Post("http://localhost/v1/token", "application/json", bytes.NewReader(body))
	check(err)
	said, err := io.ReadAll(answer.Body)
	check(err)
	// The seeds do not look at the status; a test that went on here would say little.
	if answer.StatusCode != http.StatusOK {
		fail("the attestation service: %d %s", answer.StatusCode, said)
	}
	return string(said)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "seed-client: "+format+"\n", values...)
	os.Exit(1)
}
