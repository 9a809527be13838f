package awscred

import (
	"errors"
	"strings"
	"testing"

	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

func good() CredConfig {
	return CredConfig{
		STSEndpointHost: "localhost:8081", STSEndpoint: "https://server.domain.com:8081/token", STSSNI: "server.domain.com",
		Audience: "https://server.domain.com", TrustCA: "ca.pem", UseMTLS: true, ClientCert: "client.pem", ClientKey: "a%b?c.key",
		AWSRoleArn: "arn:aws:iam::123456789012:role/R", AWSSessionName: "s", UseAssumeRole: true, Duration: 900,
	}
}

func TestCredConfig(t *testing.T) {
	for name, change := range map[string]func(*CredConfig){
		"all":                func(*CredConfig) {},
		"default duration":   func(c *CredConfig) { c.Duration = 0 },
		"a device":           func(c *CredConfig) { c.ClientKey = "pkcs11:token=t;object=o?module-path=/usr/lib/hsm.so" },
		"no client":          func(c *CredConfig) { c.UseMTLS, c.ClientCert, c.ClientKey = false, "", "" },
		"the broker's own":   func(c *CredConfig) { c.UseAssumeRole, c.AWSRoleArn, c.AWSSessionName = false, "", "" },
		"no name of its own": func(c *CredConfig) { c.STSSNI = "" },
	} {
		config := good()
		change(&config)
		provider, err := NewEKMAWSCredentials(config)
		if err != nil {
			t.Error(name, err)
			continue
		}
		provider.Close()
		if _, err := provider.Retrieve(t.Context()); !errors.Is(err, cloudauth.ErrState) {
			t.Error(name, err)
		}
	}
	for option, change := range map[string]func(*CredConfig){
		"STSEndpointHost": func(c *CredConfig) { c.STSEndpointHost = "" },
		"STSEndpoint":     func(c *CredConfig) { c.STSEndpoint = "" },
		"Audience":        func(c *CredConfig) { c.Audience = "" },
		"TrustCA":         func(c *CredConfig) { c.TrustCA = "" },
		"ClientCert":      func(c *CredConfig) { c.ClientCert = "" },
		"ClientKey":       func(c *CredConfig) { c.ClientKey = "" },
		"AWSRoleArn":      func(c *CredConfig) { c.AWSRoleArn = "" },
		"AWSSessionName":  func(c *CredConfig) { c.AWSSessionName = "" },
		"Duration":        func(c *CredConfig) { c.Duration = 899 },
	} {
		config := good()
		change(&config)
		if _, err := NewEKMAWSCredentials(config); !errors.Is(err, cloudauth.ErrInvalid) || !strings.Contains(err.Error(), option) {
			t.Error(option, err)
		}
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(cloudauth.Profile{"kind": "aws-assume-role", "unknown": true}); !errors.Is(err, cloudauth.ErrConfig) {
		t.Error(err)
	}
	client, err := cloudauth.Config{}.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := New(client, "missing").Retrieve(t.Context()); !errors.Is(err, cloudauth.ErrConfig) {
		t.Error(err)
	}
	if err := New(client, "missing").Invalidate(); !errors.Is(err, cloudauth.ErrConfig) {
		t.Error(err)
	}
}
