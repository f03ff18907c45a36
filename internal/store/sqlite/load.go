package sqlite

import (
	"context"
	"fmt"

	"herald/internal/line"
	"herald/internal/record"
)

// Load implements session.Store. It reads of one moment, and only what a line
// keeps in memory: its time does not grow with the length of the history.
func (db *DB) Load(ctx context.Context, l line.ID) (record.Snapshot, error) {
	var ld loader
	err := db.readOnce(ctx, "load line "+l.Short(), func(c *conn) (err error) {
		if ld.spans, err = findSpans(c, l); err != nil || ld.spans.line == 0 {
			return err
		}
		ld.conn = c
		return firstOf(ld.logs, ld.pending, ld.epochs, ld.keys, ld.segments, ld.queue, ld.meta)
	})
	if err != nil {
		return record.Snapshot{}, err
	}
	return ld.snap, nil
}

type loader struct {
	*conn
	spans spans
	snap  record.Snapshot
}

// logs reads each log's state, its newest head and cosignatures, and the
// entries that are not finished with.
func (ld *loader) logs() error {
	size := uint64(0) // of the log that the span belongs to
	for _, sp := range ld.spans.list {
		if sp.hi == 0 {
			size = 0
			if err := ld.log(sp, &size); err != nil {
				return err
			}
		}
		if err := ld.entries(sp, size); err != nil {
			return err
		}
	}
	return nil
}

func (ld *loader) log(sp span, size *uint64) error {
	_, err := ld.do(`SELECT tree, size, ranked, last_rank, opened FROM logs WHERE log = ?`).int(sp.id).one(func(s *stmt) {
		*size = s.uintAt(1)
		ld.snap.Logs = append(ld.snap.Logs, record.Log{
			Log: sp.log, Tree: s.bytesAt(0), Size: *size, Ranked: s.uintAt(2), LastRank: s.uintAt(3), Opened: s.uintAt(4),
		})
	})
	if err != nil {
		return err
	}
	// Of several roots at one size the first that came.
	_, err = ld.do(headColumns + `WHERE log = ? AND size = (SELECT max(size) FROM heads WHERE log = ?) ORDER BY received, root`).
		int(sp.id).int(sp.id).one(func(s *stmt) { ld.snap.Heads = append(ld.snap.Heads, headAt(s, sp.log)) })
	if err != nil {
		return err
	}
	return ld.cosigs(sp)
}

// cosigs steps from one signer's greatest cosignature to the next signer's,
// since a log may have millions.
func (ld *loader) cosigs(sp span) error {
	after := line.Log{Party: -1}
	for {
		var found record.Cosig
		ok, err := ld.do(cosigColumns + `WHERE log = ? AND (party, gen) > (?, ?) ORDER BY party, gen LIMIT 1`).
			int(sp.id).int(int64(after.Party)).int(int64(after.Gen)).one(func(s *stmt) { after = logAt(s, 1) })
		if err != nil || !ok {
			return err
		}
		if _, err = ld.do(cosigColumns + `WHERE log = ? AND party = ? AND gen = ? ORDER BY size DESC LIMIT 1`).
			int(sp.id).int(int64(after.Party)).int(int64(after.Gen)).
			one(func(s *stmt) { found = cosigAt(s, sp.log) }); err != nil {
			return err
		}
		ld.snap.Cosigs = append(ld.snap.Cosigs, found)
	}
}

// entries reads what waits for a rank below size, and all that is held from
// there on.
func (ld *loader) entries(sp span, size uint64) error {
	border := sp.first() // the first key that is ahead
	switch hi := size >> seqBits; {
	case hi > sp.hi:
		border = sp.last() + 1
	case hi == sp.hi:
		border |= int64(size & seqMask)
	}
	err := ld.do(entryColumns + `INDEXED BY waiting WHERE rank = 0 AND k >= ? AND k < ? ORDER BY k`).int(sp.first()).int(border).
		each(func(s *stmt) { ld.snap.Waiting = append(ld.snap.Waiting, ld.spans.entryAt(s)) })
	if err != nil {
		return err
	}
	return ld.do(entryColumns + `WHERE k >= ? AND k <= ? ORDER BY k`).int(border).int(sp.last()).
		each(func(s *stmt) { ld.snap.Ahead = append(ld.snap.Ahead, ld.spans.entryAt(s)) })
}

func (ld *loader) pending() error {
	return ld.do(`SELECT k FROM bodies INDEXED BY pending WHERE line = ? AND pending = 1 ORDER BY k`).int(ld.spans.line).
		each(func(s *stmt) { ld.snap.Pending = append(ld.snap.Pending, ld.spans.pos(s.ColumnInt64(0))) })
}

func (ld *loader) epochs() error {
	return ld.do(`SELECT k, leaves, secret, end FROM epochs INDEXED BY live_epochs WHERE line = ? AND secret IS NOT NULL ORDER BY k`).int(ld.spans.line).
		each(func(s *stmt) {
			at := ld.spans.pos(s.ColumnInt64(0))
			ld.snap.Epochs = append(ld.snap.Epochs, record.Epoch{
				Log: at.Log, Base: at.Seq, Leaves: s.bytesAt(1), Secret: s.bytesAt(2), End: s.uintAt(3),
			})
		})
}

// keys reads those that are not erased: a busy line has made many.
func (ld *loader) keys() error {
	return ld.do(`SELECT party, gen, number, seq, seed, made FROM receive_keys INDEXED BY live_keys WHERE line = ? AND seed IS NOT NULL ORDER BY party, gen, number`).int(ld.spans.line).
		each(func(s *stmt) {
			ld.snap.Keys = append(ld.snap.Keys, record.ReceiveKey{
				Log: logAt(s, 0), Index: uint32(s.ColumnInt64(2)), Seq: s.uintAt(3), Seed: s.bytesAt(4), Made: s.ColumnInt64(5),
			})
		})
}

func (ld *loader) segments() error {
	_, err := ld.do(segmentColumns + `WHERE line = ? ORDER BY id DESC LIMIT 1`).int(ld.spans.line).
		one(func(s *stmt) { ld.snap.Segments = append(ld.snap.Segments, segmentAt(s)) })
	return err
}

// queue orders by precedence and then by when a row was put in, which no
// clock can turn round.
func (ld *loader) queue() error {
	return ld.do(`SELECT id, precedence, time, segment, box, token, accepted FROM queue WHERE line = ? ORDER BY precedence DESC, n`).int(ld.spans.line).
		each(func(s *stmt) {
			ld.snap.Queue = append(ld.snap.Queue, record.Queued{
				ID: s.uintAt(0), Precedence: line.Precedence(s.ColumnInt64(1)), Time: s.uintAt(2), Segment: s.uintAt(3),
				Box: s.bytesAt(4), Token: s.ColumnText(5), Accepted: s.ColumnInt64(6),
			})
		})
}

func (ld *loader) meta() error {
	bad := 0
	err := ld.do(`SELECT name, value FROM meta WHERE line = ?`).int(ld.spans.line).each(func(s *stmt) {
		if ld.snap.Meta == nil {
			ld.snap.Meta = map[string][]byte{}
		}
		v := s.ColumnBlob(1, []byte{})
		if len(v) == 0 || v[0] != '=' {
			bad++
			return
		}
		ld.snap.Meta[s.ColumnText(0)] = v[1:]
	})
	if err == nil && bad > 0 {
		return fmt.Errorf("%w: %d named values have no mark", ErrDamaged, bad)
	}
	return err
}
