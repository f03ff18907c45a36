package record_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"testing"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// failer is what tests and properties share.
type failer interface {
	Helper()
	Fatalf(string, ...any)
}

var codes = []line.Party{"US", "CN", "RU", "IN", "FR"}

func testLine(parties int) record.Line {
	return record.Line{ID: line.ID{7}, Members: codes[:parties]}
}

// keyring gives every generation of every party a key, from its name.
type keyring struct{}

func priv(g line.Log, use byte) ed25519.PrivateKey {
	seed := bytes.Repeat([]byte{use}, ed25519.SeedSize)
	seed[0], seed[1] = byte(g.Party), byte(g.Gen)
	return ed25519.NewKeyFromSeed(seed)
}

func (keyring) LogKey(g line.Log) (ed25519.PublicKey, bool) {
	return priv(g, 'l').Public().(ed25519.PublicKey), g.Gen < 100
}

func (keyring) DeliveryKey(g line.Log) (ed25519.PublicKey, bool) {
	return priv(g, 'd').Public().(ed25519.PublicKey), g.Gen < 100
}

// write makes an entry and signs it. What it says does not matter here, but
// for what a generation's first entry closes.
func write(l record.Line, p line.Pos, after []wire.Mark, closes *wire.Closes, text string) wire.SignedEntry {
	e := wire.Entry{Key: uint8(min(p.Seq, 255)), Time: 1_686_000_000 + p.Seq, Body: []byte(text), After: after}
	if p.Seq == 0 {
		e.Body = wire.Marshal(wire.Epoch{Closes: closes})
	}
	se := wire.SignedEntry{Pos: p, Leaf: wire.Marshal(e)}
	se.Sig = tlog.SignEntry(priv(p.Log, 'l'), l.LogID(p.Log), p.Seq, tlog.LeafHash(se.Leaf))
	return se
}

func check(t failer, l record.Line, se wire.SignedEntry) record.Checked {
	t.Helper()
	c, err := record.Check(l, keyring{}, se)
	if err != nil {
		t.Fatalf("an entry is refused: %v", err)
	}
	return c
}

func signHead(l record.Line, g line.Log, h tlog.Head) wire.Head {
	return wire.Head{Log: g, Size: h.Size, Root: h.Root, Sig: tlog.SignHead(priv(g, 'l'), l.LogID(g), h)}
}

// shelf keeps what batches say, as a store does.
type shelf struct {
	entries map[line.Pos]record.Entry
	logs    map[line.Log]record.Log
	heads   map[line.Log]map[uint64]record.Head
	cosigs  map[line.Log]map[line.Log]record.Cosig
	proofs  []record.Proof
}

func newShelf() *shelf {
	return &shelf{
		entries: map[line.Pos]record.Entry{}, logs: map[line.Log]record.Log{},
		heads: map[line.Log]map[uint64]record.Head{}, cosigs: map[line.Log]map[line.Log]record.Cosig{},
	}
}

func (s *shelf) commit(t failer, b *record.Batch) {
	t.Helper()
	for _, e := range b.Entries {
		if _, ok := s.entries[e.Pos]; ok {
			t.Fatalf("entry %v is inserted twice", e.Pos)
		}
		s.entries[e.Pos] = e
	}
	for _, r := range b.Ranks {
		e, ok := s.entries[r.Pos]
		if !ok || e.Rank != 0 {
			t.Fatalf("rank %d for entry %v, which has %d", r.Rank, r.Pos, e.Rank)
		}
		e.Rank = r.Rank
		s.entries[r.Pos] = e
	}
	for _, l := range b.Logs {
		s.logs[l.Log] = l
	}
	for _, h := range b.Heads {
		if s.heads[h.Log] == nil {
			s.heads[h.Log] = map[uint64]record.Head{}
		}
		s.heads[h.Log][h.Size] = h
	}
	for _, c := range b.Cosigs {
		if s.cosigs[c.Log] == nil {
			s.cosigs[c.Log] = map[line.Log]record.Cosig{}
		}
		if c.Size > s.cosigs[c.Log][c.Signer].Size {
			s.cosigs[c.Log][c.Signer] = c
		}
	}
	s.proofs = append(s.proofs, b.Proofs...)
}

func (s *shelf) rank(p line.Pos) (uint64, error) {
	e, ok := s.entries[p]
	if !ok {
		return 0, fmt.Errorf("entry %v is not kept", p)
	}
	return e.Rank, nil
}

func (s *shelf) load() (snap record.Snapshot) {
	for _, p := range slices.SortedFunc(maps.Keys(s.entries), line.Pos.Compare) {
		switch e := s.entries[p]; {
		case p.Seq >= s.logs[p.Log].Size:
			snap.Ahead = append(snap.Ahead, e)
		case e.Rank == 0:
			snap.Waiting = append(snap.Waiting, e)
		}
	}
	for g, l := range s.logs {
		snap.Logs = append(snap.Logs, l)
		if hs := s.heads[g]; len(hs) > 0 {
			snap.Heads = append(snap.Heads, hs[slices.Max(slices.Collect(maps.Keys(hs)))])
		}
		for _, c := range s.cosigs[g] {
			snap.Cosigs = append(snap.Cosigs, c)
		}
	}
	return snap
}

// ordered returns the ranked entries in the record's order.
func (s *shelf) ordered() (out []line.Pos) {
	for p, e := range s.entries {
		if e.Rank > 0 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b line.Pos) int {
		if ra, rb := s.entries[a].Rank, s.entries[b].Rank; ra != rb {
			return int(ra) - int(rb)
		}
		return a.Compare(b)
	})
	return out
}

// station is a state with its shelf.
type station struct {
	l record.Line
	*record.State
	shelf *shelf
}

func newStation(t failer, l record.Line, kept *shelf) *station {
	t.Helper()
	st, err := record.New(l, kept.load(), kept.rank)
	if err != nil {
		t.Fatalf("cannot start: %v", err)
	}
	return &station{l, st, kept}
}

// turn runs f and keeps what it changed.
func (s *station) turn(t failer, f func(*record.Turn)) {
	t.Helper()
	var turn record.Turn
	f(&turn)
	s.Close(&turn)
	s.shelf.commit(t, &turn.Batch)
}

func (s *station) add(t failer, turn *record.Turn, c record.Checked) record.Outcome {
	t.Helper()
	out, err := s.Add(turn, c, record.Entry{})
	if err != nil {
		t.Fatalf("entry %v: %v", c.Pos, err)
	}
	return out
}

// take adds entries in a turn of their own.
func (s *station) take(t failer, cs ...record.Checked) {
	t.Helper()
	s.turn(t, func(turn *record.Turn) {
		for _, c := range cs {
			s.add(t, turn, c)
		}
	})
}

// seen is everything that stations with the same items must agree on.
func (s *station) seen() string {
	var b bytes.Buffer
	for _, g := range s.Logs() {
		h, _ := s.Head(g)
		if s.Size(g) == 0 && len(s.Ahead(g, 1))+len(s.Cosigners(g)) == 0 {
			continue // nothing of it is kept
		}
		fmt.Fprintln(&b, g, "size", s.Size(g), "ranked", s.Ranked(g), "root", s.TreeHead(g).Root, "head", h.Size, h.Root, "cosigned", s.Cosigners(g), "ahead", s.Ahead(g, 99))
	}
	for _, p := range s.shelf.ordered() {
		fmt.Fprintln(&b, p, s.shelf.entries[p].Rank)
	}
	fmt.Fprintln(&b, "settled", s.Settled(), "after", s.After())
	return b.String()
}

func entry0(t *testing.T, l record.Line, g line.Log) record.Checked {
	t.Helper()
	return check(t, l, write(l, line.Pos{Log: g}, firstMarks(l), nil, ""))
}

func firstMarks(l record.Line) []wire.Mark {
	m := make([]wire.Mark, len(l.Members)-1)
	for i := range m {
		m[i].Gen = 1
	}
	return m
}
