package record_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// item is anything that one station sends another.
type item struct {
	entry *record.Checked
	head  *wire.Head
	cosig *record.Cosig
}

// history is everything that the parties of a line signed.
type history struct {
	l     record.Line
	items []item
	liar  int    // party that lies, or -1
	lie   uint64 // its first entry that names what does not exist
}

// author is a party while a history is made: an honest one marks what its own
// station has ranked.
type author struct {
	*station
	log line.Log
}

// genHistory lets two to five parties write, listen, cosign and open new
// generations in any order.
func genHistory(t *rapid.T, mayLie, mayRenew bool) history {
	l := testLine(rapid.IntRange(2, 5).Draw(t, "parties"))
	h := history{l: l, liar: -1}
	if mayLie {
		h.liar, h.lie = rapid.IntRange(0, len(l.Members)-1).Draw(t, "liar"), uint64(rapid.IntRange(0, 3).Draw(t, "lie"))
	}
	authors := make([]*author, len(l.Members))
	for p := range authors {
		own := l
		own.Self = p
		authors[p] = &author{newStation(t, own, newShelf()), line.Log{Party: p, Gen: 1}}
	}
	for range rapid.IntRange(5, 40).Draw(t, "steps") {
		a := authors[rapid.IntRange(0, len(authors)-1).Draw(t, "who")]
		switch n := rapid.IntRange(0, 9).Draw(t, "what"); {
		case n < 5 || a.Size(a.log) == 0:
			h.write(t, a)
		case n < 8:
			a.hear(t, h, rapid.IntRange(0, len(h.items)).Draw(t, "up to"))
		case n == 8:
			h.cosign(a, authors[rapid.IntRange(0, len(authors)-1).Draw(t, "whose")].log)
		case mayRenew && a.log.Gen < 3 && a.log.Party != h.liar:
			a.log.Gen++
			h.write(t, a)
		}
	}
	return h
}

func (h *history) write(t *rapid.T, a *author) {
	p := line.Pos{Log: a.log, Seq: a.Size(a.log)}
	after := a.After()
	if p.Party == h.liar && p.Seq == h.lie {
		after[0] = wire.Mark{Gen: 1, Size: 1 << 40}
	}
	var closes *wire.Closes
	if p.Gen > 1 && p.Seq == 0 {
		former := a.TreeHead(line.Log{Party: p.Party, Gen: p.Gen - 1})
		closes = &wire.Closes{Size: former.Size, Root: former.Root[:]}
	}
	c := check(t, h.l, write(h.l, p, after, closes, fmt.Sprint(len(h.items))))
	a.take(t, c)
	head := signHead(h.l, a.log, a.TreeHead(a.log))
	a.turn(t, func(turn *record.Turn) { a.AddHead(turn, head) })
	h.items = append(h.items, item{entry: &c}, item{head: &head})
}

// hear takes what was sent so far, in order.
func (a *author) hear(t *rapid.T, h history, upTo int) {
	a.turn(t, func(turn *record.Turn) {
		for _, it := range h.items[:upTo] {
			if it.entry != nil {
				a.add(t, turn, *it.entry)
			} else if it.head != nil {
				a.AddHead(turn, *it.head)
			}
		}
	})
}

func (h *history) cosign(a *author, g line.Log) {
	head, ok := a.Head(g)
	if !ok || g.Party == a.log.Party {
		return
	}
	c := record.Cosig{Cosig: wire.Cosig{Log: g, Size: head.Size, Signer: a.log, Time: 1_686_000_000}}
	c.Sig = tlog.Cosign(priv(a.log, 'd'), h.l.LogID(g), tlog.Head{Size: head.Size, Root: head.Root}, c.Time)
	h.items = append(h.items, item{cosig: &c})
}

// give offers one item to a station.
func (s *station) give(t failer, turn *record.Turn, it item) {
	t.Helper()
	switch {
	case it.entry != nil:
		if s.add(t, turn, *it.entry) == record.Below {
			if held := s.shelf.entries[it.entry.Pos]; held.Leaf != nil {
				if _, forked := s.Fork(*it.entry, held); forked {
					t.Fatalf("an honest history gives evidence")
				}
			}
		}
	case it.head != nil:
		if s.AddHead(turn, *it.head) == record.Forked {
			t.Fatalf("an honest history forks at the head of size %d", it.head.Size)
		}
	case it.cosig.Size <= s.Size(it.cosig.Log): // else its root is not known yet
		s.AddCosig(turn, *it.cosig)
	}
}

// inOrder is the outcome when everything comes as it was sent.
func (h history) inOrder(t failer) *station {
	s := newStation(t, h.l, newShelf())
	for _, it := range h.items {
		s.turn(t, func(turn *record.Turn) { s.give(t, turn, it) })
	}
	return s
}

// arrive gives a station all items in another order, some twice, many or few
// in a turn, and starts it anew now and then. What waited only in memory is
// offered again after a start, as peers do.
func (h history) arrive(t *rapid.T, restarts bool, each func(*station)) *station {
	order := rapid.Permutation(h.items).Draw(t, "order")
	s := newStation(t, h.l, newShelf())
	for i := 0; i < len(order); {
		n := min(rapid.IntRange(1, 6).Draw(t, "in a turn"), len(order)-i)
		s.turn(t, func(turn *record.Turn) {
			for _, it := range order[i : i+n] {
				s.give(t, turn, it)
			}
			if k := rapid.IntRange(0, i).Draw(t, "again"); k%3 == 0 {
				s.give(t, turn, order[k])
			}
		})
		i += n
		each(s)
		if restarts && rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
			before := s.seen()
			s = newStation(t, h.l, s.shelf)
			if after := s.seen(); after != before {
				t.Fatalf("before a start\n%safter\n%s", before, after)
			}
			s.turn(t, func(turn *record.Turn) {
				for _, it := range order[:i] {
					if it.head != nil {
						s.give(t, turn, it)
					}
				}
			})
		}
	}
	s.turn(t, func(turn *record.Turn) {
		for _, it := range order {
			if it.cosig != nil {
				s.give(t, turn, it)
			}
		}
	})
	return s
}

func TestAnyArrivalGivesOneRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := genHistory(t, rapid.Bool().Draw(t, "lies"), true)
		want := h.inOrder(t)
		for range 3 {
			got := h.arrive(t, true, func(*station) {})
			if got.seen() != want.seen() {
				t.Fatalf("in the order sent\n%sin another\n%s", want.seen(), got.seen())
			}
			if len(got.shelf.proofs) > 0 {
				t.Fatalf("an honest history gives %+v", got.shelf.proofs)
			}
		}
	})
}

// Everybody's entries have ranks but the liar's from its lie on.
func TestALieHoldsBackItsOwnLogOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := genHistory(t, true, true)
		s := h.arrive(t, true, func(*station) {})
		for _, g := range s.Logs() {
			want := s.Size(g)
			if g.Party == h.liar {
				want = min(want, h.lie)
			}
			if s.Ranked(g) != want {
				t.Fatalf("log %v: %d entries, %d ranked, want %d", g, s.Size(g), s.Ranked(g), want)
			}
		}
	})
}

// Once a rank is settled no entry comes in at or below it, but those of a
// generation that was not known then (spec 07 §4).
func TestSettledIsFinal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := genHistory(t, false, true)
		var settled uint64
		var known []line.Log
		had := map[line.Pos]bool{}
		h.arrive(t, false, func(s *station) {
			for _, p := range s.shelf.ordered() {
				if r := s.shelf.entries[p].Rank; r <= settled && !had[p] && slices.Contains(known, p.Log) {
					t.Fatalf("entry %v came in at rank %d, after %d was settled", p, r, settled)
				}
				had[p] = true
			}
			settled, known = s.Settled(), s.Logs()
		})
		if settled > 0 {
			return
		}
		for p := range h.l.Members { // someone is silent, or this would be a defect
			silent := true
			for _, it := range h.items {
				silent = silent && (it.entry == nil || it.entry.Pos.Party != p)
			}
			if silent {
				return
			}
		}
		t.Fatalf("all parties spoke, and nothing is settled")
	})
}

// An entry's rank is above those of everything that it could have seen.
func TestRankFollowsCauses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := genHistory(t, false, true)
		s := h.inOrder(t)
		rank := func(g line.Log, seq uint64) uint64 { return s.shelf.entries[line.Pos{Log: g, Seq: seq}].Rank }
		for _, it := range h.items {
			if it.entry == nil {
				continue
			}
			p, own := it.entry.Pos, rank(it.entry.Pos.Log, it.entry.Pos.Seq)
			greatest := uint64(0)
			if p.Seq > 0 {
				greatest = rank(p.Log, p.Seq-1)
			} else if p.Gen > 1 {
				former := line.Log{Party: p.Party, Gen: p.Gen - 1}
				greatest = rank(former, s.Size(former)-1)
			}
			for i, m := range it.entry.Entry.After {
				other := i
				if other >= p.Party {
					other++
				}
				if m.Size > 0 {
					greatest = max(greatest, rank(line.Log{Party: other, Gen: m.Gen}, m.Size-1))
				}
			}
			if own != greatest+1 {
				t.Fatalf("entry %v has rank %d, its predecessors %d", p, own, greatest)
			}
		}
	})
}
