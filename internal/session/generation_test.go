package session_test

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
)

// regenerate stops the node and starts it with the keys of its next
// generation, on a card that says where the old one ended.
func (n *node) regenerate() {
	t := n.w.t
	t.Helper()
	var head keys.Closing
	for _, lv := range n.view().Logs {
		if lv.Log == n.log() {
			head = keys.Closing{Line: n.line.ID(), Gen: n.keys.Gen, Size: lv.Head.Size, Root: lv.Head.Root}
		}
	}
	n.close()
	archive := n.keys.Archive // the working archive outlives the generation
	var err error
	n.keys, err = keys.NewStation(rand.Reader, n.root.Party, "main", n.keys.Gen+1)
	must(t, err)
	n.keys.Archive = archive
	old, _ := n.cards.Card(n.root.Party)
	next := *old
	gen, err := n.keys.Certify(time.Now(), time.Now().Add(365*24*time.Hour))
	must(t, err)
	next.Version, next.Issued = old.Version+1, time.Now()
	next.Generations = append(slices.Clone(old.Generations), gen)
	next.Closings = append(slices.Clone(old.Closings), head)
	n.cards.add(n.sign(&next))
	n.open()
}

// A new generation is a new log that goes on where the old one ended. The
// peers learn of it by the card that a hello names.
func TestGenerations(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 3, nil, nil)
		defer w.close()
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		ab := w.join(a, b, nil)
		defer w.join(b, c, nil)()
		a.say(words{text: "In the first."})
		w.settle(10 * time.Second)
		first := a.log()
		ab()
		queued := a.say(words{prec: line.Flash, text: "Queued in the first."})
		if !queued.Queued {
			t.Fatal("sequenced without a peer")
		}
		a.regenerate()
		defer w.join(a, b, nil)()
		w.settle(20 * time.Second)
		a.say(words{text: "In the second."})
		said := b.say(words{text: "To the second."})
		w.settle(20 * time.Second)
		for _, n := range w.nodes {
			if got := n.texts(first); !slices.Equal(got, []string{"In the first."}) {
				t.Errorf("%s reads %q of the first generation", n.name, got)
			}
			if got := n.texts(a.log()); !slices.Equal(got, []string{"Queued in the first.", "In the second."}) {
				t.Errorf("%s reads %q of the second generation", n.name, got)
			}
			for _, s := range n.read(a.log()) {
				if s.defect != "" || s.number < 2 {
					t.Errorf("%s: %+v", n.name, s)
				}
			}
			for _, e := range n.entries(a.log()) {
				if e.Rank == 0 {
					t.Errorf("%s: %v has no rank", n.name, e.Pos)
				}
			}
			if v := n.view(); v.Pending != 0 || v.Held != "" {
				t.Errorf("%s: %+v", n.name, v)
			}
		}
		last, next := a.entries(first), a.entries(a.log())
		if next[0].Rank <= last[len(last)-1].Rank {
			t.Errorf("the second generation begins at rank %d, the first ended at %d", next[0].Rank, last[len(last)-1].Rank)
		}
		for party := 1; party < 3; party++ {
			if !a.delivered(line.Pos{Log: a.log(), Seq: uint64(len(next) - 1)}, party) {
				t.Errorf("the second generation is not delivered to party %d", party)
			}
		}
		if !b.delivered(said.Pos, 0) {
			t.Error("the second generation does not state what it holds")
		}
		w.same()
		w.secretsOf(first, 0)
	})
}

// secretsOf fails if a node keeps more epoch secrets of a log than it may.
func (w *world) secretsOf(g line.Log, most int) {
	w.t.Helper()
	for _, n := range w.nodes {
		if got := len(n.secrets(g)); got > most {
			w.t.Errorf("%s keeps %d epoch secrets of %v, want at most %d", n.name, got, g, most)
		}
	}
}

// secrets lists the epochs of a log whose secrets the store still has.
func (n *node) secrets(g line.Log) (out []record.Epoch) {
	n.w.t.Helper()
	snap, err := n.store.Load(n.w.t.Context(), n.line.ID())
	must(n.w.t, err)
	for _, e := range snap.Epochs {
		if e.Log == g {
			out = append(out, e)
		}
	}
	return out
}
