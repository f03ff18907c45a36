package sqlite

import (
	"context"

	"herald/internal/line"
	"herald/internal/record"
)

// Entries implements session.History.
func (db *DB) Entries(ctx context.Context, l line.ID, log line.Log, first uint64, max int) ([]record.Entry, error) {
	return db.stretch(ctx, l, log, first, max, entryColumns+`WHERE k >= ? AND k <= ? ORDER BY k LIMIT ?`)
}

// Urgent implements session.History.
func (db *DB) Urgent(ctx context.Context, l line.ID, log line.Log, first uint64, max int) ([]record.Entry, error) {
	return db.stretch(ctx, l, log, first, max, entryColumns+`INDEXED BY urgent WHERE urgent = 1 AND k >= ? AND k <= ? ORDER BY k LIMIT ?`)
}

// stretch reads entries of a log in order; sql takes the first and last key
// and how many.
func (db *DB) stretch(ctx context.Context, l line.ID, log line.Log, first uint64, max int, sql string) (out []record.Entry, err error) {
	if max <= 0 {
		return nil, nil
	}
	err = db.readLine(ctx, l, "read entries", func(c *conn, sp spans) error {
		for _, s := range sp.list {
			if s.log != log || s.hi < first>>seqBits {
				continue
			}
			from := s.first()
			if s.hi == first>>seqBits {
				from |= int64(first & seqMask)
			}
			err := c.do(sql).int(from).int(s.last()).int(int64(max - len(out))).
				each(func(s *stmt) { out = append(out, sp.entryAt(s)) })
			if err != nil || len(out) >= max {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Bodies implements session.History.
func (db *DB) Bodies(ctx context.Context, l line.ID, at []line.Pos) (out []record.Body, err error) {
	err = db.readLine(ctx, l, "read bodies", func(c *conn, sp spans) error {
		for _, p := range at {
			if b, ok, err := sp.body(c, p); err != nil {
				return err
			} else if ok {
				out = append(out, b)
			}
		}
		return nil
	})
	return out, err
}

func (sp spans) body(c *conn, p line.Pos) (b record.Body, ok bool, err error) {
	k, ok := sp.key(p)
	if !ok {
		return b, false, nil
	}
	ok, err = c.do(bodyColumns + `WHERE k = ?`).int(k).one(func(s *stmt) { b = sp.bodyAt(s) })
	return b, ok, err
}

// HeadAt implements session.History. Of several roots signed at one size it
// returns the first that came.
func (db *DB) HeadAt(ctx context.Context, l line.ID, log line.Log, size uint64) (h record.Head, ok bool, err error) {
	err = db.readLine(ctx, l, "read a head", func(c *conn, sp spans) (err error) {
		id, known := sp.log(log)
		if !known {
			return nil
		}
		ok, err = c.do(headColumns + `WHERE log = ? AND size = ? ORDER BY received, root`).int(id).sortable(size).
			one(func(s *stmt) { h = headAt(s, log) })
		return err
	})
	return h, ok, err
}

// CosigAt implements session.History.
func (db *DB) CosigAt(ctx context.Context, l line.ID, log line.Log, signer line.Log, size uint64) (cs record.Cosig, ok bool, err error) {
	err = db.readLine(ctx, l, "read a cosignature", func(c *conn, sp spans) (err error) {
		id, known := sp.log(log)
		if !known {
			return nil
		}
		ok, err = c.do(cosigColumns + `WHERE log = ? AND party = ? AND gen = ? AND size >= ? ORDER BY size LIMIT 1`).
			int(id).int(int64(signer.Party)).int(int64(signer.Gen)).sortable(size).
			one(func(s *stmt) { cs = cosigAt(s, log) })
		return err
	})
	return cs, ok, err
}

// Segment implements session.History.
func (db *DB) Segment(ctx context.Context, l line.ID, id uint64) (seg record.Segment, ok bool, err error) {
	err = db.readLine(ctx, l, "read an archive key", func(c *conn, sp spans) (err error) {
		ok, err = c.do(segmentColumns + `WHERE line = ? AND id = ?`).int(sp.line).sortable(id).
			one(func(s *stmt) { seg = segmentAt(s) })
		return err
	})
	return seg, ok, err
}

// Readable implements session.History.
func (db *DB) Readable(ctx context.Context, l line.ID, before int64, max int) (out []record.Segment, err error) {
	err = db.readLine(ctx, l, "list archive keys", func(c *conn, sp spans) error {
		return c.do(segmentColumns + `WHERE line = ? AND made < ? AND working IS NOT NULL ORDER BY made LIMIT ?`).
			int(sp.line).int(before).int(int64(max)).each(func(s *stmt) { out = append(out, segmentAt(s)) })
	})
	return out, err
}

// EpochLeaves implements session.History.
func (db *DB) EpochLeaves(ctx context.Context, l line.ID, log line.Log, base uint64) (leaves []byte, ok bool, err error) {
	err = db.readLine(ctx, l, "read an epoch", func(c *conn, sp spans) (err error) {
		k, known := sp.key(line.Pos{Log: log, Seq: base})
		if !known {
			return nil
		}
		ok, err = c.do(`SELECT leaves FROM epochs WHERE k = ?`).int(k).one(func(s *stmt) { leaves = s.bytesAt(0) })
		return err
	})
	return leaves, ok, err
}

// Token implements session.History.
func (db *DB) Token(ctx context.Context, l line.ID, token string) (t record.Token, ok bool, err error) {
	err = db.readLine(ctx, l, "read a token", func(c *conn, sp spans) (err error) {
		ok, err = c.do(`SELECT queued, party, gen, seq, number FROM tokens WHERE line = ? AND token = ?`).int(sp.line).text(token).
			one(func(s *stmt) {
				t = record.Token{Token: token, Queued: s.uintAt(0), Pos: posAt(s, 1), Number: s.uintAt(4)}
			})
		return err
	})
	return t, ok, err
}

// readLine lends a reading connection to f, with the line's numbers; f is not
// called for a line that is not known.
func (db *DB) readLine(ctx context.Context, l line.ID, doing string, f func(*conn, spans) error) error {
	return db.read(ctx, doing+" of line "+l.Short(), func(c *conn) error {
		sp, err := findSpans(c, l)
		if err != nil || sp.line == 0 {
			return err
		}
		return f(c, sp)
	})
}
