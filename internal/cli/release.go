package cli

import (
	"context"

	"herald/internal/control"
	"herald/internal/line"
)

type releaseCmd struct {
	officerFlags
	Draft      uint64 `arg:"" help:"The draft's number."`
	Precedence string `placeholder:"PRECEDENCE" help:"Release at another precedence than it was drafted with; signatures given before no longer count."`
	JSON       bool   `help:"Print JSON."`
}

func (releaseCmd) Help() string {
	return `Shows the draft, then signs it with the officer's key. With the last signature that the charter asks for it is accepted: durable here, and sent as soon as may be. Repeating it sends nothing twice.

Example:
  herald release --dir us --as us-release-1 7`
}

func (c *releaseCmd) Run(ctx context.Context, a *app) error {
	sp, err := a.speaker(c.officerFlags)
	if err != nil {
		return err
	}
	return a.with(ctx, func(s control.Service) error {
		d, err := s.GetDraft(ctx, c.Draft)
		if err != nil {
			return err
		}
		if c.Precedence != "" && d.State != "accepted" {
			if d, err = c.reprecede(ctx, s, sp, d); err != nil {
				return err
			}
		}
		l, err := lineFlag{d.LineID}.find(ctx, s)
		if err != nil {
			return err
		}
		a.showDraft(d, l)
		r, err := sp.release(ctx, s, d)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a.out, r)
		}
		a.reportReleased(r)
		return nil
	})
}

// reprecede changes the draft's precedence and returns it as it then is.
func (c *releaseCmd) reprecede(ctx context.Context, s control.Service, sp speaker, d control.Draft) (control.Draft, error) {
	p, err := line.ParsePrecedence(c.Precedence)
	if err != nil {
		return d, err
	}
	r, err := s.Release(ctx, control.ReleaseRequest{Draft: d.ID, Officer: sp.key.Code(), Precedence: lower(p)})
	return r.Draft, err
}
