package audit

import (
	"context"
	"io"

	"herald/internal/line"
	"herald/internal/wire"
)

// RanksOf returns every log's ranks, for comparison with record's.
func RanksOf(ctx context.Context, r io.Reader) (map[line.Log][]uint32, error) {
	rd, err := newReader(ctx, r)
	if err != nil {
		return nil, err
	}
	a := newAuditor(Options{})
	if err := a.file(rd); err != nil {
		return nil, err
	}
	out := map[line.Log][]uint32{}
	for _, l := range a.ranker().turn {
		out[l.log] = l.ranks
	}
	return out, nil
}

// ParseOuter is parseOuter, in wire's terms.
func ParseOuter(leaf []byte, members int) (wire.Entry, error) {
	e := wire.Entry{After: make([]wire.Mark, members-1)}
	o, err := parseOuter(leaf, e.After)
	e.Key, e.Time, e.Body = o.key, o.time, o.body
	return e, err
}

// ReadPieces reads a whole file piece by piece, and returns how many it has.
func ReadPieces(ctx context.Context, r io.Reader) (int, error) {
	rd, err := newReader(ctx, r)
	if err != nil {
		return 0, err
	}
	rd.order.members = line.MaxParties
	for n := 0; ; n++ {
		if k, _, err := rd.next(); err != nil || k == kEnd {
			return n, err
		}
	}
}
