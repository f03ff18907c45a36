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

// restored is a line whose first party has lost what it wrote since an early
// moment. Anchor says what becomes of the anchor: it may be newer than the
// store, gone, or as old as the store.
func restored(t *testing.T, anchor string, from func(commits int) int) (w *world, a, b *node) {
	t.Helper()
	w = newWorld(t, 2, func(x *charter.Terms) { x.Epoch = time.Minute }, nil)
	a, b = w.nodes[0], w.nodes[1]
	part := w.join(a, b, nil)
	a.say(words{text: "kept"})
	w.settle(10 * time.Second)
	early, old := from(a.store.now()), a.anchor
	old.restart()
	a.say(words{text: "lost one"})
	a.say(words{prec: line.Flash, text: "lost two"})
	b.say(words{text: "from the other side"})
	w.settle(2 * time.Minute) // a new epoch, too
	a.say(words{text: "lost three"})
	w.settle(2 * time.Minute)
	part()
	a.close()
	a.store = a.store.copy(t, early)
	a.over = a.store
	switch anchor {
	case "gone":
		a.anchor.lose()
	case "as old as the store":
		a.anchor = newFakeAnchor()
		a.anchor.restart()
	}
	a.open()
	return w, a, b
}

func all(commits int) int  { return commits }
func none(commits int) int { return 0 }

// A station whose store is older than what it sent signs nothing until it has
// its entries back, and then goes on in the same generation.
func TestRestoredStation(t *testing.T) {
	for _, c := range []struct {
		name, anchor string
		from         func(int) int
		held         bool // before a peer is in reach
	}{
		{"old store, newer anchor", "newer", all, true},
		{"old store, no anchor", "gone", all, true},
		{"no store, newer anchor", "newer", none, true},
		{"old store and anchor", "as old as the store", all, false},
		{"neither store nor anchor", "as old as the store", none, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, a, b := restored(t, c.anchor, c.from)
				defer w.close()
				if got := a.view().Held != ""; got != c.held {
					t.Fatalf("held: %q", a.view().Held)
				}
				if got := a.say(words{text: "while held"}); !got.Queued {
					t.Fatalf("sequenced: %+v", got)
				}
				before := len(b.entries(a.log()))
				defer w.join(a, b, nil)()
				w.settle(2 * time.Minute)
				if v := a.view(); v.Held != "" || v.Queued+v.Pending != 0 {
					t.Fatalf("held %q, %d queued, %d not opened", v.Held, v.Queued, v.Pending)
				}
				if n := len(b.store.proofs()); n != 0 {
					t.Fatalf("the restored station was caught with two histories: %d proofs", n)
				}
				want := []string{"kept", "lost one", "lost two", "lost three", "while held"}
				for _, n := range w.nodes {
					if got := n.texts(a.log()); !slices.Equal(got, want) {
						t.Errorf("%s reads %q", n.name, got)
					}
					if got := n.texts(b.log()); !slices.Equal(got, []string{"from the other side"}) {
						t.Errorf("%s reads %q of the other side", n.name, got)
					}
				}
				numbers := map[uint64]string{}
				for _, s := range b.read(a.log()) {
					if other, ok := numbers[s.number]; ok {
						t.Errorf("%q and %q have one number, %d", s.text, other, s.number)
					}
					numbers[s.number] = s.text
					if s.defect != "" {
						t.Errorf("%q is defective: %s", s.text, s.defect)
					}
				}
				if len(b.entries(a.log())) <= before {
					t.Error("it does not go on in its log")
				}
				said := a.say(words{prec: line.Flash, text: "afterwards"})
				answer := b.say(words{text: "afterwards"})
				w.settle(10 * time.Second)
				if !a.delivered(said.Pos, 1) || !b.delivered(answer.Pos, 0) {
					t.Error("nothing is delivered afterwards")
				}
				for _, lv := range b.view().Logs {
					if lv.Log == b.log() && lv.Delivered[0] != lv.Size {
						t.Errorf("of %d entries of the other side %d are delivered", lv.Size, lv.Delivered[0])
					}
				}
				w.same()
			})
		})
	}
}

// Without a peer in reach a station that must not sign keeps its people's
// words and signs nothing, however long it lasts, restarts included.
func TestHeldStationWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, a, b := restored(t, "newer", all)
		defer w.close()
		size := len(a.entries(a.log()))
		for i := range 3 {
			if got := a.say(words{prec: line.Flash, text: fmt.Sprint(i)}); !got.Queued || got.Held == "" {
				t.Fatalf("accepted %+v", got)
			}
			w.settle(time.Hour)
			a.close()
			a.open()
		}
		if v := a.view(); v.Held == "" || v.Queued != 3 || len(a.entries(a.log())) != size {
			t.Fatalf("%+v, %d entries", v, len(a.entries(a.log())))
		}
		defer w.join(a, b, nil)()
		w.settle(time.Minute)
		got := b.texts(a.log())
		if !slices.Equal(got[len(got)-3:], []string{"0", "1", "2"}) {
			t.Errorf("B reads %q", got)
		}
		w.same()
	})
}

// A peer that only says that it holds more cannot silence a station: it has to
// show it.
func TestEmptyClaimDoesNotSilence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		lie := func(h *wire.Have) {
			h.Logs = []wire.HaveLog{{Party: 0, Gen: 1, Size: 1000, Head: 1000}}
		}
		defer w.join(a, b, func(from *node, f []byte) []byte {
			frame, err := wire.ParseFrame(f)
			must(t, err)
			if from != b {
				return f
			}
			switch frame.Type {
			case wire.FrameHello:
				h, err := wire.ParseHello(frame.Payload)
				must(t, err)
				lie(&h.Have)
				frame.Payload = wire.Marshal(h)
			case wire.FrameHave:
				h, err := wire.ParseHave(frame.Payload)
				must(t, err)
				lie(&h)
				frame.Payload = wire.Marshal(h)
			}
			return frame.Append(nil)
		})()
		w.settle(time.Minute)
		if said := a.say(words{prec: line.Flash, text: "still speaks"}); said.Queued {
			t.Errorf("silenced: %q", said.Held)
		}
	})
}
