package cloudauth

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsAreNotWritten(t *testing.T) {
	keys := AWSCredentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "hush", SessionToken: "hush"}
	var log bytes.Buffer
	for _, logger := range []*slog.Logger{
		slog.New(slog.NewJSONHandler(&log, nil)), slog.New(slog.NewTextHandler(&log, nil)),
	} {
		logger.Info("got", "keys", keys, "pointer", &keys, "secret", keys.SecretAccessKey)
	}
	for _, text := range []string{
		string(must(json.Marshal(keys))), string(must(json.Marshal(map[string]any{"keys": &keys}))), log.String(),
		fmt.Sprintf("%v %+v %#v %s %x", keys, keys, keys, keys.SessionToken, keys.SessionToken),
	} {
		if strings.Contains(text, "hush") || strings.Contains(text, "68757368") || !strings.Contains(text, hidden) {
			t.Error(text)
		}
	}
}

func TestKeyThatWasNotOpened(t *testing.T) {
	for _, sign := range []func() ([]byte, error){
		func() ([]byte, error) { return new(Key).Sign(nil, make([]byte, 32), crypto.SHA256) },
		func() ([]byte, error) { return new(Key).SignMessage(nil, []byte("m"), crypto.SHA256) },
	} {
		if _, err := sign(); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "OpenKey") {
			t.Error(err)
		}
	}
}
