package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"herald/internal/charter"
	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/durable"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/store/folder"
)

type charterDraft struct {
	With  []string `required:"" placeholder:"CODE" help:"The other parties; their cards must be held."`
	Title string   `placeholder:"TEXT" help:"The line's title (default: \"Line between …\")."`
	termFlags
}

func (charterDraft) Help() string {
	return `Prints the text on which the line will rest: terms for machines, and the same in every member's languages. Send it to the other parties, negotiate, edit the prose or draft again. The text's hash names the line, so all must sign exactly the same bytes.

Example:
  herald charter draft --dir us --with CN --flash-answer 10m --flash-release 2 > charter.txt`
}

func (c *charterDraft) Run(a *app) error {
	own, err := folder.Own(a.Dir)
	if err != nil {
		return err
	}
	cards := []*keys.Card{own.Card}
	for _, code := range c.With {
		h, err := a.card(code)
		if err != nil {
			return err
		}
		cards = append(cards, h.Card)
	}
	// By code, so that whoever drafts, the same terms make the same text.
	slices.SortFunc(cards, func(x, y *keys.Card) int { return strings.Compare(string(x.Party), string(y.Party)) })
	var members []charter.Member
	var codes []line.Party
	for _, card := range cards {
		members = append(members, charter.Member{Party: card.Party, Root: card.Root.Hash(), Languages: card.Languages})
		codes = append(codes, card.Party)
	}
	title := c.Title
	if title == "" {
		title = "Line between " + words(codes, "and")
	}
	t := charter.DefaultTerms(title, members)
	if err := c.apply(&t); err != nil {
		return err
	}
	text, err := charter.Draft(t)
	if err != nil {
		return fmt.Errorf("these terms make no charter: %w", err)
	}
	for _, l := range t.Languages() {
		if !charter.Rendered(l) {
			a.notef("note: there is no built-in text in %s: write that section, which is as authentic as the others, before anybody signs\n", l)
		}
	}
	_, err = fmt.Fprint(a.out, text)
	return err
}

type charterSign struct {
	File string `arg:"" help:"The charter's text, or a charter that others have signed."`
	Out  string `placeholder:"FILE" help:"Where to write it (default: beside the text, ending in .signed)."`
	rootFlag
}

func (charterSign) Help() string {
	return `Adds this party's signature. An existing signed charter is kept and added to, so the parties can pass one file around, or sign apart and put the files together with "herald charter sign".

Example:
  herald charter sign --dir us charter.txt          # writes charter.signed
  herald charter sign --dir cn charter.signed       # adds to it`
}

func (c *charterSign) Run(a *app) error {
	msg, err := config.ReadFile(c.File, keys.MaxNote)
	if err != nil {
		return err
	}
	ch, _, err := a.readCharter(msg)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if err := a.checkMembers(ch); err != nil {
		return err
	}
	a.notef("Signing the charter of line %s, %s, between %s.\n", ch.Line().Short(), safe(ch.Title), words(ch.Parties(), "and"))
	if !ch.RenderedExactly() {
		a.notef("note: its prose is not just what this release renders from the terms. No machine has compared the two: read it before you let others rely on it.\n")
	}
	root, err := c.open(a)
	if err != nil {
		return err
	}
	signed, err := charter.Sign(msg, root)
	if err != nil {
		return err
	}
	out := c.Out
	if out == "" {
		out = strings.TrimSuffix(c.File, filepath.Ext(c.File)) + ".signed"
	}
	had, err := config.ReadFile(out, keys.MaxNote)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if signed, err = charter.Merge(had, signed); err != nil {
			return fmt.Errorf("add to %s: %w", out, err)
		}
	}
	if err := durable.WriteFile(out, signed, 0o644); err != nil { // nothing in it is secret
		return err
	}
	_, by, err := a.readCharter(signed)
	if err != nil {
		return err
	}
	a.printf("%s: signed by %s", out, words(by, "and"))
	if missing := without(ch.Parties(), by); len(missing) > 0 {
		a.printf("; %s still to sign.\n", words(missing, "and"))
		return nil
	}
	a.printf(".\nAll have signed. Next, at each party: herald charter import --dir DIR %s\n", out)
	return nil
}

func without(all, some []line.Party) (rest []line.Party) {
	for _, p := range all {
		if !slices.Contains(some, p) {
			rest = append(rest, p)
		}
	}
	return rest
}

// readCharter reads a charter text or note, and who has signed it with the
// root on the card held here.
func (a *app) readCharter(msg []byte) (*charter.Charter, []line.Party, error) {
	if !bytes.Contains(msg, []byte("\n\n")) { // a text has no empty line, a note has one
		c, err := charter.Parse(string(msg))
		return c, nil, err
	}
	roots, err := folder.Roots(a.Dir)
	if err != nil {
		return nil, nil, err
	}
	return charter.Signed(msg, roots)
}

// checkMembers refuses a charter that names another root for a member than the
// card held here does.
func (a *app) checkMembers(ch *charter.Charter) error {
	for _, m := range ch.Members {
		h, err := a.card(string(m.Party))
		if err != nil {
			return fmt.Errorf("member %s of the charter: %w", m.Party, err)
		}
		if h.Card.Root.Hash() != m.Root {
			return fmt.Errorf("the charter names another root for %s than its card held here does: do not sign; compare safety words again", m.Party)
		}
	}
	return nil
}

type charterImport struct {
	File string `arg:"" help:"The charter, signed by all members, or - for the standard input."`
}

func (charterImport) Help() string {
	return `Opens the line once every member has signed.

Example:
  herald charter import --dir us charter.signed`
}

func (c *charterImport) Run(ctx context.Context, a *app) error {
	msg, err := a.readInput(c.File, keys.MaxNote)
	if err != nil {
		return err
	}
	id, title, err := a.takeCharter(ctx, msg)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	a.printf("Line %s, %s: open.\n  %s\n", id.Short(), safe(title), id)
	return nil
}

// takeCharter gives a charter to the running station, or puts it into the
// folder.
func (a *app) takeCharter(ctx context.Context, msg []byte) (id line.ID, title string, err error) {
	s, err := control.Dial(a.Dir.Socket())
	if err == nil {
		defer s.Close()
		i, err := s.ImportCharter(ctx, msg)
		return i.ID, i.Title, err
	}
	if !errors.Is(err, control.ErrNotServing) {
		return id, "", err
	}
	err = a.locked(func() error {
		ch, err := folder.ImportCharter(a.Dir, msg)
		if err == nil {
			id, title = ch.Line(), ch.Title
		}
		return err
	})
	return id, title, err
}

type charterShow struct {
	File string `arg:"" optional:"" help:"A charter's text, signed or not (default: list the lines of this folder)."`
}

func (charterShow) Help() string { return "Example:\n  herald charter show --dir us charter.signed" }

func (c *charterShow) Run(a *app) error {
	if c.File == "" {
		all, err := folder.Charters(a.Dir)
		if err != nil {
			return err
		}
		rows := [][]string{}
		for _, ch := range all {
			rows = append(rows, []string{ch.Line().Short(), ch.Title, words(ch.Parties(), "and"), a.Dir.Charter(ch.Line())})
		}
		table(a.out, rows)
		return nil
	}
	msg, err := a.readInput(c.File, keys.MaxNote)
	if err != nil {
		return err
	}
	ch, by, err := a.readCharter(msg)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	a.printf("%s", safe(ch.Text()))
	signed := "nobody"
	if len(by) > 0 {
		signed = words(by, "and")
	}
	a.notef("\nLine %s\nSigned, with the roots on the cards held here, by %s.\n", ch.Line(), signed)
	if missing := without(ch.Parties(), by); len(missing) > 0 {
		a.notef("Not signed by %s.\n", words(missing, "and"))
	}
	if !ch.RenderedExactly() {
		a.notef("The prose is not just what this release renders from the terms: read it.\n")
	}
	return nil
}
