package keys

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rows reads a text of "key value" lines from the top. The first error stays
// and later reads return zero values, so that a parser reads like the form.
type rows struct {
	rest string
	n    int // lines read
	err  error
}

func newRows(text string) *rows { return &rows{rest: text} }

func (r *rows) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("line %d: %w", r.n, err)
	}
}

// line returns the next line without its line feed, which it must have.
func (r *rows) line() string {
	s, rest, ok := strings.Cut(r.rest, "\n")
	r.n++
	if !ok {
		r.fail(fmt.Errorf("the text ends too early"))
		return ""
	}
	r.rest = rest
	return s
}

// next reports whether the next line has the given key.
func (r *rows) next(key string) bool {
	return r.err == nil && strings.HasPrefix(r.rest, key+" ")
}

// value returns the rest of the next line, which must have the given key.
func (r *rows) value(key string) string {
	v, ok := strings.CutPrefix(r.line(), key+" ")
	if !ok {
		r.fail(fmt.Errorf("want %q", key))
	}
	return v
}

// fields splits the value of the next line; it always returns at least lo.
func (r *rows) fields(key string, lo, hi int) []string {
	f := strings.Split(r.value(key), " ")
	if len(f) < lo || len(f) > hi {
		r.fail(fmt.Errorf("%q with %d fields", key, len(f)))
		return make([]string, lo)
	}
	return f
}

func (r *rows) number(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		r.fail(fmt.Errorf("want a number of %d bits", bits))
	}
	return n
}

func (r *rows) time(s string) time.Time {
	t, err := parseTime(s)
	if err != nil {
		r.fail(err)
	}
	return t
}

// key decodes exactly size bytes. The message does not quote s: it may be a
// secret.
func (r *rows) key(s string, size int) []byte {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != size || len(s) != base64.StdEncoding.EncodedLen(size) {
		r.fail(fmt.Errorf("want %d bytes in base64", size))
		return make([]byte, size)
	}
	return b
}

// end returns the first error; text after the last line is one.
func (r *rows) end() error {
	if r.err == nil && r.rest != "" {
		r.n++
		r.fail(fmt.Errorf("unexpected line"))
	}
	return r.err
}
