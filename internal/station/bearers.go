package station

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"herald/internal/bearer"
	"herald/internal/bearer/direct"
	"herald/internal/line"
	"herald/internal/session"
)

// carried is a connection that is up.
type carried struct {
	name string
	conn bearer.Conn
}

// Serve listens and dials until ctx ends.
func (s *Station) Serve(ctx context.Context) error {
	end, err := direct.New(direct.Config{Key: s.keys.TLS, Peer: s.cards.byTLS, Handle: s.handle, Log: s.o.Log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	if s.o.Listen != "" {
		ln, err := net.Listen("tcp", s.o.Listen)
		if err != nil {
			return fmt.Errorf("cannot listen for the other parties on %s: %w: choose another address with --listen", s.o.Listen, err)
		}
		if s.o.Listening != nil {
			s.o.Listening(ln.Addr())
		}
		s.wg.Go(func() {
			if err := end.Serve(ctx, ln); err != nil {
				failed <- err
			}
		})
	}
	s.mu.Lock()
	s.serving = true
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.serving = false; s.mu.Unlock() }()
	for p, addrs := range s.o.Peers {
		d := end.Dialer(string(p), addrs...)
		s.wg.Go(func() { d.Run(ctx) })
		s.wg.Go(func() { s.watchDialler(ctx, p, d) })
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
			s.tick()
		}
	}
}

// tick gives every line the time.
func (s *Station) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	for _, l := range s.lines {
		l.Tick(now)
	}
}

// watchDialler keeps the reason why a party cannot be reached, for status.
func (s *Station) watchDialler(ctx context.Context, p line.Party, d *direct.Dialer) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		text := ""
		if err := d.Err(); err != nil {
			text = err.Error()
		}
		s.mu.Lock()
		s.dials[p] = text
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// handle runs one authenticated connection.
func (s *Station) handle(ctx context.Context, bc bearer.Conn) {
	party := line.Party(bc.Peer().Name)
	name := bc.State().Bearer
	c := session.Attach(ctx, name, party, s.shared(party), s.find)
	s.mu.Lock()
	s.conns[c] = &carried{name: name, conn: bc}
	s.mu.Unlock()
	s.o.Log.Info("a connection is up", "bearer", name, "party", string(party), "remote", bc.State().Remote)
	err := bc.Run(ctx, c)
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.Detach()
	if err != nil && !errors.Is(err, context.Canceled) {
		s.o.Log.Info("a connection ended", "bearer", name, "party", string(party), "reason", err)
	}
}
