package sqlite

import (
	"bytes"
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"herald/internal/line"
	"herald/internal/record"
)

// traces counts the files of a store that hold any of the secrets.
func traces(t *testing.T, dir string, secrets [][]byte) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, fileName+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if bytes.Contains(b, s[:16]) {
				n++
				break
			}
		}
	}
	return n
}

// secretBatch has a secret of each sort, or erases it. The rows' sizes differ,
// so that rows move about when pages are split and joined.
func secretBatch(l byte, n uint32, secrets *[][]byte) *record.Batch {
	fresh := func() (s []byte) {
		if secrets != nil {
			s = make([]byte, 48)
			rand.Read(s)
			*secrets = append(*secrets, s)
		}
		return s
	}
	log := line.Log{Gen: 1}
	return &record.Batch{
		Line:     line.ID{l},
		Epochs:   []record.Epoch{{Log: log, Base: uint64(n), Leaves: make([]byte, n%160), Secret: fresh()}},
		Keys:     []record.ReceiveKey{{Log: log, Index: n, Seed: fresh()}},
		Segments: []record.Segment{{ID: uint64(n), Offline: make([]byte, n%300), Working: fresh()}},
	}
}

// churn commits secrets to several lines in no order and erases all of them,
// some early and some late.
func churn(t *testing.T, db *DB, rows int) (secrets [][]byte) {
	t.Helper()
	type row struct {
		l byte
		n uint32
	}
	rng := mathrand.New(mathrand.NewPCG(3, 1))
	var live []row
	commit := func(r row, secrets *[][]byte) {
		if err := db.Commit(context.Background(), secretBatch(r.l, r.n, secrets)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range rows {
		r := row{byte(rng.IntN(5)), uint32(rng.IntN(100000))}
		commit(r, &secrets)
		live = append(live, r)
		if i%3 == 0 {
			j := rng.IntN(len(live))
			commit(live[j], nil)
			live = append(live[:j], live[j+1:]...)
		}
	}
	if n := traces(t, filepath.Dir(db.at.path), secrets); n == 0 {
		t.Fatal("the secrets are in no file before they are erased: this test looks in the wrong place")
	}
	for _, r := range live {
		commit(r, nil)
	}
	return secrets
}

// TestErasedSecretsLeaveTheFiles waits, on a false clock, for the writer to
// empty the WAL once it is idle; the store stays open.
func TestErasedSecretsLeaveTheFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		db := openAt(t, dir)
		secrets := churn(t, db, 700)
		time.Sleep(2 * eraseIdle)
		synctest.Wait()
		if n := traces(t, dir, secrets); n > 0 {
			t.Fatalf("erased secrets are still in %d files", n)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if n := traces(t, dir, secrets); n > 0 {
			t.Fatalf("erased secrets are in %d files after closing", n)
		}
	})
}

func TestDiscardedDraftsLeaveTheFiles(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	ctx := context.Background()
	var boxes [][]byte
	var ids []uint64
	keep := func(d Draft) uint64 {
		d.Box = make([]byte, 100+13*len(boxes)%900)
		rand.Read(d.Box)
		boxes = append(boxes, d.Box)
		id, err := db.PutDraft(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for i := range 60 {
		ids = append(ids, keep(Draft{Line: line.ID{byte(i % 3)}}))
	}
	for i, id := range ids {
		keep(Draft{ID: id, Line: line.ID{byte(i % 3)}})
	}
	if traces(t, dir, boxes) == 0 {
		t.Fatal("the drafts are in no file: this test looks in the wrong place")
	}
	for _, id := range ids {
		if err := db.DeleteDraft(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := traces(t, dir, boxes); n > 0 {
		t.Fatalf("discarded drafts are in %d files", n)
	}
}

// TestErasureWithAReader: a reader that holds an old snapshot keeps the WAL
// from being emptied; once it is gone the writer does it by itself.
func TestErasureWithAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		db := openAt(t, dir)
		defer db.Close()
		var secrets [][]byte
		ctx := context.Background()
		err := db.Commit(ctx, secretBatch(1, 1, &secrets))
		if err != nil {
			t.Fatal(err)
		}
		err = db.readOnce(ctx, "test", func(c *conn) error {
			if _, err := findLine(c, line.ID{1}); err != nil {
				return err
			}
			if err := db.Commit(ctx, secretBatch(1, 1, nil)); err != nil {
				return err
			}
			time.Sleep(4 * eraseIdle)
			synctest.Wait()
			if traces(t, dir, secrets) == 0 {
				t.Error("the WAL was emptied under a reader")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * eraseIdle)
		synctest.Wait()
		if n := traces(t, dir, secrets); n > 0 {
			t.Fatalf("erased secrets are still in %d files", n)
		}
	})
}

// TestErasureUnderLoad has the writer never idle: the WAL is emptied all the
// same once an erasure is old enough.
func TestErasureUnderLoad(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	defer db.Close()
	secrets := churn(t, db, 20)
	ctx := context.Background()
	err := db.submit(ctx, "test", false, func(w *writer) error {
		w.erased = time.Now().Add(-2 * eraseLatest)
		return w.do(`DELETE FROM meta`).exec()
	})
	if err != nil {
		t.Fatal(err)
	}
	// The next transaction begins after the writer has tidied up.
	if err := db.Commit(ctx, &record.Batch{Line: line.ID{2}, Meta: map[string][]byte{"a": {1}}}); err != nil {
		t.Fatal(err)
	}
	if n := traces(t, dir, secrets); n > 0 {
		t.Fatalf("erased secrets are in %d files", n)
	}
}
