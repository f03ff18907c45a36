package direct

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// Figures of dialling. A new try starts at most every backoffMax, even while
// earlier ones still wait: one lost packet would otherwise cost more than that.
const (
	backoffMin  = 100 * time.Millisecond
	backoffMax  = 1500 * time.Millisecond
	maxTries    = 4 // under way at once
	connectTime = 10 * time.Second
	settled     = 10 * time.Second // a connection that lasted for this long was a good one
	courtesy    = 4 * time.Second  // for the handshake of a try that has connected, before another starts
)

// Dialer keeps one peer connected.
type Dialer struct {
	end     *Endpoint
	peer    string
	cfg     *tls.Config
	changed chan struct{} // buffered 1: the addresses were set

	mu    sync.Mutex
	addrs []string
	next  int
	err   error
}

// Dialer makes a dialer to the named peer at its addresses (host:port). Each
// is looked up anew at every try; they are tried in turn. Run starts it.
func (e *Endpoint) Dialer(peer string, addrs ...string) *Dialer {
	return &Dialer{
		end: e, peer: peer, cfg: e.tlsConfig(peer),
		changed: make(chan struct{}, 1), addrs: slices.Clone(addrs),
	}
}

// SetAddresses replaces the addresses. A connection that exists stays.
func (d *Dialer) SetAddresses(addrs ...string) {
	d.mu.Lock()
	d.addrs, d.next = slices.Clone(addrs), 0
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// Err says why the newest try failed, or nil after one that succeeded or
// before the first.
func (d *Dialer) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *Dialer) setErr(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && d.err == nil {
		d.end.cfg.Log.Info("cannot reach a peer; still trying", "peer", d.peer, "error", err)
	}
	d.err = err
}

// address takes the next address in turn, or "" when there is none.
func (d *Dialer) address() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.addrs) == 0 {
		return ""
	}
	a := d.addrs[d.next%len(d.addrs)]
	d.next++
	return a
}

// Run dials whenever no connection to the peer exists, whoever opened it, and
// calls the endpoint's handler with each that it makes. It returns when ctx
// ends and the handler has returned.
func (d *Dialer) Run(ctx context.Context) {
	fails := 0
	for d.end.awaitAbsent(ctx, d.peer) {
		c := d.connect(ctx, fails)
		if c == nil {
			return
		}
		d.setErr(nil)
		d.end.handle(ctx, c)
		// A peer that accepts and soon closes must not be called in a rush.
		if c.now() > settled {
			fails = 0
		} else {
			fails++
		}
		if !c.State().Heard.After(c.began) && ctx.Err() == nil {
			d.setErr(fmt.Errorf("%s accepted the connection and closed it without a word; it may not know this station's key", d.peer))
		}
	}
}

// backoff is a random time of up to backoffMin, doubled with each failure and
// at most backoffMax: so that stations which lost the same cable do not call
// in step.
func backoff(fails int) time.Duration {
	limit := backoffMax
	if fails < 8 {
		limit = min(limit, backoffMin<<fails)
	}
	return limit/10 + rand.N(limit-limit/10)
}

// outcome is a try's end, or, with connected set, its progress.
type outcome struct {
	conn      *Conn
	err       error
	connected bool
}

// connect tries the addresses in turn, several at once if need be, until a
// connection stands or ctx ends.
func (d *Dialer) connect(ctx context.Context, fails int) *Conn {
	ctx, cancel := context.WithCancel(ctx)
	news := make(chan outcome)
	tries := 0
	var won *Conn
	timer := time.NewTimer(0)
	defer timer.Stop()
	if fails > 0 {
		timer.Reset(backoff(fails))
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-timer.C:
			if addr := d.address(); addr != "" && tries < maxTries {
				tries++
				go d.try(ctx, addr, news)
			}
			timer.Reset(backoff(fails))
			fails++
		case <-d.changed:
			fails = 0
			timer.Reset(0)
		case o := <-news:
			if o.connected {
				timer.Reset(courtesy)
				continue
			}
			tries--
			if o.conn != nil {
				won = o.conn
				cancel()
			} else {
				d.setErr(o.err)
				timer.Reset(backoff(fails))
			}
		}
	}
	cancel()
	for tries > 0 {
		if o := <-news; !o.connected {
			tries--
			if o.conn != nil {
				o.conn.raw.Close()
			}
		}
	}
	return won
}

// try makes one connection and reports to news, always ending with an outcome
// that is not mere progress.
func (d *Dialer) try(ctx context.Context, addr string, news chan<- outcome) {
	raw, err := (&net.Dialer{Timeout: connectTime, KeepAlive: -1}).DialContext(ctx, "tcp", addr)
	if err != nil {
		news <- outcome{err: fmt.Errorf("cannot connect: %w", err)}
		return
	}
	news <- outcome{connected: true}
	c, err := d.end.handshake(ctx, raw, tls.Client(raw, d.cfg), d.peer)
	if err != nil {
		raw.Close()
		if errors.Is(err, context.Canceled) {
			err = errors.New("another try was quicker")
		}
		news <- outcome{err: fmt.Errorf("connected to %s, but: %w", addr, err)}
		return
	}
	news <- outcome{conn: c}
}
