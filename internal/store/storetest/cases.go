package storetest

import (
	"context"
	"math"
	"testing"

	"herald/internal/line"
	"herald/internal/record"
)

func testDuplicates(t *testing.T, p Place) {
	s := opened(t, p)
	first := &record.Batch{
		Line:    lineN(1),
		Entries: []record.Entry{entry(at(logA, 0), 1, 1), entry(at(logA, 0), 2, 2)},
		Heads:   []record.Head{head(logA, 1, 1, 1)},
		Cosigs:  []record.Cosig{cosig(logA, 1, logB, 1)},
		Queue:   []record.Queued{{ID: 4, Box: []byte("first")}},
	}
	commit(t, s, first)
	commit(t, s, &record.Batch{
		Line:    lineN(1),
		Entries: []record.Entry{entry(at(logA, 0), 9, 9), entry(at(logA, 1), 2, 3)},
		Heads:   []record.Head{head(logA, 1, 1, 9)},
		Cosigs:  []record.Cosig{cosig(logA, 1, logB, 9)},
		Queue:   []record.Queued{{ID: 4, Box: []byte("second")}},
	})
	ctx := context.Background()
	got, err := s.Entries(ctx, lineN(1), logA, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "entries", []record.Entry{entry(at(logA, 0), 1, 1), entry(at(logA, 1), 2, 3)}, got)
	h, ok, err := s.HeadAt(ctx, lineN(1), logA, 1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	same(t, "head", head(logA, 1, 1, 1), h)
	c, ok, err := s.CosigAt(ctx, lineN(1), logA, logB, 1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	same(t, "cosig", cosig(logA, 1, logB, 1), c)
	same(t, "queue", []record.Queued{{ID: 4, Box: []byte("first")}}, load(t, s, lineN(1)).Queue)
}

func testReplaced(t *testing.T, p Place) {
	s := opened(t, p)
	ctx := context.Background()
	pos := at(logA, 3)
	commit(t, s, &record.Batch{
		Line:    lineN(1),
		Entries: []record.Entry{entry(pos, 0, 1)},
		Ranks:   []record.Rank{{Pos: pos, Rank: 5}, {Pos: at(logA, 4), Rank: 6}}, // 4 is not held
		Bodies:  []record.Body{{Pos: pos, Pending: true}},
		Logs:    []record.Log{logState(logA, 9)},
		Tokens:  []record.Token{{Token: "t", Queued: 8}},
	})
	same(t, "pending", []line.Pos{pos}, load(t, s, lineN(1)).Pending)
	commit(t, s, &record.Batch{
		Line:   lineN(1),
		Bodies: []record.Body{body(pos, 2)},
		Logs:   []record.Log{logState(logA, 10)},
		Tokens: []record.Token{{Token: "t", Pos: pos, Number: 598}},
	})
	snap := load(t, s, lineN(1))
	same(t, "pending", nil, snap.Pending)
	same(t, "log", []record.Log{logState(logA, 10)}, snap.Logs)
	same(t, "waiting", nil, snap.Waiting)
	bodies, err := s.Bodies(ctx, lineN(1), []line.Pos{at(logB, 0), pos, at(logA, 4)})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "bodies", []record.Body{body(pos, 2)}, bodies)
	entries, err := s.Entries(ctx, lineN(1), logA, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "entries", []record.Entry{entry(pos, 5, 1)}, entries)
	token, ok, err := s.Token(ctx, lineN(1), "t")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	same(t, "token", record.Token{Token: "t", Pos: pos, Number: 598}, token)
}

func testReceipts(t *testing.T, p Place) {
	s := opened(t, p)
	lister, ok := s.(interface {
		Receipts(context.Context, line.ID, []line.Pos) ([]record.Receipt, error)
	})
	if !ok {
		t.Skip("the store does not list receipts")
	}
	r := func(seq uint64, source uint64, good bool) record.Receipt {
		return record.Receipt{Target: at(logA, seq), Party: 1, Step: record.Read, Source: at(logB, source), Time: source, Officer: 1, Good: good}
	}
	// The target need not be held, nor be the last word on its place.
	for _, b := range [][]record.Receipt{
		{r(0, 10, false), r(0, 11, false)},
		{r(1, 12, false), r(1, 13, true)},
		{r(1, 14, true), r(1, 15, false)},
		{r(math.MaxUint64, 16, true)},
	} {
		commit(t, s, &record.Batch{Line: lineN(1), Receipts: b})
	}
	got, err := lister.Receipts(context.Background(), lineN(1), []line.Pos{at(logA, 0), at(logA, 1), at(logB, 0), at(logA, math.MaxUint64)})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "receipts", []record.Receipt{r(0, 10, false), r(1, 13, true), r(math.MaxUint64, 16, true)}, got)
}

func testAheadAndWaiting(t *testing.T, p Place) {
	s := opened(t, p)
	commit(t, s, &record.Batch{
		Line: lineN(1),
		Logs: []record.Log{logState(logA, 4)},
		Entries: []record.Entry{
			entry(at(logA, 6), 0, 6), entry(at(logA, 4), 0, 4), // beyond the gap and at its border
			entry(at(logA, 3), 0, 3), entry(at(logA, 1), 0, 1), // in the prefix, unranked
			entry(at(logA, 0), 1, 0), entry(at(logA, 2), 7, 2),
			entry(at(logB, 1), 0, 1), // a log without a row of its own
		},
	})
	snap := load(t, s, lineN(1))
	same(t, "ahead", record.Snapshot{Ahead: []record.Entry{entry(at(logA, 4), 0, 4), entry(at(logA, 6), 0, 6), entry(at(logB, 1), 0, 1)}},
		record.Snapshot{Ahead: snap.Ahead})
	same(t, "waiting", []record.Entry{entry(at(logA, 1), 0, 1), entry(at(logA, 3), 0, 3)}, snap.Waiting)
}

func testGreatest(t *testing.T, p Place) {
	s := opened(t, p)
	again := line.Log{Party: 1, Gen: 2}
	commit(t, s, &record.Batch{
		Line:  lineN(1),
		Heads: []record.Head{head(logA, 9, 1, 5), head(logA, 9, 2, 4), head(logA, 3, 1, 1), head(logB, 1, 1, 1)},
		Cosigs: []record.Cosig{
			cosig(logA, 9, logB, 2), cosig(logA, 3, logB, 1), cosig(logA, 4, again, 3), cosig(logB, 2, logA, 4),
		},
	})
	want := record.Snapshot{
		Heads:  []record.Head{head(logA, 9, 2, 4), head(logB, 1, 1, 1)},
		Cosigs: []record.Cosig{cosig(logA, 9, logB, 2), cosig(logA, 4, again, 3), cosig(logB, 2, logA, 4)},
	}
	same(t, "snapshot", want, load(t, s, lineN(1)))
	h, ok, err := s.HeadAt(context.Background(), lineN(1), logA, 9)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	same(t, "head", head(logA, 9, 2, 4), h)
}

func testHistory(t *testing.T, p Place) {
	s := opened(t, p)
	ctx := context.Background()
	b := &record.Batch{Line: lineN(1)}
	for _, seq := range []uint64{0, 1, 2, 5, 6, 9} {
		b.Entries = append(b.Entries, entry(at(logA, seq), seq+1, seq), entry(at(logB, seq), seq+1, seq))
	}
	for _, size := range []uint64{2, 5, 9} {
		b.Cosigs = append(b.Cosigs, cosig(logA, size, logB, size))
	}
	commit(t, s, b)
	for _, c := range []struct {
		first uint64
		max   int
		want  []uint64
	}{
		{0, 3, []uint64{0, 1, 2}}, {2, 3, []uint64{2, 5, 6}}, {3, 100, []uint64{5, 6, 9}}, {10, 5, nil}, {0, 0, nil},
	} {
		got, err := s.Entries(ctx, lineN(1), logA, c.first, c.max)
		if err != nil || len(got) != len(c.want) {
			t.Fatalf("entries from %d: %d, %v", c.first, len(got), err)
		}
		for i, seq := range c.want {
			same(t, "entry", entry(at(logA, seq), seq+1, seq), got[i])
		}
	}
	urgent, err := s.Urgent(ctx, lineN(1), logA, 1, 2) // the odd ones
	if err != nil {
		t.Fatal(err)
	}
	same(t, "urgent", []record.Entry{entry(at(logA, 1), 2, 1), entry(at(logA, 5), 6, 5)}, urgent)
	for size, want := range map[uint64]uint64{0: 2, 2: 2, 3: 5, 6: 9, 10: 0} {
		c, ok, err := s.CosigAt(ctx, lineN(1), logA, logB, size)
		if err != nil || ok != (want > 0) {
			t.Fatalf("cosig at %d: %v, %v", size, ok, err)
		}
		if ok {
			same(t, "cosig", cosig(logA, want, logB, want), c)
		}
	}
}

// testExtremes stores what a hostile party may sign: places, sizes and times
// anywhere up to 2^64-1. None of it may wedge the line.
func testExtremes(t *testing.T, p Place) {
	s := opened(t, p)
	m := NewMemory()
	places := []uint64{0, 1, 1<<42 - 1, 1 << 42, 1<<42 + 1, 1 << 62, 1<<63 - 1, 1 << 63, math.MaxUint64 - 1, math.MaxUint64}
	last := line.Log{Party: line.MaxParties - 1, Gen: math.MaxUint32}
	for i, seq := range places {
		for _, log := range []line.Log{logA, last} {
			b := &record.Batch{
				Line:     lineN(1),
				Entries:  []record.Entry{entry(at(log, seq), uint64(i), seq)},
				Bodies:   []record.Body{body(at(log, seq), seq), {Pos: at(logB, seq), Pending: true}},
				Heads:    []record.Head{head(log, seq, 1, 1)},
				Cosigs:   []record.Cosig{cosig(log, seq, last, seq)},
				Epochs:   []record.Epoch{{Log: log, Base: seq, Secret: []byte("s"), End: seq}},
				Keys:     []record.ReceiveKey{{Log: log, Index: math.MaxUint32, Seq: seq}},
				Segments: []record.Segment{{ID: seq}},
				Queue:    []record.Queued{{ID: seq, Time: seq}},
				Tokens:   []record.Token{{Token: "t", Queued: seq, Pos: at(log, seq), Number: seq}},
			}
			commit(t, s, b)
			commit(t, m, b)
		}
	}
	for _, size := range places {
		commit(t, s, &record.Batch{Line: lineN(1), Logs: []record.Log{{Log: logA, Size: size}}})
		commit(t, m, &record.Batch{Line: lineN(1), Logs: []record.Log{{Log: logA, Size: size}}})
		same(t, "snapshot", load(t, m, lineN(1)), load(t, s, lineN(1)))
		compareHistory(t, m, s, lineN(1), logA, last, size)
	}
}

func testQueue(t *testing.T, p Place) {
	s := opened(t, p)
	q := func(id uint64, prec line.Precedence, accepted int64) record.Queued {
		return record.Queued{ID: id, Precedence: prec, Accepted: accepted, Box: filled(9, id)}
	}
	// Neither numbers nor a clock that was set back change who came first.
	commit(t, s, &record.Batch{Line: lineN(1), Queue: []record.Queued{
		q(7, line.Routine, 50), q(3, line.Flash, 40), q(9, line.Flash, 30), q(1, line.Routine, 20),
	}})
	commit(t, s, &record.Batch{Line: lineN(1), Queue: []record.Queued{q(2, line.Immediate, 1), q(5, line.Flash, 2)}, Unqueue: []uint64{9, 77, 8}})
	commit(t, s, &record.Batch{Line: lineN(1), Queue: []record.Queued{q(8, line.Flash, 3)}, Unqueue: []uint64{8}})
	same(t, "queue", []record.Queued{q(3, line.Flash, 40), q(5, line.Flash, 2), q(2, line.Immediate, 1), q(7, line.Routine, 50), q(1, line.Routine, 20)},
		load(t, s, lineN(1)).Queue)
}

func testSecrets(t *testing.T, p Place) {
	s := opened(t, p)
	e := record.Epoch{Log: logA, Base: 3, Leaves: filled(64, 1), Secret: filled(48, 1), End: 0}
	k := record.ReceiveKey{Log: logA, Index: 4, Seq: 3, Seed: filled(48, 1), Made: 5}
	g1 := record.Segment{ID: 1, Working: filled(48, 1), Offline: filled(90, 1), Made: 9}
	g2 := record.Segment{ID: 2, Working: filled(48, 2), Made: 3}
	commit(t, s, &record.Batch{Line: lineN(1), Epochs: []record.Epoch{e}, Keys: []record.ReceiveKey{k}, Segments: []record.Segment{g2, g1}})
	same(t, "snapshot", record.Snapshot{Epochs: []record.Epoch{e}, Keys: []record.ReceiveKey{k}, Segments: []record.Segment{g2}}, load(t, s, lineN(1)))
	// Keys come in the order in which they were published.
	k2 := record.ReceiveKey{Log: logA, Index: 3, Seed: filled(48, 2)}
	k3 := record.ReceiveKey{Log: line.Log{Party: 0, Gen: 2}, Index: 1, Seed: filled(48, 3)}
	commit(t, s, &record.Batch{Line: lineN(1), Keys: []record.ReceiveKey{k3, k2}})
	same(t, "keys", []record.ReceiveKey{k2, k, k3}, load(t, s, lineN(1)).Keys)
	k2.Seed, k3.Seed = nil, nil
	commit(t, s, &record.Batch{Line: lineN(1), Keys: []record.ReceiveKey{k3, k2}})
	e.Secret, k.Seed, g1.Working = nil, nil, nil
	commit(t, s, &record.Batch{Line: lineN(1), Epochs: []record.Epoch{e}, Keys: []record.ReceiveKey{k}, Segments: []record.Segment{g1}})
	same(t, "erased", record.Snapshot{Segments: []record.Segment{g2}}, load(t, s, lineN(1)))
	got, ok, err := s.Segment(context.Background(), lineN(1), 1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	same(t, "segment", g1, got)
	leaves, ok, err := s.EpochLeaves(context.Background(), lineN(1), logA, 3)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	same(t, "leaves", e.Leaves, leaves)
}

func testMeta(t *testing.T, p Place) {
	s := opened(t, p)
	commit(t, s, &record.Batch{Line: lineN(1), Meta: map[string][]byte{"a": []byte("1"), "b": {}, "c": []byte("3")}})
	commit(t, s, &record.Batch{Line: lineN(1), Meta: map[string][]byte{"a": []byte("4"), "c": nil, "d": nil}})
	got := load(t, s, lineN(1)).Meta
	if v, ok := got["b"]; !ok || len(v) != 0 || len(got) != 2 || string(got["a"]) != "4" {
		t.Fatalf("meta: %q", got)
	}
}
