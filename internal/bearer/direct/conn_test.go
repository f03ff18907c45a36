package direct

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herald/internal/bearer"
	"herald/internal/bearer/bearertest"
)

// against runs a connection whose peer is the given function, in fake time,
// and returns how Run ended. The peer's side stays open until then.
func against(t *testing.T, l *bearertest.Link, peer func(c net.Conn)) (took time.Duration, err error) {
	t.Helper()
	near, far := net.Pipe()
	c := newConn(near, near, bearer.Peer{}, false, idleAfter, newPool())
	began := time.Now()
	done := make(chan struct{})
	go func() { defer close(done); peer(far) }()
	err = c.Run(t.Context(), l)
	took = time.Since(began)
	far.Close()
	<-done
	return took, err
}

// swallow reads and forgets.
func swallow(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestBrokenPeersEndTheConnection(t *testing.T) {
	ping := func(n uint64) []byte { return appendControl(nil, control{kind: kindPing, number: n}) }
	for _, tc := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"empty frame", []byte{0}, "empty frame"},
		{"empty control frame", []byte{1}, "empty frame"},
		{"one byte too long", []byte{0x82, 0x80, 0x08}, "at most 65536"},
		{"length of four bytes", []byte{0x80, 0x80, 0x80, 0x01}, "over 3 bytes"},
		{"length not shortest", []byte{0x82, 0x00, 'x'}, "shortest form"},
		{"control frame too long", []byte{0x83, 0x01}, "at most 64"},
		{"answer to nothing", appendControl(nil, control{kind: kindPong, number: 9}), "ping 9"},
		{"ping without number", []byte{3, kindPing}, "without its number"},
		{"ping with more", []byte{7, kindPing, 1, 1}, "too many"},
		{"pong without clock", []byte{5, kindPong, 1}, "clock"},
		{"ping backwards", append(ping(5), ping(5)...), "ping 5 after ping 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := against(t, bearertest.NewLink(), func(c net.Conn) {
					go swallow(c)
					_, _ = c.Write(tc.bytes)
				})
				if !errors.Is(err, bearer.ErrProtocol) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("Run ended with %v, want a breach with %q", err, tc.want)
				}
			})
		})
	}
}

func TestControlFloodEndsTheConnection(t *testing.T) {
	for _, kind := range []uint8{kindPing, 77} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			_, err := against(t, bearertest.NewLink(), func(c net.Conn) {
				go swallow(c)
				for ; sent < 10_000; sent++ {
					if _, err := c.Write(appendControl(nil, control{kind: kind, number: uint64(sent + 1)})); err != nil {
						return
					}
				}
			})
			if !errors.Is(err, bearer.ErrProtocol) || !strings.Contains(err.Error(), "flood") {
				t.Errorf("kind %d: Run ended with %v", kind, err)
			}
			if sent > 2*credits {
				t.Errorf("kind %d: %d control frames were taken", kind, sent)
			}
		})
	}
}

// A later version may have more control frames.
func TestUnknownControlFramesAreLetPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bearertest.NewLink()
		_, _ = against(t, l, func(c net.Conn) {
			go swallow(c)
			_, _ = c.Write(appendControl(nil, control{kind: 77, number: 1}))
			_, _ = c.Write(appendFrame(nil, []byte("after")))
		})
		if got, _ := l.Got(); len(got) != 1 || string(got[0]) != "after" {
			t.Errorf("got %q", got)
		}
	})
}

func TestSilentPeerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, err := against(t, bearertest.NewLink(), swallow)
		if !errors.Is(err, bearer.ErrLost) || !strings.Contains(err.Error(), "nothing heard") {
			t.Errorf("Run ended with %v", err)
		}
		if took > 4*idleAfter {
			t.Errorf("that took %v", took)
		}
	})
}

func TestPeerThatTakesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, err := against(t, bearertest.NewLink(), func(net.Conn) {})
		if !errors.Is(err, bearer.ErrLost) || !strings.Contains(err.Error(), "takes no more") {
			t.Errorf("Run ended with %v", err)
		}
		if took > 8*idleAfter {
			t.Errorf("that took %v", took)
		}
	})
}

func TestPeerThatSendsButNeverAnswersIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bearertest.NewLink()
		took, err := against(t, l, func(c net.Conn) {
			go swallow(c)
			for {
				if _, err := c.Write(appendFrame(nil, []byte("chatter"))); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if !errors.Is(err, bearer.ErrLost) || !strings.Contains(err.Error(), "taken nothing") {
			t.Errorf("Run ended with %v", err)
		}
		if took > 10*idleAfter {
			t.Errorf("that took %v", took)
		}
	})
}

func TestFrameThatDribblesInIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, err := against(t, bearertest.NewLink(), func(c net.Conn) {
			go swallow(c)
			for _, b := range appendFrame(nil, make([]byte, bearer.MaxFrame)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if !errors.Is(err, bearer.ErrLost) {
			t.Errorf("Run ended with %v", err)
		}
		if took > 4*idleAfter {
			t.Errorf("that took %v", took)
		}
	})
}

// counting counts what is written to a stream.
type counting struct {
	net.Conn
	writes, bytes atomic.Int64
}

func (c *counting) Write(b []byte) (int, error) {
	c.writes.Add(1)
	c.bytes.Add(int64(len(b)))
	return c.Conn.Write(b)
}

func TestIdleConnectionLivesOnLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		counted := &counting{Conn: near}
		a := newConn(counted, near, bearer.Peer{}, true, idleAfter, newPool())
		b := newConn(far, far, bearer.Peer{}, false, idleAfter, newPool())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		la, lb := bearertest.NewLink(), bearertest.NewLink()
		go func() { ended <- a.Run(ctx, la) }()
		go func() { ended <- b.Run(ctx, lb) }()
		time.Sleep(time.Hour)
		if s := a.State(); time.Since(s.Heard) > 2*idleAfter {
			t.Errorf("the peer was last heard %v ago", time.Since(s.Heard))
		}
		if limit := 2 * int64(time.Hour/idleAfter); counted.writes.Load() > limit || counted.bytes.Load() > 20*limit {
			t.Errorf("an idle hour took %d writes and %d bytes", counted.writes.Load(), counted.bytes.Load())
		}
		la.Send([]byte("after an hour"))
		synctest.Wait()
		if got, _ := lb.Got(); len(got) != 1 {
			t.Errorf("%d frames came after an idle hour", len(got))
		}
		if s := a.State(); s.Unacked != 0 || s.Sent == 0 {
			t.Errorf("after the frame was taken: %d bytes of %d not acknowledged", s.Unacked, s.Sent)
		}
		cancel()
		for range 2 {
			if err := <-ended; err != nil && !errors.Is(err, bearer.ErrLost) {
				t.Error(err)
			}
		}
	})
}

// A session that is slow to take frames holds the other side back: bulk stops,
// and so does everything else once a little is under way.
func TestSlowSessionHoldsThePeerBack(t *testing.T) {
	client, server := tcpPair(t)
	pool := newPool()
	a := newConn(client, client, bearer.Peer{}, true, idleAfter, pool)
	b := newConn(server, server, bearer.Peer{}, false, idleAfter, pool)
	la, lb := bearertest.NewLink(), bearertest.NewLink()
	release, blocked := make(chan struct{}), make(chan struct{}, 1)
	lb.Sink = func([]byte) error {
		select {
		case blocked <- struct{}{}:
		default:
		}
		<-release
		return errors.New("enough")
	}
	offered, refused := 0, make(chan struct{}, 1)
	la.Fill = func(limit int) []byte {
		offered += limit
		return make([]byte, limit)
	}
	ended := make(chan error, 2)
	go func() { ended <- a.Run(t.Context(), heldBack{la, refused}) }()
	go func() { ended <- b.Run(t.Context(), lb) }()
	<-blocked
	<-refused
	la.Send([]byte("more"))
	close(release)
	<-ended
	<-ended
	if offered > 8*firstFrame {
		t.Errorf("%d bytes of bulk were offered to a peer that had taken none", offered)
	}
}

// heldBack tells when the bearer asks for urgent frames only.
type heldBack struct {
	*bearertest.Link
	refused chan struct{}
}

func (h heldBack) Next(limit int, bulk bool) ([]byte, bool) {
	if !bulk {
		select {
		case h.refused <- struct{}{}:
		default:
		}
	}
	return h.Link.Next(limit, bulk)
}
