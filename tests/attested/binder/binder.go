// Package binder computes binder v1 from the text of the protocol alone, with nothing of the library's.
package binder

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
)

// Role is which end of the connection shows its attestation.
type Role byte

// The two roles, as they stand in the binder.
const (
	Client Role = 1
	Server Role = 2
)

// Label is the exporter's label of the role.
func (r Role) Label() string {
	if r == Server {
		return "EXPORTER-libcloudauth-v1-server"
	}
	return "EXPORTER-libcloudauth-v1-client"
}

// Inputs are what a binder is made of.
type Inputs struct {
	Role      Role
	Exported  [32]byte
	Challenge [32]byte
	// SubjectPublicKeyInfo, DER; Client is nil where the client sent no certificate.
	Server, Client []byte
	Audience       string
	Request        []byte
}

// Nonce is base64url of the binder.
func (i Inputs) Nonce() string {
	m := make([]byte, 0, 217)
	m = append(m, "libcloudauth binder v1\x00"...)
	m = append(m, byte(i.Role))
	m = append(m, i.Exported[:]...)
	m = append(m, i.Challenge[:]...)
	m = append(m, hash(i.Server)...)
	if i.Client == nil {
		m = append(m, make([]byte, 33)...)
	} else {
		m = append(m, 1)
		m = append(m, hash(i.Client)...)
	}
	m = append(m, hash([]byte(i.Audience))...)
	m = append(m, hash(append([]byte("POST /v1/credentials\n"), i.Request...))...)
	if len(m) != 217 {
		panic("binder: not 217 octets")
	}
	return base64.RawURLEncoding.EncodeToString(hash(m))
}

// Of is the binder of a connection. The client's certificate is the peer's where this end is the server;
// a client says its own, or nil.
func Of(state *tls.ConnectionState, role Role, challenge [32]byte, server, client []byte, audience string, request []byte) (string, error) {
	if state.Version != tls.VersionTLS13 {
		return "", errors.New("binder: not TLS 1.3")
	}
	exported, err := state.ExportKeyingMaterial(role.Label(), challenge[:], 32)
	if err != nil {
		return "", err
	}
	inputs := Inputs{
		Role: role, Exported: [32]byte(exported), Challenge: challenge,
		Server: server, Client: client, Audience: audience, Request: request,
	}
	return inputs.Nonce(), nil
}

func hash(octets []byte) []byte {
	sum := sha256.Sum256(octets)
	return sum[:]
}
