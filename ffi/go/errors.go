package cloudauth

// #include <cloudauth.h>
import "C"

import (
	"fmt"
	"log/slog"
	"strings"
)

// Code is the kind of an error. Codes are errors themselves, for [errors.Is].
type Code int32

// The kinds of errors. There are more: those that this package makes impossible.
const (
	// ErrLength says that the length of a value of fixed size is wrong.
	ErrLength Code = C.CLOUDAUTH_ERR_LENGTH
	// ErrUnknownNumber says that a number is none of this package's constants.
	ErrUnknownNumber Code = C.CLOUDAUTH_ERR_UNKNOWN_NUMBER
	// ErrUTF8 says that a text is not UTF-8.
	ErrUTF8 Code = C.CLOUDAUTH_ERR_UTF8
	// ErrState says that something was not made by its constructor, or was closed.
	ErrState Code = C.CLOUDAUTH_ERR_STATE
	// ErrCapacity says that a documented capacity is exceeded.
	ErrCapacity Code = C.CLOUDAUTH_ERR_CAPACITY
	// ErrInvalid says that a parameter has a value that cannot be used.
	ErrInvalid Code = C.CLOUDAUTH_ERR_INVALID
	// ErrMalformed says that something from outside (an answer, a token, a certificate) does not parse.
	ErrMalformed Code = C.CLOUDAUTH_ERR_MALFORMED
	// ErrMismatch says that two inputs do not belong together, such as a certificate and a key.
	ErrMismatch Code = C.CLOUDAUTH_ERR_MISMATCH
	// ErrSigner says that the key failed. The key's own error is behind it.
	ErrSigner Code = C.CLOUDAUTH_ERR_SIGNER
	// ErrUnsupported says that something is well-formed, but nothing that the library or the key can do.
	ErrUnsupported Code = C.CLOUDAUTH_ERR_UNSUPPORTED
	// ErrVerification says that a signature or a claim does not hold.
	ErrVerification Code = C.CLOUDAUTH_ERR_VERIFICATION
	// ErrService says that the service refused. A [*ServiceError] is behind it.
	ErrService Code = C.CLOUDAUTH_ERR_SERVICE
	// ErrKey says that a key cannot be opened.
	ErrKey Code = C.CLOUDAUTH_ERR_KEY
	// ErrConfig says that a configuration file, a profile or a variable cannot be used.
	ErrConfig Code = C.CLOUDAUTH_ERR_CONFIG
	// ErrFile says that a file cannot be read.
	ErrFile Code = C.CLOUDAUTH_ERR_FILE
	// ErrTransport says that a body could not be read, that [Do] got no answer, or that a [Client] got none
	// that can be used. The error of package http is behind it, or that of a context.
	ErrTransport Code = C.CLOUDAUTH_ERR_TRANSPORT
)

// Error is the text of the code.
func (c Code) Error() string {
	return C.GoString(C.cloudauth_strerror(C.cloudauth_result(c)))
}

// Error is every error of this package.
type Error struct {
	// Op is the operation that failed: "AWS AssumeRole".
	Op string
	// Code is the kind of the error; [errors.Is] compares with it.
	Code Code
	// Field is the input that is wrong ("profile ARN"); empty if that cannot be said.
	Field string
	// Element is which one of a list is wrong, counted from 1; 0 if it is no list, or if that is not known.
	Element int
	// Help is what is expected, or what to do; empty if that cannot be said.
	Help string
	// Transient says of a [Client]'s error that the same call may succeed later.
	Transient bool
	// Offset is where parsing stopped, if Code is ErrMalformed and if that is known.
	Offset int
	// Err is behind it: a *ServiceError, the error of a key, the error of a transport; or nil.
	Err error
}

func (e *Error) Error() string {
	var s strings.Builder
	s.WriteString("cloudauth: ")
	s.WriteString(e.Op)
	if e.Field != "" {
		s.WriteString(": ")
		s.WriteString(e.Field)
		if e.Element != 0 {
			fmt.Fprintf(&s, " %d", e.Element)
		}
	}
	s.WriteString(": ")
	if e.Help != "" {
		s.WriteString(e.Help)
	} else {
		s.WriteString(e.Code.Error())
	}
	if e.Offset != 0 {
		fmt.Fprintf(&s, " (at octet %d)", e.Offset)
	}
	if e.Err != nil {
		s.WriteString(": ")
		s.WriteString(e.Err.Error())
	}
	return s.String()
}

// Is compares with a [Code].
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Unwrap is what is behind the error, or nil.
func (e *Error) Unwrap() error { return e.Err }

// ServiceError is a service's refusal, in its own words.
type ServiceError struct {
	// Status is the HTTP status.
	Status int
	// Name is the error's name ("AccessDeniedException", "invalid_client"); may be empty.
	Name string
	// Message is the service's text for people; may be empty.
	Message string
	// Transient says that the same request may succeed later: throttling, a failure of the server.
	Transient bool
}

func (e *ServiceError) Error() string {
	// Quoted, since it comes from outside: it must not forge lines of a log.
	return fmt.Sprintf("status %d, %q: %q", e.Status, e.Name, e.Message)
}

// Secret is a secret text. Packages fmt, slog and encoding/json write it as "[secret]", also within a
// structure: use string(s) where the secret itself is meant.
type Secret string

const hidden = "[secret]"

// Format prints no secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText writes no secret: structures go into logs as JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue logs no secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
