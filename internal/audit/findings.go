package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"herald/internal/line"
)

// Level says what a finding means for the record (spec 10 §5).
type Level string

// The levels.
const (
	// Fault: something in the file is not what its signer signed, or a party
	// broke the rules of its log where everybody can see it. The record is
	// not sound.
	Fault Level = "fault"
	// Defect: what a party sealed inside an entry does not hold up. The entry
	// is in the record all the same, and the record stays sound: nobody can
	// keep a party from writing nonsense into its own log.
	Defect Level = "defect"
	// Note: something to know, such as a gap.
	Note Level = "note"
)

// Finding is one thing that the audit has to say, and where.
type Finding struct {
	Level Level  `json:"level"`
	Code  string `json:"code"`            // stable, for programs: "head-root"
	Place string `json:"place,omitempty"` // in words: "US generation 1, entry 42"
	Text  string `json:"text"`
	// More counts further findings of this code that were left out.
	More int `json:"more,omitempty"`

	at line.Pos
}

// perCode bounds the findings kept of one code: a file full of faults must not
// fill the memory, and nobody reads more.
const perCode = 100

// findings collects from many goroutines.
type findings struct {
	mu    sync.Mutex
	list  []Finding
	count map[string]int
}

func (f *findings) add(l Level, code, place string, at line.Pos, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[string]int{}
	}
	f.count[code]++
	if f.count[code] <= perCode {
		f.list = append(f.list, Finding{Level: l, Code: code, Place: place, Text: plain(fmt.Sprintf(format, args...)), at: at})
	}
}

// plain keeps what a hostile file made an error say on its own line, and
// visible: nobody may write a verdict of his own into the report.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ReplaceAll(s, "\n", " "))
}

// weight orders findings: proof of two histories before all else.
func (x Finding) weight() int {
	switch {
	case x.Code == "two-histories":
		return 0
	case x.Level == Fault:
		return 1
	case x.Level == Defect:
		return 2
	}
	return 3
}

// sorted returns the findings, gravest first, then by place.
func (f *findings) sorted() []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortStableFunc(f.list, func(a, b Finding) int {
		return cmp.Or(a.weight()-b.weight(), cmp.Compare(a.at.Party, b.at.Party), cmp.Compare(a.at.Gen, b.at.Gen),
			cmp.Compare(a.at.Seq, b.at.Seq), strings.Compare(a.Code, b.Code), strings.Compare(a.Text, b.Text))
	})
	last := map[string]int{}
	for i, x := range f.list {
		last[x.Code] = i
	}
	for code, i := range last {
		f.list[i].More = max(0, f.count[code]-perCode)
	}
	return append([]Finding{}, f.list...)
}

// sound reports whether there is no fault.
func (f *findings) sound() bool {
	return !slices.ContainsFunc(f.list, func(x Finding) bool { return x.Level == Fault })
}
