package sqlite

import (
	"errors"
	"fmt"
)

// applicationID marks the file as Herald's in the header ("HRLD").
const applicationID = 0x48524c44

// apartBytes is a page. secure_delete overwrites a deleted row where it lies,
// but SQLite also moves rows between pages as it balances its trees, and may
// leave their former bytes behind in the unused middle of a page. A row's end
// that lies beyond its page's capacity is kept in overflow pages of its own,
// which are never moved and are wiped when they are freed. So each secret is
// pushed there.
const apartBytes = 4096

// migrations lists the steps of the schema; a store of version n has had the
// first n. Steps are only ever added.
func migrations() []string {
	return []string{schema1}
}

// An entry's key k packs a small number for its log and its place into one
// integer: span<<42 | seq&(2^42-1). SQLite appends such rows fastest and finds
// them in one descent. A span is a log's stretch of 2^42 places; every honest
// log lives in its first one. A hostile seq beyond it costs a row in spans
// and nothing else.
//
// A secret that will be erased is its row's last column, behind a column
// called apart with apartBytes of zeros. See there why.
const schema1 = `
CREATE TABLE lines (
  id INTEGER PRIMARY KEY,
  line BLOB NOT NULL UNIQUE
);
CREATE TABLE spans (
  id INTEGER PRIMARY KEY,
  line INTEGER NOT NULL REFERENCES lines,
  party INTEGER NOT NULL,
  gen INTEGER NOT NULL,
  hi INTEGER NOT NULL,
  UNIQUE (line, party, gen, hi)
);
CREATE TABLE logs (
  log INTEGER PRIMARY KEY,
  tree BLOB,
  size INTEGER NOT NULL,
  ranked INTEGER NOT NULL,
  last_rank INTEGER NOT NULL,
  opened INTEGER NOT NULL
);
CREATE TABLE entries (
  k INTEGER PRIMARY KEY,
  line INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  hash BLOB NOT NULL,
  sig BLOB NOT NULL,
  leaf BLOB,
  received INTEGER NOT NULL,
  via TEXT NOT NULL,
  urgent INTEGER NOT NULL
);
CREATE INDEX ranked ON entries (line, rank) WHERE rank <> 0;
CREATE INDEX urgent ON entries (k) WHERE urgent = 1;
CREATE INDEX waiting ON entries (k) WHERE rank = 0;
CREATE TABLE bodies (
  k INTEGER PRIMARY KEY,
  line INTEGER NOT NULL,
  party INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  precedence INTEGER NOT NULL,
  marking INTEGER NOT NULL,
  number INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  box BLOB,
  defect TEXT NOT NULL,
  pending INTEGER NOT NULL
);
CREATE INDEX numbered ON bodies (line, party, number) WHERE number <> 0;
CREATE INDEX pending ON bodies (line) WHERE pending = 1;
CREATE TABLE heads (
  log INTEGER NOT NULL,
  size INTEGER NOT NULL,
  root BLOB NOT NULL,
  sig BLOB NOT NULL,
  received INTEGER NOT NULL,
  PRIMARY KEY (log, size, root)
) WITHOUT ROWID;
CREATE TABLE cosigs (
  log INTEGER NOT NULL,
  party INTEGER NOT NULL,
  gen INTEGER NOT NULL,
  size INTEGER NOT NULL,
  time INTEGER NOT NULL,
  sig BLOB NOT NULL,
  received INTEGER NOT NULL,
  PRIMARY KEY (log, party, gen, size)
) WITHOUT ROWID;
CREATE TABLE receipts (
  k INTEGER NOT NULL,
  party INTEGER NOT NULL,
  step INTEGER NOT NULL,
  source_party INTEGER NOT NULL,
  source_gen INTEGER NOT NULL,
  source_seq INTEGER NOT NULL,
  time INTEGER NOT NULL,
  officer INTEGER NOT NULL,
  good INTEGER NOT NULL,
  PRIMARY KEY (k, party, step)
) WITHOUT ROWID;
CREATE TABLE epochs (
  k INTEGER PRIMARY KEY,
  line INTEGER NOT NULL,
  end INTEGER NOT NULL,
  leaves BLOB,
  apart BLOB,
  secret BLOB
);
CREATE INDEX live_epochs ON epochs (line) WHERE secret IS NOT NULL;
CREATE TABLE receive_keys (
  n INTEGER PRIMARY KEY,
  line INTEGER NOT NULL,
  party INTEGER NOT NULL,
  gen INTEGER NOT NULL,
  number INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  made INTEGER NOT NULL,
  apart BLOB,
  seed BLOB,
  UNIQUE (line, party, gen, number)
);
CREATE INDEX live_keys ON receive_keys (line, party, gen, number) WHERE seed IS NOT NULL;
CREATE TABLE segments (
  n INTEGER PRIMARY KEY,
  line INTEGER NOT NULL,
  id INTEGER NOT NULL,
  made INTEGER NOT NULL,
  offline BLOB,
  apart BLOB,
  working BLOB,
  UNIQUE (line, id)
);
CREATE TABLE queue (
  n INTEGER PRIMARY KEY,
  line INTEGER NOT NULL,
  id INTEGER NOT NULL,
  precedence INTEGER NOT NULL,
  time INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  box BLOB,
  token TEXT NOT NULL,
  accepted INTEGER NOT NULL,
  UNIQUE (line, id)
);
CREATE TABLE tokens (
  line INTEGER NOT NULL,
  token TEXT NOT NULL,
  queued INTEGER NOT NULL,
  party INTEGER NOT NULL,
  gen INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (line, token)
) WITHOUT ROWID;
CREATE TABLE proofs (
  n INTEGER PRIMARY KEY,
  line INTEGER NOT NULL,
  digest BLOB NOT NULL,
  party INTEGER NOT NULL,
  gen INTEGER NOT NULL,
  found INTEGER NOT NULL,
  proven INTEGER NOT NULL,
  text TEXT NOT NULL,
  bytes BLOB,
  UNIQUE (line, digest)
);
CREATE TABLE meta (
  line INTEGER NOT NULL,
  name TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (line, name)
) WITHOUT ROWID;
CREATE TABLE drafts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  line INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  state TEXT NOT NULL,
  token TEXT NOT NULL,
  updated INTEGER NOT NULL,
  apart BLOB,
  box BLOB
);
CREATE UNIQUE INDEX draft_tokens ON drafts (line, token) WHERE token <> '';
CREATE TABLE blobs (
  id INTEGER PRIMARY KEY,
  root BLOB NOT NULL UNIQUE,
  length INTEGER NOT NULL
);
CREATE TABLE held_chunks (
  blob INTEGER NOT NULL,
  page INTEGER NOT NULL,
  bits BLOB NOT NULL,
  PRIMARY KEY (blob, page)
) WITHOUT ROWID;
`

// migrate brings the schema up to date, one transaction for each step.
func migrate(c *conn, steps []string) error {
	v, err := readVersion(c)
	if err != nil {
		return err
	}
	for n := v.schema; n < len(steps); n++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;", steps[n], applicationID, n+1)
		if err := c.Exec(script); err != nil {
			if !c.GetAutocommit() {
				err = errors.Join(err, c.Exec("ROLLBACK"))
			}
			return fmt.Errorf("bring the schema to version %d: %w", n+1, err)
		}
	}
	return nil
}

// checkSchema refuses a file that this release must not touch.
func checkSchema(c *conn, known int) error {
	v, err := readVersion(c)
	switch {
	case err != nil:
		return err
	case v.app != applicationID && v != (version{}):
		return ErrForeign
	case v.schema > known:
		return fmt.Errorf("%w (its schema is version %d, this release knows up to %d)", ErrNewer, v.schema, known)
	}
	return nil
}

// version is what a file says of itself; zero for an empty one.
type version struct{ schema, app, objects int }

func readVersion(c *conn) (v version, err error) {
	err = errors.Join(
		c.do(`PRAGMA user_version`).each(func(s *stmt) { v.schema = s.ColumnInt(0) }),
		c.do(`PRAGMA application_id`).each(func(s *stmt) { v.app = s.ColumnInt(0) }),
		c.do(`SELECT count(*) FROM sqlite_schema`).each(func(s *stmt) { v.objects = s.ColumnInt(0) }),
	)
	return v, err
}
