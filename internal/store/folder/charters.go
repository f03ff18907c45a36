package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"herald/internal/charter"
	"herald/internal/config"
	"herald/internal/durable"
	"herald/internal/keys"
	"herald/internal/line"
)

// Roots returns the roots on the cards held, by party.
func Roots(f config.Folder) (map[line.Party]keys.RootPublic, error) {
	cards, err := Cards(f)
	if err != nil {
		return nil, err
	}
	roots := map[line.Party]keys.RootPublic{}
	for _, h := range cards {
		roots[h.Card.Party] = h.Card.Root
	}
	return roots, nil
}

// ImportCharter takes a charter durably, once all its members have signed and
// the folder's party is one of them.
func ImportCharter(f config.Folder, note []byte) (*charter.Charter, error) {
	own, err := Own(f)
	if err != nil {
		return nil, err
	}
	roots, err := Roots(f)
	if err != nil {
		return nil, err
	}
	c, err := charter.Verify(note, roots)
	if err != nil {
		return nil, err
	}
	if c.Index(own.Card.Party) < 0 {
		return nil, fmt.Errorf("%s is no member of this charter: its line is between %v", own.Card.Party, c.Parties())
	}
	if c.Version > 1 {
		return nil, errors.New("this charter amends a line: it is adopted on the line itself, not imported")
	}
	path := f.Charter(c.Line())
	if _, err := os.Lstat(path); err == nil {
		return c, nil
	}
	if err := durable.WriteFile(path, note, config.FileMode); err != nil {
		return nil, fmt.Errorf("keep the charter: %w", err)
	}
	return c, nil
}

// Charters reads every charter in the folder.
func Charters(f config.Folder) ([]*charter.Charter, error) {
	names, err := filepath.Glob(filepath.Join(f.Charters(), "*.charter")) // sorted
	if err != nil {
		return nil, err
	}
	roots, err := Roots(f)
	if err != nil {
		return nil, err
	}
	var all []*charter.Charter
	for _, name := range names {
		b, err := config.ReadFile(name, keys.MaxNote)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := charter.Verify(b, roots)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, c)
	}
	return all, nil
}
