package session

import (
	"context"
	"fmt"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/wire"
)

// Submission is released words for a line.
type Submission struct {
	Inner    wire.Inner // Number is given here, when the words are sequenced
	Time     uint64     // the claimed time that the releases bind, Unix seconds
	Numbered bool
	Action   line.Parties // who owes the steps; all others when zero
	// Token makes a repeat harmless: the same token never makes a second
	// entry. Empty for none.
	Token string
}

// Accepted says what became of a submission. It is durable here.
type Accepted struct {
	Pos    line.Pos // valid unless Queued
	Number uint64
	Queued bool   // it waits for a sequence number: no way out, or no right to sign
	Held   string // why the station does not sign, if it does not
}

// Submit makes words durable, and sends them as soon as may be. When it
// returns nil they are accepted; after an error, ask again with the same
// token (spec 08 §7).
func (l *Line) Submit(ctx context.Context, s Submission) (Accepted, error) {
	var out Accepted
	err := l.do(ctx, func(t *turn) error {
		if done, ok, err := l.accepted(t, s.Token); ok || err != nil {
			out = done
			return err
		}
		w := words{inner: s.Inner, time: s.Time, numbered: s.Numbered, action: s.Action}
		if l.mayGo(s.Inner.Flags.Precedence()) {
			e, err := l.sequence(t, w)
			if err != nil {
				return err
			}
			out = Accepted{Pos: e.Pos, Number: l.next.number - 1}
			if !s.Numbered {
				out.Number = 0
			}
			if s.Token != "" {
				t.Tokens = append(t.Tokens, record.Token{Token: s.Token, Pos: out.Pos, Number: out.Number})
			}
			return nil
		}
		q, err := l.enqueue(t, w, s.Token)
		out = Accepted{Queued: true, Held: l.held}
		if s.Token != "" {
			t.Tokens = append(t.Tokens, record.Token{Token: s.Token, Queued: q})
		}
		return err
	})
	return out, err
}

// Say writes a station's statement or notice, durably.
func (l *Line) Say(ctx context.Context, in wire.Inner) error {
	return l.do(ctx, func(t *turn) error {
		w := words{inner: in, time: uint64(t.now.Unix())}
		if l.held != "" {
			_, err := l.enqueue(t, w, "")
			return err
		}
		_, err := l.sequence(t, w)
		return err
	})
}

// accepted finds what a token led to before.
func (l *Line) accepted(t *turn, token string) (Accepted, bool, error) {
	if token == "" {
		return Accepted{}, false, nil
	}
	tok, ok := t.token(token)
	if !ok {
		var err error
		if tok, ok, err = l.cfg.Store.Token(t.ctx, l.ID(), token); err != nil || !ok {
			return Accepted{}, false, err
		}
	}
	return Accepted{Pos: tok.Pos, Number: tok.Number, Queued: tok.Queued != 0, Held: l.held}, true, nil
}

// mayGo reports whether words may take a sequence number now: entries are
// sequenced at the moment of their first transmission, most urgent first, so
// that what waits for a bearer can still be overtaken (spec 08 §7).
func (l *Line) mayGo(p line.Precedence) bool {
	if l.held != "" {
		return false
	}
	for peer := range l.peers {
		if peer.ready && (p.Urgent() || len(l.queue) == 0 && !peer.conn.full()) {
			return true
		}
	}
	return false
}

// enqueue keeps words durably without a sequence number.
func (l *Line) enqueue(t *turn, w words, token string) (uint64, error) {
	if l.v.segment == nil {
		if err := l.v.newSegment(t); err != nil {
			return 0, err
		}
	}
	id := l.next.queueID
	numbered := byte(0)
	if w.numbered {
		numbered = 1
	}
	plain := append([]byte{numbered, byte(w.action), byte(w.action >> 8), byte(w.action >> 16), byte(w.action >> 24)}, wire.Marshal(w.inner)...)
	box, err := l.v.segment.Seal(l.cfg.Rand, localContext("queue", l.cfg.Line.LogID(l.own()), id), plain)
	if err != nil {
		return 0, err
	}
	l.next.queueID++
	t.metaUint("queue", id)
	q := record.Queued{ID: id, Precedence: w.inner.Flags.Precedence(), Time: w.time,
		Segment: l.v.segment.ID(), Box: box, Token: token, Accepted: t.now.UnixMilli()}
	t.Batch.Queue = append(t.Batch.Queue, q)
	i := len(l.queue)
	for i > 0 && l.queue[i-1].Precedence < q.Precedence {
		i--
	}
	l.queue = append(l.queue, record.Queued{})
	copy(l.queue[i+1:], l.queue[i:])
	l.queue[i] = q
	t.seen = true
	return id, nil
}

// maxSequenced bounds what one turn takes from the queue, so that a FLASH
// that comes meanwhile still overtakes the rest.
const maxSequenced = 64

// drain gives queued words their sequence numbers, most urgent first. All is
// set by a courier's export, which carries whatever is accepted.
func (l *Line) drain(t *turn, all bool) {
	for n := 0; len(l.queue) > 0 && l.held == "" && (all || n < maxSequenced); n++ {
		q := l.queue[0]
		if !all && !l.roomFor(q.Precedence) {
			return
		}
		w, err := l.dequeue(t, q)
		if err == nil {
			var e record.Entry
			if e, err = l.sequence(t, w); err == nil && q.Token != "" {
				tok := record.Token{Token: q.Token, Pos: e.Pos}
				if w.numbered {
					tok.Number = l.next.number - 1
				}
				t.Tokens = append(t.Tokens, tok)
			}
		}
		if err != nil {
			l.cfg.Log.Error("queued words cannot be sent yet; they stay queued", "line", l.ID().Short(), "error", err)
			return
		}
		l.queue = l.queue[1:]
		t.Unqueue = append(t.Unqueue, q.ID)
	}
	if len(l.queue) > 0 && l.held == "" && l.roomFor(l.queue[0].Precedence) {
		l.post(func(t *turn) { l.drain(t, false) })
	}
}

// roomFor reports whether a peer could be sent words of this precedence now.
func (l *Line) roomFor(p line.Precedence) bool {
	for peer := range l.peers {
		if peer.ready && (p.Urgent() || !peer.conn.full()) {
			return true
		}
	}
	return false
}

func (l *Line) dequeue(t *turn, q record.Queued) (words, error) {
	seg, err := l.v.segmentFor(t.ctx, l.cfg.Store, q.Segment)
	if err != nil {
		return words{}, err
	}
	own := line.Log{Party: l.cfg.Line.Self, Gen: l.cfg.Own.Gen}
	plain, err := seg.Open(localContext("queue", l.cfg.Line.LogID(own), q.ID), q.Box)
	for g := own.Gen - 1; err != nil && g > 0; g-- { // queued before a new generation
		plain, err = seg.Open(localContext("queue", l.cfg.Line.LogID(line.Log{Party: own.Party, Gen: g}), q.ID), q.Box)
	}
	if err != nil || len(plain) < 5 {
		return words{}, fmt.Errorf("queued words %d: %w", q.ID, seal.ErrOpen)
	}
	w := words{time: q.Time, numbered: plain[0] == 1}
	w.action = line.Parties(plain[1]) | line.Parties(plain[2])<<8 | line.Parties(plain[3])<<16 | line.Parties(plain[4])<<24
	w.inner, err = wire.ParseInner(plain[5:])
	return w, err
}

// quota counts what a party sent today.
type quota struct {
	day   int64
	bytes uint64
	told  bool
}

// overQuota reports whether a non-urgent entry is past its party's daily
// bytes. It is then not taken, which a throttle entry says; FLASH and
// IMMEDIATE always are, and the disk for own receipts stays free (spec 08 §8).
func (l *Line) overQuota(t *turn, c record.Checked) bool {
	limit := l.cfg.Charter.QuotaBytes
	if limit == 0 || c.Pos.Party == l.cfg.Line.Self || c.Entry.Key == 0 || l.st.Holds(c.Pos) {
		return false
	}
	l.endQuotas(t)
	q := l.turns.received[c.Pos.Party]
	if q == nil {
		q = &quota{day: today(t.now)}
		l.turns.received[c.Pos.Party] = q
	}
	if q.bytes += uint64(len(c.Leaf)); q.bytes <= limit {
		return false
	}
	if !q.told {
		q.told = true
		l.notice(t, wire.KindThrottle, line.Priority, wire.Notice{Party: uint8(c.Pos.Party), State: 1})
		l.dueAt(tomorrow(t.now))
	}
	return true
}

func today(now time.Time) int64 { return now.Unix() / 86400 }

func tomorrow(now time.Time) time.Time { return time.Unix((today(now)+1)*86400, 0) }

// endQuotas begins a new day: it says so where a party was told that its quota
// was used up, and asks for what was not taken.
func (l *Line) endQuotas(t *turn) {
	for party, q := range l.turns.received {
		if q.day == today(t.now) {
			continue
		}
		delete(l.turns.received, party)
		if q.told {
			l.notice(t, wire.KindThrottle, line.Priority, wire.Notice{Party: uint8(party)})
			l.turns.gossip = true
			l.dueAt(t.now)
		}
	}
}
