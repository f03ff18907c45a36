// Package sqlite keeps lines in one SQLite file, so that what a station has
// accepted survives power loss. It implements session.Store and understands
// none of what it keeps.
//
// The folder holds herald.db (with its -wal and -shm files while open) and
// blobs/, one file for each attachment.
//
// How nothing accepted is lost: the database is in WAL mode with
// synchronous=FULL, so a transaction is reported only after its frames and the
// WAL's name were synced. One goroutine owns the only writing connection.
// Commits that arrive while it is busy go into its next transaction together,
// each under its own savepoint; no caller ever waits for a timer. Once a sync
// has failed nothing is known about the pages that the kernel held, so the
// store refuses every further write until it is opened again, when SQLite
// recovers from the WAL alone.
//
// How erased secrets leave the file: secure_delete overwrites them in the
// database; former copies in the WAL go when it is truncated, which happens
// after the first quiet moment, and at the latest some seconds after. The
// device below may still keep what it was told to overwrite.
//
// The library is ncruces/go-sqlite3, used without database/sql. On our write
// pattern it was measured against modernc.org/sqlite (which needs
// database/sql) on two shared cores of a virtual machine: 64 messages of
// 500+400 bytes in one durable transaction 0.63–0.89 against 1.34 ms, one
// message 0.18 against 0.30 ms, resident memory 17–22 against 39 MB. With this
// package around it, a row costs 5.5–6 µs of processor time in batches of 64
// messages, a durable commit of one message 1.1–1.2 times an append and sync of
// as many bytes to a plain file, one of 64 messages 2.9 times.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"herald/internal/durable"
	"herald/internal/line"
)

const (
	fileName = "herald.db"
	blobsDir = "blobs"
	readers  = 4 // reading connections, opened when first needed

	// quickCheckLimit bounds the check after a crash to about two seconds: a
	// station must not be silent for minutes when power returns.
	quickCheckLimit = 256 << 20
)

// DB is an open store. Its methods may be called concurrently.
type DB struct {
	at     location
	report Report
	queue  chan *job
	stop   chan struct{} // closed by Close: nothing new begins
	finish chan struct{} // closed when all readers are closed
	ended  chan struct{} // closed when the writer has gone
	idle   chan *conn    // reading connections; nil ones are not opened yet
	blobs  *Blobs

	closing sync.Once
	err     error // of closing
}

// Report says what Open found.
type Report struct {
	Clean   bool   // the store was closed before, not cut off
	Checked bool   // the file's structure was checked
	Note    string // for the operator; "" when there is nothing to say
}

// Open opens the store in the folder dir, making both where they do not exist,
// and brings an older schema up to date. The caller holds the folder's lock.
// The error wraps ErrNewer, ErrDamaged, ErrReadOnly, ErrFull or ErrBusy where
// one of them is the reason.
func Open(dir string) (*DB, error) { return open(dir, "") }

func open(dir, vfs string) (*DB, error) {
	if err := makeFiles(dir); err != nil {
		return nil, explain("open the store in "+dir, err)
	}
	path := filepath.Join(dir, fileName)
	at := location{path, vfs}
	rep, err := inspect(path)
	if err != nil {
		return nil, explain("open "+path, err)
	}
	w, err := openWriter(at)
	if err != nil {
		return nil, explain("open "+path, diagnose(dir, err))
	}
	if rep.Checked {
		err = quickCheck(context.Background(), w)
	}
	if err == nil {
		err = migrate(w, migrations())
	}
	if err != nil {
		return nil, explain("open "+path, errors.Join(diagnose(dir, err), w.close()))
	}
	db := &DB{
		at: at, report: rep,
		queue: make(chan *job, maxJobs),
		stop:  make(chan struct{}), finish: make(chan struct{}), ended: make(chan struct{}),
		idle: make(chan *conn, readers),
	}
	db.blobs = &Blobs{db: db, dir: filepath.Join(dir, blobsDir), open: map[line.Hash]*blobFile{}}
	for range readers {
		db.idle <- nil
	}
	go db.write(newWriter(w, dir))
	return db, nil
}

// Report returns what Open found.
func (db *DB) Report() Report { return db.report }

// Close ends the writer after what is queued, empties the WAL into the
// database and closes it. Attachments' chunks not synced yet are not held
// afterwards.
func (db *DB) Close() error {
	db.closing.Do(func() {
		close(db.stop)
		var errs []error
		for range readers {
			if c := <-db.idle; c != nil {
				errs = append(errs, c.close())
			}
		}
		close(db.finish)
		<-db.ended // which set db.err
		errs = append(errs, db.err, db.blobs.close())
		db.err = explain("close the store", errors.Join(errs...))
	})
	return db.err
}

// Check looks through the whole file for damage. It takes about a second for
// each 200 megabytes and does not hold up writers.
func (db *DB) Check(ctx context.Context) error {
	return db.read(ctx, "check the store", func(c *conn) error { return quickCheck(ctx, c) })
}

// makeFiles makes the folders and an empty database file that only the
// station's user can read; SQLite would make it as the umask says.
func makeFiles(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, blobsDir), 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return durable.WriteFile(path, nil, 0o600)
}

// inspect decides whether the file needs a check. SQLite removes the WAL when
// the last connection closes, so one that is there was left by a crash.
func inspect(path string) (Report, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return Report{}, err
	}
	_, err = os.Stat(path + "-wal")
	if errors.Is(err, os.ErrNotExist) {
		return Report{Clean: true}, nil
	}
	if fi.Size() > quickCheckLimit {
		return Report{Note: fmt.Sprintf("The store was not closed before, and was not checked: at %d MB that would hold up the lines. Run a check when there is time.", fi.Size()>>20)}, err
	}
	return Report{Checked: true, Note: "The store was not closed before; it was checked and is sound."}, err
}

func quickCheck(ctx context.Context, c *conn) error {
	old := c.SetInterrupt(ctx)
	defer c.SetInterrupt(old)
	var first string
	err := c.do(`PRAGMA quick_check(1)`).each(func(s *stmt) { first = s.ColumnText(0) })
	if err == nil && first != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, first)
	}
	return err
}
