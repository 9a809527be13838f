package cloudauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// inC counts where a text lies in the process's memory, outside of Go's own.
func inC(t *testing.T, text []byte) int {
	t.Helper()
	memory := must(os.Open("/proc/self/mem"))
	defer memory.Close()
	found := 0
	heap := int64(uintptr(unsafe.Pointer(memory)))
	for line := range strings.Lines(string(must(os.ReadFile("/proc/self/maps")))) {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil {
			t.Fatal(err)
		}
		// Go's heap is what lies near something of it, however large it gets.
		if !strings.HasPrefix(mode, "rw") || max(int64(from)-heap, heap-int64(from)) < 1<<36 || to-from > 1<<28 {
			continue
		}
		octets := make([]byte, to-from)
		n, _ := memory.ReadAt(octets, int64(from))
		found += bytes.Count(octets[:n], text)
	}
	return found
}

// No secret stays in C memory: neither what went in, nor what came out of an answer.
func TestWiped(t *testing.T) {
	if _, err := os.Stat("/proc/self/mem"); err != nil {
		t.Skip("NOT CHECKED: this system has no /proc/self/mem")
	}
	random := make([]byte, 20)
	rand.Read(random)
	secret := hex.EncodeToString(random)

	c := begin("test")
	octets(&c.memory, secret)
	if inC(t, []byte(secret)) == 0 {
		t.Fatal("the search finds nothing")
	}
	c.release()
	equal(t, "released", inC(t, []byte(secret)), 0)

	credentials := AWSCredentials{AccessKeyID: "AKID", SecretAccessKey: Secret(secret), SessionToken: Secret(secret)}
	s := must(NewSigV4(SigV4Options{Credentials: credentials, Region: "eu-central-1", Service: "sts"}))
	ctx := context.Background()
	must((&GetCallerIdentity{Signer: s}).Request(ctx, at))
	must((&GCPGenerateAccessToken{Token: Secret(secret), Email: "a@b.example"}).Request(ctx, at))
	must((&AzureToken{Scopes: []string{"https://a.example/.default"}, Tenant: "contoso.example", ClientID: "x", ClientSecret: Secret(secret)}).Request(ctx, at))
	answer := &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(
		`{"access_token":"` + secret + `","token_type":"Bearer","expires_in":3599}`))}
	flow := &GCPAccessToken{Signer: who(t, "P-256").signer, Email: "a@b.example", Scopes: []string{"a"}}
	if token := must(flow.Response(answer)); string(token.Token) != secret {
		t.Error("not the token")
	}
	equal(t, "used", inC(t, []byte(secret)), 0)
	s.Close()
}
