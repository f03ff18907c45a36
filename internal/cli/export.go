package cli

import (
	"context"
	"io"

	"herald/internal/control"
)

type exportCmd struct {
	lineFlag
	File string `arg:"" help:"The file to write, or - for the standard output."`
}

func (exportCmd) Help() string {
	return `Writes a line's record for "herald audit" on another machine. It holds the keys of the messages that were opened here, so whoever has the file can read them.

Example:
  herald export --dir us us.record`
}

func (c *exportCmd) Run(ctx context.Context, a *app) error {
	return a.with(ctx, func(s control.Service) error {
		l, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		var sum control.ExportSummary
		err = a.writeOut(c.File, func(w io.Writer) (err error) {
			sum, err = s.Export(ctx, l.ID, w)
			return err
		})
		if err == nil {
			a.notef("%s: %s of line %s, %d bytes\n", c.File, plural(int(sum.Entries), "entry", "entries"), l.ID.Short(), sum.Bytes)
		}
		return err
	})
}
