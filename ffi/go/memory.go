package cloudauth

/*
#include <stdlib.h>
#include <cloudauth.h>
*/
import "C"

import (
	"crypto/rand"
	"math"
	"time"
	"unsafe"
)

// memory is C memory for the time of one call. It holds copies of the caller's secrets, so it is
// wiped before it is freed.
type memory struct {
	blocks [][]byte
	rest   []byte
}

const (
	blockSize = 8 << 10
	alignment = 16 // what malloc gives
)

// alloc gives n zeroed octets, aligned for every type.
func (m *memory) alloc(n int) unsafe.Pointer {
	n = (max(n, 1) + alignment - 1) &^ (alignment - 1)
	if n > len(m.rest) {
		size := max(n, blockSize)
		// C.malloc does not give NULL: the process ends where memory does, as in Go.
		block := unsafe.Slice((*byte)(C.malloc(C.size_t(size))), size)
		clear(block)
		m.blocks = append(m.blocks, block)
		m.rest = block
	}
	at := unsafe.Pointer(unsafe.SliceData(m.rest))
	m.rest = m.rest[n:]
	return at
}

// release wipes and frees everything.
func (m *memory) release() {
	for _, block := range m.blocks {
		clear(block)
		C.free(unsafe.Pointer(unsafe.SliceData(block)))
	}
	m.blocks, m.rest = nil, nil
}

// alloc gives one zeroed T.
func alloc[T any](m *memory) *T {
	var zero T
	return (*T)(m.alloc(int(unsafe.Sizeof(zero))))
}

// sized gives one zeroed structure of the header, with its first member, its size, set.
func sized[T any](m *memory) *T {
	t := alloc[T](m)
	*(*C.size_t)(unsafe.Pointer(t)) = C.size_t(unsafe.Sizeof(*t))
	return t
}

// octets copies a text, or octets. An empty one is "not given".
func octets[T ~string | ~[]byte](m *memory, value T) C.cloudauth_bytes {
	if len(value) == 0 {
		return C.cloudauth_bytes{}
	}
	at := m.alloc(len(value))
	copy(unsafe.Slice((*byte)(at), len(value)), value)
	return C.cloudauth_bytes{ptr: (*C.uint8_t)(at), len: C.size_t(len(value))}
}

// array gives n zeroed T, as C and as Go see them; nil for none.
func array[T any](m *memory, n int) (*T, []T) {
	if n == 0 {
		return nil, nil
	}
	var zero T
	first := (*T)(m.alloc(n * int(unsafe.Sizeof(zero))))
	return first, unsafe.Slice(first, n)
}

// list copies several texts.
func list[T ~string | ~[]byte](m *memory, values []T) (*C.cloudauth_bytes, C.size_t) {
	first, all := array[C.cloudauth_bytes](m, len(values))
	for i, value := range values {
		all[i] = octets(m, value)
	}
	return first, C.size_t(len(values))
}

// Pair is a name and a value: a tag, a property.
type Pair struct{ Name, Value string }

// pairs copies names and values.
func pairs(m *memory, values []Pair) (*C.cloudauth_pair, C.size_t) {
	first, all := array[C.cloudauth_pair](m, len(values))
	for i, value := range values {
		all[i] = C.cloudauth_pair{name: octets(m, value.Name), value: octets(m, value.Value)}
	}
	return first, C.size_t(len(values))
}

// view looks at octets in C memory, as long as they are there.
func view(b C.cloudauth_bytes) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(b.ptr)), int(b.len))
}

// text copies octets to Go.
func text(b C.cloudauth_bytes) string { return string(view(b)) }

// call is one operation: its memory, and the first thing that went wrong.
type call struct {
	memory
	op     string
	err    *C.cloudauth_error
	failed error
}

// begin starts an operation. The caller defers release.
func begin(op string) *call {
	c := &call{op: op}
	c.err = sized[C.cloudauth_error](&c.memory)
	if !sameABI {
		c.fail(ErrState, "library", "is of another version than its header; install them together")
	}
	return c
}

// fail keeps the first failure.
func (c *call) fail(code Code, field, help string) {
	if c.failed == nil {
		c.failed = &Error{Op: c.op, Code: code, Field: field, Help: help}
	}
}

// check makes an error of a result.
func (c *call) check(result C.cloudauth_result) error {
	if result == C.CLOUDAUTH_OK {
		return nil
	}
	err := &Error{
		Op: c.op, Code: Code(result), Field: text(c.err.field), Help: text(c.err.help), Element: int(c.err.element),
	}
	if err.Code == ErrMalformed {
		err.Offset = int(c.err.detail)
	}
	return err
}

// seconds converts a duration.
func (c *call) seconds(d time.Duration, field string) C.uint32_t {
	if d < 0 || d%time.Second != 0 || d/time.Second > math.MaxUint32 {
		c.fail(ErrInvalid, field, "expected whole seconds, not negative")
		return 0
	}
	return C.uint32_t(d / time.Second)
}

// attempt makes what the library is told for one try.
func (c *call) attempt(at time.Time) *C.cloudauth_attempt {
	attempt := sized[C.cloudauth_attempt](&c.memory)
	attempt.time = C.int64_t(at.Unix())
	// It never fails, says its documentation since Go 1.24.
	_, _ = rand.Read(unsafe.Slice((*byte)(unsafe.Pointer(&attempt.random[0])), len(attempt.random)))
	return attempt
}

// fill calls f with a buffer, and again with a larger one if that was too small. The output stays in
// C memory.
func (c *call) fill(
	first int, f func(out *C.uint8_t, size C.size_t, n *C.size_t) C.cloudauth_result,
) ([]byte, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	n := alloc[C.size_t](&c.memory)
	for size, try := first, 0; ; size, try = int(*n), try+1 {
		out := c.alloc(size)
		result := f((*C.uint8_t)(out), C.size_t(size), n)
		if result == C.CLOUDAUTH_ERR_BUFFER_TOO_SMALL && try < 3 {
			continue
		}
		if err := c.check(result); err != nil {
			return nil, err
		}
		return unsafe.Slice((*byte)(out), int(*n)), nil
	}
}

// flag is 1 for true.
func flag(b bool) C.uint32_t {
	if b {
		return 1
	}
	return 0
}
