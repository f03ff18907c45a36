package direct

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// gate bounds the handshakes under way. When it is full, the oldest is ended:
// an honest handshake takes a few round trips, so whoever floods a station
// with ones that stall pushes out their own.
type gate struct {
	mu      sync.Mutex
	limit   int
	pending *list.List // of context.CancelFunc, oldest first
}

func newGate(limit int) *gate { return &gate{limit: limit, pending: list.New()} }

// enter returns a context that ends when the handshake must yield. leave must
// be called when it is over.
func (g *gate) enter(ctx context.Context) (within context.Context, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pending.Len() >= g.limit {
		oldest := g.pending.Front()
		g.pending.Remove(oldest)
		oldest.Value.(context.CancelFunc)()
	}
	place := g.pending.PushBack(cancel)
	return ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.pending.Remove(place) // does nothing if it was pushed out
		cancel()
	}
}

// quota lets one event a second through, and counts the others: strangers can
// cause log lines at will.
type quota struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

// take says whether this event passes, and how many did not since the last.
func (q *quota) take(now time.Time) (skipped int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Before(q.next) {
		q.skipped++
		return 0, false
	}
	skipped, q.skipped = q.skipped, 0
	q.next = now.Add(time.Second)
	return skipped, true
}
