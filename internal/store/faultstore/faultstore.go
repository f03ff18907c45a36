// Package faultstore wraps a store for tests and lets its durable writes fail
// in both ways that a real one can: not done, and done but reported as failed.
// Whoever relies on a store must come out right after either.
package faultstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"herald/internal/record"
	"herald/internal/session"
)

// ErrInjected is what a failed write returns.
var ErrInjected = errors.New("the store was made to fail")

// Outcome is what becomes of one durable write.
type Outcome uint8

// The outcomes.
const (
	Done          Outcome = iota // as the wrapped store says
	NotDone                      // nothing is written; an error is returned
	DoneButFailed                // written durably; an error is returned all the same
)

var names = [...]string{"done", "not done", "done but reported failed"}

// String names the outcome.
func (o Outcome) String() string { return names[o] }

// Plan decides the outcome of the n-th write, counted from 0.
type Plan func(n int, b *record.Batch) Outcome

// At fails exactly one write.
func At(write int, o Outcome) Plan {
	return func(n int, _ *record.Batch) Outcome {
		if n == write {
			return o
		}
		return Done
	}
}

// Each yields, with a name for a subtest, a plan for each of the first writes
// and both failures: run a scenario once to count its writes, then under each.
func Each(writes int) iter.Seq2[string, Plan] {
	return func(yield func(string, Plan) bool) {
		for n := range writes {
			for _, o := range []Outcome{NotDone, DoneButFailed} {
				if !yield(fmt.Sprintf("write %d %s", n, o), At(n, o)) {
					return
				}
			}
		}
	}
}

// Store is a store whose commits follow a plan. Reads go to the wrapped one.
type Store struct {
	session.Store
	mu   sync.Mutex
	plan Plan
	n    int
}

// New wraps a store. Without a plan all writes are done.
func New(inner session.Store, plan Plan) *Store { return &Store{Store: inner, plan: plan} }

// Writes returns how many commits there were, failed ones included. Empty
// batches are not counted: no store writes anything for them.
func (s *Store) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// Commit implements session.Store.
func (s *Store) Commit(ctx context.Context, b *record.Batch) error {
	if b.Empty() {
		return s.Store.Commit(ctx, b)
	}
	switch s.next(b) {
	case NotDone:
		return fmt.Errorf("commit: nothing was written: %w", ErrInjected)
	case DoneButFailed:
		if err := s.Store.Commit(ctx, b); err != nil {
			return err
		}
		return fmt.Errorf("commit: all was written: %w", ErrInjected)
	}
	return s.Store.Commit(ctx, b)
}

func (s *Store) next(b *record.Batch) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.n
	s.n++
	if s.plan == nil {
		return Done
	}
	return s.plan(n, b)
}
