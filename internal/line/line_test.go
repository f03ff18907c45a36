package line

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// rows returns the lines of one member of the chapter's vectors.
func rows(t *testing.T, member string) []string {
	t.Helper()
	a, err := txtar.ParseFile("../../spec/vectors/03-names.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		if f.Name == member {
			return strings.Split(strings.TrimSuffix(string(f.Data), "\n"), "\n")
		}
	}
	t.Fatalf("no member %s", member)
	return nil
}

func TestVectorsParties(t *testing.T) {
	for _, row := range rows(t, "parties.txt") {
		word, code, _ := strings.Cut(row, " ")
		p, err := ParseParty(code)
		if (err == nil) != (word == "taken") || err == nil && string(p) != code {
			t.Errorf("%s: %q, %v", row, p, err)
		}
	}
	if _, err := ParseParty(""); err == nil {
		t.Error("nothing was taken for a party")
	}
}

func TestVectorsLogs(t *testing.T) {
	var l ID
	for i := range l {
		l[i] = byte(i)
	}
	for _, row := range rows(t, "logs.txt") {
		var p Party
		var g Generation
		var want string
		if _, err := fmt.Sscan(row, &p, &g, &want); err != nil {
			t.Fatal(row, err)
		}
		if got := NewLogID(l, p, g).String(); got != want {
			t.Errorf("%s: computed %s", row, got)
		}
	}
}

// Two parties, lines or generations never share a log, whatever their codes.
func TestLogIDsDiffer(t *testing.T) {
	seen := map[LogID]string{}
	for _, l := range []ID{{}, {1}} {
		for _, p := range []Party{"US", "USA", "U1", "A1"} {
			for _, g := range []Generation{1, 2, 1 << 31} {
				id, what := NewLogID(l, p, g), fmt.Sprintf("%s %s %d", l.Short(), p, g)
				if seen[id] != "" {
					t.Errorf("%s and %s share a log", what, seen[id])
				}
				seen[id] = what
			}
		}
	}
}

func TestVectorsPrecedencesAndMarkings(t *testing.T) {
	for _, row := range rows(t, "precedences.txt") {
		var n uint8
		var name string
		if _, err := fmt.Sscan(row, &n, &name); err != nil {
			t.Fatal(row, err)
		}
		p, err := ParsePrecedence(strings.ToLower(name))
		if err != nil || p != Precedence(n) || p.String() != name {
			t.Errorf("%s: %d %s, %v", row, p, p, err)
		}
		if p.Urgent() != (n >= 2) {
			t.Errorf("%s: urgent is %v", row, p.Urgent())
		}
	}
	for _, row := range rows(t, "markings.txt") {
		var n uint8
		var name string
		if _, err := fmt.Sscan(row, &n, &name); err != nil {
			t.Fatal(row, err)
		}
		m, err := ParseMarking(strings.ToLower(name))
		if err != nil || m != Marking(n) || m.String() != name {
			t.Errorf("%s: %d %s, %v", row, m, m, err)
		}
	}
	if ps := Precedences(); len(ps) != 4 || ps[0] != Flash || ps[3] != Routine {
		t.Errorf("precedences: %v", ps)
	}
	for _, s := range []string{"", "urgent", "REAL "} {
		if _, err := ParseMarking(s); err == nil {
			t.Errorf("marking %q was taken", s)
		}
		if _, err := ParsePrecedence(s); err == nil {
			t.Errorf("precedence %q was taken", s)
		}
	}
	if Precedence(9).String() != "PRECEDENCE-9" || Marking(3).String() != "MARKING-3" {
		t.Error("unassigned numbers are not shown as such")
	}
}

func TestIDsComeBack(t *testing.T) {
	id := ID{0xab, 0xcd, 31: 0xef}
	if got, err := ParseID(id.String()); err != nil || got != id {
		t.Errorf("%s came back as %s, %v", id, got, err)
	}
	if id.Short() != "abcd0000" {
		t.Errorf("short name %s", id.Short())
	}
	for _, bad := range []string{"", "abcd", strings.Repeat("g", 64), id.String() + "00"} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q was taken for a line", bad)
		}
	}
}

func TestPartiesIsASet(t *testing.T) {
	s := Parties(0).With(0).With(15).With(3).Without(3)
	for i := -1; i < 40; i++ {
		if s.Has(i) != (i == 0 || i == 15) {
			t.Errorf("party %d: %v", i, s.Has(i))
		}
	}
}

func TestPlacesAreOrdered(t *testing.T) {
	rising := []Pos{
		{Log{0, 1}, 5}, {Log{0, 2}, 0}, {Log{0, 2}, 1}, {Log{1, 1}, 0}, {Log{1, 1}, 9}, {Log{1, 2}, 3}, {Log{2, 1}, 0},
	}
	for i, a := range rising {
		for j, b := range rising {
			if got := a.Compare(b); got != cmp.Compare(i, j) {
				t.Errorf("%v, %v: %d", a, b, got)
			}
			if less := a.Less(b.Log); less != (i < j && a.Log != b.Log) {
				t.Errorf("%v before %v: %v", a.Log, b.Log, less)
			}
		}
	}
}

func FuzzParseParty(f *testing.F) {
	f.Add("US")
	f.Add("1A")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParseParty(s); err == nil && (string(p) != s || len(s) < 2 || len(s) > 8) {
			t.Fatalf("%q became %q", s, p)
		}
	})
}
