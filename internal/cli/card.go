package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/store/folder"
)

// expiryAhead is how early a key's expiry is warned of.
const expiryAhead = 60 * 24 * time.Hour

type cardExport struct {
	Party string `arg:"" optional:"" placeholder:"CODE" help:"Whose card (default: the own one)."`
}

func (cardExport) Help() string {
	return `A card holds public keys only. Whoever receives it compares safety words by voice before relying on it.

Example:
  herald card export --dir us > us.card`
}

func (c *cardExport) Run(a *app) error {
	h, err := a.card(c.Party)
	if err != nil {
		return err
	}
	_, err = a.out.Write(h.Note)
	return err
}

// card reads the card of a party, or the own one.
func (a *app) card(code string) (folder.Held, error) {
	if code == "" {
		return folder.Own(a.Dir)
	}
	p, err := line.ParseParty(strings.ToUpper(code))
	if err != nil {
		return folder.Held{}, err
	}
	return folder.Card(a.Dir, p)
}

type cardImport struct {
	File string `arg:"" help:"The card, or - for the standard input."`
}

func (cardImport) Help() string {
	return `The first card of a party is taken as it is: compare safety words by voice before anything depends on it. A newer version is taken only if the same root signed it.

Example:
  herald card import --dir us cn.card`
}

func (c *cardImport) Run(a *app) error {
	b, err := a.readInput(c.File, keys.MaxCard)
	if err != nil {
		return err
	}
	card, err := keys.ParseCard(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	before, errBefore := folder.Card(a.Dir, card.Party)
	if err := a.takeCard(b); err != nil {
		return err
	}
	if errBefore == nil && before.Card.Hash() == card.Hash() {
		a.printf("Card of %s, version %d: held already.\n", card.Party, card.Version)
		return nil
	}
	a.printf("Card of %s (%s), version %d: taken.\n", card.Party, safe(card.Name), card.Version)
	if errBefore != nil {
		a.printf("\nNot yet known to be theirs. Compare the safety words by voice:\n  herald card words --dir %s %s\n", a.Dir, card.Party)
	}
	return nil
}

func importCard(s control.Service, note []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := s.ImportCard(ctx, note)
	return err
}

type cardWords struct {
	Party string `arg:"" placeholder:"CODE" help:"The other party."`
	JSON  bool   `help:"Print JSON."`
}

func (cardWords) Help() string {
	return `Both sides run this and read the words to each other, over a telephone or face to face, with someone whose voice they know. The same words in the same order: each holds the other's true card. Any difference: somebody stands between you; use neither card.

Example:
  herald card words --dir us CN`
}

func (c *cardWords) Run(a *app) error {
	own, err := folder.Own(a.Dir)
	if err != nil {
		return err
	}
	other, err := a.card(c.Party)
	if err != nil {
		return err
	}
	if other.Card.Party == own.Card.Party {
		return errors.New("safety words are between two parties: name the other one")
	}
	w := keys.SafetyWords(own.Card.Root, other.Card.Root)
	if c.JSON {
		return printJSON(a.out, w)
	}
	a.printf("Safety words of %s and %s\n\n", own.Card.Party, other.Card.Party)
	var rows [][]string
	for i := 0; i+3 < len(w); i += 4 {
		rows = append(rows, w[i:i+4])
	}
	table(a.out, rows)
	a.printf("\nRead them to each other by voice. The same words in the same order on both sides:\neach holds the other's true card. Any difference: use neither.\n")
	return nil
}

type cardShow struct {
	Party string `arg:"" optional:"" placeholder:"CODE" help:"Whose card (default: the own one, then a list of those held)."`
}

func (cardShow) Help() string { return "Example:\n  herald card show --dir us CN" }

func (c *cardShow) Run(a *app) error {
	h, err := a.card(c.Party)
	if err != nil {
		return err
	}
	a.showCard(h.Card)
	if c.Party != "" {
		return nil
	}
	all, err := folder.Cards(a.Dir)
	if err != nil || len(all) == 1 {
		return err
	}
	a.printf("\nOther cards held\n")
	rows := [][]string{}
	for _, h := range all[1:] {
		rows = append(rows, []string{string(h.Card.Party), h.Card.Name, fmt.Sprintf("version %d", h.Card.Version), "issued " + day(h.Card.Issued)})
	}
	table(a.out, rows)
	return nil
}

func (a *app) showCard(c *keys.Card) {
	a.printf("%s, %s\n", c.Party, safe(c.Name))
	root, hash := c.Root.Hash(), c.Hash()
	rows := [][]string{
		{"version", fmt.Sprint(c.Version), "issued " + stamp(c.Issued.Unix())},
		{"languages", strings.Join(c.Languages, ", ")},
		{"root", hex.EncodeToString(root[:])},
		{"card", hex.EncodeToString(hash[:])},
	}
	for _, g := range c.Generations {
		rows = append(rows, []string{"station", fmt.Sprintf("%s, generation %d", g.Station, g.Gen), day(g.From) + " to " + day(g.Until)})
	}
	for _, o := range c.Officers {
		valid := day(o.From) + " to " + day(o.Until)
		if !o.Revoked.IsZero() {
			valid = "revoked " + stamp(o.Revoked.Unix())
		}
		rows = append(rows, []string{"officer", string(o.Code), valid})
	}
	for _, x := range c.Closings {
		rows = append(rows, []string{"closed", fmt.Sprintf("line %s, generation %d", x.Line.Short(), x.Gen), plural(int(x.Size), "entry", "entries")})
	}
	table(a.out, rows)
	for _, w := range c.Warnings(a.now(), expiryAhead) {
		a.printf("  warning: %s\n", safe(w))
	}
}
