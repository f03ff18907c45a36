package session

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

// A courier has no way back: what it carries is pushed. The bundle begins
// with a hello, so that the other side learns what this one holds, and then
// holds whatever the other is not known to have (spec 08 §9).

// carriedChannel is the channel of a courier's frames; a bundle has one line.
const carriedChannel = 1

// courierName is how a courier is called where bearers are.
const courierName = "courier"

// Carry returns the frames of a bundle for another party: the hello first.
// Everything that is queued gets its sequence number now, since handing it to
// the courier is its first transmission. With everything, also what the other
// side is known to hold is carried.
func (l *Line) Carry(ctx context.Context, to int, everything bool) (iter.Seq2[[]byte, error], error) {
	var hello wire.Hello
	var blobs []carriedBlob
	known := &Peer{l: l, party: to, theirs: map[line.Log]*held{}}
	err := l.do(ctx, func(t *turn) error {
		if l.held == "" {
			if err := l.ensureOpen(t); err != nil {
				return err
			}
			l.drain(t, true)
		}
		t.then(func(err error) {
			hello, blobs = l.hello(), l.unheld(to, everything)
			if !everything {
				l.recall(known)
			}
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(yield func([]byte, error) bool) {
		c := carrier{ctx: ctx, l: l, to: known, have: hello.Have, blobs: blobs, yield: yield}
		c.run(hello)
	}, nil
}

// recall fills in what a party is known to hold: by its last summary, and by
// its cosignatures.
func (l *Line) recall(p *Peer) {
	var h wire.Have
	if b := l.meta[haveName(p.party)]; b == nil || wire.Unmarshal(b, wire.MaxFrame, &h) != nil {
		return
	}
	p.learn(h, len(l.cfg.Line.Members))
	for _, g := range l.st.Logs() {
		x := p.of(g)
		x.size = max(x.size, l.st.Delivered(g, p.party))
		if g.Party == p.party {
			x.size = max(x.size, l.st.Size(g)) // its own words
		}
	}
}

func haveName(party int) string { return fmt.Sprintf("have/%d", party) }

// learn takes a summary into what is believed of the other side.
func (p *Peer) learn(h wire.Have, members int) {
	for _, hl := range h.Logs {
		if int(hl.Party) >= members {
			continue
		}
		x := p.of(line.Log{Party: int(hl.Party), Gen: line.Generation(hl.Gen)})
		x.size, x.ahead, x.head = max(x.size, hl.Size), hl.Ahead, max(x.head, hl.Head)
		x.offered = max(x.offered, x.size)
		for _, c := range hl.Cosigned {
			signer := line.Log{Party: int(c.Party), Gen: line.Generation(c.Gen)}
			x.cosigned[signer] = max(x.cosigned[signer], c.Size)
		}
	}
}

// carrier yields a bundle's frames from the store.
type carrier struct {
	ctx   context.Context
	l     *Line
	to    *Peer
	have  wire.Have
	blobs []carriedBlob
	yield func([]byte, error) bool
	ended bool
	err   error
}

func (c *carrier) run(h wire.Hello) {
	c.frame(wire.FrameHello, true, wire.Marshal(h))
	for _, card := range h.Have.Cards {
		if note, _, ok := c.l.cfg.Cards.CardByHash([32]byte(card.Hash)); ok && int(card.Party) != c.to.party {
			c.frame(wire.FrameCard, false, note)
		}
	}
	for _, urgent := range []bool{true, false} {
		for _, hl := range c.have.Logs {
			c.entries(line.Log{Party: int(hl.Party), Gen: line.Generation(hl.Gen)}, urgent)
		}
	}
	for _, hl := range c.have.Logs {
		c.vouch(line.Log{Party: int(hl.Party), Gen: line.Generation(hl.Gen)}, hl)
	}
	for _, b := range c.blobs {
		c.blob(b)
	}
	if c.err != nil && !c.ended {
		c.yield(nil, c.err)
	}
}

func (c *carrier) frame(t wire.FrameType, urgent bool, payload []byte) {
	if c.ended || c.err != nil {
		return
	}
	f := wire.Frame{Type: t, Urgent: urgent, Channel: carriedChannel, Payload: payload}
	c.ended = !c.yield(f.Append(nil), nil)
}

// entries yields a log's urgent entries, or the others.
func (c *carrier) entries(g line.Log, urgent bool) {
	x := c.to.of(g)
	for next := x.size; !c.ended && c.err == nil; {
		es, err := c.l.cfg.Store.Entries(c.ctx, c.l.ID(), g, next, refillCount)
		if c.err = err; err != nil || len(es) == 0 {
			return
		}
		for _, e := range es {
			next = e.Pos.Seq + 1
			if e.Urgent == urgent && !x.has(e.Pos.Seq) {
				c.frame(wire.FrameEntry, urgent, e.SignedEntry.Append(nil))
			}
		}
	}
}

// vouch yields a log's head, and the cosignatures on it with their heads.
func (c *carrier) vouch(g line.Log, hl wire.HaveLog) {
	x := c.to.of(g)
	if hl.Head > x.head {
		c.head(g, hl.Head)
	}
	for _, s := range hl.Cosigned {
		signer := line.Log{Party: int(s.Party), Gen: line.Generation(s.Gen)}
		if signer.Party == c.to.party || s.Size <= x.cosigned[signer] {
			continue
		}
		row, ok, err := c.l.cfg.Store.CosigAt(c.ctx, c.l.ID(), g, signer, s.Size)
		if c.err = err; err != nil || !ok {
			continue
		}
		c.head(g, row.Size)
		c.frame(wire.FrameCosig, true, row.Cosig.Append(nil))
	}
}

// carriedBlob is an attachment that the other side is not known to hold.
type carriedBlob struct {
	root   line.Hash
	chunks uint64
}

// unheld lists the attachments of the line that a party has not said to hold.
func (l *Line) unheld(to int, everything bool) (out []carriedBlob) {
	for _, name := range slices.Sorted(maps.Keys(l.meta)) {
		digits, ok := strings.CutPrefix(name, "blob/")
		root, err := hex.DecodeString(digits)
		var ref wire.Ref
		if !ok || err != nil || len(root) != 32 || wire.Unmarshal(l.meta[name], wire.MaxEntry, &ref) != nil {
			continue
		}
		r := line.Hash(root)
		if _, held := l.meta[blobHeldName(r, to)]; int(ref.Party) == to || held && !everything {
			continue
		}
		m, err := l.message(context.Background(), ref.Pos())
		if err != nil {
			continue
		}
		for _, b := range m.Blobs {
			if info := blobInfo(b); info.Root == r {
				out = append(out, carriedBlob{r, info.Chunks()})
			}
		}
	}
	return out
}

// blob yields the chunks that are held of an attachment.
func (c *carrier) blob(b carriedBlob) {
	for i := uint64(0); i < b.chunks && !c.ended && c.err == nil; i++ {
		data, ok, err := c.l.cfg.Blobs.Chunk(c.ctx, b.root, i)
		if c.err = err; err == nil && ok {
			c.frame(wire.FrameChunk, false, wire.Marshal(wire.Chunk{Root: b.root[:], Index: i, Data: data}))
		}
	}
}

func (c *carrier) head(g line.Log, size uint64) {
	h, ok, err := c.l.cfg.Store.HeadAt(c.ctx, c.l.ID(), g, size)
	if err != nil {
		c.err = err
	} else if ok {
		c.frame(wire.FrameHead, true, h.Head.Append(nil))
	}
}

// Delivery says what a courier's frames led to.
type Delivery struct {
	Entries int // entries among the frames
	New     int // of them, not held before
	Refused int // frames that were refused
}

// Deliver takes a courier's frames, in any order, any number of times. From
// is the party that the bundle says it is from; nothing rests on that.
func (l *Line) Deliver(ctx context.Context, from int, frames iter.Seq[[]byte]) (Delivery, error) {
	var d Delivery
	c := &Conn{ctx: ctx, bearer: courierName, party: l.cfg.Line.Members[from], ready: make(chan struct{}, 1)}
	p := &Peer{conn: c, l: l, party: from, theirs: map[line.Log]*held{}}
	for b := range frames {
		f, err := wire.ParseFrame(b)
		if err == nil && f.Type == wire.FrameHello {
			err = l.carriedHello(p, f)
		} else if err == nil && f.Type != wire.FrameWantCard && f.Type != wire.FrameWantBlob {
			if f.Type == wire.FrameEntry {
				d.Entries++
			}
			err = p.receive(f)
		}
		if err != nil {
			d.Refused++
			l.cfg.Log.Warn("a frame from a courier was refused", "line", l.ID().Short(), "error", err)
		}
	}
	// Attachments that are whole now are checked, and said to be held, before
	// the medium is put away.
	if err := l.do(ctx, func(*turn) error { return nil }); err != nil {
		return d, err
	}
	l.jobs.Wait()
	err := l.do(ctx, func(t *turn) error {
		l.confirmBy(t, p)
		t.then(func(error) { d.New = p.taken })
		return nil
	})
	return d, err
}

// carriedHello notes what the sender of a bundle holds, for the next bundle
// back.
func (l *Line) carriedHello(p *Peer, f wire.Frame) error {
	h, err := wire.ParseHello(f.Payload)
	if err != nil {
		return err
	}
	if line.ID(h.Line) != l.ID() || int(h.Party) != p.party {
		return fmt.Errorf("the bundle's hello is of another line or party")
	}
	if why := l.unfit(h); why != "" {
		return fmt.Errorf("%s", why)
	}
	l.post(func(t *turn) {
		p.learn(h.Have, len(l.cfg.Line.Members))
		t.meta(haveName(p.party), wire.Marshal(h.Have))
		l.doubtBy(t, p)
		l.confirmBy(t, p)
	})
	return nil
}

// BundleMeta is what every piece of a bundle says in clear: the line, and the
// charter index of the party that it comes from (spec 08 §9).
func BundleMeta(l record.Line) []byte { return append(l.ID[:], byte(l.Self)) }

// ParseBundleMeta reads what BundleMeta wrote. It proves nothing: each frame
// stands for itself.
func ParseBundleMeta(b []byte) (line.ID, int, error) {
	if len(b) != 33 {
		return line.ID{}, 0, fmt.Errorf("the piece does not say which line it belongs to: %w", wire.ErrFormat)
	}
	return line.ID(b[:32]), int(b[32]), nil
}
