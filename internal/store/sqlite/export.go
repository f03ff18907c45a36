package sqlite

import (
	"context"

	"herald/internal/line"
	"herald/internal/record"
)

// exportPage is how many rows an export holds at once. No reading connection
// is kept while a caller works on them, so that a slow export holds up neither
// writers nor the emptying of the WAL.
const exportPage = 256

// Logs returns the logs of which something is held, by party and generation.
func (db *DB) Logs(ctx context.Context, l line.ID) (out []line.Log, err error) {
	err = db.readLine(ctx, l, "list the logs", func(c *conn, sp spans) error {
		for _, s := range sp.list {
			if len(out) == 0 || out[len(out)-1] != s.log {
				out = append(out, s.log)
			}
		}
		return nil
	})
	return out, err
}

// AllEntries calls f for every held entry of a log in order, and stops at its
// first error. Entries that come meanwhile may be included.
func (db *DB) AllEntries(ctx context.Context, l line.ID, log line.Log, f func(record.Entry) error) error {
	for first := uint64(0); ; {
		page, err := db.Entries(ctx, l, log, first, exportPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := f(e); err != nil {
				return err
			}
			first = e.Pos.Seq + 1
		}
		if len(page) < exportPage || first == 0 {
			return nil
		}
	}
}

// AllHeads calls f for every head held of a log by size and root, and stops at
// its first error.
func (db *DB) AllHeads(ctx context.Context, l line.ID, log line.Log, f func(record.Head) error) error {
	size, root := uint64(0), []byte{0} // before every root
	return paged(f, func() (page []record.Head, err error) {
		err = db.readLine(ctx, l, "read heads", func(c *conn, sp spans) error {
			id, ok := sp.log(log)
			if !ok {
				return nil
			}
			return c.do(headColumns + `WHERE log = ? AND (size, root) > (?, ?) ORDER BY size, root LIMIT ?`).
				int(id).sortable(size).blob(root).int(exportPage).
				each(func(s *stmt) { page = append(page, headAt(s, log)) })
		})
		if len(page) > 0 {
			last := page[len(page)-1]
			size, root = last.Size, last.Root[:]
		}
		return page, err
	})
}

// AllCosigs calls f for every cosignature held of a log by signer and size,
// and stops at its first error.
func (db *DB) AllCosigs(ctx context.Context, l line.ID, log line.Log, f func(record.Cosig) error) error {
	last := record.Cosig{}
	last.Signer.Party = -1
	return paged(f, func() (page []record.Cosig, err error) {
		err = db.readLine(ctx, l, "read cosignatures", func(c *conn, sp spans) error {
			id, ok := sp.log(log)
			if !ok {
				return nil
			}
			return c.do(cosigColumns + `WHERE log = ? AND (party, gen, size) > (?, ?, ?) ORDER BY party, gen, size LIMIT ?`).
				int(id).int(int64(last.Signer.Party)).int(int64(last.Signer.Gen)).sortable(last.Size).int(exportPage).
				each(func(s *stmt) { page = append(page, cosigAt(s, log)) })
		})
		if len(page) > 0 {
			last = page[len(page)-1]
		}
		return page, err
	})
}

// paged calls f for each row of each page.
func paged[T any](f func(T) error, next func() ([]T, error)) error {
	for {
		page, err := next()
		if err != nil {
			return err
		}
		for _, row := range page {
			if err := f(row); err != nil {
				return err
			}
		}
		if len(page) < exportPage {
			return nil
		}
	}
}

// Proofs returns all evidence about a line, the oldest first.
func (db *DB) Proofs(ctx context.Context, l line.ID) (out []record.Proof, err error) {
	err = db.readLine(ctx, l, "read evidence", func(c *conn, sp spans) error {
		return c.do(`SELECT party, gen, found, proven, text, bytes FROM proofs WHERE line = ? ORDER BY n`).int(sp.line).
			each(func(s *stmt) {
				out = append(out, record.Proof{
					Log: logAt(s, 0), Found: s.ColumnInt64(2), Proven: s.ColumnBool(3), Text: s.ColumnText(4), Bytes: s.bytesAt(5),
				})
			})
	})
	return out, err
}
