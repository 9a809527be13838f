package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// Exchange is a flow that asks a service for something, with T in its answer.
type Exchange[T any] interface {
	// Request makes the request, for one try at the time at. It holds secrets.
	Request(ctx context.Context, at time.Time) (*http.Request, error)
	// Response reads the answer, and closes its body.
	Response(answer *http.Response) (*T, error)
}

// Do makes an exchange over the network, once. client is [http.DefaultClient] if it is nil; its
// timeouts, its proxy and the certificates it trusts are up to you. Redirections are not followed:
// what proves who asks is meant for one host.
//
// Whether to try again is told by [ServiceError], and, for [ErrTransport], by the error behind it.
func Do[T any](ctx context.Context, client *http.Client, exchange Exchange[T]) (*T, error) {
	request, err := exchange.Request(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	if client == nil {
		client = http.DefaultClient
	}
	once := *client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := once.Do(request)
	if err != nil {
		return nil, &Error{Op: "request to " + request.URL.Host, Code: ErrTransport, Err: err}
	}
	return exchange.Response(answer)
}

// The longest answer that is read. Real ones are a few kilobytes.
const maxAnswer = 1 << 20

// build makes a request that no key of ours signs, or that is signed with HMAC.
func (c *call) build(
	ctx context.Context, at time.Time,
	f func(at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, made *C.cloudauth_request) C.cloudauth_result,
) (*http.Request, error) {
	made := sized[C.cloudauth_request](&c.memory)
	attempt := c.attempt(at)
	_, err := c.fill(4<<10, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		return f(attempt, out, size, n, made)
	})
	if err != nil {
		return nil, err
	}
	return c.request(ctx, made)
}

// prepare is the function of a flow that leaves out the signature.
type prepare func(
	at *C.cloudauth_attempt, out *C.uint8_t, size C.size_t, n *C.size_t, prepared *C.cloudauth_prepared,
) C.cloudauth_result

// prepared takes the first step, and asks the key.
func (c *call) prepared(s *Signer, at time.Time, f prepare) (*C.cloudauth_prepared, C.cloudauth_bytes, error) {
	none := C.cloudauth_bytes{}
	prepared := alloc[C.cloudauth_prepared](&c.memory)
	attempt := c.attempt(at)
	_, err := c.fill(4<<10, func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result {
		return f(attempt, out, size, n, prepared)
	})
	if err != nil {
		return nil, none, err
	}
	what := sized[C.cloudauth_to_sign](&c.memory)
	result := C.cloudauth_prepared_to_sign(prepared, what, c.err)
	if result == C.CLOUDAUTH_ERR_NOT_FOUND { // it needs no signature
		return prepared, none, nil
	}
	if err := c.check(result); err != nil {
		return nil, none, err
	}
	signature, err := c.sign(s, what)
	return prepared, signature, err
}

// signed builds a request that a key signs.
func (c *call) signed(ctx context.Context, s *Signer, at time.Time, f prepare) (*http.Request, error) {
	prepared, signature, err := c.prepared(s, at, f)
	if err != nil {
		return nil, err
	}
	made := sized[C.cloudauth_request](&c.memory)
	if err := c.check(C.cloudauth_prepared_finish(prepared, signature, made, c.err)); err != nil {
		return nil, err
	}
	return c.request(ctx, made)
}

// token makes a token that a key signs.
func (c *call) token(s *Signer, at time.Time, f prepare) (Secret, error) {
	prepared, signature, err := c.prepared(s, at, f)
	if err != nil {
		return "", err
	}
	token := alloc[C.cloudauth_bytes](&c.memory)
	if err := c.check(C.cloudauth_prepared_jws_finish(prepared, signature, token, c.err)); err != nil {
		return "", err
	}
	return Secret(text(*token)), nil
}

// request copies a request to Go.
func (c *call) request(ctx context.Context, made *C.cloudauth_request) (*http.Request, error) {
	body := bytes.NewReader(append([]byte{}, view(made.body)...))
	host, target := text(made.host), text(made.target)
	request, err := http.NewRequestWithContext(ctx, text(made.method), "https://"+host+target, body)
	if err != nil {
		// Its text would hold the URL.
		c.fail(ErrInvalid, "context or endpoint", "package http cannot make a request of it")
		return nil, c.failed
	}
	if request.URL.RequestURI() != target || request.Host != host {
		c.fail(ErrInvalid, "endpoint", "package http would send another URL than the one that was signed")
		return nil, c.failed
	}
	for line := range strings.SplitSeq(text(made.headers), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			request.Header.Add(name, value)
		}
	}
	return request, nil
}

// response reads an answer. f gets what is received in C memory, and on success copies what it wants.
func (c *call) response(
	answer *http.Response,
	f func(head *C.cloudauth_response_head, body *C.uint8_t, size C.size_t, refusal *C.cloudauth_refusal) C.cloudauth_result,
) error {
	if answer == nil || answer.StatusCode < 0 {
		c.fail(ErrInvalid, "answer", "expected a response of package http")
		return c.failed
	}
	var body []byte
	if answer.Body != nil {
		defer answer.Body.Close()
		var err error
		body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
		defer clear(body[:cap(body)])
		if err != nil {
			return &Error{Op: c.op, Code: ErrTransport, Field: "body of the answer", Err: err}
		}
	}
	if len(body) > maxAnswer {
		c.fail(ErrCapacity, "body of the answer", "is longer than 1 MiB")
	}
	if c.failed != nil {
		return c.failed
	}
	var received []Pair
	for name, values := range answer.Header {
		for _, value := range values {
			received = append(received, Pair{name, value})
		}
	}
	head := sized[C.cloudauth_response_head](&c.memory)
	head.status = C.uint32_t(min(answer.StatusCode, 1<<16))
	head.headers, head.header_count = pairs(&c.memory, received)
	refusal := sized[C.cloudauth_refusal](&c.memory)
	mine := octets(&c.memory, body)
	err := c.check(f(head, mine.ptr, mine.len, refusal))
	if c.failed != nil { // before the library was called
		return c.failed
	}
	if err, ok := err.(*Error); ok && err.Code == ErrService {
		err.Err = &ServiceError{
			Status:    int(refusal.status),
			Name:      text(refusal.code),
			Message:   text(refusal.message),
			Transient: refusal.transient != 0,
		}
	}
	return err
}

// unix is a time of an answer.
func unix(seconds C.int64_t) time.Time { return time.Unix(int64(seconds), 0).UTC() }

// span is a duration of an answer; one that is longer than Go's longest is that.
func span(seconds C.int64_t) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(min(int64(seconds), most)) * time.Second
}
