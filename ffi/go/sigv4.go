package cloudauth

/*
#include <stdlib.h>
#include <string.h>
#include <cloudauth.h>

// A tag that a device of the caller has made already: so the library's question needs no way back to Go.
struct cloudauth_go_tag {
	uint8_t date[8];
	uint8_t tag[32];
};

static cloudauth_result cloudauth_go_given(void *ctx, cloudauth_bytes message, uint8_t *tag)
{
	const struct cloudauth_go_tag *given = ctx;
	if (message.len != sizeof given->date || memcmp(message.ptr, given->date, message.len) != 0)
		return CLOUDAUTH_ERR_SIGNER;
	memcpy(tag, given->tag, sizeof given->tag);
	return CLOUDAUTH_OK;
}

static void cloudauth_go_use(cloudauth_mac *mac, struct cloudauth_go_tag *given)
{
	mac->ctx = given;
	mac->hmac_sha256 = cloudauth_go_given;
}
*/
import "C"

import (
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// AWSCredentials are credentials of AWS.
type AWSCredentials struct {
	AccessKeyID     string
	SecretAccessKey Secret
	// SessionToken is empty for long-term credentials.
	SessionToken Secret
	// Expires is when temporary credentials end; zero for others. Nothing here looks at it.
	Expires time.Time
}

// MAC is a device that holds an AWS secret access key: its HMAC key is "AWS4" and the secret.
type MAC interface {
	// HMACSHA256 gives the tag of message: 32 octets.
	HMACSHA256(message []byte) ([]byte, error)
}

// SigV4Settings say how a service reads a request.
type SigV4Settings uint32

const (
	// KeepPath leaves "." and ".." in the path.
	KeepPath SigV4Settings = C.CLOUDAUTH_SIGV4_KEEP_PATH
	// EncodeOnce does not percent-encode the path once more.
	EncodeOnce SigV4Settings = C.CLOUDAUTH_SIGV4_ENCODE_ONCE
	// ContentSHA256 adds X-Amz-Content-Sha256.
	ContentSHA256 SigV4Settings = C.CLOUDAUTH_SIGV4_CONTENT_SHA256
	// TokenAfterSigning adds the session token without signing it.
	TokenAfterSigning SigV4Settings = C.CLOUDAUTH_SIGV4_TOKEN_AFTER_SIGNING

	s3Settings SigV4Settings = C.CLOUDAUTH_SIGV4_S3
)

// SigV4Options say who signs, and for whom.
type SigV4Options struct {
	Credentials AWSCredentials
	// MAC takes the place of Credentials.SecretAccessKey.
	MAC MAC
	// Region is such as "eu-central-1".
	Region string
	// Service is the service's signing name: "s3", "sts", "execute-api".
	Service string
	// Settings are added to what the service wants: nothing, but for S3.
	Settings SigV4Settings
}

// SigV4 signs requests with AWS Signature Version 4, for one service in one region. It keeps the key
// that is derived for the day. Close it to wipe the key and the secret; otherwise that is done when it
// is collected.
type SigV4 struct {
	accessKeyID string
	token       Secret
	mac         MAC
	region      string
	service     string
	settings    SigV4Settings

	mu      sync.RWMutex
	keys    *signingKeys // in C memory; nil when closed
	day     int64        // which day keys.day is for
	derived bool
	cleanup runtime.Cleanup
}

type signingKeys struct {
	secret C.cloudauth_hmac_key
	day    C.cloudauth_sigv4_key
}

func (k *signingKeys) free() {
	C.cloudauth_hmac_key_wipe(&k.secret)
	C.cloudauth_sigv4_key_wipe(&k.day)
	C.free(unsafe.Pointer(k))
}

// NewSigV4 makes a signer of requests.
func NewSigV4(options SigV4Options) (*SigV4, error) {
	c := begin("AWS signing key")
	defer c.release()
	s := &SigV4{
		accessKeyID: options.Credentials.AccessKeyID,
		token:       options.Credentials.SessionToken,
		mac:         options.MAC,
		region:      options.Region,
		service:     options.Service,
		settings:    options.Settings,
	}
	switch s.service {
	case "s3", "s3express", "s3-object-lambda", "s3-outposts":
		s.settings |= s3Settings
	}
	if s.mac != nil && options.Credentials.SecretAccessKey != "" {
		c.fail(ErrInvalid, "MAC", "takes the place of the secret access key: expected one of them")
	}
	if c.failed != nil {
		return nil, c.failed
	}
	keys := (*signingKeys)(C.malloc(C.size_t(unsafe.Sizeof(signingKeys{}))))
	*keys = signingKeys{}
	if s.mac == nil {
		secret := octets(&c.memory, options.Credentials.SecretAccessKey)
		if err := c.check(C.cloudauth_hmac_key_init_aws(&keys.secret, secret, c.err)); err != nil {
			keys.free()
			return nil, err
		}
	}
	s.keys = keys
	s.cleanup = runtime.AddCleanup(s, (*signingKeys).free, keys)
	return s, nil
}

// Close wipes the keys. Signing is refused afterwards. It may be called more than once, and never fails.
func (s *SigV4) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys != nil {
		s.cleanup.Stop()
		s.keys.free()
		s.keys = nil
	}
	return nil
}

// with calls f with parameters whose key is derived for the day of at: or, if anyDay, for any day.
func (s *SigV4) with(c *call, at time.Time, anyDay bool, f func(*C.cloudauth_sigv4_params) error) error {
	if c.failed != nil {
		return c.failed
	}
	if s == nil {
		c.fail(ErrInvalid, "signer", "expected one made by NewSigV4")
		return c.failed
	}
	const secondsOfDay = 24 * 60 * 60
	day := at.Unix() / secondsOfDay
	ready := func() bool { return s.keys != nil && s.derived && (anyDay || s.day == day) }
	run := func() error {
		params := sized[C.cloudauth_sigv4_params](&c.memory)
		params.access_key_id = octets(&c.memory, s.accessKeyID)
		params.session_token = octets(&c.memory, s.token)
		params.key = &s.keys.day
		params.flags = C.uint32_t(s.settings)
		return f(params)
	}

	s.mu.RLock()
	if ready() {
		defer s.mu.RUnlock()
		return run()
	}
	s.mu.RUnlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		c.fail(ErrState, "signer", "is closed, or was not made by NewSigV4")
		return c.failed
	}
	if !ready() {
		s.derived = false
		if err := s.derive(c, at); err != nil {
			return err
		}
		s.derived, s.day = true, day
	}
	return run()
}

func (s *SigV4) derive(c *call, at time.Time) error {
	mac := sized[C.cloudauth_mac](&c.memory)
	if s.mac == nil {
		if err := c.check(C.cloudauth_hmac_mac(&s.keys.secret, mac, c.err)); err != nil {
			return err
		}
	} else {
		date := []byte(at.UTC().Format("20060102"))
		tag, err := s.mac.HMACSHA256(append([]byte{}, date...))
		if err != nil {
			return &Error{Op: c.op, Code: ErrSigner, Field: "MAC", Help: "failed", Err: err}
		}
		given := alloc[C.struct_cloudauth_go_tag](&c.memory)
		if len(tag) != len(given.tag) {
			return &Error{Op: c.op, Code: ErrSigner, Field: "MAC", Help: "gave a tag that is not 32 octets long"}
		}
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&given.date[0])), len(given.date)), date)
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&given.tag[0])), len(given.tag)), tag)
		C.cloudauth_go_use(mac, given)
	}
	return c.check(C.cloudauth_sigv4_key_derive(
		&s.keys.day, mac, C.int64_t(at.Unix()),
		octets(&c.memory, s.region), octets(&c.memory, s.service), c.err))
}
