package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"herald/internal/control"
)

type recordCmd struct {
	lineFlag
	Follow bool `short:"f" help:"Go on showing what comes; needs a station that serves."`
	All    bool `help:"Show stations' own entries too, such as receipts and epochs; otherwise they show only on the ladder of what they are about."`
	Last   int  `placeholder:"N" help:"Begin with the last N."`
	JSON   bool `help:"Print one JSON object a line, for every entry."`
}

func (recordCmd) Help() string {
	return `The record of all parties in the order that each of them computes alike, every message with its ladder of receipts and who attests each step.

Example:
  herald record --dir us --follow`
}

func (c *recordCmd) Run(ctx context.Context, a *app) error {
	return a.with(ctx, func(s control.Service) error {
		if _, running := s.(*control.Client); c.Follow && !running {
			return errors.New("--follow needs a station that serves this folder; without one nothing comes")
		}
		l, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		v := &viewer{cmd: c, app: a, s: s, line: l, shown: map[place]int{}}
		version, err := v.pass(ctx, control.RecordRequest{LineID: l.Line})
		if err != nil {
			return err
		}
		v.flush()
		for c.Follow {
			r := control.RecordRequest{LineID: l.Line, After: v.base, Wait: true, Version: version}
			if version, err = v.pass(ctx, r); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
		return nil
	})
}

// place names an entry for as long as the command runs.
type place struct {
	log string
	seq uint64
}

// viewer shows entries once, and later what was added to their ladders.
type viewer struct {
	cmd  *recordCmd
	app  *app
	s    control.Service
	line control.LineInfo

	shown map[place]int // how much of an entry's ladder was shown
	base  string        // cursor up to which nothing can change its place
	last  []control.Item
	began bool
}

// pass goes through the record from a request's cursor on. Entries may come to
// stand before others that were shown, so each pass begins where all is
// settled and skips what it has shown.
func (v *viewer) pass(ctx context.Context, r control.RecordRequest) (version uint64, err error) {
	settled := true
	for first := true; ; first = false {
		page, err := v.s.Record(ctx, r)
		if err != nil {
			return version, err
		}
		if first {
			version = page.Version // what changes during the pass is seen by the next
		}
		for _, it := range page.Items {
			settled = settled && it.Settled
			if err := v.show(it); err != nil {
				return version, err
			}
		}
		if len(page.Items) == 0 || page.Next == "" || page.Next == r.After {
			return version, nil
		}
		// The last settled page is read again for what its ladders gain.
		if settled && r.After != "" {
			v.base = r.After
		}
		r.After, r.Wait = page.Next, false
	}
}

// show prints an entry, or what is new about it.
func (v *viewer) show(it control.Item) error {
	if !v.cmd.All && !v.cmd.JSON && hidden(it.Kind) {
		return nil
	}
	at := place{it.Log, it.Seq}
	had, seen := v.shown[at]
	v.shown[at] = len(it.Ladder)
	if !v.began && v.cmd.Last > 0 {
		if v.last = append(v.last, it); len(v.last) > v.cmd.Last {
			v.last = v.last[1:]
		}
		return nil
	}
	if seen && had == len(it.Ladder) {
		return nil
	}
	if v.cmd.JSON {
		return printLine(v.app.out, it)
	}
	if !seen {
		v.app.printItem(it)
		return nil
	}
	for _, r := range it.Ladder[min(had, len(it.Ladder)):] {
		v.app.printf("%s %s %s %s  %s, by %s\n\n", safe(it.Entry), marked(it.Marking), r.Party, strings.ToUpper(r.Step), stamp(r.Time), safe(r.By))
	}
	return nil
}

// flush prints what was kept back for --last.
func (v *viewer) flush() {
	v.began = true
	for _, it := range v.last {
		if v.cmd.JSON {
			if err := printLine(v.app.out, it); err != nil {
				return
			}
			continue
		}
		v.app.printItem(it)
	}
	v.last = nil
}

func printLine(w io.Writer, it control.Item) error {
	b, err := json.Marshal(it)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// hidden reports whether an entry shows on others' ladders only.
func hidden(kind string) bool {
	switch kind {
	case "epoch", "got", "alerted", "read", "blob-got", "unreadable", "reseal", "card":
		return true
	}
	return false
}

// marked shows a marking so that it cannot be overlooked.
func marked(m string) string {
	if m == "" {
		return ""
	}
	return "[" + strings.ToUpper(m) + "]"
}

// printItem shows one entry with its ladder.
func (a *app) printItem(it control.Item) {
	head := []string{it.Entry, marked(it.Marking), strings.ToUpper(it.Precedence), it.Kind}
	if len(it.Action) > 0 {
		head = append(head, "to "+words(it.Action, "and"))
	}
	if len(it.Info) > 0 {
		head = append(head, "info "+words(it.Info, "and"))
	}
	if it.Lang != "" && (it.Text != "" || it.Unopened) {
		head = append(head, "in "+it.Lang)
	}
	a.printf("%s\n", safe(strings.Join(nonEmpty(head), "  ")))
	rows := [][]string{}
	row := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	row("sent", stamp(it.Claimed)+" by "+string(it.Party)+"'s clock")
	row("here", received(it))
	row("about", strings.Join(it.Refs, ", "))
	row("subject", it.Subject)
	row("released by", words(it.Officers, "and"))
	if it.AnswerBy != 0 {
		row("answer by", stamp(it.AnswerBy))
	}
	if it.Due != 0 {
		row("due", stamp(it.Due)+" by the charter")
	}
	for _, b := range it.Blobs {
		row("attached", fmt.Sprintf("%s, %d bytes, %s", b.Name, b.Length, held(b)))
	}
	row("defect", it.Defect)
	if it.Rank == 0 {
		row("order", "not known yet: entries before it are missing here")
	} else if !it.Settled && !hidden(it.Kind) {
		row("order", "not settled yet: an entry may still come to stand before it")
	}
	table(a.out, rows)
	switch {
	case it.Unopened:
		a.printf("  %s not opened here: herald read --dir %s --as OFFICER %q\n", marked(it.Marking), a.Dir, it.Entry)
	case it.Text != "":
		printText(a.out, strings.ToUpper(it.Marking), it.Text)
	case it.Note != "":
		a.printf("  %s\n", safe(it.Note))
	}
	ladder := [][]string{}
	for _, r := range it.Ladder {
		by := r.By
		if r.Source != "" {
			by += " (" + r.Source + ")"
		}
		ladder = append(ladder, []string{"- " + r.Step, string(r.Party), stamp(r.Time), by})
	}
	table(a.out, ladder)
	a.printf("\n")
}

func received(it control.Item) string {
	if it.Received == 0 {
		return ""
	}
	s := stamp(time.UnixMilli(it.Received).Unix()) + " by this station's clock"
	if it.Via != "" {
		s += ", over " + it.Via
	}
	return s
}

func held(b control.Attachment) string {
	switch b.Held {
	case 0:
		return "none of it here yet, unless it is your own"
	case b.Length:
		return "all here"
	}
	return fmt.Sprintf("%d here", b.Held)
}

func nonEmpty(list []string) (out []string) {
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// printText shows a message's words, the marking beside every line of them.
func printText(w io.Writer, marking, text string) {
	if text == "" {
		return
	}
	for l := range strings.SplitSeq(safe(text), "\n") {
		fmt.Fprintf(w, "  %s | %s\n", marking, l)
	}
}
