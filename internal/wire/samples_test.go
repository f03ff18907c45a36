package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/seal"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// The vectors' world is that of spec 04 and 06: the line 00..1f of US and CN,
// US's log key from a seed of 32 bytes 01, its epoch at entry 100.

func fill(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func sampleLine() (id line.ID) {
	for i := range id {
		id[i] = byte(i)
	}
	return id
}

func sampleRef(party uint8, seq uint64) wire.Ref {
	return wire.Ref{Party: party, Gen: 1, Seq: seq, Leaf: fill(0xaa, 32)}
}

// samples are encodings of every structure, by name.
func samples() map[string][]byte {
	out := map[string][]byte{}
	add := func(name string, v any) { out[name] = wire.Marshal(v) }
	add("entry", wire.Entry{Key: 7, Time: 1_686_000_000, Body: []byte("sealed"), After: []wire.Mark{{Gen: 1, Size: 41}}})
	add("entry-of-three-parties", wire.Entry{Key: 255, Time: 1_686_000_000, Body: []byte("sealed"), After: []wire.Mark{{Gen: 1, Size: 1000}, {Gen: 3, Size: 0}}})
	add("epoch", wire.Epoch{
		Secrets: map[uint8]wire.SealedSecret{1: {Index: 3, Box: fill(0xb0, 1168)}},
		Keys:    fill(0x4b, 32), Receive: fill(0x5e, 1216), ReceiveIndex: 4, Oldest: 100,
	})
	add("epoch-that-closes", wire.Epoch{Closes: &wire.Closes{Size: 107, Root: fill(0xc1, 32)}})
	message := wire.Marshal(wire.Message{Text: []byte("Is your vessel at anchor?")})
	add("inner", wire.Inner{Kind: wire.KindMessage, Flags: wire.NewFlags(line.Flash, line.Exercise, 0), Number: 598, Content: message})
	add("inner-of-unknown-kind", wire.Inner{Kind: 999, Content: wire.Marshal("whatever")})
	add("message", wire.Message{
		Text: []byte("Is your vessel at anchor?"), Lang: "en", Action: 0b10, Info: 0b100,
		Refs: []wire.Ref{sampleRef(1, 40)}, Subject: "Vessel",
		Blobs:    []wire.Blob{{Name: "chart.png", Length: 70_000, Key: fill(1, 32), Hash: fill(2, 32), Root: fill(3, 32)}},
		AnswerBy: 1_686_000_600, Form: fill(0xf0, 32),
	})
	add("message-of-nothing", wire.Message{})
	add("got", wire.Statement{Refs: []wire.Ref{sampleRef(1, 40)}})
	add("alerted", wire.Statement{Refs: []wire.Ref{sampleRef(1, 40)}, Channel: "horn"})
	add("read", wire.Statement{Refs: []wire.Ref{sampleRef(1, 40)}, Officer: 7})
	add("blob-got", wire.Statement{Refs: []wire.Ref{sampleRef(1, 40)}, Root: fill(3, 32)})
	add("reseal", wire.Reseal{Ref: sampleRef(0, 107), Keys: map[uint8]wire.SealedSecret{1: {Index: 3, Box: fill(0xb0, 1168)}}, Path: fill(0x9a, 256)})
	add("card", wire.Notice{Version: 2, Hash: fill(0xca, 32)})
	add("throttle", wire.Notice{Party: 1, State: 1})
	add("attendance", wire.Notice{State: 1, Officer: 7})
	add("evidence", wire.Notice{Party: 1, Proof: []byte("see spec 04")})
	add("have", sampleHave())
	add("have-nothing", wire.Have{Full: true})
	l := sampleLine()
	add("hello", wire.Hello{Versions: []uint16{1}, Suites: []uint16{1}, Line: l[:], Charter: fill(0xc4, 32), Have: sampleHave()})
	add("want-blob", wire.WantBlob{Root: fill(3, 32), First: 0, End: 5})
	add("chunk", wire.Chunk{Root: fill(3, 32), Index: 4, Data: fill(0xda, 20)})
	return out
}

func sampleHave() wire.Have {
	return wire.Have{
		Full: true,
		Logs: []wire.HaveLog{
			{Party: 0, Gen: 1, Size: 108, Head: 108, Cosigned: []wire.HaveCosig{{Party: 1, Gen: 1, Size: 107}}},
			{Party: 1, Gen: 1, Size: 41, Ahead: [][2]uint64{{42, 44}, {50, 51}}, Head: 40},
		},
		Cards: []wire.HaveCard{{Party: 0, Version: 2, Hash: fill(0xca, 32)}},
	}
}

// parsers take what must hold of the samples.
var parsers = map[string]func([]byte) error{
	"entry": func(b []byte) error { _, err := wire.ParseEntry(b, 2); return err },
	"entry-of-three-parties": func(b []byte) error {
		_, err := wire.ParseEntry(b, 3)
		return err
	},
	"epoch":                 epochParser,
	"epoch-that-closes":     epochParser,
	"inner":                 innerParser,
	"inner-of-unknown-kind": innerParser,
	"message":               content(wire.KindMessage),
	"message-of-nothing":    content(wire.KindService),
	"got":                   content(wire.KindGot),
	"alerted":               content(wire.KindAlerted),
	"read":                  content(wire.KindRead),
	"blob-got":              content(wire.KindBlobGot),
	"reseal":                content(wire.KindReseal),
	"card":                  content(wire.KindCard),
	"throttle":              content(wire.KindThrottle),
	"attendance":            content(wire.KindAttendance),
	"evidence":              content(wire.KindEvidence),
	"have":                  haveParser,
	"have-nothing":          haveParser,
	"hello":                 func(b []byte) error { _, err := wire.ParseHello(b); return err },
	"want-blob":             func(b []byte) error { return wire.Unmarshal(b, wire.MaxFrame, new(wire.WantBlob)) },
	"chunk":                 func(b []byte) error { return wire.Unmarshal(b, wire.MaxFrame, new(wire.Chunk)) },
}

func epochParser(b []byte) error { _, err := wire.ParseEpoch(b); return err }
func innerParser(b []byte) error { _, err := wire.ParseInner(b); return err }
func haveParser(b []byte) error  { _, err := wire.ParseHave(b); return err }

func content(k wire.Kind) func([]byte) error {
	return func(b []byte) error { return wire.CheckContent(wire.Inner{Kind: k, Content: b}) }
}

// spoken is one released message as it goes over the wire.
type spoken struct {
	inner     wire.Inner
	statement []byte
	entry     wire.Entry
	signed    wire.SignedEntry
	frame     []byte
}

// speak seals, signs and frames an inner part as entry seq of US, under the
// epoch at entry 100 of a line with so many parties.
func speak(t testing.TB, in wire.Inner, seq uint64, after []wire.Mark, officers ...uint16) spoken {
	t.Helper()
	const at = 1_686_000_000
	s := spoken{inner: in}
	s.statement = keys.ReleaseStatement(sampleLine(), 1, "US", at, in.Flags.Precedence(), in.Flags.Marking(), sha256.Sum256(in.SignedPart()))
	for _, o := range officers {
		priv := ed25519.NewKeyFromSeed(fill(byte(o), 32))
		s.inner.Releases = keys.AppendRelease(s.inner.Releases, o, ed25519.Sign(priv, s.statement))
	}
	id := line.NewLogID(sampleLine(), "US", 1)
	ep, err := seal.NewEpoch(id, 100, bytes.NewReader(fill(0xe5, 32)))
	if err != nil {
		t.Fatal(err)
	}
	mk, err := ep.Key(int(seq - 100))
	if err != nil {
		t.Fatal(err)
	}
	s.entry = wire.Entry{Key: uint8(seq - 100), Time: at, After: after}
	ad := append(tlog.EntryContext(id, seq), s.entry.Context()...)
	s.entry.Body = seal.SealBody(mk, ad, wire.Marshal(s.inner))
	leaf := wire.Marshal(s.entry)
	s.signed = wire.SignedEntry{Pos: line.Pos{Log: line.Log{Gen: 1}, Seq: seq}, Leaf: leaf}
	s.signed.Sig = tlog.SignEntry(ed25519.NewKeyFromSeed(fill(1, 32)), id, seq, tlog.LeafHash(leaf))
	f := wire.Frame{Type: wire.FrameEntry, Urgent: in.Flags.Precedence().Urgent(), Channel: 1, Payload: s.signed.Append(nil)}
	s.frame = f.Append(nil)
	return s
}
