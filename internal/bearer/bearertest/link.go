package bearertest

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
)

// Link is a bearer.Link that keeps what it receives. It watches that Next and
// Receive are not called concurrently with themselves.
type Link struct {
	// Fill, when set, makes an endless supply of bulk frames of at most max
	// bytes; nil means none at the moment. It is called from Next alone.
	Fill func(max int) []byte
	// Sink, when set, takes received frames instead of the link's own list.
	Sink func(frame []byte) error

	ready     chan struct{}
	inNext    atomic.Bool
	inReceive atomic.Bool

	mu     sync.Mutex
	urgent [][]byte
	bulk   [][]byte
	got    [][]byte
	came   chan struct{} // closed and replaced at each arrival
	fault  error
}

// NewLink returns an empty link.
func NewLink() *Link {
	return &Link{ready: make(chan struct{}, 1), came: make(chan struct{})}
}

// Send queues a copy of the frame.
func (l *Link) Send(frame []byte, bulk bool) {
	l.mu.Lock()
	if bulk {
		l.bulk = append(l.bulk, bytes.Clone(frame))
	} else {
		l.urgent = append(l.urgent, bytes.Clone(frame))
	}
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

// Next implements bearer.Link. A queued frame longer than max waits until the
// connection has shown that it can take it.
func (l *Link) Next(max int, bulk bool) ([]byte, bool) {
	if !l.inNext.CompareAndSwap(false, true) {
		l.fail(errors.New("Next was called concurrently"))
	}
	defer l.inNext.Store(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := pop(&l.urgent, max); f != nil {
		return f, false
	}
	if !bulk {
		return nil, false
	}
	if f := pop(&l.bulk, max); f != nil {
		return f, true
	}
	if l.Fill != nil {
		return l.Fill(max), true
	}
	return nil, false
}

// pop takes the first frame of the queue if it is at most max bytes long.
func pop(q *[][]byte, max int) []byte {
	if len(*q) == 0 || len((*q)[0]) > max {
		return nil
	}
	f := (*q)[0]
	*q = (*q)[1:]
	return f
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
func (l *Link) Got() ([][]byte, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got[:len(l.got):len(l.got)], l.came
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
