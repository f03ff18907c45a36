package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
)

// testModel commits random batches to the store and to Memory, and compares
// everything that can be read. Each run uses lines of its own.
func testModel(t *testing.T, p Place) {
	s := opened(t, p)
	run := byte(0)
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := NewMemory()
		lines := []line.ID{{100, run}, {101, run}}
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			l := rapid.SampledFrom(lines).Draw(rt, "line")
			b := drawBatch(rt, l)
			want, got := m.Commit(context.Background(), b), s.Commit(context.Background(), b)
			if errors.Is(want, session.ErrHeadMoved) != errors.Is(got, session.ErrHeadMoved) || (want == nil) != (got == nil) {
				rt.Fatalf("commit: want %v, got %v", want, got)
			}
		}
		for _, l := range lines {
			want, _ := m.Load(context.Background(), l)
			got, err := s.Load(context.Background(), l)
			if err != nil {
				rt.Fatal(err)
			}
			same(rt, "snapshot", want, got)
			for size := range uint64(6) {
				compareHistory(rt, m, s, l, logA, logB, size)
				compareHistory(rt, m, s, l, logB, logB, size)
			}
		}
	})
}

// drawBatch makes a batch over few places, so that rows meet.
func drawBatch(t *rapid.T, l line.ID) *record.Batch {
	n := rapid.Uint64Range(0, 4)
	log := rapid.SampledFrom([]line.Log{logA, logB})
	seed := rapid.Uint64Range(0, 50)
	b := &record.Batch{Line: l}
	some := func(what string, add func()) {
		for range rapid.IntRange(0, 2).Draw(t, what) {
			add()
		}
	}
	pos := func() line.Pos { return at(log.Draw(t, "log"), n.Draw(t, "seq")) }
	some("entries", func() { b.Entries = append(b.Entries, entry(pos(), n.Draw(t, "rank"), seed.Draw(t, "seed"))) })
	some("ranks", func() { b.Ranks = append(b.Ranks, record.Rank{Pos: pos(), Rank: n.Draw(t, "rank")}) })
	some("bodies", func() {
		x := body(pos(), seed.Draw(t, "seed"))
		x.Pending = rapid.Bool().Draw(t, "pending")
		b.Bodies = append(b.Bodies, x)
	})
	some("heads", func() {
		b.Heads = append(b.Heads, head(log.Draw(t, "log"), n.Draw(t, "size"), n.Draw(t, "root"), seed.Draw(t, "seed")))
	})
	some("cosigs", func() {
		b.Cosigs = append(b.Cosigs, cosig(log.Draw(t, "log"), n.Draw(t, "size"), log.Draw(t, "signer"), seed.Draw(t, "seed")))
	})
	some("epochs", func() {
		p := pos()
		b.Epochs = append(b.Epochs, record.Epoch{Log: p.Log, Base: p.Seq, Leaves: filled(16, p.Seq), Secret: filled(int(n.Draw(t, "length")), 1), End: n.Draw(t, "end")})
	})
	some("keys", func() {
		b.Keys = append(b.Keys, record.ReceiveKey{Log: log.Draw(t, "log"), Index: uint32(n.Draw(t, "index")), Seed: filled(int(n.Draw(t, "length")), 1), Seq: seed.Draw(t, "seed")})
	})
	some("segments", func() {
		b.Segments = append(b.Segments, record.Segment{ID: n.Draw(t, "id"), Working: filled(int(n.Draw(t, "length")), 1)})
	})
	some("queue", func() {
		b.Queue = append(b.Queue, record.Queued{ID: n.Draw(t, "id"), Precedence: line.Precedence(n.Draw(t, "precedence") % 4), Time: seed.Draw(t, "seed")})
	})
	some("unqueue", func() { b.Unqueue = append(b.Unqueue, n.Draw(t, "id")) })
	some("tokens", func() {
		b.Tokens = append(b.Tokens, record.Token{Token: fmt.Sprint(n.Draw(t, "token")), Queued: seed.Draw(t, "seed"), Pos: pos()})
	})
	some("meta", func() {
		b.Meta = map[string][]byte{fmt.Sprint(n.Draw(t, "name")): rapid.SampledFrom([][]byte{nil, {}, {7}}).Draw(t, "value")}
	})
	some("logs", func() { b.Logs = append(b.Logs, logState(log.Draw(t, "log"), n.Draw(t, "size"))) })
	if rapid.Bool().Draw(t, "move") {
		mv := record.Move{Log: log.Draw(t, "log"), From: n.Draw(t, "from"), To: n.Draw(t, "to")}
		b.Move = &mv
		b.Logs = append(b.Logs, logState(mv.Log, mv.To))
	}
	return b
}

// compareHistory reads everything about one number from both stores.
func compareHistory(t fataler, want, got session.History, l line.ID, log, signer line.Log, n uint64) {
	t.Helper()
	ctx := context.Background()
	type answer struct {
		What  string
		Value any
		OK    bool
		Err   error
	}
	ask := func(s session.History) []answer {
		entries, err1 := s.Entries(ctx, l, log, n, 3)
		urgent, err7 := s.Urgent(ctx, l, log, n, 2)
		leaves, ok8, err8 := s.EpochLeaves(ctx, l, log, n)
		bodies, err2 := s.Bodies(ctx, l, []line.Pos{at(log, n), at(signer, n), at(log, math.MaxInt64)})
		h, ok3, err3 := s.HeadAt(ctx, l, log, n)
		c, ok4, err4 := s.CosigAt(ctx, l, log, signer, n)
		g, ok5, err5 := s.Segment(ctx, l, n)
		k, ok6, err6 := s.Token(ctx, l, fmt.Sprint(n))
		return []answer{
			{"entries", entries, len(entries) > 0, err1}, {"bodies", bodies, len(bodies) > 0, err2},
			{"urgent", urgent, len(urgent) > 0, err7}, {"leaves", leaves, ok8, err8},
			{"head", h, ok3, err3}, {"cosig", c, ok4, err4}, {"segment", g, ok5, err5}, {"token", k, ok6, err6},
		}
	}
	w, g := ask(want), ask(got)
	for i := range w {
		if w[i].OK != g[i].OK || w[i].Err != nil || g[i].Err != nil || fmt.Sprintf("%x", w[i].Value) != fmt.Sprintf("%x", g[i].Value) {
			t.Fatalf("line %s, log %v, number %d: %s differs:\nwant %+v\n got %+v", l.Short(), log, n, w[i].What, w[i], g[i])
		}
	}
}
