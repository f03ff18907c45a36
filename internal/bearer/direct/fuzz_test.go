package direct

import (
	"bufio"
	"bytes"
	"io"
	"testing"

	"herald/internal/bearer"
)

// FuzzStream reads any bytes as a stream of frames, and holds every frame that
// is taken against its own encoding.
func FuzzStream(f *testing.F) {
	f.Add(appendFrame(nil, []byte("x")))
	f.Add(appendControl(nil, control{kind: kindPing, number: 300}))
	f.Add(appendControl(appendFrame(nil, make([]byte, 200)), control{kind: kindPong, number: 1, clock: 1e9}))
	f.Add([]byte{0x82, 0x80, 0x08})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(stream), readBuffer)
		var again []byte
		for {
			n, isControl, err := readHeader(r)
			if err != nil {
				break
			}
			if n < 1 || n > bearer.MaxFrame || isControl && n > maxControl {
				t.Fatalf("a frame of %d bytes was let in", n)
			}
			body := make([]byte, n)
			if _, err := io.ReadFull(r, body); err != nil {
				break
			}
			if !isControl {
				again = appendFrame(again, body)
				continue
			}
			c, err := parseControl(body)
			if err != nil {
				break
			}
			if c.kind != kindPing && c.kind != kindPong {
				again = append(append(again, byte(n<<1|1)), body...)
				if n > 63 {
					again = append(again[:len(again)-n-1], append([]byte{byte(n<<1|1) | 0x80, 1}, body...)...)
				}
				continue
			}
			again = appendControl(again, c)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatalf("frames were read from bytes that do not encode them:\n%x\n%x", stream, again)
		}
	})
}
