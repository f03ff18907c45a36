// Package linksim puts a slow, long or broken network between two TCP ports of
// one machine, for benchmarks and demonstrations. It is a proxy that lets
// bytes through at a set rate after a set delay, from a queue as long as one
// likes, and that can be cut and healed.
//
// Each direction is one first-in first-out bottleneck that all connections
// share. While the link is cut its clock stands still: nothing moves, nothing
// is lost, and new connections hang, as they do behind a cut cable.
package linksim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// segment is the most that leaves the bottleneck at once, in bytes: about what
// a packet carries, so that delays are as fine as on a real link.
const segment = 1448

// unshaped is the most that a link without a rate moves at once, in bytes.
const unshaped = 64 << 10

// Config says how the link behaves, in each direction alike.
type Config struct {
	Rate  int64         // bits per second; 0: as fast as the machine goes
	Delay time.Duration // one way
	Queue int           // bytes that one connection may have under way; 0: 1 MiB
}

// Link is a running proxy.
type Link struct {
	listener net.Listener
	target   string
	ctx      context.Context // ends with the link
	cancel   context.CancelFunc
	all      sync.WaitGroup

	mu     sync.Mutex
	cfg    Config
	clock  clock
	free   [2]time.Duration // link time when each direction's bottleneck is free
	conns  map[net.Conn]struct{}
	moved  [2]uint64
	healed chan struct{} // closed when the link is not cut
}

// clock is the link's time, which stands still while the link is cut.
type clock struct {
	began time.Time
	lost  time.Duration // how long the link has been cut before now
	cutAt time.Time     // zero: not cut
}

func (c *clock) now() time.Duration {
	if !c.cutAt.IsZero() {
		return c.cutAt.Sub(c.began) - c.lost
	}
	return time.Since(c.began) - c.lost
}

// Start listens on the address (such as "127.0.0.1:0") and carries every
// connection to the target.
func Start(listen, target string, cfg Config) (*Link, error) {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("simulated link: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Link{
		listener: ln, target: target, ctx: ctx, cancel: cancel, cfg: cfg,
		clock: clock{began: time.Now()}, conns: make(map[net.Conn]struct{}), healed: make(chan struct{}),
	}
	close(l.healed)
	l.all.Go(l.accept)
	return l, nil
}

// Addr is the address to dial instead of the target's.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Set changes the link's behaviour for the bytes that enter it from now on.
func (l *Link) Set(cfg Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg = cfg
}

// Cut stops everything until Heal.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clock.cutAt.IsZero() {
		l.clock.cutAt = time.Now()
		l.healed = make(chan struct{})
	}
}

// Heal lets bytes move again after Cut.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.clock.cutAt.IsZero() {
		l.clock.lost += time.Since(l.clock.cutAt)
		l.clock.cutAt = time.Time{}
		close(l.healed)
	}
}

// Sever closes every connection at once; new ones are let through as before.
func (l *Link) Sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Close()
	}
}

// Moved returns the bytes delivered towards the target and back from it.
func (l *Link) Moved() (there, back uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moved[0], l.moved[1]
}

// Close severs everything, stops listening and waits until all is quiet.
func (l *Link) Close() error {
	l.cancel()
	err := l.listener.Close()
	l.Sever()
	l.all.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// accept carries connections until the link is closed.
func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.all.Go(func() { l.carry(near) })
	}
}

// carry joins one connection to the target until either side ends it.
func (l *Link) carry(near net.Conn) {
	defer near.Close()
	if !l.keep(near) || !l.gate() {
		return
	}
	defer l.drop(near)
	far, err := (&net.Dialer{}).DialContext(l.ctx, "tcp", l.target)
	if err != nil {
		return // the caller sees its connection closed, as from a router that finds nobody
	}
	defer far.Close()
	if !l.keep(far) {
		return
	}
	defer l.drop(far)
	var both sync.WaitGroup
	both.Go(func() { l.pump(near, far, 0) })
	both.Go(func() { l.pump(far, near, 1) })
	both.Wait()
}

// keep notes a connection for Sever; false: the link is closing.
func (l *Link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	return l.ctx.Err() == nil
}

func (l *Link) drop(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// gate waits while the link is cut; false: the link is closing.
func (l *Link) gate() bool {
	for {
		l.mu.Lock()
		open, healed := l.clock.cutAt.IsZero(), l.healed
		l.mu.Unlock()
		if open {
			return l.ctx.Err() == nil
		}
		select {
		case <-healed:
		case <-l.ctx.Done():
			return false
		}
	}
}
