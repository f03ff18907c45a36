package sqlite

import (
	"context"

	"herald/internal/line"
)

// LineRow is a line with the signed note of its first charter.
type LineRow struct {
	ID      line.ID
	Charter []byte
}

// CardRow is a party card as it is held.
type CardRow struct {
	Party   line.Party
	Version uint32
	Note    []byte
	Hash    [32]byte
	Trusted bool
}

// Lines returns every line that has a charter, in the order in which they
// became known.
func (db *DB) Lines(ctx context.Context) (out []LineRow, err error) {
	err = db.read(ctx, "list the lines", func(c *conn) error {
		return c.do(`SELECT line, charter FROM lines WHERE charter IS NOT NULL ORDER BY id`).each(func(s *stmt) {
			r := LineRow{Charter: s.bytesAt(1)}
			copy(r.ID[:], s.ColumnRawBlob(0))
			out = append(out, r)
		})
	})
	return out, err
}

// PutLine keeps a line's charter note, in place of a former one.
func (db *DB) PutLine(ctx context.Context, id line.ID, charterNote []byte) error {
	return db.submit(ctx, "keep the charter of line "+id.Short(), false, func(w *writer) error {
		return w.do(`INSERT INTO lines (line, charter) VALUES (?, ?) ON CONFLICT DO UPDATE SET charter = excluded.charter`).
			blob(id[:]).blob(charterNote).exec()
	})
}

// Charter returns a line's charter note.
func (db *DB) Charter(ctx context.Context, id line.ID) (note []byte, ok bool, err error) {
	err = db.read(ctx, "read the charter of line "+id.Short(), func(c *conn) (err error) {
		ok, err = c.do(`SELECT charter FROM lines WHERE line = ? AND charter IS NOT NULL`).blob(id[:]).
			one(func(s *stmt) { note = s.bytesAt(0) })
		return err
	})
	return note, ok, err
}

// Cards returns every card held, by party and version.
func (db *DB) Cards(ctx context.Context) (out []CardRow, err error) {
	err = db.read(ctx, "list the cards", func(c *conn) error {
		return c.do(`SELECT party, version, note, hash, trusted FROM cards ORDER BY party, version, hash`).each(func(s *stmt) {
			r := CardRow{
				Party: line.Party(s.ColumnText(0)), Version: uint32(s.ColumnInt64(1)), Note: s.bytesAt(2), Trusted: s.ColumnBool(4),
			}
			copy(r.Hash[:], s.ColumnRawBlob(3))
			out = append(out, r)
		})
	})
	return out, err
}

// PutCard keeps a card under its hash, in place of what was held under it. Two
// cards of one party and version are both kept: they are evidence.
func (db *DB) PutCard(ctx context.Context, r CardRow) error {
	return db.submit(ctx, "keep the card of "+string(r.Party), false, func(w *writer) error {
		return w.do(`REPLACE INTO cards (hash, party, version, trusted, note) VALUES (?, ?, ?, ?, ?)`).
			blob(r.Hash[:]).text(string(r.Party)).int(int64(r.Version)).bool(r.Trusted).blob(r.Note).exec()
	})
}
