package wire_test

import (
	"encoding/binary"
	"testing"

	"herald/internal/compress"
	"herald/internal/line"
	"herald/internal/wire"
)

const hundred = "Is the vessel off Point 4 yours? It does not answer. We hold fire and keep 5 miles off until 1200 Z."

// framed is what a bearer with a connection sends for a frame: the frame, and
// its length before it (spec 09 §3).
func framed(f []byte) int { return len(binary.AppendUvarint(nil, uint64(len(f))<<1)) + len(f) }

// The sizes are those of a line in use: its logs have thousands of entries and
// its messages hundreds of numbers, so that no number is small by being new.
func TestSizesOnTheWire(t *testing.T) {
	if len(hundred) != 100 {
		t.Fatalf("the text has %d characters", len(hundred))
	}
	say := func(text string, p line.Precedence, compressed bool, parties int, officers ...uint16) int {
		dict, data := compress.None, []byte(text)
		if compressed {
			dict, data = compress.Compress(text)
		}
		after := make([]wire.Mark, parties-1)
		for i := range after {
			after[i] = wire.Mark{Gen: 1, Size: 3000}
		}
		in := wire.Inner{Kind: wire.KindMessage, Flags: wire.NewFlags(p, line.Real, dict), Number: 598, Content: wire.Marshal(wire.Message{Text: data})}
		return framed(speak(t, in, 350, after, officers...).frame)
	}
	receipt := wire.Frame{Type: wire.FrameCosig, Urgent: true, Channel: 1, Payload: wire.Cosig{
		Log: line.Log{Gen: 1}, Size: 3000, Signer: line.Log{Party: 1, Gen: 1}, Time: 1_686_000_000}.Append(nil)}
	for _, c := range []struct {
		what      string
		got, most int
	}{
		{"100 characters at ROUTINE, released by nobody, above the text", say(hundred, line.Routine, false, 2) - 100, 110},
		{"FLASH of 100 characters, one officer, compressed", say(hundred, line.Flash, true, 2, 7), 270},
		{"FLASH of 100 characters, two officers, compressed", say(hundred, line.Flash, true, 2, 7, 4001), 340},
		{"FLASH of 100 characters, one officer, as it is", say(hundred, line.Flash, false, 2, 7), 280},
		{"FLASH of 100 characters, two officers, twelve parties, compressed", say(hundred, line.Flash, true, 12, 7, 4001), 375},
		{"a receipt", framed(receipt.Append(nil)), 100},
	} {
		t.Logf("%d bytes: %s", c.got, c.what)
		if c.got > c.most {
			t.Errorf("%s: %d bytes, at most %d are promised", c.what, c.got, c.most)
		}
	}
}
