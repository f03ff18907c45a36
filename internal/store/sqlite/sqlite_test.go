package sqlite

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"herald/internal/session"
	"herald/internal/store/storetest"
)

var _ session.Store = (*DB)(nil)

// place is a folder with a store. A crash leaves the files as they are at
// that moment and never closes the store: what it would do at closing must
// not matter.
type place struct {
	dir string
	db  *DB
}

func (p *place) Open(t *testing.T) session.Store {
	t.Helper()
	p.db = openAt(t, p.dir)
	return p.db
}

func (p *place) Close(t *testing.T) {
	t.Helper()
	if err := p.db.Close(); err != nil {
		t.Error(err)
	}
}

func (p *place) Crash(t *testing.T) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "crashed")
	copyStore(t, p.dir, dir)
	abandoned := p.db
	t.Cleanup(func() { abandoned.Close() })
	p.dir, p.db = dir, nil
}

// copyStore copies a store's files, but not the WAL's index, which lives in
// memory and dies with the machine.
func copyStore(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) == ".db-shm" {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func openAt(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// openTemp opens an empty store and closes it with the test.
func openTemp(t testing.TB) *DB {
	t.Helper()
	db := openAt(t, t.TempDir())
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place { return &place{dir: filepath.Join(t.TempDir(), "store")} })
}
