package record

import (
	"fmt"
	"slices"

	"herald/internal/line"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// Outcome says what became of an offered entry or head.
type Outcome uint8

// The outcomes.
const (
	Taken     Outcome = iota // new; rows were added to the batch
	Duplicate                // held already, the same bytes
	Below                    // below the prefix: compare with the stored entry by Same
	TooFar                   // too far ahead to keep now
	Forked                   // contradicts what is held: evidence was added to the batch
)

// Turn is one step of the state: its rows, and what they changed.
type Turn struct {
	Batch
	index map[line.Pos]int // of entries in the batch
	dirty []line.Log
}

// Add takes a checked entry. Received, via and urgent go into its row.
func (s *State) Add(t *Turn, c Checked, e Entry) (Outcome, error) {
	ls := s.log(c.Pos.Log)
	seq := c.Pos.Seq
	switch size := ls.tree.Size(); {
	case seq < size:
		return Below, nil
	case seq > size+MaxAhead:
		return TooFar, nil
	}
	if old, ok := ls.ahead[seq]; ok {
		if old.hash == c.LeafHash {
			return Duplicate, nil
		}
		return Below, nil
	}
	e.SignedEntry, e.LeafHash, e.Rank = c.SignedEntry, c.LeafHash, 0
	t.entry(e)
	t.touch(c.Pos.Log, ls)
	p := newPred(seq, c.Entry)
	if seq != ls.tree.Size() {
		ls.ahead[seq] = ahead{c.LeafHash, p}
		return Taken, nil
	}
	s.extend(t, c.Pos.Log, ls, c.LeafHash, p)
	for {
		a, ok := ls.ahead[ls.tree.Size()]
		if !ok {
			break
		}
		delete(ls.ahead, ls.tree.Size())
		s.extend(t, c.Pos.Log, ls, a.hash, a.pred)
	}
	return Taken, s.rankAll(t)
}

// Fork returns the evidence of two entries at one place, or false when they
// are the same.
func (s *State) Fork(c Checked, held Entry) (tlog.Evidence, bool) {
	if c.LeafHash == held.LeafHash {
		return tlog.Evidence{}, false
	}
	return tlog.NewEvidence(tlog.TwoEntries, s.Line.LogID(c.Pos.Log), c.Pos.Seq,
		tlog.Claim{Hash: c.LeafHash, Sig: c.Sig}, tlog.Claim{Hash: held.LeafHash, Sig: held.Sig}), true
}

// extend appends one leaf to the prefix and settles heads that waited for it.
func (s *State) extend(t *Turn, g line.Log, ls *logState, leaf line.Hash, p pred) {
	ls.tree.Append(leaf)
	ls.waiting = append(ls.waiting, p)
	keep := ls.pending[:0]
	for _, h := range ls.pending {
		if h.Size == ls.tree.Size() {
			s.meetHead(t, g, ls, h)
		} else if h.Size > ls.tree.Size() {
			keep = append(keep, h)
		}
	}
	ls.pending = keep
}

// rankAll ranks whatever has its predecessors, until nothing changes. The
// order of the passes does not matter: a rank depends on predecessors only
// (spec 07 §3).
func (s *State) rankAll(t *Turn) error {
	for again := true; again; {
		again = false
		for _, g := range s.order {
			ls := s.logs[g]
			n := 0
			for n < len(ls.waiting) {
				r, ok, err := s.rankOf(g, ls, ls.waiting[n])
				if err != nil {
					return err
				}
				if !ok {
					break
				}
				s.setRank(t, g, ls, ls.waiting[n], r)
				n++
			}
			if n > 0 {
				ls.waiting = append(ls.waiting[:0], ls.waiting[n:]...)
				again = true
			}
		}
	}
	return nil
}

// rankOf computes 1 + the greatest rank among the causal predecessors, or
// false while one of them is missing.
func (s *State) rankOf(g line.Log, ls *logState, p pred) (uint64, bool, error) {
	greatest := ls.lastRank
	if p.seq == 0 && p.closes > 0 && g.Gen > 1 {
		r, ok, err := s.rankAt(line.Log{Party: g.Party, Gen: g.Gen - 1}, p.closes-1)
		if !ok || err != nil {
			return 0, false, err
		}
		greatest = max(greatest, r)
	}
	for i, m := range p.after {
		if m.Size == 0 {
			continue
		}
		r, ok, err := s.rankAt(line.Log{Party: wire.Marked(g.Party, i), Gen: m.Gen}, m.Size-1)
		if !ok || err != nil {
			return 0, false, err
		}
		greatest = max(greatest, r)
	}
	return greatest + 1, true, nil
}

func (s *State) rankAt(g line.Log, seq uint64) (uint64, bool, error) {
	ls, ok := s.logs[g]
	if !ok || seq >= ls.ranked {
		return 0, false, nil
	}
	if back := ls.ranked - 1 - seq; back < uint64(len(ls.ranks)) {
		return ls.ranks[uint64(len(ls.ranks))-1-back], true, nil
	}
	if seq == ls.ranked-1 {
		return ls.lastRank, true, nil
	}
	r, err := s.rank(line.Pos{Log: g, Seq: seq})
	if err == nil && r == 0 {
		err = fmt.Errorf("stored entry %d of log %s has lost its rank: the database is damaged", seq, ls.id)
	}
	return r, err == nil, err
}

func (s *State) setRank(t *Turn, g line.Log, ls *logState, p pred, r uint64) {
	pos := line.Pos{Log: g, Seq: p.seq}
	if i, ok := t.index[pos]; ok {
		t.Entries[i].Rank = r
	} else {
		t.Ranks = append(t.Ranks, Rank{Pos: pos, Rank: r})
	}
	ls.ranks = append(ls.ranks, r)
	ls.lastRank, ls.ranked, ls.marks = r, p.seq+1, p.after
	t.touch(g, ls)
}

// AddHead takes a head whose signature was checked.
func (s *State) AddHead(t *Turn, h wire.Head) Outcome {
	ls := s.log(h.Log)
	if known, ok := ls.headOf(h.Size); ok {
		if known.Root == h.Root {
			return Duplicate
		}
		t.prove(h.Log, tlog.NewEvidence(tlog.TwoRoots, ls.id, h.Size,
			tlog.Claim{Hash: known.Root, Sig: known.Sig}, tlog.Claim{Hash: h.Root, Sig: h.Sig}))
		return Forked
	}
	switch size := ls.tree.Size(); {
	case h.Size < size:
		return Below
	case h.Size == size:
		return s.meetHead(t, h.Log, ls, h)
	}
	return ls.await(h)
}

// headOf returns the signed head of a size, when it is still in memory.
func (ls *logState) headOf(size uint64) (wire.Head, bool) {
	for _, h := range ls.pending {
		if h.Size == size {
			return h, true
		}
	}
	return ls.head, ls.head.Size == size && ls.head.Sig != [64]byte{}
}

// await keeps a head until its entries are here. Of too many the least goes,
// in whatever order they came: the greatest covers all others.
func (ls *logState) await(h wire.Head) Outcome {
	least := -1
	if len(ls.pending) >= maxPending {
		least = 0
		for i, p := range ls.pending {
			if p.Size < ls.pending[least].Size {
				least = i
			}
		}
		if h.Size < ls.pending[least].Size {
			return TooFar
		}
	}
	if least >= 0 {
		ls.pending = slices.Delete(ls.pending, least, least+1)
	}
	ls.pending = append(ls.pending, h)
	return Taken
}

// meetHead compares a head with the tree at its size.
func (s *State) meetHead(t *Turn, g line.Log, ls *logState, h wire.Head) Outcome {
	if root := ls.tree.Root(); root != h.Root {
		t.Proofs = append(t.Proofs, Proof{Log: g, Text: fmt.Sprintf(
			"the signed head of size %d has root %s, but the signed entries below it have root %s", h.Size, h.Root, root)})
		return Forked
	}
	if h.Size <= ls.head.Size && ls.head.Sig != [64]byte{} {
		return Duplicate
	}
	ls.head = h
	ls.noteRoot(tlog.Head{Size: h.Size, Root: h.Root})
	t.Heads = append(t.Heads, Head{Head: h})
	return Taken
}

// AddCosig notes a cosignature whose signature was checked against root at
// its size. It returns false when it tells nothing new.
func (s *State) AddCosig(t *Turn, c Cosig) bool {
	ls := s.log(c.Log)
	if c.Size <= ls.cosigned[c.Signer] {
		return false
	}
	ls.cosigned[c.Signer] = c.Size
	t.Cosigs = append(t.Cosigs, c)
	return true
}

// RootAt returns the root of a log at a size, when it is still in memory.
func (s *State) RootAt(g line.Log, size uint64) (line.Hash, bool) {
	ls, ok := s.logs[g]
	if !ok || size > ls.tree.Size() {
		return line.Hash{}, false
	}
	if size == ls.tree.Size() {
		return ls.tree.Root(), true
	}
	for i := len(ls.roots) - 1; i >= 0; i-- {
		if ls.roots[i].Size == size {
			return ls.roots[i].Root, true
		}
	}
	return line.Hash{}, false
}

// SetOpened notes that every entry of a log below n was opened or given as
// unreadable.
func (s *State) SetOpened(t *Turn, g line.Log, n uint64) {
	if ls := s.log(g); n > ls.opened {
		ls.opened = n
		t.touch(g, ls)
	}
}

// Close adds the rows of every log that the turn changed. Call it once, last.
func (s *State) Close(t *Turn) {
	for _, g := range t.dirty {
		ls := s.logs[g]
		ls.dirty = false
		// Until here nothing may leave memory: the store has no rank that this
		// turn gave.
		if n := len(ls.ranks); n > recentRanks {
			ls.ranks = slices.Clone(ls.ranks[n-recentRanks/2:])
		}
		t.Logs = append(t.Logs, Log{
			Log: g, Tree: ls.tree.Marshal(), Size: ls.tree.Size(),
			Ranked: ls.ranked, LastRank: ls.lastRank, Opened: ls.opened,
		})
	}
	t.dirty = nil
}

func (t *Turn) entry(e Entry) {
	if t.index == nil {
		t.index = map[line.Pos]int{}
	}
	t.index[e.Pos] = len(t.Entries)
	t.Entries = append(t.Entries, e)
}

func (t *Turn) touch(g line.Log, ls *logState) {
	if !ls.dirty {
		ls.dirty = true
		t.dirty = append(t.dirty, g)
	}
}

func (t *Turn) prove(g line.Log, e tlog.Evidence) {
	b, err := e.Marshal()
	if err != nil {
		return // cannot be: both claims come from verified items
	}
	t.Proofs = append(t.Proofs, Proof{Log: g, Proven: true, Text: e.Kind.String(), Bytes: b})
}

// Prove adds evidence of two histories to the turn.
func (t *Turn) Prove(g line.Log, e tlog.Evidence) { t.prove(g, e) }
