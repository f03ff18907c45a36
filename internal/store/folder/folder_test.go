package folder_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"herald/internal/charter"
	"herald/internal/config"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/store/folder"
)

var issued = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// party makes a root and a function that signs its card in a version.
func party(t *testing.T, p line.Party) (*keys.Root, func(version uint32) []byte) {
	t.Helper()
	root, err := keys.NewRoot(rand.Reader, p)
	if err != nil {
		t.Fatal(err)
	}
	return root, func(version uint32) []byte {
		note, err := keys.SignCard(&keys.Card{Party: p, Name: "Party", Languages: []string{"en"}, Version: version, Issued: issued, Root: root.Public()}, root)
		if err != nil {
			t.Fatal(err)
		}
		return note
	}
}

// newFolder makes the folder of a party with version 1 of its card.
func newFolder(t *testing.T, note []byte) config.Folder {
	t.Helper()
	f := config.Folder(t.TempDir() + "/p")
	c, err := keys.ParseCard(note)
	if err == nil {
		err = errors.Join(f.Create(), folder.SaveCard(f, folder.Held{Card: c, Note: note}, true))
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCards(t *testing.T) {
	_, us := party(t, "US")
	_, cn := party(t, "CN")
	_, other := party(t, "CN")
	f := newFolder(t, us(1))
	if _, err := folder.Card(f, "CN"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no card of CN: %v", err)
	}
	steps := []struct {
		name string
		note []byte
		ok   bool
	}{
		{"the first", cn(2), true}, {"the same again", cn(2), true}, {"a lower version", cn(1), false},
		{"another root", other(3), false}, {"not a card", []byte("card"), false},
		{"a newer one", cn(5), true}, {"an own newer one", us(2), true}, {"the own one again", us(2), true},
	}
	for _, s := range steps {
		if _, err := folder.ImportCard(f, s.note); (err == nil) != s.ok {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	own, err := folder.Own(f)
	if err != nil || own.Card.Version != 2 || !bytes.Equal(own.Note, us(2)) {
		t.Errorf("own card: %+v, %v", own.Card, err)
	}
	if _, err := os.Stat(f.Card("US")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the own card lies among others'")
	}
	all, err := folder.Cards(f)
	if err != nil || len(all) != 2 || all[0].Card.Party != "US" || all[1].Card.Version != 5 {
		t.Errorf("%d cards, %v", len(all), err)
	}
	for p, want := range map[line.Party]int{"US": 2, "CN": 2, "C": 0} {
		if v, err := folder.Versions(f, p); err != nil || len(v) != want {
			t.Errorf("%s: %d versions, %v", p, len(v), err)
		}
	}
}

func TestACardCutByACrashIsNamed(t *testing.T) {
	_, us := party(t, "US")
	_, cn := party(t, "CN")
	f := newFolder(t, us(1))
	if _, err := folder.ImportCard(f, cn(1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(f.Card("CN"), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Cards(f); err == nil {
		t.Error("half a card was read")
	}
}

func TestCharters(t *testing.T) {
	usRoot, us := party(t, "US")
	cnRoot, cn := party(t, "CN")
	_, fr := party(t, "FR")
	f, stranger := newFolder(t, us(1)), newFolder(t, fr(1))
	for _, x := range []config.Folder{f, stranger} {
		for _, note := range [][]byte{us(1), cn(1)} {
			if _, err := folder.ImportCard(x, note); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := charter.Draft(charter.DefaultTerms("A line", []charter.Member{
		{Party: "CN", Root: cnRoot.Public().Hash(), Languages: []string{"en"}},
		{Party: "US", Root: usRoot.Public().Hash(), Languages: []string{"en"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	half, err := charter.Sign([]byte(text), usRoot)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := charter.Sign(half, cnRoot)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folder.ImportCharter(f, half); !errors.Is(err, charter.ErrUnsigned) {
		t.Errorf("signed by one: %v", err)
	}
	if _, err := folder.ImportCharter(stranger, whole); err == nil {
		t.Error("a line was opened for a party that is no member")
	}
	for range 2 {
		if _, err := folder.ImportCharter(f, whole); err != nil {
			t.Fatal(err)
		}
	}
	all, err := folder.Charters(f)
	if err != nil || len(all) != 1 || all[0].Title != "A line" {
		t.Errorf("%d charters, %v", len(all), err)
	}
	if all, err := folder.Charters(stranger); err != nil || len(all) != 0 {
		t.Errorf("%d charters at a stranger, %v", len(all), err)
	}
}
