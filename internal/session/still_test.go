package session_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
)

// dying is a store that for a while can neither be written nor read.
type dying struct {
	session.Store
	dead *atomic.Bool
}

var errDead = errors.New("input/output error")

func (d dying) Commit(ctx context.Context, b *record.Batch) error {
	if d.dead.Load() {
		return errDead
	}
	return d.Store.Commit(ctx, b)
}

func (d dying) Load(ctx context.Context, id line.ID) (record.Snapshot, error) {
	if d.dead.Load() {
		return record.Snapshot{}, errDead
	}
	return d.Store.Load(ctx, id)
}

// While the store cannot be read nobody waits in vain: people are told, and
// when it can be read again, what they repeat is accepted once.
func TestStandsStillAndSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var dead atomic.Bool
		w := newWorld(t, 2, nil, func(n *node) {
			if n.self == 0 {
				n.over = dying{n.store, &dead}
			}
		})
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		a.say(words{text: "before", token: "1"})
		w.settle(5 * time.Second)
		dead.Store(true)
		for _, when := range []string{"as it dies", "while it is dead"} {
			_, err := a.submit(words{text: "asked " + when, token: when})
			if err == nil || !strings.Contains(err.Error(), "the line stands still") {
				t.Errorf("%s: %v", when, err)
			}
		}
		if _, err := a.line.View(t.Context()); err == nil {
			t.Error("a view of a line that cannot be read")
		}
		dead.Store(false)
		w.settle(5 * time.Second)
		for _, when := range []string{"as it dies", "while it is dead"} {
			a.insist(words{text: "asked " + when, token: when})
		}
		w.settle(20 * time.Second)
		if got := len(b.read(a.log())); got != 3 {
			t.Errorf("B has %d messages, want 3", got)
		}
		w.same()
	})
}
