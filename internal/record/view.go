package record

import (
	"slices"

	"herald/internal/line"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// Logs returns the line's logs that are known here, in order.
func (s *State) Logs() []line.Log { return slices.Clone(s.order) }

// Size returns the length of a log's held prefix.
func (s *State) Size(g line.Log) uint64 {
	if ls, ok := s.logs[g]; ok {
		return ls.tree.Size()
	}
	return 0
}

// Ranked returns how much of a log has ranks.
func (s *State) Ranked(g line.Log) uint64 {
	if ls, ok := s.logs[g]; ok {
		return ls.ranked
	}
	return 0
}

// Opened returns how much of a log was opened, or given as unreadable.
func (s *State) Opened(g line.Log) uint64 {
	if ls, ok := s.logs[g]; ok {
		return ls.opened
	}
	return 0
}

// TreeHead returns the root over the held prefix.
func (s *State) TreeHead(g line.Log) tlog.Head {
	tree := s.tree(g)
	return tree.Head()
}

func (s *State) tree(g line.Log) tlog.Tree {
	if ls, ok := s.logs[g]; ok {
		return ls.tree.Clone()
	}
	return tlog.Tree{}
}

// TreeAfter returns the head that the log will have once the leaves are
// appended.
func (s *State) TreeAfter(g line.Log, leaves []line.Hash) tlog.Head {
	tree := s.tree(g)
	for _, h := range leaves {
		tree.Append(h)
	}
	return tree.Head()
}

// Head returns the greatest signed head that agrees with the held entries.
func (s *State) Head(g line.Log) (wire.Head, bool) {
	ls, ok := s.logs[g]
	if !ok || ls.head.Sig == [64]byte{} {
		return wire.Head{}, false
	}
	return ls.head, true
}

// Cosigned returns the greatest size of g that signer cosigned.
func (s *State) Cosigned(g, signer line.Log) uint64 {
	if ls, ok := s.logs[g]; ok {
		return ls.cosigned[signer]
	}
	return 0
}

// Delivered returns the size below which party holds every entry of g by its
// own delivery keys' word, in whichever generation.
func (s *State) Delivered(g line.Log, party int) uint64 {
	var n uint64
	if ls, ok := s.logs[g]; ok {
		for signer, size := range ls.cosigned {
			if signer.Party == party {
				n = max(n, size)
			}
		}
	}
	return n
}

// Cosigners lists who cosigned a log and how far, in order.
func (s *State) Cosigners(g line.Log) []wire.HaveCosig {
	ls, ok := s.logs[g]
	if !ok {
		return nil
	}
	out := make([]wire.HaveCosig, 0, len(ls.cosigned))
	for signer, size := range ls.cosigned {
		out = append(out, wire.HaveCosig{Party: uint8(signer.Party), Gen: uint32(signer.Gen), Size: size})
	}
	slices.SortFunc(out, func(a, b wire.HaveCosig) int {
		if a.Party != b.Party {
			return int(a.Party) - int(b.Party)
		}
		return int(a.Gen) - int(b.Gen)
	})
	return out
}

// Ahead returns the ranges [first, end) held beyond a log's prefix, at most
// max of them.
func (s *State) Ahead(g line.Log, most int) [][2]uint64 {
	ls, ok := s.logs[g]
	if !ok || len(ls.ahead) == 0 {
		return nil
	}
	seqs := make([]uint64, 0, len(ls.ahead))
	for n := range ls.ahead {
		seqs = append(seqs, n)
	}
	slices.Sort(seqs)
	var out [][2]uint64
	for _, n := range seqs {
		if k := len(out); k > 0 && out[k-1][1] == n {
			out[k-1][1]++
		} else if k == most {
			break
		} else {
			out = append(out, [2]uint64{n, n + 1})
		}
	}
	return out
}

// Holds reports whether an entry is held.
func (s *State) Holds(p line.Pos) bool {
	ls, ok := s.logs[p.Log]
	if !ok {
		return false
	}
	_, ahead := ls.ahead[p.Seq]
	return ahead || p.Seq < ls.tree.Size()
}

// After returns the marks for an own entry: for each other party, how much of
// its newest log is held and ranked. An honest station vouches for nothing
// that it could not rank (spec 07 §3).
func (s *State) After() []wire.Mark {
	out := make([]wire.Mark, 0, len(s.Line.Members)-1)
	for p := range s.Line.Members {
		if p == s.Line.Self {
			continue
		}
		m := wire.Mark{Gen: 1}
		for _, g := range s.order {
			if g.Party == p && s.logs[g].ranked > 0 {
				m = wire.Mark{Gen: g.Gen, Size: s.logs[g].ranked}
			}
		}
		out = append(out, m)
	}
	return out
}

// AfterIn returns the marks for the next entry of the own log g. They never
// shrink, also not in a log that was restored while what it vouched for is
// still on its way back: its entries then have no rank yet (spec 07 §3).
func (s *State) AfterIn(g line.Log) []wire.Mark {
	out := s.After()
	ls, ok := s.logs[g]
	if !ok || len(ls.waiting) == 0 {
		return out // what has a rank vouches for nothing that is not ranked here
	}
	for i, m := range ls.waiting[len(ls.waiting)-1].after {
		if out[i].Gen < m.Gen || out[i].Gen == m.Gen && out[i].Size < m.Size {
			out[i] = m
		}
	}
	return out
}

// MarkFor returns how much of party target's log the newest ranked entry of
// party from vouches for.
func (s *State) MarkFor(from, target int) wire.Mark {
	for i := len(s.order) - 1; i >= 0; i-- {
		g := s.order[i]
		ls := s.logs[g]
		if g.Party != from || ls.marks == nil {
			continue
		}
		j := target
		if target > from {
			j--
		}
		return ls.marks[j]
	}
	return wire.Mark{Gen: 1}
}

// Settled returns the greatest rank at or below which nothing can be inserted
// any more, unless a party opens a further generation. One silent party holds
// it back, so nothing may depend on it (spec 07 §4).
func (s *State) Settled() uint64 {
	least := uint64(1<<64 - 1)
	for p := range s.Line.Members {
		var last uint64 // of the newest generation of which an entry is held
		for _, g := range s.order {
			if ls := s.logs[g]; g.Party == p && (ls.tree.Size() > 0 || len(ls.ahead) > 0) {
				last = ls.lastRank
			}
		}
		least = min(least, last)
	}
	return least
}

// Have sums up what is held, for the other side to compute what is missing
// here (spec 08 §4).
func (s *State) Have() wire.Have {
	h := wire.Have{Full: true}
	for _, g := range s.order {
		ls := s.logs[g]
		h.Logs = append(h.Logs, wire.HaveLog{
			Party: uint8(g.Party), Gen: uint32(g.Gen), Size: ls.tree.Size(),
			Ahead: s.Ahead(g, wire.MaxRanges), Head: ls.head.Size, Cosigned: s.Cosigners(g),
		})
	}
	return h
}
