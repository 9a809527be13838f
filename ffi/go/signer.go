package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"unsafe"
)

// Scheme is a signature scheme of tokens.
type Scheme uint32

const (
	// RS256 is RSASSA-PKCS1-v1_5 with SHA-256.
	RS256 Scheme = C.CLOUDAUTH_SCHEME_RSA_PKCS1_SHA256
	// PS256 is RSASSA-PSS with SHA-256 and a salt of 32 octets.
	PS256 Scheme = C.CLOUDAUTH_SCHEME_RSA_PSS_SHA256
	// ES256 is ECDSA on P-256 with SHA-256.
	ES256 Scheme = C.CLOUDAUTH_SCHEME_ECDSA_P256_SHA256
	// ES384 is ECDSA on P-384 with SHA-384.
	ES384 Scheme = C.CLOUDAUTH_SCHEME_ECDSA_P384_SHA384

	// IAM Roles Anywhere hashes with SHA-256 whatever the curve.
	p384SHA256 Scheme = C.CLOUDAUTH_SCHEME_ECDSA_P384_SHA256
)

// String is the name in a token's header (alg).
func (s Scheme) String() string {
	switch s {
	case RS256:
		return "RS256"
	case PS256:
		return "PS256"
	case ES256:
		return "ES256"
	case ES384:
		return "ES384"
	case p384SHA256:
		return "ECDSA P-384 with SHA-256"
	}
	return "unknown"
}

// Signer signs with a private key, wherever that is.
type Signer struct {
	key crypto.Signer
	// The octets of a coordinate, or 0 for RSA.
	coordinate int
	// The octets of the modulus, or 0 for ECDSA.
	modulus int
}

// NewSigner takes an RSA key with 2048 to 8192 bits, or an ECDSA key on P-256 or P-384. What kind it is
// is told by its public key, so the key itself may be in a TPM, an HSM or a remote service.
//
// The key is asked for signatures of digests; one that implements [crypto.MessageSigner] is given the
// whole message. It must sign with the hash it is told, and RSASSA-PSS with a salt of 32 octets.
func NewSigner(key crypto.Signer) (*Signer, error) {
	const op = "signing key"
	refuse := func(code Code, help string) (*Signer, error) {
		return nil, &Error{Op: op, Code: code, Help: help}
	}
	if key == nil {
		return refuse(ErrInvalid, "expected a key, not nil")
	}
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		if public == nil || public.N == nil || public.N.BitLen() < 2048 || public.N.BitLen() > 8192 {
			return refuse(ErrUnsupported, "RSA keys have 2048 to 8192 bits")
		}
		return &Signer{key: key, modulus: public.Size()}, nil
	case *ecdsa.PublicKey:
		switch {
		case public == nil:
		case public.Curve == elliptic.P256():
			return &Signer{key: key, coordinate: 32}, nil
		case public.Curve == elliptic.P384():
			return &Signer{key: key, coordinate: 48}, nil
		}
		return refuse(ErrUnsupported, "ECDSA keys are on P-256 or P-384")
	}
	return refuse(ErrUnsupported, "expected an RSA key, or an ECDSA key on P-256 or P-384")
}

// Public is the public key.
func (s *Signer) Public() crypto.PublicKey { return s.key.Public() }

// scheme is the scheme of a Google token that this key signs.
func (s *Signer) scheme() C.cloudauth_scheme {
	if s != nil && s.coordinate == 32 {
		return C.cloudauth_scheme(ES256)
	}
	// A key on P-384 is refused when it is to sign.
	return C.cloudauth_scheme(RS256)
}

// sign asks the key, and gives the signature as the library wants it.
func (c *call) sign(s *Signer, what *C.cloudauth_to_sign) (C.cloudauth_bytes, error) {
	none := C.cloudauth_bytes{}
	if s == nil || s.key == nil {
		c.fail(ErrInvalid, "signer", "expected one made by NewSigner")
		return none, c.failed
	}
	scheme := Scheme(what.scheme)
	var opts crypto.SignerOpts = crypto.SHA256
	coordinate := 0
	switch scheme {
	case RS256:
	case PS256:
		opts = &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
	case ES256:
		coordinate = 32
	case p384SHA256:
		coordinate = 48
	case ES384:
		coordinate, opts = 48, crypto.SHA384
	default:
		c.fail(ErrUnsupported, "scheme", "this package does not know it; update it")
		return none, c.failed
	}
	if s.coordinate != coordinate {
		c.fail(ErrMismatch, "signer", "has a key of another kind than "+scheme.String()+" needs")
		return none, c.failed
	}
	signature, err := s.ask(what, opts)
	if err != nil {
		c.failed = &Error{Op: c.op, Code: ErrSigner, Field: "signer", Help: "the key failed", Err: err}
		return none, c.failed
	}
	given := octets(&c.memory, signature)
	if coordinate == 0 {
		if len(signature) != s.modulus {
			c.fail(ErrSigner, "signer", "gave a signature that is not as long as its modulus")
			return none, c.failed
		}
		return given, nil
	}
	raw, err := c.fill(2*coordinate, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		return C.cloudauth_ecdsa_raw_from_der(given, C.size_t(coordinate), out, size, n, c.err)
	})
	if err != nil {
		c.failed = &Error{Op: c.op, Code: ErrSigner, Field: "signer", Help: "gave no ECDSA signature in DER", Err: err}
		return none, c.failed
	}
	return octets(&c.memory, raw), nil
}

// ask gives the key copies, since it may keep them.
func (s *Signer) ask(what *C.cloudauth_to_sign, opts crypto.SignerOpts) ([]byte, error) {
	if key, ok := s.key.(crypto.MessageSigner); ok {
		return key.SignMessage(rand.Reader, append([]byte{}, view(what.message)...), opts)
	}
	all := unsafe.Slice((*byte)(unsafe.Pointer(&what.digest[0])), len(what.digest))
	digest := append([]byte{}, all[:min(int(what.digest_len), len(all))]...)
	if len(digest) != opts.HashFunc().Size() {
		return nil, errors.New("the digest is of another hash")
	}
	return s.key.Sign(rand.Reader, digest, opts)
}

// chain copies a certificate chain, leaf first, and checks that the leaf is the signer's: the two-step
// form of the C interface does not see the key.
func (c *call) chain(s *Signer, chain [][]byte) (leaf C.cloudauth_bytes, rest *C.cloudauth_bytes, count C.size_t) {
	if len(chain) == 0 {
		c.fail(ErrInvalid, "certificate", "expected one, or a chain that begins with it")
		return
	}
	leaf = octets(&c.memory, chain[0])
	rest, count = list(&c.memory, chain[1:])
	parsed := sized[C.cloudauth_certificate](&c.memory)
	if err := c.check(C.cloudauth_x509_parse(leaf, parsed, c.err)); err != nil {
		if c.failed == nil {
			c.failed = err
		}
		return
	}
	if s == nil || s.key == nil {
		return // refused when it is to sign
	}
	public, err := x509.ParsePKIXPublicKey(view(parsed.spki))
	mine, ok := s.key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if err != nil || !ok || !mine.Equal(public) {
		c.fail(ErrMismatch, "certificate", "is not of the signer's key")
	}
	return
}
