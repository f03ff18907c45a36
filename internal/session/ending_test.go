package session_test

import (
	"context"
	"testing"
	"time"

	"herald/internal/record"
	"herald/internal/session"
)

// ending is a store under which the line is told to end while it commits.
type ending struct {
	session.Store
	stop func()
}

func (e ending) Commit(ctx context.Context, b *record.Batch) error {
	if e.stop(); ctx.Err() != nil {
		return ctx.Err()
	}
	return e.Store.Commit(ctx, b)
}

// A turn that has begun when the station is stopped is finished: it is kept,
// and whoever asked for it is told so.
func TestATurnIsFinishedAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		end := func() {}
		w := newWorld(t, 2, nil, func(n *node) {
			if n.self == 0 {
				n.over = ending{n.store, func() { end() }}
			}
		})
		defer w.close()
		w.settle(5 * time.Second)
		a := w.nodes[0]
		end = a.stop
		a.say(words{text: "last words", token: "1"})
		a.close()
		end = func() {}
		a.open()
		w.settle(5 * time.Second)
		if n := a.view().Queued; n != 1 {
			t.Errorf("%d messages wait after a restart, want 1", n)
		}
	})
}
