package cloudauth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

func signatureOf(t *testing.T, request *http.Request) string {
	t.Helper()
	_, signature, ok := strings.Cut(request.Header.Get("Authorization"), "Signature=")
	if !ok {
		t.Fatal(request.Header)
	}
	return signature
}

// Known answers of AWS's signing test suite.
func TestSigningSuite(t *testing.T) {
	s := must(NewSigV4(SigV4Options{Credentials: example, Region: "us-east-1", Service: "service"}))
	defer s.Close()
	when := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	for _, test := range []struct {
		name, method, target, body string
		header                     http.Header
		signature                  string
	}{
		{"get-vanilla", "", "/", "", nil,
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", "", nil,
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "", nil,
			"07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
		{"get-header-key-duplicate", "GET", "/", "", http.Header{"My-Header1": {"value2", "value2", "value1"}},
			"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{"get-header-value-trim", "GET", "/", "", http.Header{"My-Header1": {" value1"}, "My-Header2": {` "a   b   c"`}},
			"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"post-vanilla", "POST", "/", "", nil,
			"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-x-www-form-urlencoded", "POST", "/", "Param1=value1",
			http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		var body io.Reader
		if test.body != "" {
			body = strings.NewReader(test.body)
		}
		request := must(http.NewRequest(test.method, "https://example.amazonaws.com"+test.target, body))
		for name, values := range test.header {
			request.Header[name] = values
		}
		if err := s.Sign(request, when, ""); err != nil {
			t.Error(test.name, err)
			continue
		}
		equal(t, test.name, signatureOf(t, request), test.signature)
		equal(t, "date", request.Header.Get("X-Amz-Date"), "20150830T123600Z")
	}
}

// Known answers of the S3 API reference ("Signature Calculations for the Authorization Header").
func TestS3Reference(t *testing.T) {
	s := must(NewSigV4(SigV4Options{
		Credentials: AWSCredentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		Region:      "us-east-1", Service: "s3",
	}))
	defer s.Close()
	when := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	const host = "https://examplebucket.s3.amazonaws.com"

	request := must(http.NewRequest("GET", host+"/test.txt", nil))
	request.Header.Set("Range", "bytes=0-9")
	if err := s.Sign(request, when, ""); err != nil {
		t.Fatal(err)
	}
	equal(t, "GET", signatureOf(t, request), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")

	// Package url leaves $ in a path as it is; S3 compares with %24.
	request = must(http.NewRequest("PUT", host+"/test$file.text", strings.NewReader("Welcome to Amazon S3.")))
	request.Header.Set("Date", "Fri, 24 May 2013 00:00:00 GMT")
	request.Header.Set("X-Amz-Storage-Class", "REDUCED_REDUNDANCY")
	if err := s.Sign(request, when, ""); err != nil {
		t.Fatal(err)
	}
	equal(t, "PUT", signatureOf(t, request), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
	equal(t, "path", request.URL.RequestURI(), "/test%24file.text")

	for target, want := range map[string]string{
		"/?lifecycle":           "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
		"?max-keys=2&prefix=J":  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
		"/?max-keys=2&prefix=J": "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
	} {
		request = must(http.NewRequest("GET", host+target, nil))
		if err := s.Sign(request, when, ""); err != nil {
			t.Fatal(err)
		}
		equal(t, target, signatureOf(t, request), want)
	}

	request = must(http.NewRequest("GET", host+"/test.txt", nil))
	signed, err := s.Presign(request, when, 24*time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "presigned", signed.Query().Get("X-Amz-Signature"), "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
	equal(t, "URL", strings.HasPrefix(signed.String(), host+"/test.txt?"), true)
	equal(t, "the request's own", request.URL.String(), host+"/test.txt")
	for _, expires := range []time.Duration{0, -time.Second, 8 * 24 * time.Hour, time.Millisecond} {
		_, err = s.Presign(request, when, expires, "")
		refused(t, err, ErrInvalid, "expires")
	}
	request.URL = signed
	_, err = s.Presign(request, when, time.Hour, "")
	refused(t, err, ErrInvalid, "query")
}

type inDevice struct {
	key   []byte
	asked int
	fail  error
	tag   []byte
}

func (d *inDevice) HMACSHA256(message []byte) ([]byte, error) {
	d.asked++
	mac := hmac.New(sha256.New, d.key)
	mac.Write(message)
	clear(message)
	if d.tag != nil || d.fail != nil {
		return d.tag, d.fail
	}
	return mac.Sum(nil), nil
}

// A secret in a device signs as the secret does, and is asked once a day.
func TestMAC(t *testing.T) {
	d := &inDevice{key: []byte("AWS4" + string(example.SecretAccessKey))}
	options := SigV4Options{Credentials: AWSCredentials{AccessKeyID: "AKIDEXAMPLE"}, MAC: d, Region: "us-east-1", Service: "service"}
	s := must(NewSigV4(options))
	defer s.Close()
	when := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	for day, want := range []int{1, 2, 3} {
		for range 3 {
			request := must(http.NewRequest("GET", "https://example.amazonaws.com/", nil))
			if err := s.Sign(request, when.AddDate(0, 0, day%2), ""); err != nil {
				t.Fatal(err)
			}
			if day%2 == 0 {
				equal(t, "signature", signatureOf(t, request), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
			}
		}
		equal(t, "asked", d.asked, want)
	}
	request := must(http.NewRequest("GET", "https://example.amazonaws.com/", nil))
	d.fail = errors.New("no device")
	err := s.Sign(request, when.AddDate(0, 0, 7), "")
	refused(t, err, ErrSigner, "MAC")
	if !errors.Is(err, d.fail) {
		t.Error(err)
	}
	d.fail, d.tag = nil, make([]byte, 31)
	refused(t, s.Sign(request, when.AddDate(0, 0, 7), ""), ErrSigner, "MAC")
	equal(t, "untouched", len(request.Header), 0)
	options.Credentials = example
	_, err = NewSigV4(options)
	refused(t, err, ErrInvalid, "MAC")
}

// pipe is a body that can be read once.
type pipe struct{ io.Reader }

func (pipe) Close() error { return nil }

func TestBodies(t *testing.T) {
	s := must(NewSigV4(SigV4Options{Credentials: example, Region: "us-east-1", Service: "s3"}))
	defer s.Close()
	const sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of "hello"
	file := must(os.CreateTemp(t.TempDir(), ""))
	defer file.Close()
	must(file.WriteString("XXhello"))
	must(file.Seek(2, io.SeekStart))
	reading, writing := must2(os.Pipe())
	must(writing.WriteString("hello"))
	writing.Close()
	for name, body := range map[string]io.Reader{
		"reader": strings.NewReader("hello"), "buffer": bytes.NewBufferString("hello"), "file": file,
		"once": pipe{strings.NewReader("hello")}, "pipe": reading,
	} {
		request := must(http.NewRequest("PUT", "https://bucket.s3.us-east-1.amazonaws.com/key", body))
		if err := s.Sign(request, at, ""); err != nil {
			t.Fatal(name, err)
		}
		equal(t, name, request.Header.Get("X-Amz-Content-Sha256"), sum)
		equal(t, name, string(must(io.ReadAll(request.Body))), "hello")
		first := signatureOf(t, request)
		request = must(http.NewRequest("PUT", "https://bucket.s3.us-east-1.amazonaws.com/key", nil))
		if err := s.Sign(request, at, sum); err != nil {
			t.Fatal(err)
		}
		equal(t, name, signatureOf(t, request), first)
	}
	for payload, want := range map[PayloadHash]string{
		UnsignedPayload:          "UNSIGNED-PAYLOAD",
		StreamingUnsignedTrailer: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
	} {
		request := must(http.NewRequest("PUT", "https://bucket.s3.us-east-1.amazonaws.com/key", strings.NewReader("hello")))
		if err := s.Sign(request, at, payload); err != nil {
			t.Fatal(err)
		}
		equal(t, "payload", request.Header.Get("X-Amz-Content-Sha256"), want)
	}
	broken := errors.New("unplugged")
	request := must(http.NewRequest("PUT", "https://bucket.s3.us-east-1.amazonaws.com/key", pipe{io.MultiReader(strings.NewReader("he"), failing{broken})}))
	if err := s.Sign(request, at, ""); !errors.Is(err, broken) || !errors.Is(err, ErrTransport) {
		t.Error(err)
	}
	for _, wrong := range []PayloadHash{"x", PayloadHash(sum[1:]), PayloadHash(strings.ToUpper(sum))} {
		refused(t, s.Sign(request, at, wrong), ErrInvalid, "payload hash")
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

// What is on the wire is what was signed, whatever the URL is made of.
func TestRequestShapes(t *testing.T) {
	s := must(NewSigV4(SigV4Options{Credentials: example, Region: "us-east-1", Service: "execute-api"}))
	defer s.Close()
	sign := func(change func(*http.Request)) *http.Request {
		t.Helper()
		request := must(http.NewRequestWithContext(context.Background(), "GET", "https://a.example/p?q=1", nil))
		change(request)
		if err := s.Sign(request, at, ""); err != nil {
			t.Fatal(err)
		}
		return request
	}
	plain := signatureOf(t, sign(func(*http.Request) {}))
	same := map[string]func(*http.Request){
		"host":            func(r *http.Request) { r.URL.Host, r.Host = "127.0.0.1:8443", "a.example" },
		"host of the URL": func(r *http.Request) { r.Host = "" },
		"no method":       func(r *http.Request) { r.Method = "" },
		"no map":          func(r *http.Request) { r.Header = nil },
		"opaque":          func(r *http.Request) { r.URL.Opaque = "//a.example/p" },
		"opaque path":     func(r *http.Request) { r.URL.Opaque = "/p" },
		"fragment":        func(r *http.Request) { r.URL.Fragment = "f" },
		"hop by hop":      func(r *http.Request) { r.Header.Set("Connection", "close") },
		"net/http's own":  func(r *http.Request) { r.Header.Set("Host", "b.example"); r.Header.Set("Content-Length", "9") },
		"no value":        func(r *http.Request) { r.Header["X-Empty"] = nil },
		"signed before":   func(r *http.Request) { _ = s.Sign(r, at.Add(-time.Minute), "") },
		"signed, odd names": func(r *http.Request) {
			r.Header["x-AMZ-date"] = []string{"1"}
			r.Header["authorization"] = []string{"x"}
		},
	}
	for name, change := range same {
		request := sign(change)
		equal(t, name, signatureOf(t, request), plain)
		equal(t, name+", dates", len(request.Header.Values("X-Amz-Date")), 1)
		//lint:ignore SA1008 a name that Go would not write, but a caller may
		if _, ok := request.Header["x-AMZ-date"]; ok {
			t.Error("a second date")
		}
	}
	for name, change := range map[string]func(*http.Request){
		"host":   func(r *http.Request) { r.Host = "b.example" },
		"port":   func(r *http.Request) { r.Host = "a.example:444" },
		"path":   func(r *http.Request) { r.URL.Path = "/P" },
		"query":  func(r *http.Request) { r.URL.RawQuery = "q=2" },
		"method": func(r *http.Request) { r.Method = "HEAD" },
		"header": func(r *http.Request) { r.Header.Set("X-Other", "") },
		"body":   func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) },
	} {
		if signatureOf(t, sign(change)) == plain {
			t.Error(name, "is not signed")
		}
	}
	// Names that differ in case alone are one header; package net/http writes them in this order.
	two := signatureOf(t, sign(func(r *http.Request) { r.Header["X-A"] = []string{"2", "1"} }))
	for range 20 {
		one := sign(func(r *http.Request) { r.Header["X-A"], r.Header["x-a"] = []string{"2"}, []string{"1"} })
		equal(t, "order", signatureOf(t, one), two)
	}
	// A plus sign is a space for whoever reads forms, so it goes out as one that nobody misreads.
	request := sign(func(r *http.Request) { r.URL.RawQuery = url.Values{"q": {"a b+c"}}.Encode() })
	equal(t, "query", request.URL.RawQuery, "q=a%20b%2Bc")

	for field, change := range map[string]func(*http.Request){
		"path":         func(r *http.Request) { r.URL.Path = "p" },
		"host":         func(r *http.Request) { r.Host = "\u00e4.example" },
		"no host":      func(r *http.Request) { r.Host, r.URL.Host = "", "" },
		"request":      func(r *http.Request) { r.URL = nil },
		"method":       func(r *http.Request) { r.Method = "GE T" },
		"header value": func(r *http.Request) { r.Header.Set("X-A", "a\nb") },
		"header name":  func(r *http.Request) { r.Header["X A"] = []string{"b"} },
	} {
		request := must(http.NewRequest("GET", "https://a.example/p", nil))
		change(request)
		err := s.Sign(request, at, "")
		refused(t, err, ErrInvalid, strings.TrimPrefix(field, "no "))
		equal(t, "untouched", request.Header.Get("Authorization"), "")
	}
	refused(t, s.Sign(nil, at, ""), ErrInvalid, "request")
	many := must(http.NewRequest("GET", "https://a.example/p", nil))
	many.Header["X-Many"] = make([]string, 127)
	if err := s.Sign(many, at, ""); err != nil {
		t.Error(err)
	}
	many.Header["X-Many"] = make([]string, 128)
	if err := s.Sign(many, at, ""); !errors.Is(err, ErrCapacity) {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	s := must(NewSigV4(SigV4Options{Credentials: example, Region: "us-east-1", Service: "sts"}))
	request := must(http.NewRequest("GET", "https://a.example/p", nil))
	if err := s.Sign(request, at, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, s.Sign(request, at, ""), ErrState, "signer")
	var zero SigV4
	refused(t, zero.Sign(request, at, ""), ErrState, "signer")
	var none *SigV4
	refused(t, none.Sign(request, at, ""), ErrInvalid, "signer")
	for _, secret := range []Secret{"", "a\x00b", "\xff"} {
		c := example
		c.SecretAccessKey = secret
		if _, err := NewSigV4(SigV4Options{Credentials: c, Region: "r", Service: "s"}); err == nil {
			t.Errorf("%q is a secret", string(secret))
		}
	}
}
