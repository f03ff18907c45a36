package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// What this release speaks (spec 08 §3).
const (
	Version = 1 // of the session
	Suite   = 1 // HPKE MLKEM768-X25519, HKDF-SHA256, AES-256-GCM
)

// refillCount is how many entries are read from the store at a time.
const refillCount = 64

// greet opens the line's channel on a new connection.
func (l *Line) greet(t *turn, p *Peer) {
	l.peers[p] = struct{}{}
	p.theirs, p.sent = map[line.Log]*held{}, map[line.Pos]struct{}{}
	t.then(func(error) {
		p.send(classControl, wire.FrameHello, true, wire.Marshal(l.hello()))
		p.hailed = true
	})
	t.seen = true
}

func (l *Line) hello() wire.Hello {
	h := sha256.Sum256([]byte(l.cfg.Charter.Text()))
	return wire.Hello{
		Versions: []uint16{Version}, Suites: []uint16{Suite}, Line: l.cfg.Line.ID[:],
		Party: uint8(l.cfg.Line.Self), Charter: h[:], Have: l.have(),
	}
}

// have sums up entries and cards held.
func (l *Line) have() wire.Have {
	h := l.st.Have()
	for i, code := range l.cfg.Line.Members {
		if card, ok := l.cfg.Cards.Card(code); ok {
			sum := card.Hash()
			h.Cards = append(h.Cards, wire.HaveCard{Party: uint8(i), Version: card.Version, Hash: sum[:]})
		}
	}
	return h
}

// part forgets a connection.
func (l *Line) part(t *turn, p *Peer) {
	delete(l.peers, p)
	t.seen = true
}

// greeted takes the other side's hello: what it speaks, and what it holds.
func (l *Line) greeted(t *turn, p *Peer, h wire.Hello) {
	if !p.hailed {
		// Both hellos in one turn. Ours goes first: until it is there, the other
		// side drops whatever comes on the channel.
		l.post(func(t *turn) { l.greeted(t, p, h) })
		return
	}
	p.ready = true
	l.believe(t, p, h.Have)
	if l.held == "" {
		if err := l.ensureOpen(t); err != nil {
			l.cfg.Log.Error("the own log cannot be opened", "line", l.ID().Short(), "error", err)
		}
		l.renewCard(t)
	}
	l.drain(t, false)
	l.dueAt(t.now.Add(time.Second))
	t.seen = true
}

// renewCard puts a card on the record that is newer than the last one there.
func (l *Line) renewCard(t *turn) {
	card, ok := l.cfg.Cards.Card(l.cfg.Line.Members[l.cfg.Line.Self])
	if ok && l.next.card != 0 && l.next.card < card.Version {
		if err := l.noticeCard(t); err != nil {
			l.cfg.Log.Error("the own card cannot be put on the record", "line", l.ID().Short(), "error", err)
		}
	}
}

func (l *Line) unfit(h wire.Hello) string {
	if !contains(h.Versions, Version) || !contains(h.Suites, Suite) {
		return fmt.Sprintf("no common version: this station speaks session version %d with suite %d", Version, Suite)
	}
	if sum := sha256.Sum256([]byte(l.cfg.Charter.Text())); [32]byte(h.Charter) != sum {
		return "the charters differ: compare them with herald charter show"
	}
	return ""
}

func contains(vs []uint16, v uint16) bool {
	for _, x := range vs {
		if x == v {
			return true
		}
	}
	return false
}

// believe takes a summary of what the other side holds, and sends what it
// lacks: the urgent first, then the rest in order.
func (l *Line) believe(t *turn, p *Peer, h wire.Have) {
	if h.Full {
		p.theirs, p.sent = map[line.Log]*held{}, map[line.Pos]struct{}{}
	}
	p.learn(h, len(l.cfg.Line.Members))
	if h.Full {
		t.meta(haveName(p.party), wire.Marshal(h))
	}
	l.doubtBy(t, p)
	l.confirmBy(t, p)
	l.swapCards(p, h.Cards)
	p.eager = true
	t.then(func(err error) {
		if err == nil {
			l.urgentFirst(t, p)
		}
	})
	l.refill(t, p)
}

// confirmBy lets a station that must not sign yet sign again, once a peer's
// summary shows nothing of its own log that it lacks (spec 04 §2).
func (l *Line) confirmBy(t *turn, p *Peer) {
	if l.held == "" || l.moved || !l.doubt.until.IsZero() {
		return
	}
	x := p.of(l.own())
	if l.st.Size(l.own()) < max(x.size, l.need) || len(x.ahead) > 0 && l.st.Size(l.own()) < x.ahead[len(x.ahead)-1][1] {
		return
	}
	l.cfg.Log.Info("a peer confirmed this station's head; it signs again", "line", l.ID().Short(), "peer", p.conn.label())
	l.held, l.need = "", 0
	t.meta("held", nil)
	t.meta("held-need", nil)
	h := l.st.TreeHead(l.own())
	t.then(func(err error) {
		if err == nil {
			l.cfg.Anchor.Moved(l.cfg.Line.LogID(l.own()), h.Size, h.Root)
		}
	})
	t.seen = true
	l.post(func(t *turn) { l.drain(t, false) })
}

// urgentFirst sends the urgent entries that the other side lacks ahead of
// everything else.
func (l *Line) urgentFirst(t *turn, p *Peer) {
	for _, g := range l.st.Logs() {
		x := p.of(g)
		es, err := l.cfg.Store.Urgent(t.ctx, l.ID(), g, x.size, 2*refillCount)
		if err != nil {
			l.cfg.Log.Error("the store cannot be read", "line", l.ID().Short(), "error", err)
			return
		}
		for _, e := range es {
			if _, ok := p.sent[e.Pos]; !ok && !x.has(e.Pos.Seq) {
				p.sent[e.Pos] = struct{}{}
				p.sendEntry(e, line.Immediate)
			}
		}
	}
}

// refill reads more of what the other side lacks from the store, until the
// connection has enough waiting.
func (l *Line) refill(t *turn, p *Peer) {
	t.then(func(err error) { // only what is durable may be sent
		if err == nil {
			l.sendMore(t, p)
		}
	})
}

func (l *Line) sendMore(t *turn, p *Peer) {
	if _, ok := l.peers[p]; !ok || !p.ready {
		return
	}
	for _, g := range l.st.Logs() {
		x := p.of(g)
		if h, ok := l.st.Head(g); ok && g.Party == p.party && h.Size > max(x.size, x.head) {
			// It lacks what it signed itself: its own signature stops it at once
			// from signing there again.
			x.head = h.Size
			p.send(classControl, wire.FrameHead, true, h.Append(nil))
		}
		for x.offered < l.st.Size(g) || l.aheadOf(g, x) {
			if p.conn.backlog() > lowBytes {
				p.conn.wantMore(p)
				return
			}
			if !l.offer(t, p, g, x) {
				return
			}
		}
		l.vouch(t, p, g, x)
	}
	p.eager = false
}

// aheadOf reports whether entries are held beyond the prefix that were not
// offered.
func (l *Line) aheadOf(g line.Log, x *held) bool {
	r := l.st.Ahead(g, 1<<30)
	return len(r) > 0 && x.offered < r[len(r)-1][1]
}

func (l *Line) offer(t *turn, p *Peer, g line.Log, x *held) bool {
	es, err := l.cfg.Store.Entries(t.ctx, l.ID(), g, x.offered, refillCount)
	if err != nil {
		l.cfg.Log.Error("the store cannot be read", "line", l.ID().Short(), "error", err)
		return false
	}
	if len(es) == 0 {
		return false
	}
	for _, e := range es {
		x.offered = e.Pos.Seq + 1
		if _, ok := p.sent[e.Pos]; ok || x.has(e.Pos.Seq) {
			delete(p.sent, e.Pos)
			continue
		}
		prec := line.Routine
		if e.Urgent {
			prec = line.Immediate
		}
		p.sendEntry(e, prec)
	}
	return true
}

// vouch sends the head and the cosignatures of a log that the other side
// lacks. A cosignature goes behind the head of its size, whose root it is on.
func (l *Line) vouch(t *turn, p *Peer, g line.Log, x *held) {
	if h, ok := l.st.Head(g); ok && h.Size > x.head {
		x.head = h.Size
		p.send(classControl, wire.FrameHead, true, h.Append(nil))
	}
	for _, c := range l.st.Cosigners(g) {
		signer := line.Log{Party: int(c.Party), Gen: line.Generation(c.Gen)}
		if signer.Party == p.party || c.Size <= x.cosigned[signer] {
			continue
		}
		row, ok, err := l.cfg.Store.CosigAt(t.ctx, l.ID(), g, signer, c.Size)
		if err != nil || !ok {
			continue
		}
		x.cosigned[signer] = c.Size
		if g.Party != p.party {
			if h, ok, err := l.cfg.Store.HeadAt(t.ctx, l.ID(), g, row.Size); err == nil && ok {
				p.send(classControl, wire.FrameHead, true, h.Head.Append(nil))
			}
		}
		p.send(classControl, wire.FrameCosig, true, row.Cosig.Append(nil))
	}
}

// backlog returns how many bytes wait for the bearer.
func (c *Conn) backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// wantMore asks for refill once the backlog is low.
func (c *Conn) wantMore(p *Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hungry[p] = struct{}{}
}

// spread sends what a turn made durable to every peer that lacks it.
func (l *Line) spread(t *turn) {
	if len(t.entries)+len(t.heads)+len(t.cosigs)+len(t.relay) == 0 {
		return
	}
	for p := range l.peers {
		if !p.ready {
			continue
		}
		for _, h := range t.heads {
			// Ahead of its entries, so that the receiver's one commit can hold
			// entries and cosignature.
			p.of(h.Log).head = h.Size
			p.send(classControl, wire.FrameHead, true, h.Append(nil))
		}
		for _, f := range t.entries {
			l.spreadEntry(t, p, f)
		}
		for _, c := range t.cosigs {
			p.of(c.Log).cosigned[c.Signer] = c.Size
			p.send(classControl, wire.FrameCosig, true, c.Append(nil))
		}
		for _, r := range t.relay {
			if r.from != p && r.c.Log.Party == p.party && p.of(r.c.Log).cosigned[r.c.Signer] < r.c.Size {
				p.of(r.c.Log).cosigned[r.c.Signer] = r.c.Size
				p.send(classControl, wire.FrameCosig, true, r.c.Append(nil))
			}
		}
	}
	if len(l.cfg.Line.Members) > 2 {
		l.turns.gossip = true
		l.dueAt(t.now.Add(time.Second))
	}
}

// spreadEntry sends one new entry on. What others wrote goes on at once only
// when it is urgent: the rest is offered by summaries, so that in a full mesh
// not everyone sends everything to everyone.
func (l *Line) spreadEntry(t *turn, p *Peer, f fresh) {
	x := p.of(f.e.Pos.Log)
	own := f.e.Pos.Log == l.own()
	switch {
	case f.from == p, x.has(f.e.Pos.Seq), f.e.Pos.Party == p.party:
		return
	case !own && !f.e.Urgent:
		return
	case p.eager && !f.e.Urgent:
		return // refill will come to it
	}
	if f.e.Urgent && x.offered != f.e.Pos.Seq {
		p.sent[f.e.Pos] = struct{}{}
	}
	if x.offered == f.e.Pos.Seq {
		x.offered++
	}
	p.sendEntry(f.e, f.prec)
	if !own {
		if h, ok := l.st.Head(f.e.Pos.Log); ok && h.Size > x.head {
			x.head = h.Size
			p.send(classControl, wire.FrameHead, true, h.Append(nil))
		}
	}
}

// takeHead takes a checked head.
func (l *Line) takeHead(t *turn, h wire.Head, from *Peer) {
	if from != nil && from.theirs != nil {
		x := from.of(h.Log)
		x.head = max(x.head, h.Size)
	}
	if h.Log == l.own() {
		l.holdFor(t, h.Size)
	}
	if l.st.AddHead(&t.Turn, h) == record.Below {
		l.lateHead(t, h)
	}
}

// smallLog is how many entries may be read back for a late head at any time.
const smallLog = 1024

// lateHead takes a head of a size that the held prefix has passed: a
// cosignature may rest on it. It is compared with the head that is held of
// that size, else with the tree that the held entries had then.
func (l *Line) lateHead(t *turn, h wire.Head) {
	old, ok, err := l.cfg.Store.HeadAt(t.ctx, l.ID(), h.Log, h.Size)
	switch {
	case err != nil:
	case ok && old.Root != h.Root:
		t.Prove(h.Log, tlog.NewEvidence(tlog.TwoRoots, l.cfg.Line.LogID(h.Log), h.Size,
			tlog.Claim{Hash: old.Root, Sig: old.Sig}, tlog.Claim{Hash: h.Root, Sig: h.Sig}))
	case !ok && h.Size > 0 && h.Log != l.own() && (h.Size <= smallLog || t.now.Sub(l.lateAt) >= time.Second):
		l.lateAt = t.now // whoever signs many old heads costs this station one reading a second
		if tree, err := tlog.TreeOf(l.leaves(t.ctx, h.Log), h.Size); err == nil && tree.Root() == h.Root {
			t.Heads = append(t.Heads, record.Head{Head: h})
			t.late = append(t.late, h)
		}
	}
}

// leaves reads a log's leaf hashes in order, a page at a time.
func (l *Line) leaves(ctx context.Context, g line.Log) tlog.LeafReader {
	var page []record.Entry
	return func(i uint64) (line.Hash, error) {
		if len(page) == 0 {
			var err error
			if page, err = l.cfg.Store.Entries(ctx, l.ID(), g, i, 4*refillCount); err != nil {
				return line.Hash{}, err
			}
		}
		if len(page) == 0 || page[0].Pos.Seq != i { // of this turn, not stored yet
			return line.Hash{}, errMissing(false)
		}
		h := page[0].LeafHash
		page = page[1:]
		return h, nil
	}
}

// takeCosig verifies a cosignature against the root at its size and keeps it.
// One on a size whose root is not known here is left: it is offered again, or
// a later one covers it.
func (l *Line) takeCosig(t *turn, c wire.Cosig, from *Peer) {
	if c.Log.Party >= len(l.cfg.Line.Members) || c.Signer.Party == c.Log.Party || c.Size <= l.st.Cosigned(c.Log, c.Signer) {
		return
	}
	pub, ok := l.DeliveryKey(c.Signer)
	if !ok {
		return
	}
	root, ok := l.st.RootAt(c.Log, c.Size)
	for _, h := range t.late {
		if h.Log == c.Log && h.Size == c.Size {
			root, ok = h.Root, true
		}
	}
	if !ok {
		h, found, err := l.cfg.Store.HeadAt(t.ctx, l.ID(), c.Log, c.Size)
		if err != nil || !found {
			return
		}
		root = h.Root
	}
	if !tlog.VerifyCosign(pub, l.cfg.Line.LogID(c.Log), tlog.Head{Size: c.Size, Root: root}, c.Time, c.Sig) {
		l.cfg.Log.Warn("a cosignature does not verify; it was not taken", "line", l.ID().Short(), "signer", l.cfg.Line.Members[c.Signer.Party], "size", c.Size)
		return
	}
	if !l.st.AddCosig(&t.Turn, record.Cosig{Cosig: c, Received: t.now.UnixMilli()}) {
		return
	}
	t.seen = true
	l.turns.skew[c.Signer.Party] = time.Unix(int64(c.Time), 0).Sub(t.now.Truncate(time.Second))
	if from != nil {
		x := from.of(c.Log)
		x.cosigned[c.Signer] = c.Size
		if c.Signer.Party == from.party {
			x.size = max(x.size, c.Size)
		}
		t.relay = append(t.relay, relayed{c, from})
	}
	if c.Log == l.own() {
		l.dueAt(t.now.Add(l.cfg.Charter.Epoch))
	}
}

// takeHave takes a summary sent in the course of a session.
func (l *Line) takeHave(t *turn, p *Peer, h wire.Have) {
	if !p.ready {
		return
	}
	l.believe(t, p, h)
	if l.lacks(h) && t.now.Sub(p.answered) >= time.Second {
		// A summary tells what may be had; the answer tells what is wanted. Two
		// stations that each lack what they cannot take must not answer each
		// other without end.
		p.answered = t.now
		t.then(func(error) { p.send(classControl, wire.FrameHave, true, wire.Marshal(l.have())) })
	}
}

// lacks reports whether a summary names entries that are not held here.
func (l *Line) lacks(h wire.Have) bool {
	for _, hl := range h.Logs {
		g := line.Log{Party: int(hl.Party), Gen: line.Generation(hl.Gen)}
		if g.Party >= len(l.cfg.Line.Members) {
			continue
		}
		n := len(hl.Ahead)
		if hl.Size > l.st.Size(g) || n > 0 && !l.st.Holds(line.Pos{Log: g, Seq: hl.Ahead[n-1][1] - 1}) {
			return true
		}
	}
	return false
}

// refused notes why an item from a peer was not taken. What only needs a card
// that is not here yet is no offence.
func (l *Line) refused(p *Peer, err error) error {
	if errors.Is(err, record.ErrUnknownKey) {
		l.post(func(t *turn) { l.dueAt(t.now.Add(2 * time.Second)); l.turns.gossip = true })
		return nil
	}
	l.cfg.Log.Warn("an item from a peer was refused", "line", l.ID().Short(), "peer", p.conn.label(), "error", err)
	return nil
}

func (l *Line) refusedBy(p *Peer, why []byte) {
	if s := string(why); wire.CheckText(s, 300) == nil {
		l.cfg.Log.Warn("the peer refuses the line", "line", l.ID().Short(), "peer", p.conn.label(), "why", s)
		l.post(func(t *turn) { p.refusal = s; t.seen = true })
	}
}

// tick does what time asks for.
func (l *Line) tick(t *turn) {
	l.endQuotas(t)
	if l.turns.gossip {
		l.turns.gossip = false
		t.then(func(error) {
			summary := wire.Marshal(l.have())
			for p := range l.peers {
				if p.ready {
					p.send(classControl, wire.FrameHave, true, summary)
				}
			}
		})
	}
	l.disbelieve(t)
	l.takeUp(t)
	l.afterTraffic(t)
	l.pullBlobs(t)
	l.endRetention(t)
	if t.now.Sub(l.lastWords) >= idleAfter {
		l.v.idle()
	}
	l.dueAgain(t)
}

// endRetention drops the working key of archive segments that are older than
// the charter's retention: what they hold can then be read with the party's
// offline archive key only, if at all (spec 06 §5). It looks once a day.
func (l *Line) endRetention(t *turn) {
	if l.retained = cmp.Or(l.retained, t.now.Unix()/86400-1); t.now.Unix()/86400 <= l.retained {
		return
	}
	l.retained = t.now.Unix() / 86400
	before := t.now.AddDate(0, 0, -int(l.cfg.Charter.RetentionDays)).Unix()
	old, err := l.cfg.Store.Readable(t.ctx, l.ID(), before, 1000)
	if err != nil {
		l.cfg.Log.Error("the archive's keys cannot be listed", "line", l.ID().Short(), "error", err)
		return
	}
	for _, s := range old {
		l.v.forget(s.ID)
		s.Working = nil
		t.Segments = append(t.Segments, s)
	}
}

// dueAgain asks for the ticks that are still owed: only the earliest is kept.
func (l *Line) dueAgain(t *turn) {
	l.dueAt(tomorrow(t.now))
	if at := l.lastWords.Add(idleAfter); at.After(t.now) {
		l.dueAt(at)
	}
	if !l.doubt.until.IsZero() {
		l.dueAt(l.doubt.until)
	}
	if len(l.turns.pulling) > 0 {
		l.dueAt(t.now.Add(pullPatience))
	}
	for _, q := range l.turns.received {
		if q.told {
			l.dueAt(tomorrow(t.now))
		}
	}
}

// takeUp does again what a failed commit may have undone: a connection that is
// up greets only once.
func (l *Line) takeUp(t *turn) {
	if l.held == "" && l.mayGo(line.Flash) {
		if err := l.ensureOpen(t); err != nil {
			l.cfg.Log.Error("the own log cannot be opened", "line", l.ID().Short(), "error", err)
		}
		l.renewCard(t)
		l.drain(t, false)
	}
	for p := range l.peers {
		if p.eager {
			l.refill(t, p)
		}
	}
}

// afterTraffic opens a new epoch once the current one has served, is old
// enough, and all of it is delivered: on demand, never by the clock on an idle
// line (spec 06 §2).
func (l *Line) afterTraffic(t *turn) {
	own := l.own()
	es := l.v.epochs[own]
	size := l.st.Size(own)
	if len(es) == 0 || l.held != "" || len(l.queue) > 0 || !l.mayGo(line.Routine) {
		return
	}
	last := es[len(es)-1]
	if size <= last.row.Base+1 || !l.v.allHold(l.st, own, size) {
		return
	}
	e, ok, err := l.entry(t.ctx, line.Pos{Log: own, Seq: last.row.Base})
	if err != nil || !ok {
		return
	}
	age := l.cfg.Charter.Epoch
	if since := t.now.Sub(time.UnixMilli(e.Received)); since < age {
		l.dueAt(t.now.Add(age - since))
		return
	}
	if err := l.openEpoch(t, true); err != nil {
		l.cfg.Log.Error("a new epoch cannot be opened", "line", l.ID().Short(), "error", err)
	}
}
