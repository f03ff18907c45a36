package record_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// chain makes entries of a log, each marking as many of the other's.
func chain(t *testing.T, l record.Line, g line.Log, n int, mark func(i int) uint64) (out []record.Checked) {
	t.Helper()
	for i := range n {
		out = append(out, check(t, l, write(l, line.Pos{Log: g, Seq: uint64(i)}, []wire.Mark{{Gen: 1, Size: mark(i)}}, nil, "x")))
	}
	return out
}

func none(int) uint64 { return 0 }

var us, cn = line.Log{Party: 0, Gen: 1}, line.Log{Party: 1, Gen: 1}

// A gap that fills can give ranks to more entries than are kept in memory, and
// all of them in one turn, before the store has any.
func TestManyRanksInOneTurn(t *testing.T) {
	const n = 700
	l := testLine(2)
	usEntries, cnEntries := chain(t, l, us, n, none), chain(t, l, cn, n, func(i int) uint64 { return uint64(i) + 1 })
	s := newStation(t, l, newShelf())
	s.take(t, usEntries[1:]...)
	s.take(t, cnEntries...)
	if s.Ranked(us) != 0 || s.Ranked(cn) != 0 || s.Size(cn) != n {
		t.Fatal("ranked without predecessors")
	}
	s.take(t, usEntries[0])
	if s.Ranked(us) != n || s.Ranked(cn) != n || s.Settled() != n {
		t.Fatalf("ranked %d and %d, settled %d", s.Ranked(us), s.Ranked(cn), s.Settled())
	}
	// Old ranks come from the shelf now, also after a start.
	s = newStation(t, l, s.shelf)
	late := check(t, l, write(l, line.Pos{Log: cn, Seq: n}, []wire.Mark{{Gen: 1, Size: 3}}, nil, "x"))
	s.take(t, late)
	if got := s.shelf.entries[late.Pos].Rank; got != n+2 {
		t.Errorf("rank %d, want %d", got, n+2)
	}
}

// A lost rank is damage, and is said; it is not taken for a gap.
func TestLostRankIsSaid(t *testing.T) {
	l := testLine(2)
	s := newStation(t, l, newShelf())
	s.take(t, chain(t, l, us, 5, none)...)
	s = newStation(t, l, s.shelf)
	for p, e := range s.shelf.entries {
		e.Rank = 0
		s.shelf.entries[p] = e
	}
	var turn record.Turn
	_, err := s.Add(&turn, check(t, l, write(l, line.Pos{Log: cn}, []wire.Mark{{Gen: 1, Size: 2}}, nil, "")), record.Entry{})
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v", err)
	}
}

func TestDamagedShelfIsSaid(t *testing.T) {
	l := testLine(2)
	for what, damage := range map[string]func(*record.Snapshot){
		"a cut tree":       func(s *record.Snapshot) { s.Logs[0].Tree = s.Logs[0].Tree[1:] },
		"another size":     func(s *record.Snapshot) { s.Logs[0].Size++ },
		"a party too many": func(s *record.Snapshot) { s.Logs[0].Log.Party = 2 },
		"ranks too few":    func(s *record.Snapshot) { s.Logs[0].Ranked-- },
		"no waiting entry": func(s *record.Snapshot) { s.Waiting = nil },
		"another waiting":  func(s *record.Snapshot) { s.Waiting[0].Pos.Seq++ },
		"a broken leaf":    func(s *record.Snapshot) { s.Waiting[0].Leaf = nil },
	} {
		s := newStation(t, l, newShelf())
		s.take(t, chain(t, l, us, 3, func(i int) uint64 { return uint64(i / 2 * 9) })...)
		snap := s.shelf.load()
		damage(&snap)
		if _, err := record.New(l, snap, s.shelf.rank); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// However heads come before their entries, the greatest is met.
func TestGreatestHeadIsMet(t *testing.T) {
	const n = 30
	l := testLine(2)
	entries := chain(t, l, us, n, none)
	var heads []wire.Head
	ref := newStation(t, l, newShelf())
	for _, e := range entries {
		ref.take(t, e)
		heads = append(heads, signHead(l, us, ref.TreeHead(us)))
	}
	for name, order := range map[string]func([]wire.Head){"rising": func([]wire.Head) {}, "falling": slices.Reverse[[]wire.Head]} {
		hs := slices.Clone(heads)
		order(hs)
		s := newStation(t, l, newShelf())
		s.turn(t, func(turn *record.Turn) {
			for _, h := range hs {
				if out := s.AddHead(turn, h); out != record.Taken && out != record.TooFar {
					t.Errorf("%s: head of size %d: outcome %d", name, h.Size, out)
				}
			}
		})
		s.take(t, entries...)
		if h, ok := s.Head(us); !ok || h.Size != n {
			t.Errorf("%s: the greatest head met has size %d", name, h.Size)
		}
	}
}

func TestOutcomes(t *testing.T) {
	l := testLine(2)
	s := newStation(t, l, newShelf())
	es := chain(t, l, us, 4, none)
	far := check(t, l, write(l, line.Pos{Log: us, Seq: 2 + record.MaxAhead}, firstMarks(l), nil, "x"))
	edge := check(t, l, write(l, line.Pos{Log: us, Seq: 1 + record.MaxAhead}, firstMarks(l), nil, "x"))
	s.turn(t, func(turn *record.Turn) {
		for _, c := range []struct {
			c    record.Checked
			want record.Outcome
		}{{es[0], record.Taken}, {es[0], record.Below}, {es[2], record.Taken}, {es[2], record.Duplicate}, {far, record.TooFar}, {edge, record.Taken}} {
			if got := s.add(t, turn, c.c); got != c.want {
				t.Errorf("entry %d: outcome %d, want %d", c.c.Pos.Seq, got, c.want)
			}
		}
	})
	if got, want := s.Ahead(us, 9), [][2]uint64{{2, 3}, {1 + record.MaxAhead, 2 + record.MaxAhead}}; !slices.Equal(got, want) {
		t.Errorf("ahead: %v", got)
	}
	if len(s.Ahead(us, 1)) != 1 || !s.Holds(es[2].Pos) || s.Holds(es[1].Pos) || !s.Holds(es[0].Pos) {
		t.Error("what is held is told wrong")
	}
}

// fork gives a station one history of US and offers a piece of another.
func TestForksGiveEvidence(t *testing.T) {
	l := testLine(2)
	a, b := chain(t, l, us, 6, none), chain(t, l, us, 6, none)
	b[3] = check(t, l, write(l, b[3].Pos, firstMarks(l), nil, "another"))
	heads := func(cs []record.Checked) (hs []wire.Head) {
		ref := newStation(t, l, newShelf())
		for _, c := range cs {
			ref.take(t, c)
			hs = append(hs, signHead(l, us, ref.TreeHead(us)))
		}
		return hs
	}
	ha, hb := heads(a), heads(b)
	key, _ := keyring{}.LogKey(us)

	holds := func(what string, ev []byte, kind tlog.Kind) {
		t.Helper()
		e, err := tlog.ParseEvidence(ev)
		if err != nil || e.Verify(key) != nil || e.Kind != kind {
			t.Errorf("%s: the evidence does not hold: %+v, %v", what, e, err)
		}
		if other, _ := (keyring{}).LogKey(cn); e.Verify(other) == nil {
			t.Errorf("%s: the evidence accuses another", what)
		}
	}
	entryFork := func(what string, s *station) {
		t.Helper()
		var turn record.Turn
		if out := s.add(t, &turn, b[3]); out != record.Below {
			t.Errorf("%s: outcome %d", what, out)
		}
		ev, forked := s.Fork(b[3], s.shelf.entries[b[3].Pos])
		if !forked {
			t.Fatalf("%s: not seen", what)
		}
		bytes, err := ev.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		holds(what, bytes, tlog.TwoEntries)
	}
	s := newStation(t, l, newShelf())
	s.take(t, a[3])
	entryFork("two entries ahead of the prefix", s)
	s.take(t, a[:3]...)
	entryFork("two entries in the prefix", s)
	if _, forked := s.Fork(a[3], s.shelf.entries[a[3].Pos]); forked {
		t.Error("one entry twice is taken for a fork")
	}

	rootFork := func(what string, s *station, first, second wire.Head) {
		t.Helper()
		s.turn(t, func(turn *record.Turn) { s.AddHead(turn, first) })
		s.turn(t, func(turn *record.Turn) {
			if out := s.AddHead(turn, second); out != record.Forked {
				t.Errorf("%s: outcome %d", what, out)
			}
		})
		if n := len(s.shelf.proofs); n != 1 || !s.shelf.proofs[0].Proven {
			t.Fatalf("%s: proofs %+v", what, s.shelf.proofs)
		}
		holds(what, s.shelf.proofs[0].Bytes, tlog.TwoRoots)
	}
	rootFork("two roots ahead of the prefix", newStation(t, l, newShelf()), ha[4], hb[4])
	s = newStation(t, l, newShelf())
	s.take(t, a[:5]...)
	rootFork("two roots of the prefix", s, ha[4], hb[4])

	// A head that fits no entries proves nothing yet: it may not be called so.
	for what, order := range map[string]bool{"head after its entries": false, "head before its entries": true} {
		s := newStation(t, l, newShelf())
		if !order {
			s.take(t, a[:5]...)
		}
		s.turn(t, func(turn *record.Turn) { s.AddHead(turn, hb[4]) })
		if order {
			s.take(t, a[:5]...)
		}
		if len(s.shelf.proofs) != 1 || s.shelf.proofs[0].Proven || len(s.shelf.proofs[0].Bytes) != 0 {
			t.Errorf("%s: proofs %+v", what, s.shelf.proofs)
		}
		if _, ok := s.Head(us); ok {
			t.Errorf("%s: it was taken", what)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	l := testLine(2)
	good := write(l, line.Pos{Log: us, Seq: 5}, firstMarks(l), nil, "x")
	check(t, l, good)
	for what, change := range map[string]func(*wire.SignedEntry){
		"a party that the line does not have": func(e *wire.SignedEntry) { e.Pos.Party = 2 },
		"another's place":                     func(e *wire.SignedEntry) { e.Pos.Party = 1 },
		"another generation":                  func(e *wire.SignedEntry) { e.Pos.Gen = 2 },
		"another seq":                         func(e *wire.SignedEntry) { e.Pos.Seq++ },
		"a seq beyond all logs":               func(e *wire.SignedEntry) { e.Pos.Seq = tlog.MaxSize },
		"a changed signature":                 func(e *wire.SignedEntry) { e.Sig[0] ^= 1 },
		"a changed leaf":                      func(e *wire.SignedEntry) { e.Leaf = slices.Clone(e.Leaf); e.Leaf[4] ^= 1 },
		"a leaf that is no entry":             func(e *wire.SignedEntry) { *e = resign(l, e.Pos, []byte("no entry")) },
		"marks for three parties": func(e *wire.SignedEntry) {
			*e = write(l, e.Pos, []wire.Mark{{Gen: 1}, {Gen: 1}}, nil, "x")
		},
		"an epoch before the log": func(e *wire.SignedEntry) {
			*e = resign(l, e.Pos, wire.Marshal(wire.Entry{Key: 6, Body: []byte("x"), After: firstMarks(l)}))
		},
		"a first entry that is no epoch": func(e *wire.SignedEntry) {
			*e = resign(l, line.Pos{Log: us}, wire.Marshal(wire.Entry{Key: 1, Body: []byte("x"), After: firstMarks(l)}))
		},
	} {
		e := good
		change(&e)
		if _, err := record.Check(l, keyring{}, e); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := record.Check(l, keyring{}, write(l, line.Pos{Log: line.Log{Gen: 100}}, firstMarks(l), nil, "")); !errors.Is(err, record.ErrUnknownKey) {
		t.Errorf("an entry without a card: %v", err)
	}
	// What is inside the seal refuses nothing, nor does a bad epoch.
	check(t, l, resign(l, line.Pos{Log: us}, wire.Marshal(wire.Entry{Body: []byte("no epoch"), After: firstMarks(l)})))
}

func resign(l record.Line, p line.Pos, leaf []byte) wire.SignedEntry {
	return wire.SignedEntry{Pos: p, Leaf: leaf, Sig: tlog.SignEntry(priv(p.Log, 'l'), l.LogID(p.Log), p.Seq, tlog.LeafHash(leaf))}
}

func TestCheckHead(t *testing.T) {
	l := testLine(2)
	good := signHead(l, us, tlog.Head{Size: 3, Root: line.Hash{1}})
	if err := record.CheckHead(l, keyring{}, good); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*wire.Head){
		"another party":    func(h *wire.Head) { h.Log.Party = 1 },
		"no party":         func(h *wire.Head) { h.Log.Party = 2 },
		"another size":     func(h *wire.Head) { h.Size++ },
		"a size too large": func(h *wire.Head) { h.Size = tlog.MaxSize + 1 },
		"another root":     func(h *wire.Head) { h.Root[1] ^= 1 },
		"no card":          func(h *wire.Head) { h.Log.Gen = 100 },
	} {
		h := good
		change(&h)
		if record.CheckHead(l, keyring{}, h) == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// What a station tells of itself is what it holds, and reading changes
// nothing.
func TestViews(t *testing.T) {
	l := testLine(3)
	s := newStation(t, l, newShelf())
	fresh := line.Log{Party: 2, Gen: 9}
	if s.TreeHead(fresh).Root != tlog.EmptyRoot() || s.TreeAfter(fresh, nil).Size != 0 || len(s.Logs()) != 0 {
		t.Error("reading of an unknown log made one")
	}
	e0 := entry0(t, l, us)
	after := s.TreeAfter(us, []line.Hash{e0.LeafHash})
	s.take(t, e0)
	if s.TreeHead(us) != after {
		t.Error("the head foretold is not the head that came")
	}
	head := signHead(l, us, after)
	cosig := func(g line.Log) record.Cosig {
		return record.Cosig{Cosig: wire.Cosig{Log: us, Size: 1, Signer: g}}
	}
	s.turn(t, func(turn *record.Turn) {
		s.AddHead(turn, head)
		for _, g := range []line.Log{{Party: 2, Gen: 1}, {Party: 1, Gen: 2}, {Party: 1, Gen: 1}} {
			if !s.AddCosig(turn, cosig(g)) || s.AddCosig(turn, cosig(g)) {
				t.Errorf("cosignature of %v", g)
			}
		}
		s.SetOpened(turn, us, 1)
		s.SetOpened(turn, us, 0)
	})
	want := []wire.HaveCosig{{Party: 1, Gen: 1, Size: 1}, {Party: 1, Gen: 2, Size: 1}, {Party: 2, Gen: 1, Size: 1}}
	if got := s.Cosigners(us); !slices.Equal(got, want) {
		t.Errorf("cosigners %v", got)
	}
	if s.Delivered(us, 1) != 1 || s.Delivered(us, 0) != 0 || s.Cosigned(us, line.Log{Party: 2, Gen: 1}) != 1 || s.Opened(us) != 1 {
		t.Error("delivered or opened is told wrong")
	}
	if root, ok := s.RootAt(us, 1); !ok || root != after.Root {
		t.Error("the root at the head's size is not known")
	}
	if _, ok := s.RootAt(us, 2); ok {
		t.Error("a root is known of entries that are not held")
	}
	have := s.Have()
	if _, err := wire.ParseHave(wire.Marshal(have)); err != nil || len(have.Logs) != 1 || have.Logs[0].Head != 1 || !have.Full {
		t.Errorf("summary %+v, %v", have, err)
	}
	s = newStation(t, l, s.shelf)
	if root, ok := s.RootAt(us, 1); !ok || root != after.Root || s.Opened(us) != 1 {
		t.Error("a start forgets heads or what was opened")
	}
}

func TestMarkFor(t *testing.T) {
	l := testLine(3)
	s := newStation(t, l, newShelf())
	if m := s.MarkFor(1, 0); m != (wire.Mark{Gen: 1}) {
		t.Errorf("of a silent party: %v", m)
	}
	s.take(t, entry0(t, l, us), entry0(t, l, line.Log{Party: 2, Gen: 1}),
		check(t, l, write(l, line.Pos{Log: cn}, []wire.Mark{{Gen: 1, Size: 1}, {Gen: 1, Size: 0}}, nil, "")))
	if a, b := s.MarkFor(1, 0), s.MarkFor(1, 2); a.Size != 1 || b.Size != 0 {
		t.Errorf("marks %v and %v", a, b)
	}
	if got := s.After(); !slices.Equal(got, []wire.Mark{{Gen: 1, Size: 1}, {Gen: 1, Size: 1}}) {
		t.Errorf("own marks %v", got)
	}
}

// A station that got its own log back, but not yet what it had vouched for in
// it, must not seem to have forgotten: marks that shrink are a fault.
func TestMarksDoNotShrinkAfterARestore(t *testing.T) {
	l := testLine(2)
	own, others := chain(t, l, us, 3, func(i int) uint64 { return uint64(i) * 2 }), chain(t, l, cn, 6, none)
	s := newStation(t, l, newShelf())
	s.take(t, own...)
	for i := range others {
		want := wire.Mark{Gen: 1, Size: max(4, uint64(i))}
		if got := s.AfterIn(us); got[0] != want {
			t.Errorf("with %d of the other's entries the marks are %v, want %v", i, got, want)
		}
		if got := s.AfterIn(line.Log{Gen: 2}); got[0].Size != uint64(i) {
			t.Errorf("with %d of the other's entries a new log begins with marks %v", i, got)
		}
		s.take(t, others[i])
		s = newStation(t, l, s.shelf)
	}
}

func FuzzCheck(f *testing.F) {
	l := testLine(2)
	good := write(l, line.Pos{Log: us, Seq: 5}, firstMarks(l), nil, "x").Append(nil)
	first := write(l, line.Pos{Log: cn}, firstMarks(l), &wire.Closes{Size: 3, Root: make([]byte, 32)}, "").Append(nil)
	f.Add(good)
	f.Add(first)
	f.Fuzz(func(t *testing.T, b []byte) {
		se, err := wire.ParseSignedEntry(b)
		if err != nil {
			return
		}
		if _, err := record.Check(l, keyring{}, se); err == nil && !slices.Equal(b, good) && !slices.Equal(b, first) {
			t.Fatalf("a forged entry was taken: %x", b)
		}
	})
}
