package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"herald/internal/line"
	"herald/internal/record"
)

// disk is a layer below SQLite that knows what a power cut would leave: what
// was synced, and of every write since then an arbitrary part. It can also
// fail.
type disk struct {
	vfs.VFS
	mu     sync.Mutex
	images map[string]*image
	syncs  error // returned by every sync, after which nothing was synced
	writes error // returned by every write
}

type image struct {
	synced []byte
	since  []change
}

// change is a write, or a truncation where data is nil.
type change struct {
	off  int64
	data []byte
}

const sector = 512

func newDisk(t *testing.T) (d *disk, name string) {
	d = &disk{VFS: vfs.Find(""), images: map[string]*image{}}
	name = strings.ReplaceAll(t.Name(), "/", "-")
	vfs.Register(name, d)
	t.Cleanup(func() { vfs.Unregister(name) })
	return d, name
}

// fail sets what syncs and writes return from now on.
func (d *disk) fail(syncs, writes error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs, d.writes = syncs, writes
}

// OpenFilename implements vfs.VFSFilename.
func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := d.VFS.(vfs.VFSFilename).OpenFilename(name, flags)
	if err != nil || name.String() == "" {
		return f, flags, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	base := filepath.Base(name.String())
	if d.images[base] == nil {
		d.images[base] = &image{}
	}
	return &diskFile{File: f, d: d, img: d.images[base]}, flags, nil
}

// Delete implements vfs.VFS. Only the journal of the first transaction is ever
// deleted while the store is open; the folder is synced with the WAL's first
// sync, before anything is acknowledged, so the deletion counts as done.
func (d *disk) Delete(name string, syncDir bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.images, filepath.Base(name))
	return d.VFS.Delete(name, syncDir)
}

type diskFile struct {
	vfs.File
	d   *disk
	img *image
}

// SharedMemory implements vfs.FileSharedMemory.
func (f *diskFile) SharedMemory() vfs.SharedMemory {
	return f.File.(vfs.FileSharedMemory).SharedMemory()
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.writes != nil {
		return 0, f.d.writes
	}
	f.img.since = append(f.img.since, change{off, slices.Clone(b)})
	return f.File.WriteAt(b, off)
}

func (f *diskFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.img.since = append(f.img.since, change{off: size})
	return f.File.Truncate(size)
}

func (f *diskFile) Sync(flags vfs.SyncFlag) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.syncs != nil {
		return f.d.syncs
	}
	for _, c := range f.img.since {
		f.img.synced = c.apply(f.img.synced, nil)
	}
	f.img.since = nil
	return f.File.Sync(flags)
}

// apply makes a change, or those sectors of it that rng lets through.
func (c change) apply(to []byte, rng *rand.Rand) []byte {
	if c.data == nil {
		if rng == nil || rng.IntN(2) == 0 {
			return to[:min(int64(len(to)), c.off)]
		}
		return to
	}
	for n := int64(0); n < int64(len(c.data)); n += sector {
		if rng != nil && rng.IntN(2) == 0 {
			continue
		}
		part := c.data[n:min(int64(len(c.data)), n+sector)]
		if end := c.off + n + int64(len(part)); end > int64(len(to)) {
			to = append(to, make([]byte, end-int64(len(to)))...)
		}
		copy(to[c.off+n:], part)
	}
	return to
}

// cut writes to a folder what a power cut now would leave.
func (d *disk) cut(t *testing.T, dir string, rng *rand.Rand) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, img := range d.images {
		b := slices.Clone(img.synced)
		if rng.IntN(4) > 0 { // else nothing since the sync
			for _, c := range img.since {
				b = c.apply(b, rng)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// counting commits batch after batch to a line; the n-th leaves n entries.
func counting(n uint64, id line.ID) *record.Batch {
	log := line.Log{Party: 0, Gen: 1}
	return &record.Batch{
		Line:    id,
		Entries: []record.Entry{testEntry(line.Pos{Log: log, Seq: n}, n+1)},
		Bodies:  []record.Body{{Pos: line.Pos{Log: log, Seq: n}, Number: n + 1, Box: make([]byte, n*37%3000)}},
		Logs:    []record.Log{{Log: log, Size: n + 1}},
		Move:    &record.Move{Log: log, From: n, To: n + 1},
	}
}

// holds returns how many batches of counting the line holds, and fails if
// they are not whole.
func holds(t *testing.T, db *DB, id line.ID) uint64 {
	t.Helper()
	ctx := context.Background()
	snap, err := db.Load(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Logs) == 0 {
		return 0
	}
	size := snap.Logs[0].Size
	entries, err := db.Entries(ctx, id, line.Log{Gen: 1}, 0, int(size)+10)
	if err != nil || uint64(len(entries)) != size {
		t.Fatalf("line %s: size %d, but %d entries, %v", id.Short(), size, len(entries), err)
	}
	if size > 0 {
		last := entries[size-1].Pos
		b, err := db.Bodies(ctx, id, []line.Pos{last})
		if err != nil || len(b) != 1 || b[0].Number != size || len(b[0].Box) != int((size-1)*37%3000) {
			t.Fatalf("line %s: the last body is not whole: %+v, %v", id.Short(), b, err)
		}
	}
	return size
}

// TestPowerCut cuts the power at arbitrary moments of a run, between any two
// batches and in the middle of them, with checkpoints on the way: whatever was
// acknowledged by then is there, whole, and nothing is damaged.
func TestPowerCut(t *testing.T) {
	d, name := newDisk(t)
	db, err := open(t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	acked := map[line.ID]uint64{}
	for round := range 40 {
		// One line may be in the middle of a commit when the power goes.
		under := make(chan error, 1)
		go func() { under <- db.Commit(ctx, counting(uint64(round), line.ID{9})) }()
		for range rng.IntN(5) {
			id := line.ID{byte(rng.IntN(3))}
			if err := db.Commit(ctx, counting(acked[id], id)); err != nil {
				t.Fatal(err)
			}
			acked[id]++
		}
		dir := filepath.Join(t.TempDir(), "cut")
		d.cut(t, dir, rng)
		after := openAt(t, dir)
		if !after.Report().Checked {
			t.Fatal("the file was not checked after the power cut")
		}
		for id, n := range acked {
			if got := holds(t, after, id); got != n {
				t.Fatalf("round %d, line %s: %d batches were acknowledged, %d are there", round, id.Short(), n, got)
			}
		}
		if got := holds(t, after, line.ID{9}); got < uint64(round) || got > uint64(round)+1 {
			t.Fatalf("round %d: %d batches of the line under way", round, got)
		}
		if err := errors.Join(after.Close(), <-under); err != nil {
			t.Fatal(err)
		}
		if round%7 == 3 { // empty the WAL into the database
			if err := db.submit(ctx, "test", true, func(w *writer) error { w.erased = w.erased.Add(1); return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestFailedSync: after a sync failed nothing is accepted, even when syncs
// succeed again, until the store is opened anew; then everything acknowledged
// is there.
func TestFailedSync(t *testing.T) {
	d, name := newDisk(t)
	dir := t.TempDir()
	db, err := open(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for n := range uint64(3) {
		if err := db.Commit(ctx, counting(n, line.ID{1})); err != nil {
			t.Fatal(err)
		}
	}
	d.fail(syscall.EIO, nil)
	for range 2 {
		if err := db.Commit(ctx, counting(3, line.ID{1})); !errors.Is(err, ErrBroken) {
			t.Fatalf("commit with a failing sync: %v", err)
		}
		d.fail(nil, nil)
	}
	if got := holds(t, db, line.ID{1}); got != 3 {
		t.Fatalf("%d batches can be read", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, dir)
	defer again.Close()
	if again.Report().Clean {
		t.Error("closing emptied a WAL that nothing is known of")
	}
	got := holds(t, again, line.ID{1})
	if got < 3 || got > 4 { // the failed one may have come through
		t.Fatalf("%d batches after opening again", got)
	}
	if err := again.Commit(ctx, counting(got, line.ID{1})); err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk: commits are refused in words, and go on once there is space.
func TestFullDisk(t *testing.T) {
	d, name := newDisk(t)
	db, err := open(t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	if err := db.Commit(ctx, counting(0, line.ID{1})); err != nil {
		t.Fatal(err)
	}
	d.fail(nil, vfs.SystemError(syscall.ENOSPC, sqlite3.FULL)) // as the layer below says it
	err = db.Commit(ctx, counting(1, line.ID{1}))
	if !errors.Is(err, ErrFull) || !strings.Contains(fmt.Sprint(err), "Free some space") {
		t.Fatalf("commit on a full disk: %v", err)
	}
	d.fail(nil, nil)
	if got := holds(t, db, line.ID{1}); got != 1 {
		t.Fatalf("%d batches", got)
	}
	if err := db.Commit(ctx, counting(1, line.ID{1})); err != nil {
		t.Fatalf("commit when there is space again: %v", err)
	}
}
