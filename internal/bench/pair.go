package bench

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

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

	stop func()
	wg   sync.WaitGroup
}

// pairing says what a pair is to be.
type pairing struct {
	name  string
	lines []int           // officers who release, for each line
	sim   *linksim.Config // nil: straight over loopback
	bare  bool            // also a bare bearer to the second process
}

// newPair makes the parties and starts both stations.
func (r *run) newPair(ctx context.Context, o pairing) (p *pair, err error) {
	ctx, stop := context.WithCancel(ctx)
	p = &pair{dir: filepath.Join(r.dir, o.name), stop: stop}
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
	for i, releasers := range o.lines {
		note, err := world.Charter(world.Terms(fmt.Sprintf("%s line %d", o.name, i), releasers, parties...), parties...)
		if err != nil {
			return p, err
		}
		if _, err := world.Constitute(note, parties...); err != nil {
			return p, err
		}
	}
	if p.child, err = spawn(r.warnings()); err != nil {
		return p, err
	}
	return p, p.connect(ctx, r, o)
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
	if p.st, err = p.us.Open(ctx, "", map[line.Party][]string{far: {addr}}, r.warnings()); err != nil {
		return err
	}
	p.wg.Go(func() { _ = p.st.Serve(ctx) })
	if o.bare {
		if err := p.dialBare(ctx, key, theirs, a.Echo); err != nil {
			return err
		}
	}
	return p.findLines(ctx, o)
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

// findLines looks the lines up in the order in which they were asked for, and
// waits until each is up and has carried its opening entries.
func (p *pair) findLines(ctx context.Context, o pairing) error {
	st, err := p.st.Status(ctx)
	if err != nil {
		return err
	}
	for i := range o.lines {
		for _, x := range st.Lines {
			if x.Title != fmt.Sprintf("%s line %d", o.name, i) {
				continue
			}
			l, ok := p.st.Session(x.ID)
			if !ok {
				return fmt.Errorf("line %s is gone", x.Line)
			}
			p.lines = append(p.lines, l)
			if _, err := l.AwaitDelivered(ctx, 2); err != nil {
				return fmt.Errorf("the line does not come up: %w", err)
			}
		}
	}
	if len(p.lines) != len(o.lines) {
		return fmt.Errorf("%d of %d lines are there", len(p.lines), len(o.lines))
	}
	return nil
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
	}
	return errors.Join(append(errs, os.RemoveAll(p.dir))...)
}
