package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	random "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libcloudauth/libcloudauth/tests/attested/binder"
)

// A request that has one thing wrong, or none.
type kind struct {
	name string
	// How many of a hundred. A signature is what costs most, so requests that need none of their own are many.
	share   int
	status  int
	problem string
	// The change, or where it is more than one, the body as a whole.
	change func(*draft)
	body   func(*talk, [32]byte) ([]byte, error)
}

// What a request is made of.
type draft struct {
	role                    binder.Role
	request, sent           string
	claims, audience, nonce string
	nonces                  func(string) string
	made, until             time.Time
	key                     *rsa.PrivateKey
	wrap                    func([]byte) []byte
}

// A conversation, and the good requests that were made on it and before it.
type talk struct {
	*conversation
	last, before []byte
	other        *rsa.PrivateKey
}

const (
	good      = "good"
	spent     = "its challenge used a second time"
	forbidden = http.StatusForbidden
)

func (d *draft) replace(old, new string) {
	if strings.Count(d.claims, old) != 1 {
		log.Fatalf("the claims do not have one %s", old)
	}
	d.claims = strings.Replace(d.claims, old, new, 1)
}

// Each must be refused for exactly what is wrong with it.
var kinds = []kind{
	{name: good, share: 15, status: http.StatusOK, change: func(*draft) {}},

	// These need no new signature.
	{name: spent, share: 11, status: http.StatusConflict, problem: "challenge_expired"},
	{name: "replayed on its connection", share: 11, status: forbidden, problem: "channel_mismatch",
		body: func(t *talk, _ [32]byte) ([]byte, error) { return t.last, nil }},
	{name: "of another connection", share: 11, status: forbidden, problem: "channel_mismatch",
		body: func(t *talk, _ [32]byte) ([]byte, error) { return t.before, nil }},
	{name: "another token's signature", share: 11, status: forbidden, problem: "attestation_invalid",
		body: func(t *talk, challenge [32]byte) ([]byte, error) {
			another := attestationOf(t.last)
			return t.forge(challenge, header, func(string) string { return another[strings.LastIndexByte(another, '.')+1:] })
		}},
	{name: "alg none", share: 11, status: forbidden, problem: "attestation_invalid",
		body: func(t *talk, challenge [32]byte) ([]byte, error) {
			return t.forge(challenge, `{"alg":"none","typ":"JWT","kid":"load"}`, func(string) string { return "" })
		}},
	{name: "HS256 with the public key", share: 10, status: forbidden, problem: "attestation_invalid",
		body: func(t *talk, challenge [32]byte) ([]byte, error) {
			public, err := x509.MarshalPKIXPublicKey(&t.key.PublicKey)
			check(err)
			mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
			return t.forge(challenge, `{"alg":"HS256","typ":"JWT","kid":"load"}`, func(signed string) string {
				mac.Write([]byte(signed))
				return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
			})
		}},

	// Each of these is signed.
	{name: "request changed after binding", share: 2, status: forbidden, problem: "channel_mismatch",
		change: func(d *draft) { d.request, d.sent = `{"grant":"less"}`, d.request }},
	{name: "the server's role", share: 1, status: forbidden, problem: "channel_mismatch",
		change: func(d *draft) { d.role = binder.Server }},
	{name: "two nonces", share: 1, status: forbidden, problem: "channel_mismatch",
		change: func(d *draft) {
			d.nonces = func(right string) string { return fmt.Sprintf(`[%q,%q]`, right, "0123456789") }
		}},
	{name: "signed by another key", share: 1, status: forbidden, problem: "attestation_invalid",
		change: func(d *draft) { d.key = nil }},
	{name: "expired", share: 2, status: forbidden, problem: "attestation_invalid",
		change: func(d *draft) { d.made, d.until = d.made.Add(-2*time.Hour), d.made.Add(-5*time.Minute) }},
	{name: "not valid yet", share: 1, status: forbidden, problem: "attestation_invalid",
		change: func(d *draft) { d.made = d.made.Add(5 * time.Minute) }},
	{name: "another issuer", share: 1, status: forbidden, problem: "attestation_invalid",
		change: func(d *draft) { d.replace(`"iss":"https://issuer.`, `"iss":"https://others.`) }},
	{name: "another audience", share: 2, status: forbidden, problem: "denied",
		change: func(d *draft) { d.audience = "https://another.example" }},
	{name: "no such grant", share: 1, status: forbidden, problem: "denied",
		change: func(d *draft) { d.request = `{"grant":"admin"}` }},
	{name: "a grant for another image", share: 1, status: forbidden, problem: "denied",
		change: func(d *draft) { d.request = `{"grant":"more"}` }},
	{name: "debug image", share: 2, status: forbidden, problem: "denied",
		change: func(d *draft) { d.replace(`"dbgstat":"disabled-since-boot"`, `"dbgstat":"enabled"`) }},
	{name: "another project", share: 1, status: forbidden, problem: "denied",
		change: func(d *draft) { d.replace(`"project_id":"demo-`, `"project_id":"evil-`) }},
	{name: "a variable of the operator's", share: 1, status: forbidden, problem: "denied",
		change: func(d *draft) { d.replace(`"restart_policy":`, `"env_override":{"A":"b"},"restart_policy":`) }},
	{name: "a member too many in the request", share: 1, status: http.StatusBadRequest, problem: "malformed",
		change: func(d *draft) { d.request = `{"grant":"g","role":"admin"}` }},
	{name: "a repeated member", share: 1, status: http.StatusBadRequest, problem: "malformed",
		change: func(d *draft) {
			d.wrap = func(body []byte) []byte { return append([]byte(`{"request":"",`), body[1:]...) }
		}},
	{name: "something after the body", share: 1, status: http.StatusBadRequest, problem: "malformed",
		change: func(d *draft) { d.wrap = func(body []byte) []byte { return append(body, "ok"...) } }},
}

func (t *talk) draft() draft {
	now := time.Now()
	return draft{
		role: binder.Client, request: `{"grant":"` + t.grant + `"}`, claims: t.claims, audience: t.audience,
		nonces: func(right string) string { return fmt.Sprintf("%q", right) }, made: now, until: now.Add(time.Hour),
		key: t.key, wrap: func(body []byte) []byte { return body },
	}
}

// What the attestation says.
func (t *talk) say(d *draft, challenge [32]byte) ([]byte, error) {
	nonce, err := t.nonce(d.role, challenge, d.audience, []byte(d.request))
	return payload(d.claims, d.audience, d.nonces(nonce), d.made, d.until), err
}

// A good request but for the head of its attestation and the signature.
func (t *talk) forge(challenge [32]byte, header string, signature func(signed string) string) ([]byte, error) {
	d := t.draft()
	said, err := t.say(&d, challenge)
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode(said)
	return credentialsBody([]byte(d.request), signed+"."+signature(signed)), err
}

func (t *talk) drafted(challenge [32]byte, change func(*draft)) ([]byte, error) {
	d := t.draft()
	change(&d)
	said, err := t.say(&d, challenge)
	if err != nil {
		return nil, err
	}
	if d.key == nil {
		d.key = t.other
	}
	attestation, err := sign(d.key, said)
	if d.sent == "" {
		d.sent = d.request
	}
	return d.wrap(credentialsBody([]byte(d.sent), attestation)), err
}

func attestationOf(body []byte) string {
	var sent struct{ Attestation string }
	check(json.Unmarshal(body, &sent))
	return sent.Attestation
}

// Sends one request of a kind and looks at the answer.
func (t *talk) try(k *kind) error {
	if k.name == spent {
		// There is none left: each one before was used, by a good request or by a bad one.
		got, err := t.post("/v1/credentials", t.last)
		if err != nil {
			return err
		}
		return k.judge(got, t.grant)
	}
	challenge, err := t.challenge()
	if err != nil {
		return err
	}
	body := k.body
	if body == nil {
		body = func(t *talk, challenge [32]byte) ([]byte, error) { return t.drafted(challenge, k.change) }
	}
	made, err := body(t, challenge)
	if err != nil {
		return err
	}
	if k.name == good {
		t.last = made
	}
	got, err := t.post("/v1/credentials", made)
	if err != nil {
		return err
	}
	return k.judge(got, t.grant)
}

// Whether the answer is the one that this kind must get.
func (k *kind) judge(got answer, grant string) error {
	wrong := fmt.Errorf("%s: answered with %d %s", k.name, got.status, got.text)
	if got.status != k.status {
		return wrong
	}
	if k.problem == "" {
		var given struct {
			Grant  string
			Bearer struct {
				Token string `json:"access_token"`
			}
		}
		if json.Unmarshal(got.text, &given) != nil || given.Grant != grant || given.Bearer.Token == "" {
			return wrong
		}
		return nil
	}
	var problem struct {
		Type   string
		Status int
	}
	if json.Unmarshal(got.text, &problem) != nil || got.kind != "application/problem+json" ||
		problem.Type != "urn:libcloudauth:error:"+k.problem || problem.Status != k.status ||
		bytes.Contains(got.text, []byte("access_token")) {
		return wrong
	}
	return nil
}

// Many requests on many connections, good and bad ones in a random order.
func (t *target) mixed(result map[string]any) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	var order []int
	for i, k := range kinds {
		for range k.share {
			order = append(order, i)
		}
	}
	if len(order) != 100 {
		log.Fatalf("the shares are %d of a hundred", len(order))
	}
	seed := uint64(time.Now().UnixNano())
	counts, wrong := make([]atomic.Int64, len(kinds)), make([]atomic.Int64, len(kinds))
	var left, connections atomic.Int64
	left.Store(int64(t.requests))
	all := t.begin()
	var group sync.WaitGroup
	for worker := range t.workers {
		chance := random.New(random.NewPCG(seed, uint64(worker)))
		group.Go(func() {
			var before []byte
			for left.Load() > 0 {
				c, err := t.converse()
				if err != nil {
					// Without a connection no request is refused, and none is made.
					all.add(0, err)
					time.Sleep(10 * time.Millisecond)
					left.Add(-1)
					continue
				}
				connections.Add(1)
				talk := &talk{conversation: c, before: before, other: other}
				for i := 0; i < kept && left.Add(-1) >= 0; i++ {
					// The first one is good: others are made of it.
					which := 0
					if i > 0 && talk.before != nil {
						which = order[chance.IntN(len(order))]
					}
					start := time.Now()
					err := talk.try(&kinds[which])
					all.add(time.Since(start), err)
					counts[which].Add(1)
					if err != nil {
						wrong[which].Add(1)
						break
					}
					if talk.before == nil {
						break
					}
				}
				before = talk.last
				c.close()
			}
		})
	}
	group.Wait()
	all.write(t, result)
	each, failures := map[string]int64{}, map[string]int64{}
	for i, k := range kinds {
		each[k.name] = counts[i].Load()
		if count := wrong[i].Load(); count > 0 {
			failures[k.name] = count
		}
	}
	result["kinds"], result["wrong"], result["connections"], result["seed"] = each, failures, connections.Load(), seed
}
