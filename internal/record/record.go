// Package record joins the logs of a line into one record: it takes entries,
// heads and cosignatures in any order, keeps each log's contiguous prefix,
// ranks entries into the causal order that every party computes alike, and
// catches a party that signs two histories (spec 07).
//
// It is a pure state machine: bytes and times in, rows to make durable out.
// It knows nothing of what entries mean.
package record

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"herald/internal/line"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// MaxAhead bounds how far beyond its prefix entries of one log are taken.
// What is farther is offered again later.
const MaxAhead = 1 << 14

// Line is what stays the same on a line: its name, its members in charter
// order, and which of them this station is.
type Line struct {
	ID      line.ID
	Members []line.Party
	Self    int
}

// LogID names one log of the line.
func (l Line) LogID(g line.Log) line.LogID {
	return line.NewLogID(l.ID, l.Members[g.Party], g.Gen)
}

// Keys gives the verified public keys of parties' generations, from cards.
type Keys interface {
	LogKey(line.Log) (ed25519.PublicKey, bool)
	DeliveryKey(line.Log) (ed25519.PublicKey, bool)
}

// ErrUnknownKey says that no card held here certifies the log's generation.
var ErrUnknownKey = errors.New("no card held here certifies this generation's key")

// ErrBadSignature says that a signature does not verify: the item is refused.
var ErrBadSignature = errors.New("signature does not verify")

// Checked is an entry whose outer structure and signature were verified.
type Checked struct {
	wire.SignedEntry
	Entry    wire.Entry
	LeafHash line.Hash
}

// Check verifies an entry's outer structure and signature. It needs no state,
// so that many can run at once. An error means refused: nothing of the entry
// is kept (spec 07 §2).
func Check(l Line, keys Keys, se wire.SignedEntry) (Checked, error) {
	c := Checked{SignedEntry: se}
	if se.Pos.Party >= len(l.Members) {
		return c, fmt.Errorf("entry of party %d: the line has %d", se.Pos.Party, len(l.Members))
	}
	if se.Pos.Seq >= tlog.MaxSize {
		return c, fmt.Errorf("entry %d: sequence number out of range", se.Pos.Seq)
	}
	e, err := wire.ParseEntry(se.Leaf, len(l.Members))
	if err != nil {
		return c, err
	}
	if uint64(e.Key) > se.Pos.Seq {
		return c, fmt.Errorf("entry %d: its epoch would begin before the log", se.Pos.Seq)
	}
	pub, ok := keys.LogKey(se.Pos.Log)
	if !ok {
		return c, ErrUnknownKey
	}
	c.Entry, c.LeafHash = e, tlog.LeafHash(se.Leaf)
	if !tlog.VerifyEntry(pub, l.LogID(se.Pos.Log), se.Pos.Seq, c.LeafHash, se.Sig) {
		return c, ErrBadSignature
	}
	return c, nil
}

// CheckHead verifies a head's signature. It needs no state.
func CheckHead(l Line, keys Keys, h wire.Head) error {
	if h.Log.Party >= len(l.Members) || h.Size > tlog.MaxSize {
		return fmt.Errorf("head of party %d, size %d: out of range", h.Log.Party, h.Size)
	}
	pub, ok := keys.LogKey(h.Log)
	if !ok {
		return ErrUnknownKey
	}
	if !tlog.VerifyHead(pub, l.LogID(h.Log), tlog.Head{Size: h.Size, Root: h.Root}, h.Sig) {
		return ErrBadSignature
	}
	return nil
}

// pred names the causal predecessors of one entry that has no rank yet.
type pred struct {
	seq    uint64
	after  []wire.Mark
	closes uint64 // size of the former generation's closed prefix, for seq 0
}

// ahead is an entry held beyond the prefix.
type ahead struct {
	hash line.Hash
	pred pred
}

// logState is one log as held here.
type logState struct {
	id       line.LogID
	tree     tlog.Tree
	ranked   uint64
	lastRank uint64
	opened   uint64
	ahead    map[uint64]ahead
	waiting  []pred // in the prefix, not ranked, in order
	head     wire.Head
	pending  []wire.Head // heads beyond the prefix, few
	roots    []tlog.Head // own recent roots at head sizes, newest last
	cosigned map[line.Log]uint64
	ranks    []uint64 // of the entries just below ranked, newest last
	marks    []wire.Mark
	dirty    bool
}

// Recent ranks and roots kept per log before the store is asked, and heads
// that wait for their entries.
const (
	recentRanks = 256
	recentRoots = 64
	maxPending  = 8
)

// State is one line's logs, held in memory as far as decisions need it.
type State struct {
	Line Line
	logs map[line.Log]*logState
	// order of logs, so that every pass over them is the same
	order []line.Log
	rank  func(line.Pos) (uint64, error)
}

// New builds the state from what the store held. Rank reads the rank of an
// entry that has one, when it is no longer in memory.
func New(l Line, snap Snapshot, rank func(line.Pos) (uint64, error)) (*State, error) {
	s := &State{Line: l, logs: map[line.Log]*logState{}, rank: rank}
	for _, row := range snap.Logs {
		if row.Log.Party >= len(l.Members) {
			return nil, fmt.Errorf("stored log of party %d: the line has %d", row.Log.Party, len(l.Members))
		}
		ls := s.log(row.Log)
		tree, err := tlog.ParseTree(row.Tree)
		if err != nil || tree.Size() != row.Size {
			return nil, fmt.Errorf("stored tree of log %s does not fit its size %d: the database is damaged; restore it from the peers with a fresh folder", ls.id, row.Size)
		}
		ls.tree, ls.ranked, ls.lastRank, ls.opened = tree, row.Ranked, row.LastRank, row.Opened
	}
	for _, h := range snap.Heads {
		ls := s.log(h.Log)
		ls.head = h.Head
		ls.noteRoot(tlog.Head{Size: h.Size, Root: h.Root})
	}
	for _, c := range snap.Cosigs {
		s.log(c.Log).cosigned[c.Signer] = max(s.log(c.Log).cosigned[c.Signer], c.Size)
	}
	if err := s.loadEntries(snap); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *State) loadEntries(snap Snapshot) error {
	for _, e := range snap.Ahead {
		p, err := s.predOf(e)
		if err != nil {
			return err
		}
		s.log(e.Pos.Log).ahead[e.Pos.Seq] = ahead{e.LeafHash, p}
	}
	for _, e := range snap.Waiting {
		p, err := s.predOf(e)
		if err != nil {
			return err
		}
		ls := s.log(e.Pos.Log)
		ls.waiting = append(ls.waiting, p)
	}
	for _, g := range s.order {
		ls := s.logs[g]
		for i, p := range ls.waiting {
			if p.seq != ls.ranked+uint64(i) {
				return fmt.Errorf("stored entry %d of log %s stands where entry %d must: the database is damaged; restore it from the peers with a fresh folder", p.seq, ls.id, ls.ranked+uint64(i))
			}
		}
		if n := ls.ranked + uint64(len(ls.waiting)); n != ls.tree.Size() {
			return fmt.Errorf("stored log %s has %d entries below its size %d: the database is damaged; restore it from the peers with a fresh folder", ls.id, n, ls.tree.Size())
		}
	}
	return nil
}

func (s *State) predOf(e Entry) (pred, error) {
	parsed, err := wire.ParseEntry(e.Leaf, len(s.Line.Members))
	if err != nil {
		return pred{}, fmt.Errorf("stored entry %d of log %s: %w", e.Pos.Seq, s.Line.LogID(e.Pos.Log), err)
	}
	return newPred(e.Pos.Seq, parsed), nil
}

func newPred(seq uint64, e wire.Entry) pred {
	p := pred{seq: seq, after: e.After}
	if seq == 0 && e.Key == 0 {
		if ep, err := wire.ParseEpoch(e.Body); err == nil && ep.Closes != nil {
			p.closes = ep.Closes.Size
		}
	}
	return p
}

func (s *State) log(g line.Log) *logState {
	if ls, ok := s.logs[g]; ok {
		return ls
	}
	ls := &logState{id: s.Line.LogID(g), ahead: map[uint64]ahead{}, cosigned: map[line.Log]uint64{}}
	s.logs[g] = ls
	i := len(s.order)
	for i > 0 && g.Less(s.order[i-1]) {
		i--
	}
	s.order = append(s.order, line.Log{})
	copy(s.order[i+1:], s.order[i:])
	s.order[i] = g
	return ls
}

func (ls *logState) noteRoot(h tlog.Head) {
	if len(ls.roots) >= recentRoots {
		ls.roots = append(ls.roots[:0], ls.roots[1:]...)
	}
	ls.roots = append(ls.roots, h)
}
