package session_test

import (
	"testing"
	"time"

	"herald/internal/charter"
	"herald/internal/line"
)

// At the latest a day after the charter's retention ends, the running station can no longer read
// what it archived; the record itself stays.
func TestRetentionEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, func(x *charter.Terms) { x.RetentionDays = 2 }, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		w.settle(10 * time.Second)
		old := a.say(words{prec: line.Priority, text: "of the first day"})
		w.settle(49 * time.Hour)
		young := a.say(words{prec: line.Priority, text: "of the third day"})
		w.settle(2 * time.Hour)
		if _, _, ok := b.inner(old.Pos); !ok {
			t.Fatal("gone before its time")
		}
		w.settle(48 * time.Hour)
		for _, n := range []*node{a, b} {
			if left, err := n.store.Readable(t.Context(), n.w.ch.Line(), time.Now().Add(-72*time.Hour).Unix(), 10); err != nil || len(left) > 0 {
				t.Errorf("%s can still open %d segments a day past their time (%v)", n.name, len(left), err)
			}
		}
		if !a.delivered(young.Pos, 1) {
			t.Error("the later words were not delivered")
		}
		w.same()
	})
}
