package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/durable"
	"herald/internal/keys"
	"herald/internal/store/folder"
)

// rootFlag says where the root key lies.
type rootFlag struct {
	Root string `placeholder:"FILE" help:"The party's root key file (default: DIR-root/root.key beside the folder)."`
}

func (r rootFlag) path(f config.Folder) string {
	if r.Root != "" {
		return r.Root
	}
	return f.RootKey()
}

// open unlocks the root key.
func (r rootFlag) open(a *app) (*keys.Root, error) {
	path := r.path(a.Dir)
	b, err := config.ReadFile(path, keys.MaxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the root key is not at %s: fetch it from where it is locked away and name it with --root FILE", path)
	}
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	pass, err := a.passphrase(rootSecret(), false)
	if err != nil {
		return nil, err
	}
	root, err := keys.DecryptRoot(b, pass)
	if err != nil {
		return nil, fmt.Errorf("root key %s: %w", path, err)
	}
	return root, nil
}

// costFlag is the work that guessing a new key's passphrase takes.
type costFlag struct {
	ScryptCost int `default:"18" env:"HERALD_SCRYPT_COST" placeholder:"N" help:"Work to try one passphrase, as a power of two: 10 to 20 (default ${default}). Lower only for passphrases made by a machine with at least 128 bits."`
}

// checkNew refuses to write over a key.
func checkNew(path string) error {
	_, err := os.Lstat(path)
	if err == nil {
		return fmt.Errorf("%s exists already and is not written over: move it away if you mean it", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// checkOutside refuses a root key file inside the station's folder.
func checkOutside(f config.Folder, path string) error {
	dir, err := realPath(string(f))
	if err != nil {
		return err
	}
	file, err := realPath(path)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(dir, file); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return fmt.Errorf("the root key must lie outside the station's folder %s: whoever takes the station would take the party; choose another place with --root FILE", f)
	}
	return nil
}

// realPath follows links as far as the path exists.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
		dir, err := realPath(filepath.Dir(path))
		return filepath.Join(dir, filepath.Base(path)), err
	}
	return real, err
}

// locked runs f while this process alone may change the folder.
func (a *app) locked(f func() error) error {
	l, err := durable.LockDir(string(a.Dir))
	if err != nil {
		return err
	}
	return errors.Join(f(), l.Close())
}

// takeCard gives a card to the running station, or puts it into the folder.
func (a *app) takeCard(note []byte) error {
	c, err := control.Dial(a.Dir.Socket())
	if err == nil {
		defer c.Close()
		return importCard(c, note)
	}
	if !errors.Is(err, control.ErrNotServing) {
		return err
	}
	return a.locked(func() error {
		_, err := folder.ImportCard(a.Dir, note)
		return err
	})
}

// issue signs the next version of the own card, as change makes it, and takes
// it. A pre-signed spare is signed again, for it must follow this card.
func (a *app) issue(r rootFlag, change func(*keys.Card) error) (*keys.Card, error) {
	own, err := folder.Own(a.Dir)
	if err != nil {
		return nil, err
	}
	root, err := r.open(a)
	if err != nil {
		return nil, err
	}
	note, next, err := signNext(own.Card, root, a.now(), change)
	if err != nil {
		return nil, err
	}
	spare, err := a.renewSpare(next, root)
	if err != nil {
		return nil, err
	}
	if err := a.takeCard(note); err != nil {
		return nil, err
	}
	return next, spare()
}

// signNext signs the version after old. Issued never goes back, even when the
// clock does: other parties would refuse the card.
func signNext(old *keys.Card, root *keys.Root, now time.Time, change func(*keys.Card) error) ([]byte, *keys.Card, error) {
	next := *old
	next.Generations = append([]keys.Generation(nil), old.Generations...)
	next.Officers = append([]keys.OfficerCert(nil), old.Officers...)
	next.Closings = append([]keys.Closing(nil), old.Closings...)
	next.Version++
	next.Issued = now.UTC().Truncate(time.Second)
	if next.Issued.Before(old.Issued) {
		next.Issued = old.Issued
	}
	if err := change(&next); err != nil {
		return nil, nil, err
	}
	note, err := keys.SignCard(&next, root)
	return note, &next, err
}
