package cloudauth

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestConfigText(t *testing.T) {
	config := Config{CAFile: "/c\"a.pem", Timeout: 7 * time.Second, Profiles: map[string]Profile{
		"b":              {"kind": "k", "yes": true, "number": -3, "life": 15 * time.Minute, "list": []string{"x", "y\n"}, "none": []string{}},
		"a \u00e9\x7f\\": {"tags": [][2]string{{"k", "v"}, {"", "\t"}}, "seed": Profile{"cloud": "aws", "a": false}},
	}}
	equal(t, "text", must(config.text()), `"ca-file" = "/c\"a.pem"
"timeout" = 7

[profiles."a é\u007F\\"]
"seed" = { "a" = false, "cloud" = "aws" }
"tags" = [["k", "v"], ["", "\u0009"]]

[profiles."b"]
"kind" = "k"
"life" = 900
"list" = ["x", "y\u000A"]
"none" = []
"number" = -3
"yes" = true
`)
	for name, wrong := range map[string]struct {
		config Config
		code   Code
		says   string
	}{
		"type":    {Config{Profiles: map[string]Profile{"a": {"kind": 1.5}}}, ErrInvalid, "kind"},
		"nil":     {Config{Profiles: map[string]Profile{"a": {"kind": nil}}}, ErrInvalid, "kind"},
		"nested":  {Config{Profiles: map[string]Profile{"a": {"seed": Profile{"x": struct{}{}}}}}, ErrInvalid, "x"},
		"second":  {Config{Profiles: map[string]Profile{"a": {"duration": time.Millisecond}}}, ErrInvalid, "whole seconds"},
		"below":   {Config{Timeout: -time.Second}, ErrInvalid, "timeout"},
		"value":   {Config{Profiles: map[string]Profile{"a": {"kind": "\xff"}}}, ErrUTF8, "kind"},
		"field":   {Config{Profiles: map[string]Profile{"a": {"\xff": ""}}}, ErrUTF8, "field"},
		"profile": {Config{Profiles: map[string]Profile{"\xff": {}}}, ErrUTF8, "profile"},
	} {
		if _, err := wrong.config.Open(); !errors.Is(err, wrong.code) || !strings.Contains(err.Error(), wrong.says) {
			t.Error(name, err)
		}
	}
}

// What the text says is what the library reads: no value becomes another field.
func TestConfigOpen(t *testing.T) {
	key := keyFile(t, who(t, "P-256").key)
	good := func() Profile {
		return Profile{"kind": "gcp-token", "key": key, "email": "a@b.example", "lifetime": 20 * time.Minute}
	}
	const odd = "p \"\\'é\n\t\x7f]"
	client := must(Config{Profiles: map[string]Profile{odd: good()}}.Open())
	defer client.Close()
	token := must(client.BearerToken(context.Background(), odd))
	if left := time.Until(token.Expires); left < 19*time.Minute || left > 20*time.Minute {
		t.Error(left)
	}
	for _, text := range nasty {
		profile := good()
		profile["scopes"], profile[text] = []string{text}, "x"
		if _, err := (Config{Profiles: map[string]Profile{"a": profile}}).Open(); err == nil {
			t.Errorf("an unknown field %.20q is accepted", text)
		}
		profile = good()
		profile["email"] = text + "\"\nkey = \"file:/other"
		client, err := Config{Profiles: map[string]Profile{"a": profile}}.Open()
		if err != nil && !errors.Is(err, ErrUTF8) {
			t.Errorf("%.20q: %v", text, err)
		}
		if err == nil {
			client.Close()
		}
	}
	for field, value := range map[string]any{"kind": "unknown", "key": "s3cr3t-pin", "lifetime": "s3cr3t-pin", "more": 1} {
		profile := good()
		profile[field] = value
		if _, err := (Config{Profiles: map[string]Profile{"a": profile}}).Open(); !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "s3cr3t") {
			t.Error(field, err)
		}
	}
	if _, err := (Config{CAFile: "/missing.pem"}).Open(); !errors.Is(err, ErrFile) {
		t.Error(err)
	}
}

func TestOpenClientText(t *testing.T) {
	folder := t.TempDir()
	text := "ca-file = 'missing.pem'"
	if _, err := OpenClientText(text, folder); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), folder) {
		t.Error(err)
	}
	here := must(os.Getwd())
	if _, err := OpenClientText(text, ""); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), here) {
		t.Error(err)
	}
	if _, err := OpenClientText("", "relative"); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	if _, err := OpenClientText("key = s3cr3t", ""); !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "s3cr3t") {
		t.Error(err)
	}
	client := must(OpenClientText("", ""))
	if _, err := client.BearerToken(context.Background(), "a"); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	client.Close()
}
