package sqlite

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
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

func secret() []byte {
	b := make([]byte, 48)
	rand.Read(b)
	return b
}

// secretBatches makes rows with secrets, and the rows that erase them. There
// are enough for pages to be split, so that a cell that moved and left its
// former bytes behind would be found.
func secretBatches(n int) (keep, erase *record.Batch, secrets [][]byte) {
	keep, erase = &record.Batch{Line: line.ID{1}}, &record.Batch{Line: line.ID{1}}
	log := line.Log{Gen: 1}
	fresh := func() []byte { s := secret(); secrets = append(secrets, s); return s }
	for i := range uint64(n) {
		e := record.Epoch{Log: log, Base: i * 7 % uint64(n), Leaves: bytes.Repeat([]byte{1}, int(i%50)*40), Secret: fresh()}
		k := record.ReceiveKey{Log: log, Index: uint32(i * 7 % uint64(n)), Seed: fresh()}
		s := record.Segment{ID: i * 7 % uint64(n), Working: fresh(), Offline: bytes.Repeat([]byte{2}, 40)}
		keep.Epochs, keep.Keys, keep.Segments = append(keep.Epochs, e), append(keep.Keys, k), append(keep.Segments, s)
		e.Secret, k.Seed, s.Working = nil, nil, nil
		erase.Epochs, erase.Keys, erase.Segments = append(erase.Epochs, e), append(erase.Keys, k), append(erase.Segments, s)
	}
	return keep, erase, secrets
}

func TestErasedSecretsLeaveTheFiles(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	keep, erase, secrets := secretBatches(300)
	ctx := context.Background()
	if err := db.Commit(ctx, keep); err != nil {
		t.Fatal(err)
	}
	if n := traces(t, dir, secrets); n == 0 {
		t.Fatal("the secrets are in no file before they are erased: this test looks in the wrong place")
	}
	if err := db.Commit(ctx, erase); err != nil {
		t.Fatal(err)
	}
	// While the store stays open: the writer empties the WAL once it is idle.
	for end := time.Now().Add(20 * time.Second); traces(t, dir, secrets) > 0; {
		if time.Now().After(end) {
			t.Fatalf("erased secrets are still in %d files", traces(t, dir, secrets))
		}
		if _, err := db.Load(ctx, keep.Line); err != nil { // readers come and go
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := traces(t, dir, secrets); n > 0 {
		t.Fatalf("erased secrets are in %d files after closing", n)
	}
}

// TestErasureUnderLoad has the writer never idle: the WAL is emptied all the
// same once an erasure is old enough.
func TestErasureUnderLoad(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	defer db.Close()
	keep, erase, secrets := secretBatches(20)
	ctx := context.Background()
	for _, b := range []*record.Batch{keep, erase} {
		if err := db.Commit(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	err := db.submit(ctx, "test", false, func(w *writer) error {
		w.erased = w.erased.Add(-eraseLatest)
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
