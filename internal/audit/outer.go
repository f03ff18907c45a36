package audit

import (
	"encoding/binary"
	"fmt"

	"herald/internal/line"
	"herald/internal/wire"
)

// outer is what of an entry stands outside its seal.
type outer struct {
	key  uint8
	time uint64
	body []byte
}

// errOuter says that bytes are not an entry (spec 05 §1).
var errOuter = fmt.Errorf("entry: %w", wire.ErrFormat)

// parseOuter reads an entry's outer structure into o, and its marks into
// marks, one for each other party. It takes exactly what wire.ParseEntry
// takes, which the fuzz test holds it to; it exists because an audit reads
// each entry once and wire's reflection would be most of its work.
func parseOuter(leaf []byte, marks []wire.Mark) (o outer, err error) {
	if len(leaf) > wire.MaxEntry {
		return o, errOuter
	}
	c := cursor{b: leaf}
	key, time := uint64(0), uint64(0)
	ok := c.array(4) && c.uint(&key) && key <= 255 && c.uint(&time) && c.bytes(&o.body) && c.array(len(marks))
	for i := 0; ok && i < len(marks); i++ {
		ok = c.mark(&marks[i])
	}
	if !ok || len(c.b) != 0 {
		return outer{}, errOuter
	}
	o.key, o.time = uint8(key), time
	return o, nil
}

// cursor reads deterministic CBOR (RFC 8949 §4.2.1).
type cursor struct{ b []byte }

// head reads a type and its argument, in the shortest form.
func (c *cursor) head() (major byte, arg uint64, ok bool) {
	if len(c.b) == 0 {
		return 0, 0, false
	}
	first := c.b[0]
	info := first & 31
	if info < 24 {
		c.b = c.b[1:]
		return first >> 5, uint64(info), true
	}
	n := 1 << (info - 24)
	if info > 27 || len(c.b) < 1+n {
		return 0, 0, false
	}
	var least uint64
	switch b := c.b[1:]; info {
	case 24:
		arg, least = uint64(b[0]), 24
	case 25:
		arg, least = uint64(binary.BigEndian.Uint16(b)), 1<<8
	case 26:
		arg, least = uint64(binary.BigEndian.Uint32(b)), 1<<16
	case 27:
		arg, least = binary.BigEndian.Uint64(b), 1<<32
	}
	c.b = c.b[1+n:]
	return first >> 5, arg, arg >= least
}

func (c *cursor) uint(to *uint64) bool {
	major, v, ok := c.head()
	*to = v
	return ok && major == 0
}

func (c *cursor) array(n int) bool {
	major, v, ok := c.head()
	return ok && major == 4 && v == uint64(n)
}

func (c *cursor) bytes(to *[]byte) bool {
	major, n, ok := c.head()
	if !ok || major != 2 || n > uint64(len(c.b)) {
		return false
	}
	*to, c.b = c.b[:n], c.b[n:]
	return true
}

// mark reads a size, or a generation above 1 with its size.
func (c *cursor) mark(m *wire.Mark) bool {
	if len(c.b) > 0 && c.b[0]>>5 == 0 {
		m.Gen = 1
		return c.uint(&m.Size)
	}
	var gen uint64
	if !c.array(2) || !c.uint(&gen) || gen < 2 || gen > 1<<32-1 || !c.uint(&m.Size) {
		return false
	}
	m.Gen = line.Generation(gen)
	return true
}
