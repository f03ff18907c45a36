package faultstore_test

import (
	"context"
	"errors"
	"testing"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
	"herald/internal/store/faultstore"
	"herald/internal/store/storetest"
)

// TestWithoutPlan: a wrapped store that never fails is a store.
func TestWithoutPlan(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Place {
		return place{faultstore.New(storetest.NewMemory(), nil)}
	})
}

type place struct{ s *faultstore.Store }

func (p place) Open(*testing.T) session.Store { return p.s }
func (p place) Close(*testing.T)              {}
func (p place) Crash(*testing.T)              {}

// count adds one to a number in the store, and believes nothing but what it
// loads.
func count(s session.Store) error {
	ctx := context.Background()
	snap, err := s.Load(ctx, line.ID{1})
	if err != nil {
		return err
	}
	log := record.Log{Log: line.Log{Gen: 1}}
	if len(snap.Logs) > 0 {
		log = snap.Logs[0]
	}
	from := log.Size
	log.Size++
	return s.Commit(ctx, &record.Batch{Line: line.ID{1}, Logs: []record.Log{log}, Move: &record.Move{Log: log.Log, From: from, To: log.Size}})
}

func TestEach(t *testing.T) {
	const writes = 4
	plans := 0
	for name, plan := range faultstore.Each(writes) {
		plans++
		t.Run(name, func(t *testing.T) {
			inner := storetest.NewMemory()
			s := faultstore.New(inner, plan)
			failed, outcome := -1, faultstore.Done
			for n := range writes {
				if o := plan(n, nil); o != faultstore.Done {
					failed, outcome = n, o
				}
				if err := count(s); errors.Is(err, faultstore.ErrInjected) != (n == failed) || (err != nil) != (n == failed) {
					t.Fatalf("write %d: %v", n, err)
				}
			}
			snap, err := inner.Load(context.Background(), line.ID{1})
			if err != nil {
				t.Fatal(err)
			}
			want := uint64(writes)
			if outcome == faultstore.NotDone {
				want--
			}
			if got := snap.Logs[0].Size; got != want {
				t.Fatalf("%d writes were done, want %d", got, want)
			}
			if s.Writes() != writes {
				t.Fatalf("%d writes were counted", s.Writes())
			}
		})
	}
	if plans != 2*writes {
		t.Fatalf("%d plans", plans)
	}
}

// TestRefusal: the wrapped store's own refusal is not hidden by a plan.
func TestRefusal(t *testing.T) {
	s := faultstore.New(storetest.NewMemory(), faultstore.At(0, faultstore.DoneButFailed))
	err := s.Commit(context.Background(), &record.Batch{Line: line.ID{1}, Move: &record.Move{From: 7, To: 8}})
	if !errors.Is(err, session.ErrHeadMoved) {
		t.Fatal(err)
	}
}
