package cloudauth

/*
#include <cloudauth.h>
*/
import "C"

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Profile says which credential, and how it is got: a profile of a configuration file, whose names it has.
//
//	cloudauth.Profile{
//		"kind":        "azure-token",
//		"key":         "pkcs11:token=demo;object=robot",
//		"certificate": "robot.pem",
//		"tenant":      "contoso.onmicrosoft.com",
//		"client-id":   "11111111-2222-3333-4444-555555555555",
//	}
//
// Values are string, bool, int, [time.Duration] (whole seconds), []string, [][2]string and Profile. What has
// no meaning is refused when it is opened. Relative paths start at the working directory.
type Profile map[string]any

// Config is a configuration in memory: what stands in the file of [OpenClient].
type Config struct {
	// CAFile has the certificates (PEM) that are trusted in place of the system's own; empty for those.
	CAFile string
	// Timeout is for one call to a service, repetitions included; 30 seconds if it is zero.
	Timeout time.Duration
	// Profiles are by name.
	Profiles map[string]Profile
}

// Open makes a client of it. No service is called and no key opened before a credential is asked for. Nothing
// is written to a file.
func (c Config) Open() (*Client, error) {
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	return OpenClientText(text, "")
}

// OpenClientText is [OpenClient] for a configuration that is in memory (TOML). It is never written to a file.
// Relative paths in it start at folder, an absolute path, or at the working directory if that is empty.
func OpenClientText(text, folder string) (*Client, error) {
	return openClient(func(c *call, at *C.cloudauth_client, message *C.cloudauth_message) C.cloudauth_result {
		return C.cloudauth_client_open_text(octets(&c.memory, text), octets(&c.memory, folder), at, message, c.err)
	})
}

// text is the configuration as TOML. Names are in order, so that one configuration is always one text.
func (c Config) text() (string, error) {
	var s strings.Builder
	top := Profile{}
	if c.CAFile != "" {
		top["ca-file"] = c.CAFile
	}
	if c.Timeout != 0 {
		top["timeout"] = c.Timeout
	}
	if err := top.write(&s, "\n"); err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
		quoted, err := quote("name of a profile", name)
		if err != nil {
			return "", err
		}
		s.WriteString("\n[profiles." + quoted + "]\n")
		if err := c.Profiles[name].write(&s, "\n"); err != nil {
			return "", err
		}
	}
	return s.String(), nil
}

// write adds "name = value", each ended by or, in a table on one line, parted by a text.
func (p Profile) write(s *strings.Builder, between string) error {
	for i, name := range slices.Sorted(maps.Keys(p)) {
		if i != 0 {
			s.WriteString(between)
		}
		quoted, err := quote("name of a field", name)
		if err != nil {
			return err
		}
		s.WriteString(quoted + " = ")
		if err := write(s, name, p[name]); err != nil {
			return err
		}
	}
	if between == "\n" {
		s.WriteString(between)
	}
	return nil
}

func write(s *strings.Builder, field string, value any) error {
	wrong := func(help string) error {
		return &Error{Op: "open configuration", Code: ErrInvalid, Field: field, Help: help}
	}
	switch value := value.(type) {
	case string:
		quoted, err := quote(field, value)
		s.WriteString(quoted)
		return err
	case bool:
		s.WriteString(strconv.FormatBool(value))
	case int:
		s.WriteString(strconv.Itoa(value))
	case time.Duration:
		if value < 0 || value%time.Second != 0 {
			return wrong("expected whole seconds, not negative")
		}
		s.WriteString(strconv.FormatInt(int64(value/time.Second), 10))
	case []string:
		return writeList(s, field, value)
	case [][2]string:
		return writeList(s, field, value)
	case [2]string:
		return writeList(s, field, value[:])
	case Profile:
		s.WriteString("{ ")
		if err := value.write(s, ", "); err != nil {
			return err
		}
		s.WriteString(" }")
	default:
		return wrong("expected a string, bool, int, time.Duration, []string, [][2]string or Profile")
	}
	return nil
}

func writeList[T any](s *strings.Builder, field string, values []T) error {
	s.WriteString("[")
	for i, value := range values {
		if i != 0 {
			s.WriteString(", ")
		}
		if err := write(s, field, value); err != nil {
			return err
		}
	}
	s.WriteString("]")
	return nil
}

// quote is a basic string of TOML 1.0.
func quote(field, text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", &Error{Op: "open configuration", Code: ErrUTF8, Field: field}
	}
	var s strings.Builder
	s.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			s.WriteByte('\\')
			s.WriteRune(r)
		case r < ' ' || r == 0x7f:
			s.WriteString(`\u00` + string("0123456789ABCDEF"[r>>4]) + string("0123456789ABCDEF"[r&15]))
		default:
			s.WriteRune(r)
		}
	}
	s.WriteByte('"')
	return s.String(), nil
}
