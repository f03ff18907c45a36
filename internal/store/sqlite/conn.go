package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// conn is a connection with its prepared statements. It serves one goroutine
// at a time.
type conn struct {
	*sqlite3.Conn
	stmts map[string]*stmt
}

// location is a database file, and the layer through which SQLite reaches it:
// "" is the operating system.
type location struct{ path, vfs string }

// openConn opens the file. The WAL and its index take the permissions of the
// database file.
func openConn(at location) (*conn, error) {
	options := url.Values{"modeof": {at.path}}
	if at.vfs != "" {
		options.Set("vfs", at.vfs)
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: at.path, RawQuery: options.Encode()}
	c, err := sqlite3.OpenFlags(name.String(), sqlite3.OPEN_READWRITE|sqlite3.OPEN_URI)
	if err != nil {
		return nil, err
	}
	if err = c.BusyTimeout(5 * time.Second); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &conn{Conn: c, stmts: map[string]*stmt{}}, nil
}

func (c *conn) pragmas(list ...string) error {
	for _, p := range list {
		if err := c.Exec("PRAGMA " + p); err != nil {
			return err
		}
	}
	return nil
}

// openWriter opens the connection that writes, once it is sure that the file
// is Herald's. Savepoints keep their undo pages in memory; checkpoints are
// made by the writer, which must see their errors.
func openWriter(at location) (*conn, error) {
	c, err := openConn(at)
	if err != nil {
		return nil, err
	}
	if err = checkSchema(c, len(migrations())); err == nil {
		err = c.pragmas("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON",
			"temp_store=MEMORY", "cache_size=-8000", "wal_autocheckpoint=0")
	}
	var mode string
	if err == nil {
		err = c.do(`PRAGMA journal_mode`).each(func(s *stmt) { mode = s.ColumnText(0) })
	}
	if err == nil && mode != "wal" {
		err = fmt.Errorf("the file system cannot keep a write-ahead log (journal mode is %q): move the folder to a local disk", mode)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func openReader(at location) (*conn, error) {
	c, err := openConn(at)
	if err != nil {
		return nil, err
	}
	if err = c.pragmas("query_only=ON", "wal_autocheckpoint=0"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// close ends the connection and its statements.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	clear(c.stmts)
	return errors.Join(append(errs, c.Conn.Close())...)
}

// stmt is a prepared statement whose parameters are set in order. The first
// error is kept until the statement is run.
type stmt struct {
	*sqlite3.Stmt
	n   int
	err error
}

// do begins a use of the statement sql. All statements are constants, so the
// number of prepared ones is bounded.
func (c *conn) do(sql string) *stmt {
	if s, ok := c.stmts[sql]; ok {
		s.n, s.err = 0, nil
		return s
	}
	p, _, err := c.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return &stmt{err: fmt.Errorf("prepare %q: %w", sql, err)}
	}
	s := &stmt{Stmt: p}
	c.stmts[sql] = s
	return s
}

func (s *stmt) int(v int64) *stmt {
	if s.n++; s.err == nil {
		s.err = s.BindInt64(s.n, v)
	}
	return s
}

func (s *stmt) uint(v uint64) *stmt { return s.int(int64(v)) }

func (s *stmt) bool(v bool) *stmt {
	if v {
		return s.int(1)
	}
	return s.int(0)
}

// sortable binds a number that may be anything up to 2^64-1 in a column that
// is compared: SQLite's integers are signed, so the sign bit is turned over.
func (s *stmt) sortable(v uint64) *stmt { return s.int(int64(v ^ 1<<63)) }

func (s *stmt) text(v string) *stmt {
	if s.n++; s.err == nil {
		s.err = s.BindText(s.n, v)
	}
	return s
}

// blob binds bytes; none at all are NULL, so that "empty" has one form.
func (s *stmt) blob(v []byte) *stmt {
	if s.n++; s.err != nil {
		return s
	}
	if len(v) == 0 {
		s.err = s.BindNull(s.n)
	} else {
		s.err = s.BindBlob(s.n, v)
	}
	return s
}

// secret binds two columns: what keeps the secret apart, and the secret.
func (s *stmt) secret(v []byte) *stmt {
	if len(v) == 0 {
		return s.blob(nil).blob(nil)
	}
	if s.n++; s.err == nil {
		s.err = s.BindZeroBlob(s.n, apartBytes)
	}
	return s.blob(v)
}

// exec runs a statement that returns no rows.
func (s *stmt) exec() error {
	if s.err != nil {
		return s.err
	}
	return s.Exec()
}

// each calls row for each row.
func (s *stmt) each(row func(*stmt)) error {
	if s.err != nil {
		return s.err
	}
	for s.Step() {
		row(s)
	}
	err := s.Err()
	// Reset repeats the error of the last step, which is known already.
	if again := s.Reset(); err == nil {
		err = again
	}
	return err
}

// one calls row for the first row, and reports whether there was one.
func (s *stmt) one(row func(*stmt)) (bool, error) {
	found := false
	err := s.each(func(s *stmt) {
		if !found {
			row(s)
		}
		found = true
	})
	return found && err == nil, err
}

func (s *stmt) uintAt(col int) uint64     { return uint64(s.ColumnInt64(col)) }
func (s *stmt) sortableAt(col int) uint64 { return uint64(s.ColumnInt64(col)) ^ 1<<63 }
func (s *stmt) bytesAt(col int) []byte    { return s.ColumnBlob(col, nil) }

// read lends a reading connection to f.
func (db *DB) read(ctx context.Context, doing string, f func(*conn) error) error {
	var c *conn
	select {
	case <-db.stop:
		return explain(doing, ErrClosed)
	default:
	}
	select {
	case <-db.stop:
		return explain(doing, ErrClosed)
	case <-ctx.Done():
		return explain(doing, ctx.Err())
	case c = <-db.idle:
	}
	if c == nil {
		var err error
		if c, err = openReader(db.at); err != nil {
			db.idle <- nil
			return explain(doing, err)
		}
	}
	defer func() { db.idle <- c }()
	defer c.SetInterrupt(c.SetInterrupt(ctx))
	return explain(doing, interrupted(ctx, f(c)))
}

// readOnce lends a connection on which everything that f reads is of one
// moment.
func (db *DB) readOnce(ctx context.Context, doing string, f func(*conn) error) error {
	return db.read(ctx, doing, func(c *conn) error {
		if err := c.Exec("BEGIN"); err != nil {
			return err
		}
		err := f(c)
		// The context may be over by now; the transaction must end all the same.
		c.SetInterrupt(context.Background())
		return errors.Join(err, c.Exec("ROLLBACK"))
	})
}
