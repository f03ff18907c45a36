package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
)

// Commit implements session.Store. A batch that moves a head must carry the
// log's row of the new size, or the next move would find the old one.
func (db *DB) Commit(ctx context.Context, b *record.Batch) error {
	if b.Empty() {
		return nil
	}
	return db.submit(ctx, "commit to line "+b.Line.Short(), erases(b), func(w *writer) error {
		id, err := w.lineID(b.Line)
		if err != nil {
			return err
		}
		return (&applier{w, id}).apply(b)
	})
}

// erases reports whether the batch removes keys, whose former copies must
// leave the WAL too. What is encrypted under them needs no such care.
func erases(b *record.Batch) bool {
	for _, e := range b.Epochs {
		if len(e.Secret) == 0 {
			return true
		}
	}
	for _, k := range b.Keys {
		if len(k.Seed) == 0 {
			return true
		}
	}
	for _, s := range b.Segments {
		if len(s.Working) == 0 {
			return true
		}
	}
	return false
}

// applier writes one line's rows.
type applier struct {
	*writer
	line int64
}

func (a *applier) apply(b *record.Batch) error {
	if err := a.move(b); err != nil {
		return err
	}
	return firstOf(
		all(b.Entries, a.entry), all(b.Ranks, a.rank), all(b.Bodies, a.body),
		all(b.Logs, a.log), all(b.Heads, a.head), all(b.Cosigs, a.cosig), all(b.Receipts, a.receipt),
		all(b.Epochs, a.epoch), all(b.Keys, a.receiveKey), all(b.Segments, a.segment),
		all(b.Queue, a.enqueue), all(b.Unqueue, a.unqueue), all(b.Tokens, a.token), all(b.Proofs, a.proof),
		func() error { return a.meta(b.Meta) },
	)
}

// all puts off writing each of rows.
func all[T any](rows []T, put func(*T) error) func() error {
	return func() error {
		for i := range rows {
			if err := put(&rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

func firstOf(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// move is the compare-and-swap: it reads the log's size inside the writing
// transaction, so that no other process can come between.
func (a *applier) move(b *record.Batch) error {
	m := b.Move
	if m == nil {
		return nil
	}
	id, err := a.logID(m.Log)
	if err != nil {
		return err
	}
	var size uint64
	_, err = a.do(`SELECT size FROM logs WHERE log = ?`).int(id).one(func(s *stmt) { size = s.uintAt(0) })
	if err != nil {
		return err
	}
	if size != m.From {
		return fmt.Errorf("the log's size is %d, not %d: %w", size, m.From, session.ErrHeadMoved)
	}
	for _, l := range b.Logs {
		if l.Log == m.Log && l.Size == m.To {
			return nil
		}
	}
	return errors.New("a batch that moves a head must carry the log's row of the new size: this is a defect of Herald")
}

func (a *applier) logID(l line.Log) (int64, error) { return a.spanID(spanName{a.line, l, 0}) }

func (a *applier) entry(e *record.Entry) error {
	k, err := a.key(a.line, e.Pos)
	if err != nil {
		return err
	}
	return a.do(`INSERT INTO entries (k, line, rank, hash, sig, leaf, received, via, urgent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		int(k).int(a.line).uint(e.Rank).blob(e.LeafHash[:]).blob(e.Sig[:]).blob(e.Leaf).
		int(e.Received).text(e.Via).bool(e.Urgent).exec()
}

func (a *applier) rank(r *record.Rank) error {
	k, err := a.key(a.line, r.Pos)
	if err != nil {
		return err
	}
	return a.do(`UPDATE entries SET rank = ? WHERE k = ?`).uint(r.Rank).int(k).exec()
}

func (a *applier) body(b *record.Body) error {
	k, err := a.key(a.line, b.Pos)
	if err != nil {
		return err
	}
	// Nearly all are new. REPLACE would keep an undo journal for each row.
	err = a.do(`INSERT INTO bodies (kind, precedence, marking, number, segment, box, defect, pending, k, line, party) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		bodyRow(b).int(k).int(a.line).int(int64(b.Pos.Party)).exec()
	if err != nil || a.Changes() > 0 {
		return err
	}
	return a.do(`UPDATE bodies SET kind = ?, precedence = ?, marking = ?, number = ?, segment = ?, box = ?, defect = ?, pending = ? WHERE k = ?`).
		bodyRow(b).int(k).exec()
}

// bodyRow binds what a body may change.
func (s *stmt) bodyRow(b *record.Body) *stmt {
	return s.int(int64(b.Kind)).int(int64(b.Precedence)).int(int64(b.Marking)).
		uint(b.Number).uint(b.Segment).blob(b.Box).text(b.Defect).bool(b.Pending)
}

func (a *applier) log(l *record.Log) error {
	id, err := a.logID(l.Log)
	if err != nil {
		return err
	}
	// Nearly all are there.
	err = a.do(`UPDATE logs SET tree = ?, size = ?, ranked = ?, last_rank = ?, opened = ? WHERE log = ?`).logRow(l).int(id).exec()
	if err != nil || a.Changes() > 0 {
		return err
	}
	return a.do(`INSERT INTO logs (tree, size, ranked, last_rank, opened, log) VALUES (?, ?, ?, ?, ?, ?)`).logRow(l).int(id).exec()
}

func (s *stmt) logRow(l *record.Log) *stmt {
	return s.blob(l.Tree).uint(l.Size).uint(l.Ranked).uint(l.LastRank).uint(l.Opened)
}

func (a *applier) head(h *record.Head) error {
	id, err := a.logID(h.Log)
	if err != nil {
		return err
	}
	return a.do(`INSERT INTO heads (log, size, root, sig, received) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		int(id).sortable(h.Size).blob(h.Root[:]).blob(h.Sig[:]).int(h.Received).exec()
}

func (a *applier) cosig(c *record.Cosig) error {
	id, err := a.logID(c.Log)
	if err != nil {
		return err
	}
	return a.do(`INSERT INTO cosigs (log, party, gen, size, time, sig, received) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		int(id).int(int64(c.Signer.Party)).int(int64(c.Signer.Gen)).sortable(c.Size).
		uint(c.Time).blob(c.Sig[:]).int(c.Received).exec()
}

// receipt keeps the first good one; until there is one, the first.
func (a *applier) receipt(r *record.Receipt) error {
	k, err := a.key(a.line, r.Target)
	if err != nil {
		return err
	}
	return a.do(`INSERT INTO receipts (k, party, step, source_party, source_gen, source_seq, time, officer, good) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET source_party = excluded.source_party, source_gen = excluded.source_gen, source_seq = excluded.source_seq,
		time = excluded.time, officer = excluded.officer, good = excluded.good WHERE excluded.good > good`).
		int(k).int(int64(r.Party)).int(int64(r.Step)).
		int(int64(r.Source.Party)).int(int64(r.Source.Gen)).uint(r.Source.Seq).
		uint(r.Time).int(int64(r.Officer)).bool(r.Good).exec()
}

func (a *applier) epoch(e *record.Epoch) error {
	k, err := a.key(a.line, line.Pos{Log: e.Log, Seq: e.Base})
	if err != nil {
		return err
	}
	return a.do(`REPLACE INTO epochs (k, line, end, leaves, apart, secret) VALUES (?, ?, ?, ?, ?, ?)`).
		int(k).int(a.line).uint(e.End).blob(e.Leaves).secret(e.Secret).exec()
}

func (a *applier) receiveKey(r *record.ReceiveKey) error {
	return a.do(`REPLACE INTO receive_keys (line, party, gen, number, seq, made, apart, seed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`).
		int(a.line).int(int64(r.Log.Party)).int(int64(r.Log.Gen)).int(int64(r.Index)).
		uint(r.Seq).int(r.Made).secret(r.Seed).exec()
}

func (a *applier) segment(s *record.Segment) error {
	return a.do(`REPLACE INTO segments (line, id, made, offline, apart, working) VALUES (?, ?, ?, ?, ?, ?)`).
		int(a.line).sortable(s.ID).int(s.Made).blob(s.Offline).secret(s.Working).exec()
}

func (a *applier) enqueue(q *record.Queued) error {
	return a.do(`INSERT INTO queue (line, id, precedence, time, segment, box, token, accepted) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		int(a.line).uint(q.ID).int(int64(q.Precedence)).uint(q.Time).uint(q.Segment).
		blob(q.Box).text(q.Token).int(q.Accepted).exec()
}

func (a *applier) unqueue(id *uint64) error {
	return a.do(`DELETE FROM queue WHERE line = ? AND id = ?`).int(a.line).uint(*id).exec()
}

func (a *applier) token(t *record.Token) error {
	return a.do(`REPLACE INTO tokens (line, token, queued, party, gen, seq, number) VALUES (?, ?, ?, ?, ?, ?, ?)`).
		int(a.line).text(t.Token).uint(t.Queued).
		int(int64(t.Pos.Party)).int(int64(t.Pos.Gen)).uint(t.Pos.Seq).uint(t.Number).exec()
}

// proof keeps each finding once: the same log, words and evidence.
func (a *applier) proof(p *record.Proof) error {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %t %d ", p.Log.Party, p.Log.Gen, p.Proven, len(p.Text))
	h.Write([]byte(p.Text))
	h.Write(p.Bytes)
	return a.do(`INSERT INTO proofs (line, digest, party, gen, found, proven, text, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		int(a.line).blob(h.Sum(nil)).int(int64(p.Log.Party)).int(int64(p.Log.Gen)).
		int(p.Found).bool(p.Proven).text(p.Text).blob(p.Bytes).exec()
}

func (a *applier) meta(values map[string][]byte) error {
	for name, v := range values {
		var err error
		if v == nil {
			err = a.do(`DELETE FROM meta WHERE line = ? AND name = ?`).int(a.line).text(name).exec()
		} else {
			// One byte in front keeps an empty value apart from none.
			err = a.do(`REPLACE INTO meta (line, name, value) VALUES (?, ?, ?)`).
				int(a.line).text(name).blob(bytes.Join([][]byte{{'='}, v}, nil)).exec()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
