// Load measures a broker of binder v1, whoever wrote it.
//
//	load keys FOLDER            writes jwks.json and key.pem: an attestation issuer for load alone
//	load handshakes [flags]     full TLS handshakes, one after the other on each worker
//	load exchanges [flags]      connection, challenge, attestation, credential
//	load paced [flags]          the same, begun at a fixed rate, however long they take
//	load hold [flags]           opens connections, leaves them idle, and weighs the server
//	load mixed [flags]          good and bad requests, and each answer looked at
//	load steady [flags]         exchanges on new, kept and idle connections, none of which may be lost
//	load renewals [flags]       so many clients, each of which renews its secrets once, at a random time
//
// One line of JSON is the result: a rate, latencies in milliseconds, the processor time of the server and of the load
// for each, its memory for each held connection. Attestations are signed here; their time is in no latency.
package main

import (
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
	"log"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type target struct {
	address, audience, grant, claims string
	status                           int
	config                           *tls.Config
	key                              *rsa.PrivateKey
	pid, workers, connections        int
	requests                         int
	secrets                          []string
	rate                             float64
	length                           time.Duration
}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("load keys|handshakes|exchanges|paced|hold|mixed|steady|renewals …")
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
	flags.IntVar(&t.requests, "requests", 100_000, "how many requests for credentials, good and bad")
	secrets := flags.String("secrets", "", "the names of the secrets that a renewal gives, with commas")
	flags.Float64Var(&t.rate, "rate", 0, "how many exchanges begin in a second")
	flags.DurationVar(&t.length, "length", 8*time.Second, "")
	check(flags.Parse(os.Args[2:]))
	t.secrets = strings.Split(*secrets, ",")

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
	case "paced":
		t.readIssuer(*keys, *claims)
		t.paced(result)
	case "hold":
		t.hold(result)
	case "mixed":
		t.readIssuer(*keys, *claims)
		t.mixed(result)
	case "steady":
		t.readIssuer(*keys, *claims)
		t.steady(result)
	case "renewals":
		t.readIssuer(*keys, *claims)
		t.renewals(result)
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

// The processor time of this process and its threads.
func own() time.Duration {
	usage := syscall.Rusage{}
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
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
