// Package seed is what the clients of the older attested brokers have in common: the options of
// aws-channel-jwt-credential and azure-channel-jwt-credential.
package seed

import (
	"strings"

	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

// Options are those that both had.
type Options struct {
	Host, Endpoint, SNI, Audience, TokenPath string
	UseMTLS                                  bool
	TrustCA, ClientCert, ClientKey           string
}

// Profile is the profile that they say, but for what is asked for.
func (o Options) Profile() (cloudauth.Profile, error) {
	profile := cloudauth.Profile{"kind": "attested", "scheme": "seed"}
	for _, field := range []struct {
		option, value, name string
		required            bool
	}{
		{"STSEndpointHost", o.Host, "address", true},
		{"STSEndpoint", o.Endpoint, "broker", true},
		{"Audience", o.Audience, "audience", true},
		{"TrustCA", o.TrustCA, "ca-file", true},
		{"STSSNI", o.SNI, "server-name", false},
		{"AttestationTokenPath", o.TokenPath, "teeserver", false},
	} {
		switch {
		case field.value != "":
			profile[field.name] = field.value
		case field.required:
			return nil, Missing(field.option)
		}
	}
	if !o.UseMTLS {
		return profile, nil
	}
	if o.ClientCert == "" {
		return nil, Missing("ClientCert (UseMTLS is true)")
	}
	if o.ClientKey == "" {
		return nil, Missing("ClientKey (UseMTLS is true)")
	}
	profile["certificate"], profile["key"] = o.ClientCert, key(o.ClientKey)
	return profile, nil
}

// Missing says that an option is to be given.
func Missing(option string) error { return Wrong(option, "is missing: give it") }

// Wrong says what is wrong with an option.
func Wrong(option, help string) error {
	return &cloudauth.Error{Op: "attested broker", Code: cloudauth.ErrInvalid, Field: option, Help: help}
}

// key is a key URI as it is, and the path of a file as one.
func key(path string) string {
	for _, scheme := range []string{"env:", "file:", "pkcs11:", "tpm:"} {
		if strings.HasPrefix(path, scheme) {
			return path
		}
	}
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3F").Replace(path)
}
