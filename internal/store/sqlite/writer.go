package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	// maxJobs bounds what shares one transaction, and with it how long the
	// first of them waits for the last.
	maxJobs = 256

	// checkpointPages is the WAL's length, in pages of 4 kB, from which it is
	// copied into the database between transactions; forcePages the length at
	// which that waits for readers to be out of the way.
	checkpointPages = 4 << 10
	forcePages      = 64 << 10

	// Erased secrets leave the WAL eraseIdle after the last write, or
	// eraseLatest after the erasure when writes do not pause.
	eraseIdle   = 250 * time.Millisecond
	eraseLatest = 10 * time.Second
)

// job is one caller's write. run may be called on a transaction that then
// comes to nothing.
type job struct {
	run    func(*writer) error
	erases bool
	taken  atomic.Bool // by the writer, or by a caller that gave up
	done   chan error  // buffered, so that the writer never waits
	err    error
}

// submit has run executed in a durable transaction. A caller whose context
// ends while it waits in the queue has changed nothing; one whose write is
// under way waits for its outcome, since the writer is using its batch.
func (db *DB) submit(ctx context.Context, doing string, erases bool, run func(*writer) error) error {
	select {
	case <-db.stop:
		return explain(doing, ErrClosed)
	default:
	}
	j := &job{run: run, erases: erases, done: make(chan error, 1)}
	select {
	case db.queue <- j:
	case <-db.stop:
		return explain(doing, ErrClosed)
	case <-ctx.Done():
		return explain(doing, ctx.Err())
	}
	select {
	case err := <-j.done:
		return explain(doing, err)
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return explain(doing, ctx.Err())
		}
	case <-db.ended:
		if j.taken.CompareAndSwap(false, true) {
			return explain(doing, ErrClosed)
		}
	}
	return explain(doing, <-j.done)
}

// writer owns the writing connection. Only its goroutine touches it.
type writer struct {
	*conn
	dir     string
	ids     ids
	pages   int       // in the WAL
	erased  time.Time // of the oldest erasure still in the WAL
	broken  bool      // a sync failed: nothing is known about the kernel's pages
	batched []*job
}

func newWriter(c *conn, dir string) *writer {
	w := &writer{conn: c, dir: dir, ids: newIDs()}
	c.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
		w.pages = pages
		return nil
	})
	return w
}

// write is the writer's goroutine.
func (db *DB) write(w *writer) {
	defer close(db.ended)
	timer := time.NewTimer(eraseIdle)
	defer timer.Stop()
	for {
		timer.Reset(eraseIdle)
		tick := timer.C
		if w.erased.IsZero() {
			tick = nil
		}
		select {
		case j := <-db.queue:
			w.transact(db.take(w.batched[:0], j))
			w.tidy()
		case <-tick:
			w.empty()
		case <-db.finish:
			for len(db.queue) > 0 {
				w.transact(db.take(w.batched[:0], <-db.queue))
			}
			w.empty()
			db.err = w.end()
			return
		}
	}
}

// take claims j and what else is queued by now.
func (db *DB) take(jobs []*job, j *job) []*job {
	for {
		if j.taken.CompareAndSwap(false, true) {
			jobs = append(jobs, j)
		}
		if len(jobs) == maxJobs {
			return jobs
		}
		select {
		case j = <-db.queue:
		default:
			return jobs
		}
	}
}

// transact runs the jobs in one transaction and answers each.
func (w *writer) transact(jobs []*job) {
	w.batched = jobs
	if err := w.attempt(jobs); err != nil {
		for _, j := range jobs {
			j.err = err
		}
	}
	for i, j := range jobs {
		if j.err != nil {
			w.broken = w.broken || syncFailed(j.err)
			j.err = diagnose(w.dir, j.err)
		} else if j.erases && w.erased.IsZero() {
			w.erased = time.Now()
		}
		j.done <- j.err
		jobs[i] = nil
	}
}

// attempt returns an error when the whole transaction came to nothing; what
// concerns one job alone is left in it. Failures are rare and savepoints cost
// a seventh of the time, so the jobs are first tried without: if one fails,
// all is rolled back and done again, each job under a savepoint of its own.
func (w *writer) attempt(jobs []*job) error {
	if w.broken {
		return ErrBroken
	}
	if len(jobs) == 0 {
		return nil
	}
	err := w.transaction(func() error {
		for _, j := range jobs {
			if err := j.run(w); err != nil {
				return &jobError{err}
			}
		}
		return nil
	})
	var one *jobError
	if len(jobs) == 1 || !errors.As(err, &one) {
		return err
	}
	return w.transaction(func() error {
		for _, j := range jobs {
			if j.err = w.nested(j.run); j.err != nil && w.GetAutocommit() {
				// A full disk or the like made SQLite roll everything back.
				return fmt.Errorf("a write in the same transaction failed: %w", j.err)
			}
		}
		return nil
	})
}

// jobError is a job's own error, not one of the transaction around it.
type jobError struct{ error }

func (e *jobError) Unwrap() error { return e.error }

// transaction runs f in a transaction, which comes to nothing if f fails.
func (w *writer) transaction(f func() error) error {
	err := w.do("BEGIN IMMEDIATE").exec()
	if err != nil {
		return err
	}
	if err = f(); err == nil {
		err = w.do("COMMIT").exec()
	}
	if err != nil {
		w.ids = newIDs() // it may hold numbers given in vain
		if !w.GetAutocommit() {
			err = errors.Join(err, w.do("ROLLBACK").exec())
		}
	}
	return err
}

// nested runs one job so that its failure leaves no trace in the transaction.
func (w *writer) nested(run func(*writer) error) error {
	if err := w.do("SAVEPOINT one").exec(); err != nil {
		return err
	}
	err := run(w)
	if err != nil {
		w.ids = newIDs() // as above
		if !w.GetAutocommit() {
			err = errors.Join(err, w.do("ROLLBACK TO one").exec())
		}
	}
	if w.GetAutocommit() {
		return err
	}
	return errors.Join(err, w.do("RELEASE one").exec())
}

// tidy follows a transaction, after its callers were answered.
func (w *writer) tidy() {
	switch {
	case !w.erased.IsZero() && time.Since(w.erased) > eraseLatest, w.pages >= forcePages:
		w.empty()
	case w.pages >= checkpointPages:
		w.checkpoint(sqlite3.CHECKPOINT_PASSIVE)
	}
}

// empty copies the WAL into the database and cuts it to nothing. A reader may
// be in the way; then it is tried again later.
func (w *writer) empty() {
	if w.broken {
		return
	}
	w.BusyTimeout(50 * time.Millisecond)
	defer w.BusyTimeout(5 * time.Second)
	if w.checkpoint(sqlite3.CHECKPOINT_TRUNCATE) {
		w.erased, w.pages = time.Time{}, 0
	}
}

// end closes the connection. After a failed sync the WAL is left as it is, for
// the next opening to recover from.
func (w *writer) end() error {
	if w.broken {
		_, err := w.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true)
		return errors.Join(err, w.close())
	}
	return w.close()
}

// checkpoint reports whether it succeeded. A failure loses nothing, for the
// WAL holds everything, and a lasting one ends in a refused commit; but after
// a failed sync no later one can be believed.
func (w *writer) checkpoint(mode sqlite3.CheckpointMode) bool {
	logged, copied, err := w.WALCheckpoint("main", mode)
	if err == nil && logged == copied {
		w.pages = 0
	}
	w.broken = w.broken || syncFailed(err)
	return err == nil
}
