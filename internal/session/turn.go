package session

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// turn is one pass of a line's loop: what changes, and what may be seen once
// that is durable.
type turn struct {
	record.Turn
	ctx  context.Context
	l    *Line
	now  time.Time
	from uint64 // own log's size at the start
	made int    // entries signed in this turn

	after   []func(error)
	entries []fresh        // new here: to be sent on
	heads   []wire.Head    // own
	cosigs  []wire.Cosig   // own
	relay   []relayed      // others' cosignatures, for the log's author
	kept    []record.Proof // found in this turn, and new
	late    []wire.Head    // of passed sizes, found true
	lost    []wire.Ref     // entries that could not be opened, to be said in one statement
	seen    bool           // something changed that people may see
}

// fresh is an entry that became known in this turn.
type fresh struct {
	e    record.Entry
	prec line.Precedence
	from *Peer // who brought it; nil for own entries
}

type relayed struct {
	c    wire.Cosig
	from *Peer
}

// idleAfter is how long derived keys stay in memory on a line at rest.
const idleAfter = time.Minute

// then runs f after the commit, with its error.
func (t *turn) then(f func(error)) { t.after = append(t.after, f) }

func (t *turn) meta(name string, v []byte) {
	if t.Meta == nil {
		t.Meta = map[string][]byte{}
	}
	t.Meta[name] = v
	if v == nil {
		delete(t.l.meta, name)
	} else {
		t.l.meta[name] = v
	}
}

func (t *turn) metaUint(name string, v uint64) { t.meta(name, wire8(v)) }

func wire8(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func metaUint(m map[string][]byte, name string) uint64 {
	if b := m[name]; len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// turn runs the events, commits what they changed, and lets it be seen. A turn
// that has begun is not cut short when the line is to end: what it did halfway
// would look like a store that fails.
func (l *Line) turn(ctx context.Context, evs []func(*turn)) {
	t := &turn{ctx: context.WithoutCancel(ctx), l: l, now: l.cfg.Now(), from: l.st.Size(l.own())}
	t.Line = l.ID()
	for _, ev := range evs {
		ev(t)
	}
	l.conclude(t)
	var err error
	if l.held != "" && t.made > 0 {
		err = errHeld // learned in the midst of the turn
	}
	if err == nil && !t.Empty() {
		// The one place where the head moves. The store compares the old size
		// and sets the new one in the transaction that holds the entries, so
		// that two processes can never sign two entries at one place; nothing
		// of this turn has left the process before Commit returns nil.
		err = l.cfg.Store.Commit(t.ctx, &t.Batch)
	}
	if err != nil {
		l.failed(ctx, t, err)
		return
	}
	l.reveal(t)
}

// conclude adds what follows from the turn's events: the signed head, own
// cosignatures, keys that have served.
func (l *Line) conclude(t *turn) {
	if l.held != "" {
		for p := range l.peers {
			if p.ready {
				l.confirmBy(t, p)
			}
		}
	}
	l.judgeAgain(t)
	l.keepProofs(t)
	for len(t.lost) > 0 {
		n := min(len(t.lost), wire.MaxRefs)
		l.state(t, wire.KindUnreadable, line.Immediate, wire.Statement{Refs: t.lost[:n]})
		t.lost = t.lost[n:]
	}
	own := l.own()
	if size := l.st.Size(own); size != t.from && l.held == "" {
		h := l.st.TreeHead(own)
		head := wire.Head{Log: own, Size: h.Size, Root: h.Root}
		head.Sig = tlog.SignHead(l.cfg.Own.Log, l.cfg.Line.LogID(own), h)
		l.st.AddHead(&t.Turn, head)
		t.heads = append(t.heads, head)
		t.Move = &record.Move{Log: own, From: t.from, To: size}
	}
	if l.held == "" {
		l.cosign(t)
	}
	if len(t.Entries) > 0 {
		l.lastWords = t.now
		l.dueAt(t.now.Add(idleAfter))
	}
	l.v.retire(t, l.st)
	l.st.Close(&t.Turn)
	for i := range t.Heads {
		t.Heads[i].Received = t.now.UnixMilli()
	}
	for i := range t.Proofs {
		t.Proofs[i].Found = t.now.Unix()
	}
}

// cosign states, for each other log, that this station holds every entry below
// the greatest head that agrees with them, where it has not said so before.
// The statement is in the same commit as the entries, and leaves only after it
// (spec 07 §5).
func (l *Line) cosign(t *turn) {
	me := l.own()
	for _, g := range l.st.Logs() {
		h, ok := l.st.Head(g)
		if !ok || g.Party == me.Party || h.Size <= l.st.Cosigned(g, me) {
			continue
		}
		c := wire.Cosig{Log: h.Log, Size: h.Size, Signer: me, Time: uint64(t.now.Unix())}
		c.Sig = tlog.Cosign(l.cfg.Own.Delivery, l.cfg.Line.LogID(h.Log), tlog.Head{Size: h.Size, Root: h.Root}, c.Time)
		if l.st.AddCosig(&t.Turn, record.Cosig{Cosig: c, Received: t.now.UnixMilli()}) {
			t.cosigs = append(t.cosigs, c)
		}
	}
}

// reveal lets the turn be seen, now that it is durable.
func (l *Line) reveal(t *turn) {
	for _, h := range t.heads {
		l.cfg.Anchor.Moved(l.cfg.Line.LogID(h.Log), h.Size, h.Root)
	}
	l.spread(t)
	for _, f := range t.after {
		f(nil)
	}
	if t.seen || !t.Empty() {
		l.announce()
	}
}

// failed drops everything in memory and reads it again: after a failed commit
// it is not known whether the store took it.
func (l *Line) failed(ctx context.Context, t *turn, err error) {
	l.cfg.Log.Error("a change was not kept; nothing of it was sent", "line", l.ID().Short(), "error", err)
	if errors.Is(err, ErrHeadMoved) {
		l.moved, l.held = true, "another process has written to this station's log; stop it, then restart this station"
	}
	if !l.reload(ctx) {
		return
	}
	for _, f := range t.after {
		f(err)
	}
	// What peers sent is offered again once they know what is really held, and
	// what may be held without having been sent is offered to them.
	for p := range l.peers {
		p.eager = true
	}
	l.dueAt(t.now.Add(2 * time.Second))
	l.turns.gossip = true
	l.announce()
}

// reload reads the line again, and stands still until it can be read. It
// returns false if ctx ended first.
func (l *Line) reload(ctx context.Context) bool {
	err := l.load(ctx)
	if err == nil {
		return true
	}
	l.mu.Lock()
	close(l.still)
	l.mu.Unlock()
	for ; err != nil; err = l.load(ctx) {
		l.cfg.Log.Error("the store cannot be read; the line stands still until it can", "line", l.ID().Short(), "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
	}
	l.mu.Lock()
	l.still = make(chan struct{})
	l.mu.Unlock()
	return true
}

// dueAt asks for a tick at the given time or earlier.
func (l *Line) dueAt(at time.Time) {
	u := at.Unix()
	for {
		old := l.due.Load()
		if old != 0 && old <= u {
			return
		}
		if l.due.CompareAndSwap(old, u) {
			return
		}
	}
}

// Tick does what is due at now, if anything is.
func (l *Line) Tick(now time.Time) {
	if due := l.due.Load(); due != 0 && due <= now.Unix() && l.due.CompareAndSwap(due, 0) {
		l.post(l.tick)
	}
}
