package wire_test

import (
	"bytes"
	"testing"

	"herald/internal/line"
	"herald/internal/wire"
)

// What a parser takes, its encoder writes with the same bytes: then a hash
// over the bytes is a hash over the meaning.
func fuzz[T any](f *testing.F, parse func([]byte) (T, error), encode func(T) []byte) {
	for _, b := range samples() {
		f.Add(b)
		for _, other := range loosen(b) {
			f.Add(other)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(bytes.Clone(b))
		if err != nil {
			return
		}
		if again := encode(v); !bytes.Equal(again, b) {
			t.Fatalf("%x came back as %x", b, again)
		}
	})
}

func marshal[T any](v T) []byte { return wire.Marshal(v) }

func FuzzParseEntry(f *testing.F) {
	fuzz(f, func(b []byte) (wire.Entry, error) { return wire.ParseEntry(b, 2) }, marshal[wire.Entry])
}
func FuzzParseEpoch(f *testing.F) { fuzz(f, wire.ParseEpoch, marshal[wire.Epoch]) }
func FuzzParseInner(f *testing.F) { fuzz(f, wire.ParseInner, marshal[wire.Inner]) }
func FuzzParseHello(f *testing.F) { fuzz(f, wire.ParseHello, marshal[wire.Hello]) }
func FuzzParseHave(f *testing.F)  { fuzz(f, wire.ParseHave, marshal[wire.Have]) }

func FuzzParseMessage(f *testing.F) {
	fuzz(f, func(b []byte) (wire.Message, error) {
		return wire.ParseMessage(wire.Inner{Kind: wire.KindAnswer, Content: b})
	}, marshal[wire.Message])
}

func FuzzParseStatement(f *testing.F) {
	fuzz(f, func(b []byte) (wire.Statement, error) {
		return wire.ParseStatement(wire.Inner{Kind: wire.KindBlobGot, Content: b})
	}, marshal[wire.Statement])
}

func FuzzParseReseal(f *testing.F) {
	fuzz(f, func(b []byte) (wire.Reseal, error) {
		return wire.ParseReseal(wire.Inner{Kind: wire.KindReseal, Content: b})
	}, marshal[wire.Reseal])
}

func FuzzParseNotice(f *testing.F) {
	fuzz(f, func(b []byte) (wire.Notice, error) {
		return wire.ParseNotice(wire.Inner{Kind: wire.KindCard, Content: b})
	}, marshal[wire.Notice])
}

func FuzzMark(f *testing.F) {
	for _, b := range [][]byte{{0x05}, {0x82, 2, 5}, {0x82, 1, 5}, {0x18, 0x05}, {0xf6}} {
		f.Add(b)
	}
	fuzz(f, func(b []byte) (m wire.Mark, err error) { return m, wire.Unmarshal(b, 32, &m) }, marshal[wire.Mark])
}

func FuzzWantBlob(f *testing.F) {
	fuzz(f, func(b []byte) (w wire.WantBlob, err error) { return w, wire.Unmarshal(b, wire.MaxFrame, &w) }, marshal[wire.WantBlob])
}

func FuzzChunk(f *testing.F) {
	fuzz(f, func(b []byte) (c wire.Chunk, err error) { return c, wire.Unmarshal(b, wire.MaxFrame, &c) }, marshal[wire.Chunk])
}

// fuzzBinary is fuzz for what is not CBOR.
func fuzzBinary[T any](f *testing.F, seed []byte, parse func([]byte) (T, error), encode func(T) []byte) {
	f.Add(seed)
	f.Add(append(bytes.Clone(seed), 0))
	f.Add(seed[:len(seed)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(bytes.Clone(b))
		if err != nil {
			return
		}
		if again := encode(v); !bytes.Equal(again, b) {
			t.Fatalf("%x came back as %x", b, again)
		}
	})
}

func FuzzParseFrame(f *testing.F) {
	fuzzBinary(f, wire.Frame{Type: wire.FrameEntry, Urgent: true, Channel: 300, Payload: []byte("x")}.Append(nil),
		wire.ParseFrame, func(v wire.Frame) []byte { return v.Append(nil) })
}

func FuzzParseSignedEntry(f *testing.F) {
	e := wire.SignedEntry{Pos: line.Pos{Log: line.Log{Party: 3, Gen: 20}, Seq: 400}, Leaf: []byte("leaf")}
	fuzzBinary(f, e.Append(nil), wire.ParseSignedEntry, func(v wire.SignedEntry) []byte { return v.Append(nil) })
}

func FuzzParseHead(f *testing.F) {
	fuzzBinary(f, wire.Head{Log: line.Log{Party: 3, Gen: 20}, Size: 400}.Append(nil),
		wire.ParseHead, func(v wire.Head) []byte { return v.Append(nil) })
}

func FuzzParseCosig(f *testing.F) {
	c := wire.Cosig{Log: line.Log{Party: 3, Gen: 20}, Size: 400, Signer: line.Log{Gen: 1}, Time: 1_686_000_000}
	fuzzBinary(f, c.Append(nil), wire.ParseCosig, func(v wire.Cosig) []byte { return v.Append(nil) })
}

func FuzzParsePart(f *testing.F) {
	f.Add([]byte("\x01\x02\x05abc"))
	f.Add([]byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, off, total, data, err := wire.ParsePart(b)
		if err == nil && (len(data) == 0 || total > wire.MaxFrame || off+uint64(len(data)) > total) {
			t.Fatalf("%x: %d bytes at %d of %d", b, len(data), off, total)
		}
	})
}

func FuzzCheckText(f *testing.F) {
	for _, s := range []string{"plain", "a\nb\tc", "ж 船 سفينة", "\u202eevil", "\xff", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if wire.CheckText(s, 100) == nil && (len(s) > 100 || !plain(s)) {
			t.Fatalf("taken: %q", s)
		}
	})
}
