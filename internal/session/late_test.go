package session_test

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herald/internal/line"
	"herald/internal/session"
	"herald/internal/wire"
)

// Two stations are connected already when one takes the charter and, a while
// later, the other: the line comes up between them.
func TestLineOpenedOnAConnectionThatStands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		ctx, cancel := context.WithCancel(context.Background())
		var g sync.WaitGroup
		defer g.Wait()
		defer cancel()
		var known [2]atomic.Bool
		var conns [2]*session.Conn
		for i, n := range w.nodes {
			conns[i] = session.Attach(ctx, "pump", w.nodes[1-i].root.Party, nil, func(id line.ID) (*session.Line, bool) {
				return n.line, known[i].Load() && id == n.line.ID()
			})
		}
		for i, c := range conns {
			to := conns[1-i]
			g.Go(func() {
				for {
					f, _ := c.Next(wire.MaxFrame, true)
					if f == nil {
						select {
						case <-ctx.Done():
							return
						case <-c.Ready():
							continue
						}
					}
					if err := to.Receive(bytes.Clone(f)); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		for i, n := range w.nodes {
			known[i].Store(true)
			conns[i].AddLine(n.line)
			w.settle(time.Minute)
		}
		for i, n := range w.nodes {
			said := n.say(words{text: "It is up."})
			w.settle(5 * time.Second)
			if !n.delivered(said.Pos, 1-i) {
				t.Errorf("%s is not heard", n.name)
			}
		}
		w.same()
	})
}
