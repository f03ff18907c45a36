package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"herald/internal/audit"
	"herald/internal/config"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/store/folder"
)

type auditCmd struct {
	Deep bool     `help:"Check every entry's own signature too, and open what the file has keys for."`
	Card []string `placeholder:"FILE" sep:"none" help:"A party's card that you trust; those held in the party's folder count too."`
	Root []string `placeholder:"CODE=HASH" help:"A party's root that you trust, by its hash as \"herald card show\" prints it."`
	JSON bool     `help:"Print the report as JSON."`
	File string   `arg:"" help:"The exported record, or - for the standard input."`
}

func (auditCmd) Help() string {
	return `Verifies an exported record, on any machine, without a station, trusting nothing but the parties' roots. Roots that you do not give are taken from the file, and the report says so: compare them otherwise.

Exit status: 0 sound, 1 not sound, 2 could not be read.

Example:
  herald audit --deep us.record`
}

func (c *auditCmd) Run(ctx context.Context, a *app) error {
	roots, err := c.roots(a)
	if err != nil {
		return &exitError{2, err}
	}
	in := a.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return &exitError{2, err}
		}
		defer f.Close()
		in = f
	}
	rep, err := audit.Run(ctx, io.Reader(in), audit.Options{Deep: c.Deep, Roots: roots})
	if err != nil {
		return &exitError{2, fmt.Errorf("%s could not be audited, so nothing is known of it: %w", c.File, err)}
	}
	if c.JSON {
		err = printJSON(a.out, rep)
	} else {
		_, err = io.WriteString(a.out, safe(rep.String()))
	}
	if err == nil && !rep.Sound {
		err = errors.New(rep.Verdict())
	}
	return err
}

// roots gathers the roots that the auditor trusts: from the party's folder, if
// there is one, from cards and from hashes. They must not contradict.
func (c *auditCmd) roots(a *app) (map[line.Party][32]byte, error) {
	out := map[line.Party][32]byte{}
	add := func(p line.Party, h [32]byte) error {
		if old, ok := out[p]; ok && old != h {
			return fmt.Errorf("two different roots are given for %s: find out which is theirs first", p)
		}
		out[p] = h
		return nil
	}
	if a.Dir.Check() == nil {
		held, err := folder.Roots(a.Dir)
		if err != nil {
			return nil, err
		}
		for p, r := range held {
			out[p] = r.Hash()
		}
	}
	for _, path := range c.Card {
		b, err := config.ReadFile(path, keys.MaxCard)
		if err != nil {
			return nil, err
		}
		card, err := keys.ParseCard(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := add(card.Party, card.Root.Hash()); err != nil {
			return nil, err
		}
	}
	for _, arg := range c.Root {
		code, text, ok := strings.Cut(arg, "=")
		p, err := line.ParseParty(strings.ToUpper(code))
		h, errHex := hex.DecodeString(text)
		if !ok || err != nil || errHex != nil || len(h) != 32 {
			return nil, fmt.Errorf("root %q: want CODE=HASH with 64 hexadecimal digits", arg)
		}
		if err := add(p, [32]byte(h)); err != nil {
			return nil, err
		}
	}
	return out, nil
}
