// Package compare checks the Go package beside AWS's SDK for Go.
package compare

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

const (
	id     = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	empty  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var random = rand.New(rand.NewPCG(4, 2026))

func pick[T any](from ...T) T { return from[random.IntN(len(from))] }

func word() string {
	const letters = "abcXYZ019-._~ +&=/?#%$!'()*,;:@[]\"<>\\^`{|}äß漢\t"
	all := []rune(letters)
	out := make([]rune, random.IntN(8))
	for i := range out {
		out[i] = all[random.IntN(len(all))]
	}
	return string(out)
}

// strict is how AWS's S3 client escapes a path before its signer sees it.
func strict(path string) string {
	escaped := url.PathEscape(path)
	for plain, code := range map[string]string{
		"%2F": "/", "$": "%24", "&": "%26", "+": "%2B", ",": "%2C", ":": "%3A", ";": "%3B", "=": "%3D", "@": "%40",
		"!": "%21", "'": "%27", "(": "%28", ")": "%29", "*": "%2A",
	} {
		escaped = strings.ReplaceAll(escaped, plain, code)
	}
	return escaped
}

type made struct{ ours, theirs *http.Request }

// requests makes the same request twice. Left out is what the SDK does otherwise: it signs
// Content-Length, and it sorts query names and values as they are before they are encoded, where AWS says,
// and its other SDKs do, "after".
func requests(t *testing.T, s3 bool) made {
	t.Helper()
	u := &url.URL{Scheme: "https", Host: pick("a.example", "a.example:8443", "sts.us-east-1.amazonaws.com"), Path: "/"}
	for range random.IntN(4) {
		u.Path += word() + pick("/", "")
	}
	if !s3 {
		// The SDK does not resolve dots and doubled slashes; its services have none.
		for strings.Contains(u.Path, "//") {
			u.Path = strings.ReplaceAll(u.Path, "//", "/")
		}
		if strings.Contains(u.Path, "/.") {
			u.Path = "/plain"
		}
	}
	query := url.Values{}
	for i := range random.IntN(4) {
		query.Add(fmt.Sprint(pick("q", "Q", "-", "~"), i), word())
	}
	u.RawQuery = query.Encode()
	method := pick("GET", "PUT", "POST", "DELETE", "HEAD")
	header := http.Header{}
	for range random.IntN(4) {
		name := pick("X-Amz-Target", "X-Amz-Meta-A", "Content-Type", "User-Agent", "X-Amzn-Trace-Id", "Range", "Accept")
		value := strings.NewReplacer("\t", " ").Replace(word())
		header.Add(name, pick(value, "a  b", "x"))
	}
	host := pick("", "", "virtual.example")
	one := func(escape bool) *http.Request {
		copied := *u
		if escape {
			copied.RawPath = strict(copied.Path)
		}
		request, err := http.NewRequest(method, "https://x.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.URL, request.Host, request.Header = &copied, host, header.Clone()
		return request
	}
	return made{one(false), one(s3)}
}

func TestHeaders(t *testing.T) {
	for _, service := range []string{"s3", "execute-api"} {
		for _, token := range []string{"", "IQoJb3JpZ2lu//+a/b=c=="} {
			ours, err := cloudauth.NewSigV4(cloudauth.SigV4Options{
				Credentials: cloudauth.AWSCredentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: cloudauth.Secret(token)},
				Region:      "us-east-1", Service: service,
			})
			if err != nil {
				t.Fatal(err)
			}
			theirs := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
			for n := range 2000 {
				at := time.Unix(1_790_000_000+int64(n)*7919, 0)
				r := requests(t, service == "s3")
				hash := pick(empty, "UNSIGNED-PAYLOAD", strings.Repeat("0a", 32))
				if service == "s3" {
					r.theirs.Header.Set("X-Amz-Content-Sha256", hash)
				}
				if err := theirs.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, r.theirs, hash, service, "us-east-1", at); err != nil {
					t.Fatal(err)
				}
				if err := ours.Sign(r.ours, at, cloudauth.PayloadHash(hash)); err != nil {
					t.Fatalf("%v: %v", r.ours.URL, err)
				}
				same(t, "Authorization", r.ours.Header.Get("Authorization"), r.theirs.Header.Get("Authorization"), r)
				same(t, "URL", r.ours.URL.RequestURI(), r.theirs.URL.RequestURI(), r)
			}
			ours.Close()
		}
	}
}

func TestPresigned(t *testing.T) {
	for _, service := range []string{"s3", "execute-api"} {
		ours, err := cloudauth.NewSigV4(cloudauth.SigV4Options{
			Credentials: cloudauth.AWSCredentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: "tok/en+=="},
			Region:      "us-east-1", Service: service,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		theirs := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
		for n := range 1000 {
			at := time.Unix(1_790_000_000+int64(n)*7919, 0)
			r := requests(t, service == "s3")
			// Theirs moves some headers into the query.
			r.ours.Header, r.theirs.Header = http.Header{}, http.Header{}
			hash := empty
			if service == "s3" {
				hash = "UNSIGNED-PAYLOAD"
			}
			signed, err := ours.Presign(r.ours, at, time.Minute, "")
			if err != nil {
				t.Fatal(err)
			}
			query := r.theirs.URL.Query()
			query.Set("X-Amz-Expires", "60")
			r.theirs.URL.RawQuery = query.Encode()
			uri, _, err := theirs.PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: "tok/en+=="}, r.theirs, hash, service, "us-east-1", at)
			if err != nil {
				t.Fatal(err)
			}
			other, err := url.Parse(uri)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "signature", signed.Query().Get("X-Amz-Signature"), other.Query().Get("X-Amz-Signature"), r)
			same(t, "path", signed.EscapedPath(), other.EscapedPath(), r)
			same(t, "query", signed.Query().Encode(), other.Query().Encode(), r)
		}
	}
}

func same(t *testing.T, what, ours, theirs string, r made) {
	t.Helper()
	if ours != theirs {
		t.Fatalf("%s\nours   %s\ntheirs %s\n%s", what, ours, theirs, fmt.Sprint(r.ours.Method, " ", r.ours.URL, " ", r.ours.Host, " ", r.ours.Header))
	}
}
