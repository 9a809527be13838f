// Load measures a broker of binder v1, whoever wrote it.
//
//	load keys FOLDER            writes jwks.json and key.pem: an attestation issuer for load alone
//	load handshakes [flags]     full TLS handshakes, one after the other on each worker
//	load exchanges [flags]      connection, challenge, attestation, credential
//	load hold [flags]           opens connections, leaves them idle, and weighs the server
//
// One line of JSON is the result: a rate, latencies in milliseconds, the server's processor time for each,
// its memory for each held connection. Attestations are signed here; their time is in no latency.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libcloudauth/libcloudauth/tests/attested/binder"
	"github.com/libcloudauth/libcloudauth/tests/attested/token"
)

type target struct {
	address, audience, grant, claims string
	status                           int
	config                           *tls.Config
	key                              *rsa.PrivateKey
	pid, workers, connections        int
	length                           time.Duration
}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("load keys|handshakes|exchanges|hold …")
	}
	if os.Args[1] == "keys" {
		makeKeys(os.Args[2])
		return
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	t := target{}
	flags.StringVar(&t.address, "address", "", "the broker, 127.0.0.1:PORT")
	authority := flags.String("ca", "", "the authority of its certificate")
	name := flags.String("name", "localhost", "the name in its certificate")
	keys := flags.String("keys", "", "the folder that `load keys` wrote")
	claims := flags.String("claims", "", "a file with the attestation's claims; aud, eat_nonce and times are added")
	flags.StringVar(&t.audience, "audience", "https://broker.example", "")
	flags.StringVar(&t.grant, "grant", "g", "")
	flags.IntVar(&t.status, "status", 200, "the status that credentials are answered with")
	flags.IntVar(&t.pid, "pid", 0, "the broker's process, for its time and memory")
	flags.IntVar(&t.workers, "workers", 8, "")
	flags.IntVar(&t.connections, "connections", 2000, "how many to hold")
	flags.DurationVar(&t.length, "length", 8*time.Second, "")
	check(flags.Parse(os.Args[2:]))

	roots := x509.NewCertPool()
	text, err := os.ReadFile(*authority)
	check(err)
	if !roots.AppendCertsFromPEM(text) {
		log.Fatalf("no certificate in %s", *authority)
	}
	t.config = &tls.Config{
		RootCAs: roots, ServerName: *name, MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"},
	}
	result := map[string]any{"mode": os.Args[1]}
	switch os.Args[1] {
	case "handshakes":
		t.run(result, func() (time.Duration, error) {
			start := time.Now()
			connection, err := t.dial()
			if err != nil {
				return 0, err
			}
			took := time.Since(start)
			return took, connection.Close()
		})
	case "exchanges":
		t.readIssuer(*keys, *claims)
		t.run(result, t.exchange)
	case "hold":
		t.hold(result)
	default:
		log.Fatalf("what is %s", os.Args[1])
	}
	check(json.NewEncoder(os.Stdout).Encode(result))
}

func (t *target) dial() (*tls.Conn, error) {
	connection, err := tls.Dial("tcp", t.address, t.config)
	if err != nil {
		return nil, err
	}
	return connection, connection.SetDeadline(time.Now().Add(60 * time.Second))
}

// Runs on every worker until the time is over.
func (t *target) run(result map[string]any, once func() (time.Duration, error)) {
	var mutex sync.Mutex
	var all []time.Duration
	var failed int
	var first error
	before := processor(t.pid)
	start := time.Now()
	var group sync.WaitGroup
	for range t.workers {
		group.Go(func() {
			for time.Since(start) < t.length {
				took, err := once()
				mutex.Lock()
				if err != nil {
					failed++
					if first == nil {
						first = err
					}
				} else {
					all = append(all, took)
				}
				mutex.Unlock()
				if err != nil {
					// A server that refuses must not be counted as a fast one, nor fill the disk with sockets.
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	group.Wait()
	elapsed := time.Since(start)
	if len(all) == 0 {
		log.Fatalf("nothing succeeded: %v", first)
	}
	slices.Sort(all)
	at := func(share float64) float64 {
		return float64(all[min(int(share*float64(len(all))), len(all)-1)].Microseconds()) / 1000
	}
	result["count"], result["failed"] = len(all), failed
	if first != nil {
		result["first_failure"] = first.Error()
	}
	result["per_second"] = round(float64(len(all)) / elapsed.Seconds())
	result["p50_ms"], result["p99_ms"] = at(0.50), at(0.99)
	if t.pid != 0 {
		result["server_cpu_ms_each"] = round((processor(t.pid) - before).Seconds() * 1000 / float64(len(all)))
	}
}

// Challenge and credential on a new connection; the time of both requests and of the handshake.
func (t *target) exchange() (time.Duration, error) {
	start := time.Now()
	connection, err := t.dial()
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	var asked struct {
		Challenge string `json:"challenge"`
	}
	if err := t.post(connection, reader, "/v1/challenge", []byte("{}"), http.StatusOK, &asked); err != nil {
		return 0, err
	}
	took := time.Since(start)
	challenge, err := base64.RawURLEncoding.DecodeString(asked.Challenge)
	if err != nil || len(challenge) != 32 {
		return 0, fmt.Errorf("the challenge: %q", asked.Challenge)
	}
	state := connection.ConnectionState()
	request := []byte(`{"grant":"` + t.grant + `"}`)
	nonce, err := binder.Of(&state, binder.Client, [32]byte(challenge), state.PeerCertificates[0].RawSubjectPublicKeyInfo, nil, t.audience, request)
	if err != nil {
		return 0, err
	}
	now := time.Now().Unix()
	payload := fmt.Sprintf(`%s,"aud":%q,"eat_nonce":%q,"iat":%d,"nbf":%d,"exp":%d}`, t.claims, t.audience, nonce, now, now, now+3600)
	attestation, err := token.RS256(t.key, []byte(`{"alg":"RS256","typ":"JWT","kid":"load"}`), []byte(payload))
	if err != nil {
		return 0, err
	}
	body := fmt.Sprintf(`{"request":%q,"attestation":%q}`, base64.RawURLEncoding.EncodeToString(request), attestation)
	start = time.Now()
	err = t.post(connection, reader, "/v1/credentials", []byte(body), t.status, nil)
	return took + time.Since(start), err
}

func (t *target) post(connection io.Writer, reader *bufio.Reader, path string, body []byte, status int, into any) error {
	request, err := http.NewRequest("POST", "https://"+t.config.ServerName+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if err := request.Write(connection); err != nil {
		return err
	}
	answer, err := http.ReadResponse(reader, request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != status {
		return fmt.Errorf("%s: %d %s", path, answer.StatusCode, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func (t *target) hold(result map[string]any) {
	if t.pid == 0 {
		log.Fatal("hold needs -pid")
	}
	limit := syscall.Rlimit{}
	check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if int(limit.Cur) < t.connections+64 {
		limit.Cur = min(limit.Max, uint64(t.connections+64))
		check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	}
	// What the first connections bring about once is not theirs.
	warm := make([]*tls.Conn, 0, 50)
	for range cap(warm) {
		connection, err := t.dial()
		check(err)
		warm = append(warm, connection)
	}
	time.Sleep(300 * time.Millisecond)
	before := resident(t.pid)
	start := time.Now()
	held := make(chan *tls.Conn, t.connections)
	var group sync.WaitGroup
	for range t.workers {
		group.Go(func() {
			for range t.connections / t.workers {
				connection, err := t.dial()
				check(err)
				held <- connection
			}
		})
	}
	group.Wait()
	result["opened_in_s"] = round(time.Since(start).Seconds())
	time.Sleep(500 * time.Millisecond)
	count := len(held)
	result["connections"] = count
	result["bytes_each"] = (resident(t.pid) - before) / int64(count)
	result["rss_mib"] = resident(t.pid) >> 20
	close(held)
	for connection := range held {
		_ = connection.Close()
	}
	for _, connection := range warm {
		_ = connection.Close()
	}
}

func makeKeys(folder string) {
	check(os.MkdirAll(folder, 0o700))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	encode := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "load",
		"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
	}}})
	check(err)
	check(os.WriteFile(filepath.Join(folder, "jwks.json"), set, 0o600))
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	check(os.WriteFile(filepath.Join(folder, "key.pem"), block, 0o600))
}

func (t *target) readIssuer(keys, claims string) {
	text, err := os.ReadFile(filepath.Join(keys, "key.pem"))
	check(err)
	block, _ := pem.Decode(text)
	if block == nil {
		log.Fatalf("no key in %s", keys)
	}
	t.key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	check(err)
	text, err = os.ReadFile(claims)
	check(err)
	// Compact, and open at the end.
	compact := &bytes.Buffer{}
	check(json.Compact(compact, text))
	t.claims = strings.TrimSuffix(compact.String(), "}")
}

// The processor time of a process and its threads, proc_pid_stat(5): fields 14 and 15, in hundredths.
func processor(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	check(err)
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	var ticks int64
	for _, field := range fields[11:13] {
		value, err := strconv.ParseInt(field, 10, 64)
		check(err)
		ticks += value
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// The resident memory of a process in octets, proc_pid_statm(5).
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	check(err)
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	check(err)
	return pages * int64(os.Getpagesize())
}

func round(value float64) float64 {
	return float64(int64(value*1000+0.5)) / 1000
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
