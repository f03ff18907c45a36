package bench

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"herald/internal/bearer/linksim"
	"herald/internal/bench/world"
	"herald/internal/line"
	"herald/internal/session"
	"herald/internal/station"
)

// The two parties of a measure.
const (
	near = line.Party("US")
	far  = line.Party("CN")
)

// New lines may take so long to come up, and each so much more.
const (
	upWithin = 20 * time.Second
	upEach   = 100 * time.Millisecond
)

// pair is a station in this process and one in a second process, with lines
// between them, over loopback or a simulated link.
type pair struct {
	dir   string
	us    *world.Party
	cn    *world.Party
	st    *station.Station
	child *child
	sim   *linksim.Link
	lines []*session.Line
	bare  *bareLink // nil unless asked for

	stop   func()
	spared func() bool // the second process need not be killed any more
	wg     sync.WaitGroup
}

// pairing says what a pair is to be.
type pairing struct {
	name  string
	lines []int           // officers who release, for each line
	sim   *linksim.Config // nil: straight over loopback
	bare  bool            // also a bare bearer to the second process
}

// options returns what opens a station of this measure; its errors go to w.
func options(dir, listen string, peers map[line.Party][]string, w io.Writer) station.Options {
	return station.Options{
		Dir: dir, Listen: listen, Peers: peers,
		Passphrase: func(string) ([]byte, error) { return []byte(world.Passphrase), nil },
		Log:        slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelError})),
	}
}

// newPair makes the parties and starts both stations.
func (r *run) newPair(ctx context.Context, o pairing) (p *pair, err error) {
	whole := ctx
	ctx, stop := context.WithCancel(ctx)
	p = &pair{dir: filepath.Join(r.dir, o.name), stop: stop, spared: func() bool { return true }}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", o.name, errors.Join(err, p.close()))
		}
	}()
	parties, err := world.Parties(p.dir, 2, near, far)
	if err != nil {
		return p, err
	}
	p.us, p.cn = parties[0], parties[1]
	var ids []line.ID
	for i, releasers := range o.lines {
		note, err := world.Charter(world.Terms(fmt.Sprintf("%s line %d", o.name, i), releasers, parties...), parties...)
		if err != nil {
			return p, err
		}
		id, err := world.Constitute(note, parties...)
		if err != nil {
			return p, err
		}
		ids = append(ids, id)
	}
	if p.child, err = spawn(r.warnings()); err != nil {
		return p, err
	}
	p.spared = context.AfterFunc(whole, p.child.kill) // so that nobody waits for its answer in vain
	if err := p.connect(ctx, r, o); err != nil {
		return p, err
	}
	return p, p.findLines(ctx, ids)
}

func (p *pair) connect(ctx context.Context, r *run, o pairing) error {
	q := request{Do: "open", Dir: p.cn.Dir, Profile: r.profile(o.name + ".far.pprof")}
	var key ed25519.PrivateKey
	var theirs ed25519.PublicKey
	if o.bare {
		_, mine, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		pub, other, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		key, theirs = mine, pub
		q.Key, q.Peer = other.Seed(), mine.Public().(ed25519.PublicKey)
	}
	a, err := p.child.ask(q)
	if err != nil {
		return err
	}
	addr := a.Addr
	if o.sim != nil {
		if p.sim, err = linksim.Start("127.0.0.1:0", addr, *o.sim); err != nil {
			return err
		}
		addr = p.sim.Addr()
	}
	if p.st, err = station.Open(ctx, options(p.us.Dir, "", map[line.Party][]string{far: {addr}}, r.warnings())); err != nil {
		return err
	}
	p.wg.Go(func() { _ = p.st.Serve(ctx) })
	if o.bare {
		return p.dialBare(ctx, key, theirs, a.Echo)
	}
	return nil
}

func (p *pair) dialBare(ctx context.Context, key ed25519.PrivateKey, theirs ed25519.PublicKey, addr string) error {
	links := make(chan *bareLink, 1)
	e, err := bare(key, theirs, false, links)
	if err != nil {
		return err
	}
	p.wg.Go(func() { e.Dialer("peer", addr).Run(ctx) })
	select {
	case p.bare = <-links:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// findLines waits until each line is up and each side has cosigned the other's
// opening entries.
func (p *pair) findLines(ctx context.Context, ids []line.ID) error {
	ctx, cancel := context.WithTimeout(ctx, upWithin+time.Duration(len(ids))*upEach)
	defer cancel()
	for _, id := range ids {
		l, ok := p.st.Session(id)
		if !ok {
			return fmt.Errorf("line %s is gone", id.Short())
		}
		p.lines = append(p.lines, l)
		if err := untilView(ctx, l, opened); err != nil {
			return fmt.Errorf("line %s does not come up: %w", id.Short(), err)
		}
	}
	return nil
}

// opened reports whether each side holds the other's opening entries and has
// cosigned them.
func opened(v session.View) bool {
	done := len(v.Logs) > 1
	for _, g := range v.Logs {
		done = done && g.Size >= 2 && len(g.Cosigned) > 0 && g.Cosigned[0].Size >= 2
	}
	return done
}

// close ends both stations and removes their folders.
func (p *pair) close() error {
	p.stop()
	p.wg.Wait()
	var errs []error
	if p.st != nil {
		errs = append(errs, p.st.Close())
	}
	if p.sim != nil {
		errs = append(errs, p.sim.Close())
	}
	if p.child != nil {
		errs = append(errs, p.child.end())
		p.spared()
	}
	return errors.Join(append(errs, os.RemoveAll(p.dir))...)
}

// untilView waits until a line stands as wanted.
func untilView(ctx context.Context, l *session.Line, ok func(session.View) bool) error {
	for {
		_, changed := l.Changed()
		v, err := l.View(ctx)
		if err != nil || ok(v) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
