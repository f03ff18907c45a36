// Package charter holds the agreement that constitutes a line: terms that
// machines read, the same agreement in prose in each party's language, the
// signatures of all parties under it, and how all of them together amend it.
//
// The text is the charter. Its hash names the line, so nothing here ever
// repairs a text: it is exactly in the specified form, or it is refused.
package charter

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"herald/internal/keys"
	"herald/internal/line"
)

// Limits on a charter's text, in bytes.
const (
	MaxText = 128 << 10
	MaxLine = 4096
)

const sectionMark = "--- text "

// Charter is a parsed charter text, signed or not.
type Charter struct {
	Terms
	sections []Section
	text     string
}

// Section is the agreement's prose in one language. All are equally authentic.
type Section struct {
	Language string
	Lines    []string
}

// Draft returns the charter text for terms, with this release's prose.
func Draft(t Terms) (string, error) {
	if err := t.check(); err != nil {
		return "", fmt.Errorf("charter: %w", err)
	}
	var b strings.Builder
	b.WriteString(t.text())
	for _, l := range t.Languages() {
		p, err := render(t, l)
		if err != nil {
			return "", fmt.Errorf("charter: text in %s: %w", l, err)
		}
		b.WriteString(sectionMark + l + "\n" + p)
	}
	text := b.String()
	_, err := Parse(text)
	return text, err
}

// Parse reads a charter text without signatures. The terms must be exactly in
// the specified form; the prose may be anything that is safe to show.
func Parse(text string) (*Charter, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("charter of %d bytes: the limit is %d", len(text), MaxText)
	}
	if err := checkLines(text); err != nil {
		return nil, fmt.Errorf("charter: %w", err)
	}
	at := strings.Index(text, "\n"+sectionMark) + 1
	if at == 0 {
		return nil, errors.New("charter: it has terms but no text in any language")
	}
	t, err := parseTerms(text[:at])
	if err == nil {
		err = t.check()
	}
	if err != nil {
		return nil, fmt.Errorf("charter: %w", err)
	}
	if t.text() != text[:at] {
		return nil, errors.New("charter: the terms are not in canonical form: an order, a spacing or a number is written otherwise than the specification says")
	}
	c := &Charter{Terms: t, text: text, sections: split(text[at:])}
	want := t.Languages()
	for i, s := range c.sections {
		if i >= len(want) || s.Language != want[i] || len(s.Lines) == 0 {
			return nil, fmt.Errorf("charter: want one text in each of %s, in this order", strings.Join(want, ", "))
		}
	}
	if len(c.sections) != len(want) {
		return nil, fmt.Errorf("charter: %d texts for the %d languages %s", len(c.sections), len(want), strings.Join(want, ", "))
	}
	return c, nil
}

// checkLines keeps the text apart from a note's signatures: a note's first
// empty line then is its only one, and no line looks like a signature.
func checkLines(text string) error {
	if !strings.HasSuffix(text, "\n") {
		return errors.New("the text does not end in a line feed")
	}
	for i, l := range strings.Split(text[:len(text)-1], "\n") {
		switch {
		case l == "":
			return fmt.Errorf("line %d is empty: a charter has no empty lines", i+1)
		case strings.HasPrefix(l, "—"):
			return fmt.Errorf("line %d begins with a dash, as signatures do", i+1)
		}
		if err := keys.CheckLine(l, MaxLine); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

// split takes the prose apart; its first line is a section's mark.
func split(prose string) []Section {
	var out []Section
	for _, l := range strings.Split(strings.TrimSuffix(prose, "\n"), "\n") {
		if lang, ok := strings.CutPrefix(l, sectionMark); ok {
			out = append(out, Section{Language: lang})
			continue
		}
		last := &out[len(out)-1]
		last.Lines = append(last.Lines, l)
	}
	return out
}

// Text returns the charter's text, without signatures.
func (c *Charter) Text() string { return c.text }

// Sections returns the prose in each language.
func (c *Charter) Sections() []Section { return slices.Clone(c.sections) }

// Hash is the SHA-256 of the text.
func (c *Charter) Hash() [32]byte { return sha256.Sum256([]byte(c.text)) }

// Line names the line: the hash of its first charter's text (spec 02 §5).
func (c *Charter) Line() line.ID {
	if c.Version == 1 {
		return c.Hash()
	}
	return c.Terms.Line
}

// RenderedExactly reports whether the prose is just what this release renders
// from the terms. Otherwise people must compare prose and terms before they
// sign: no machine has.
func (c *Charter) RenderedExactly() bool {
	for _, s := range c.sections {
		if !Rendered(s.Language) {
			return false
		}
	}
	text, err := Draft(c.Terms)
	return err == nil && text == c.text
}

// Index returns a member's place, or -1.
func (c *Charter) Index(p line.Party) int {
	return slices.IndexFunc(c.Members, func(m Member) bool { return m.Party == p })
}

// Parties returns the members' codes in charter order.
func (c *Charter) Parties() []line.Party {
	out := make([]line.Party, len(c.Members))
	for i, m := range c.Members {
		out[i] = m.Party
	}
	return out
}

// Precedence returns the terms of a precedence. For an unknown one they are
// those of ROUTINE: whoever invents a precedence gains nothing by it.
func (c *Charter) Precedence(p line.Precedence) PrecedenceTerms {
	if int(p) >= len(c.Precedences) {
		p = line.Routine
	}
	return c.Precedences[p]
}
