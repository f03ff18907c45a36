package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"herald/internal/line"
	"herald/internal/wire"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"
)

func TestSamplesAreTaken(t *testing.T) {
	for name, b := range samples() {
		parse, ok := parsers[name]
		if !ok {
			t.Errorf("%s: no parser", name)
		} else if err := parse(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// loosen returns other CBOR encodings of the same or nearly the same value.
func loosen(b []byte) map[string][]byte {
	out := map[string][]byte{
		"a byte behind": append(bytes.Clone(b), 0),
		"a tag before":  append([]byte{0xc1}, b...),
		"cut short":     b[:len(b)-1],
		"null":          {0xf6},
		"nothing":       {},
	}
	switch head := b[0]; {
	case head >= 0x80 && head < 0x98: // array
		out["a long length"] = append([]byte{0x98, head & 31}, b[1:]...)
		out["no fixed length"] = append(append([]byte{0x9f}, b[1:]...), 0xff)
		out["one element more"] = append(append([]byte{head + 1}, b[1:]...), 0)
		if b[1] < 24 {
			out["a long integer"] = append([]byte{head, 0x18}, b[1:]...)
			out["an integer as a float"] = append([]byte{head, 0xf9, 0x00, 0x00}, b[2:]...)
		}
	case head >= 0xa1 && head < 0xb7: // map
		out["a long length"] = append([]byte{0xb8, head & 31}, b[1:]...)
		out["no fixed length"] = append(append([]byte{0xbf}, b[1:]...), 0xff)
		out["a long key"] = append([]byte{head, 0x18}, b[1:]...)
		out["an unknown key"] = append(append([]byte{head + 1}, b[1:]...), 0x17, 0x00)
		out["an unknown text key"] = append(append([]byte{head + 1}, b[1:]...), 0x61, 'x', 0x00)
	}
	return out
}

func TestOtherEncodingsAreRefused(t *testing.T) {
	for name, b := range samples() {
		for what, other := range loosen(b) {
			if err := parsers[name](other); err == nil {
				t.Errorf("%s: taken with %s: %x", name, what, other)
			} else if !errors.Is(err, wire.ErrFormat) {
				t.Errorf("%s with %s: not marked as a matter of format: %v", name, what, err)
			}
		}
	}
}

// Maps in another order, or with a key twice, are other bytes for one value.
func TestMapsHaveOneOrder(t *testing.T) {
	key := func(k byte, v ...byte) []byte { return append([]byte{k}, v...) }
	join := func(head byte, parts ...[]byte) []byte { return append([]byte{head}, bytes.Join(parts, nil)...) }
	lang, subject := key(1, 0x62, 'e', 'n'), key(5, 0x61, 'S')
	parse := content(wire.KindMessage)
	if err := parse(join(0xa2, lang, subject)); err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"keys not sorted":               join(0xa2, subject, lang),
		"a key twice":                   join(0xa2, lang, lang),
		"an empty field":                join(0xa2, lang, key(5, 0x60)),
		"a null field":                  join(0xa2, lang, key(6, 0xf6)),
		"text alone, in the long form":  join(0xa1, key(0, 0x41, 'x')),
		"nothing, in the long form":     {0xa0},
		"text of characters, not bytes": join(0xa2, key(0, 0x61, 'x'), lang),
		"bytes for characters":          join(0xa2, key(1, 0x42, 'e', 'n'), subject),
		"characters that are not UTF-8": join(0xa1, key(5, 0x61, 0xff)),
		"a list of numbers for bytes":   join(0xa2, key(0, 0x81, 0x01), lang),
		"undefined":                     {0xf7},
		"an empty list":                 join(0xa2, lang, key(4, 0x80)),
		"a negative number":             join(0xa2, lang, key(7, 0x20)),
		"a number of 33 bits in action": join(0xa2, lang, key(2, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0)),
	} {
		if err := parse(b); err == nil {
			t.Errorf("taken with %s: %x", what, b)
		}
	}
}

func TestMark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := wire.Mark{Gen: line.Generation(rapid.Uint32Min(1).Draw(t, "gen")), Size: rapid.Uint64().Draw(t, "size")}
		b := wire.Marshal(m)
		if short := b[0]>>5 == 0; short != (m.Gen == 1) {
			t.Fatalf("%+v is written %x", m, b)
		}
		var got wire.Mark
		if err := wire.Unmarshal(b, 32, &got); err != nil || got != m {
			t.Fatalf("%+v came back as %+v, %v", m, got, err)
		}
	})
	for what, b := range map[string][]byte{
		"generation 1 in the long form": {0x82, 1, 5},
		"generation 0":                  {0x82, 0, 5},
		"a generation alone":            {0x81, 2},
		"a negative size":               {0x20},
		"a size of bytes":               {0x41, 5},
	} {
		if err := wire.Unmarshal(b, 32, new(wire.Mark)); err == nil {
			t.Errorf("taken: %s", what)
		}
	}
}

// genBytes and the like draw values that parsers take.
func genBytes(n int) *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), n, n) }

func genPos(t *rapid.T) line.Pos {
	return line.Pos{Log: genLog(t), Seq: rapid.Uint64().Draw(t, "seq")}
}

func genLog(t *rapid.T) line.Log {
	return line.Log{Party: rapid.IntRange(0, 15).Draw(t, "party"), Gen: line.Generation(rapid.Uint32Min(1).Draw(t, "gen"))}
}

func genRefs(t *rapid.T, most int) []wire.Ref {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wire.Ref {
		return wire.NewRef(genPos(t), line.Hash(genBytes(32).Draw(t, "leaf")))
	}), 1, most).Draw(t, "refs")
}

// round encodes v and reads it back with parse.
func round[T any](t *rapid.T, v T, parse func([]byte) (T, error)) {
	b := wire.Marshal(v)
	got, err := parse(b)
	if err != nil {
		t.Fatalf("%+v is refused: %v", v, err)
	}
	if again := wire.Marshal(got); !bytes.Equal(again, b) {
		t.Fatalf("%x came back as %x", b, again)
	}
	if !reflect.DeepEqual(got, v) {
		t.Fatalf("%+v came back as %+v", v, got)
	}
}

func TestEntriesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := wire.Entry{
			Key: rapid.Byte().Draw(t, "key"), Time: rapid.Uint64().Draw(t, "time"),
			Body: rapid.SliceOfN(rapid.Byte(), 1, 400).Draw(t, "body"),
		}
		for range rapid.IntRange(1, 15).Draw(t, "others") {
			e.After = append(e.After, wire.Mark{Gen: genLog(t).Gen, Size: rapid.Uint64().Draw(t, "size")})
		}
		round(t, e, func(b []byte) (wire.Entry, error) { return wire.ParseEntry(b, len(e.After)+1) })
		if _, err := wire.ParseEntry(wire.Marshal(e), len(e.After)+2); err == nil {
			t.Fatal("taken on a line with one party more")
		}
		in := wire.Inner{
			Kind: wire.Kind(rapid.Uint16().Draw(t, "kind")), Flags: wire.Flags(rapid.Uint16().Draw(t, "flags")),
			Number: rapid.Uint64().Draw(t, "number"), Content: cbor.RawMessage(wire.Marshal("x")),
			Releases: rapid.SliceOf(rapid.Byte()).Draw(t, "releases"),
		}
		round(t, in, wire.ParseInner)
		if p, m, d := in.Flags.Precedence(), in.Flags.Marking(), in.Flags.Dict(); in.Flags < 256 && wire.NewFlags(p, m, d) != in.Flags {
			t.Fatalf("flags %#x taken apart and put together differ", in.Flags)
		}
	})
}

func TestContentsComeBack(t *testing.T) {
	ascii := rapid.StringMatching(`[a-zA-Z0-9-]{0,16}`)
	rapid.Check(t, func(t *rapid.T) {
		m := wire.Message{
			Text: rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "text"), Lang: ascii.Draw(t, "lang"),
			Action: rapid.Uint32().Draw(t, "action"), Info: rapid.Uint32().Draw(t, "info"),
			Subject: ascii.Draw(t, "subject"), AnswerBy: rapid.Uint64().Draw(t, "by"),
		}
		if rapid.Bool().Draw(t, "more") {
			m.Refs, m.Form = genRefs(t, wire.MaxRefs), genBytes(32).Draw(t, "form")
			m.Blobs = []wire.Blob{{
				Name: "f" + ascii.Draw(t, "name"), Length: rapid.Uint64Max(wire.MaxBlob).Draw(t, "length"),
				Key: genBytes(32).Draw(t, "key"), Hash: genBytes(32).Draw(t, "hash"), Root: genBytes(32).Draw(t, "root"),
			}}
		}
		round(t, m, func(b []byte) (wire.Message, error) {
			return wire.ParseMessage(wire.Inner{Kind: wire.KindMessage, Content: b})
		})
		s := wire.Statement{Refs: genRefs(t, 20), Officer: rapid.Uint16().Draw(t, "officer"), Channel: ascii.Draw(t, "channel")}
		round(t, s, func(b []byte) (wire.Statement, error) {
			return wire.ParseStatement(wire.Inner{Kind: wire.KindRead, Content: b})
		})
	})
}

func TestFramesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := wire.Frame{
			Type: wire.FrameType(rapid.ByteMax(127).Draw(t, "type")), Urgent: rapid.Bool().Draw(t, "urgent"),
			Channel: rapid.Uint64().Draw(t, "channel"), Payload: rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "payload"),
		}
		if got, err := wire.ParseFrame(f.Append(nil)); err != nil || !reflect.DeepEqual(got, f) {
			t.Fatalf("%+v came back as %+v, %v", f, got, err)
		}
		sig := [64]byte(genBytes(64).Draw(t, "sig"))
		e := wire.SignedEntry{Pos: genPos(t), Sig: sig, Leaf: rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "leaf")}
		if got, err := wire.ParseSignedEntry(e.Append(nil)); err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v came back as %+v, %v", e, got, err)
		}
		p := genPos(t)
		h := wire.Head{Log: p.Log, Size: p.Seq, Root: line.Hash(genBytes(32).Draw(t, "root")), Sig: sig}
		if got, err := wire.ParseHead(h.Append(nil)); err != nil || got != h {
			t.Fatalf("%+v came back as %+v, %v", h, got, err)
		}
		c := wire.Cosig{Log: p.Log, Size: p.Seq, Signer: genLog(t), Time: rapid.Uint64().Draw(t, "time"), Sig: sig}
		if got, err := wire.ParseCosig(c.Append(nil)); err != nil || got != c {
			t.Fatalf("%+v came back as %+v, %v", c, got, err)
		}
	})
}

// Binary payloads have one spelling too: whatever is read is written alike.
func TestBinaryPayloadsRefuse(t *testing.T) {
	sig := string(fill(9, 64))
	root := string(fill(8, 32))
	entry := func(b []byte) error { _, err := wire.ParseSignedEntry(b); return err }
	head := func(b []byte) error { _, err := wire.ParseHead(b); return err }
	cosig := func(b []byte) error { _, err := wire.ParseCosig(b); return err }
	frame := func(b []byte) error { _, err := wire.ParseFrame(b); return err }
	part := func(b []byte) error { _, _, _, _, err := wire.ParsePart(b); return err }
	for _, c := range []struct {
		what  string
		parse func([]byte) error
		b     string
		ok    bool
	}{
		{"entry", entry, "\x11\x05" + sig + "leaf", true},
		{"entry without leaf", entry, "\x11\x05" + sig, false},
		{"entry of generation 0", entry, "\x10\x05" + sig + "leaf", false},
		{"entry of generation 15", entry, "\x1f\x0f\x05" + sig + "leaf", true},
		{"generation 14 in the long form", entry, "\x1f\x0e\x05" + sig + "leaf", false},
		{"generation 2^32", entry, "\x1f\x80\x80\x80\x80\x10\x05" + sig + "leaf", false},
		{"generation 2^32-1", entry, "\x1f\xff\xff\xff\xff\x0f\x05" + sig + "leaf", true},
		{"a long seq", entry, "\x11\x85\x00" + sig + "leaf", false},
		{"a seq of 65 bits", entry, "\x11\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02" + sig + "leaf", false},
		{"entry too large", entry, "\x11\x05" + sig + strings.Repeat("x", wire.MaxEntry+1), false},
		{"largest entry", entry, "\x11\x05" + sig + strings.Repeat("x", wire.MaxEntry), true},
		{"head", head, "\x01\x05" + root + sig, true},
		{"head with a byte more", head, "\x01\x05" + root + sig + "x", false},
		{"head with a byte less", head, "\x01\x05" + root + sig[1:], false},
		{"cosignature", cosig, "\x01\x05\x11\x06" + sig, true},
		{"cosignature with a byte more", cosig, "\x01\x05\x11\x06" + sig + "x", false},
		{"cosignature without time", cosig, "\x01\x05\x11" + sig, false},
		{"frame", frame, "\x83\x01", true},
		{"frame of one byte", frame, "\x83", false},
		{"a long channel", frame, "\x83\x81\x00", false},
		{"frame too large", frame, "\x03\x01" + strings.Repeat("x", wire.MaxFrame-1), false},
		{"largest frame", frame, "\x03\x01" + strings.Repeat("x", wire.MaxFrame-2), true},
		{"part", part, "\x01\x00\x05abc", true},
		{"last part", part, "\x01\x02\x05abc", true},
		{"part beyond the end", part, "\x01\x03\x05abc", false},
		{"part of nothing", part, "\x01\x00\x05", false},
		{"part of a frame too short", part, "\x01\x00\x01a", false},
		{"part of a frame too large", part, "\x01\x00\x81\x80\x04a", false},
		{"offset that overflows", part, "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05a", false},
	} {
		if err := c.parse([]byte(c.b)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		} else if err != nil && !errors.Is(err, wire.ErrFormat) {
			t.Errorf("%s: not marked as a matter of format: %v", c.what, err)
		}
	}
}

func TestPrefixesOfFramesAreRefused(t *testing.T) {
	s := speak(t, wire.Inner{Kind: wire.KindMessage, Content: wire.Marshal(wire.Message{Text: []byte("x")})}, 107, []wire.Mark{{Gen: 1}})
	for i := range s.signed.Leaf {
		if _, err := wire.ParseEntry(s.signed.Leaf[:i], 2); err == nil {
			t.Errorf("an entry was read from its first %d bytes", i)
		}
	}
	h := wire.Head{Log: line.Log{Party: 3, Gen: 20}, Size: 400}.Append(nil)
	for i := range h {
		if _, err := wire.ParseHead(h[:i]); err == nil {
			t.Errorf("a head was read from its first %d bytes", i)
		}
	}
}
