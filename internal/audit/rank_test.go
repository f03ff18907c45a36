package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"math/rand/v2"
	"testing"

	"herald/internal/audit"
	"herald/internal/audit/audittest"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/record/recordtest"
	"herald/internal/wire"
)

// certified gives record the keys of a world.
type certified struct{ w *audittest.World }

func (c certified) LogKey(g line.Log) (ed25519.PublicKey, bool) {
	s := c.w.Parties[g.Party].Stations[g.Gen-1]
	return s.Log.Public().(ed25519.PublicKey), true
}

func (c certified) DeliveryKey(g line.Log) (ed25519.PublicKey, bool) {
	s := c.w.Parties[g.Party].Stations[g.Gen-1]
	return s.Delivery.Public().(ed25519.PublicKey), true
}

// TestRanksAsRecord: the audit, reading log after log, puts entries in the
// same order as a station that took them in any order.
func TestRanksAsRecord(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		w := talk(t, rnd)
		want := recordRanks(t, w, rnd)
		got, err := audit.RanksOf(t.Context(), bytes.NewReader(export(t, w, nil)))
		ok(t, err)
		for _, l := range w.Logs {
			for seq := range l.Entries {
				r := uint64(0)
				if seq < len(got[l.Log]) {
					r = uint64(got[l.Log][seq])
				}
				if p := (line.Pos{Log: l.Log, Seq: uint64(seq)}); r != want[p] {
					t.Fatalf("seed %d, %v: audit ranks it %d, record %d", seed, p, r, want[p])
				}
			}
		}
	}
}

// TestVectorsRanks puts the graphs of the record's chapter into exports, and
// holds the audit to the same ranks.
func TestVectorsRanks(t *testing.T) {
	for _, g := range recordtest.Graphs(t, "../../spec/vectors/07-record.txtar") {
		t.Run(g.Name, func(t *testing.T) {
			got, err := audit.RanksOf(t.Context(), bytes.NewReader(export(t, drawn(t, g), nil)))
			ok(t, err)
			for _, e := range g.Entries {
				rank := uint64(0)
				if ranks := got[e.Pos.Log]; e.Pos.Seq < uint64(len(ranks)) {
					rank = uint64(ranks[e.Pos.Seq])
				}
				if rank != e.Rank {
					t.Errorf("%s: rank %d, want %d", g.Place(e.Pos), rank, e.Rank)
				}
			}
		})
	}
}

// drawn makes the line that a graph describes.
func drawn(t *testing.T, g recordtest.Graph) *audittest.World {
	t.Helper()
	w, err := audittest.New(1, nil, g.Members...)
	ok(t, err)
	logs := map[line.Log]*audittest.Log{}
	for _, e := range g.Entries {
		l := logs[e.Pos.Log]
		if l == nil {
			p := w.Parties[e.Pos.Party]
			for len(p.Stations) < int(e.Pos.Gen) {
				ok(t, w.Generation(p))
			}
			l = &audittest.Log{W: w, Party: p, Log: e.Pos.Log, ID: line.NewLogID(w.Line, p.Code, e.Pos.Gen)}
			logs[e.Pos.Log], w.Logs = l, append(w.Logs, l)
		}
		for l.Tree.Size() < e.Pos.Seq {
			l.Append([]byte("not held"))
			l.Entries[len(l.Entries)-1].Missing = true
		}
		in := wire.Entry{Key: uint8(e.Pos.Seq), Body: []byte("x"), After: e.After}
		if e.Pos.Seq == 0 {
			in.Body = wire.Marshal(wire.Epoch{Closes: e.Closes})
		}
		l.Append(wire.Marshal(in))
	}
	return w
}

// talk makes a line of three parties with entries that have seen more or less
// of each other, a second generation, and entries that name what is not held.
func talk(t *testing.T, rnd *rand.Rand) *audittest.World {
	w, err := audittest.New(byte(rnd.Uint32()), nil, "US", "CN", "KR")
	ok(t, err)
	var logs []*audittest.Log
	marks := map[*audittest.Log][]wire.Mark{}
	for p := range w.Parties {
		l, err := w.Open(p, nil)
		ok(t, err)
		logs = append(logs, l)
		marks[l] = l.After()
	}
	for i := range 60 {
		if i == 30 {
			root := logs[0].Tree.Root()
			closes := &wire.Closes{Size: logs[0].Tree.Size(), Root: root[:]}
			ok(t, w.Generation(w.Parties[0]))
			logs[0], err = w.Open(0, closes)
			ok(t, err)
			marks[logs[0]] = logs[0].After()
		}
		l := logs[rnd.IntN(3)]
		for j, now := range l.After() {
			if m := marks[l][j]; rnd.IntN(3) == 0 || now.Gen != m.Gen {
				marks[l][j] = now
			}
		}
		l.Append(wire.Marshal(wire.Entry{Body: wire.Marshal(wire.Epoch{}), After: marks[l]}))
	}
	// The newest words of one party have seen what nobody has.
	m := append([]wire.Mark{}, marks[logs[2]]...)
	m[1].Size += 100
	logs[2].Append(wire.Marshal(wire.Entry{Body: wire.Marshal(wire.Epoch{}), After: m}))
	logs[2].Append(wire.Marshal(wire.Entry{Body: wire.Marshal(wire.Epoch{}), After: m}))
	return w
}

// recordRanks feeds all entries to record in a random order.
func recordRanks(t *testing.T, w *audittest.World, rnd *rand.Rand) map[line.Pos]uint64 {
	l := record.Line{ID: w.Line, Members: []line.Party{"US", "CN", "KR"}}
	ranks := map[line.Pos]uint64{}
	st, err := record.New(l, record.Snapshot{}, func(p line.Pos) (uint64, error) { return ranks[p], nil })
	ok(t, err)
	var all []wire.SignedEntry
	for _, g := range w.Logs {
		for seq, e := range g.Entries {
			all = append(all, wire.SignedEntry{Pos: line.Pos{Log: g.Log, Seq: uint64(seq)}, Sig: e.Sig, Leaf: e.Leaf})
		}
	}
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, e := range all {
		c, err := record.Check(l, certified{w}, e)
		ok(t, err)
		var turn record.Turn
		_, err = st.Add(&turn, c, record.Entry{})
		ok(t, err)
		for _, x := range turn.Entries {
			ranks[x.Pos] = max(ranks[x.Pos], x.Rank)
		}
		for _, x := range turn.Ranks {
			ranks[x.Pos] = x.Rank
		}
	}
	return ranks
}
