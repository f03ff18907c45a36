package charter

import (
	"errors"
	"fmt"

	"herald/internal/line"
)

// Amend returns terms to change into the next version of c.
func (c *Charter) Amend() Terms {
	t := c.Terms
	t.Version, t.Line, t.Base = c.Version+1, c.Line(), c.Hash()
	return t
}

// CheckAmendment reports why next may not amend base (spec 02 §6).
func CheckAmendment(base, next *Charter) error {
	switch {
	case next.Version <= base.Version:
		return fmt.Errorf("amendment: version %d is not above version %d", next.Version, base.Version)
	case next.Line() != base.Line():
		return errors.New("amendment: it is of another line")
	case next.Base != base.Hash():
		return fmt.Errorf("amendment: it does not amend the text of version %d", base.Version)
	case len(next.Members) != len(base.Members):
		return errors.New("amendment: the members of a line never change; other members mean a new line")
	}
	for i, m := range base.Members {
		if n := next.Members[i]; n.Party != m.Party || n.Root != m.Root {
			return fmt.Errorf("amendment: member %s changed; other members mean a new line", m.Party)
		}
	}
	return nil
}

// Act is one party's consent to an amendment, as an entry of its log says it.
type Act struct {
	Party   int      // charter index
	Enact   bool     // the proposer's last word, rather than an adoption
	Version uint32   // of the amendment
	Text    [32]byte // hash of its text
}

// Versions returns the charters in force one after another, the first one
// first, as of some causal past: acts holds the acts in it, each party's in
// the order of its log. Texts holds the amendments' texts, in any order.
//
// An act counts unless the same party acted before on a higher version, or on
// another text of the same version. A text is in force once every party has an
// act on it that counts, and at least one of these enacts. So whoever has seen
// more never takes back what whoever saw less took as in force (spec 02 §6).
func Versions(first *Charter, texts []*Charter, acts []Act) []*Charter {
	chain := []*Charter{first}
	counted := counting(acts)
	for {
		base := chain[len(chain)-1]
		var next *Charter
		for _, t := range texts {
			if CheckAmendment(base, t) == nil && consented(t, counted) && (next == nil || t.Version < next.Version) {
				next = t
			}
		}
		if next == nil {
			return chain
		}
		chain = append(chain, next)
	}
}

// counting returns the acts that count.
func counting(acts []Act) []Act {
	last := map[int]Act{}
	var out []Act
	for _, a := range acts {
		l, acted := last[a.Party]
		if acted && (l.Version > a.Version || l.Version == a.Version && l.Text != a.Text) {
			continue
		}
		last[a.Party] = a
		out = append(out, a)
	}
	return out
}

func consented(t *Charter, acts []Act) bool {
	hash := t.Hash()
	var who line.Parties
	enacted := false
	for _, a := range acts {
		if a.Version == t.Version && a.Text == hash {
			who = who.With(a.Party)
			enacted = enacted || a.Enact
		}
	}
	return enacted && who == line.Parties(1<<len(t.Members)-1)
}
