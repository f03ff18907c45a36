package cli

import (
	"context"

	"herald/internal/control"
)

type sendCmd struct {
	lineFlag
	officerFlags
	messageFlags
	wordFlags
	Text []string `arg:"" optional:"" help:"The words (default: from the standard input)."`
}

func (sendCmd) Help() string {
	return `Drafts and releases in one. Where the charter asks for more officers, the draft waits for them. To repeat after a crash, name the attempt with --token: it makes one message, however often it is repeated.

Example:
  herald send --dir us --as us-watch-1 --precedence immediate --marking exercise "text"`
}

func (c *sendCmd) Run(ctx context.Context, a *app) error {
	text, err := a.text(c.Text, c.words())
	if err != nil {
		return err
	}
	r := control.DraftRequest{Kind: "message", Text: text}
	if err := c.messageFlags.apply(&r); err != nil {
		return err
	}
	return a.speak(ctx, c.lineFlag, c.officerFlags, c.wordFlags, func(control.Service, control.LineInfo) (control.DraftRequest, error) {
		return r, nil
	})
}

// speak drafts and releases in one: the officer's key is opened first, so that
// a wrong passphrase leaves nothing behind.
func (a *app) speak(ctx context.Context, lf lineFlag, of officerFlags, wf wordFlags, compose func(control.Service, control.LineInfo) (control.DraftRequest, error)) error {
	sp, err := a.speaker(of)
	if err != nil {
		return err
	}
	return a.with(ctx, func(s control.Service) error {
		l, err := lf.find(ctx, s)
		if err != nil {
			return err
		}
		r, err := compose(s, l)
		if err != nil {
			return err
		}
		if err := wf.apply(&r, a.now()); err != nil {
			return err
		}
		r.Officer = sp.key.Code()
		d, l, err := a.draft(ctx, s, lineFlag{l.Line}, r, wf.Attach)
		if err != nil {
			return err
		}
		a.showDraft(d, l)
		out, err := sp.release(ctx, s, d)
		if err != nil {
			a.notef("The words are kept as draft %d.\n", d.ID)
			return err
		}
		if wf.JSON {
			return printJSON(a.out, out)
		}
		a.reportReleased(out)
		return nil
	})
}
