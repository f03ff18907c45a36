// Package storetest checks that a store keeps its word: one suite, run on
// every implementation of session.Store, and Memory, the plainest
// implementation, against which the others are compared.
package storetest

import (
	"context"
	"errors"
	"testing"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
)

// Place is where one store lives. A test opens it, breaks off, and opens it
// again.
type Place interface {
	// Open opens what is durable at the place. It is called again only after
	// Close or Crash.
	Open(t *testing.T) session.Store
	// Close ends the open store in good order.
	Close(t *testing.T)
	// Crash abandons the open store: what it had not made durable is gone.
	Crash(t *testing.T)
}

// Run checks every promise of session.Store. Fresh makes an empty place whose
// remains t cleans up.
func Run(t *testing.T, fresh func(t *testing.T) Place) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Place)
	}{
		{"unknown line is empty", testUnknown},
		{"duplicates are left as they are", testDuplicates},
		{"replaced rows", testReplaced},
		{"receipts", testReceipts},
		{"ahead and waiting", testAheadAndWaiting},
		{"greatest heads and cosignatures", testGreatest},
		{"history", testHistory},
		{"extreme numbers", testExtremes},
		{"queue order", testQueue},
		{"epochs, keys, segments", testSecrets},
		{"meta", testMeta},
		{"head moves by compare-and-swap", testMove},
		{"a refused batch leaves nothing", testAtomic},
		{"one of many movers wins", testRace},
		{"64 lines at once", testManyLines},
		{"lines are apart", testApart},
		{"cancelled caller", testCancelled},
		{"close and crash keep what was committed", testReopen},
		{"like the model", testModel},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

// opened opens the place for one test.
func opened(t *testing.T, p Place) session.Store {
	t.Helper()
	s := p.Open(t)
	t.Cleanup(func() { p.Close(t) })
	return s
}

func commit(t *testing.T, s session.Store, b *record.Batch) {
	t.Helper()
	if err := s.Commit(context.Background(), b); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func load(t *testing.T, s session.Store, l line.ID) record.Snapshot {
	t.Helper()
	snap, err := s.Load(context.Background(), l)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return snap
}

func testUnknown(t *testing.T, p Place) {
	s := opened(t, p)
	ctx := context.Background()
	same(t, "snapshot", record.Snapshot{}, load(t, s, lineN(9)))
	if got, err := s.Entries(ctx, lineN(9), logA, 0, 10); err != nil || len(got) > 0 {
		t.Errorf("entries: %v, %v", got, err)
	}
	if got, err := s.Bodies(ctx, lineN(9), []line.Pos{at(logA, 0)}); err != nil || len(got) > 0 {
		t.Errorf("bodies: %v, %v", got, err)
	}
	for name, look := range map[string]func() (bool, error){
		"head":    func() (bool, error) { _, ok, err := s.HeadAt(ctx, lineN(9), logA, 1); return ok, err },
		"cosig":   func() (bool, error) { _, ok, err := s.CosigAt(ctx, lineN(9), logA, logB, 1); return ok, err },
		"segment": func() (bool, error) { _, ok, err := s.Segment(ctx, lineN(9), 1); return ok, err },
		"token":   func() (bool, error) { _, ok, err := s.Token(ctx, lineN(9), "x"); return ok, err },
	} {
		if ok, err := look(); err != nil || ok {
			t.Errorf("%s of an unknown line: found %v, %v", name, ok, err)
		}
	}
	commit(t, s, &record.Batch{Line: lineN(9)}) // an empty batch is nothing
	same(t, "snapshot", record.Snapshot{}, load(t, s, lineN(9)))
}

func testMove(t *testing.T, p Place) {
	s := opened(t, p)
	move := func(from, to uint64) error {
		return s.Commit(context.Background(), &record.Batch{
			Line: lineN(1), Logs: []record.Log{logState(logA, to)}, Move: &record.Move{Log: logA, From: from, To: to},
		})
	}
	if err := move(1, 2); !errors.Is(err, session.ErrHeadMoved) {
		t.Fatalf("from 1 on an absent log: %v", err)
	}
	if err := move(0, 3); err != nil {
		t.Fatal(err)
	}
	for _, from := range []uint64{0, 2, 4} {
		if err := move(from, from+1); !errors.Is(err, session.ErrHeadMoved) {
			t.Fatalf("from %d on a log of 3: %v", from, err)
		}
	}
	if err := move(3, 4); err != nil {
		t.Fatal(err)
	}
	same(t, "log", []record.Log{logState(logA, 4)}, load(t, s, lineN(1)).Logs)

	stuck := &record.Batch{Line: lineN(1), Move: &record.Move{Log: logA, From: 4, To: 5}}
	if err := s.Commit(context.Background(), stuck); err == nil || errors.Is(err, session.ErrHeadMoved) {
		t.Fatalf("a move without the log's new row: %v", err)
	}
	// A log of size 0 that was written counts as absent.
	commit(t, s, &record.Batch{Line: lineN(1), Logs: []record.Log{logState(logB, 0)}})
	commit(t, s, &record.Batch{
		Line: lineN(1), Logs: []record.Log{logState(logB, 1)}, Move: &record.Move{Log: logB, From: 0, To: 1},
	})
}

// testAtomic commits one of everything with a stale move, and looks for it.
func testAtomic(t *testing.T, p Place) {
	s := opened(t, p)
	commit(t, s, &record.Batch{Line: lineN(1), Logs: []record.Log{logState(logA, 5)}})
	before := load(t, s, lineN(1))
	b := everything(1)
	b.Logs = []record.Log{logState(logA, 5)}
	b.Move = &record.Move{Log: logA, From: 4, To: 5}
	if err := s.Commit(context.Background(), b); !errors.Is(err, session.ErrHeadMoved) {
		t.Fatalf("stale move: %v", err)
	}
	same(t, "snapshot", before, load(t, s, lineN(1)))
	nothingOf(t, s, b)
}

func testApart(t *testing.T, p Place) {
	s := opened(t, p)
	commit(t, s, everything(1))
	other := load(t, s, lineN(2))
	same(t, "another line's snapshot", record.Snapshot{}, other)
	b := everything(1)
	b.Line = lineN(2)
	nothingOf(t, s, b)
	commit(t, s, b)
	model := NewMemory()
	commit(t, model, b)
	same(t, "snapshot", load(t, model, lineN(2)), load(t, s, lineN(2)))
}

func testCancelled(t *testing.T, p Place) {
	s := opened(t, p)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.Commit(ctx, everything(1))
	snap := load(t, s, lineN(1))
	if err == nil {
		// It was quicker than the cancellation: then it must be there.
		nonEmpty(t, snap)
		return
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	if _, err := s.Load(ctx, lineN(1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("load with a cancelled context: %v", err)
	}
}

func testReopen(t *testing.T, p Place) {
	ends := []func(*testing.T){p.Close, p.Crash, p.Crash, p.Close}
	model := NewMemory()
	for i, end := range ends {
		s := p.Open(t)
		same(t, "after reopening", load(t, model, lineN(1)), load(t, s, lineN(1)))
		b := everything(uint64(i))
		b.Logs = []record.Log{logState(logA, uint64(i)+1)}
		b.Move = &record.Move{Log: logA, From: uint64(i), To: uint64(i) + 1}
		commit(t, s, b)
		commit(t, model, b)
		end(t)
	}
}

func nonEmpty(t *testing.T, snap record.Snapshot) {
	t.Helper()
	if len(snap.Logs)+len(snap.Ahead)+len(snap.Queue)+len(snap.Meta) == 0 {
		t.Error("a committed batch is not there")
	}
}

// nothingOf looks for what a batch would have left in the history.
func nothingOf(t *testing.T, s session.Store, b *record.Batch) {
	t.Helper()
	ctx := context.Background()
	for _, e := range b.Entries {
		if got, err := s.Entries(ctx, b.Line, e.Pos.Log, e.Pos.Seq, 1); err != nil || len(got) > 0 {
			t.Errorf("entry: %v, %v", got, err)
		}
	}
	for _, body := range b.Bodies {
		if got, err := s.Bodies(ctx, b.Line, []line.Pos{body.Pos}); err != nil || len(got) > 0 {
			t.Errorf("body: %v, %v", got, err)
		}
	}
	for _, h := range b.Heads {
		if _, ok, err := s.HeadAt(ctx, b.Line, h.Log, h.Size); err != nil || ok {
			t.Errorf("head: %v, %v", ok, err)
		}
	}
	for _, c := range b.Cosigs {
		if _, ok, err := s.CosigAt(ctx, b.Line, c.Log, c.Signer, 0); err != nil || ok {
			t.Errorf("cosig: %v, %v", ok, err)
		}
	}
	for _, g := range b.Segments {
		if _, ok, err := s.Segment(ctx, b.Line, g.ID); err != nil || ok {
			t.Errorf("segment: %v, %v", ok, err)
		}
	}
	for _, k := range b.Tokens {
		if _, ok, err := s.Token(ctx, b.Line, k.Token); err != nil || ok {
			t.Errorf("token: %v, %v", ok, err)
		}
	}
}
