// Package folder keeps a party's cards and charters as files in its folder,
// each judged before it is taken: a card by its root and the version that it
// replaces, a charter by the signatures of all its members. Whoever changes a
// folder holds its lock.
package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"herald/internal/config"
	"herald/internal/durable"
	"herald/internal/keys"
	"herald/internal/line"
)

// Held is a card with the note that proves it.
type Held struct {
	Card *keys.Card
	Note []byte
}

// Own reads the party's own current card.
func Own(f config.Folder) (Held, error) {
	if err := f.Check(); err != nil {
		return Held{}, err
	}
	return readCard(f.OwnCard())
}

// Card reads the newest card held of a party, which may be the folder's own.
// The error wraps fs.ErrNotExist if none is held.
func Card(f config.Folder, p line.Party) (Held, error) {
	own, err := Own(f)
	if err != nil || own.Card.Party == p {
		return own, err
	}
	h, err := readCard(f.Card(p))
	if errors.Is(err, fs.ErrNotExist) {
		return h, fmt.Errorf("no card of %s is held here: take one with \"herald card import\", handed over in person or compared by voice: %w", p, fs.ErrNotExist)
	}
	return h, err
}

// Cards reads every party's newest card, the own one first, then by code.
func Cards(f config.Folder) ([]Held, error) {
	own, err := Own(f)
	if err != nil {
		return nil, err
	}
	all := []Held{own}
	names, err := filepath.Glob(filepath.Join(f.Cards(), "*.card")) // sorted
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		code, _ := strings.CutSuffix(filepath.Base(name), ".card")
		if strings.Contains(code, ".") { // a version that was kept
			continue
		}
		h, err := readCard(name)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

// Versions reads every version of a party's card that was held, in the order
// of their files.
func Versions(f config.Folder, p line.Party) ([]Held, error) {
	prefix := strings.ToLower(string(p)) + "."
	es, err := os.ReadDir(f.Cards())
	if err != nil {
		return nil, err
	}
	var all []Held
	for _, e := range es {
		rest, ok := strings.CutPrefix(e.Name(), prefix)
		v, isCard := strings.CutSuffix(rest, ".card")
		if _, err := strconv.ParseUint(v, 10, 32); !ok || !isCard || err != nil {
			continue
		}
		h, err := readCard(filepath.Join(f.Cards(), e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

func readCard(path string) (Held, error) {
	b, err := config.ReadFile(path, keys.MaxCard)
	if err != nil {
		return Held{}, err
	}
	c, err := keys.ParseCard(b)
	if err != nil {
		return Held{}, fmt.Errorf("%s: %w; take the card again from where it came", path, err)
	}
	return Held{c, b}, nil
}

// ImportCard takes a party's card durably: the first of that party, or one
// that may follow the card held. Taking the card held again changes nothing.
func ImportCard(f config.Folder, note []byte) (Held, error) {
	c, err := keys.ParseCard(note)
	if err != nil {
		return Held{}, err
	}
	own, err := Own(f)
	if err != nil {
		return Held{}, err
	}
	next, isOwn := Held{c, note}, own.Card.Party == c.Party
	old, err := Card(f, c.Party)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the first of this party
	case err != nil:
		return Held{}, err
	case old.Card.Hash() == c.Hash():
		return old, nil
	default:
		if err := keys.CheckSuccessor(old.Card, c); err != nil {
			return Held{}, fmt.Errorf("the card held stays: %w", err)
		}
	}
	return next, SaveCard(f, next, isOwn)
}

// SaveCard writes a card that was judged before, as the own one or another
// party's. The version is kept beside, first.
func SaveCard(f config.Folder, h Held, own bool) error {
	path := f.Card(h.Card.Party)
	if own {
		path = f.OwnCard()
	}
	for _, p := range []string{f.CardVersion(h.Card.Party, h.Card.Version), path} {
		if old, err := os.ReadFile(p); err == nil && bytes.Equal(old, h.Note) {
			continue
		}
		if err := durable.WriteFile(p, h.Note, config.FileMode); err != nil {
			return fmt.Errorf("keep the card of %s: %w", h.Card.Party, err)
		}
	}
	return nil
}
