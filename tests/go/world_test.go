package compare

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const pin = "84310975"

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// The SoftHSM token of this process, in a folder of its own: the library reads its configuration once.
func TestMain(m *testing.M) {
	folder := must(os.MkdirTemp("", "cloudauth-go"))
	tokens := filepath.Join(folder, "tokens")
	conf := filepath.Join(folder, "softhsm2.conf")
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	check(os.Mkdir(tokens, 0o700))
	check(os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\n"), 0o600))
	check(os.Setenv("SOFTHSM2_CONF", conf))
	check(os.Setenv("CLOUDAUTH_KEY_PIN", pin))
	check(os.Setenv("CLOUDAUTH_KEY_AUTH", tpmPassword))
	// The TPM's libraries write to standard error what is told as an error, too.
	check(os.Setenv("TSS2_LOG", "all+NONE"))
	for _, name := range []string{"AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "HTTPS_PROXY", "CLOUDAUTH_CONFIG"} {
		check(os.Unsetenv(name))
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// run runs a program that must succeed.
func run(t testing.TB, stdin, program string, args ...string) {
	t.Helper()
	command := exec.Command(program, args...)
	command.Stdin = strings.NewReader(stdin)
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", program, args, err, said)
	}
}

// The library of SoftHSM: SOFTHSM2_MODULE, or where distributions put it.
var module = sync.OnceValues(func() (string, error) {
	for _, path := range []string{
		os.Getenv("SOFTHSM2_MODULE"), "/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so",
	} {
		if _, err := os.Stat(path); path != "" && !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	return "", errors.New("SoftHSM is not installed: tests/run tools")
})

var token = sync.OnceFunc(func() {
	must(exec.Command("softhsm2-util", "--init-token", "--free", "--label", "t", "--pin", pin, "--so-pin", "12345678").CombinedOutput())
})

var numbers = struct {
	sync.Mutex
	last int
}{}

// inToken puts a key into the token, and gives its URI.
func inToken(t testing.TB, key crypto.Signer) string {
	t.Helper()
	library := must(module())
	token()
	numbers.Lock()
	numbers.last++
	number := numbers.last
	numbers.Unlock()
	path := filepath.Join(t.TempDir(), "key.pem")
	write(t, path, keyPEM(key), 0o600)
	label := fmt.Sprintf("key-%d", number)
	run(t, "", "softhsm2-util", "--import", path, "--token", "t", "--label", label, "--id", fmt.Sprintf("%04x", number), "--pin", pin)
	return "pkcs11:token=t;object=" + label + "?module-path=" + library
}

func keyPEM(key crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})
}

func write(t testing.TB, path string, content []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	switch kind {
	case "RSA":
		return must(rsa.GenerateKey(rand.Reader, 2048))
	case "P-384":
		return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	}
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

// authority issues certificates.
type authority struct {
	key         crypto.Signer
	certificate *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := newKey(t, "P-256")
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &authority{key: key, certificate: must(x509.ParseCertificate(der))}
}

// issue gives the certificate of a key, in DER.
func (a *authority) issue(t testing.TB, name string, public crypto.PublicKey) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	return must(x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key))
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// start starts a program, and gives the line of JSON that it begins with. It ends with the test.
func start(t testing.TB, said any, env []string, program string, args ...string) {
	t.Helper()
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), env...)
	command.Stderr = os.Stderr
	out := must(command.StdoutPipe())
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, said)
	}
	if err != nil {
		t.Fatal(program, args, err)
	}
}

// emulator is the stand-ins for the clouds.
type emulator struct {
	folder             string
	url, plain, caFile string
	teeserver          string
}

func program(t testing.TB) string {
	t.Helper()
	path := os.Getenv("CLOUDAUTH")
	if path == "" {
		t.Fatal("set CLOUDAUTH to the cloudauth program, as tests/go/run does")
	}
	return path
}

func newEmulator(t testing.TB) *emulator {
	t.Helper()
	// A socket's path is short.
	folder := must(os.MkdirTemp("", "em"))
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	e := &emulator{folder: folder, teeserver: filepath.Join(folder, "tee.sock")}
	var said struct {
		URL     string `json:"url"`
		HTTPURL string `json:"http_url"`
		CAFile  string `json:"ca_file"`
	}
	start(t, &said, nil, program(t), "emulator", "--demo", "--state-dir", folder, "--listen-http", "127.0.0.1:0", "--teeserver", e.teeserver)
	e.url, e.plain, e.caFile = said.URL, said.HTTPURL, said.CAFile
	return e
}

// control asks the emulator's control API.
func (e *emulator) control(t testing.TB, method, path string, body any) []byte {
	t.Helper()
	request := must(http.NewRequest(method, e.plain+"/_emulator/"+path, bytes.NewReader(must(json.Marshal(body)))))
	request.Header.Set("Content-Type", "application/json")
	answer := must(http.DefaultClient.Do(request))
	defer answer.Body.Close()
	said := must(io.ReadAll(answer.Body))
	if answer.StatusCode >= 300 {
		t.Fatalf("%s: %s: %s", path, answer.Status, said)
	}
	return said
}

// requests is how many a service got.
func (e *emulator) requests(t testing.TB, service string) int {
	t.Helper()
	var list []json.RawMessage
	said := e.control(t, "GET", "requests?service="+service, nil)
	if err := json.Unmarshal(said, &list); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return len(list)
}

const (
	audience = "https://server.domain.com"
	server   = "server.domain.com"
	scope    = "https://storage.azure.com/.default"
	tenant   = "11111111-2222-3333-4444-555555555555"
	client   = "66666666-7777-8888-9999-000000000000"
	role     = "arn:aws:iam::123456789012:role/demo"
	// Of the emulator's AWS user, AKIAIOSFODNN7EXAMPLE.
	userSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// broker is cloudauth's, with binder v1 and both older protocols; everyone shows a certificate.
type broker struct {
	*emulator
	authority               *authority
	api, seedAWS, seedAzure string // host:port
	caFile                  string
}

func newBroker(t testing.TB) *broker {
	t.Helper()
	e := newEmulator(t)
	b := &broker{emulator: e, authority: newAuthority(t)}
	path := func(name string) string { return filepath.Join(e.folder, name) }
	key := newKey(t, "P-256")
	write(t, path("server.key"), keyPEM(key), 0o600)
	write(t, path("server.pem"), certificatePEM(b.authority.issue(t, server, key.Public())), 0o644)
	b.caFile = write(t, path("clients.pem"), certificatePEM(b.authority.certificate.Raw), 0o644)
	attested := `issuer = 'google'
dbgstat = 'disabled-since-boot'
image-digests = 'sha256:1111111111111111111111111111111111111111111111111111111111111111'
swname = 'CONFIDENTIAL_SPACE'
hwmodel = 'GCP_AMD_SEV'
projects = 'demo-project'
env = { HOSTNAME = 'workload-1', PATH = '/usr/local/bin:/usr/bin:/bin' }
args = ['/workload']
`
	config := fmt.Sprintf(`audience = '%[1]s'
ca-file = '%[2]s'
[server]
listen = '127.0.0.1:0'
certificate = 'server.pem'
key = 'file:%[3]s'
client-ca = 'clients.pem'
client-certificate = 'required'
admin-listen = 'off'
records = 'records.jsonl'
[issuers.google]
kind = 'confidential-space'
issuer = '%[4]s/confidential-space'
keys = 'discovery'
trusted-ca = '%[2]s'
[grants.aws.attested]
%[5]s
[grants.aws.give]
kind = 'aws-assume-role'
access-key-id = 'AKIAIOSFODNN7EXAMPLE'
role-arn = '%[6]s'
region = 'us-east-1'
duration = 900
endpoint-url = '%[4]s'
[grants.azure.attested]
%[5]s
[grants.azure.give]
kind = 'azure-token'
authority = '%[4]s'
tenant = '%[7]s'
client-id = '%[8]s'
scopes = ['%[9]s']
[[compatibility]]
listen = '127.0.0.1:0'
scheme = 'seed-aws'
grant = 'aws'
[[compatibility]]
listen = '127.0.0.1:0'
scheme = 'seed-azure'
grant = 'azure'
`, audience, e.caFile, path("server.key"), e.url, attested, role, tenant, client, scope)
	file := write(t, path("broker.toml"), []byte(config), 0o600)
	var said struct {
		API           string   `json:"api"`
		Compatibility []string `json:"compatibility"`
	}
	env := []string{"AWS_SECRET_ACCESS_KEY=" + userSecret, "AZURE_CLIENT_SECRET=demo-secret"}
	start(t, &said, env, program(t), "broker", "serve", "--config", file)
	if len(said.Compatibility) != 2 || said.API == "" {
		t.Fatalf("the broker says %v", said)
	}
	b.api, b.seedAWS, b.seedAzure = said.API, said.Compatibility[0], said.Compatibility[1]
	return b
}

// client gives files of a client's certificate and its key.
func (b *broker) client(t testing.TB, key crypto.Signer) (certificate, private string) {
	t.Helper()
	folder := t.TempDir()
	certificate = write(t, filepath.Join(folder, "client.pem"), certificatePEM(b.authority.issue(t, "client.example", key.Public())), 0o644)
	return certificate, write(t, filepath.Join(folder, "client.key"), keyPEM(key), 0o600)
}
