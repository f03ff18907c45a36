package bearertest

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
)

// Link is a bearer.Link for tests and benchmarks. It keeps what it receives,
// and watches that Next and Receive are not called concurrently with
// themselves.
type Link struct {
	// Fill, when set, makes bulk frames of at most max bytes whenever nothing
	// else is queued; nil means none at the moment. It is called from Next
	// alone.
	Fill func(max int) []byte
	// Sink, when set, takes received frames instead of the link's own list.
	Sink func(frame []byte) error

	ready     chan struct{}
	inNext    atomic.Bool
	inReceive atomic.Bool

	mu     sync.Mutex
	urgent [][]byte
	sent   [][]byte // what Next gave out, in order, when keep is set
	got    [][]byte
	came   chan struct{} // closed and replaced at each arrival
	fault  error
	keep   bool
}

// NewLink returns an empty link.
func NewLink() *Link {
	return &Link{ready: make(chan struct{}, 1), came: make(chan struct{})}
}

// Send queues a copy of a frame that is not bulk. It must fit in whatever
// limit the bearer sets: at most bearer.MinMax bytes are sure to.
func (l *Link) Send(frame []byte) {
	l.mu.Lock()
	l.urgent = append(l.urgent, bytes.Clone(frame))
	l.mu.Unlock()
	l.Wake()
}

// Wake signals Ready.
func (l *Link) Wake() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// Ready implements bearer.Link.
func (l *Link) Ready() <-chan struct{} { return l.ready }

// Next implements bearer.Link.
func (l *Link) Next(max int, bulk bool) (frame []byte, isBulk bool) {
	if !l.inNext.CompareAndSwap(false, true) {
		l.fail(errors.New("Next was called concurrently"))
	}
	defer l.inNext.Store(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.urgent) > 0 && len(l.urgent[0]) <= max:
		frame, l.urgent = l.urgent[0], l.urgent[1:]
	case bulk && l.Fill != nil:
		frame, isBulk = l.Fill(max), true
	}
	if l.keep && frame != nil {
		l.sent = append(l.sent, bytes.Clone(frame))
	}
	return frame, isBulk
}

// Receive implements bearer.Link.
func (l *Link) Receive(frame []byte) error {
	if !l.inReceive.CompareAndSwap(false, true) {
		l.fail(errors.New("Receive was called concurrently"))
	}
	defer l.inReceive.Store(false)
	if l.Sink != nil {
		return l.Sink(frame)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, bytes.Clone(frame))
	close(l.came)
	l.came = make(chan struct{})
	return nil
}

// Got returns what has been received so far, and a channel that is closed when
// more has.
func (l *Link) Got() (frames [][]byte, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got[:len(l.got):len(l.got)], l.came
}

// Sent returns what Next has given out, in order, if the link keeps it.
func (l *Link) Sent() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent[:len(l.sent):len(l.sent)]
}

// Fault returns the first breach of the contract by the bearer, or nil.
func (l *Link) Fault() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

func (l *Link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == nil {
		l.fault = err
	}
}
