// Package direct is the bearer over the open network: TLS 1.3 over TCP, where
// both sides prove the keys that are pinned on their party cards, and no
// certificate authority has a say (spec 09 §3). Either side may dial.
//
// When both sides dial at once, both connections stay: the session takes the
// first copy of everything, and a rule to drop one could flap. A dialer only
// waits while a connection to its peer exists, whoever opened it.
package direct

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"time"

	"herald/internal/bearer"
)

const (
	alpn             = "herald/1"
	handshakeTimeout = 10 * time.Second
	maxHandshakes    = 64
	acceptPause      = 100 * time.Millisecond // after an accept failed, as when files run out
)

// Config is what an endpoint needs. Key, Peer and Handle must be set.
type Config struct {
	// Key is the station's TLS key, whose public half the peers have pinned.
	Key ed25519.PrivateKey
	// Peer names the holder of a key, or says that it is unknown. It is called
	// from many goroutines, during handshakes.
	Peer func(key ed25519.PublicKey) (name string, ok bool)
	// Handle is given each authenticated connection. Its argument is a *Conn.
	Handle bearer.Handler
	// Log is told of refusals and of failures to reach a peer; nil: nothing is
	// logged.
	Log *slog.Logger
	// Idle is the silence after which a peer is asked for a sign of life, and
	// the measure of all other patience; 0 means 5 s.
	Idle time.Duration
}

// Endpoint is one station's end of direct connections: it accepts and dials
// with one key.
type Endpoint struct {
	cfg      Config
	cert     tls.Certificate
	pool     *sync.Pool
	refusals quota

	mu   sync.Mutex
	live map[string]int // connections by peer
	gone chan struct{}  // closed and replaced when one ends
}

// New makes an endpoint. It opens nothing.
func New(cfg Config) (*Endpoint, error) {
	if cfg.Peer == nil || cfg.Handle == nil || len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("direct bearer: a key, a table of peers and a handler are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Idle <= 0 {
		cfg.Idle = idleAfter
	}
	cert, err := certificate(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("direct bearer: cannot make a certificate: %w", err)
	}
	return &Endpoint{
		cfg: cfg, cert: cert, pool: newPool(),
		live: make(map[string]int), gone: make(chan struct{}),
	}, nil
}

// certificate wraps the key in what TLS asks for. Nothing in it counts except
// the key, so it names nobody and does not expire.
func certificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// tlsConfig pins the peer: any that is known, or the one that is wanted.
func (e *Endpoint) tlsConfig(want string) *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{e.cert},
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768},
		NextProtos:             []string{alpn},
		SessionTicketsDisabled: true,
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // no authority is asked: VerifyConnection holds the peer to its pinned key
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := e.identify(cs, want)
			return err
		},
	}
}

// identify returns the peer that the handshake proved.
func (e *Endpoint) identify(cs tls.ConnectionState, want string) (bearer.Peer, error) {
	if cs.NegotiatedProtocol != alpn {
		return bearer.Peer{}, fmt.Errorf("the other side does not speak %s", alpn)
	}
	if len(cs.PeerCertificates) != 1 {
		return bearer.Peer{}, fmt.Errorf("the other side sent %d certificates, want exactly one", len(cs.PeerCertificates))
	}
	key, ok := cs.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return bearer.Peer{}, errors.New("the other side's key is not an Ed25519 key")
	}
	name, ok := e.cfg.Peer(key)
	if !ok {
		return bearer.Peer{}, fmt.Errorf("its key %x… is on no card known here; if its party has a new card, import it", key[:8])
	}
	if want != "" && name != want {
		return bearer.Peer{}, fmt.Errorf("%s answered where %s was called; check the address", name, want)
	}
	return bearer.Peer{Name: name, Key: key}, nil
}

// Serve accepts connections until ctx ends or the listener fails, then waits
// until every handler has returned. It closes the listener.
func (e *Endpoint) Serve(ctx context.Context, ln net.Listener) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer ln.Close()
	g := newGate(maxHandshakes)
	cfg := e.tlsConfig("")
	for {
		raw, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				raw.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("direct bearer: the listener on %s was closed", ln.Addr())
		case err != nil:
			e.cfg.Log.Error("cannot accept connections for the moment", "address", ln.Addr().String(), "error", err)
			if !sleep(ctx, acceptPause) {
				return nil
			}
			continue
		}
		all.Go(func() { e.admit(ctx, raw, cfg, g, &all) })
	}
}

// admit authenticates one incoming connection. The handler runs in a goroutine
// of its own, since the handshake has grown this one's stack.
func (e *Endpoint) admit(ctx context.Context, raw net.Conn, cfg *tls.Config, g *gate, all *sync.WaitGroup) {
	tune(raw)
	within, leave := g.enter(ctx)
	c, err := e.handshake(within, raw, tls.Server(raw, cfg), "")
	leave()
	if err != nil {
		raw.Close()
		if skipped, ok := e.refusals.take(time.Now()); ok && ctx.Err() == nil {
			e.cfg.Log.Warn("refused a connection", "from", raw.RemoteAddr().String(), "reason", err, "more_not_shown", skipped)
		}
		return
	}
	all.Go(func() { e.handle(ctx, c) })
}

// handshake authenticates the other side of a connection.
func (e *Endpoint) handshake(ctx context.Context, raw net.Conn, tc *tls.Conn, want string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("no handshake within %v", handshakeTimeout)
		}
		return nil, err
	}
	peer, err := e.identify(tc.ConnectionState(), want)
	if err != nil {
		return nil, err
	}
	return newConn(tc, raw, peer, want != "", e.cfg.Idle, e.pool), nil
}

// handle gives a connection to the caller and keeps count of it.
func (e *Endpoint) handle(ctx context.Context, c *Conn) {
	e.count(c.peer.Name, 1)
	defer e.count(c.peer.Name, -1)
	defer c.raw.Close()
	e.cfg.Handle(ctx, c)
}

func (e *Endpoint) count(peer string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live[peer] += n
	if e.live[peer] == 0 {
		delete(e.live, peer)
		close(e.gone)
		e.gone = make(chan struct{})
	}
}

// awaitAbsent returns true once no connection to the peer exists, or false
// when ctx ends first.
func (e *Endpoint) awaitAbsent(ctx context.Context, peer string) bool {
	for {
		e.mu.Lock()
		n, gone := e.live[peer], e.gone
		e.mu.Unlock()
		if n == 0 {
			return ctx.Err() == nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return false
		}
	}
}

// tune turns off the system's own probes: pings do that, and sooner. Small
// writes are sent at once, which is Go's default for TCP.
func tune(raw net.Conn) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetKeepAlive(false) // an optimisation; the connection works without
	}
}

// sleep waits, and returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
