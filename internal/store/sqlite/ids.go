package sqlite

import (
	"fmt"

	"herald/internal/line"
)

const (
	seqBits = 42
	seqMask = 1<<seqBits - 1
	maxSpan = 1<<(63-seqBits) - 1
)

// span is a stretch of 2^42 places of one log, which has a small number.
type span struct {
	id  int64
	log line.Log
	hi  uint64 // the places' upper bits
}

func (s span) pos(k int64) line.Pos {
	return line.Pos{Log: s.log, Seq: s.hi<<seqBits | uint64(k)&seqMask}
}

// first and last are the keys of the span's outermost places.
func (s span) first() int64 { return s.id << seqBits }
func (s span) last() int64  { return s.id<<seqBits | seqMask }

// maxIDs bounds the writer's memory for numbers: what is forgotten is read
// again.
const maxIDs = 4096

// ids remembers numbers that the database gave to lines and spans. They never
// change once committed.
type ids struct {
	lines map[line.ID]int64
	spans map[spanName]int64
}

type spanName struct {
	line int64
	log  line.Log
	hi   uint64
}

func newIDs() ids {
	return ids{lines: map[line.ID]int64{}, spans: map[spanName]int64{}}
}

// lineID returns the line's number, giving it one if need be.
func (w *writer) lineID(l line.ID) (id int64, err error) {
	if id, ok := w.ids.lines[l]; ok {
		return id, nil
	}
	err = w.do(`INSERT INTO lines (line) VALUES (?) ON CONFLICT DO NOTHING`).blob(l[:]).exec()
	if err == nil {
		id, err = findLine(w.conn, l)
	}
	if err == nil {
		if len(w.ids.lines) >= maxIDs {
			clear(w.ids.lines)
		}
		w.ids.lines[l] = id
	}
	return id, err
}

// spanID returns a span's number, giving it one if need be.
func (w *writer) spanID(n spanName) (id int64, err error) {
	if id, ok := w.ids.spans[n]; ok {
		return id, nil
	}
	find := func() (bool, error) {
		return w.do(`SELECT id FROM spans WHERE line = ? AND party = ? AND gen = ? AND hi = ?`).
			int(n.line).int(int64(n.log.Party)).int(int64(n.log.Gen)).uint(n.hi).
			one(func(s *stmt) { id = s.ColumnInt64(0) })
	}
	found, err := find()
	if err == nil && !found {
		err = w.do(`INSERT INTO spans (line, party, gen, hi) VALUES (?, ?, ?, ?)`).
			int(n.line).int(int64(n.log.Party)).int(int64(n.log.Gen)).uint(n.hi).exec()
		id = w.LastInsertRowID()
	}
	if err != nil {
		return 0, err
	}
	if id > maxSpan {
		return 0, fmt.Errorf("%w: the store holds %d logs, its limit", ErrRange, int64(maxSpan))
	}
	if len(w.ids.spans) >= maxIDs {
		clear(w.ids.spans)
	}
	w.ids.spans[n] = id
	return id, nil
}

// key returns the key of a place.
func (w *writer) key(ln int64, p line.Pos) (int64, error) {
	id, err := w.spanID(spanName{ln, p.Log, p.Seq >> seqBits})
	return id<<seqBits | int64(p.Seq&seqMask), err
}

// findLine returns 0 for a line that is not known.
func findLine(c *conn, l line.ID) (id int64, err error) {
	_, err = c.do(`SELECT id FROM lines WHERE line = ?`).blob(l[:]).one(func(s *stmt) { id = s.ColumnInt64(0) })
	return id, err
}

// spans is what a reader needs to know of one line's numbers, ordered by
// party, generation and place.
type spans struct {
	line int64
	list []span
}

// findSpans returns no spans for a line that is not known.
func findSpans(c *conn, l line.ID) (sp spans, err error) {
	if sp.line, err = findLine(c, l); err != nil || sp.line == 0 {
		return sp, err
	}
	err = c.do(`SELECT id, party, gen, hi FROM spans WHERE line = ? ORDER BY party, gen, hi`).int(sp.line).each(func(s *stmt) {
		sp.list = append(sp.list, span{
			id:  s.ColumnInt64(0),
			log: line.Log{Party: s.ColumnInt(1), Gen: line.Generation(s.ColumnInt64(2))},
			hi:  s.uintAt(3),
		})
	})
	return sp, err
}

// log returns the number of a log's first span, which stands for the log.
func (sp spans) log(l line.Log) (int64, bool) {
	k, ok := sp.key(line.Pos{Log: l})
	return k >> seqBits, ok
}

// key returns the key of a place; ok is false if nothing is held near it.
func (sp spans) key(p line.Pos) (k int64, ok bool) {
	for _, s := range sp.list {
		if s.log == p.Log && s.hi == p.Seq>>seqBits {
			return s.first() | int64(p.Seq&seqMask), true
		}
	}
	return 0, false
}

// pos returns the place of a key.
func (sp spans) pos(k int64) line.Pos {
	for _, s := range sp.list {
		if s.id == k>>seqBits {
			return s.pos(k)
		}
	}
	return line.Pos{}
}
