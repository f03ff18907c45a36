package audit

import (
	"encoding/binary"

	"herald/internal/line"
	"herald/internal/wire"
)

// trail keeps the marks of one log's entries in a few bytes each: for every
// other party, in charter order, how much its size has grown since the log's
// former entry, plus one; or a zero, the generation and the size, where the
// generation changed or the size shrank.
type trail struct {
	b []byte
}

// add writes one entry's marks. Former are those of the entry before.
func (t *trail) add(former, marks []wire.Mark) {
	for i, m := range marks {
		if f := former[i]; f.Gen == m.Gen && f.Size <= m.Size && m.Size-f.Size < 1<<62 {
			t.b = binary.AppendUvarint(t.b, m.Size-f.Size+1)
			continue
		}
		t.b = append(t.b, 0)
		t.b = binary.AppendUvarint(t.b, uint64(m.Gen))
		t.b = binary.AppendUvarint(t.b, m.Size)
	}
}

// next reads one entry's marks over the former ones.
func (t *trail) next(marks []wire.Mark) {
	for i := range marks {
		v := t.uvarint()
		if v > 0 {
			marks[i].Size += v - 1
			continue
		}
		marks[i] = wire.Mark{Gen: line.Generation(t.uvarint()), Size: t.uvarint()}
	}
}

func (t *trail) uvarint() uint64 {
	v, n := binary.Uvarint(t.b)
	t.b = t.b[n:]
	return v
}

// ranked is one log while its entries are put in order (spec 07 §3).
type ranked struct {
	log    line.Log
	trail  trail
	size   uint64   // entries in sequence whose marks are in the trail
	ranks  []uint32 // of the entries ranked so far
	marks  []wire.Mark
	loaded bool   // marks are those of entry len(ranks)
	closes uint64 // size at which this generation closed the former one; 0 if it does not say
}

// ranker computes the causal order of a line from its logs.
type ranker struct {
	logs map[line.Log]*ranked
	// turn is the order of passes. It changes nothing of the result.
	turn []*ranked
}

func (r *ranker) add(l *ranked) {
	l.marks = firstMarks(len(l.marks))
	r.logs[l.log] = l
	r.turn = append(r.turn, l)
}

// firstMarks is what every log's marks start from.
func firstMarks(n int) []wire.Mark {
	m := make([]wire.Mark, n)
	for i := range m {
		m[i].Gen = 1
	}
	return m
}

// run ranks every entry whose predecessors have a rank, until nothing more
// changes.
func (r *ranker) run() {
	for again := true; again; {
		again = false
		for _, l := range r.turn {
			for uint64(len(l.ranks)) < l.size {
				if !l.loaded {
					l.trail.next(l.marks)
					l.loaded = true
				}
				rank, ok := r.rank(l)
				if !ok {
					break
				}
				l.ranks = append(l.ranks, rank)
				l.loaded, again = false, true
			}
		}
	}
}

// rank is 1 + the greatest rank among the predecessors of l's next entry, or
// false while one of them has none.
func (r *ranker) rank(l *ranked) (uint32, bool) {
	greatest, ok := uint32(0), true
	r.predecessors(l, func(p line.Pos) {
		q, held := r.logs[p.Log]
		if !held || p.Seq >= uint64(len(q.ranks)) {
			ok = false
			return
		}
		greatest = max(greatest, q.ranks[p.Seq])
	})
	return greatest + 1, ok
}

// predecessors names the causal predecessors of l's next entry: its own former
// entry, or where its generation opens, the last of the closed one; and the
// last entry that each mark vouches for. An empty mark, or a closing that is
// empty or cannot be read, names nothing.
func (r *ranker) predecessors(l *ranked, visit func(line.Pos)) {
	if n := uint64(len(l.ranks)); n > 0 {
		visit(line.Pos{Log: l.log, Seq: n - 1})
	} else if l.closes > 0 && l.log.Gen > 1 {
		visit(line.Pos{Log: line.Log{Party: l.log.Party, Gen: l.log.Gen - 1}, Seq: l.closes - 1})
	}
	for i, m := range l.marks {
		if m.Size > 0 {
			visit(line.Pos{Log: line.Log{Party: wire.Marked(l.log.Party, i), Gen: m.Gen}, Seq: m.Size - 1})
		}
	}
}

// circles returns the logs whose next entry waits, through others that are
// held, for itself: entries that each claim to have seen the other first.
func (r *ranker) circles() []*ranked {
	const unseen, open, done = 0, 1, 2
	state := map[*ranked]int{}
	var out []*ranked
	var walk func(l *ranked)
	walk = func(l *ranked) {
		state[l] = open
		r.predecessors(l, func(p line.Pos) {
			q, held := r.logs[p.Log]
			if !held || p.Seq < uint64(len(q.ranks)) || p.Seq >= q.size {
				return
			}
			switch state[q] {
			case unseen:
				walk(q)
			case open:
				out = append(out, q)
			}
		})
		state[l] = done
	}
	for _, l := range r.turn {
		if state[l] == unseen && uint64(len(l.ranks)) < l.size {
			walk(l)
		}
	}
	return out
}
