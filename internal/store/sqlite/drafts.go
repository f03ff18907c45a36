package sqlite

import (
	"context"
	"errors"
	"fmt"

	"herald/internal/line"
)

// Draft is words before release, encrypted. A former or discarded Box leaves
// the file as keys do: words that were never said must not be found later.
type Draft struct {
	ID      uint64 // given by PutDraft
	Line    line.ID
	Box     []byte
	Segment uint64 // archive segment whose key opens Box
	State   string
	Token   string // the client's idempotency token; "" for none
	Updated int64  // Unix milliseconds
}

// Errors of drafts.
var (
	ErrNoDraft    = errors.New("there is no such draft: it was discarded, or never stored")
	ErrTokenTaken = errors.New("the token belongs to another draft of this line: use a fresh one")
)

// PutDraft stores a draft and returns its ID. With ID 0 it is a new one,
// unless the line has one with the same token: then that one's ID is returned
// and nothing is changed. With another ID it replaces that draft. The error
// wraps ErrNoDraft or ErrTokenTaken where one of them is the reason.
func (db *DB) PutDraft(ctx context.Context, d Draft) (id uint64, err error) {
	err = db.submit(ctx, "keep a draft", d.ID != 0, func(w *writer) error {
		ln, err := w.lineID(d.Line)
		if err != nil {
			return err
		}
		id, err = w.putDraft(ln, d)
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

func (w *writer) putDraft(ln int64, d Draft) (uint64, error) {
	var holder uint64 // of the token
	if d.Token != "" {
		_, err := w.do(`SELECT id FROM drafts INDEXED BY draft_tokens WHERE line = ? AND token = ? AND token <> ''`).int(ln).text(d.Token).
			one(func(s *stmt) { holder = s.uintAt(0) })
		if err != nil {
			return 0, err
		}
	}
	switch {
	case d.ID == 0 && holder != 0:
		return holder, nil
	case d.ID == 0:
		err := w.do(`INSERT INTO drafts (line, segment, state, token, updated, apart, box) VALUES (?, ?, ?, ?, ?, ?, ?)`).
			int(ln).uint(d.Segment).text(d.State).text(d.Token).int(d.Updated).secret(d.Box).exec()
		return uint64(w.LastInsertRowID()), err
	case holder != 0 && holder != d.ID:
		return 0, fmt.Errorf("draft %d: %w", d.ID, ErrTokenTaken)
	}
	err := w.do(`UPDATE drafts SET segment = ?, state = ?, token = ?, updated = ?, apart = ?, box = ? WHERE id = ? AND line = ?`).
		uint(d.Segment).text(d.State).text(d.Token).int(d.Updated).secret(d.Box).uint(d.ID).int(ln).exec()
	if err == nil && w.Changes() == 0 {
		err = fmt.Errorf("draft %d: %w", d.ID, ErrNoDraft)
	}
	return d.ID, err
}

// DeleteDraft removes a draft; one that is not there is no error.
func (db *DB) DeleteDraft(ctx context.Context, id uint64) error {
	return db.submit(ctx, "discard a draft", true, func(w *writer) error {
		return w.do(`DELETE FROM drafts WHERE id = ?`).uint(id).exec()
	})
}

const draftColumns = `SELECT d.id, l.line, d.box, d.segment, d.state, d.token, d.updated FROM drafts d JOIN lines l ON l.id = d.line `

func draftAt(s *stmt) Draft {
	d := Draft{
		ID: s.uintAt(0), Box: s.bytesAt(2), Segment: s.uintAt(3), State: s.ColumnText(4), Token: s.ColumnText(5), Updated: s.ColumnInt64(6),
	}
	copy(d.Line[:], s.ColumnRawBlob(1))
	return d
}

// Draft returns one draft.
func (db *DB) Draft(ctx context.Context, id uint64) (d Draft, ok bool, err error) {
	err = db.read(ctx, "read a draft", func(c *conn) (err error) {
		ok, err = c.do(draftColumns + `WHERE d.id = ?`).uint(id).one(func(s *stmt) { d = draftAt(s) })
		return err
	})
	return d, ok, err
}

// Drafts returns a line's drafts, the oldest first.
func (db *DB) Drafts(ctx context.Context, l line.ID) (out []Draft, err error) {
	err = db.read(ctx, "list the drafts of line "+l.Short(), func(c *conn) error {
		return c.do(draftColumns + `WHERE l.line = ? ORDER BY d.id`).blob(l[:]).each(func(s *stmt) { out = append(out, draftAt(s)) })
	})
	return out, err
}
