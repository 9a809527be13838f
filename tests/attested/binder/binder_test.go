package binder

import (
	"bytes"
	"testing"
)

// The known answers of the protocol.
func TestKnownAnswers(t *testing.T) {
	inputs := Inputs{
		Role: Client, Exported: [32]byte(bytes.Repeat([]byte{1}, 32)),
		Challenge: [32]byte(bytes.Repeat([]byte{2}, 32)), Server: []byte("abc"),
		Audience: "https://broker.example", Request: []byte(`{"grant":"g"}`),
	}
	check := func(inputs Inputs, want string) {
		t.Helper()
		if got := inputs.Nonce(); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	check(inputs, "helxS8Y09fTajT90ewPY6JziPEcef0wWUErQliIgZ-M")
	mutual := inputs
	mutual.Client = []byte("xyz")
	check(mutual, "05WgssMs67XVxYejVwHEFkZ4nIx0HEDsk9MYylh80ok")
	inputs.Role = Server
	check(inputs, "XmSWfpnclvk0V6kBegVHgAiZrxowAEyXGdEpVr5a0IE")
}
