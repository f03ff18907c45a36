package session_test

import (
	"context"
	mrand "math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"herald/internal/line"
	"herald/internal/session"
	"herald/internal/wire"
)

// bundle is what a courier takes from one node to another.
func (n *node) bundle(to *node, everything bool) (out [][]byte) {
	n.w.t.Helper()
	frames, err := n.line.Carry(context.Background(), to.self, everything)
	must(n.w.t, err)
	for f, err := range frames {
		must(n.w.t, err)
		out = append(out, f)
	}
	return out
}

func (n *node) takes(from *node, bundle [][]byte) session.Delivery {
	n.w.t.Helper()
	d, err := n.line.Deliver(context.Background(), from.self, slices.Values(bundle))
	must(n.w.t, err)
	return d
}

// A line that no network joins lives by couriers, and by a network after that.
func TestCourierBothWays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		a.say(words{text: "First by courier."})
		flash := a.say(words{prec: line.Flash, text: "Urgent by courier."})
		if !flash.Queued {
			t.Fatal("a message was sequenced though no peer is in reach")
		}
		out := a.bundle(b, false)
		first := b.takes(a, out)
		again := b.takes(a, out)
		if first.New != first.Entries || again.New != 0 || first.Refused+again.Refused != 0 {
			t.Fatalf("delivered %+v, again %+v", first, again)
		}
		if got := b.texts(a.log()); !slices.Equal(got, []string{"Urgent by courier.", "First by courier."}) {
			t.Fatalf("B reads %q", got)
		}
		if b.rang.count() != 1 {
			t.Errorf("the watch was called %d times for one FLASH", b.rang.count())
		}
		b.say(words{text: "Answer by courier."})
		if d := a.takes(b, b.bundle(a, false)); d.Refused != 0 {
			t.Fatalf("delivered %+v", d)
		}
		for _, s := range a.read(a.log()) {
			if !a.delivered(s.pos, 1) {
				t.Errorf("%q is not shown as delivered", s.text)
			}
		}
		if got := a.texts(b.log()); !slices.Equal(got, []string{"Answer by courier."}) {
			t.Fatalf("A reads %q", got)
		}
		entries := len(a.entries(a.log())) + len(b.entries(b.log()))
		defer w.join(a, b, nil)()
		w.settle(10 * time.Second)
		w.same()
		if now := len(a.entries(a.log())) + len(b.entries(b.log())); now != entries {
			t.Errorf("the network added %d entries to what couriers had brought", now-entries)
		}
	})
}

// What is known to be held is not carried again, unless it is asked for.
func TestCourierCarriesWhatIsMissing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		part := w.join(a, b, nil)
		a.say(words{text: "By the network."})
		w.settle(10 * time.Second)
		part()
		a.say(words{text: "By courier."})
		if d := b.takes(a, a.bundle(b, false)); d.Entries > 3 || d.New != 1 {
			t.Errorf("delivered %+v, want the one entry that was missing, and what the party itself wrote since it last said what it holds", d)
		}
		if d := b.takes(a, a.bundle(b, true)); d.Entries < 4 || d.New != 0 {
			t.Errorf("everything: %+v", d)
		}
		w.same()
	})
}

// A courier's frames come in any order, several times over, and from several
// trips at once.
func TestCourierFramesInAnyOrder(t *testing.T) {
	for seed := range uint64(10) {
		bubble(t, func(t *testing.T) {
			rng := mrand.New(mrand.NewPCG(seed, 1))
			w := newWorld(t, 2, nil, nil)
			defer w.close()
			a, b := w.nodes[0], w.nodes[1]
			var want []string
			for round := range 3 {
				var trips [][]byte
				for range 2 {
					for i := range 1 + rng.IntN(5) {
						text := string(rune('A'+round)) + string(rune('a'+i)) + string(rune('0'+len(want)%10))
						a.say(words{prec: line.Precedence(rng.IntN(4)), text: text})
						want = append(want, text)
					}
					trips = append(trips, a.bundle(b, rng.IntN(2) == 0)...)
				}
				trips = append(trips, trips[:len(trips)/2]...)
				rng.Shuffle(len(trips), func(i, j int) { trips[i], trips[j] = trips[j], trips[i] })
				if d := b.takes(a, trips); d.Refused != 0 {
					t.Fatalf("seed %d: %+v", seed, d)
				}
				b.say(words{text: "back"})
				back := b.bundle(a, false)
				rng.Shuffle(len(back), func(i, j int) { back[i], back[j] = back[j], back[i] })
				a.takes(b, back)
			}
			got := b.texts(a.log())
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: B reads %q, A said %q", seed, got, want)
			}
			if v := b.view(); v.Pending != 0 {
				t.Errorf("seed %d: %d entries are not opened", seed, v.Pending)
			}
			defer w.join(a, b, nil)()
			w.settle(10 * time.Second)
			for _, s := range a.read(a.log()) {
				if !a.delivered(s.pos, 1) {
					t.Errorf("seed %d: %q is not shown as delivered", seed, s.text)
				}
			}
			w.same()
		})
	}
}

// A FLASH that comes ahead of a gap is opened, shown, and got at once; the gap
// is filled later.
func TestFlashAheadOfAGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		var dropping atomic.Bool
		part := w.join(a, b, func(from *node, f []byte) []byte {
			frame, err := wire.ParseFrame(f)
			must(t, err)
			if dropping.Load() && from == a && !(frame.Type == wire.FrameEntry && frame.Urgent) {
				return nil
			}
			return f
		})
		a.say(words{text: "Opens the epoch."})
		w.settle(10 * time.Second)
		dropping.Store(true)
		for range 5 {
			a.say(words{text: "Lost on the way."})
		}
		flash := a.say(words{prec: line.Flash, text: "Ahead of five."})
		w.settle(0)
		got := b.read(a.log())
		if last := got[len(got)-1]; len(got) != 2 || last.text != "Ahead of five." || last.defect != "" {
			t.Fatalf("B reads %+v", got)
		}
		if v := b.view(); v.Logs[0].Ahead != 1 {
			t.Fatalf("B holds %+v", v.Logs[0])
		}
		if b.rang.count() != 1 {
			t.Errorf("the watch was called %d times", b.rang.count())
		}
		if b.kinds(b.log(), wire.KindGot) != 1 || !a.delivered(flash.Pos, 1) {
			t.Error("got was not stated, or not taken for delivery")
		}
		for _, s := range a.read(a.log())[1:6] {
			if a.delivered(s.pos, 1) {
				t.Errorf("%q is shown as delivered, but was lost", s.text)
			}
		}
		part()
		dropping.Store(false)
		defer w.join(a, b, nil)()
		w.settle(10 * time.Second)
		if got := b.read(a.log()); len(got) != 7 {
			t.Errorf("B reads %+v", got)
		}
		if b.kinds(b.log(), wire.KindGot) != 1 || b.rang.count() != 1 {
			t.Error("filling the gap said got, or called the watch, again")
		}
		w.same()
	})
}
