package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"herald/internal/charter"
	"herald/internal/line"
	"herald/internal/wire"
)

// Past its quota for the day a party gets only urgent words through, which the
// other side says on the record; the next day everything comes that waited.
func TestQuota(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, func(x *charter.Terms) { x.QuotaBytes = 1 << 20 }, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		w.settle(10 * time.Second)
		body := strings.Repeat("x", 15<<10)
		for i := range 80 {
			a.say(words{text: fmt.Sprint(i) + body})
		}
		flash := a.say(words{prec: line.Flash, text: "urgent all the same"})
		w.settle(time.Minute)
		if got := len(b.texts(a.log())); got < 60 || got >= 80 {
			t.Fatalf("%d texts were taken", got)
		}
		if !a.delivered(flash.Pos, 1) || !slices.Contains(b.texts(a.log()), "urgent all the same") {
			t.Error("the FLASH did not get through")
		}
		if n := b.kinds(b.log(), wire.KindThrottle); n != 1 || a.kinds(b.log(), wire.KindThrottle) != 1 {
			t.Errorf("throttle is on the record %d times", n)
		}
		answer := b.say(words{text: "the other way is free"})
		w.settle(time.Minute)
		if !b.delivered(answer.Pos, 0) {
			t.Error("the other way is not free")
		}
		w.settle(25 * time.Hour)
		if got := len(b.texts(a.log())); got != 81 {
			t.Errorf("the next day %d of 81 texts are here", got)
		}
		if n := b.kinds(b.log(), wire.KindThrottle); n != 2 {
			t.Errorf("throttle on and off: %d entries", n)
		}
		w.same()
	})
}
