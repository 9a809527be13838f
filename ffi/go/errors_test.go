package cloudauth

import (
	"bytes"
	"encoding/json"
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
