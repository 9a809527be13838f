package cloudauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"
)

// issue makes a token with Go's own cryptography.
func issue(key crypto.Signer, scheme Scheme, header, claims map[string]any) string {
	all := map[string]any{"alg": scheme.String(), "typ": "JWT"}
	for name, value := range header {
		all[name] = value
	}
	encode := base64.RawURLEncoding.EncodeToString
	message := encode(must(json.Marshal(all))) + "." + encode(must(json.Marshal(claims)))
	var opts crypto.SignerOpts = crypto.SHA256
	switch scheme {
	case PS256:
		opts = &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
	case ES384:
		opts = crypto.SHA384
	}
	hash := opts.HashFunc().New()
	hash.Write([]byte(message))
	signature := must(key.Sign(rand.Reader, hash.Sum(nil), opts))
	if public, ok := key.Public().(*ecdsa.PublicKey); ok {
		var rs struct{ R, S *big.Int }
		must(asn1.Unmarshal(signature, &rs))
		half := public.Curve.Params().BitSize / 8
		signature = append(rs.R.FillBytes(make([]byte, half)), rs.S.FillBytes(make([]byte, half))...)
	}
	return message + "." + encode(signature)
}

// jwks writes a JWK set.
func jwks(keys map[string]crypto.PublicKey) []byte {
	encode := base64.RawURLEncoding.EncodeToString
	set := []map[string]string{}
	for kid, key := range keys {
		switch key := key.(type) {
		case *rsa.PublicKey:
			set = append(set, map[string]string{"kty": "RSA", "kid": kid, "use": "sig",
				"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())})
		case *ecdsa.PublicKey:
			point := must(key.Bytes())[1:]
			set = append(set, map[string]string{"kty": "EC", "kid": kid, "crv": key.Curve.Params().Name,
				"x": encode(point[:len(point)/2]), "y": encode(point[len(point)/2:])})
		}
	}
	return must(json.Marshal(map[string]any{"keys": set}))
}

func TestVerify(t *testing.T) {
	type claims = map[string]any
	good := func(change claims) claims {
		all := claims{"iss": "https://issuer.example", "aud": "https://me.example", "sub": "robot",
			"iat": at.Unix() - 10, "nbf": at.Unix() - 10, "exp": at.Unix() + 600, "roles": []string{"a", "b"}}
		for name, value := range change {
			all[name] = value
			if value == nil {
				delete(all, name)
			}
		}
		return all
	}
	public := map[string]crypto.PublicKey{}
	var keys []VerificationKey
	for kind, id := range identities() {
		public[kind] = id.key.Public()
		keys = append(keys, VerificationKey{ID: kind, Key: id.key.Public()})
	}
	published := jwks(public)
	set, err := ParseJWKS(published)
	if err != nil {
		t.Fatal(err)
	}
	clear(published) // nothing of it is kept
	own, err := NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	for _, set := range []*KeySet{set, own} {
		for kind, scheme := range map[string]Scheme{"RSA-2048": RS256, "RSA-3072": PS256, "P-256": ES256, "P-384": ES384} {
			id := who(t, kind)
			expect := Expect{
				Schemes: []Scheme{scheme}, Issuer: "https://issuer.example", Audience: "https://me.example",
				Type: "JWT", Skew: time.Minute, MaxAge: time.Hour,
			}
			named := map[string]any{"kid": kind}
			report, err := set.Verify(issue(id.key, scheme, named, good(nil)), expect, at)
			if err != nil {
				t.Fatal(kind, err)
			}
			var says struct {
				Sub   string
				Roles []string
				Exp   int64
			}
			if err := json.Unmarshal(report.Claims, &says); err != nil {
				t.Fatal(err)
			}
			equal(t, "sub", says.Sub, "robot")
			equal(t, "roles", strings.Join(says.Roles, ","), "a,b")
			equal(t, "exp", says.Exp, at.Unix()+600)
			equal(t, "checks", len(report.Checks), 11)
			for _, check := range report.Checks {
				equal(t, check.Name.String(), check.Outcome, Passed)
			}

			for name, test := range map[string]struct {
				check   CheckName
				header  map[string]any
				claims  claims
				tamper  func(string) string
				changed func(*Expect)
			}{
				"expired":    {CheckExpiry, nil, claims{"exp": at.Unix() - 61}, nil, nil},
				"early":      {CheckNotBefore, nil, claims{"nbf": at.Unix() + 61}, nil, nil},
				"future":     {CheckIssuedAt, nil, claims{"iat": at.Unix() + 61}, nil, nil},
				"old":        {CheckMaxAge, nil, claims{"iat": at.Unix() - 3661}, nil, nil},
				"issuer":     {CheckIssuer, nil, claims{"iss": "https://issuer.example/"}, nil, nil},
				"audience":   {CheckAudience, nil, claims{"aud": []string{"https://me.example", "b"}}, nil, nil},
				"type":       {CheckType, map[string]any{"typ": "at+jwt"}, nil, nil, nil},
				"critical":   {CheckCritical, map[string]any{"crit": []string{"exp"}}, nil, nil, nil},
				"unknown":    {CheckKey, map[string]any{"kid": "other"}, nil, nil, nil},
				"no key id":  {CheckKey, map[string]any{"kid": ""}, nil, nil, nil},
				"algorithm":  {CheckAlgorithm, nil, nil, nil, func(e *Expect) { e.Schemes = nil }},
				"none":       {CheckAlgorithm, map[string]any{"alg": "none"}, nil, nil, nil},
				"HS256":      {CheckAlgorithm, map[string]any{"alg": "HS256"}, nil, nil, nil},
				"other key":  {CheckSignature, map[string]any{"kid": map[string]string{"RSA-2048": "RSA-3072", "RSA-3072": "RSA-2048"}[kind]}, nil, nil, nil},
				"signature":  {CheckSignature, nil, nil, flipLast, nil},
				"no claim":   {CheckExpiry, nil, claims{"exp": nil}, nil, nil},
				"expectance": {CheckIssuer, nil, nil, nil, func(e *Expect) { e.Issuer = "https://other.example" }},
			} {
				if name == "other key" && strings.HasPrefix(kind, "P-") {
					continue
				}
				header := map[string]any{"kid": kind}
				for k, v := range test.header {
					header[k] = v
				}
				token, want := issue(id.key, scheme, header, good(test.claims)), expect
				if test.tamper != nil {
					token = test.tamper(token)
				}
				if test.changed != nil {
					test.changed(&want)
				}
				report, err := set.Verify(token, want, at)
				var ours *Error
				if !errors.As(err, &ours) {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if report == nil {
					t.Errorf("%s: no report: %v", name, err)
					continue
				}
				equal(t, name, report.Checks[test.check].Outcome, Failed)
				if report.Claims != nil || report.Header != nil {
					t.Error("claims of a token that is refused")
				}
			}
			// Waived, what was refused is accepted.
			expect.Issuer, expect.AnyIssuer = "", true
			report, err = set.Verify(issue(id.key, scheme, named, good(claims{"iss": "x"})), expect, at)
			if err != nil {
				t.Error(err)
			} else {
				equal(t, "not asked", report.Checks[CheckIssuer].Outcome, NotAsked)
			}
			expect.AnyIssuer = false
			report, err = set.Verify(issue(id.key, scheme, named, good(nil)), expect, at)
			refused(t, err, ErrInvalid, "issuer")
			if report != nil {
				t.Error("a report of nothing")
			}
		}
		for _, token := range []string{"", ".", "..", "a.b.c", strings.Repeat("A", 1<<17), "\x00.\x00.\x00", "e30.e30.\xff"} {
			if _, err := set.Verify(token, Expect{Schemes: []Scheme{RS256}, AnyIssuer: true, AnyAudience: true}, at); err == nil {
				t.Errorf("%.20q is a token", token)
			}
		}
	}
}

// flipLast changes the signature's first character.
func flipLast(token string) string {
	cut := strings.LastIndexByte(token, '.') + 1
	other := byte('A')
	if token[cut] == 'A' {
		other = 'B'
	}
	return token[:cut] + string(other) + token[cut+1:]
}

func TestKeySets(t *testing.T) {
	for _, bad := range []string{"", "{}", "[]", `{"keys":1}`, "\x00", `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}]}`} {
		if _, err := ParseJWKS([]byte(bad)); err == nil {
			t.Errorf("%q is a key set", bad)
		}
	}
	_, err := NewKeySet(VerificationKey{Key: "key"})
	refused(t, err, ErrUnsupported, "key")
	expect := Expect{Schemes: []Scheme{ES256}, AnyIssuer: true, AnyAudience: true}
	token := issue(who(t, "P-256").key, ES256, nil, map[string]any{"exp": at.Unix() + 1})
	none, err := NewKeySet()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Verify(token, expect, at); err == nil {
		t.Error("verified without a key")
	}
	for _, missing := range []*KeySet{nil, {}} {
		_, err := missing.Verify(token, expect, at)
		refused(t, err, ErrState, "keys")
	}
	one, err := NewKeySet(VerificationKey{Key: who(t, "P-256").key.Public(), Scheme: ES256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Verify(token, expect, at); err != nil {
		t.Error(err)
	}
	expect.Schemes = []Scheme{77}
	_, err = one.Verify(token, expect, at)
	refused(t, err, ErrUnknownNumber, "scheme")
	// As many sets as are made are freed again.
	text := jwks(map[string]crypto.PublicKey{"k": who(t, "P-256").key.Public()})
	for range 1000 {
		if _, err := ParseJWKS(text); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
}
