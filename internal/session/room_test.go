package session_test

import (
	"slices"
	"testing"
	"time"

	"herald/internal/line"
)

// On a nearly full disk a station leaves others' ordinary words with them and
// still takes what is urgent; its own words go out. Once there is room, the
// rest comes by itself.
func TestNearlyFullDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		w.settle(10 * time.Second)
		b.full.Store(true)
		ordinary := a.say(words{text: "not urgent"})
		flash := a.say(words{prec: line.Flash, text: "urgent"})
		own := b.say(words{text: "from the full station"})
		w.settle(time.Minute)
		if got := b.texts(a.log()); !slices.Equal(got, []string{"urgent"}) {
			t.Fatalf("taken: %q", got)
		}
		if a.delivered(ordinary.Pos, 1) || !a.delivered(flash.Pos, 1) || !b.delivered(own.Pos, 0) {
			t.Error("delivered: the ordinary words, or not the FLASH or the own words")
		}
		b.full.Store(false)
		w.settle(time.Minute)
		if !a.delivered(ordinary.Pos, 1) {
			t.Error("the ordinary words were not fetched once there was room")
		}
		w.same()
	})
}
