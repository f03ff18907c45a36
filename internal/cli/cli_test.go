package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
)

func TestSafeHidesNothingAndMovesNothing(t *testing.T) {
	for in, want := range map[string]string{
		"plain, 明白, a\u0301\n\tb": "plain, 明白, a\u0301\n\tb",
		"\x1b[2Jwiped":            "\uFFFD[2Jwiped",
		"re\u202everse":           "re\uFFFDverse",
		"bad\xffbyte":             "bad\uFFFDbyte",
		"line\u2028sep\rhome":     "line\uFFFDsep\uFFFDhome",
		"tag\U000E0041":           "tag\uFFFD",
	} {
		if got := safe(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestEntryNames(t *testing.T) {
	members := []line.Party{"US", "US1", "CN"}
	item := control.Item{Party: "US", Log: "US/1", Seq: 12, Number: 598}
	for name, want := range map[string]bool{
		"US 0598": true, "us0598": true, "US 598": true, "US#12": true, "US#1/12": true, "US#012": true,
		"US 0599": false, "CN 0598": false, "US#13": false, "US#2/12": false, "CN#12": false, "US#0": false,
	} {
		n, err := parseEntry(name, members)
		if err != nil || n.is(item) != want {
			t.Errorf("%s: %+v, %v, want %v", name, n, err, want)
		}
	}
	for _, name := range []string{"", "US", "US#", "US#x", "US#1/", "FR 1", "0598", "US 12x", "US#-1", "US 0000"} {
		if n, err := parseEntry(name, members); err == nil {
			t.Errorf("%q is %+v", name, n)
		}
	}
	for _, c := range []struct {
		args        string
		entry, rest string
	}{
		{"US|0598|text", "US 0598", "text"},
		{"us|0598", "us 0598", ""},
		{"US0598|12|ships", "US0598", "12|ships"},
		{"US#3|text", "US#3", "text"},
		{"US|text", "US", "text"},
	} {
		entry, rest := takeEntry(strings.Split(c.args, "|"), members)
		if entry != c.entry || strings.Join(rest, "|") != c.rest {
			t.Errorf("%s: %q and %q", c.args, entry, rest)
		}
	}
}

func TestAttachmentNamesStayInTheFolder(t *testing.T) {
	for in, want := range map[string]string{
		"map.pdf": "map.pdf", "../../etc/passwd": "passwd", `..\..\boot.ini`: "boot.ini", "/": "_", "..": "attachment",
		".bashrc": "bashrc", "-rf": "rf", "a\nb": "a_b", "": "attachment", "图.png": "图.png", "x\x00y": "x\uFFFDy",
	} {
		if got := fileName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestSizesAndTimes(t *testing.T) {
	for in, want := range map[string]int64{"": 0, "10": 10, "1440K": 1440e3, "700MB": 700e6, "2g": 2e9} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"0", "-1", "K", "1T", "1.5M", "99999999999999G"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("%q is %d", in, got)
		}
	}
	now := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	for in, want := range map[string]int64{"": 0, "90m": now.Unix() + 5400, "2026-11-23T21:00Z": now.Unix() + 3600, "2026-11-23T23:00:01+02:00": now.Unix() + 3601} {
		if got, err := parseWhen(in, now); err != nil || got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"-90m", "21:00", "tomorrow", "2026-11-23T21:00"} {
		if got, err := parseWhen(in, now); err == nil {
			t.Errorf("%q is %d", in, got)
		}
	}
}

// testApp asks nobody; answers come from a list.
func testApp(answers ...string) *app {
	return &app{out: io.Discard, errs: io.Discard, env: func(string) string { return "" },
		ask: func(string) (string, error) {
			if len(answers) == 0 {
				return "", errNoTerminal
			}
			a := answers[0]
			answers = answers[1:]
			return a, nil
		}}
}

func TestNewPassphraseIsAskedTwice(t *testing.T) {
	if p, err := testApp("one", "one").passphrase(rootSecret(), true); err != nil || p != "one" {
		t.Errorf("%q, %v", p, err)
	}
	if p, err := testApp("one").passphrase(rootSecret(), false); err != nil || p != "one" {
		t.Errorf("%q, %v", p, err)
	}
	for _, answers := range [][]string{{"first try", "second try"}, {""}, {}} {
		p, err := testApp(answers...).passphrase(rootSecret(), true)
		if err == nil {
			t.Errorf("%q gave %q", answers, p)
		} else if strings.Contains(err.Error(), "first") || strings.Contains(err.Error(), "second") {
			t.Errorf("the error tells the passphrases: %v", err)
		}
	}
}

func testDraft() control.Draft {
	id := line.ID{1, 2, 3}
	return control.Draft{Time: 1795470000, DraftRequest: control.DraftRequest{LineID: id.String(), Precedence: "flash", Marking: "exercise"},
		Statement: keys.ReleaseStatement(id, 7, "US", 1795470000, line.Flash, line.Exercise, [32]byte{9})}
}

func TestAStatementThatIsNotTheDraftsIsNotSigned(t *testing.T) {
	if err := checkStatement(testDraft(), "US"); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*control.Draft){
		"line":       func(d *control.Draft) { d.LineID = line.ID{1, 2, 4}.String() },
		"no line":    func(d *control.Draft) { d.LineID = "" },
		"precedence": func(d *control.Draft) { d.Precedence = "routine" },
		"marking":    func(d *control.Draft) { d.Marking = "real" },
		"time":       func(d *control.Draft) { d.Time++ },
		"label":      func(d *control.Draft) { d.Statement[0] = 'H' },
		"longer":     func(d *control.Draft) { d.Statement = append(d.Statement, 0) },
		"shorter":    func(d *control.Draft) { d.Statement = d.Statement[:len(d.Statement)-1] },
		"tiny":       func(d *control.Draft) { d.Statement = d.Statement[:40] },
		"empty":      func(d *control.Draft) { d.Statement = nil },
	} {
		d := testDraft()
		change(&d)
		if checkStatement(d, "US") == nil {
			t.Errorf("signed with another %s", name)
		}
	}
	if checkStatement(testDraft(), "CN") == nil {
		t.Error("signed for another party")
	}
}

// lyingStation gives to sign what it does not show.
type lyingStation struct{ control.Service }

func (lyingStation) Release(context.Context, control.ReleaseRequest) (control.Released, error) {
	panic("a signature was handed in")
}

func TestSpeakerRefusesALyingStation(t *testing.T) {
	k, err := keys.NewOfficer(bytes.NewReader(make([]byte, 64)), "US", keys.RoleWatch, 1)
	if err != nil {
		t.Fatal(err)
	}
	d := testDraft()
	d.Marking = "test"
	if _, err := (speaker{k, "US"}).release(t.Context(), lyingStation{}, d); err == nil || !strings.Contains(err.Error(), "nothing was signed") {
		t.Errorf("got %v", err)
	}
}

func TestPrintedItemShowsMarkingOnEveryLine(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out}
	a.printItem(control.Item{Entry: "US 0598", Party: "US", Marking: "EXERCISE", Precedence: "FLASH", Kind: "message", Text: "one\ntwo\x1b[31m",
		Claimed: 1795470000, Rank: 3, Settled: true, Ladder: []control.Rung{{Party: "CN", Step: "delivered", Time: 1795470001, By: "CN's delivery key"}}})
	for _, want := range []string{"US 0598  [EXERCISE]  FLASH", "  EXERCISE | one\n", "  EXERCISE | two\uFFFD[31m\n", "by US's clock", "- delivered  CN", "CN's delivery key"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

// pagedStation serves a record two entries at a time.
type pagedStation struct {
	control.Service
	items []control.Item
	asked []string
}

func (s *pagedStation) Record(_ context.Context, r control.RecordRequest) (control.RecordPage, error) {
	s.asked = append(s.asked, r.After)
	from := 0
	for i, it := range s.items {
		if it.Entry == r.After {
			from = i + 1
		}
	}
	items := s.items[from:min(from+2, len(s.items))]
	p := control.RecordPage{Items: items, Version: 5}
	if len(items) > 0 {
		p.Next = items[len(items)-1].Entry
	}
	return p, nil
}

func TestFollowShowsOnceWhatComesBetween(t *testing.T) {
	item := func(name string, seq uint64, settled bool) control.Item {
		return control.Item{Entry: name, Log: "US/1", Seq: seq, Kind: "message", Rank: seq, Settled: settled}
	}
	s := &pagedStation{items: []control.Item{item("a", 1, true), item("b", 2, true), item("c", 3, true), item("d", 4, true), item("f", 6, false)}}
	var out bytes.Buffer
	v := &viewer{cmd: &recordCmd{}, app: &app{out: &out}, s: s, shown: map[place]int{}}
	if _, err := v.pass(t.Context(), control.RecordRequest{}); err != nil {
		t.Fatal(err)
	}
	// One comes to stand between those that were shown; another gains a step.
	s.items = append(s.items[:4:4], item("e", 5, false), item("f", 6, false))
	s.items[5].Ladder = []control.Rung{{Party: "CN", Step: "read", Time: 1, By: "CN's station"}}
	s.asked = nil
	version, err := v.pass(t.Context(), control.RecordRequest{After: v.base})
	if err != nil || version != 5 {
		t.Fatal(version, err)
	}
	var heads []string
	for l := range strings.Lines(out.String()) {
		if len(l) > 1 && l[0] >= 'a' && l[0] <= 'f' {
			heads = append(heads, strings.TrimSpace(l[:2]))
		}
	}
	if got := strings.Join(heads, ""); got != "abcdfef" {
		t.Errorf("showed %q:\n%s", got, &out)
	}
	if !strings.Contains(out.String(), "CN READ") {
		t.Error("the new step is missing")
	}
	if s.asked[0] == "" {
		t.Error("what was settled long ago is read again")
	}
}

func TestUsageErrorsAreTold(t *testing.T) {
	for _, args := range [][]string{{"fly"}, {"send"}, {"record", "--fast"}, {"release", "--as", "x", "seven"}} {
		var errs bytes.Buffer
		a := &app{out: io.Discard, errs: &errs}
		if status := run(t.Context(), a, args); status != 2 || strings.Count(errs.String(), "\n") != 1 || !strings.HasPrefix(errs.String(), "herald: ") {
			t.Errorf("%q: status %d, %q", args, status, &errs)
		}
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	var errs bytes.Buffer
	a := &app{errs: &errs}
	a.fail(errors.Join(errors.New("one\nline"), errors.New("and\x1b[2J another")), 1)
	if errs.String() != "herald: one line and\uFFFD[2J another\n" {
		t.Errorf("%q", &errs)
	}
}

func FuzzParseEntry(f *testing.F) {
	for _, s := range []string{"US 0598", "US#12", "US#2/12", "us1", "#", "CN"} {
		f.Add(s)
	}
	members := []line.Party{"US", "CN", "US1"}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseEntry(s, members); err == nil && (n.number == "") == (n.seq == "") {
			t.Errorf("%q: %+v", s, n)
		}
	})
}
