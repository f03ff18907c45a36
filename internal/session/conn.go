package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

// class orders what waits for a connection, most urgent first.
type class int

const (
	classControl class = iota // hellos, heads, cosignatures
	classFlash
	classImmediate
	classPriority
	classRoutine
	classBlob
	classes
)

// classOf maps a precedence to its class.
func classOf(p line.Precedence) class { return classRoutine - class(p) }

// Bounds on what waits in memory for one connection.
const (
	fullBytes  = 256 << 10 // above this, words below IMMEDIATE are not sequenced
	lowBytes   = 64 << 10  // below this, more is read from the store
	partHeader = 1 + 10 + 3*10
	maxEarly   = 16 // hellos kept for lines not known here yet, per connection
	maxParts   = 4  // frames in parts under reassembly per connection
)

// Conn is one bearer's connection to one other party's station. It carries
// every line that the two share, each on a channel, and offers the bearer the
// most urgent frame that waits (spec 08 §2). It implements bearer.Link.
type Conn struct {
	ctx    context.Context
	bearer string
	party  line.Party
	lines  func(line.ID) (*Line, bool)
	ready  chan struct{}

	mu      sync.Mutex
	queues  [classes][]item
	waiting int // bytes in the queues
	parts   uint64
	hungry  map[*Peer]struct{} // peers with more in the store
	in      map[uint64]*Peer   // by the other side's channel
	out     map[line.ID]*Peer
	chans   uint64
	early   map[line.ID]wire.Frame // hellos on lines not known here yet
	whole   map[uint64]*assembly
	heard   time.Time
}

// item is a frame that waits, or what is left of one sent in parts.
type item struct {
	frame []byte
	id    uint64 // of the parts; 0 while whole
	sent  int
}

type assembly struct {
	data []byte
	got  int
}

// Attach makes the connection known to the lines that this station shares
// with the party. The bearer then pulls frames from it.
func Attach(ctx context.Context, bearer string, party line.Party, shared []*Line, find func(line.ID) (*Line, bool)) *Conn {
	c := &Conn{
		ctx: ctx, bearer: bearer, party: party, lines: find,
		ready: make(chan struct{}, 1), hungry: map[*Peer]struct{}{},
		in: map[uint64]*Peer{}, out: map[line.ID]*Peer{}, early: map[line.ID]wire.Frame{}, whole: map[uint64]*assembly{},
	}
	for _, l := range shared {
		c.peer(l)
	}
	return c
}

// peer returns this connection's side of a line, greeting it when new.
func (c *Conn) peer(l *Line) *Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.out[l.ID()]; ok {
		return p
	}
	index := -1
	for i, code := range l.cfg.Line.Members {
		if code == c.party {
			index = i
		}
	}
	if index < 0 || index == l.cfg.Line.Self {
		return nil
	}
	c.chans++
	p := &Peer{conn: c, l: l, party: index, channel: c.chans}
	c.out[l.ID()] = p
	l.post(func(t *turn) { l.greet(t, p) })
	return p
}

// AddLine brings a line that was opened after the connection. The other side
// may have greeted on it already, and greets only once.
func (c *Conn) AddLine(l *Line) {
	c.peer(l)
	f, ok := c.takeEarly(l.ID())
	if !ok {
		return
	}
	h, err := wire.ParseHello(f.Payload)
	if err == nil {
		err = c.helloOn(l, f, h)
	}
	if err != nil {
		l.cfg.Log.Warn("a peer's hello on a new line was refused", "line", l.ID().Short(), "peer", c.label(), "error", err)
	}
}

// Detach takes the connection from its lines.
func (c *Conn) Detach() {
	c.mu.Lock()
	peers := make([]*Peer, 0, len(c.out))
	for _, p := range c.out {
		peers = append(peers, p)
	}
	c.mu.Unlock()
	for _, p := range peers {
		p.l.post(func(t *turn) { p.l.part(t, p) })
	}
}

func (c *Conn) label() string { return c.bearer + " " + string(c.party) }

// Party names the other side.
func (c *Conn) Party() line.Party { return c.party }

// Heard returns when the last frame came; zero for never.
func (c *Conn) Heard() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// Ready is signalled when Next may have something new.
func (c *Conn) Ready() <-chan struct{} { return c.ready }

func (c *Conn) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// push queues a frame.
func (c *Conn) push(k class, f wire.Frame) {
	b := f.Append(make([]byte, 0, len(f.Payload)+4))
	c.mu.Lock()
	c.queues[k] = append(c.queues[k], item{frame: b})
	c.waiting += len(b)
	c.mu.Unlock()
	c.signal()
}

// full reports whether words below IMMEDIATE had better wait unsequenced.
func (c *Conn) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting > fullBytes
}

// Next returns the most urgent waiting frame of at most limit bytes, in parts
// where it is larger. While bulk is false, only what may overtake is given.
func (c *Conn) Next(limit int, bulk bool) (frame []byte, isBulk bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.queues {
		if class(k) >= classPriority && !bulk {
			break
		}
		if len(c.queues[k]) == 0 {
			continue
		}
		frame = c.cut(class(k), limit)
		c.waiting -= len(frame)
		if c.waiting < 0 {
			c.waiting = 0
		}
		break
	}
	if c.waiting < lowBytes {
		c.feed()
	}
	return frame, len(frame) > 0 && class(kindClass(frame)) >= classPriority
}

// feed asks lines with more in their stores to go on. It is called with the
// lock held.
func (c *Conn) feed() {
	for p := range c.hungry {
		delete(c.hungry, p)
		p.l.post(func(t *turn) { p.l.refill(t, p) })
	}
}

// cut takes the first frame of a queue, or as much of it as fits.
func (c *Conn) cut(k class, limit int) []byte {
	q := c.queues[k]
	it := &q[0]
	if it.id == 0 && len(it.frame) <= limit {
		f := it.frame
		q[0] = item{}
		c.queues[k] = q[1:]
		return f
	}
	if it.id == 0 {
		c.parts++
		it.id = c.parts
	}
	n := min(len(it.frame)-it.sent, max(limit-partHeader, 1))
	f := []byte{byte(wire.FramePart) | it.frame[0]&0x80, 0}
	f = binary.AppendUvarint(f, it.id)
	f = binary.AppendUvarint(f, uint64(it.sent))
	f = binary.AppendUvarint(f, uint64(len(it.frame)))
	f = append(f, it.frame[it.sent:it.sent+n]...)
	if it.sent += n; it.sent == len(it.frame) {
		q[0] = item{}
		c.queues[k] = q[1:]
	}
	c.waiting += len(f) - n // the header was not counted
	return f
}

// kindClass tells bulk from the rest by the frame alone: what is neither
// urgent nor control may be held back.
func kindClass(frame []byte) class {
	f := wire.FrameType(frame[0] &^ 0x80)
	switch {
	case frame[0]&0x80 != 0, f == wire.FrameHello, f == wire.FrameHead, f == wire.FrameCosig, f == wire.FrameHave:
		return classControl
	}
	return classRoutine
}

// Receive takes one frame. It verifies what can be verified without the
// line's state, so that connections do this side by side. An error means that
// the peer broke the protocol.
func (c *Conn) Receive(b []byte) error {
	f, err := wire.ParseFrame(b)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.heard = time.Now()
	p := c.in[f.Channel]
	c.mu.Unlock()
	switch f.Type {
	case wire.FramePart:
		return c.part(f)
	case wire.FrameHello:
		return c.hello(f)
	}
	if p == nil {
		return nil // a line that is not known here, or not yet
	}
	return p.receive(f)
}

func (c *Conn) hello(f wire.Frame) error {
	h, err := wire.ParseHello(f.Payload)
	if err != nil {
		return err
	}
	l, ok := c.lines(line.ID(h.Line))
	if !ok {
		f.Payload = slices.Clone(f.Payload)
		c.mu.Lock()
		if len(c.early) < maxEarly {
			c.early[line.ID(h.Line)] = f
		}
		c.mu.Unlock()
		if l, ok = c.lines(line.ID(h.Line)); !ok {
			return nil
		}
		if f, ok = c.takeEarly(l.ID()); !ok {
			return nil // AddLine had it
		}
	}
	return c.helloOn(l, f, h)
}

// takeEarly returns the hello that came before the line was known here.
func (c *Conn) takeEarly(id line.ID) (f wire.Frame, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok = c.early[id]
	delete(c.early, id)
	return f, ok
}

func (c *Conn) helloOn(l *Line, f wire.Frame, h wire.Hello) error {
	p := c.peer(l)
	if p != nil {
		if why := l.unfit(h); why != "" { // nothing else is taken on this channel
			p.send(classControl, wire.FrameRefuse, true, []byte(why))
			l.cfg.Log.Warn("a peer's hello does not fit; the line stays down on this connection", "line", l.ID().Short(), "peer", c.label(), "why", why)
			return nil
		}
	}
	if p == nil || int(h.Party) != p.party {
		return fmt.Errorf("%s greets on line %s, where it is not party %d", c.party, l.ID().Short(), h.Party)
	}
	c.mu.Lock()
	if len(c.in) > 4*len(c.out)+16 {
		c.mu.Unlock()
		return fmt.Errorf("%s opens too many channels", c.party)
	}
	c.in[f.Channel] = p
	c.mu.Unlock()
	l.post(func(t *turn) { l.greeted(t, p, h) })
	return nil
}

// part gathers a frame that came in parts. Parts of one frame come in order
// on a connection; parts of others may stand between them.
func (c *Conn) part(f wire.Frame) error {
	id, off, total, data, err := wire.ParsePart(f.Payload)
	if err != nil {
		return err
	}
	c.mu.Lock()
	a := c.whole[id]
	if a == nil {
		if off != 0 || len(c.whole) >= maxParts+int(classes) {
			c.mu.Unlock()
			return fmt.Errorf("part of a frame whose beginning did not come")
		}
		a = &assembly{data: make([]byte, total)}
		c.whole[id] = a
	}
	if off != uint64(a.got) || total != uint64(len(a.data)) {
		c.mu.Unlock()
		return fmt.Errorf("parts of a frame do not fit together")
	}
	a.got += copy(a.data[off:], data)
	done := a.got == len(a.data)
	if done {
		delete(c.whole, id)
	}
	c.mu.Unlock()
	if done {
		if wire.FrameType(a.data[0]&^0x80) == wire.FramePart {
			return fmt.Errorf("parts within parts")
		}
		return c.Receive(a.data)
	}
	return nil
}

// Peer is one line on one connection.
type Peer struct {
	conn    *Conn
	l       *Line
	party   int // charter index of the other side
	channel uint64

	// Owned by the line's loop.
	hailed   bool // our hello is on its way
	ready    bool // its hello came and fits
	theirs   map[line.Log]*held
	sent     map[line.Pos]struct{} // urgent ones sent ahead of the rest
	eager    bool                  // catching up from the store
	taken    int                   // entries that came and were new
	answered time.Time             // when its summary was last answered with one
	refusal  string                // why the other side does not serve the line
}

// held is what the other side holds of a log, as far as known, and how far
// this side has offered.
type held struct {
	size     uint64
	ahead    [][2]uint64
	head     uint64
	cosigned map[line.Log]uint64
	offered  uint64 // entries below were sent or were held there already
}

func (p *Peer) of(g line.Log) *held {
	h, ok := p.theirs[g]
	if !ok {
		h = &held{cosigned: map[line.Log]uint64{}}
		p.theirs[g] = h
	}
	return h
}

func (h *held) has(seq uint64) bool {
	if seq < h.size {
		return true
	}
	for _, r := range h.ahead {
		if seq >= r[0] && seq < r[1] {
			return true
		}
	}
	return false
}

func (p *Peer) send(k class, t wire.FrameType, urgent bool, payload []byte) {
	p.conn.push(k, wire.Frame{Type: t, Urgent: urgent, Channel: p.channel, Payload: payload})
}

func (p *Peer) sendEntry(e record.Entry, prec line.Precedence) {
	p.send(classOf(prec), wire.FrameEntry, prec.Urgent(), e.SignedEntry.Append(make([]byte, 0, len(e.Leaf)+80)))
}

// receive checks a frame's content outside the loop and hands it in.
func (p *Peer) receive(f wire.Frame) error {
	l := p.l
	switch f.Type {
	case wire.FrameEntry:
		se, err := wire.ParseSignedEntry(slices.Clone(f.Payload))
		if err != nil {
			return err
		}
		c, err := record.Check(l.cfg.Line, l, se)
		if err != nil {
			return l.refused(p, err)
		}
		return l.accept(p, func(t *turn) { l.admit(t, c, f.Urgent, p) })
	case wire.FrameHead:
		h, err := wire.ParseHead(f.Payload)
		if err != nil {
			return err
		}
		if err := record.CheckHead(l.cfg.Line, l, h); err != nil {
			return l.refused(p, err)
		}
		return l.accept(p, func(t *turn) { l.takeHead(t, h, p) })
	case wire.FrameCosig:
		c, err := wire.ParseCosig(f.Payload)
		if err != nil {
			return err
		}
		return l.accept(p, func(t *turn) { l.takeCosig(t, c, p) })
	case wire.FrameHave:
		h, err := wire.ParseHave(f.Payload)
		if err != nil {
			return err
		}
		return l.accept(p, func(t *turn) { l.takeHave(t, p, h) })
	case wire.FrameWantCard, wire.FrameCard:
		return l.cardFrame(p, f)
	case wire.FrameWantBlob, wire.FrameChunk:
		return l.blobFrame(p, f)
	case wire.FrameRefuse:
		l.refusedBy(p, f.Payload)
	}
	return nil // an unknown frame of a later release
}
