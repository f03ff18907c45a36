package charter

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"herald/internal/keys"
	"herald/internal/line"
)

// Errors of signed charters.
var (
	ErrUnsigned  = errors.New("not signed by all members: there is no line yet")
	ErrStranger  = errors.New("signed by somebody who is no member")
	ErrRoot      = errors.New("a member's root is not the one in the charter")
	ErrDifferent = errors.New("these are different texts: the parties must sign one and the same")
)

// Sign adds the signatures of the root's party, which must be a member, to a
// charter: a text that nobody has signed, or a note that others have.
func Sign(charter []byte, root *keys.Root) ([]byte, error) {
	text, sigs, err := open(charter)
	if err != nil {
		return nil, err
	}
	c, err := Parse(text)
	if err != nil {
		return nil, err
	}
	i := c.Index(root.Party)
	if i < 0 {
		return nil, fmt.Errorf("sign charter as %s: %w", root.Party, ErrStranger)
	}
	if root.Public().Hash() != c.Members[i].Root {
		return nil, fmt.Errorf("sign charter as %s: %w", root.Party, ErrRoot)
	}
	msg, err := keys.SignNote(text, sigs, root)
	if err != nil {
		return nil, err
	}
	return Merge(msg)
}

// open takes a text or a note apart. A charter text has no empty line, so an
// empty line tells a note.
func open(charter []byte) (string, []note.Signature, error) {
	if !strings.Contains(string(charter), "\n\n") {
		return string(charter), nil, nil
	}
	return keys.SplitNote(charter)
}

// Merge joins notes over one text into one that carries every signature once,
// in the members' order. It verifies nothing.
func Merge(notes ...[]byte) ([]byte, error) {
	var c *Charter
	var all []note.Signature
	for _, msg := range notes {
		text, sigs, err := open(msg)
		if err != nil {
			return nil, fmt.Errorf("charter: %w", err)
		}
		switch {
		case c == nil:
			if c, err = Parse(text); err != nil {
				return nil, err
			}
		case c.Text() != text:
			return nil, fmt.Errorf("charter: %w", ErrDifferent)
		}
		if all, err = union(all, sigs); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("charter: %w", ErrUnsigned)
	}
	order := func(s note.Signature) int {
		return slices.IndexFunc(c.Members, func(m Member) bool { return keys.NoteName(m.Party) == s.Name })
	}
	slices.SortStableFunc(all, func(a, b note.Signature) int {
		// Within a party the Ed25519 line, which is the shorter, comes first.
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(len(a.Base64), len(b.Base64)))
	})
	return note.Sign(&note.Note{Text: c.Text(), UnverifiedSigs: all})
}

func union(all, more []note.Signature) ([]note.Signature, error) {
	for _, s := range more {
		i := slices.IndexFunc(all, func(x note.Signature) bool { return x.Name == s.Name && x.Hash == s.Hash })
		switch {
		case i < 0:
			all = append(all, s)
		case all[i] != s:
			return nil, fmt.Errorf("charter: two different signatures by one key of %s: one of the files is damaged", s.Name)
		}
	}
	return all, nil
}

// Signed reads a charter note and returns which members have signed it, in
// charter order. Roots may lack members: these then count as not signed.
func Signed(msg []byte, roots map[line.Party]keys.RootPublic) (*Charter, []line.Party, error) {
	text, _, err := keys.SplitNote(msg)
	if err != nil {
		return nil, nil, fmt.Errorf("charter: %w", err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, nil, err
	}
	var known []note.Verifier
	unknown := map[string]bool{}
	for _, m := range c.Members {
		root, ok := roots[m.Party]
		if !ok {
			unknown[keys.NoteName(m.Party)] = true
			continue
		}
		if root.Hash() != m.Root {
			return nil, nil, fmt.Errorf("charter: %s: %w: compare its card and the charter with the party", m.Party, ErrRoot)
		}
		v, err := keys.Verifiers(m.Party, root)
		if err != nil {
			return nil, nil, err
		}
		known = append(known, v...)
	}
	n, err := note.Open(msg, note.VerifierList(known...))
	var none *note.UnverifiedNoteError
	if errors.As(err, &none) {
		n, err = none.Note, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("charter: %w: the text or a signature was changed on the way", err)
	}
	for _, s := range n.UnverifiedSigs {
		if !unknown[s.Name] {
			return nil, nil, fmt.Errorf("charter: %w: %s", ErrStranger, s.Name)
		}
	}
	return c, signers(c, n.Sigs), nil
}

// signers returns the members with both signatures.
func signers(c *Charter, sigs []note.Signature) []line.Party {
	count := map[string]int{}
	for _, s := range sigs {
		count[s.Name]++
	}
	var out []line.Party
	for _, m := range c.Members {
		if count[keys.NoteName(m.Party)] == 2 {
			out = append(out, m.Party)
		}
	}
	return out
}

// Verify reads a charter note that every member has signed with the root that
// the charter names, and nobody else.
func Verify(msg []byte, roots map[line.Party]keys.RootPublic) (*Charter, error) {
	c, signed, err := Signed(msg, roots)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, m := range c.Members {
		switch _, ok := roots[m.Party]; {
		case !ok:
			missing = append(missing, string(m.Party)+" (its card is not known here)")
		case !slices.Contains(signed, m.Party):
			missing = append(missing, string(m.Party))
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("charter: %w: %s", ErrUnsigned, strings.Join(missing, ", "))
	}
	return c, nil
}
