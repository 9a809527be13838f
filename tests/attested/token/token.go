// Package token reads and writes the tokens of the test programs: compact JWS with RS256 and HS256.
package token

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"time"
)

var encoding = base64.RawURLEncoding

// Keys are the RSA keys of a set, by identifier.
type Keys map[string]*rsa.PublicKey

// ParseKeys reads a JSON Web Key Set (RFC 7517).
func ParseKeys(text []byte) (Keys, error) {
	var set struct {
		Keys []struct{ Kty, Kid, N, E string }
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	keys := Keys{}
	for _, key := range set.Keys {
		n, err := encoding.DecodeString(key.N)
		if err != nil || key.Kty != "RSA" || len(n) == 0 {
			continue
		}
		e, err := encoding.DecodeString(key.E)
		if err != nil {
			continue
		}
		keys[key.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	if len(keys) == 0 {
		return nil, errors.New("no RSA key in the set")
	}
	return keys, nil
}

// ReadKeys reads a key set from a file.
func ReadKeys(path string) (Keys, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseKeys(text)
}

// Claims are what the programs look at in an attestation of Confidential Space.
type Claims struct {
	Issuer          string    `json:"iss"`
	Audience        OneOrMany `json:"aud"`
	Expires         float64   `json:"exp"`
	NotBefore       float64   `json:"nbf"`
	Nonces          OneOrMany `json:"eat_nonce"`
	HardwareModel   string    `json:"hwmodel"`
	SoftwareName    string    `json:"swname"`
	DebugStatus     string    `json:"dbgstat"`
	SecureBoot      bool      `json:"secboot"`
	ServiceAccounts []string  `json:"google_service_accounts"`
	Submods         struct {
		ConfidentialSpace struct {
			SupportAttributes []string `json:"support_attributes"`
		} `json:"confidential_space"`
		Container struct {
			ImageDigest string            `json:"image_digest"`
			Args        []string          `json:"args"`
			Env         map[string]string `json:"env"`
			EnvOverride map[string]string `json:"env_override"`
			CmdOverride []string          `json:"cmd_override"`
		} `json:"container"`
		GCE struct {
			ProjectID string `json:"project_id"`
			Zone      string `json:"zone"`
		} `json:"gce"`
	} `json:"submods"`
}

// OneOrMany is a text or a list of texts.
type OneOrMany []string

// UnmarshalJSON takes either form.
func (o *OneOrMany) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*o = OneOrMany{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// Verify checks the signature (RS256, the key that the header names) and the times.
func (k Keys) Verify(jws string, now time.Time) (*Claims, error) {
	signed, header, payload, signature, err := split(jws)
	if err != nil {
		return nil, err
	}
	var head struct{ Alg, Kid string }
	if err := json.Unmarshal(header, &head); err != nil {
		return nil, err
	}
	key := k[head.Kid]
	if head.Alg != "RS256" || key == nil {
		return nil, fmt.Errorf("no key %q for %q", head.Kid, head.Alg)
	}
	sum := sha256.Sum256([]byte(signed))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
		return nil, err
	}
	claims := &Claims{}
	if err := json.Unmarshal(payload, claims); err != nil {
		return nil, err
	}
	seconds := float64(now.Unix())
	if claims.Expires <= seconds || claims.NotBefore > seconds+30 {
		return nil, errors.New("not valid now")
	}
	return claims, nil
}

// RS256 signs the header and payload as they are.
func RS256(key *rsa.PrivateKey, header, payload []byte) (string, error) {
	signed := encoding.EncodeToString(header) + "." + encoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	return signed + "." + encoding.EncodeToString(signature), err
}

// HS256 signs a payload under the header {"alg":"HS256","typ":"JWT"}.
func HS256(key, payload []byte) string {
	signed := encoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encoding.EncodeToString(payload)
	return signed + "." + encoding.EncodeToString(tag(key, signed))
}

// VerifyHS256 gives the payload of what HS256 signed.
func VerifyHS256(key []byte, jws string) ([]byte, error) {
	signed, header, payload, signature, err := split(jws)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(header, []byte(`{"alg":"HS256","typ":"JWT"}`)) {
		return nil, fmt.Errorf("the header is %s", header)
	}
	if !hmac.Equal(tag(key, signed), signature) {
		return nil, errors.New("the tag is wrong")
	}
	return payload, nil
}

func tag(key []byte, signed string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return mac.Sum(nil)
}

func split(jws string) (signed string, header, payload, signature []byte, err error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return "", nil, nil, nil, errors.New("not a compact JWS")
	}
	decoded := make([][]byte, 3)
	for i, part := range parts {
		if decoded[i], err = encoding.DecodeString(part); err != nil {
			return "", nil, nil, nil, err
		}
	}
	return parts[0] + "." + parts[1], decoded[0], decoded[1], decoded[2], nil
}
