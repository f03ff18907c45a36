package direct

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"herald/internal/bearer"
)

// Figures of a connection; Config.Idle may change the first.
const (
	idleAfter   = 5 * time.Second        // silence after which the peer is asked for a sign of life
	missesLost  = 3                      // unanswered questions after which it is given up
	stallFactor = 6                      // × idle: a ping unanswered for longer means a stalled peer
	batch       = 16 << 10               // bytes gathered into one write: one TLS record
	keepBuffer  = 4 << 10                // a larger buffer is not kept by an idle connection
	readBuffer  = 512                    // small, since there may be a thousand idle connections
	lastWords   = 200 * time.Millisecond // for the peer's alert, after a failed write
	credits     = 64                     // control frames that a peer may send at once
	creditEvery = 100 * time.Millisecond // one more for each such time, and for each data frame
)

// errWrite marks, without a word of its own, a failed write.
var errWrite = errors.New("")

// Conn is a connection over an authenticated stream. It implements
// bearer.Conn.
type Conn struct {
	stream  net.Conn // what frames are written to
	raw     net.Conn // what is closed, without the politeness that could block
	peer    bearer.Peer
	dialled bool
	idle    time.Duration
	pool    *sync.Pool // of *[]byte of bearer.MaxFrame, for frames being read
	began   time.Time
	ran     atomic.Bool
	kick    chan struct{} // wakes the writer: an answer is owed, or the window moved

	mu       sync.Mutex
	pace     pacer
	oweRead  time.Duration // when the newest unanswered ping was read
	owe      uint64        // its number; 0: none
	asked    time.Duration // when the peer was last asked for a sign of life
	misses   int
	heard    time.Duration
	received uint64

	// The writer's alone.
	out      []byte
	ask      bool          // send a ping with the next write, whatever it holds
	deadline time.Duration // write deadline in force
}

func newConn(stream, raw net.Conn, peer bearer.Peer, dialled bool, idle time.Duration, pool *sync.Pool) *Conn {
	return &Conn{
		stream: stream, raw: raw, peer: peer, dialled: dialled, idle: idle, pool: pool,
		began: time.Now(), kick: make(chan struct{}, 1), ask: true,
	}
}

// newPool makes the shared buffers for frames that are longer than keepBuffer.
func newPool() *sync.Pool {
	return &sync.Pool{New: func() any {
		b := make([]byte, bearer.MaxFrame)
		return &b
	}}
}

// now is the time since the connection began, by the monotonic clock.
func (c *Conn) now() time.Duration { return time.Since(c.began) }

// Peer implements bearer.Conn.
func (c *Conn) Peer() bearer.Peer { return c.peer }

// State implements bearer.Conn.
func (c *Conn) State() bearer.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bearer.State{
		Bearer:   "direct",
		Remote:   c.raw.RemoteAddr().String(),
		Dialled:  c.dialled,
		Since:    c.began,
		Heard:    c.began.Add(c.heard),
		RTT:      c.pace.rtt,
		Rate:     c.pace.rate,
		Frame:    c.pace.frame(),
		Sent:     c.pace.sent,
		Unacked:  c.pace.unacked(),
		Received: c.received,
	}
}

// Run implements bearer.Conn.
func (c *Conn) Run(ctx context.Context, l bearer.Link) error {
	if !c.ran.CompareAndSwap(false, true) {
		return errors.New("this connection has been run before; make a new one")
	}
	inner, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(inner, func() { c.raw.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.read(l); !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel(err)
		}
	}()
	err := c.write(inner, l)
	if errors.Is(err, errWrite) && c.raw.SetReadDeadline(time.Now().Add(lastWords)) == nil {
		<-done // the peer may have said why it closed: better than "broken pipe"
	}
	cancel(err)
	<-done
	stop()
	c.raw.Close()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(inner)
}

// read takes frames until the stream ends or is broken.
func (c *Conn) read(l bearer.Link) error {
	r := bufio.NewReaderSize(c.stream, readBuffer)
	var small []byte
	budget := credit{left: credits}
	for {
		n, isControl, err := readHeader(r)
		if err != nil {
			return explain(err)
		}
		if isControl {
			err = c.readControl(r, n, &budget)
		} else {
			small, err = c.readData(r, n, l, small)
			budget.earn()
		}
		if err != nil {
			return err
		}
	}
}

// readData reads one frame and gives it to the link. Memory for a large frame
// is borrowed for as long as it takes, since idle connections are many.
func (c *Conn) readData(r io.Reader, n int, l bearer.Link, small []byte) ([]byte, error) {
	if n > keepBuffer {
		b := c.pool.Get().(*[]byte)
		defer c.pool.Put(b)
		return small, c.readInto(r, (*b)[:n], l)
	}
	if cap(small) < n {
		small = make([]byte, n, max(n, min(2*n, keepBuffer)))
	}
	return small, c.readInto(r, small[:n], l)
}

func (c *Conn) readInto(r io.Reader, b []byte, l bearer.Link) error {
	if _, err := io.ReadFull(r, b); err != nil {
		return explain(err)
	}
	c.mu.Lock()
	c.alive()
	c.received += uint64(len(b))
	c.mu.Unlock()
	return l.Receive(b)
}

// readControl reads and obeys one control frame.
func (c *Conn) readControl(r io.Reader, n int, budget *credit) error {
	var body [maxControl]byte
	if _, err := io.ReadFull(r, body[:n]); err != nil {
		return explain(err)
	}
	ctl, err := parseControl(body[:n])
	if err != nil {
		return err
	}
	now := c.now()
	c.mu.Lock()
	c.alive()
	switch ctl.kind {
	case kindPing:
		if ctl.number <= c.owe {
			err = broke("ping %d after ping %d", ctl.number, c.owe)
		}
		c.owe, c.oweRead = ctl.number, now
	case kindPong:
		err = c.pace.pong(ctl.number, ctl.clock, now)
	}
	c.mu.Unlock()
	if err == nil && ctl.kind != kindPong && !budget.spend(now) {
		err = broke("it floods this station with control frames")
	}
	c.wake()
	return err
}

// alive notes that a whole frame has come in. The caller holds the lock.
func (c *Conn) alive() { c.heard, c.misses = c.now(), 0 }

func (c *Conn) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// write sends frames until ctx ends, the stream is broken or the peer is
// silent for too long.
func (c *Conn) write(ctx context.Context, l bearer.Link) error {
	timer := time.NewTimer(c.idle)
	defer timer.Stop()
	for ctx.Err() == nil {
		n, err := c.send(l)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		timer.Reset(c.pause())
		select {
		case <-ctx.Done():
		case <-l.Ready():
		case <-c.kick:
		case <-timer.C:
			if err := c.tick(); err != nil {
				return err
			}
		}
	}
	return nil
}

// send makes one write of what is most urgent now, and returns its length; 0
// when there is nothing to send or no room for it.
func (c *Conn) send(l bearer.Link) (int, error) {
	buf := c.appendPong(c.out[:0])
	if c.ask {
		// Before any data, and alone, so that it measures the idle delay: TLS
		// gives out nothing of a record before all of it has come.
		buf = c.appendPing(buf)
		c.ask = false
		c.out = buf[:0]
		return len(buf), c.flush(buf)
	}
	for len(buf) < batch {
		limit, bulk, some := c.room()
		if !some {
			break
		}
		frame, isBulk := l.Next(limit, bulk)
		if frame == nil {
			break
		}
		if len(frame) == 0 || len(frame) > limit || isBulk && !bulk {
			return 0, fmt.Errorf("the session offered a frame of %d bytes (bulk: %t) where at most %d (bulk: %t) may go; this is a defect in Herald", len(frame), isBulk, limit, bulk)
		}
		before := len(buf)
		buf = appendFrame(buf, frame)
		c.mu.Lock()
		c.pace.wrote(len(buf)-before, c.now())
		c.mu.Unlock()
	}
	c.mu.Lock()
	want := c.pace.wantPing()
	c.mu.Unlock()
	if want {
		buf = c.appendPing(buf)
	}
	c.out = buf[:0]
	if len(buf) == 0 {
		return 0, nil
	}
	return len(buf), c.flush(buf)
}

// room asks the pacer what may be sent now.
func (c *Conn) room() (limit int, bulk, some bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	some, bulk = c.pace.allow(c.now())
	return c.pace.frame(), bulk, some
}

// appendPong answers the peer's newest ping, and with it all before.
func (c *Conn) appendPong(buf []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.oweRead < 0 || c.owe == 0 {
		return buf
	}
	buf = appendControl(buf, control{kind: kindPong, number: c.owe, clock: c.oweRead})
	c.oweRead = -1
	return buf
}

func (c *Conn) appendPing(buf []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = c.now()
	return appendControl(buf, control{kind: kindPing, number: c.pace.ping(c.asked)})
}

// flush writes to the stream. A peer that takes nothing fails the write in the
// time in which it would be given up for its silence.
func (c *Conn) flush(buf []byte) error {
	now := c.now()
	limit := 2 * missesLost * c.patience()
	if c.deadline < now+limit/2 { // not at every write: it costs a little
		c.deadline = now + limit
		if err := c.raw.SetWriteDeadline(c.began.Add(c.deadline)); err != nil {
			return explain(err)
		}
	}
	if _, err := c.stream.Write(buf); err != nil {
		return fmt.Errorf("%w%w", explain(err), errWrite)
	}
	return nil
}

// patience is how long an answer may take before it counts as missed.
func (c *Conn) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.patienceLocked()
}

func (c *Conn) patienceLocked() time.Duration {
	if c.pace.rtt == 0 {
		return c.idle
	}
	return max(c.idle/5, 3*c.pace.rtt)
}

// stalled is when a peer that still sends, but takes nothing, is given up. The
// caller holds the lock and has seen that a ping waits.
func (c *Conn) stalled() time.Duration {
	return c.pace.marks[0].at + stallFactor*max(c.idle, c.pace.rtt)
}

// due is when the peer must next be asked, or counts as having missed an
// answer. The caller holds the lock.
func (c *Conn) due() time.Duration {
	if len(c.pace.marks) == 0 {
		return c.heard + max(c.idle, 10*c.pace.rtt)
	}
	return min(max(c.asked, c.heard)+c.patienceLocked(), c.stalled())
}

// pause is how long the writer may sleep.
func (c *Conn) pause() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	d := c.due() - now
	if w := c.pace.wait(now); w > 0 {
		d = min(d, w)
	}
	return max(d, time.Millisecond)
}

// tick asks the peer for a sign of life when it is due, and gives it up after
// missesLost times without one. Misses are counted one by one, so that a pause
// of this very machine counts once, however long it was.
func (c *Conn) tick() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now < c.due() {
		return nil
	}
	if len(c.pace.marks) > 0 {
		if now >= c.stalled() {
			return fmt.Errorf("%w: the peer has taken nothing for %v, though it still sends",
				bearer.ErrLost, (now - c.pace.marks[0].at).Round(time.Second))
		}
		c.misses++
		if c.misses >= missesLost {
			return fmt.Errorf("%w: nothing heard from the peer for %v; the network or the peer is down",
				bearer.ErrLost, (now - c.heard).Round(time.Second/10))
		}
	}
	if len(c.pace.marks) < maxMarks {
		c.ask = true
	}
	c.asked = now
	if cap(c.out) > keepBuffer {
		c.out = nil
	}
	return nil
}

// credit bounds the control frames that a peer may send. A well-behaved one
// sends at most one for each of its data frames, and a few a second.
type credit struct {
	left int
	at   time.Duration
}

func (k *credit) earn() { k.left = min(k.left+1, credits) }

func (k *credit) spend(now time.Duration) bool {
	if more := int((now - k.at) / creditEvery); more > 0 {
		k.left = min(k.left+more, credits)
		k.at = now
	}
	k.left--
	return k.left >= 0
}

// explain says in plain words how the stream ended.
func explain(err error) error {
	switch {
	case errors.Is(err, bearer.ErrProtocol):
		return err
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the peer closed it", bearer.ErrLost)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it was cut in the middle of a frame", bearer.ErrLost)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: the peer takes no more bytes (%w)", bearer.ErrLost, err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return fmt.Errorf("%w: the peer refused this station (%v); it may not hold this party's newest card", bearer.ErrLost, op.Err)
	}
	return fmt.Errorf("%w: %v", bearer.ErrLost, err)
}
