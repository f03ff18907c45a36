package session_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/store/faultstore"
	"herald/internal/wire"
)

// Whichever commit of whichever side fails, and in whichever way: nothing
// accepted is lost, nothing is there twice, and a retry under its token is
// harmless.
func TestEveryCommitFailsBothWays(t *testing.T) {
	for side, name := range []string{"sender", "receiver"} {
		t.Run(name, func(t *testing.T) {
			writes := underFaults(t, side, nil)
			if writes < 6 {
				t.Fatalf("the scenario has %d writes only", writes)
			}
			for name, plan := range faultstore.Each(writes) {
				t.Run(name, func(t *testing.T) { underFaults(t, side, plan) })
			}
		})
	}
}

// underFaults lets two parties talk while one side's store fails, and returns
// how many writes that side made.
func underFaults(t *testing.T, side int, plan faultstore.Plan) (writes int) {
	bubble(t, func(t *testing.T) {
		var store *faultstore.Store
		w := newWorld(t, 2, nil, func(n *node) {
			if n.self == side {
				store = faultstore.New(n.store, plan)
				n.over = store
			}
		})
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		a.insist(words{text: "queued", token: "1"})
		defer w.join(a, b, nil)()
		w.settle(0)
		a.insist(words{text: "routine", token: "2"})
		a.insist(words{prec: line.Flash, text: "flash", token: "3"})
		w.settle(10 * time.Second)
		b.insist(words{text: "back", token: "4"})
		b.insist(words{kind: wire.KindUnderstood, refs: []wire.Ref{b.ref(a.read(a.log())[0].pos)}, token: "5"})
		w.settle(20 * time.Second)
		writes = store.Writes()

		w.same()
		for _, n := range w.nodes {
			got := n.texts(a.log())
			slices.Sort(got) // where the queue waits for the store, urgent words overtake it
			if !slices.Equal(got, []string{"flash", "queued", "routine"}) {
				t.Errorf("%s reads %q of the sender", n.name, got)
			}
			if got := n.texts(b.log()); !slices.Equal(got, []string{"back", ""}) {
				t.Errorf("%s reads %q of the receiver", n.name, got)
			}
		}
		for i, s := range a.read(a.log()) {
			if s.number != uint64(i+1) {
				t.Errorf("%q has number %d", s.text, s.number)
			}
			if !a.delivered(s.pos, 1) {
				t.Errorf("%q is not shown as delivered", s.text)
			}
		}
		if b.rang.count() == 0 {
			t.Error("the watch was not called for a FLASH that is held")
		}
		for _, n := range w.nodes {
			if v := n.view(); v.Held != "" || v.Queued+v.Pending != 0 {
				t.Errorf("%s is left with %+v", n.name, v)
			}
		}
	})
	return writes
}

// insist submits until it is accepted, as a client does, and fails if a repeat
// of what was accepted tells otherwise.
func (n *node) insist(x words) {
	n.w.t.Helper()
	s := n.submission(x)
	for range 5 {
		first, err := n.line.Submit(n.w.t.Context(), s)
		if errors.Is(err, faultstore.ErrInjected) {
			continue
		}
		must(n.w.t, err)
		again, err := n.line.Submit(n.w.t.Context(), s)
		if errors.Is(err, faultstore.ErrInjected) {
			again, err = n.line.Submit(n.w.t.Context(), s)
		}
		must(n.w.t, err)
		if !first.Queued && first != again {
			n.w.t.Errorf("%s: accepted as %+v, and on repeating as %+v", n.name, first, again)
		}
		return
	}
	n.w.t.Fatalf("%s: not accepted", n.name)
}

// A store that is full or broken for long stops everything that has to be
// durable, and nothing that was accepted before.
func TestStoreFailsForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var broken atomic.Bool
		w := newWorld(t, 2, nil, func(n *node) {
			if n.self == 1 {
				n.over = faultstore.New(n.store, func(int, *record.Batch) faultstore.Outcome {
					if broken.Load() {
						return faultstore.NotDone
					}
					return faultstore.Done
				})
			}
		})
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		a.say(words{text: "before"})
		w.settle(10 * time.Second)
		broken.Store(true)
		lost := a.say(words{prec: line.Flash, text: "meanwhile"})
		if _, err := b.submit(words{text: "not kept", officers: []keys.Role{keys.RoleWatch}}); !errors.Is(err, faultstore.ErrInjected) {
			t.Errorf("B accepted with a broken store: %v", err)
		}
		w.settle(time.Minute)
		if a.delivered(lost.Pos, 1) || b.rang.count() > 0 {
			t.Error("B stated, or rang for, what it could not keep")
		}
		broken.Store(false)
		w.settle(10 * time.Second)
		if !a.delivered(lost.Pos, 1) || b.rang.count() != 1 {
			t.Error("what was lost meanwhile did not come again")
		}
		w.same()
	})
}
