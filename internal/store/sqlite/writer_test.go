package sqlite

import (
	"context"
	"errors"
	"sync"
	"testing"

	"herald/internal/line"
)

// hold occupies the writer until the returned function is called.
func hold(t *testing.T, db *DB) (release func()) {
	t.Helper()
	busy, free := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- db.submit(context.Background(), "test", false, func(*writer) error {
			close(busy)
			<-free
			return nil
		})
	}()
	<-busy
	return func() {
		t.Helper()
		close(free)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// waitQueued waits until n jobs are in the queue.
func waitQueued(db *DB, n int) {
	for len(db.queue) < n {
		if _, err := db.Load(context.Background(), line.ID{}); err != nil {
			return
		}
	}
}

// TestGroupCommit: what queues up behind a transaction shares the next one,
// where one caller's failure is its own.
func TestGroupCommit(t *testing.T) {
	db := openTemp(t)
	ctx := context.Background()
	release := hold(t, db)
	const callers = 20
	mine := errors.New("mine alone")
	sizes, errs := make([]int, callers), make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			errs[i] = db.submit(ctx, "test", false, func(w *writer) error {
				sizes[i] = len(w.batched)
				id, err := w.lineID(line.ID{byte(i)}) // a number given in vain must not be remembered
				if err == nil {
					err = (&applier{w, id}).apply(counting(0, line.ID{byte(i)}))
				}
				if err == nil && i%4 == 3 {
					err = mine
				}
				return err
			})
		})
	}
	waitQueued(db, callers)
	release()
	wg.Wait()
	for i := range callers {
		if sizes[i] != callers {
			t.Errorf("caller %d shared its transaction with %d", i, sizes[i])
		}
		if failed := i%4 == 3; errors.Is(errs[i], mine) != failed || (errs[i] != nil) != failed {
			t.Errorf("caller %d: %v", i, errs[i])
		}
		want := uint64(1)
		if i%4 == 3 {
			want = 0
		}
		if got := holds(t, db, line.ID{byte(i)}); got != want {
			t.Errorf("caller %d: %d batches", i, got)
		}
		// The lines that failed can be written to afterwards.
		if err := db.Commit(ctx, counting(want, line.ID{byte(i)})); err != nil {
			t.Errorf("caller %d, again: %v", i, err)
		}
	}
}

// TestCancelledInQueue: a caller that gives up while it waits changes nothing,
// and one that is under way hears its outcome.
func TestCancelledInQueue(t *testing.T) {
	db := openTemp(t)
	release := hold(t, db)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- db.Commit(ctx, counting(0, line.ID{1})) }()
	waitQueued(db, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled in the queue: %v", err)
	}
	release()

	ctx, cancel = context.WithCancel(context.Background())
	err := db.submit(ctx, "test", false, func(w *writer) error {
		cancel()
		id, err := w.lineID(line.ID{2})
		if err != nil {
			return err
		}
		return (&applier{w, id}).apply(counting(0, line.ID{2}))
	})
	if err != nil {
		t.Fatalf("cancelled under way: %v", err)
	}
	if got := holds(t, db, line.ID{1}); got != 0 {
		t.Errorf("the cancelled batch is there")
	}
	if got := holds(t, db, line.ID{2}); got != 1 {
		t.Errorf("the batch under way is not there")
	}
}

// TestCloseWithQueue: whoever is in the queue when the store closes is either
// served or told; nobody waits for ever.
func TestCloseWithQueue(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	release := hold(t, db)
	const callers = 8
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { errs[i] = db.Commit(context.Background(), counting(0, line.ID{byte(i)})) })
	}
	waitQueued(db, callers)
	wg.Go(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	release()
	wg.Wait()
	db = openAt(t, dir)
	defer db.Close()
	for i, err := range errs {
		want := uint64(1)
		if err != nil {
			want = 0
		}
		if got := holds(t, db, line.ID{byte(i)}); got != want {
			t.Errorf("caller %d: %v, but %d batches are there", i, err, got)
		}
	}
}
