package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"runtime"
	"time"
)

// KeySet is the public keys that may verify tokens.
type KeySet struct {
	memory *memory
	jwks   *C.cloudauth_jwks // of a JWK set,
	keys   *C.cloudauth_jws_key
	count  C.size_t // or these
}

// own gives the set its memory, until it is collected. There is no secret in it.
func (k *KeySet) own(m memory) *KeySet {
	k.memory = &m
	runtime.AddCleanup(k, (*memory).release, k.memory)
	return k
}

// ParseJWKS reads a JWK set (RFC 7517). Keys for other purposes are passed over; a set with a damaged,
// weak, private or repeated key is refused.
func ParseJWKS(text []byte) (*KeySet, error) {
	c := begin("JWK set")
	defer c.release()
	if c.failed != nil {
		return nil, c.failed
	}
	var m memory
	k := &KeySet{jwks: alloc[C.cloudauth_jwks](&m)}
	mine := octets(&m, text)
	if err := c.check(C.cloudauth_jwks_parse(k.jwks, mine.ptr, mine.len, c.err)); err != nil {
		m.release()
		return nil, err
	}
	return k.own(m), nil
}

// VerificationKey is a key that may verify tokens.
type VerificationKey struct {
	// ID is its name (kid). A key without one verifies only tokens that name none, and only if it is the
	// only key.
	ID string
	// Key is an *rsa.PublicKey or an *ecdsa.PublicKey on P-256 or P-384.
	Key crypto.PublicKey
	// Scheme is the one that the key is for; 0 for any that suits its type.
	Scheme Scheme
}

// NewKeySet makes a set of keys that the caller has; at most 64.
func NewKeySet(keys ...VerificationKey) (*KeySet, error) {
	c := begin("set of keys")
	defer c.release()
	var m memory
	first, all := array[C.cloudauth_jws_key](&m, len(keys))
	for i, key := range keys {
		spki, err := x509.MarshalPKIXPublicKey(key.Key)
		if err != nil && c.failed == nil {
			c.failed = &Error{Op: c.op, Code: ErrUnsupported, Field: "key", Err: err}
		}
		all[i].kid = octets(&m, key.ID)
		all[i].spki = octets(&m, spki)
		all[i].scheme = C.cloudauth_scheme(key.Scheme)
	}
	if c.failed != nil {
		m.release()
		return nil, c.failed
	}
	return (&KeySet{keys: first, count: C.size_t(len(keys))}).own(m), nil
}

// Expect is what a token must be. Nothing of it is taken from the token.
type Expect struct {
	// Schemes are those that a token may be signed with; none refuses every token.
	Schemes []Scheme
	// Issuer is the one (iss) that is accepted; empty only with AnyIssuer.
	Issuer string
	// Audience is the one (aud) that is accepted; empty only with AnyAudience.
	Audience string
	// AnyIssuer and AnyAudience waive what they name.
	AnyIssuer, AnyAudience bool
	// Type is the header's (typ) that is accepted; empty not to look at it.
	Type string
	// Skew is how far the issuer's clock may be from ours; a minute is usual.
	Skew time.Duration
	// MaxAge is the greatest age, counted from iat, which is then required; 0 for no limit but exp.
	MaxAge time.Duration
}

// CheckName is what one check of a token looks at.
type CheckName uint32

// The checks of a token.
const (
	CheckAlgorithm CheckName = C.CLOUDAUTH_JWS_CHECK_ALG       // the algorithm is one of those expected
	CheckCritical  CheckName = C.CLOUDAUTH_JWS_CHECK_CRIT      // no header extension that must be understood
	CheckType      CheckName = C.CLOUDAUTH_JWS_CHECK_TYP       // the type is the expected one
	CheckKey       CheckName = C.CLOUDAUTH_JWS_CHECK_KEY       // the key is among those given
	CheckSignature CheckName = C.CLOUDAUTH_JWS_CHECK_SIGNATURE // the signature is that key's
	CheckExpiry    CheckName = C.CLOUDAUTH_JWS_CHECK_EXP       // not expired
	CheckNotBefore CheckName = C.CLOUDAUTH_JWS_CHECK_NBF       // valid already
	CheckIssuedAt  CheckName = C.CLOUDAUTH_JWS_CHECK_IAT       // not issued in the future
	CheckMaxAge    CheckName = C.CLOUDAUTH_JWS_CHECK_MAX_AGE   // not older than allowed
	CheckIssuer    CheckName = C.CLOUDAUTH_JWS_CHECK_ISS       // the issuer is the expected one
	CheckAudience  CheckName = C.CLOUDAUTH_JWS_CHECK_AUD       // the audience is the expected one and no other
)

var checkNames = [...]string{
	CheckAlgorithm: "alg", CheckCritical: "crit", CheckType: "typ", CheckKey: "key",
	CheckSignature: "signature", CheckExpiry: "exp", CheckNotBefore: "nbf", CheckIssuedAt: "iat",
	CheckMaxAge: "max age", CheckIssuer: "iss", CheckAudience: "aud",
}

// As many as the header has.
var _ [C.CLOUDAUTH_JWS_CHECK_COUNT]string = checkNames

func (n CheckName) String() string {
	if int(n) < len(checkNames) {
		return checkNames[n]
	}
	return fmt.Sprint(uint32(n))
}

// Outcome is what came of a check.
type Outcome uint32

const (
	// NotReached says that the check was not made: one that it rests on failed, or the token cannot be read.
	NotReached Outcome = C.CLOUDAUTH_JWS_NOT_REACHED
	// Passed says that it holds.
	Passed Outcome = C.CLOUDAUTH_JWS_PASSED
	// NotAsked says that nothing was to be checked.
	NotAsked Outcome = C.CLOUDAUTH_JWS_NOT_ASKED
	// Failed says that it does not hold.
	Failed Outcome = C.CLOUDAUTH_JWS_FAILED
)

func (o Outcome) String() string {
	switch o {
	case NotReached:
		return "not reached"
	case Passed:
		return "passed"
	case NotAsked:
		return "not asked"
	case Failed:
		return "failed"
	}
	return fmt.Sprint(uint32(o))
}

// Check is one check of a token.
type Check struct {
	Name    CheckName
	Outcome Outcome
	// Code, Field and Help say why it failed, as in an Error.
	Code        Code
	Field, Help string
}

// Report is every check of a token, and what the token says if all of them hold.
type Report struct {
	// Checks are all of them, by name.
	Checks []Check
	// Header and Claims are JSON; nil if the token is refused.
	Header, Claims json.RawMessage
}

// Verify verifies a token (a compact JWS with JWT claims). at is [time.Now] as a rule. Every check is
// made: where the token is refused, the error is that of the first failure, and the report, if the
// token was looked at, says all that is wrong.
func (k *KeySet) Verify(token string, expect Expect, at time.Time) (*Report, error) {
	c := begin("token verification")
	defer c.release()
	if k == nil || k.memory == nil {
		c.fail(ErrState, "keys", "expected a set made by ParseJWKS or NewKeySet")
	}
	e := sized[C.cloudauth_jws_expect](&c.memory)
	schemes, all := array[C.cloudauth_scheme](&c.memory, len(expect.Schemes))
	for i, scheme := range expect.Schemes {
		all[i] = C.cloudauth_scheme(scheme)
	}
	e.schemes, e.scheme_count = schemes, C.size_t(len(expect.Schemes))
	e.issuer = octets(&c.memory, expect.Issuer)
	e.audience = octets(&c.memory, expect.Audience)
	e.typ = octets(&c.memory, expect.Type)
	e.time = C.int64_t(at.Unix())
	e.skew = c.seconds(expect.Skew, "skew")
	e.max_age = c.seconds(expect.MaxAge, "max age")
	e.flags = flag(expect.AnyIssuer)*C.CLOUDAUTH_JWS_ANY_ISSUER +
		flag(expect.AnyAudience)*C.CLOUDAUTH_JWS_ANY_AUDIENCE
	compact := octets(&c.memory, token)
	report := sized[C.cloudauth_jws_report](&c.memory)
	_, err := c.fill(4<<10, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		if k.jwks != nil {
			return C.cloudauth_jws_verify_jwks(compact, e, k.jwks, out, size, n, report, c.err)
		}
		return C.cloudauth_jws_verify(compact, e, k.keys, k.count, out, size, n, report, c.err)
	})
	runtime.KeepAlive(k)
	result := &Report{}
	looked := false
	for i, check := range report.checks {
		looked = looked || check.outcome != C.CLOUDAUTH_JWS_NOT_REACHED
		result.Checks = append(result.Checks, Check{
			Name: CheckName(i), Outcome: Outcome(check.outcome), Code: Code(check.result),
			Field: text(check.field), Help: text(check.help),
		})
	}
	if err != nil {
		if !looked {
			result = nil
		}
		return result, err
	}
	if result.Header, err = c.json(&report.header); err != nil {
		return nil, err
	}
	if result.Claims, err = c.json(&report.claims); err != nil {
		return nil, err
	}
	return result, nil
}

// json copies a whole value to Go.
func (c *call) json(value *C.cloudauth_json) (json.RawMessage, error) {
	whole, err := c.fill(4<<10, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		return C.cloudauth_json_write(value, C.cloudauth_bytes{}, out, size, n, c.err)
	})
	if err != nil {
		return nil, err
	}
	return append(json.RawMessage{}, whole...), nil
}
