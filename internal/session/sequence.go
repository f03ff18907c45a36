package session

import (
	"errors"
	"fmt"
	"slices"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// words is an inner part that waits to become an entry.
type words struct {
	inner    wire.Inner
	time     uint64
	numbered bool
	action   line.Parties // who owes steps; all others when zero
}

// sequence gives words their place in the own log: seals, signs, and adds
// them to the turn. The entry leaves the station only after the commit.
func (l *Line) sequence(t *turn, w words) (record.Entry, error) {
	if l.held != "" {
		return record.Entry{}, errors.New(l.held)
	}
	if err := l.ensureOpen(t); err != nil {
		return record.Entry{}, err
	}
	prec := w.inner.Flags.Precedence()
	ep, err := l.pickEpoch(t, prec, w.action)
	if err != nil {
		return record.Entry{}, err
	}
	if w.numbered {
		w.inner.Number = l.next.number
		l.next.number++
		t.metaUint("number", w.inner.Number)
	}
	seq := l.st.Size(l.own())
	mk, err := ep.Key(int(seq - ep.Base()))
	if err != nil {
		return record.Entry{}, err
	}
	inner := wire.Marshal(w.inner)
	e := wire.Entry{Key: uint8(seq - ep.Base()), Time: w.time, After: l.st.AfterIn(l.own())}
	e.Body = seal.SealBody(mk, associated(l.cfg.Line, line.Pos{Log: l.own(), Seq: seq}, e), inner)
	entry, err := l.append(t, e, prec)
	if err != nil {
		return entry, err
	}
	l.noteOwn(t, entry, w, inner, mk[:])
	return entry, nil
}

// associated is what an entry's body is bound to (spec 06 §4).
func associated(l record.Line, p line.Pos, e wire.Entry) []byte {
	return append(tlog.EntryContext(l.LogID(p.Log), p.Seq), e.Context()...)
}

// append signs an entry and adds it to the own log.
func (l *Line) append(t *turn, e wire.Entry, prec line.Precedence) (record.Entry, error) {
	own := l.own()
	seq := l.st.Size(own)
	c := record.Checked{Entry: e}
	c.Leaf = wire.Marshal(e)
	if limit := int(l.cfg.Charter.EntryBytes); len(c.Leaf) > limit {
		return record.Entry{}, fmt.Errorf("the entry would have %d bytes, the charter allows %d: send the text as an attachment", len(c.Leaf), limit)
	}
	c.Pos = line.Pos{Log: own, Seq: seq}
	c.LeafHash = tlog.LeafHash(c.Leaf)
	c.Sig = tlog.SignEntry(l.cfg.Own.Log, l.cfg.Line.LogID(own), seq, c.LeafHash)
	out, err := l.st.Add(&t.Turn, c, record.Entry{Received: t.now.UnixMilli(), Urgent: prec.Urgent()})
	if err != nil {
		return record.Entry{}, err
	}
	if out != record.Taken {
		return record.Entry{}, fmt.Errorf("own entry %d is held already", seq)
	}
	t.made++
	row := t.Entries[len(t.Entries)-1]
	t.entries = append(t.entries, fresh{e: row, prec: prec})
	return row, nil
}

// noteOwn archives own words and derives their receipts.
func (l *Line) noteOwn(t *turn, e record.Entry, w words, inner, mk []byte) {
	in := w.inner
	b := record.Body{Pos: e.Pos, Kind: in.Kind, Precedence: in.Flags.Precedence(), Marking: in.Flags.Marking(), Number: in.Number}
	var err error
	if b.Segment, b.Box, err = l.v.archive(t, e.Pos, inner, mk); err != nil {
		b.Defect = "could not be archived: " + err.Error()
	}
	t.Bodies = append(t.Bodies, b)
	l.derive(t, e, w.time, in)
	t.seen = true
}

// ensureOpen writes the first entries of the own log in this generation: an
// epoch that also publishes a receive key, and the card that the entries are
// to be judged by (spec 04 §2).
func (l *Line) ensureOpen(t *turn) error {
	if l.st.Size(l.own()) > 0 {
		return nil
	}
	if err := l.openEpoch(t, false); err != nil {
		return err
	}
	return l.noticeCard(t)
}

// noticeCard puts the hash of the own newest card on the record.
func (l *Line) noticeCard(t *turn) error {
	card, ok := l.cfg.Cards.Card(l.cfg.Line.Members[l.cfg.Line.Self])
	if !ok {
		return errors.New("this station has no card of its own: import it with herald card import")
	}
	h := card.Hash()
	t.metaUint("card", uint64(card.Version))
	l.next.card = card.Version
	_, err := l.sequence(t, words{inner: wire.Inner{
		Kind: wire.KindCard, Content: wire.Marshal(wire.Notice{Version: card.Version, Hash: h[:]}),
	}, time: uint64(t.now.Unix())})
	return err
}

// pickEpoch chooses the epoch for the next entry: urgent words use the newest
// one that their action parties hold already, others the newest; where none
// has a key left, a new one is opened (spec 06 §2).
func (l *Line) pickEpoch(t *turn, prec line.Precedence, action line.Parties) (*seal.Epoch, error) {
	own := l.own()
	seq := l.st.Size(own)
	es := l.v.epochs[own]
	if prec.Urgent() {
		for i := len(es) - 1; i >= 0; i-- {
			if d := seq - es[i].row.Base; d <= seal.EpochKeys && l.heldBy(own, es[i].row.Base, action) {
				return l.v.derive(es[i])
			}
		}
	}
	limit := uint64(ordinaryKeys)
	if prec.Urgent() {
		limit = seal.EpochKeys
	}
	if n := len(es); n > 0 && seq-es[n-1].row.Base <= limit {
		return l.v.derive(es[n-1])
	}
	if err := l.openEpoch(t, false); err != nil {
		return nil, err
	}
	es = l.v.epochs[own]
	return l.v.derive(es[len(es)-1])
}

// heldBy reports whether all action parties have stated that they hold seq.
func (l *Line) heldBy(g line.Log, seq uint64, action line.Parties) bool {
	for p := range l.cfg.Line.Members {
		if p == g.Party || action != 0 && !action.Has(p) {
			continue
		}
		if l.st.Delivered(g, p) <= seq {
			return false
		}
	}
	return true
}

// closing returns where the own log of a former generation ended: as the own
// card has it, so that nothing that a thief of its keys appended afterwards
// can hold the new one back; else as it is held.
func (l *Line) closing(g line.Generation) (uint64, line.Hash) {
	if card, ok := l.cfg.Cards.Card(l.cfg.Line.Members[l.cfg.Line.Self]); ok {
		if c, ok := card.Closing(l.ID(), g); ok {
			return c.Size, c.Root
		}
	}
	h := l.st.TreeHead(line.Log{Party: l.cfg.Line.Self, Gen: g})
	return h.Size, h.Root
}

// openEpoch writes an epoch entry: a fresh secret, sealed to every other
// party's newest receive key, and the own next receive key. After traffic,
// when all before is delivered, it also ends every earlier epoch, so that
// their secrets need not outlive the burst that they served.
func (l *Line) openEpoch(t *turn, endsEarlier bool) error {
	own := l.own()
	base := l.st.Size(own)
	id := l.cfg.Line.LogID(own)
	ep, err := seal.NewEpoch(id, base, l.cfg.Rand)
	if err != nil {
		return err
	}
	root := ep.Root()
	body := wire.Epoch{Secrets: map[uint8]wire.SealedSecret{}, Keys: root[:], Oldest: base}
	earlier := slices.Clone(l.v.epochs[own])
	if es := earlier; len(es) > 0 && !endsEarlier {
		body.Oldest = es[len(es)-1].row.Base
	}
	for p, code := range l.cfg.Line.Members {
		if p == own.Party {
			continue
		}
		pub, index, ok := l.v.receiveKey(p)
		if !ok {
			return fmt.Errorf("no card of %s is held, so nothing can be sealed to it: import it with herald card import", code)
		}
		box, err := seal.SealSecret(pub, id, base, code, index, ep.Secret())
		if err != nil {
			return fmt.Errorf("sealing to %s: %w", code, err)
		}
		body.Secrets[uint8(p)] = wire.SealedSecret{Index: index, Box: box}
	}
	if body.Receive, body.ReceiveIndex, err = l.v.newReceiveKey(t, own, base); err != nil {
		return err
	}
	if base == 0 && own.Gen > 1 {
		size, root := l.closing(own.Gen - 1)
		body.Closes = &wire.Closes{Size: size, Root: root[:]}
	}
	e := wire.Entry{Time: uint64(t.now.Unix()), Body: wire.Marshal(body), After: l.st.AfterIn(l.own())}
	// Whatever follows is opened by it, a FLASH too: it is not to stand behind
	// bulk.
	if _, err := l.append(t, e, line.Immediate); err != nil {
		return err
	}
	if endsEarlier {
		for _, old := range earlier {
			l.v.erase(t, old)
		}
	}
	_, err = l.v.keep(t, own, ep)
	return err
}
