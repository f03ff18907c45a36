package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"herald/internal/record"
	"herald/internal/session"
)

// testRace has many callers move one head from the same size: one may.
func testRace(t *testing.T, p Place) {
	s := opened(t, p)
	const callers = 16
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			errs[i] = s.Commit(context.Background(), &record.Batch{
				Line: lineN(1), Entries: []record.Entry{entry(at(logA, 0), 1, uint64(i))},
				Logs: []record.Log{logState(logA, 1)}, Move: &record.Move{Log: logA, From: 0, To: 1},
			})
		})
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Fatalf("callers %d and %d both moved the head", won, i)
		case err == nil:
			won = i
		case !errors.Is(err, session.ErrHeadMoved):
			t.Fatal(err)
		}
	}
	if won < 0 {
		t.Fatal("nobody moved the head")
	}
	got, err := s.Entries(context.Background(), lineN(1), logA, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "entries", []record.Entry{entry(at(logA, 0), 1, uint64(won))}, got)
}

// testManyLines commits to 64 lines at once, over and over; every fifth batch
// is stale and must fail alone.
func testManyLines(t *testing.T, p Place) {
	s := opened(t, p)
	const lines, rounds = 64, 10
	var wg sync.WaitGroup
	for n := range byte(lines) {
		wg.Go(func() {
			for i := range uint64(rounds) {
				b := everything(i)
				b.Line = lineN(n)
				b.Logs = append(b.Logs, logState(logA, i+1))
				b.Move = &record.Move{Log: logA, From: i, To: i + 1}
				if i%5 == 4 {
					stale := *b
					stale.Move = &record.Move{Log: logA, From: i - 1, To: i + 1}
					stale.Meta = map[string][]byte{"stale": {1}}
					if err := s.Commit(context.Background(), &stale); !errors.Is(err, session.ErrHeadMoved) {
						t.Errorf("line %d: a stale batch: %v", n, err)
					}
				}
				if err := s.Commit(context.Background(), b); err != nil {
					t.Errorf("line %d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	model := NewMemory()
	for i := range uint64(rounds) {
		b := everything(i)
		b.Logs = append(b.Logs, logState(logA, i+1))
		commit(t, model, b)
	}
	for n := range byte(lines) {
		same(t, "snapshot", load(t, model, lineN(1)), load(t, s, lineN(n)))
	}
}
