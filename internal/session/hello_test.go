package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
)

// gated is a store whose next commit waits until the gate opens.
type gated struct {
	session.Store
	gate chan struct{}
}

func (g *gated) Commit(ctx context.Context, b *record.Batch) error {
	<-g.gate
	return g.Store.Commit(ctx, b)
}

// A station that is busy takes its own greeting and the other side's hello in
// one turn. Its hello must still go first, since the other side drops what
// comes on a channel before it: here the first head, and with it the receipt
// for everything until the next.
func TestHelloGoesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &gated{gate: make(chan struct{})}
		w := newWorld(t, 2, nil, func(n *node) {
			if n.self == 0 {
				g.Store = n.over
				n.over = g
			}
		})
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		busy := make(chan error, 1)
		go func() {
			_, err := a.submit(words{prec: line.Routine, text: "keeps the loop in its commit"})
			busy <- err
		}()
		synctest.Wait()
		part := w.join(a, b, nil)
		defer part()
		synctest.Wait()
		close(g.gate)
		must(t, <-busy)
		w.settle(5 * time.Second)
		for _, lv := range b.view().Logs {
			if lv.Log == a.log() && lv.Head.Size != lv.Size {
				t.Errorf("%d entries came, with a head of %d", lv.Size, lv.Head.Size)
			}
		}
		if n, err := a.line.Delivered(t.Context()); err != nil || n < 3 {
			t.Errorf("%d entries are known to be delivered, want the epoch, the card and the words (%v)", n, err)
		}
	})
}
