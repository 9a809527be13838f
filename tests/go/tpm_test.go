package compare

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

// Of every key in a TPM; TestMain puts it where the library looks.
const tpmPassword = "authvalue-1357"

// tpm is a swtpm, without a resource manager: three slots for keys, and one program at a time.
type tpm struct{ folder, tcti string }

func newTPM(t testing.TB) *tpm {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Fatal("swtpm is not installed: tests/run tools")
	}
	port := freePorts(t)
	made := &tpm{folder: t.TempDir(), tcti: fmt.Sprintf("swtpm:host=127.0.0.1,port=%d", port)}
	at := func(port int) string { return fmt.Sprintf("type=tcp,bindaddr=127.0.0.1,port=%d", port) }
	command := exec.Command("swtpm", "socket", "--tpm2", "--flags", "not-need-init,startup-clear",
		"--tpmstate", "dir="+t.TempDir(), "--server", at(port), "--ctrl", at(port+1))
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := made.try("tpm2_getcap", "properties-fixed")
		if err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	made.run(t, "tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc", "-c", "p.ctx", "-a",
		"fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt")
	made.run(t, "tpm2_flushcontext", "-t")
	return made
}

// freePorts is the first of two.
func freePorts(t testing.TB) int {
	t.Helper()
	for range 100 {
		first := must(net.Listen("tcp", "127.0.0.1:0"))
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		first.Close()
		if err == nil {
			second.Close()
			return port
		}
	}
	t.Fatal("no two ports beside each other are free")
	return 0
}

func (m *tpm) try(program string, args ...string) error {
	command := exec.Command(program, args...)
	command.Dir = m.folder
	command.Env = append(os.Environ(), "TPM2TOOLS_TCTI="+m.tcti)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, args, err, said)
	}
	return nil
}

func (m *tpm) run(t testing.TB, program string, args ...string) {
	t.Helper()
	if err := m.try(program, args...); err != nil {
		t.Fatal(err)
	}
}

// load puts what a file holds into the TPM, with the tools of others, and gives its URI. It must be done before a key
// of this TPM is opened.
func (m *tpm) load(t testing.TB, kind, name string, content []byte) string {
	t.Helper()
	source := write(t, filepath.Join(t.TempDir(), "source"), content, 0o600)
	m.run(t, "tpm2_import", "-Q", "-C", "p.ctx", "-G", kind, "-i", source, "-u", name+".pub", "-r", name+".priv", "-p", tpmPassword)
	m.run(t, "tpm2_flushcontext", "-t")
	m.run(t, "tpm2_encodeobject", "-C", "p.ctx", "-u", name+".pub", "-r", name+".priv", "-o", name+".pem", "-p")
	for _, of := range []string{"-t", "-l"} {
		m.run(t, "tpm2_flushcontext", of)
	}
	path := filepath.Join(m.folder, name+".pem")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return "tpm:file=" + path + "?tcti=" + m.tcti
}

// key is [tpm.load] of a private key.
func (m *tpm) key(t testing.TB, name string, key crypto.Signer) string {
	t.Helper()
	kind := "rsa"
	if public, ok := key.Public().(*ecdsa.PublicKey); ok {
		kind = map[int]string{256: "ecc256", 384: "ecc384"}[public.Curve.Params().BitSize]
	}
	return m.load(t, kind, name, keyPEM(key))
}

func TestTLSWithKeysInTPM(t *testing.T) {
	tpm := newTPM(t)
	number := 0
	withTLS(t, func(t testing.TB, key crypto.Signer) string {
		number++
		return tpm.key(t, fmt.Sprintf("k%d", number), key)
	})
}

func TestAWSKeysInTPM(t *testing.T) {
	e, tpm := newEmulator(t), newTPM(t)
	profiles := map[string]cloudauth.Profile{
		"AssumeRole": assumeRole(e, tpm.load(t, "hmac", "secret", []byte("AWS4"+userSecret))),
	}
	for _, kind := range []string{"RSA", "P-256", "P-384"} {
		profiles[kind] = rolesAnywhere(t, e, kind, func(t testing.TB, key crypto.Signer) string { return tpm.key(t, kind, key) })
	}
	awsKeys(t, e, profiles)
}

func TestGoogleKeyInTPM(t *testing.T) {
	tpm, key := newTPM(t), newKey(t, "RSA")
	google(t, key, tpm.key(t, "robot", key))
}

// A wrong password is told as such, and counted by the TPM alone.
func TestTPMRefuses(t *testing.T) {
	tpm := newTPM(t)
	uri := tpm.key(t, "k", newKey(t, "P-256"))
	key := must(cloudauth.OpenKey(uri + "&auth-source=file:" + write(t, filepath.Join(t.TempDir(), "wrong"), []byte("wrong-2468"), 0o600)))
	defer key.Close()
	_, err := key.Sign(nil, make([]byte, 32), crypto.SHA256)
	if !errors.Is(err, cloudauth.ErrSigner) || strings.Contains(err.Error(), "wrong-2468") {
		t.Error(err)
	}
}
