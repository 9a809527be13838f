package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"crypto/tls"
	"crypto/x509"
)

// Side is a side of a TLS connection.
type Side uint32

const (
	// TLSClient is the TLS client: as a prover, a workload that asks a broker.
	TLSClient Side = C.CLOUDAUTH_EKM_CLIENT
	// TLSServer is the TLS server: as a prover, a broker that shows what it is.
	TLSServer Side = C.CLOUDAUTH_EKM_SERVER
)

// ExportedLength is how many octets are exported from a connection; a challenge has as many.
const ExportedLength = C.CLOUDAUTH_EKM_EXPORTED_LEN

// Binder is everything that an attestation is bound to: one TLS connection, both certificates, one
// audience, one request. Fill in Prover, Challenge, Audience and Request, then call [Binder.BindTLS].
type Binder struct {
	// Prover is who attests.
	Prover Side
	// Challenge is the verifier's: fresh random octets.
	Challenge [ExportedLength]byte
	// Audience is exactly as in the attestation.
	Audience string
	// Request is the octets of the request that the attestation authorises.
	Request []byte

	// Exported is what the connection exports for Prover and Challenge: a secret.
	Exported [ExportedLength]byte
	// ServerSPKI is the SubjectPublicKeyInfo, in DER, of the server's certificate on this connection.
	ServerSPKI []byte
	// ClientSPKI is the same of the client's; empty if it sent none.
	ClientSPKI []byte
}

// BindTLS fills in what comes from the connection. state is of a connection with TLS 1.3 and the
// protocol (ALPN) "http/1.1", that is not resumed: others are refused. side is which side of it this
// program is, and certificate is what this side has sent there, in DER: Certificate[0] of the
// tls.Certificate; nil for a client that sent none.
//
// The peer's certificate is taken as it is: checking it is up to the connection's tls.Config.
func (b *Binder) BindTLS(state tls.ConnectionState, side Side, certificate []byte) error {
	c := begin("TLS channel binder")
	defer c.release()
	switch {
	case !state.HandshakeComplete:
		c.fail(ErrInvalid, "connection", "the handshake is not complete")
	case state.Version != tls.VersionTLS13:
		c.fail(ErrInvalid, "connection", "expected TLS 1.3")
	case state.DidResume:
		c.fail(ErrInvalid, "connection", "is resumed; switch session tickets off")
	case state.NegotiatedProtocol != "http/1.1":
		c.fail(ErrInvalid, "connection", `expected the protocol "http/1.1": set NextProtos on both sides`)
	case side != TLSClient && side != TLSServer:
		c.fail(ErrUnknownNumber, "side", "expected TLSClient or TLSServer")
	case side == TLSClient && len(state.PeerCertificates) == 0:
		c.fail(ErrInvalid, "connection", "there is no certificate of the server")
	case side == TLSServer && len(certificate) == 0:
		c.fail(ErrInvalid, "certificate", "expected the one that this server sent")
	}
	label := alloc[C.cloudauth_bytes](&c.memory)
	if c.failed == nil {
		c.failed = c.check(C.cloudauth_ekm_label(C.uint32_t(b.Prover), label, c.err))
	}
	if c.failed != nil {
		return c.failed
	}
	var mine, theirs []byte
	if len(certificate) != 0 {
		parsed, err := x509.ParseCertificate(certificate)
		if err != nil {
			return &Error{Op: c.op, Code: ErrMalformed, Field: "certificate", Err: err}
		}
		mine = parsed.RawSubjectPublicKeyInfo
	}
	if len(state.PeerCertificates) != 0 {
		theirs = state.PeerCertificates[0].RawSubjectPublicKeyInfo
	}
	exported, err := state.ExportKeyingMaterial(text(*label), b.Challenge[:], ExportedLength)
	if err != nil {
		return &Error{Op: c.op, Code: ErrInvalid, Field: "connection", Help: "exports nothing", Err: err}
	}
	copy(b.Exported[:], exported)
	clear(exported)
	b.ServerSPKI, b.ClientSPKI = theirs, mine
	if side == TLSServer {
		b.ServerSPKI, b.ClientSPKI = mine, theirs
	}
	return nil
}

func (b *Binder) params(c *call) *C.cloudauth_ekm_binder {
	p := sized[C.cloudauth_ekm_binder](&c.memory)
	p.prover = C.uint32_t(b.Prover)
	p.exported = octets(&c.memory, b.Exported[:]).ptr
	p.challenge = octets(&c.memory, b.Challenge[:]).ptr
	p.server_spki = octets(&c.memory, b.ServerSPKI)
	p.client_spki = octets(&c.memory, b.ClientSPKI)
	p.audience = octets(&c.memory, b.Audience)
	p.request = octets(&c.memory, b.Request)
	return p
}

// Nonce is what the prover asks of the attestation service: 43 characters.
func (b *Binder) Nonce() (string, error) {
	c := begin("TLS channel binder")
	defer c.release()
	p := b.params(c)
	nonce, err := c.fill(64, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		return C.cloudauth_ekm_nonce(p, out, size, n, c.err)
	})
	return string(nonce), err
}

// Verify compares the nonce of an attestation with this one, in constant time: [ErrVerification] if it
// is another.
func (b *Binder) Verify(nonce string) error {
	c := begin("TLS channel binder")
	defer c.release()
	p := b.params(c)
	if c.failed != nil {
		return c.failed
	}
	return c.check(C.cloudauth_ekm_verify(p, octets(&c.memory, nonce), c.err))
}

// CompatScheme is another system's scheme, that binds the connection and nothing else. Use [Binder]
// where you have the choice.
type CompatScheme uint32

const (
	// CompatSeed is of the aws- and azure-channel-jwt-credential brokers. Its nonce is a secret of the
	// connection.
	CompatSeed CompatScheme = C.CLOUDAUTH_EKM_COMPAT_SEED
	// CompatGoogleCodelab is of Google's Confidential Space codelab.
	CompatGoogleCodelab CompatScheme = C.CLOUDAUTH_EKM_COMPAT_GOOGLE_CODELAB
)

// export gives what a connection exports for a scheme, in C memory.
func (s CompatScheme) export(c *call, state tls.ConnectionState) (*C.uint8_t, error) {
	if c.failed == nil && (!state.HandshakeComplete || state.Version != tls.VersionTLS13) {
		c.fail(ErrInvalid, "connection", "expected TLS 1.3, after the handshake")
	}
	if c.failed != nil {
		return nil, c.failed
	}
	label := alloc[C.cloudauth_bytes](&c.memory)
	if err := c.check(C.cloudauth_ekm_compat_label(C.uint32_t(s), label, c.err)); err != nil {
		return nil, err
	}
	exported, err := state.ExportKeyingMaterial(text(*label), nil, ExportedLength)
	if err != nil {
		return nil, &Error{Op: c.op, Code: ErrInvalid, Field: "connection", Help: "exports nothing", Err: err}
	}
	defer clear(exported)
	return octets(&c.memory, exported).ptr, nil
}

// Nonce is what to ask of the attestation service.
func (s CompatScheme) Nonce(state tls.ConnectionState) (Secret, error) {
	c := begin("TLS channel nonce")
	defer c.release()
	exported, err := s.export(c, state)
	if err != nil {
		return "", err
	}
	nonce, err := c.fill(64, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		return C.cloudauth_ekm_compat_nonce(C.uint32_t(s), exported, out, size, n, c.err)
	})
	return Secret(nonce), err
}

// Verify compares a nonce with the connection's, in constant time: [ErrVerification] if it is another.
func (s CompatScheme) Verify(state tls.ConnectionState, nonce string) error {
	c := begin("TLS channel nonce")
	defer c.release()
	exported, err := s.export(c, state)
	if err != nil {
		return err
	}
	return c.check(C.cloudauth_ekm_compat_verify(C.uint32_t(s), exported, octets(&c.memory, nonce), c.err))
}
