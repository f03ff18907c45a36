package record_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

// graph is one member of 07-record.txtar: a line, its entries, and what every
// station that holds them must compute.
type graph struct {
	l       record.Line
	entries []wire.SignedEntry
	ranks   map[line.Pos]uint64 // 0: none
	order   string
	settled uint64
}

// TestVectorsRecord runs each graph in the order of its lines, backwards, and
// in every rotation, with a start in the middle.
func TestVectorsRecord(t *testing.T) {
	a, err := txtar.ParseFile("../../spec/vectors/07-record.txtar")
	if err != nil || len(a.Files) == 0 {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		t.Run(f.Name, func(t *testing.T) {
			g := parseGraph(t, string(f.Data))
			var cs []record.Checked
			for _, se := range g.entries {
				cs = append(cs, check(t, g.l, se))
			}
			back := slices.Clone(cs)
			slices.Reverse(back)
			g.run(t, back)
			for i := range cs {
				g.run(t, append(slices.Clone(cs[i:]), cs[:i]...))
			}
		})
	}
}

func (g graph) run(t *testing.T, cs []record.Checked) {
	t.Helper()
	s := newStation(t, g.l, newShelf())
	for i, c := range cs {
		s.take(t, c)
		if i == len(cs)/2 {
			s = newStation(t, g.l, s.shelf)
		}
	}
	for p, want := range g.ranks {
		if got := s.shelf.entries[p].Rank; got != want {
			t.Errorf("%s: rank %d, want %d", g.name(p), got, want)
		}
	}
	var order []string
	for _, p := range s.shelf.ordered() {
		order = append(order, g.name(p))
	}
	if got := strings.Join(order, ", "); got != g.order {
		t.Errorf("order %s\nwant  %s", got, g.order)
	}
	if got := s.Settled(); got != g.settled {
		t.Errorf("settled %d, want %d", got, g.settled)
	}
}

func (g graph) name(p line.Pos) string { return fmt.Sprintf("%s %d", g.log(p.Log), p.Seq) }

func (g graph) log(l line.Log) string {
	if l.Gen == 1 {
		return string(g.l.Members[l.Party])
	}
	return fmt.Sprintf("%s#%d", g.l.Members[l.Party], l.Gen)
}

// parseGraph reads the language that the head of the vectors explains.
func parseGraph(t *testing.T, text string) graph {
	t.Helper()
	g := graph{ranks: map[line.Pos]uint64{}}
	for row := range strings.Lines(text) {
		row = strings.TrimSpace(row)
		word, rest, _ := strings.Cut(row, " ")
		switch word {
		case "parties":
			for code := range strings.FieldsSeq(rest) {
				g.l.Members = append(g.l.Members, line.Party(code))
			}
		case "order":
			g.order = rest
		case "settled":
			g.settled = number(t, rest)
		default:
			g.entry(t, row)
		}
	}
	return g
}

func (g *graph) entry(t *testing.T, row string) {
	t.Helper()
	said, rank, ok := strings.Cut(row, " = ")
	f := strings.Fields(said)
	if !ok || len(f) < 2 {
		t.Fatalf("not understood: %s", row)
	}
	p := line.Pos{Log: g.parseLog(t, f[0]), Seq: number(t, f[1])}
	after, closes := firstMarks(g.l), (*wire.Closes)(nil)
	for f = f[2:]; len(f) > 0; f = f[1:] {
		if f[0] == "closes" {
			closes = &wire.Closes{Size: number(t, f[1]), Root: make([]byte, 32)}
			f = f[1:]
		} else if f[0] != "after" {
			log, size, _ := strings.Cut(f[0], ":")
			m := g.parseLog(t, log)
			i := m.Party
			if i > p.Party {
				i--
			}
			after[i] = wire.Mark{Gen: m.Gen, Size: number(t, size)}
		}
	}
	g.entries = append(g.entries, write(g.l, p, after, closes, "x"))
	g.ranks[p] = 0
	if rank != "none" {
		g.ranks[p] = number(t, rank)
	}
}

func (g *graph) parseLog(t *testing.T, s string) line.Log {
	t.Helper()
	code, gen, ok := strings.Cut(s, "#")
	l := line.Log{Party: slices.Index(g.l.Members, line.Party(code)), Gen: 1}
	if ok {
		l.Gen = line.Generation(number(t, gen))
	}
	if l.Party < 0 {
		t.Fatalf("%s is no party of the line", s)
	}
	return l
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
