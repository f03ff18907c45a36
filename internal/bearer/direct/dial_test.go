package direct

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"herald/internal/bearer"
	"herald/internal/bearer/bearertest"
)

// site is an endpoint that runs every connection with a fresh link and tells
// when one is up, that is, when the peer's hello has come.
type site struct {
	*Endpoint
	log lines
	up  chan *Conn
}

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
	new chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.new <- struct{}{}:
	default:
	}
	return l.buf.Write(b)
}

// await waits until the log holds the words.
func (l *lines) await(t *testing.T, words string) {
	t.Helper()
	for {
		l.mu.Lock()
		text := l.buf.String()
		l.mu.Unlock()
		if strings.Contains(text, words) {
			return
		}
		select {
		case <-l.new:
		case <-t.Context().Done():
			t.Fatalf("the log has no %q:\n%s", words, text)
		case <-time.After(time.Minute):
			t.Fatalf("the log has no %q:\n%s", words, text)
		}
	}
}

func newSite(t *testing.T, key byte, peers func(ed25519.PublicKey) (string, bool)) *site {
	t.Helper()
	s := &site{up: make(chan *Conn, 16), log: lines{new: make(chan struct{}, 1)}}
	var err error
	s.Endpoint, err = New(Config{
		Key: testKey(key), Peer: peers, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
		Handle: func(ctx context.Context, c bearer.Conn) {
			l := bearertest.NewLink()
			l.Sink = func([]byte) error { s.up <- c.(*Conn); return nil }
			l.Send([]byte("hello"))
			_ = c.Run(ctx, l)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve listens on loopback until the returned function is called.
func (s *site) serve(t *testing.T, addr string) (string, func()) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	}()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

// dial keeps the peer connected until the test ends.
func (s *site) dial(t *testing.T, peer string, addrs ...string) *Dialer {
	t.Helper()
	d := s.Dialer(peer, addrs...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return d
}

func (s *site) awaitUp(t *testing.T) *Conn {
	t.Helper()
	select {
	case c := <-s.up:
		return c
	case <-time.After(time.Minute):
		t.Fatalf("no connection came up; the log says:\n%s", s.log.buf.String())
		return nil
	}
}

func noLeaks(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
}

func TestDialerReconnectsAfterThePeerRestarts(t *testing.T) {
	noLeaks(t)
	us, cn := newSite(t, 1, known), newSite(t, 2, known)
	addr, stop := cn.serve(t, "127.0.0.1:0")
	d := us.dial(t, "CN", addr)
	c, far := us.awaitUp(t), cn.awaitUp(t)
	if c.Peer().Name != "CN" || !c.State().Dialled {
		t.Errorf("the dialling side sees %+v", c.State())
	}
	if far.Peer().Name != "US" || !far.Peer().Key.Equal(testKey(1).Public()) || far.State().Dialled {
		t.Errorf("the accepting side sees %+v", far.Peer())
	}
	for range 2 {
		stop()
		_, stop = cn.serve(t, addr)
		us.awaitUp(t)
		cn.awaitUp(t)
	}
	if err := d.Err(); err != nil {
		t.Errorf("while connected: %v", err)
	}
}

func TestDialerFollowsNewAddresses(t *testing.T) {
	noLeaks(t)
	us, cn := newSite(t, 1, known), newSite(t, 2, known)
	closed, stop := cn.serve(t, "127.0.0.1:0")
	stop()
	d := us.dial(t, "CN")
	d.SetAddresses(closed)
	us.log.await(t, "cannot reach a peer")
	if d.Err() == nil {
		t.Error("a failing dialer gives no reason")
	}
	addr, _ := cn.serve(t, "127.0.0.1:0")
	d.SetAddresses(closed, addr)
	us.awaitUp(t)
}

func TestOneDialerWaitsWhileTheOtherSidesConnectionStands(t *testing.T) {
	noLeaks(t)
	us, cn := newSite(t, 1, known), newSite(t, 2, known)
	usAddr, _ := us.serve(t, "127.0.0.1:0")
	cnAddr, stop := cn.serve(t, "127.0.0.1:0")
	us.dial(t, "CN", cnAddr)
	us.awaitUp(t)
	cn.awaitUp(t)
	cn.dial(t, "US", usAddr) // has nothing to do
	stop()                   // now only CN can make a connection
	if c := cn.awaitUp(t); !c.State().Dialled {
		t.Errorf("CN did not dial: %+v", c.State())
	}
	us.awaitUp(t)
}

func TestUnknownKeysAreRefusedOnEitherSide(t *testing.T) {
	noLeaks(t)
	none := func(ed25519.PublicKey) (string, bool) { return "", false }
	t.Run("by the accepting side", func(t *testing.T) {
		us, cn := newSite(t, 1, known), newSite(t, 2, none)
		addr, _ := cn.serve(t, "127.0.0.1:0")
		us.dial(t, "CN", addr)
		cn.log.await(t, "is on no card known here")
		us.log.await(t, "may not know this station's key")
	})
	t.Run("by the dialling side", func(t *testing.T) {
		us, cn := newSite(t, 1, none), newSite(t, 2, known)
		addr, _ := cn.serve(t, "127.0.0.1:0")
		us.dial(t, "CN", addr)
		us.log.await(t, "is on no card known here")
		cn.log.await(t, "refused a connection")
	})
	t.Run("where another answers", func(t *testing.T) {
		us, cn := newSite(t, 1, known), newSite(t, 1, known)
		addr, _ := cn.serve(t, "127.0.0.1:0")
		us.dial(t, "CN", addr)
		us.log.await(t, "US answered where CN was called")
	})
}

func TestDialerIsStillWhileAnyConnectionStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		us := endpoint(t, 1, nil)
		ctx, cancel := context.WithCancel(t.Context())
		d := us.Dialer("CN", "127.0.0.1:1") // where nobody listens
		done := make(chan struct{})
		us.count("CN", 1)
		us.count("CN", 1)
		go func() { defer close(done); d.Run(ctx) }()
		for _, left := range []int{2, 1, 0} {
			time.Sleep(time.Minute)
			if tried := d.Err() != nil; tried != (left == 0) {
				t.Errorf("with %d connections to the peer: tried is %t", left, tried)
			}
			if left > 0 {
				us.count("CN", -1)
			}
		}
		cancel()
		<-done
	})
}

func TestServeReturnsAfterItsHandlers(t *testing.T) {
	noLeaks(t)
	entered := make(chan struct{})
	var returned atomic.Bool
	cn := &site{Endpoint: endpoint(t, 2, func(ctx context.Context, c bearer.Conn) {
		_ = c.Run(ctx, bearertest.NewLink())
		close(entered)
		<-ctx.Done()
		returned.Store(true)
	})}
	addr, stop := cn.serve(t, "127.0.0.1:0")
	c, err := tls.Dial("tcp", addr, endpoint(t, 1, nil).tlsConfig("CN"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-entered
	stop()
	if !returned.Load() {
		t.Error("Serve returned before its handler")
	}
}

// Whatever does not keep to the one handshake is refused: older versions,
// other key exchanges, another protocol, no certificate.
func TestOnlyTheOneHandshakeIsTaken(t *testing.T) {
	noLeaks(t)
	cn := newSite(t, 2, known)
	addr, _ := cn.serve(t, "127.0.0.1:0")
	us := endpoint(t, 1, nil)
	for name, change := range map[string]func(*tls.Config){
		"as it should be": func(*tls.Config) {},
		"TLS 1.2":         func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"classical keys":  func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} },
		"no protocol":     func(c *tls.Config) { c.NextProtos = nil },
		"other protocol":  func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"no certificate":  func(c *tls.Config) { c.Certificates = nil },
		"two certificates": func(c *tls.Config) {
			der := c.Certificates[0].Certificate[0]
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{der, der}, PrivateKey: c.Certificates[0].PrivateKey}}
		},
	} {
		cfg := us.tlsConfig("CN")
		cfg.VerifyConnection = nil
		change(cfg)
		c, err := tls.Dial("tcp", addr, cfg)
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // a refusal comes after the client's own handshake
			c.Close()
		}
		if ok := name == "as it should be"; (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGateEndsTheOldestHandshake(t *testing.T) {
	g := newGate(2)
	first, leave1 := g.enter(t.Context())
	second, leave2 := g.enter(t.Context())
	third, leave3 := g.enter(t.Context())
	if first.Err() == nil || second.Err() != nil || third.Err() != nil {
		t.Errorf("with room for two, three came: %v, %v, %v", first.Err(), second.Err(), third.Err())
	}
	leave1()
	leave2()
	fourth, leave4 := g.enter(t.Context())
	if third.Err() != nil || fourth.Err() != nil {
		t.Error("a handshake was ended though there was room")
	}
	leave3()
	leave4()
	if g.pending.Len() != 0 {
		t.Errorf("%d handshakes are still counted", g.pending.Len())
	}
}

func TestQuotaPassesOneASecondAndCountsTheRest(t *testing.T) {
	var q quota
	now := time.Unix(1000, 0)
	if _, ok := q.take(now); !ok {
		t.Error("the first was held back")
	}
	for range 5 {
		if _, ok := q.take(now.Add(time.Second / 2)); ok {
			t.Error("a second one passed in the same second")
		}
	}
	if skipped, ok := q.take(now.Add(time.Second)); !ok || skipped != 5 {
		t.Errorf("after a second: %v, %d skipped", ok, skipped)
	}
}

func TestBackoffStaysInItsBounds(t *testing.T) {
	for fails := range 100 {
		if d := backoff(fails); d <= 0 || d > backoffMax {
			t.Errorf("after %d failures: %v", fails, d)
		}
	}
}
