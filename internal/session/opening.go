package session

import (
	"fmt"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/wire"
)

// admit takes a checked entry that a peer brought: keeps it, opens it, and
// answers for it.
func (l *Line) admit(t *turn, c record.Checked, urgent bool, from *Peer) {
	if c.Pos.Log == l.own() {
		l.holdFor(t, c.Pos.Seq+1)
	}
	if !urgent && (l.noRoom(t, c) || l.overQuota(t, c)) {
		return
	}
	via := ""
	if from != nil {
		via = from.conn.label()
	}
	out, err := l.st.Add(&t.Turn, c, record.Entry{Received: t.now.UnixMilli(), Via: via, Urgent: urgent})
	if err != nil {
		l.cfg.Log.Error("an entry cannot be ranked", "line", l.ID().Short(), "error", err)
		return
	}
	if out == record.Below {
		l.compare(t, c)
	}
	if out != record.Taken {
		return
	}
	if from != nil {
		from.taken++
	}
	l.open(t, c)
	prec := line.Routine
	if urgent {
		prec = line.Immediate
	}
	if n := len(t.Bodies); n > 0 && t.Bodies[n-1].Pos == c.Pos && t.Bodies[n-1].Precedence > prec {
		prec = t.Bodies[n-1].Precedence
	}
	t.entries = append(t.entries, fresh{e: record.Entry{SignedEntry: c.SignedEntry, LeafHash: c.LeafHash, Urgent: urgent}, prec: prec, from: from})
	t.seen = true
}

// open reads what an entry says: an epoch in clear, or a sealed part.
func (l *Line) open(t *turn, c record.Checked) {
	if c.Entry.Key == 0 {
		l.openEpochEntry(t, c)
		return
	}
	if c.Pos.Party == l.cfg.Line.Self {
		// Own words, come back after a restore. Their number is not known until
		// the key is, so none that they may have had is given again.
		t.metaUint("number", l.next.number)
		l.next.number++
		l.lost(t, c.Pos, c.LeafHash)
		return
	}
	g, base := c.Pos.Log, c.Pos.Seq-uint64(c.Entry.Key)
	e := l.v.find(g, base)
	if e == nil {
		l.wait(t, c, base)
		return
	}
	ep, err := l.v.derive(e)
	if err != nil {
		l.lost(t, c.Pos, c.LeafHash)
		return
	}
	mk, err := ep.Key(int(c.Entry.Key))
	if err != nil {
		l.lost(t, c.Pos, c.LeafHash)
		return
	}
	l.openWith(t, c, mk)
}

// noRoom reports whether an entry must be left with its sender, since the disk
// is reserved for one's own words and receipts. It is asked for again later.
func (l *Line) noRoom(t *turn, c record.Checked) bool {
	if l.cfg.Room == nil || c.Pos.Party == l.cfg.Line.Self || l.cfg.Room() {
		return false
	}
	l.cfg.Log.Error("the disk is nearly full: entries that are not urgent are left with their senders; make room", "line", l.ID().Short())
	l.turns.gossip = true
	l.dueAt(t.now.Add(roomAgain))
	return true
}

// roomAgain is how soon entries that found no room are asked for again.
const roomAgain = 10 * time.Second

// openWith opens an entry with its message key. What does not open under a
// key that the epoch commits to is the author's defect.
func (l *Line) openWith(t *turn, c record.Checked, mk [seal.KeySize]byte) {
	inner, err := seal.OpenBody(mk, associated(l.cfg.Line, c.Pos, c.Entry), c.Entry.Body)
	if err != nil {
		l.defect(t, c.Pos, "its seal does not open under the key that its epoch commits to")
		return
	}
	in, err := wire.ParseInner(inner)
	b := record.Body{Pos: c.Pos}
	if err != nil {
		b.Defect = err.Error()
	} else {
		b.Kind, b.Number = in.Kind, in.Number
		b.Precedence, b.Marking = in.Flags.Precedence(), in.Flags.Marking()
	}
	if seg, box, aerr := l.v.archive(t, c.Pos, inner, mk[:]); aerr != nil {
		b.Defect = "could not be archived: " + aerr.Error()
	} else {
		b.Segment, b.Box = seg, box
	}
	if b.Defect == "" {
		if b.Defect = l.judge(t, c.Pos, c.Entry.Time, in); b.Defect != "" {
			l.doubtful(t, c.Pos)
		}
	}
	t.Bodies = append(t.Bodies, b)
	delete(l.turns.pending, c.Pos)
	l.gotAhead(t, c, in)
	if b.Defect == "" || in.Kind.Spoken() {
		l.derive(t, record.Entry{SignedEntry: c.SignedEntry, LeafHash: c.LeafHash}, c.Entry.Time, in)
	}
}

// gotAhead says at once on the record that urgent words are held which no
// cosignature can cover yet, because something before them is missing. Only
// words get it: if statements did, two stations that each lack something of
// the other would answer each other's got for ever (spec 07 §5).
func (l *Line) gotAhead(t *turn, c record.Checked, in wire.Inner) {
	if in.Kind.Spoken() && in.Flags.Precedence().Urgent() && c.Pos.Party != l.cfg.Line.Self && c.Pos.Seq >= l.st.Size(c.Pos.Log) {
		l.state(t, wire.KindGot, line.Immediate, wire.Statement{Refs: []wire.Ref{wire.NewRef(c.Pos, c.LeafHash)}})
	}
}

func (l *Line) defect(t *turn, p line.Pos, why string) {
	t.Bodies = append(t.Bodies, record.Body{Pos: p, Defect: why})
	delete(l.turns.pending, p)
	t.seen = true
}

// wait keeps an entry whose epoch is not here yet, or says at once that it
// cannot be opened when the epoch came and did not serve.
func (l *Line) wait(t *turn, c record.Checked, base uint64) {
	at := line.Pos{Log: c.Pos.Log, Seq: base}
	if l.st.Holds(at) {
		l.lost(t, c.Pos, c.LeafHash)
		return
	}
	t.Bodies = append(t.Bodies, record.Body{Pos: c.Pos, Pending: true})
	l.turns.pending[c.Pos] = struct{}{}
}

// lost says on the record that an entry cannot be opened here, so that
// whoever can will reseal its key (spec 06 §6).
func (l *Line) lost(t *turn, p line.Pos, leaf line.Hash) {
	t.Bodies = append(t.Bodies, record.Body{Pos: p, Pending: true, Defect: "cannot be opened here; its key was asked for again"})
	l.turns.pending[p] = struct{}{}
	t.lost = append(t.lost, wire.NewRef(p, leaf))
}

// openEpochEntry takes an epoch's secret, and opens what waited for it.
func (l *Line) openEpochEntry(t *turn, c record.Checked) {
	ep, err := wire.ParseEpoch(c.Entry.Body)
	if err != nil {
		l.defect(t, c.Pos, err.Error())
		return
	}
	t.Bodies = append(t.Bodies, record.Body{Pos: c.Pos})
	if c.Pos.Party == l.cfg.Line.Self {
		return // own, come back after a restore
	}
	l.v.learn(t, c.Pos, ep)
	for _, e := range l.v.epochs[c.Pos.Log] {
		if e.row.Base < ep.Oldest && e.row.End == 0 && e.row.Base < c.Pos.Seq {
			l.v.rewrite(t, e, func(row *record.Epoch) { row.End = c.Pos.Seq })
		}
	}
	if err := l.takeSecret(t, c, ep); err != nil {
		l.cfg.Log.Warn("an epoch cannot be opened; its entries will be asked for again",
			"line", l.ID().Short(), "party", l.cfg.Line.Members[c.Pos.Party], "seq", c.Pos.Seq, "error", err)
	}
	for p := range l.turns.pending {
		if p.Log == c.Pos.Log && p.Seq > c.Pos.Seq && p.Seq <= c.Pos.Seq+seal.EpochKeys {
			l.retry(t, p, c.Pos.Seq)
		}
	}
}

func (l *Line) takeSecret(t *turn, c record.Checked, ep wire.Epoch) error {
	box, ok := ep.Secrets[uint8(l.cfg.Line.Self)]
	if !ok {
		return fmt.Errorf("it is not sealed to us: %w", seal.ErrOpen)
	}
	key, err := l.v.private(box.Index)
	if err != nil {
		return err
	}
	id := l.cfg.Line.LogID(c.Pos.Log)
	es, err := seal.OpenSecret(key, id, c.Pos.Seq, l.cfg.Line.Members[l.cfg.Line.Self], box.Index, box.Box)
	if err != nil {
		return err
	}
	live, err := seal.EpochFromSecret(id, c.Pos.Seq, es, line.Hash(ep.Keys))
	clear(es[:])
	if err != nil {
		return err
	}
	_, err = l.v.keep(t, c.Pos.Log, live)
	return err
}

// retry opens an entry that waited for the epoch at base.
func (l *Line) retry(t *turn, p line.Pos, base uint64) {
	e, ok := t.find(p)
	if !ok {
		var err error
		if e, ok, err = l.entry(t.ctx, p); err != nil || !ok {
			return
		}
	}
	parsed, err := wire.ParseEntry(e.Leaf, len(l.cfg.Line.Members))
	if err != nil || p.Seq-uint64(parsed.Key) != base {
		return
	}
	l.open(t, record.Checked{SignedEntry: e.SignedEntry, Entry: parsed, LeafHash: e.LeafHash})
}

// find returns an entry that this turn took.
func (t *turn) find(p line.Pos) (record.Entry, bool) {
	for _, e := range t.Entries {
		if e.Pos == p {
			return e, true
		}
	}
	return record.Entry{}, false
}

// state writes a station's statement into the own log.
func (l *Line) state(t *turn, k wire.Kind, prec line.Precedence, s wire.Statement) {
	l.say(t, wire.Inner{Kind: k, Flags: wire.NewFlags(prec, line.Real, 0), Content: wire.Marshal(s)})
}

// notice writes a notice into the own log.
func (l *Line) notice(t *turn, k wire.Kind, prec line.Precedence, n wire.Notice) {
	l.say(t, wire.Inner{Kind: k, Flags: wire.NewFlags(prec, line.Real, 0), Content: wire.Marshal(n)})
}

// say sequences a station's words, or queues them while it must not sign.
func (l *Line) say(t *turn, in wire.Inner) {
	w := words{inner: in, time: uint64(t.now.Unix())}
	if l.held == "" {
		_, err := l.sequence(t, w)
		if err == nil {
			return
		}
		l.cfg.Log.Error("a station's statement could not be written", "line", l.ID().Short(), "kind", in.Kind.String(), "error", err)
		return
	}
	if _, err := l.enqueue(t, w, ""); err != nil {
		l.cfg.Log.Error("a station's statement could not be queued", "line", l.ID().Short(), "error", err)
	}
}
