package sqlite

import (
	"cmp"
	"context"
	"slices"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

// OrderKey is a place in a line's causal order: rank, party, generation, seq;
// what has no rank yet comes last. The zero key is before everything.
type OrderKey struct {
	Rank uint64
	Pos  line.Pos
}

// unranked reports whether the key is in the part without ranks.
func (k OrderKey) unranked() bool { return k.Rank == 0 && k.Pos.Gen != 0 }

func (k OrderKey) compare(m OrderKey) int {
	return cmp.Or(cmp.Compare(k.Rank, m.Rank), k.Pos.Compare(m.Pos))
}

// OrderedRow is an entry with its body.
type OrderedRow struct {
	Entry  record.Entry
	Body   record.Body
	Opened bool // there is a body
}

// Key returns the row's place, after which the next page begins.
func (r OrderedRow) Key() OrderKey { return OrderKey{r.Entry.Rank, r.Entry.Pos} }

// Ordered returns up to max entries of a line after a place in its causal
// order. An entry that gets its rank between two calls moves, and may then be
// met twice or not at all: who follows a line reads on from what is settled.
func (db *DB) Ordered(ctx context.Context, l line.ID, after OrderKey, max int) (out []OrderedRow, err error) {
	if max <= 0 {
		return nil, nil
	}
	err = db.readOnce(ctx, "read the order of line "+l.Short(), func(c *conn) error {
		sp, err := findSpans(c, l)
		if err != nil || sp.line == 0 {
			return err
		}
		if !after.unranked() {
			if out, err = sp.ranked(c, after, max); err != nil {
				return err
			}
			after = OrderKey{}
		}
		if len(out) < max {
			more, err := sp.unranked(c, after, max-len(out))
			if err != nil {
				return err
			}
			out = append(out, more...)
		}
		return sp.addBodies(c, out)
	})
	return out, err
}

// ranked reads whole ranks until it has enough: the index knows ranks, and
// within one the few entries are sorted here.
func (sp spans) ranked(c *conn, after OrderKey, max int) (out []OrderedRow, err error) {
	for rank := after.Rank; len(out) < max; {
		next, ok := uint64(0), false
		ok, err = c.do(`SELECT rank FROM entries INDEXED BY ranked WHERE line = ? AND rank >= ? AND rank <> 0 ORDER BY rank LIMIT 1`).
			int(sp.line).uint(rank).one(func(s *stmt) { next = s.uintAt(0) })
		if err != nil || !ok {
			return out, err
		}
		// Rows from here on, as many as are wanted, and the rest of the last
		// one's rank.
		last := next
		err = c.do(`SELECT rank FROM entries INDEXED BY ranked WHERE line = ? AND rank >= ? AND rank <> 0 ORDER BY rank LIMIT ?`).
			int(sp.line).uint(next).int(int64(max)).each(func(s *stmt) { last = s.uintAt(0) })
		if err != nil {
			return out, err
		}
		from := len(out)
		err = c.do(entryColumns + `INDEXED BY ranked WHERE line = ? AND rank >= ? AND rank <= ? AND rank <> 0 ORDER BY rank`).
			int(sp.line).uint(next).uint(last).each(func(s *stmt) {
			if r := (OrderedRow{Entry: sp.entryAt(s)}); r.Key().compare(after) > 0 {
				out = append(out, r)
			}
		})
		if err != nil {
			return out, err
		}
		slices.SortFunc(out[from:], func(a, b OrderedRow) int { return a.Key().compare(b.Key()) })
		rank = last + 1
	}
	return out[:max], nil
}

// unranked reads the entries without a rank, log by log.
func (sp spans) unranked(c *conn, after OrderKey, max int) (out []OrderedRow, err error) {
	for _, s := range sp.list {
		from := s.first()
		switch d := (line.Pos{Log: s.log, Seq: s.hi}).Compare(line.Pos{Log: after.Pos.Log, Seq: after.Pos.Seq >> seqBits}); {
		case d < 0:
			continue
		case d == 0 && after.unranked():
			from |= int64(after.Pos.Seq & seqMask)
			from++
		}
		err = c.do(entryColumns + `INDEXED BY waiting WHERE rank = 0 AND k >= ? AND k <= ? ORDER BY k LIMIT ?`).
			int(from).int(s.last()).int(int64(max - len(out))).
			each(func(s *stmt) { out = append(out, OrderedRow{Entry: sp.entryAt(s)}) })
		if err != nil || len(out) >= max {
			return out, err
		}
	}
	return out, nil
}

func (sp spans) addBodies(c *conn, rows []OrderedRow) (err error) {
	for i := range rows {
		r := &rows[i]
		if r.Body, r.Opened, err = sp.body(c, r.Entry.Pos); err != nil {
			return err
		}
	}
	return nil
}

// Newest returns each party's newest numbered messages, at most max of each,
// newest first.
func (db *DB) Newest(ctx context.Context, l line.ID, parties, max int) (out []OrderedRow, err error) {
	err = db.readLine(ctx, l, "read the newest messages", func(c *conn, sp spans) error {
		for party := range parties {
			err := c.do(`SELECT k FROM bodies INDEXED BY numbered WHERE line = ? AND party = ? AND number <> 0 ORDER BY number DESC LIMIT ?`).
				int(sp.line).int(int64(party)).int(int64(max)).each(func(s *stmt) {
				out = append(out, OrderedRow{Entry: record.Entry{SignedEntry: wire.SignedEntry{Pos: sp.pos(s.ColumnInt64(0))}}})
			})
			if err != nil {
				return err
			}
		}
		for i := range out {
			k, _ := sp.key(out[i].Entry.Pos)
			if _, err := c.do(entryColumns + `WHERE k = ?`).int(k).one(func(s *stmt) { out[i].Entry = sp.entryAt(s) }); err != nil {
				return err
			}
		}
		return sp.addBodies(c, out)
	})
	return out, err
}

// Receipts returns all steps on the given entries: entry by entry as asked,
// then by party and step.
func (db *DB) Receipts(ctx context.Context, l line.ID, targets []line.Pos) (out []record.Receipt, err error) {
	err = db.readLine(ctx, l, "read receipts", func(c *conn, sp spans) error {
		for _, target := range targets {
			k, ok := sp.key(target)
			if !ok {
				continue
			}
			err := c.do(`SELECT party, step, source_party, source_gen, source_seq, time, officer, good FROM receipts WHERE k = ? ORDER BY party, step`).int(k).
				each(func(s *stmt) {
					out = append(out, record.Receipt{
						Target: target, Party: s.ColumnInt(0), Step: record.Step(s.ColumnInt(1)), Source: posAt(s, 2),
						Time: s.uintAt(5), Officer: uint16(s.ColumnInt(6)), Good: s.ColumnBool(7),
					})
				})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// ByNumber finds a party's message by its number, such as US 0598. Where a
// number was used twice, which is shown as a defect, it is the earlier place.
func (db *DB) ByNumber(ctx context.Context, l line.ID, party int, number uint64) (at line.Pos, ok bool, err error) {
	if number == 0 {
		return at, false, nil // no number
	}
	err = db.readLine(ctx, l, "find a message", func(c *conn, sp spans) error {
		return c.do(`SELECT k FROM bodies INDEXED BY numbered WHERE line = ? AND party = ? AND number = ? AND number <> 0`).
			int(sp.line).int(int64(party)).uint(number).each(func(s *stmt) {
			if p := sp.pos(s.ColumnInt64(0)); !ok || p.Compare(at) < 0 {
				at, ok = p, true
			}
		})
	})
	return at, ok, err
}
