package cli

import (
	"context"
	"fmt"
	"strings"

	"herald/internal/control"
)

type draftCmd struct {
	lineFlag
	asFlag
	messageFlags
	wordFlags
	Text []string `arg:"" optional:"" help:"The words (default: from the standard input)."`
}

func (draftCmd) Help() string {
	return `Keeps words for release and prints the draft's number. Nothing is sent.

Example:
  herald draft --dir us --as us-watch-1 --precedence flash --marking exercise "text"`
}

func (c *draftCmd) Run(ctx context.Context, a *app) error {
	code, err := c.asFlag.code(a)
	if err != nil {
		return err
	}
	text, err := a.text(c.Text, c.words())
	if err != nil {
		return err
	}
	r := control.DraftRequest{Officer: code, Kind: "message", Text: text}
	if err := c.messageFlags.apply(&r); err != nil {
		return err
	}
	if err := c.wordFlags.apply(&r, a.now()); err != nil {
		return err
	}
	return a.with(ctx, func(s control.Service) error {
		d, _, err := a.draft(ctx, s, c.lineFlag, r, c.Attach)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a.out, d)
		}
		a.printf("%d\n", d.ID)
		if d.Need > 0 {
			a.notef("%s of role %s must release it: herald release --dir %s --as OFFICER %d\n", plural(d.Need, "officer", "officers"), words(d.Roles, "or"), a.Dir, d.ID)
		}
		return nil
	})
}

// draft stores words on the line that is meant. A token is made up where none
// was given, so that a repeat inside this command is harmless.
func (a *app) draft(ctx context.Context, s control.Service, f lineFlag, r control.DraftRequest, attach []string) (d control.Draft, l control.LineInfo, err error) {
	if l, err = f.find(ctx, s); err != nil {
		return d, l, err
	}
	r.Line, r.LineID = l.ID, l.Line
	if r.Token == "" {
		if r.Token, err = a.token(); err != nil {
			return d, l, err
		}
	}
	if r.Blobs, err = a.attach(ctx, s, l.ID, attach); err != nil {
		return d, l, err
	}
	d, err = s.Draft(ctx, r)
	return d, l, err
}

type draftsCmd struct {
	lineFlag
	Discard uint64 `placeholder:"DRAFT" help:"Remove a draft that was not sent."`
	JSON    bool   `help:"Print JSON."`
}

func (draftsCmd) Help() string {
	return "Example:\n  herald drafts --dir us\n  herald drafts --dir us --discard 7"
}

func (c *draftsCmd) Run(ctx context.Context, a *app) error {
	return a.with(ctx, func(s control.Service) error {
		if c.Discard != 0 {
			return s.Discard(ctx, c.Discard)
		}
		l, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		list, err := s.Drafts(ctx, l.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a.out, append([]control.Draft{}, list...))
		}
		rows := [][]string{}
		for _, d := range list {
			rows = append(rows, []string{fmt.Sprint(d.ID), strings.ToUpper(d.Marking), strings.ToUpper(d.Precedence), d.Kind,
				fmt.Sprintf("%d of %d released", len(d.Released), d.Need), beginning(d.Text)})
		}
		table(a.out, rows)
		return nil
	})
}

// beginning shows the first words of a text on one line.
func beginning(text string) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	if len(r) > 50 {
		return string(r[:49]) + "…"
	}
	return string(r)
}
