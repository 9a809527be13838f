package cloudauth

/*
#include <stdlib.h>
#include <cloudauth.h>

#ifndef CLOUDAUTH_STD
#error "the C library was built without its hosted half: build it with the feature std, as ffi/install does"
#endif

static cloudauth_result cloudauth_go_sign(const cloudauth_key *key, cloudauth_scheme scheme,
                                          cloudauth_bytes message, const uint8_t *entropy,
                                          uint8_t *out, size_t cap, size_t *len, cloudauth_error *error)
{
	cloudauth_signer signer = {.size = sizeof signer};
	const cloudauth_bytes none = {NULL, 0};
	cloudauth_result result = cloudauth_key_signer(key, &signer, error);
	if (result != CLOUDAUTH_OK)
		return result;
	if (!signer.supports(signer.ctx, scheme) || signer.max_signature_len(signer.ctx, scheme) > cap)
		return CLOUDAUTH_ERR_UNSUPPORTED;
	// A key that was opened makes the digest itself.
	return signer.sign(signer.ctx, scheme, message, none, entropy, out, cap, len);
}

static uint32_t cloudauth_go_supports(const cloudauth_key *key, cloudauth_scheme scheme)
{
	cloudauth_signer signer = {.size = sizeof signer};
	return cloudauth_key_signer(key, &signer, NULL) == CLOUDAUTH_OK && signer.supports(signer.ctx, scheme);
}

static cloudauth_result cloudauth_go_hmac(const cloudauth_mac_key *key, cloudauth_bytes message,
                                          uint8_t *tag, cloudauth_error *error)
{
	cloudauth_mac mac = {.size = sizeof mac};
	cloudauth_result result = cloudauth_mac_key_mac(key, &mac, error);
	return result == CLOUDAUTH_OK ? mac.hmac_sha256(mac.ctx, message, tag) : result;
}
*/
import "C"

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// object is an object of the hosted half, in C memory of its own.
type object[T any] struct {
	mu      sync.RWMutex
	at      *T // nil when closed
	close   func(*T)
	cleanup runtime.Cleanup
}

// openObject makes one. The message is kept until the call is released.
func openObject[T any](c *call, o *object[T], f func(at *T, message *C.cloudauth_message) C.cloudauth_result, close func(*T)) (said string, err error) {
	if c.failed != nil {
		return "", c.failed
	}
	var zero T
	at := (*T)(C.malloc(C.size_t(unsafe.Sizeof(zero))))
	*at = zero
	free := func(at *T) {
		close(at)
		C.free(unsafe.Pointer(at))
	}
	message := sized[C.cloudauth_message](&c.memory)
	if err := c.told(f(at, message), message); err != nil {
		free(at)
		return "", err
	}
	o.at, o.close = at, free
	o.cleanup = runtime.AddCleanup(o, free, at)
	return c.words(message), nil
}

// Close waits for the calls that are under way.
func (o *object[T]) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at != nil {
		o.cleanup.Stop()
		o.close(o.at)
		o.at = nil
	}
	return nil
}

// use calls f unless it is closed.
func (o *object[T]) use(c *call, f func(at *T) error) error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.at == nil {
		c.fail(ErrState, "", "is closed, or was not opened")
	}
	if c.failed != nil {
		return c.failed
	}
	return f(o.at)
}

// words is what a message says.
func (c *call) words(message *C.cloudauth_message) string {
	return C.GoStringN(&message.text[0], C.int(message.len))
}

// told makes an error of a result, with the words of its message.
func (c *call) told(result C.cloudauth_result, message *C.cloudauth_message) error {
	if result == C.CLOUDAUTH_OK {
		return nil
	}
	err := &Error{Op: c.op, Code: Code(result), Help: c.words(message), Transient: message.transient != 0}
	if message.status != 0 {
		err.Err = &ServiceError{Status: int(message.status), Message: err.Help, Transient: err.Transient}
		err.Help = ""
	}
	return err
}

// Key is a key that the C library opened: a [crypto.Signer] and a [crypto.MessageSigner]. [NewSigner] takes it for the flows of
// this package.
type Key struct {
	object  object[C.cloudauth_key]
	public  crypto.PublicKey
	warning string
}

var _ crypto.MessageSigner = (*Key)(nil)

// OpenKey opens the key that a URI names: "file:PATH", "env:NAME", "pkcs11:..." or, with a C library that
// was built for it, "tpm:...". Nobody is asked for a PIN or a passphrase: the URI or the environment says
// where it is.
func OpenKey(uri string) (*Key, error) {
	c := begin("open key")
	defer c.release()
	key := &Key{}
	var err error
	key.warning, err = openObject(c, &key.object, func(at *C.cloudauth_key, message *C.cloudauth_message) C.cloudauth_result {
		return C.cloudauth_key_open(octets(&c.memory, uri), at, message, c.err)
	}, func(at *C.cloudauth_key) { C.cloudauth_key_close(at) })
	if err != nil {
		return nil, err
	}
	spki := alloc[C.cloudauth_bytes](&c.memory)
	err = c.check(C.cloudauth_key_public(key.object.at, spki, c.err))
	if err == nil {
		key.public, err = x509.ParsePKIXPublicKey(append([]byte{}, view(*spki)...))
		if err != nil {
			err = &Error{Op: c.op, Code: ErrUnsupported, Field: "public key", Err: err}
		}
	}
	if err != nil {
		key.Close()
		return nil, err
	}
	return key, nil
}

// Warning is what there is to know about how the key is kept, such as that others can read its file; else
// empty.
func (k *Key) Warning() string { return k.warning }

// Public is the public key.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Close closes the key, once no call uses it any more. Signing is refused afterwards. It may be called more
// than once, and never fails.
func (k *Key) Close() error { return k.object.Close() }

// Sign signs the digest of a message, for what has no more: [crypto/tls], [crypto/x509] and this package use
// SignMessage. opts is as there, and names the digest's hash. A token that signs only what it has hashed itself
// is refused with [ErrUnsupported].
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c := begin("sign")
	defer c.release()
	scheme, coordinate := k.scheme(c, opts)
	if c.failed == nil && len(digest) != opts.HashFunc().Size() {
		c.fail(ErrLength, "digest", fmt.Sprintf("expected the %d octets of %v, not %d", opts.HashFunc().Size(), opts.HashFunc(), len(digest)))
	}
	given := octets(&c.memory, digest)
	return k.sign(c, coordinate, func(at *C.cloudauth_key, out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		return C.cloudauth_key_sign_digest(at, scheme, given, out, size, n, c.err)
	})
}

// SignMessage signs a message: RSA with PKCS #1 v1.5 or, with [rsa.PSSOptions], PSS, ECDSA with a signature in
// DER. The hash is SHA-256, or SHA-384 on P-384; the salt of PSS has 32 octets. Random octets are the library's
// own.
func (k *Key) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	c := begin("sign")
	defer c.release()
	scheme, coordinate := k.scheme(c, opts)
	entropy := c.alloc(32)
	_, _ = rand.Read(unsafe.Slice((*byte)(entropy), 32)) // it never fails
	given := octets(&c.memory, message)
	return k.sign(c, coordinate, func(at *C.cloudauth_key, out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		return C.cloudauth_go_sign(at, scheme, given, (*C.uint8_t)(entropy), out, size, n, c.err)
	})
}

// sign gives the signature that f makes, as Go wants it.
func (k *Key) sign(c *call, coordinate int, f func(at *C.cloudauth_key, out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result) ([]byte, error) {
	var signature []byte
	err := k.object.use(c, func(at *C.cloudauth_key) error {
		raw, err := c.fill(C.CLOUDAUTH_MAX_SIGNATURE_LEN, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
			return f(at, out, size, n)
		})
		if err == nil && coordinate != 0 {
			given := C.cloudauth_bytes{ptr: (*C.uint8_t)(unsafe.SliceData(raw)), len: C.size_t(len(raw))}
			raw, err = c.fill(2*coordinate+16, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
				return C.cloudauth_ecdsa_der_from_raw(given, out, size, n, c.err)
			})
		}
		signature = append([]byte{}, raw...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return signature, nil
}

// Certificate is a certificate of this key for [tls.Config], as a server or as a client; chain is in DER, the
// key's own certificate first. It names the signature algorithms that the key can do, so that Go chooses no
// other: a key on P-384 may be asked for SHA-384 alone, one in a device only for what that offers.
func (k *Key) Certificate(chain ...[]byte) (tls.Certificate, error) {
	c := begin("TLS certificate")
	defer c.release()
	none := tls.Certificate{}
	if len(chain) == 0 {
		c.fail(ErrInvalid, "certificate", "expected one, or a chain that begins with it")
		return none, c.failed
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return none, &Error{Op: c.op, Code: ErrMalformed, Field: "certificate", Err: err}
	}
	if mine, ok := k.public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !mine.Equal(leaf.PublicKey) {
		c.fail(ErrMismatch, "certificate", "is not of this key")
		return none, c.failed
	}
	var known []tls.SignatureScheme
	err = k.object.use(c, func(at *C.cloudauth_key) error {
		for _, scheme := range tlsSchemes {
			if C.cloudauth_go_supports(at, C.cloudauth_scheme(scheme.scheme)) != 0 {
				known = append(known, scheme.tls)
			}
		}
		return nil
	})
	if err != nil {
		return none, err
	}
	return tls.Certificate{Certificate: chain, PrivateKey: k, Leaf: leaf, SupportedSignatureAlgorithms: known}, nil
}

var tlsSchemes = []struct {
	scheme Scheme
	tls    tls.SignatureScheme
}{
	{PS256, tls.PSSWithSHA256}, {RS256, tls.PKCS1WithSHA256}, {ES256, tls.ECDSAWithP256AndSHA256},
	{ES384, tls.ECDSAWithP384AndSHA384},
}

// scheme is what to sign with, and the octets of a coordinate.
func (k *Key) scheme(c *call, opts crypto.SignerOpts) (C.cloudauth_scheme, int) {
	var hash crypto.Hash
	if opts != nil {
		hash = opts.HashFunc()
	}
	pss, isPSS := opts.(*rsa.PSSOptions)
	expected := "SHA-256"
	switch public := k.public.(type) {
	case nil:
		c.fail(ErrState, "key", "was not opened: OpenKey does that")
		return 0, 0
	case *rsa.PublicKey:
		switch {
		case hash != crypto.SHA256:
		case !isPSS:
			return C.cloudauth_scheme(RS256), 0
		case pss.SaltLength == 32 || pss.SaltLength == rsa.PSSSaltLengthEqualsHash:
			return C.cloudauth_scheme(PS256), 0
		case pss.SaltLength == rsa.PSSSaltLengthAuto:
			c.fail(ErrUnsupported, "salt", "expected 32 octets, not as many as there is room for: set PSSSaltLengthEqualsHash")
			return 0, 0
		default:
			c.fail(ErrUnsupported, "salt", fmt.Sprintf("expected 32 octets, not %d", pss.SaltLength))
			return 0, 0
		}
	case *ecdsa.PublicKey:
		size := (public.Curve.Params().BitSize + 7) / 8
		if size == 48 {
			expected = "SHA-256 or SHA-384"
		}
		switch {
		case isPSS:
			c.fail(ErrUnsupported, "options", "PSS is a padding of RSA, and this key is on "+public.Curve.Params().Name)
			return 0, 0
		case size == 32 && hash == crypto.SHA256:
			return C.cloudauth_scheme(ES256), size
		case size == 48 && hash == crypto.SHA256:
			return C.cloudauth_scheme(p384SHA256), size
		case size == 48 && hash == crypto.SHA384:
			return C.cloudauth_scheme(ES384), size
		}
	}
	if hash == 0 {
		c.fail(ErrUnsupported, "hash", "expected "+expected+", and none is named: no octets are signed as they are")
	} else {
		c.fail(ErrUnsupported, "hash", fmt.Sprintf("expected %s, not %v", expected, hash))
	}
	return 0, 0
}

// MACKey is an AWS secret access key that the C library opened: a [MAC] for [SigV4Options].
type MACKey struct {
	object  object[C.cloudauth_mac_key]
	warning string
}

var _ MAC = (*MACKey)(nil)

// OpenMACKey opens the AWS secret access key that a URI names, as [OpenKey] does. A file or a variable holds the
// secret as AWS gives it; a device holds "AWS4" and the secret.
func OpenMACKey(uri string) (*MACKey, error) {
	c := begin("open AWS secret access key")
	defer c.release()
	key := &MACKey{}
	var err error
	key.warning, err = openObject(c, &key.object, func(at *C.cloudauth_mac_key, message *C.cloudauth_message) C.cloudauth_result {
		return C.cloudauth_mac_key_open(octets(&c.memory, uri), at, message, c.err)
	}, func(at *C.cloudauth_mac_key) { C.cloudauth_mac_key_close(at) })
	if err != nil {
		return nil, err
	}
	return key, nil
}

// Warning is as [Key.Warning].
func (k *MACKey) Warning() string { return k.warning }

// Close is as [Key.Close].
func (k *MACKey) Close() error { return k.object.Close() }

// HMACSHA256 gives the tag of message.
func (k *MACKey) HMACSHA256(message []byte) ([]byte, error) {
	c := begin("HMAC-SHA256")
	defer c.release()
	tag := c.alloc(32)
	err := k.object.use(c, func(at *C.cloudauth_mac_key) error {
		return c.check(C.cloudauth_go_hmac(at, octets(&c.memory, message), (*C.uint8_t)(tag), c.err))
	})
	if err != nil {
		return nil, err
	}
	return C.GoBytes(tag, 32), nil
}

// Client gives live credentials of the profiles of a configuration file: it opens their keys, calls the
// services, keeps what they issue, and renews it before it ends. However many ask at once, one call is made.
type Client struct{ object object[C.cloudauth_client] }

// BearerToken is a token for the header "Authorization: Bearer".
type BearerToken struct {
	Token Secret
	// Expires is when it is refused.
	Expires time.Time
}

// OpenClient reads a configuration file. An empty path is that of CLOUDAUTH_CONFIG, else
// cloudauth/config.toml in $XDG_CONFIG_HOME or ~/.config. No service is called before a credential is asked
// for.
func OpenClient(path string) (*Client, error) {
	return openClient(func(c *call, at *C.cloudauth_client, message *C.cloudauth_message) C.cloudauth_result {
		return C.cloudauth_client_open(octets(&c.memory, path), at, message, c.err)
	})
}

func openClient(
	open func(c *call, at *C.cloudauth_client, message *C.cloudauth_message) C.cloudauth_result,
) (*Client, error) {
	c := begin("open configuration")
	defer c.release()
	client := &Client{}
	_, err := openObject(c, &client.object, func(at *C.cloudauth_client, message *C.cloudauth_message) C.cloudauth_result {
		return open(c, at, message)
	}, func(at *C.cloudauth_client) { C.cloudauth_client_close(at) })
	if err != nil {
		return nil, err
	}
	return client, nil
}

// Close forgets the credentials, once no call uses them any more: that can take as long as the service does. It
// may be called more than once, and never fails.
func (cl *Client) Close() error { return cl.object.Close() }

// AWSKeys gives the AWS credentials of a profile; an empty one is that of the variable CLOUDAUTH_PROFILE. Where
// ctx ends first, the call to the service goes on, and what it brings is kept for the next one who asks.
func (cl *Client) AWSKeys(ctx context.Context, profile string) (*AWSCredentials, error) {
	return ask(ctx, cl, "AWS credentials", func(c *call, at *C.cloudauth_client, message *C.cloudauth_message) (*AWSCredentials, error) {
		keys := sized[C.cloudauth_aws_credentials](&c.memory)
		_, err := c.fillTold(message, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
			return C.cloudauth_client_aws_keys(at, octets(&c.memory, profile), out, size, n, keys, message, c.err)
		})
		if err != nil {
			return nil, err
		}
		made := credentials(keys.access_key_id, keys.secret_access_key, keys.session_token, keys.expiration)
		return &made, nil
	})
}

// BearerToken gives the token of a profile of Azure or Google Cloud; all else is as with [Client.AWSKeys].
func (cl *Client) BearerToken(ctx context.Context, profile string) (*BearerToken, error) {
	return ask(ctx, cl, "bearer token", func(c *call, at *C.cloudauth_client, message *C.cloudauth_message) (*BearerToken, error) {
		expires := alloc[C.int64_t](&c.memory)
		token, err := c.fillTold(message, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
			return C.cloudauth_client_bearer_token(at, octets(&c.memory, profile), out, size, n, expires, message, c.err)
		})
		if err != nil {
			return nil, err
		}
		return &BearerToken{Token: Secret(token), Expires: time.Unix(int64(*expires), 0)}, nil
	})
}

// Invalidate forgets the credential of a profile, because a service refused it: the next call gets a new one.
func (cl *Client) Invalidate(profile string) error {
	c := begin("invalidate")
	defer c.release()
	message := sized[C.cloudauth_message](&c.memory)
	return cl.object.use(c, func(at *C.cloudauth_client) error {
		return c.told(C.cloudauth_client_invalidate(at, octets(&c.memory, profile), message, c.err), message)
	})
}

// fillTold is fill, with the words of a message.
func (c *call) fillTold(message *C.cloudauth_message, f func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result) ([]byte, error) {
	result := C.cloudauth_result(C.CLOUDAUTH_OK)
	out, err := c.fill(4096, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		result = f(out, size, n)
		return result
	})
	if err != nil && result != C.CLOUDAUTH_OK {
		err = c.told(result, message)
	}
	return out, err
}

// ask calls f, and waits for it no longer than ctx allows.
func ask[T any](
	ctx context.Context, cl *Client, op string, f func(c *call, at *C.cloudauth_client, message *C.cloudauth_message) (*T, error),
) (*T, error) {
	type answer struct {
		value *T
		err   error
	}
	work := func() (a answer) {
		c := begin(op)
		defer c.release()
		message := sized[C.cloudauth_message](&c.memory)
		a.err = cl.object.use(c, func(at *C.cloudauth_client) (err error) {
			a.value, err = f(c, at, message)
			return err
		})
		return a
	}
	if ctx.Done() == nil {
		a := work()
		return a.value, a.err
	}
	given := make(chan answer, 1)
	if ctx.Err() == nil {
		go func() { given <- work() }()
	}
	select {
	case a := <-given:
		return a.value, a.err
	case <-ctx.Done():
		return nil, &Error{Op: op, Code: ErrTransport, Help: "was not waited for", Err: context.Cause(ctx), Transient: true}
	}
}
