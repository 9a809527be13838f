package main

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/libcloudauth/libcloudauth/tests/attested/binder"
	"github.com/libcloudauth/libcloudauth/tests/attested/token"
)

// One connection to the broker.
type conversation struct {
	*target
	connection *tls.Conn
	state      tls.ConnectionState
	reader     *bufio.Reader
	// The broker has said that it closes the connection.
	closing bool
}

func (t *target) converse() (*conversation, error) {
	connection, err := t.dial()
	if err != nil {
		return nil, err
	}
	return &conversation{
		target: t, connection: connection, state: connection.ConnectionState(), reader: bufio.NewReader(connection),
	}, nil
}

func (c *conversation) close() {
	_ = c.connection.Close()
}

type answer struct {
	status int
	kind   string
	text   []byte
}

// Sends a body and reads the whole answer.
func (c *conversation) post(path string, body []byte) (answer, error) {
	request, err := http.NewRequest("POST", "https://"+c.config.ServerName+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	if err := request.Write(c.connection); err != nil {
		return answer{}, err
	}
	got, err := http.ReadResponse(c.reader, request)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, 1<<20))
	c.closing = c.closing || got.Close
	return answer{got.StatusCode, got.Header.Get("Content-Type"), text}, err
}

func (c *conversation) challenge() ([32]byte, error) {
	got, err := c.post("/v1/challenge", []byte("{}"))
	if err != nil {
		return [32]byte{}, err
	}
	var asked struct {
		Challenge string `json:"challenge"`
	}
	if got.status != http.StatusOK || json.Unmarshal(got.text, &asked) != nil {
		return [32]byte{}, fmt.Errorf("challenge: %d %s", got.status, got.text)
	}
	challenge, err := base64.RawURLEncoding.DecodeString(asked.Challenge)
	if err != nil || len(challenge) != 32 {
		return [32]byte{}, fmt.Errorf("the challenge: %q", asked.Challenge)
	}
	return [32]byte(challenge), nil
}

func (c *conversation) nonce(role binder.Role, challenge [32]byte, audience string, request []byte) (string, error) {
	server := c.state.PeerCertificates[0].RawSubjectPublicKeyInfo
	return binder.Of(&c.state, role, challenge, server, nil, audience, request)
}

// What is said in an attestation that was made now: `claims` is open at its end.
func payload(claims, audience, nonces string, made, until time.Time) []byte {
	return fmt.Appendf(nil, `%s,"aud":%q,"eat_nonce":%s,"iat":%d,"nbf":%d,"exp":%d}`,
		claims, audience, nonces, made.Unix(), made.Unix(), until.Unix())
}

const header = `{"alg":"RS256","typ":"JWT","kid":"load"}`

func sign(key *rsa.PrivateKey, payload []byte) (string, error) {
	return token.RS256(key, []byte(header), payload)
}

func credentialsBody(request []byte, attestation string) []byte {
	return fmt.Appendf(nil, `{"request":%q,"attestation":%q}`, base64.RawURLEncoding.EncodeToString(request), attestation)
}

// A good request for the grant, after this challenge.
func (c *conversation) good(challenge [32]byte) ([]byte, error) {
	request := []byte(`{"grant":"` + c.grant + `"}`)
	nonce, err := c.nonce(binder.Client, challenge, c.audience, request)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	attestation, err := sign(c.key, payload(c.claims, c.audience, fmt.Sprintf("%q", nonce), now, now.Add(time.Hour)))
	return credentialsBody(request, attestation), err
}

// Challenge and credential; the time of the two requests.
func (c *conversation) exchange() (time.Duration, error) {
	took, _, err := c.credential()
	return took, err
}

// The same, with what was given.
func (c *conversation) credential() (time.Duration, []byte, error) {
	start := time.Now()
	challenge, err := c.challenge()
	if err != nil {
		return 0, nil, err
	}
	took := time.Since(start)
	body, err := c.good(challenge)
	if err != nil {
		return 0, nil, err
	}
	start = time.Now()
	got, err := c.post("/v1/credentials", body)
	took += time.Since(start)
	if err == nil && got.status != c.status {
		err = fmt.Errorf("credentials: %d %s", got.status, got.text)
	}
	return took, got.text, err
}

// An exchange on a connection of its own; the time of the handshake and of both requests.
func (t *target) exchange() (time.Duration, error) {
	start := time.Now()
	c, err := t.converse()
	if err != nil {
		return 0, err
	}
	defer c.close()
	handshake := time.Since(start)
	took, err := c.exchange()
	return handshake + took, err
}
