// Package config knows the folder of a party: which file lies where, who may
// read it, and the settings in herald.toml. It holds no key and judges none.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"herald/internal/line"
)

// Modes of everything in a party's folder: for its owner alone.
const (
	DirMode  fs.FileMode = 0o700
	FileMode fs.FileMode = 0o600
)

// headSize is how much of a file's beginning tells its kind.
const headSize = 64

// Folder is the path of a party's folder. Its methods name the files in it.
type Folder string

func (f Folder) path(elem ...string) string {
	return filepath.Join(append([]string{string(f)}, elem...)...)
}

// StationKey is the station's keys of the current generation, under a
// passphrase.
func (f Folder) StationKey() string { return f.path("station.key") }

// SpareKey is the keys of a pre-signed spare generation, under the station
// key's passphrase.
func (f Folder) SpareKey() string { return f.path("spare.key") }

// SpareCard is the root-signed card that opens the spare generation.
func (f Folder) SpareCard() string { return f.path("spare.card") }

// OwnCard is the party's own current card.
func (f Folder) OwnCard() string { return f.path("party.card") }

// Cards is the folder of other parties' cards; Card is one of them.
func (f Folder) Cards() string { return f.path("cards") }

// Card is the newest card held of another party. The own one is OwnCard.
func (f Folder) Card(p line.Party) string {
	return f.path("cards", strings.ToLower(string(p))+".card")
}

// CardVersion is one version of any party's card; all that were held are kept,
// for entries are judged by the card of their time.
func (f Folder) CardVersion(p line.Party, version uint32) string {
	return f.path("cards", fmt.Sprintf("%s.%d.card", strings.ToLower(string(p)), version))
}

// Charters is the folder of signed charters; Charter is one of them.
func (f Folder) Charters() string { return f.path("charters") }

// Charter is the signed charter of one line.
func (f Folder) Charter(l line.ID) string { return f.path("charters", l.String()+".charter") }

// Officers is the folder of officers' keys; OfficerKey is one of them.
func (f Folder) Officers() string { return f.path("officers") }

// OfficerKey is one officer's key, under a passphrase.
func (f Folder) OfficerKey(o line.Officer) string { return f.path("officers", string(o)+".key") }

// Database is the store of lines.
func (f Folder) Database() string { return f.path("herald.db") }

// Anchor is the heads that this station has shown, outside the database.
func (f Folder) Anchor() string { return f.path("anchor") }

// Lock is held by the one process that serves the folder.
func (f Folder) Lock() string { return f.path("lock") }

// Socket is where the serving process answers its own people.
func (f Folder) Socket() string { return f.path("control.sock") }

// SettingsFile is herald.toml.
func (f Folder) SettingsFile() string { return f.path("herald.toml") }

// RootKey is where the party's root key lies unless one says otherwise:
// beside the folder, never in it, so that it can be locked away.
func (f Folder) RootKey() string {
	p := filepath.Clean(string(f))
	if base := filepath.Base(p); base == "." || base == ".." { // has a name only from above
		if abs, err := filepath.Abs(p); err == nil {
			p = abs
		}
	}
	return filepath.Join(p+"-root", "root.key")
}

// Create makes the folder and those in it. A folder that already holds a
// party's card or key is refused with fs.ErrExist.
func (f Folder) Create() error {
	for _, p := range []string{f.OwnCard(), f.StationKey()} {
		if _, err := os.Lstat(p); err == nil {
			return fmt.Errorf("%s already holds a party (%s): choose another folder: %w", f, filepath.Base(p), fs.ErrExist)
		}
	}
	for _, d := range []string{string(f), f.Cards(), f.Charters(), f.Officers()} {
		if err := os.MkdirAll(d, DirMode); err != nil {
			return fmt.Errorf("make the party's folder: %w", err)
		}
	}
	// MkdirAll leaves a folder that was there as it was.
	return os.Chmod(string(f), DirMode)
}

// Check says whether the folder holds a party.
func (f Folder) Check() error {
	_, err := os.Stat(f.OwnCard())
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no party: name its folder with --dir or HERALD_DIR, or make one with \"herald party new\"", f)
	}
	return err
}

// FindFiles returns the files anywhere in the folder whose beginning is of the
// kind that is recognises, which gets at most 64 bytes. A file that cannot be
// read is an error: it might be one.
func (f Folder) FindFiles(is func(head []byte) bool) ([]string, error) {
	var found []string
	err := filepath.WalkDir(string(f), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // went away meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink == 0 && !d.Type().IsRegular() {
			return nil
		}
		head, err := readHead(path)
		if err == nil && is(head) {
			found = append(found, path)
		}
		return err
	})
	return found, err
}

// readHead reads the beginning of a file; a folder or a dangling link has none.
func readHead(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.Mode().IsRegular() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	head := make([]byte, headSize)
	n, err := io.ReadFull(r, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

// ReadFile reads a file of at most limit bytes; a longer one is refused, since
// it is not what it is taken for.
func ReadFile(path string, limit int64) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return ReadAll(r, path, limit)
}

// ReadAll reads at most limit bytes from r, which errors call name.
func ReadAll(r io.Reader, name string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes: it is not what it is taken for", name, limit)
	}
	return b, nil
}

// ArchivePublic is the public half of the party's offline archive key: with
// it, the sealed archive opens even when the station is lost. It is optional.
func (f Folder) ArchivePublic() string { return f.path("archive.pub") }
