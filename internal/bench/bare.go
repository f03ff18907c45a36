package bench

import (
	"context"
	"crypto/ed25519"
	"time"

	"herald/internal/bearer"
	"herald/internal/bearer/direct"
)

// bareLink is a bearer's link without a session: it sends what it is given,
// and hands what comes to got, or gives it back.
type bareLink struct {
	out   chan []byte
	ready chan struct{}
	echo  bool
	got   chan struct{}
}

func newBareLink(echo bool) *bareLink {
	return &bareLink{out: make(chan []byte, 8), ready: make(chan struct{}, 1), echo: echo, got: make(chan struct{}, 8)}
}

func (l *bareLink) Next(int, bool) ([]byte, bool) {
	select {
	case f := <-l.out:
		return f, false
	default:
		return nil, false
	}
}

func (l *bareLink) Ready() <-chan struct{} { return l.ready }

func (l *bareLink) Receive(f []byte) error {
	if l.echo {
		l.send(append([]byte(nil), f...))
		return nil
	}
	l.got <- struct{}{}
	return nil
}

func (l *bareLink) send(f []byte) {
	l.out <- f
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// bare makes an endpoint of the direct bearer without a station. A link is
// handed to links, where that is set, for each connection.
func bare(key ed25519.PrivateKey, peer ed25519.PublicKey, echo bool, links chan<- *bareLink) (*direct.Endpoint, error) {
	return direct.New(direct.Config{
		Key:  key,
		Peer: func(k ed25519.PublicKey) (string, bool) { return "peer", peer.Equal(k) },
		Handle: func(ctx context.Context, c bearer.Conn) {
			l := newBareLink(echo)
			if links != nil {
				links <- l
			}
			_ = c.Run(ctx, l)
		},
	})
}

// trip is one frame there and back over the bare bearer.
func (l *bareLink) trip(ctx context.Context, frame []byte) (time.Duration, error) {
	began := time.Now()
	l.send(frame)
	select {
	case <-l.got:
		return time.Since(began), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
