package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// PayloadHash says what is signed of a body: the SHA-256 in lower-case hexadecimal, or one of these
// constants. The empty one stands for the body itself, that is then read and hashed; for presigned URLs
// of S3, for UnsignedPayload.
type PayloadHash string

const (
	// UnsignedPayload signs nothing of the body, as S3 accepts over TLS.
	UnsignedPayload PayloadHash = "UNSIGNED-PAYLOAD"
	// StreamingUnsignedTrailer is for bodies that come in chunks with a checksum behind (S3).
	StreamingUnsignedTrailer PayloadHash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// Sign adds X-Amz-Date, Authorization and what else the service wants to a request's headers. at is
// [time.Now] as a rule. On failure the request is as it was, except that its body may be in memory.
//
// All headers are signed but those that package net/http writes or leaves out by itself, and those
// that proxies change: add everything else before signing. The host is request.Host if set, and
// request.URL.Host if not, as package net/http does. Two things are changed in the URL, so that it says
// the same to everyone who reads it: a plus sign in the query, which stands for a space there, is
// written %20; and for S3 everything in the path is percent-encoded but letters, digits and "-._~/",
// as S3 does before it compares.
//
// A body that is hashed here is read twice: by GetBody if the request has that, or else as an
// [io.Seeker]; or else it is read to memory.
func (s *SigV4) Sign(request *http.Request, at time.Time, payload PayloadHash) error {
	c := begin("AWS Signature Version 4")
	defer c.release()
	signed := sized[C.cloudauth_sigv4_signed](&c.memory)
	what := c.toSign(s, request)
	c.payload(what, request, payload)
	err := s.with(c, at, false, func(params *C.cloudauth_sigv4_params) error {
		_, err := c.fill(1<<10, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
			return C.cloudauth_sigv4_sign(params, what.request, C.int64_t(at.Unix()), out, size, n, signed, c.err)
		})
		return err
	})
	if err != nil {
		return err
	}
	request.URL = what.url
	if request.Header == nil {
		request.Header = http.Header{}
	}
	for line := range strings.SplitSeq(text(signed.headers), "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		for theirs := range request.Header {
			if strings.EqualFold(theirs, name) {
				delete(request.Header, theirs)
			}
		}
		request.Header.Set(name, value)
	}
	return nil
}

// Presign gives a URL that does what the request does, for whoever has it, for the time expires: whole
// seconds, 1 second to 7 days. Headers of the request are signed, so they must be sent with the URL; most
// presigned URLs have none. The request is not changed. See [SigV4.Sign] for what is signed.
func (s *SigV4) Presign(
	request *http.Request, at time.Time, expires time.Duration, payload PayloadHash,
) (*url.URL, error) {
	c := begin("AWS presigned URL")
	defer c.release()
	what := c.toSign(s, request)
	if payload == "" && s != nil && s.settings&ContentSHA256 != 0 {
		payload = UnsignedPayload
	}
	c.payload(what, request, payload)
	life := c.seconds(expires, "expires")
	var target string
	err := s.with(c, at, false, func(params *C.cloudauth_sigv4_params) error {
		out, err := c.fill(2<<10, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
			return C.cloudauth_sigv4_presign(params, what.request, C.int64_t(at.Unix()), life, out, size, n, c.err)
		})
		target = string(out)
		return err
	})
	if err != nil {
		return nil, err
	}
	signed, err := url.ParseRequestURI(target)
	if err != nil || signed.RequestURI() != target {
		c.fail(ErrInvalid, "URL", "package url would write another one than that which was signed")
		return nil, c.failed
	}
	signed.Scheme, signed.Host = what.url.Scheme, what.host
	return signed, nil
}

// toSign is a request, in C memory and in Go's.
type toSign struct {
	request *C.cloudauth_sigv4_request
	url     *url.URL
	host    string
}

// Not signed, though the request may hold them: what package net/http takes from elsewhere or may leave
// out, and what is meant for the next hop only.
var notSigned = []string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// toSign copies what is signed of a request, but for its body.
func (c *call) toSign(s *SigV4, request *http.Request) toSign {
	made := toSign{request: sized[C.cloudauth_sigv4_request](&c.memory)}
	if request == nil || request.URL == nil {
		c.fail(ErrInvalid, "request", "expected one with a URL")
		return made
	}
	changed := *request.URL
	made.url = &changed
	made.host = request.Host
	if made.host == "" {
		made.host = changed.Host
	}
	if made.host == "" || strings.ContainsFunc(made.host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		c.fail(ErrInvalid, "host", "expected one in ASCII; of others package net/http sends another form")
	}
	changed.RawQuery = strings.ReplaceAll(changed.RawQuery, "+", "%20")
	if s != nil && s.settings&EncodeOnce != 0 && changed.Opaque == "" {
		changed.RawPath = escape(changed.Path)
	}
	// What package net/http writes on the request line.
	target := changed.RequestURI()
	if changed.Opaque != "" && !strings.HasPrefix(target, "/") {
		_, rest, _ := strings.Cut(target, "://")
		slash := strings.IndexAny(rest, "/?")
		if slash < 0 {
			slash = len(rest)
		}
		target = rest[slash:]
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
	}
	path, query, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		c.fail(ErrInvalid, "path", "expected one that begins with a slash")
	}
	method := request.Method
	if method == "" {
		method = http.MethodGet
	}
	headers := []Pair{{"Host", made.host}}
	names := make([]string, 0, len(request.Header))
	for name := range request.Header {
		if !slices.ContainsFunc(notSigned, func(other string) bool { return strings.EqualFold(name, other) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names) // the order in which package net/http writes them
	for _, name := range names {
		for _, value := range request.Header[name] {
			headers = append(headers, Pair{name, value})
		}
	}
	made.request.method = octets(&c.memory, method)
	made.request.path = octets(&c.memory, path)
	made.request.query = octets(&c.memory, query)
	made.request.headers, made.request.header_count = pairs(&c.memory, headers)
	return made
}

// payload fills in what is signed of the body.
func (c *call) payload(what toSign, request *http.Request, payload PayloadHash) {
	if c.failed != nil {
		return
	}
	to := what.request
	switch payload {
	case UnsignedPayload:
		to.payload_kind = C.CLOUDAUTH_SIGV4_PAYLOAD_UNSIGNED
		return
	case StreamingUnsignedTrailer:
		to.payload_kind = C.CLOUDAUTH_SIGV4_PAYLOAD_STREAMING
		return
	}
	var sum []byte
	var err error
	if payload == "" {
		if sum, err = hashBody(request); err != nil {
			c.failed = &Error{Op: c.op, Code: ErrTransport, Field: "body of the request", Err: err}
			return
		}
	} else if sum, err = hex.DecodeString(string(payload)); err != nil ||
		len(sum) != sha256.Size || hex.EncodeToString(sum) != string(payload) {
		c.fail(ErrInvalid, "payload hash", "expected 64 lower-case hexadecimal digits, or one of the constants")
		return
	}
	to.payload_kind = C.CLOUDAUTH_SIGV4_PAYLOAD_SHA256
	to.payload = octets(&c.memory, sum)
}

// hashBody hashes a body, and leaves it to be read again.
func hashBody(request *http.Request) ([]byte, error) {
	hash := sha256.New()
	if request.Body == nil || request.Body == http.NoBody {
		return hash.Sum(nil), nil
	}
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		defer body.Close()
		_, err = io.Copy(hash, body)
		return hash.Sum(nil), err
	}
	if body, ok := request.Body.(io.Seeker); ok {
		// Some, such as pipes, have the method and cannot.
		if start, err := body.Seek(0, io.SeekCurrent); err == nil {
			if _, err := io.Copy(hash, request.Body); err != nil {
				return nil, err
			}
			_, err = body.Seek(start, io.SeekStart)
			return hash.Sum(nil), err
		}
	}
	whole, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	if err := request.Body.Close(); err != nil {
		return nil, err
	}
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(whole)), nil }
	request.Body, _ = request.GetBody()
	request.ContentLength = int64(len(whole))
	hash.Write(whole)
	return hash.Sum(nil), nil
}

// escape percent-encodes a path as S3 does.
func escape(path string) string {
	var s strings.Builder
	for i := range len(path) {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			s.WriteByte(c)
		default:
			const digits = "0123456789ABCDEF"
			s.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return s.String()
}
