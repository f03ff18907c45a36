package sqlite

import (
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

const entryColumns = `SELECT k, rank, hash, sig, leaf, received, via, urgent FROM entries `

func (sp spans) entryAt(s *stmt) record.Entry {
	e := record.Entry{
		SignedEntry: wire.SignedEntry{Pos: sp.pos(s.ColumnInt64(0)), Leaf: s.bytesAt(4)},
		Rank:        s.uintAt(1),
		Received:    s.ColumnInt64(5),
		Via:         s.ColumnText(6),
		Urgent:      s.ColumnBool(7),
	}
	copy(e.LeafHash[:], s.ColumnRawBlob(2))
	copy(e.Sig[:], s.ColumnRawBlob(3))
	return e
}

const bodyColumns = `SELECT k, kind, precedence, marking, number, segment, box, defect, pending FROM bodies `

func (sp spans) bodyAt(s *stmt) record.Body {
	return record.Body{
		Pos:        sp.pos(s.ColumnInt64(0)),
		Kind:       wire.Kind(s.ColumnInt64(1)),
		Precedence: line.Precedence(s.ColumnInt64(2)),
		Marking:    line.Marking(s.ColumnInt64(3)),
		Number:     s.uintAt(4),
		Segment:    s.uintAt(5),
		Box:        s.bytesAt(6),
		Defect:     s.ColumnText(7),
		Pending:    s.ColumnBool(8),
	}
}

const headColumns = `SELECT size, root, sig, received FROM heads `

func headAt(s *stmt, log line.Log) record.Head {
	h := record.Head{Head: wire.Head{Log: log, Size: s.sortableAt(0)}, Received: s.ColumnInt64(3)}
	copy(h.Root[:], s.ColumnRawBlob(1))
	copy(h.Sig[:], s.ColumnRawBlob(2))
	return h
}

const cosigColumns = `SELECT size, party, gen, time, sig, received FROM cosigs `

func cosigAt(s *stmt, log line.Log) record.Cosig {
	c := record.Cosig{
		Cosig:    wire.Cosig{Log: log, Size: s.sortableAt(0), Signer: logAt(s, 1), Time: s.uintAt(3)},
		Received: s.ColumnInt64(5),
	}
	copy(c.Sig[:], s.ColumnRawBlob(4))
	return c
}

// logAt reads a log from two columns, party and generation.
func logAt(s *stmt, col int) line.Log {
	return line.Log{Party: s.ColumnInt(col), Gen: line.Generation(s.ColumnInt64(col + 1))}
}

func posAt(s *stmt, col int) line.Pos {
	return line.Pos{Log: logAt(s, col), Seq: s.uintAt(col + 2)}
}

const segmentColumns = `SELECT id, working, offline, made FROM segments `

func segmentAt(s *stmt) record.Segment {
	return record.Segment{ID: s.sortableAt(0), Working: s.bytesAt(1), Offline: s.bytesAt(2), Made: s.ColumnInt64(3)}
}
