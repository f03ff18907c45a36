package session_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"herald/internal/charter"
	"herald/internal/line"
	"herald/internal/wire"
)

// bases lists where a log's epochs begin.
func (n *node) bases(g line.Log) (out []uint64) {
	n.w.t.Helper()
	for _, e := range n.entries(g) {
		parsed, err := wire.ParseEntry(e.Leaf, len(n.w.nodes))
		must(n.w.t, err)
		if parsed.Key == 0 {
			out = append(out, e.Pos.Seq)
		}
	}
	return out
}

// epochOf returns the base of the epoch that an entry uses.
func (n *node) epochOf(p line.Pos) uint64 {
	n.w.t.Helper()
	for _, e := range n.entries(p.Log) {
		if e.Pos == p {
			parsed, err := wire.ParseEntry(e.Leaf, len(n.w.nodes))
			must(n.w.t, err)
			return p.Seq - uint64(parsed.Key)
		}
	}
	n.w.t.Fatalf("no entry %v", p)
	return 0
}

// An epoch has 255 keys. What is said beyond them opens new ones, with both
// sides keeping up, and the old secrets go.
func TestMoreEntriesThanAnEpochHasKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		var want []string
		for i := range 600 {
			want = append(want, fmt.Sprint(i))
			a.say(words{text: want[i]})
			if i == 300 {
				b.say(words{text: "also here"})
			}
		}
		w.settle(10 * time.Second)
		if got := b.texts(a.log()); !slices.Equal(got, want) {
			t.Errorf("B reads %d texts", len(got))
		}
		if n := len(a.bases(a.log())); n < 3 {
			t.Errorf("%d epochs for 600 entries", n)
		}
		w.same()
		w.secretsOf(a.log(), 2)
	})
}

// After traffic the secrets that served it go, on both sides and from the
// store; receive keys go once they are left behind; an idle line opens no
// epochs.
func TestSecretsGoAfterTraffic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, func(x *charter.Terms) { x.Epoch = time.Minute }, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		for round := range 4 {
			a.say(words{prec: line.Flash, text: "talk"})
			b.say(words{text: "talk"})
			w.settle(3 * time.Minute)
			for _, n := range w.nodes {
				bases := n.bases(n.log())
				if len(bases) != round+2 {
					t.Errorf("round %d: %s has epochs at %d", round, n.name, bases)
				}
				for _, m := range w.nodes {
					for _, e := range m.secrets(n.log()) {
						if e.Base != bases[len(bases)-1] {
							t.Errorf("round %d: %s keeps the secret of %s's epoch at %d, the newest is at %d", round, m.name, n.name, e.Base, bases[len(bases)-1])
						}
					}
				}
			}
		}
		sizes := []int{len(a.entries(a.log())), len(b.entries(b.log()))}
		w.settle(48 * time.Hour)
		if len(a.entries(a.log())) != sizes[0] || len(b.entries(b.log())) != sizes[1] {
			t.Error("an idle line writes entries")
		}
		for _, n := range w.nodes {
			snap, err := n.store.Load(t.Context(), n.line.ID())
			must(t, err)
			live := 0
			for _, k := range snap.Keys {
				if len(k.Seed) > 0 {
					live++
				}
			}
			if live == 0 || live > 2 {
				t.Errorf("%s keeps %d of %d receive keys", n.name, live, len(snap.Keys))
			}
		}
		if got := b.texts(a.log()); len(got) != 4 {
			t.Errorf("what was read before cannot be read any more: %q", got)
		}
	})
}

// A FLASH waits for no epoch: it uses the newest one that its action parties
// hold already, though a newer one is on its way.
func TestFlashUsesAnEpochThatIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 3, nil, nil)
		defer w.close()
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		defer w.join(a, b, nil)()
		part := w.join(a, c, nil)
		a.say(words{text: "held by all"})
		w.settle(10 * time.Second)
		part()
		for range 238 { // the ordinary keys of the first epoch are used up, and the next is opened
			a.say(words{text: "not held by C"})
		}
		w.settle(10 * time.Second)
		bases := a.bases(a.log())
		if len(bases) != 2 {
			t.Fatalf("epochs at %d", bases)
		}
		toB := a.say(words{prec: line.Flash, text: "to B", action: line.Parties(0).With(1)})
		toAll := a.say(words{prec: line.Flash, text: "to all"})
		if got := a.epochOf(toB.Pos); got != bases[1] {
			t.Errorf("the FLASH to B uses the epoch at %d, B holds the one at %d", got, bases[1])
		}
		if got := a.epochOf(toAll.Pos); got != bases[0] {
			t.Errorf("the FLASH to all uses the epoch at %d, C holds the one at %d only", got, bases[0])
		}
		defer w.join(a, c, nil)()
		w.settle(10 * time.Second)
		if v := c.view(); v.Pending != 0 || len(c.texts(a.log())) != 241 {
			t.Errorf("C reads %d texts, %d are not opened", len(c.texts(a.log())), v.Pending)
		}
		w.same()
	})
}
