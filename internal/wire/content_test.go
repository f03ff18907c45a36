package wire_test

import (
	"strings"
	"testing"

	"herald/internal/line"
	"herald/internal/wire"
)

// Each change makes contents that no receiver may take at their word.
func TestContentsHaveLimits(t *testing.T) {
	good := func() wire.Message {
		return wire.Message{Text: []byte("x"), Subject: "S", Refs: []wire.Ref{sampleRef(1, 40)},
			Blobs: []wire.Blob{{Name: "f", Length: 1, Key: fill(1, 32), Hash: fill(2, 32), Root: fill(3, 32)}}}
	}
	for what, change := range map[string]func(*wire.Message, *wire.Inner){
		"":                         func(*wire.Message, *wire.Inner) {},
		"no reference in a reply":  func(m *wire.Message, _ *wire.Inner) { m.Refs = nil },
		"too many references":      func(m *wire.Message, _ *wire.Inner) { m.Refs = make([]wire.Ref, wire.MaxRefs+1) },
		"a short leaf hash":        func(m *wire.Message, _ *wire.Inner) { m.Refs[0].Leaf = fill(1, 31) },
		"a reference to party 16":  func(m *wire.Message, _ *wire.Inner) { m.Refs[0].Party = 16 },
		"a reference to gen 0":     func(m *wire.Message, _ *wire.Inner) { m.Refs[0].Gen = 0 },
		"too many attachments":     func(m *wire.Message, _ *wire.Inner) { m.Blobs = make([]wire.Blob, wire.MaxBlobs+1) },
		"attachment too large":     func(m *wire.Message, _ *wire.Inner) { m.Blobs[0].Length = wire.MaxBlob + 1 },
		"attachment without key":   func(m *wire.Message, _ *wire.Inner) { m.Blobs[0].Key = nil },
		"attachment without hash":  func(m *wire.Message, _ *wire.Inner) { m.Blobs[0].Hash = nil },
		"attachment without root":  func(m *wire.Message, _ *wire.Inner) { m.Blobs[0].Root = nil },
		"attachment without name":  func(m *wire.Message, _ *wire.Inner) { m.Blobs[0].Name = "" },
		"attachment in a folder":   func(m *wire.Message, _ *wire.Inner) { m.Blobs[0].Name = "a/b" },
		"attachment above":         func(m *wire.Message, _ *wire.Inner) { m.Blobs[0].Name = ".." },
		"attachment of Windows":    func(m *wire.Message, _ *wire.Inner) { m.Blobs[0].Name = `a\b` },
		"attachment of two lines":  func(m *wire.Message, _ *wire.Inner) { m.Blobs[0].Name = "a\nb" },
		"subject too long":         func(m *wire.Message, _ *wire.Inner) { m.Subject = strings.Repeat("s", wire.MaxSubject+1) },
		"subject of two lines":     func(m *wire.Message, _ *wire.Inner) { m.Subject = "a\nb" },
		"language with a space":    func(m *wire.Message, _ *wire.Inner) { m.Lang = "e n" },
		"language too long":        func(m *wire.Message, _ *wire.Inner) { m.Lang = strings.Repeat("e", 17) },
		"a short form":             func(m *wire.Message, _ *wire.Inner) { m.Form = fill(1, 31) },
		"an unassigned marking":    func(_ *wire.Message, in *wire.Inner) { in.Flags = wire.NewFlags(line.Flash, 3, 0) },
		"an unassigned flag":       func(_ *wire.Message, in *wire.Inner) { in.Flags = 1 << 8 },
		"not even the right shape": func(_ *wire.Message, in *wire.Inner) { in.Kind = wire.KindGot },
	} {
		m, in := good(), wire.Inner{Kind: wire.KindAnswer}
		change(&m, &in)
		in.Content = wire.Marshal(m)
		if err := wire.CheckContent(in); (err == nil) != (what == "") {
			t.Errorf("%q: %v", what, err)
		}
	}
}

func TestStatementsAndNoticesHaveLimits(t *testing.T) {
	refs := []wire.Ref{sampleRef(1, 40)}
	keys := func(box []byte) map[uint8]wire.SealedSecret {
		return map[uint8]wire.SealedSecret{1: {Index: 1, Box: box}}
	}
	for _, c := range []struct {
		what string
		kind wire.Kind
		v    any
	}{
		{"a statement about nothing", wire.KindGot, wire.Statement{}},
		{"a statement about too much", wire.KindGot, wire.Statement{Refs: make([]wire.Ref, wire.MaxStated+1)}},
		{"a statement without leaf hash", wire.KindGot, wire.Statement{Refs: []wire.Ref{{Party: 1, Gen: 1}}}},
		{"got, of an attachment", wire.KindGot, wire.Statement{Refs: refs, Root: fill(1, 32)}},
		{"blob-got, of none", wire.KindBlobGot, wire.Statement{Refs: refs}},
		{"a channel of two lines", wire.KindAlerted, wire.Statement{Refs: refs, Channel: "a\nb"}},
		{"a reseal to nobody", wire.KindReseal, wire.Reseal{Ref: refs[0], Path: fill(1, 256)}},
		{"a reseal with a short box", wire.KindReseal, wire.Reseal{Ref: refs[0], Keys: keys(fill(1, 1167)), Path: fill(1, 256)}},
		{"a reseal with half a path", wire.KindReseal, wire.Reseal{Ref: refs[0], Keys: keys(fill(1, 1168)), Path: fill(1, 250)}},
		{"a card without hash", wire.KindCard, wire.Notice{Version: 1}},
		{"an act without version", wire.KindAdopt, wire.Notice{Hash: fill(1, 32)}},
		{"a short hash", wire.KindEnact, wire.Notice{Version: 1, Hash: fill(1, 31)}},
		{"evidence without proof", wire.KindEvidence, wire.Notice{Party: 1}},
		{"a state that is neither", wire.KindThrottle, wire.Notice{State: 2}},
		{"a party that no line has", wire.KindThrottle, wire.Notice{Party: 16}},
	} {
		if err := wire.CheckContent(wire.Inner{Kind: c.kind, Content: wire.Marshal(c.v)}); err == nil {
			t.Errorf("%s: taken", c.what)
		}
	}
	if err := wire.CheckContent(wire.Inner{Kind: 999, Content: wire.Marshal(3)}); err != nil {
		t.Errorf("a kind of a later release: %v", err)
	}
}

func TestEpochsHaveLimits(t *testing.T) {
	for what, e := range map[string]wire.Epoch{
		"secrets without commitment": {Secrets: map[uint8]wire.SealedSecret{1: {Box: fill(1, 1168)}}},
		"a short commitment":         {Keys: fill(1, 31)},
		"a short receive key":        {Receive: fill(1, 1215)},
		"a short box":                {Secrets: map[uint8]wire.SealedSecret{1: {Box: fill(1, 1167)}}, Keys: fill(1, 32)},
		"a secret for party 16":      {Secrets: map[uint8]wire.SealedSecret{16: {Box: fill(1, 1168)}}, Keys: fill(1, 32)},
		"a short closing root":       {Closes: &wire.Closes{Size: 1, Root: fill(1, 31)}},
	} {
		if _, err := wire.ParseEpoch(wire.Marshal(e)); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func TestSummariesHaveLimits(t *testing.T) {
	one := func(l wire.HaveLog) wire.Have { return wire.Have{Logs: []wire.HaveLog{l}} }
	ok := wire.HaveLog{Party: 1, Gen: 1, Size: 10}
	with := func(f func(*wire.HaveLog)) wire.Have { l := ok; f(&l); return one(l) }
	many := make([][2]uint64, wire.MaxRanges+1)
	for i := range many {
		many[i] = [2]uint64{uint64(20 + 2*i), uint64(21 + 2*i)}
	}
	for what, h := range map[string]wire.Have{
		"generation 0":             with(func(l *wire.HaveLog) { l.Gen = 0 }),
		"party 16":                 with(func(l *wire.HaveLog) { l.Party = 16 }),
		"a range that touches":     with(func(l *wire.HaveLog) { l.Ahead = [][2]uint64{{10, 12}} }),
		"an empty range":           with(func(l *wire.HaveLog) { l.Ahead = [][2]uint64{{12, 12}} }),
		"ranges that touch":        with(func(l *wire.HaveLog) { l.Ahead = [][2]uint64{{12, 14}, {14, 15}} }),
		"ranges out of order":      with(func(l *wire.HaveLog) { l.Ahead = [][2]uint64{{20, 22}, {14, 15}} }),
		"too many ranges":          with(func(l *wire.HaveLog) { l.Ahead = many }),
		"a cosigner of gen 0":      with(func(l *wire.HaveLog) { l.Cosigned = []wire.HaveCosig{{Party: 1}} }),
		"cosigner 16":              with(func(l *wire.HaveLog) { l.Cosigned = []wire.HaveCosig{{Party: 16, Gen: 1}} }),
		"too many logs":            {Logs: make([]wire.HaveLog, wire.MaxLogs+1)},
		"a card with a short hash": {Cards: []wire.HaveCard{{Hash: fill(1, 31)}}},
		"a card of party 16":       {Cards: []wire.HaveCard{{Party: 16, Hash: fill(1, 32)}}},
	} {
		if _, err := wire.ParseHave(wire.Marshal(h)); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := wire.ParseHave(wire.Marshal(with(func(l *wire.HaveLog) { l.Ahead = many[1:] }))); err != nil {
		t.Error(err)
	}
}

func TestHellosHaveLimits(t *testing.T) {
	l := sampleLine()
	for what, change := range map[string]func(*wire.Hello){
		"":                 func(*wire.Hello) {},
		"a short line":     func(h *wire.Hello) { h.Line = h.Line[:31] },
		"a short charter":  func(h *wire.Hello) { h.Charter = h.Charter[:31] },
		"no version":       func(h *wire.Hello) { h.Versions = nil },
		"17 versions":      func(h *wire.Hello) { h.Versions = make([]uint16, 17) },
		"no suite":         func(h *wire.Hello) { h.Suites = nil },
		"17 suites":        func(h *wire.Hello) { h.Suites = make([]uint16, 17) },
		"party 16":         func(h *wire.Hello) { h.Party = 16 },
		"a bad summary":    func(h *wire.Hello) { h.Have.Logs = []wire.HaveLog{{}} },
		"larger than that": func(h *wire.Hello) { h.Line = fill(1, wire.MaxFrame) },
	} {
		h := wire.Hello{Versions: []uint16{1}, Suites: []uint16{1}, Line: l[:], Charter: fill(1, 32)}
		change(&h)
		if _, err := wire.ParseHello(wire.Marshal(h)); (err == nil) != (what == "") {
			t.Errorf("%q: %v", what, err)
		}
	}
}

func TestEntriesHaveALimit(t *testing.T) {
	size := func(n int) []byte {
		return wire.Marshal(wire.Entry{Key: 1, Body: make([]byte, n), After: []wire.Mark{{Gen: 1}}})
	}
	over := len(size(20_000)) - 20_000
	if _, err := wire.ParseEntry(size(wire.MaxEntry-over), 2); err != nil {
		t.Error(err)
	}
	if _, err := wire.ParseEntry(size(wire.MaxEntry-over+1), 2); err == nil {
		t.Error("an entry of one byte too many was taken")
	}
	if _, err := wire.ParseInner(make([]byte, wire.MaxEntry+1)); err == nil {
		t.Error("an inner part of one byte too many was taken")
	}
}

func TestKindsDoNotOverlap(t *testing.T) {
	for k := wire.Kind(0); k < 300; k++ {
		if k.Owes() && !k.Spoken() || k.Replies() && !k.Spoken() {
			t.Errorf("%s owes or replies and is not spoken", k)
		}
		if known := !strings.HasPrefix(k.String(), "kind-"); known != k.Known() {
			t.Errorf("kind %d: known is %v, its name %s", uint16(k), k.Known(), k)
		}
	}
}
