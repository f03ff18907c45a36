// Package recordtest reads the graphs of entries in spec/vectors/07-record.txtar,
// for the tests of everything that puts a record in order.
package recordtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"herald/internal/line"
	"herald/internal/wire"
)

// Graph is one member of the vectors: a line, its entries, and what everybody
// who holds exactly these must compute.
type Graph struct {
	Name    string
	Members []line.Party
	Entries []Entry
	Order   []string // names of the entries that have a rank
	Settled uint64
}

// Entry is one entry of a graph.
type Entry struct {
	Pos    line.Pos
	After  []wire.Mark  // one for each other party, in charter order
	Closes *wire.Closes // nil where it closes nothing; its root is zeros
	Rank   uint64       // 0: none
}

// Graphs reads the file of vectors in the language that its head explains.
func Graphs(t testing.TB, file string) []Graph {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil || len(a.Files) == 0 {
		t.Fatalf("no vectors in %s: %v", file, err)
	}
	var out []Graph
	for _, f := range a.Files {
		g, err := parse(f.Name, string(f.Data))
		if err != nil {
			t.Fatalf("%s: %s: %v", file, f.Name, err)
		}
		out = append(out, g)
	}
	return out
}

// Place names an entry as the graphs do.
func (g Graph) Place(p line.Pos) string {
	if p.Gen == 1 {
		return fmt.Sprintf("%s %d", g.Members[p.Party], p.Seq)
	}
	return fmt.Sprintf("%s#%d %d", g.Members[p.Party], p.Gen, p.Seq)
}

func parse(name, text string) (Graph, error) {
	g := Graph{Name: name}
	for row := range strings.Lines(text) {
		row = strings.TrimSpace(row)
		word, rest, _ := strings.Cut(row, " ")
		var err error
		switch word {
		case "parties":
			for code := range strings.FieldsSeq(rest) {
				g.Members = append(g.Members, line.Party(code))
			}
		case "order":
			g.Order = strings.Split(rest, ", ")
		case "settled":
			g.Settled, err = strconv.ParseUint(rest, 10, 64)
		default:
			err = g.entry(row)
		}
		if err != nil {
			return g, fmt.Errorf("%q: %w", row, err)
		}
	}
	return g, nil
}

// entry reads LOG SEQ [closes N] [after MARKS] = RANK.
func (g *Graph) entry(row string) error {
	said, rank, ok := strings.Cut(row, " = ")
	f := strings.Fields(said)
	if !ok || len(f) < 2 {
		return fmt.Errorf("want LOG SEQ and = RANK")
	}
	e := Entry{After: make([]wire.Mark, len(g.Members)-1)}
	for i := range e.After {
		e.After[i].Gen = 1
	}
	var err error
	if e.Pos.Log, err = g.log(f[0]); err != nil {
		return err
	}
	if e.Pos.Seq, err = strconv.ParseUint(f[1], 10, 64); err != nil {
		return err
	}
	for f = f[2:]; len(f) > 0; f = f[1:] {
		switch {
		case f[0] == "closes" && len(f) > 1:
			f = f[1:]
			e.Closes = &wire.Closes{Root: make([]byte, 32)}
			e.Closes.Size, err = strconv.ParseUint(f[0], 10, 64)
		case f[0] != "after":
			err = g.mark(&e, f[0])
		}
		if err != nil {
			return err
		}
	}
	if rank != "none" {
		if e.Rank, err = strconv.ParseUint(rank, 10, 64); err != nil {
			return err
		}
	}
	g.Entries = append(g.Entries, e)
	return nil
}

func (g *Graph) mark(e *Entry, s string) error {
	name, size, _ := strings.Cut(s, ":")
	l, err := g.log(name)
	if err != nil {
		return err
	}
	i := l.Party
	if i == e.Pos.Party {
		return fmt.Errorf("a mark of its own party")
	}
	if i > e.Pos.Party {
		i--
	}
	n, err := strconv.ParseUint(size, 10, 64)
	e.After[i] = wire.Mark{Gen: l.Gen, Size: n}
	return err
}

func (g *Graph) log(s string) (line.Log, error) {
	code, gen, later := strings.Cut(s, "#")
	l := line.Log{Party: slices.Index(g.Members, line.Party(code)), Gen: 1}
	if l.Party < 0 {
		return l, fmt.Errorf("%s is no party of the line", code)
	}
	if later {
		n, err := strconv.ParseUint(gen, 10, 32)
		if err != nil {
			return l, err
		}
		l.Gen = line.Generation(n)
	}
	return l, nil
}
