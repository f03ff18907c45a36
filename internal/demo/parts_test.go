package demo

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"herald/internal/control"
	"herald/internal/line"
)

func TestEpisode(t *testing.T) {
	e, err := June2023()
	if err != nil {
		t.Fatal(err)
	}
	acts := map[string]int{}
	for _, ev := range e.Events {
		if ev.Title == "" || ev.Kind == "" {
			t.Errorf("%s: no title or kind", ev.At)
		}
		acts[ev.Kind+" "+ev.Act]++
		for _, m := range ev.Then {
			acts[m.Do]++
		}
	}
	for _, want := range []string{"network cut", "network courier", "network heal", "incident ", "call ", "readout ", "agenda add-concern",
		"engagement postpone", "engagement propose", "engagement reschedule", "understood", "hold", "answer", "decline"} {
		if acts[want] == 0 {
			t.Errorf("the episode has no %q", want)
		}
	}
	if !slices.IsSortedFunc(e.Events, func(a, b Event) int { return strings.Compare(a.At, b.At) }) {
		t.Error("the events are not in order")
	}
}

func TestEpisodeRefuses(t *testing.T) {
	good := string(june2023)
	for _, x := range [][2]string{
		{"title: A visit", "titel: A visit"}, {"by: US\n    form", "by: RU\n    form"}, {"precedence: flash", "precedence: now"},
		{"do: decline", "do: refuse"}, {"at: 2023-02-03", "at: 3 Feb"}, {"  - {code: US,", "  - {code: FR, name: France}\n  - {code: US,"},
		{`text: "同意。", `, ""}, {"text: The U.S. Secretary", "text: \"\u202e\" # "},
	} {
		bad := strings.Replace(good, x[0], x[1], 1)
		if bad == good {
			t.Fatalf("the episode has no %q", x[0])
		}
		if _, err := parseEpisode([]byte(bad)); err == nil {
			t.Errorf("%q was taken", x[1])
		}
	}
}

func TestWords(t *testing.T) {
	for _, x := range []struct {
		e             Event
		text, english string
	}{
		{Event{Summary: "Seen."}, "Seen.", ""},
		{Event{Summary: "Seen.", Text: "We see it."}, "We see it.", ""},
		{Event{Act: "postpone", What: "visit", Why: "The balloon."}, "Postponed: visit. Reason: The balloon.", ""},
		{Event{Act: "reschedule", What: "Visit", When: []string{"2023-06-18", "2023-06-19"}}, "Rescheduled: Visit, 2023-06-18 to 2023-06-19.", ""},
		{Event{Of: "call", Points: []string{"a.", "b."}}, "Readout of the call.\na.\nb.", ""},
		{Event{Points: []string{"a."}, Original: []string{"甲。"}}, "甲。", "a."},
		{Event{By: "US", With: []string{"A", "B"}, Agenda: []Item{{"US", "core-concern", "peace"}, {"CN", "concern", "ours"}}}, "For the agenda of the call between A and B.\nCore concern: peace.", ""},
		{Event{}, "", ""},
	} {
		if text, english := x.e.words(); text != x.text || english != x.english {
			t.Errorf("got %q, %q; want %q, %q", text, english, x.text, x.english)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, x := range []struct {
		text  string
		width int
		want  []string
	}{
		{"one two three", 7, []string{"one two", "three"}},
		{"one\ntwo", 20, []string{"one", "two"}},
		{"incomprehensible", 4, []string{"incomprehensible"}},
		{"该飞艇来自中国，属民用", 14, []string{"该飞艇来自中", "国，属民用"}},
		{"in 2023年 ok", 7, []string{"in 2023", "年 ok"}},
		{"", 5, []string{""}},
	} {
		if got := wrap(x.text, x.width); !reflect.DeepEqual(got, x.want) {
			t.Errorf("%q at %d: %q, want %q", x.text, x.width, got, x.want)
		}
	}
	if columns("中国 ok。") != 9 || pad("中", 4) != "中  " || pad("long", 2) != "long" {
		t.Error("columns are miscounted")
	}
}

func TestMedian(t *testing.T) {
	if median(nil) != 0 || median([]time.Duration{5, 1, 9}) != 5 || median([]time.Duration{4, 2}) != 3 {
		t.Error("median")
	}
}

// world is a record of two messages and a receipt, and what was written.
func world() ([]control.Item, []*said) {
	us, cn := &party{Actor: Actor{Code: "US"}}, &party{Actor: Actor{Code: "CN"}}
	items := []control.Item{
		{Entry: "US 0001", Log: "US/1", Seq: 1, Rank: 1, Leaf: "a", Party: "US", Kind: "message", Text: "Hello."},
		{Entry: "CN#1", Log: "CN/1", Seq: 1, Rank: 2, Leaf: "b", Party: "CN", Kind: "read"},
		{Entry: "CN 0001", Log: "CN/1", Seq: 2, Rank: 3, Leaf: "c", Party: "CN", Kind: "answer", Text: "你好。"},
	}
	wrote := []*said{
		{by: us, entry: "US 0001", DraftRequest: control.DraftRequest{Kind: "message", Text: "Hello."}},
		{by: cn, entry: "CN 0001", DraftRequest: control.DraftRequest{Kind: "answer", Text: "你好。"}},
	}
	return items, wrote
}

// A check that never fails would show nothing.
func TestCompare(t *testing.T) {
	for name, x := range map[string]struct {
		change           func(items []control.Item, wrote []*said) ([]control.Item, []*said)
		lost, duplicated int
	}{
		"whole":       {func(i []control.Item, w []*said) ([]control.Item, []*said) { return i, w }, 0, 0},
		"missing":     {func(i []control.Item, w []*said) ([]control.Item, []*said) { return i[1:], w }, 1, 0},
		"other words": {func(i []control.Item, w []*said) ([]control.Item, []*said) { i[0].Text = "Bye."; return i, w }, 1, 0},
		"unopened":    {func(i []control.Item, w []*said) ([]control.Item, []*said) { i[0].Unopened = true; return i, w }, 1, 0},
		"defective":   {func(i []control.Item, w []*said) ([]control.Item, []*said) { i[2].Defect = "x"; return i, w }, 1, 0},
		"other party": {func(i []control.Item, w []*said) ([]control.Item, []*said) { i[2].Party = "US"; return i, w }, 1, 0},
		"no name yet": {func(i []control.Item, w []*said) ([]control.Item, []*said) { w[0].entry = ""; return i, w }, 1, 1},
		"phantom":     {func(i []control.Item, w []*said) ([]control.Item, []*said) { return i, w[:1] }, 0, 1},
		"leaf twice":  {func(i []control.Item, w []*said) ([]control.Item, []*said) { return append(i, i[1]), w }, 0, 1},
		"sent twice": {func(i []control.Item, w []*said) ([]control.Item, []*said) {
			again := i[0]
			again.Leaf, again.Entry = "d", "US 0002"
			return append(i, again), w
		}, 0, 1},
	} {
		lost, duplicated := compare(x.change(world()))
		if lost != x.lost || duplicated != x.duplicated {
			t.Errorf("%s: %d lost, %d duplicated; want %d, %d", name, lost, duplicated, x.lost, x.duplicated)
		}
	}
}

func TestIdentical(t *testing.T) {
	a, _ := world()
	for name, change := range map[string]func([]control.Item) []control.Item{
		"shorter": func(i []control.Item) []control.Item { return i[:2] },
		"swapped": func(i []control.Item) []control.Item { i[0], i[1] = i[1], i[0]; return i },
		"leaf":    func(i []control.Item) []control.Item { i[1].Leaf = "x"; return i },
		"rank":    func(i []control.Item) []control.Item { i[1].Rank = 7; return i },
		"seq":     func(i []control.Item) []control.Item { i[1].Seq = 7; return i },
		"log":     func(i []control.Item) []control.Item { i[1].Log = "CN/2"; return i },
		"number":  func(i []control.Item) []control.Item { i[0].Entry = "US 0002"; return i },
	} {
		if b, _ := world(); identical(a, change(b)) {
			t.Errorf("%s: taken for identical", name)
		}
	}
	if b, _ := world(); !identical(a, b) {
		t.Error("the same record is not identical")
	}
}

func TestSettled(t *testing.T) {
	made := func() control.LineInfo {
		return control.LineInfo{Parties: []line.Party{"CN", "US"}, Logs: []control.LogInfo{
			{Party: "CN", Gen: 1, Size: 4, Head: 4, Root: "r", Cosigned: map[string]uint64{"US": 4}},
			{Party: "US", Gen: 1, Size: 2, Head: 2, Root: "q", Cosigned: map[string]uint64{"CN": 2}},
		}}
	}
	if !settled(made(), made()) || len(heads(made())) != 2 || heads(made())[0].Cosigned != "US" {
		t.Error("a settled line is not")
	}
	for i, change := range []func(*control.LineInfo){
		func(l *control.LineInfo) { l.Logs[0].Size = 5 }, func(l *control.LineInfo) { l.Logs[0].Head = 3 },
		func(l *control.LineInfo) { l.Logs[0].Root = "x" }, func(l *control.LineInfo) { l.Logs[0].Cosigned["US"] = 3 },
		func(l *control.LineInfo) { l.Logs[1].Gen = 2 }, func(l *control.LineInfo) { l.Logs = nil }, func(l *control.LineInfo) { l.Queued = 1 },
	} {
		l := made()
		change(&l)
		if settled(l, made()) || settled(made(), l) {
			t.Errorf("change %d: taken for settled", i)
		}
	}
}

func TestAuditMustAgree(t *testing.T) {
	seen := Result{Entries: 6, Heads: []Head{{"CN", 4, "r", "US"}}}
	var good report
	good.Sound, good.Deep, good.Entries = true, true, 6
	good.Heads = append(good.Heads, struct {
		Party line.Party `json:"party"`
		Size  uint64     `json:"size"`
		Root  string     `json:"root"`
	}{"CN", 4, "r"})
	if w := good.differs(seen); w != "" {
		t.Error(w)
	}
	for i, change := range []func(*report){
		func(r *report) { r.Sound = false }, func(r *report) { r.Deep = false }, func(r *report) { r.Entries = 5 },
		func(r *report) { r.Heads = nil }, func(r *report) { r.Heads = slices.Clone(r.Heads); r.Heads[0].Root = "x" },
	} {
		r := good
		change(&r)
		if r.differs(seen) == "" {
			t.Errorf("change %d passes", i)
		}
	}
}

func TestProblem(t *testing.T) {
	good := Result{Entries: 1, Messages: 1, Flashes: 1, Identical: true, Audit: "ok"}
	if p := good.problem(); p != "" {
		t.Error(p)
	}
	for i, change := range []func(*Result){
		func(r *Result) { r.Lost = 1 }, func(r *Result) { r.Duplicated = 1 }, func(r *Result) { r.Identical = false },
		func(r *Result) { r.Audit = "" }, func(r *Result) { r.Entries = 0 }, func(r *Result) { r.Flashes = 0 },
	} {
		r := good
		change(&r)
		if r.problem() == "" {
			t.Errorf("change %d is no problem", i)
		}
	}
}

// The network carries, drops what is connected when it is cut, lets nothing
// through until it is healed, and ends with its commands.
func TestProxy(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		for {
			c, err := far.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	commands, say := io.Pipe()
	out, heard := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Proxy(t.Context(), far.Addr().String(), commands, heard) }()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr = strings.TrimSpace(addr)
	first := echo(t, addr)
	io.WriteString(say, "cut\n")
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived the cut")
	}
	io.WriteString(say, "heal\n")
	echo(t, addr).Close()
	io.WriteString(say, "quit\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	if err := Proxy(t.Context(), "127.0.0.1:1", bytes.NewReader(nil), io.Discard); err != nil {
		t.Errorf("without commands: %v", err)
	}
	if err := Proxy(t.Context(), "127.0.0.1:1", bytes.NewReader(nil), failing{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("nobody hears where it listens: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// echo connects and has a byte sent back.
func echo(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}
