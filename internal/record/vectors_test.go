package record_test

import (
	"slices"
	"strings"
	"testing"

	"herald/internal/record"
	"herald/internal/record/recordtest"
)

// TestVectorsRecord runs each graph in the order of its lines, backwards, and
// in every rotation, with a start in the middle.
func TestVectorsRecord(t *testing.T) {
	for _, g := range recordtest.Graphs(t, "../../spec/vectors/07-record.txtar") {
		t.Run(g.Name, func(t *testing.T) {
			l := record.Line{Members: g.Members}
			var cs []record.Checked
			for _, e := range g.Entries {
				cs = append(cs, check(t, l, write(l, e.Pos, e.After, e.Closes, "x")))
			}
			back := slices.Clone(cs)
			slices.Reverse(back)
			runGraph(t, g, l, back)
			for i := range cs {
				runGraph(t, g, l, append(slices.Clone(cs[i:]), cs[:i]...))
			}
		})
	}
}

func runGraph(t *testing.T, g recordtest.Graph, l record.Line, cs []record.Checked) {
	t.Helper()
	s := newStation(t, l, newShelf())
	for i, c := range cs {
		s.take(t, c)
		if i == len(cs)/2 {
			s = newStation(t, l, s.shelf)
		}
	}
	for _, e := range g.Entries {
		if got := s.shelf.entries[e.Pos].Rank; got != e.Rank {
			t.Errorf("%s: rank %d, want %d", g.Place(e.Pos), got, e.Rank)
		}
	}
	var order []string
	for _, p := range s.shelf.ordered() {
		order = append(order, g.Place(p))
	}
	if !slices.Equal(order, g.Order) {
		t.Errorf("order %s\nwant  %s", strings.Join(order, ", "), strings.Join(g.Order, ", "))
	}
	if got := s.Settled(); got != g.Settled {
		t.Errorf("settled %d, want %d", got, g.Settled)
	}
}
