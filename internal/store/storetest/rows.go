package storetest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

var (
	logA = line.Log{Party: 0, Gen: 1}
	logB = line.Log{Party: 1, Gen: 1}
)

func lineN(n byte) line.ID { return line.ID{n, 1} }

func at(l line.Log, seq uint64) line.Pos { return line.Pos{Log: l, Seq: seq} }

// filled returns n bytes that depend on seed.
func filled(n int, seed uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, seed+1)
	return bytes.Repeat(b, (n+7)/8)[:n]
}

func sigN(n uint64) (s [64]byte) { copy(s[:], filled(64, n)); return s }

func hashN(n uint64) (h line.Hash) { copy(h[:], filled(32, n)); return h }

func entry(p line.Pos, rank, seed uint64) record.Entry {
	return record.Entry{
		SignedEntry: wire.SignedEntry{Pos: p, Sig: sigN(seed), Leaf: filled(100, seed)},
		LeafHash:    hashN(seed), Received: int64(seed), Via: fmt.Sprint("tcp ", seed%3), Urgent: seed%2 == 1, Rank: rank,
	}
}

func body(p line.Pos, seed uint64) record.Body {
	return record.Body{
		Pos: p, Kind: wire.Kind(seed % 9), Precedence: line.Precedence(seed % 4), Marking: line.Marking(seed % 3),
		Number: seed % 5, Segment: seed, Box: filled(80, seed),
	}
}

func logState(l line.Log, size uint64) record.Log {
	return record.Log{Log: l, Tree: filled(64, size), Size: size, Ranked: size / 2, LastRank: size / 3, Opened: size / 4}
}

func head(l line.Log, size, root, seed uint64) record.Head {
	return record.Head{Head: wire.Head{Log: l, Size: size, Root: hashN(root), Sig: sigN(seed)}, Received: int64(seed)}
}

func cosig(l line.Log, size uint64, signer line.Log, seed uint64) record.Cosig {
	return record.Cosig{Cosig: wire.Cosig{Log: l, Size: size, Signer: signer, Time: seed, Sig: sigN(seed)}, Received: int64(seed)}
}

// everything is a batch with something of every kind, its rows depending on n.
func everything(n uint64) *record.Batch {
	p := at(logA, n)
	return &record.Batch{
		Line:     lineN(1),
		Entries:  []record.Entry{entry(p, 0, n), entry(at(logB, n+7), n+1, n)},
		Ranks:    []record.Rank{{Pos: p, Rank: n + 1}},
		Bodies:   []record.Body{body(p, n), {Pos: at(logB, n+7), Pending: true}},
		Logs:     []record.Log{logState(logB, n)},
		Heads:    []record.Head{head(logA, n+1, n, n)},
		Cosigs:   []record.Cosig{cosig(logA, n+1, logB, n)},
		Receipts: []record.Receipt{{Target: p, Party: 1, Step: record.Read, Source: at(logB, n), Time: n, Officer: 7, Good: true}},
		Epochs:   []record.Epoch{{Log: logA, Base: n, Leaves: filled(64, n), Secret: filled(48, n), End: n}},
		Keys:     []record.ReceiveKey{{Log: logA, Index: uint32(n), Seq: n, Seed: filled(48, n), Made: int64(n)}},
		Segments: []record.Segment{{ID: n + 1, Working: filled(48, n), Offline: filled(90, n), Made: int64(n)}},
		Queue:    []record.Queued{{ID: n, Precedence: line.Precedence(n % 4), Time: n, Segment: n, Box: filled(30, n), Token: "q", Accepted: int64(n)}},
		Tokens:   []record.Token{{Token: fmt.Sprint("t", n), Queued: n, Pos: p, Number: n}},
		Proofs:   []record.Proof{{Log: logB, Found: int64(n), Proven: true, Text: "two roots", Bytes: filled(200, n)}},
		Meta:     map[string][]byte{"watch": filled(5, n)},
	}
}

// same compares two values; what has no order is put in one first.
func same[T any](t fataler, what string, want, got T) {
	t.Helper()
	w, g := plain(want), plain(got)
	if reflect.DeepEqual(w, g) {
		return
	}
	if w, ok := w.(map[string]string); ok {
		for field, v := range g.(map[string]string) {
			if v != w[field] {
				t.Fatalf("%s differs in %s:\nwant %s\n got %s", what, field, w[field], v)
			}
		}
	}
	t.Fatalf("%s differs:\nwant %+v\n got %+v", what, w, g)
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

var _ fataler = (*testing.T)(nil)

// plain returns v as it is, or, where it is a snapshot, each of its fields in
// words, which makes nothing of the difference between empty and nil.
func plain[T any](v T) any {
	snap, ok := any(v).(record.Snapshot)
	if !ok {
		return v
	}
	slices.SortFunc(snap.Logs, func(a, b record.Log) int { return a.Log.Compare(b.Log) })
	slices.SortFunc(snap.Ahead, func(a, b record.Entry) int { return a.Pos.Compare(b.Pos) })
	slices.SortFunc(snap.Waiting, func(a, b record.Entry) int { return a.Pos.Compare(b.Pos) })
	slices.SortFunc(snap.Pending, line.Pos.Compare)
	slices.SortFunc(snap.Heads, func(a, b record.Head) int { return a.Log.Compare(b.Log) })
	slices.SortFunc(snap.Cosigs, func(a, b record.Cosig) int {
		return cmp.Or(a.Log.Compare(b.Log), a.Signer.Compare(b.Signer))
	})
	slices.SortFunc(snap.Epochs, func(a, b record.Epoch) int {
		return cmp.Or(a.Log.Compare(b.Log), cmp.Compare(a.Base, b.Base))
	})
	fields := map[string]string{}
	for v := reflect.ValueOf(snap); len(fields) < v.NumField(); {
		i := len(fields)
		fields[v.Type().Field(i).Name] = fmt.Sprintf("%x", v.Field(i))
	}
	return fields
}
