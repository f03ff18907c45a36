package session_test

import (
	"testing"
	"time"

	"herald/internal/line"
	"herald/internal/wire"
)

// With A–B and B–C up and A–C cut, what A says reaches C by way of B, and what
// C states comes back the same way.
func TestWordsGoByWayOfAThirdParty(t *testing.T) {
	for _, prec := range line.Precedences() {
		t.Run(prec.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, 3, nil, nil)
				defer w.close()
				a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
				defer w.join(a, b, nil)()
				defer w.join(b, c, nil)()
				w.settle(10 * time.Second)
				said := a.say(words{prec: prec, text: "By way of P01."})
				w.settle(10 * time.Second)
				if got := c.texts(a.log()); len(got) != 1 || got[0] != "By way of P01." {
					t.Fatalf("C reads %q", got)
				}
				for party := 1; party < 3; party++ {
					if !a.delivered(said.Pos, party) {
						t.Errorf("A does not see that it is delivered to party %d", party)
					}
				}
				ack := c.say(words{kind: wire.KindUnderstood, prec: prec, refs: []wire.Ref{c.ref(said.Pos)}})
				w.settle(10 * time.Second)
				if !c.delivered(ack.Pos, 0) || a.kinds(c.log(), wire.KindUnderstood) != 1 {
					t.Error("C's acknowledgement did not reach A")
				}
				w.same()
			})
		})
	}
}

// An urgent message takes no part in the wait for summaries.
func TestUrgentWordsAreForwardedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 3, nil, nil)
		defer w.close()
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		defer w.join(a, b, nil)()
		defer w.join(b, c, nil)()
		w.settle(10 * time.Second)
		said := a.say(words{prec: line.Flash, text: "At once."})
		w.settle(0)
		if got := c.texts(a.log()); len(got) != 1 {
			t.Fatalf("C reads %q", got)
		}
		if !a.delivered(said.Pos, 2) {
			t.Error("A does not see at once that C holds it")
		}
	})
}

// Twelve parties, all joined to one only.
func TestTwelvePartiesInAStar(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 12, nil, nil)
		defer w.close()
		for _, n := range w.nodes[1:] {
			defer w.join(w.nodes[0], n, nil)()
		}
		w.settle(20 * time.Second)
		from := w.nodes[7]
		for _, prec := range []line.Precedence{line.Flash, line.Routine} {
			said := from.say(words{prec: prec, text: "To all."})
			w.settle(20 * time.Second)
			for i := range w.nodes {
				if i != from.self && !from.delivered(said.Pos, i) {
					t.Errorf("%s: not delivered to party %d", prec, i)
				}
			}
		}
		for _, n := range w.nodes {
			if got := n.texts(from.log()); len(got) != 2 {
				t.Errorf("%s reads %q", n.name, got)
			}
		}
		w.same()
	})
}
