package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"herald/internal/line"
	"herald/internal/record"
)

// raw runs SQL on a store's file, past this package.
func raw(t *testing.T, dir, sql string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := sqlite3.Open(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Exec(sql), c.Close()); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, dir string, want error) {
	t.Helper()
	db, err := Open(dir)
	if err == nil {
		db.Close()
	}
	if !errors.Is(err, want) {
		t.Fatalf("opening: %v, want %v", err, want)
	}
}

func TestOpenRefusesWhatItMustNotTouch(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		want      error
	}{
		{"newer schema", fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d; CREATE TABLE later (x)", applicationID, len(migrations())+1), ErrNewer},
		{"somebody else's database", "CREATE TABLE diary (day)", ErrForeign},
		{"somebody else's empty database", "PRAGMA application_id=7", ErrForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			raw(t, dir, c.sql)
			before, err := os.ReadFile(filepath.Join(dir, fileName))
			if err != nil {
				t.Fatal(err)
			}
			refused(t, dir, c.want)
			after, err := os.ReadFile(filepath.Join(dir, fileName))
			if err != nil || !bytes.Equal(before, after) {
				t.Fatalf("the file was changed, %v", err)
			}
		})
	}
}

func TestOpenDamaged(t *testing.T) {
	t.Run("not a database", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), bytes.Repeat([]byte("x"), 5000), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, ErrDamaged)
	})
	t.Run("a page overwritten, after a crash", func(t *testing.T) {
		p := &place{dir: filepath.Join(t.TempDir(), "store")}
		db := openAt(t, p.dir)
		for n := range uint64(50) {
			if err := db.Commit(context.Background(), counting(n, line.ID{1})); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		p.Open(t)
		p.Crash(t) // leaves a WAL behind
		name := filepath.Join(p.dir, fileName)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name+"-wal", 0); err != nil {
			t.Fatal(err)
		}
		copy(b[len(b)-3*4096:], bytes.Repeat([]byte{0xff}, 4096))
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, p.dir, ErrDamaged)
	})
}

func TestOpenCannotWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(file, "store"), ErrReadOnly)

	if err := os.MkdirAll(filepath.Join(dir, "b", fileName), 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(dir, "b"), ErrReadOnly)

	// What SQLite's layer forgot, the folder tells.
	if err := explain("test", diagnose(filepath.Join(file, "store"), sqlite3.IOERR_WRITE)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("diagnosed as %v", err)
	}
	if err := explain("test", diagnose(dir, sqlite3.IOERR_WRITE)); errors.Is(err, ErrReadOnly) || errors.Is(err, ErrFull) {
		t.Errorf("diagnosed as %v", err)
	}
}

func TestReadOnlyCommit(t *testing.T) {
	db := openTemp(t)
	ctx := context.Background()
	err := db.submit(ctx, "test", false, func(w *writer) error { return w.Exec("PRAGMA query_only=ON") })
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Commit(ctx, counting(0, line.ID{1})); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("commit: %v", err)
	}
	if got := holds(t, db, line.ID{1}); got != 0 {
		t.Fatalf("%d batches", got)
	}
}

func TestReport(t *testing.T) {
	p := &place{dir: filepath.Join(t.TempDir(), "store")}
	for _, c := range []struct {
		end  func(*testing.T)
		want Report
	}{
		{p.Close, Report{Clean: true}},
		{p.Crash, Report{Clean: true}},
		{p.Close, Report{Checked: true}},
		{p.Close, Report{Clean: true}},
	} {
		p.Open(t)
		got := p.db.Report()
		if got.Clean != c.want.Clean || got.Checked != c.want.Checked || (got.Note == "") != got.Clean {
			t.Fatalf("report: %+v, want %+v", got, c.want)
		}
		if err := p.db.Check(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := p.db.Commit(context.Background(), &record.Batch{Line: line.ID{1}, Meta: map[string][]byte{"a": {1}}}); err != nil {
			t.Fatal(err)
		}
		c.end(t)
	}
}

func TestMigrations(t *testing.T) {
	if _, err := openConn(location{filepath.Join(t.TempDir(), fileName), ""}); err == nil {
		t.Fatal("a file that does not exist was opened")
	}
	path := filepath.Join(t.TempDir(), fileName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := openWriter(location{path, ""})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	steps := []string{"CREATE TABLE a (x)", "CREATE TABLE b (x); INSERT INTO b VALUES (1); SELECT nonsense"}
	if err := migrate(c, steps); err == nil {
		t.Fatal("a failing step was taken")
	}
	// The first step stands, of the second there is nothing.
	if v, err := readVersion(c); err != nil || v != (version{1, applicationID, 1}) {
		t.Fatalf("after a failed step: %+v, %v", v, err)
	}
	steps[1] = "CREATE TABLE b (x)"
	for range 2 {
		if err := migrate(c, steps); err != nil {
			t.Fatal(err)
		}
		if v, err := readVersion(c); err != nil || v != (version{2, applicationID, 2}) {
			t.Fatalf("after both: %+v, %v", v, err)
		}
	}
	if err := checkSchema(c, 1); !errors.Is(err, ErrNewer) {
		t.Fatal(err)
	}
}

func TestClosed(t *testing.T) {
	db := openAt(t, t.TempDir())
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Commit(context.Background(), counting(0, line.ID{1})); !errors.Is(err, ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := db.Load(context.Background(), line.ID{1}); !errors.Is(err, ErrClosed) {
		t.Errorf("load: %v", err)
	}
}
