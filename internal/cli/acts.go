package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"herald/internal/control"
	"herald/internal/line"
)

// actFlags are what goes with words about an entry.
type actFlags struct {
	lineFlag
	officerFlags
	wordFlags
	Precedence string   `placeholder:"PRECEDENCE" help:"flash, immediate, priority or routine (default: that of the entry)."`
	Marking    string   `placeholder:"MARKING" help:"real, exercise or test (default: that of the entry)."`
	Entry      []string `arg:"" name:"entry" help:"The entry that it is about, such as \"US 0598\", US0598 or US#12, then the words, if any; - takes them from the standard input."`
}

// act speaks about an entry, with words or without.
func (f *actFlags) act(ctx context.Context, a *app, kind string, needsText bool) error {
	return a.speak(ctx, f.lineFlag, f.officerFlags, f.wordFlags, func(s control.Service, l control.LineInfo) (r control.DraftRequest, err error) {
		entry, rest := takeEntry(f.Entry, l.Parties)
		w := unasked
		if needsText {
			w = f.words()
		}
		if r.Text, err = a.text(rest, w); err != nil {
			return r, err
		}
		it, err := findItem(ctx, s, l, entry)
		if err != nil {
			return r, err
		}
		m := messageFlags{Precedence: f.Precedence, Marking: f.Marking}
		if m.Precedence == "" {
			m.Precedence = it.Precedence
		}
		if m.Marking == "" {
			m.Marking = it.Marking
		}
		if err := m.apply(&r); err != nil {
			return r, fmt.Errorf("%s: %w", it.Entry, err)
		}
		r.Kind, r.Refs = kind, []string{it.Entry}
		return r, nil
	})
}

// takeEntry takes an entry's name from the arguments: one word, or a party's
// code and a number as two.
func takeEntry(args []string, members []line.Party) (entry string, rest []string) {
	if len(args) > 1 && digits(args[1]) {
		for _, p := range members {
			if strings.EqualFold(args[0], string(p)) {
				return args[0] + " " + args[1], args[2:]
			}
		}
	}
	return args[0], args[1:]
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// entryName is an entry's name taken apart: a number, or a place.
type entryName struct {
	party  line.Party
	gen    string
	number string
	seq    string
}

// parseEntry reads "US 0598", "US0598", "US#12" or "US#2/12".
func parseEntry(name string, members []line.Party) (entryName, error) {
	t := strings.ToUpper(strings.ReplaceAll(name, " ", ""))
	for _, p := range members {
		rest, ok := strings.CutPrefix(t, string(p))
		if !ok {
			continue
		}
		if place, ok := strings.CutPrefix(rest, "#"); ok {
			gen, seq, two := strings.Cut(place, "/")
			if !two {
				gen, seq = "1", place
			}
			if digits(gen) && digits(seq) {
				return entryName{party: p, gen: gen, seq: strings.TrimLeft(seq[:len(seq)-1], "0") + seq[len(seq)-1:]}, nil
			}
		} else if number := strings.TrimLeft(rest, "0"); digits(number) { // numbers count from 1
			return entryName{party: p, number: number}, nil
		}
	}
	return entryName{}, fmt.Errorf("entry %q: want a number such as \"%[2]s 0598\", or a place such as \"%[2]s#12\"; the parties are %[3]s", name, members[0], words(members, "and"))
}

func (n entryName) is(it control.Item) bool {
	if it.Party != n.party {
		return false
	}
	if n.seq != "" {
		return it.Log == string(n.party)+"/"+n.gen && fmt.Sprint(it.Seq) == n.seq
	}
	return it.Number != 0 && fmt.Sprint(it.Number) == n.number
}

// findItem looks an entry up on the record.
func findItem(ctx context.Context, s control.Service, l control.LineInfo, name string) (control.Item, error) {
	if len(l.Parties) == 0 {
		return control.Item{}, errors.New("the line has no parties")
	}
	n, err := parseEntry(name, l.Parties)
	if err != nil {
		return control.Item{}, err
	}
	r := control.RecordRequest{LineID: l.Line}
	for {
		page, err := s.Record(ctx, r)
		if err != nil {
			return control.Item{}, err
		}
		for _, it := range page.Items {
			if n.is(it) {
				return it, nil
			}
		}
		if len(page.Items) == 0 || page.Next == "" || page.Next == r.After {
			return control.Item{}, fmt.Errorf("no entry %s is on the record here; herald record shows what is", name)
		}
		r.After = page.Next
	}
}

type understoodCmd struct{ actFlags }

func (understoodCmd) Help() string {
	return "The officer's signature says that the entry was read and understood, not that it is agreed with.\n\nExample:\n  herald understood --dir us --as us-watch-1 CN 0012"
}

func (c *understoodCmd) Run(ctx context.Context, a *app) error {
	return c.act(ctx, a, "understood", false)
}

type holdCmd struct{ actFlags }

func (holdCmd) Help() string {
	return "A holding reply: an answer will come. It commits to nothing but that.\n\nExample:\n  herald hold --dir us --as us-watch-1 --answer-by 2h CN 0012"
}

func (c *holdCmd) Run(ctx context.Context, a *app) error { return c.act(ctx, a, "hold", false) }

type answerCmd struct{ actFlags }

func (answerCmd) Help() string {
	return "Needs as many officers as a message of its precedence, by default that of the entry. Where that is more than one, it waits as a draft for the others.\n\nExample:\n  herald answer --dir us --as us-release-1 CN 0012 \"text\""
}

func (c *answerCmd) Run(ctx context.Context, a *app) error { return c.act(ctx, a, "answer", true) }

type declineCmd struct{ actFlags }

func (declineCmd) Help() string {
	return "Says, by signature, that there will be no answer; unlike silence, nobody can take it for a broken line.\n\nExample:\n  herald decline --dir us --as us-release-1 CN 0012 \"reason\""
}

func (c *declineCmd) Run(ctx context.Context, a *app) error { return c.act(ctx, a, "decline", true) }

type correctCmd struct{ actFlags }

func (correctCmd) Help() string {
	return "Both stay on the record: the message, and what corrects it.\n\nExample:\n  herald correct --dir us --as us-watch-1 US 0598 \"for 1400 read 1500\""
}

func (c *correctCmd) Run(ctx context.Context, a *app) error { return c.act(ctx, a, "correct", true) }

type queryCmd struct{ actFlags }

func (queryCmd) Help() string {
	return "A message of its own, which neither answers the entry nor holds it: what was due stays due.\n\nExample:\n  herald query --dir us --as us-watch-1 CN 0012 \"which vessel?\""
}

func (c *queryCmd) Run(ctx context.Context, a *app) error { return c.act(ctx, a, "query", true) }

type cancelCmd struct{ actFlags }

func (cancelCmd) Help() string {
	return "Takes back one's own message. It stays on the record, and so does this.\n\nExample:\n  herald cancel --dir us --as us-watch-1 US 0598 \"sent in error\""
}

func (c *cancelCmd) Run(ctx context.Context, a *app) error { return c.act(ctx, a, "cancel", true) }

type serviceCmd struct {
	lineFlag
	officerFlags
	messageFlags
	wordFlags
	Text []string `arg:"" optional:"" help:"The words (default: from the standard input)."`
}

func (serviceCmd) Help() string {
	return "For operators: nothing in it counts as a word between the parties, and nobody owes an answer.\n\nExample:\n  herald service --dir us --as us-watch-1 --marking test \"radio check at 1200Z\""
}

func (c *serviceCmd) Run(ctx context.Context, a *app) error {
	text, err := a.text(c.Text, needed)
	if err != nil {
		return err
	}
	r := control.DraftRequest{Kind: "service", Text: text}
	if err := c.messageFlags.apply(&r); err != nil {
		return err
	}
	return a.speak(ctx, c.lineFlag, c.officerFlags, c.wordFlags, func(control.Service, control.LineInfo) (control.DraftRequest, error) {
		return r, nil
	})
}

type readCmd struct {
	lineFlag
	asFlag
	JSON  bool     `help:"Print JSON."`
	Entry []string `arg:"" name:"entry" help:"The entry, such as \"CN 0012\", CN0012 or CN#12."`
}

func (readCmd) Help() string {
	return "Opens an entry for the officer, notes on the record that they read it, and shows it.\n\nExample:\n  herald read --dir us --as us-watch-1 CN 0012"
}

func (c *readCmd) Run(ctx context.Context, a *app) error {
	code, err := c.asFlag.code(a)
	if err != nil {
		return err
	}
	return a.with(ctx, func(s control.Service) error {
		l, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		entry, rest := takeEntry(c.Entry, l.Parties)
		if len(rest) > 0 {
			return &exitError{2, fmt.Errorf("read takes one entry; what is %q?", strings.Join(rest, " "))}
		}
		if _, err := parseEntry(entry, l.Parties); err != nil {
			return err
		}
		it, err := s.Read(ctx, control.ReadRequest{LineID: l.Line, Entry: entry, Officer: code})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a.out, it)
		}
		a.printItem(it)
		return nil
	})
}

type watchCmd struct {
	On  watchOn  `cmd:"" help:"Say on the record that the watch is at the station."`
	Off watchOff `cmd:"" help:"Say on the record that nobody is at the station."`
}

type watchFlags struct {
	lineFlag
	asFlag
}

type watchOn struct{ watchFlags }
type watchOff struct{ watchFlags }

func (watchOn) Help() string { return "Example:\n  herald watch on --dir us --as us-watch-1" }
func (watchOff) Help() string {
	return "The other side then knows that silence is no answer.\n\nExample:\n  herald watch off --dir us --as us-watch-1"
}

func (c *watchOn) Run(ctx context.Context, a *app) error  { return c.attend(ctx, a, true) }
func (c *watchOff) Run(ctx context.Context, a *app) error { return c.attend(ctx, a, false) }

func (f watchFlags) attend(ctx context.Context, a *app, on bool) error {
	code, err := f.asFlag.code(a)
	if err != nil {
		return err
	}
	return a.with(ctx, func(s control.Service) error {
		l, err := f.find(ctx, s)
		if err != nil {
			return err
		}
		if err := s.Attend(ctx, control.AttendRequest{LineID: l.Line, Officer: code, Attended: on}); err != nil {
			return err
		}
		said := "unattended"
		if on {
			said = "attended"
		}
		a.printf("Line %s: %s, by %s. The other parties will see it.\n", l.ID.Short(), said, code)
		return nil
	})
}
