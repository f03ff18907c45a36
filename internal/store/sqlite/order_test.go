package sqlite

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

func testEntry(p line.Pos, rank uint64) record.Entry {
	return record.Entry{SignedEntry: wire.SignedEntry{Pos: p, Leaf: []byte(fmt.Sprint(p))}, Rank: rank}
}

// TestOrdered compares any page of any record with a plain sort.
func TestOrdered(t *testing.T) {
	db := openTemp(t)
	ctx := context.Background()
	run := byte(0)
	rapid.Check(t, func(rt *rapid.T) {
		run++
		id := line.ID{run, 7}
		held := map[line.Pos]uint64{}
		b := &record.Batch{Line: id}
		for range rapid.IntRange(0, 20).Draw(rt, "entries") {
			p := line.Pos{
				Log: line.Log{Party: rapid.IntRange(0, 2).Draw(rt, "party"), Gen: line.Generation(rapid.IntRange(1, 2).Draw(rt, "gen"))},
				Seq: rapid.SampledFrom([]uint64{0, 1, 2, 3, 1 << 42, 1 << 63}).Draw(rt, "seq"),
			}
			if _, ok := held[p]; ok {
				continue
			}
			held[p] = rapid.Uint64Range(0, 4).Draw(rt, "rank")
			b.Entries = append(b.Entries, testEntry(p, held[p]))
			if rapid.Bool().Draw(rt, "opened") {
				b.Bodies = append(b.Bodies, record.Body{Pos: p, Number: p.Seq})
			}
		}
		if err := db.Commit(ctx, b); err != nil {
			rt.Fatal(err)
		}
		want := slices.Clone(b.Entries)
		slices.SortFunc(want, func(x, y record.Entry) int {
			return OrderKey{x.Rank - 1, x.Pos}.compare(OrderKey{y.Rank - 1, y.Pos}) // rank 0 wraps round to the end
		})
		page := rapid.IntRange(1, 6).Draw(rt, "page")
		var got []record.Entry
		for after := (OrderKey{}); ; {
			rows, err := db.Ordered(ctx, id, after, page)
			if err != nil {
				rt.Fatal(err)
			}
			for _, r := range rows {
				got = append(got, r.Entry)
				opened := slices.ContainsFunc(b.Bodies, func(x record.Body) bool { return x.Pos == r.Entry.Pos })
				if r.Opened != opened || opened && (r.Body.Pos != r.Entry.Pos || r.Body.Number != r.Entry.Pos.Seq) {
					rt.Fatalf("body of %v: %v %+v", r.Entry.Pos, r.Opened, r.Body)
				}
				after = r.Key()
			}
			if len(rows) < page {
				break
			}
		}
		if !reflect.DeepEqual(slices.Collect(slices.Values(want)), got) {
			rt.Fatalf("order:\nwant %v\n got %v", want, got)
		}
	})
}

func TestByNumber(t *testing.T) {
	db := openTemp(t)
	ctx := context.Background()
	at := func(party int, gen line.Generation, seq uint64) line.Pos {
		return line.Pos{Log: line.Log{Party: party, Gen: gen}, Seq: seq}
	}
	err := db.Commit(ctx, &record.Batch{Line: line.ID{1}, Bodies: []record.Body{
		{Pos: at(0, 2, 1), Number: 598}, {Pos: at(0, 1, 9), Number: 598}, {Pos: at(1, 1, 4), Number: 598}, {Pos: at(0, 1, 2)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		party  int
		number uint64
		want   line.Pos
		ok     bool
	}{{0, 598, at(0, 1, 9), true}, {1, 598, at(1, 1, 4), true}, {1, 599, line.Pos{}, false}, {0, 0, line.Pos{}, false}} {
		got, ok, err := db.ByNumber(ctx, line.ID{1}, c.party, c.number)
		if err != nil || ok != c.ok || got != c.want {
			t.Errorf("party %d, number %d: %v, %v, %v", c.party, c.number, got, ok, err)
		}
	}
	if _, ok, err := db.ByNumber(ctx, line.ID{2}, 0, 598); ok || err != nil {
		t.Errorf("another line: %v, %v", ok, err)
	}
}

// TestExport reads everything back in pages, and stops when it is told to.
func TestExport(t *testing.T) {
	db := openTemp(t)
	ctx := context.Background()
	logs := []line.Log{{Party: 0, Gen: 1}, {Party: 0, Gen: 2}, {Party: 3, Gen: 1}}
	const n = 2*exportPage + 3
	want := map[line.Log]int{}
	for _, log := range logs {
		b := &record.Batch{Line: line.ID{1}}
		for i := range uint64(n) {
			b.Entries = append(b.Entries, testEntry(line.Pos{Log: log, Seq: 3 * i}, i+1))
			b.Heads = append(b.Heads, record.Head{Head: wire.Head{Log: log, Size: i / 2, Root: line.Hash{byte(i % 2)}}})
			b.Cosigs = append(b.Cosigs, record.Cosig{Cosig: wire.Cosig{Log: log, Size: i / 2, Signer: logs[i%2]}})
		}
		b.Proofs = []record.Proof{{Log: log, Text: "seen", Bytes: []byte{1}}, {Log: log, Text: "seen", Bytes: []byte{1}, Found: 9}}
		if err := db.Commit(ctx, b); err != nil {
			t.Fatal(err)
		}
		want[log] = n
	}
	if got, err := db.Logs(ctx, line.ID{1}); err != nil || !slices.Equal(got, logs) {
		t.Fatalf("logs: %v, %v", got, err)
	}
	if got, err := db.Proofs(ctx, line.ID{1}); err != nil || len(got) != len(logs) || got[0].Found != 0 {
		t.Fatalf("proofs: %v, %v", got, err)
	}
	stop := errors.New("enough")
	for _, log := range logs {
		check(t, n, func(f func(string) error) error {
			return db.AllEntries(ctx, line.ID{1}, log, func(e record.Entry) error { return f(fmt.Sprintf("%020d", e.Pos.Seq)) })
		})
		check(t, n, func(f func(string) error) error {
			return db.AllHeads(ctx, line.ID{1}, log, func(h record.Head) error { return f(fmt.Sprintf("%020d %s", h.Size, h.Root)) })
		})
		check(t, n, func(f func(string) error) error {
			return db.AllCosigs(ctx, line.ID{1}, log, func(c record.Cosig) error {
				return f(fmt.Sprintf("%d %d %020d", c.Signer.Party, c.Signer.Gen, c.Size))
			})
		})
		if err := db.AllHeads(ctx, line.ID{1}, log, func(record.Head) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("stopped: %v", err)
		}
	}
}

// check wants n different names in rising order.
func check(t *testing.T, n int, all func(func(string) error) error) {
	t.Helper()
	var names []string
	if err := all(func(s string) error { names = append(names, s); return nil }); err != nil {
		t.Fatal(err)
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) != n || !slices.Equal(names, sorted) {
		t.Fatalf("%d rows, %d of them different, want %d in order", len(names), len(sorted), n)
	}
}
