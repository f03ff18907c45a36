package direct

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"herald/internal/bearer"
)

// Limits of the framing (spec 09 §4).
const (
	maxHeader  = 3  // bytes of a frame's length: 64 KiB and the control bit
	maxControl = 64 // bytes of a control frame
	maxClock   = 1 << 53
)

// The control frames (spec 09 §5).
const (
	kindPing = 1
	kindPong = 2
)

// control is a control frame: a ping, a pong, or one of a kind unknown here.
type control struct {
	kind   uint8
	number uint64        // which ping
	clock  time.Duration // pong: the answering side's clock when it read the ping
}

// appendFrame appends a data frame to the stream.
func appendFrame(b, frame []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(frame))<<1)
	return append(b, frame...)
}

// frameSize is the length on the stream of a data frame of n bytes.
func frameSize(n int) int {
	var h [binary.MaxVarintLen64]byte
	return binary.PutUvarint(h[:], uint64(n)<<1) + n
}

// appendControl appends a ping or a pong to the stream.
func appendControl(b []byte, c control) []byte {
	body := binary.AppendUvarint([]byte{c.kind}, c.number)
	if c.kind == kindPong {
		body = binary.AppendUvarint(body, uint64(c.clock/time.Microsecond))
	}
	b = binary.AppendUvarint(b, uint64(len(body))<<1|1)
	return append(b, body...)
}

// parseControl reads a control frame's body. An unknown kind is no error: a
// later version may have more.
func parseControl(b []byte) (control, error) {
	c := control{kind: b[0]}
	b = b[1:]
	switch c.kind {
	case kindPing, kindPong:
	default:
		return c, nil
	}
	var ok bool
	if c.number, b, ok = uvarint(b); !ok {
		return c, broke("control frame of kind %d without its number", c.kind)
	}
	if c.kind == kindPong {
		var us uint64
		if us, b, ok = uvarint(b); !ok || us > maxClock {
			return c, broke("pong without a sound clock")
		}
		c.clock = time.Duration(us) * time.Microsecond
	}
	if len(b) != 0 {
		return c, broke("control frame of kind %d has %d bytes too many", c.kind, len(b))
	}
	return c, nil
}

// uvarint reads a number in its shortest form.
func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// byteReader is what the framing reads from: a small buffer over the
// connection, so that large frames go straight to their own memory.
type byteReader interface {
	io.Reader
	io.ByteReader
}

// readHeader reads a frame's length and whether it is a control frame. io.EOF
// means that the stream ended between two frames.
func readHeader(r byteReader) (n int, isControl bool, err error) {
	var v uint64
	for i := 0; ; i++ {
		c, err := r.ReadByte()
		if err != nil {
			if i > 0 && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, false, err
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i > 0 && c == 0 {
				return 0, false, broke("frame length is not in its shortest form")
			}
			break
		}
		if i == maxHeader-1 {
			return 0, false, broke("frame length is over %d bytes long", maxHeader)
		}
	}
	n, isControl = int(v>>1), v&1 == 1
	switch {
	case n == 0:
		return 0, false, broke("empty frame")
	case isControl && n > maxControl:
		return 0, false, broke("control frame of %d bytes, at most %d are allowed", n, maxControl)
	case n > bearer.MaxFrame:
		return 0, false, broke("frame of %d bytes, at most %d are allowed", n, bearer.MaxFrame)
	}
	return n, isControl, nil
}

// broke makes an error that lays the fault with the peer.
func broke(format string, args ...any) error {
	return fmt.Errorf("%w: %s", bearer.ErrProtocol, fmt.Sprintf(format, args...))
}
