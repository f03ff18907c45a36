package audit

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"

	"herald/internal/charter"
	"herald/internal/keys"
	"herald/internal/line"
)

// identity is who is on the line, as the charter and the cards say it. It is
// complete before the first log is read, and only read from then on.
type identity struct {
	charter   *charter.Charter
	line      line.ID
	version   uint32
	members   []*member
	witnesses map[string]bool // verifier keys that the charter names
	gens      map[line.Log]keys.Generation
	ids       map[line.LogID]line.Log
}

// member is one party of the line.
type member struct {
	code   line.Party
	want   [32]byte // the hash of its root, by the charter
	root   *keys.RootPublic
	given  bool // the auditor brought the root's hash along
	cards  []*keys.Card
	byHash map[line.Hash]*keys.Card
}

// newIdentity reads a charter's terms. Its signatures are checked once the
// cards were read, which hold the roots.
func newIdentity(note []byte) (*identity, error) {
	text, _, err := keys.SplitNote(note)
	if err != nil {
		return nil, fmt.Errorf("%w: the charter: %w", ErrFormat, err)
	}
	c, err := charter.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: the charter: %w", ErrFormat, err)
	}
	id := &identity{
		charter: c, line: c.Line(), version: c.Version, witnesses: map[string]bool{},
		gens: map[line.Log]keys.Generation{}, ids: map[line.LogID]line.Log{},
	}
	for _, m := range c.Members {
		id.members = append(id.members, &member{code: m.Party, want: m.Root, byHash: map[line.Hash]*keys.Card{}})
	}
	for _, w := range c.Witnesses {
		id.witnesses[w] = true
	}
	return id, nil
}

// takeCardNote reads one card of the file.
func (a *auditor) takeCardNote(n int, note []byte) {
	place := fmt.Sprintf("card %d of the file", n)
	c, err := keys.ParseCard(note)
	if err == nil {
		err = strictNote(note)
	}
	if err != nil {
		a.found.add(Fault, "card", place, line.Pos{}, "the card does not hold: %v", err)
		return
	}
	place = fmt.Sprintf("card of %s, version %d", c.Party, c.Version)
	i := slices.IndexFunc(a.id.members, func(m *member) bool { return m.code == c.Party })
	if i < 0 {
		a.found.add(Fault, "card-stranger", place, line.Pos{}, "the charter has no member %s", c.Party)
		return
	}
	m := a.id.members[i]
	if c.Root.Hash() != m.want {
		a.found.add(Fault, "card-root", place, line.Pos{}, "its root is not the one that the charter names: this card is not by the party that signed the charter")
		return
	}
	for _, old := range m.cards {
		if old.Version == c.Version {
			a.found.add(Fault, "card-twice", place, line.Pos{}, "the file has two cards of this version")
			return
		}
	}
	root := c.Root
	m.root = &root
	m.cards = append(m.cards, c)
	m.byHash[c.Hash()] = c
}

// settle completes the identity, once all cards were read.
func (a *auditor) settle(note []byte) {
	id := a.id
	roots := map[line.Party]keys.RootPublic{}
	for i, m := range id.members {
		a.settleRoot(m)
		if m.root == nil {
			a.found.add(Fault, "card-none", string(m.code), line.Pos{}, "the file has no card of %s that holds: its signatures cannot be checked", m.code)
			continue
		}
		roots[m.code] = *m.root
		slices.SortFunc(m.cards, func(x, y *keys.Card) int { return cmp.Compare(x.Version, y.Version) })
		for n, c := range m.cards {
			if n > 0 {
				if err := keys.CheckSuccessor(m.cards[n-1], c); err != nil {
					a.found.add(Fault, "card-succession", string(m.code), line.Pos{}, "%v", err)
				}
			}
			for _, g := range c.Generations {
				log := line.Log{Party: i, Gen: g.Gen}
				if _, ok := id.gens[log]; !ok {
					id.gens[log] = g
					id.ids[line.NewLogID(id.line, m.code, g.Gen)] = log
				}
			}
		}
	}
	_, err := charter.Verify(note, roots)
	if err == nil {
		err = strictNote(note)
	}
	if err != nil {
		a.found.add(Fault, "charter", "charter", line.Pos{}, "the charter does not hold: %v", err)
	}
}

// strictNote refuses a note whose signatures are not in their one spelling:
// of base64's last characters some bits say nothing, and decoders pass over
// them.
func strictNote(note []byte) error {
	_, sigs, err := keys.SplitNote(note)
	if err != nil {
		return err
	}
	for _, s := range sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return fmt.Errorf("signature of %s: %w", s.Name, err)
		}
	}
	return nil
}

// settleRoot compares a root with the one that the auditor brought along.
func (a *auditor) settleRoot(m *member) {
	want, ok := a.opt.Roots[m.code]
	if !ok {
		return
	}
	m.given = want == m.want
	if !m.given {
		a.found.add(Fault, "root", string(m.code), line.Pos{}, "the charter names the root %x for %s; you gave %x: this is not a record of the %s that you know", m.want, m.code, want, m.code)
	}
}

func (id *identity) generation(g line.Log) (keys.Generation, bool) {
	gen, ok := id.gens[g]
	return gen, ok
}

func (id *identity) logOf(l line.LogID) (line.Log, bool) {
	g, ok := id.ids[l]
	return g, ok
}

// closings returns where a log ended by the party's newest card that says so.
func (id *identity) closings(g line.Log) []closing {
	m := id.members[g.Party]
	for _, c := range slices.Backward(m.cards) {
		if x, ok := c.Closing(id.line, g.Gen); ok {
			return []closing{{x.Size, x.Root, fmt.Sprintf("%s's card, version %d,", m.code, c.Version)}}
		}
	}
	return nil
}
