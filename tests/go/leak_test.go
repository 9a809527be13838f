package compare

import (
	"crypto"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
	"github.com/libcloudauth/libcloudauth/ffi/go/gcptoken"
)

// resident is the memory that the process takes, in octets, once Go has given back what it does not use.
func resident(t *testing.T) int {
	t.Helper()
	for range 3 { // what is not closed is closed by clean-ups, behind the first collection
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
	debug.FreeOSMemory()
	var all, now int
	if _, err := fmt.Sscan(string(must(os.ReadFile("/proc/self/statm"))), &all, &now); err != nil {
		t.Fatal(err)
	}
	return now * os.Getpagesize()
}

// Ten thousand calls take no memory.
func TestNothingLeaks(t *testing.T) {
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Fatal("NOT CHECKED: this system has no /proc")
	}
	key := must(cloudauth.OpenKey(inToken(t, newKey(t, "P-256"))))
	defer key.Close()
	source := keptToken(t)
	defer source.Close()
	file := "file:" + write(t, t.TempDir()+"/key", keyPEM(newKey(t, "P-256")), 0o600)
	for name, call := range map[string]struct {
		times int
		call  func()
	}{
		"sign":         {10000, func() { must(key.SignMessage(nil, []byte("message"), crypto.SHA256)) }},
		"token":        {10000, func() { must(source.Token()) }},
		"refused":      {10000, func() { _, _ = cloudauth.OpenKey("file:/missing") }},
		"open, closed": {10000, func() { must(cloudauth.OpenKey(file)).Close() }},
		"profile, closed": {1000, func() {
			source := must(gcptoken.Open(cloudauth.Profile{"kind": "gcp-token", "key": file, "email": "a@b.example", "audience": "a"}))
			must(source.Token())
			source.Close()
		}},
	} {
		for range call.times / 5 {
			call.call()
		}
		before := resident(t)
		for range call.times {
			call.call()
		}
		if grown := resident(t) - before; grown > 4<<20 {
			t.Errorf("%s: %d octets more after %d calls", name, grown, call.times)
		}
	}
}

// A client that is not closed is collected, with the files that it holds open.
func TestCollected(t *testing.T) {
	open := func() int { return len(must(os.ReadDir("/proc/self/fd"))) }
	before := open()
	for range 50 {
		must(keptToken(t).Token())
	}
	if open() < before+50 {
		t.Fatal("they hold nothing open: count something else")
	}
	for wait := time.Now().Add(20 * time.Second); open() > before; {
		if time.Now().After(wait) {
			t.Fatalf("%d files are open, %d were", open(), before)
		}
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
}
