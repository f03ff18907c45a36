package linksim

import (
	"net"
	"sync"
	"time"
)

// parcel is bytes on their way, and the link time at which they arrive.
type parcel struct {
	bytes []byte
	due   time.Duration
}

// pump moves bytes in one direction of one connection until it ends, then ends
// the other side too, after what is on its way has arrived.
func (l *Link) pump(from, to net.Conn, dir int) {
	p := &pipe{}
	p.changed.L = &p.mu
	var reader sync.WaitGroup
	reader.Go(func() { l.fill(from, p, dir) })
	l.deliver(to, p, dir)
	p.close()
	to.Close()
	from.Close()
	reader.Wait()
}

// pipe is one connection's bytes under way in one direction.
type pipe struct {
	mu      sync.Mutex
	changed sync.Cond
	parcels []parcel
	held    int // bytes
	closed  bool
}

// put adds a parcel.
func (p *pipe) put(x parcel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parcels = append(p.parcels, x)
	p.held += len(x.bytes)
	p.changed.Broadcast()
}

// room waits until fewer than limit bytes are under way; false: it is closed.
func (p *pipe) room(limit int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held >= limit && !p.closed {
		p.changed.Wait()
	}
	return !p.closed
}

// first waits for the next parcel and leaves it counted; false: there will be
// none.
func (p *pipe) first() (parcel, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.parcels) == 0 && !p.closed {
		p.changed.Wait()
	}
	if len(p.parcels) == 0 {
		return parcel{}, false
	}
	x := p.parcels[0]
	p.parcels = p.parcels[1:]
	return x, true
}

// done uncounts a parcel that has been delivered.
func (p *pipe) done(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held -= n
	p.changed.Broadcast()
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.changed.Broadcast()
}

// fill reads bytes as they come and sets the time at which each arrives.
func (l *Link) fill(from net.Conn, p *pipe, dir int) {
	defer p.close()
	buf := make([]byte, unshaped)
	for {
		l.mu.Lock()
		cfg := l.cfg
		l.mu.Unlock()
		limit := cfg.Queue
		if limit <= 0 {
			limit = 1 << 20
		}
		if !p.room(limit) {
			return
		}
		n, err := from.Read(buf[:min(limit, len(buf))])
		l.enqueue(buf[:n], p, dir)
		if err != nil {
			return
		}
	}
}

// enqueue sends bytes through the bottleneck, segment by segment.
func (l *Link) enqueue(b []byte, p *pipe, dir int) {
	for len(b) > 0 {
		l.mu.Lock()
		cfg := l.cfg
		n := len(b)
		var took time.Duration
		if cfg.Rate > 0 {
			n = min(n, segment)
			took = time.Duration(float64(n*8) / float64(cfg.Rate) * float64(time.Second))
		}
		l.free[dir] = max(l.free[dir], l.clock.now()) + took
		due := l.free[dir] + cfg.Delay
		l.mu.Unlock()
		p.put(parcel{append([]byte(nil), b[:n]...), due})
		b = b[n:]
	}
}

// deliver writes parcels when they are due, until the pipe or the connection
// ends.
func (l *Link) deliver(to net.Conn, p *pipe, dir int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		x, ok := p.first()
		if !ok || !l.arrive(x.due, timer) {
			return
		}
		if _, err := to.Write(x.bytes); err != nil {
			return
		}
		p.done(len(x.bytes))
		l.mu.Lock()
		l.moved[dir] += uint64(len(x.bytes))
		l.mu.Unlock()
	}
}

// arrive waits for a moment of link time; false: the link is closing.
func (l *Link) arrive(due time.Duration, timer *time.Timer) bool {
	for {
		if !l.gate() {
			return false
		}
		l.mu.Lock()
		left := due - l.clock.now()
		open := l.clock.cutAt.IsZero()
		l.mu.Unlock()
		if !open {
			continue
		}
		if left <= 0 {
			return true
		}
		timer.Reset(left)
		select {
		case <-timer.C:
		case <-l.ctx.Done():
			return false
		}
	}
}
