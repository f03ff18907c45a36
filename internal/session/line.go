// Package session keeps one line in step between stations: it takes what this
// station's people release and what peers send, makes it durable, and tells
// each peer what it lacks, most urgent first. The same code serves every
// bearer (spec 08).
//
// Each line is a loop of turns. A turn takes every event that waits, computes
// what changes, commits all of it at once, and only then lets anything be
// seen: by a client, a peer or a screen. After a failed commit nothing in
// memory is believed; the line is read again from its store.
package session

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"herald/internal/charter"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// Own is what this party's station signs and opens with, on every line.
type Own struct {
	Gen      line.Generation
	Log      ed25519.PrivateKey
	Delivery ed25519.PrivateKey
	Receive  seal.ReceiveKey // the card's, index 0
	Working  [32]byte        // wraps what is at rest
	Offline  []byte          // the party's offline archive key; empty without one
}

// Directory is the cards that this station holds.
type Directory interface {
	// LogKey and DeliveryKey give the keys of a party's generation.
	LogKey(line.Party, line.Generation) (ed25519.PublicKey, bool)
	DeliveryKey(line.Party, line.Generation) (ed25519.PublicKey, bool)
	// ReceiveKey gives the receive key on a party's newest card.
	ReceiveKey(line.Party) ([]byte, bool)
	// Card gives a party's newest card.
	Card(line.Party) (*keys.Card, bool)
	// CardByHash gives the note of a card held, by the hash of its text.
	CardByHash([32]byte) (note []byte, card *keys.Card, ok bool)
	// Take keeps a newer card of a known party, verified under its root.
	Take(ctx context.Context, note []byte) error
}

// Anchor keeps the own logs' heads outside the store. Moved returns at once;
// the anchor may trail the store but never leads it.
type Anchor interface {
	Moved(id line.LogID, size uint64, root line.Hash)
	// Last returns what the anchor said when the station started: the head,
	// whether it knows the log, and whether the anchor itself was lost.
	Last(id line.LogID) (head tlog.Head, known, lost bool)
}

// Blobs keeps attachments' chunks durably.
type Blobs interface {
	Want(ctx context.Context, root line.Hash, length uint64) error
	Missing(ctx context.Context, root line.Hash, from uint64, most int) ([]uint64, error)
	Chunk(ctx context.Context, root line.Hash, index uint64) ([]byte, bool, error)
	PutChunk(ctx context.Context, root line.Hash, index uint64, data []byte) error
	// Sync makes the chunks put so far durable.
	Sync(ctx context.Context, root line.Hash) error
}

// Config is what a line is made of.
type Config struct {
	Line    record.Line
	Charter *charter.Charter
	Own     Own
	Cards   Directory
	Store   Store
	Blobs   Blobs
	Anchor  Anchor
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
	// Room reports whether the disk has space for others' entries that are not
	// urgent; nil for always.
	Room func() bool
	// Alert is told of urgent messages for this party, once they are durable.
	// Nil where there is no alarm channel. It must not block.
	Alert func(*Line, Arrival)
}

// Line is one line at this station.
type Line struct {
	cfg Config

	mu    sync.Mutex
	inbox []func(*turn)
	still chan struct{} // closed while the line stands still, else replaced
	wake  chan struct{}

	// Owned by the loop.
	st    *record.State
	v     *vault
	queue []record.Queued
	next  struct {
		number, queueID uint64
		card            uint32 // version of the own card that is on the record
	}
	peers     map[*Peer]struct{}
	held      string // why nothing is signed; "" when all is well
	need      uint64 // own entries that must be held before signing again
	moved     bool   // another process has written: no peer can lift this
	named     namedCards
	doubt     doubt
	doubted   line.Parties // whose claim on the own log was waited for
	meta      map[string][]byte
	turns     turnState
	lateAt    time.Time // when a log was last read back for a late head
	retained  int64     // day on which the archive's age was last looked at
	lastWords time.Time // when an entry last came or went

	version atomic.Uint64
	changed chan struct{} // closed and replaced at each change
	chMu    sync.Mutex
	due     atomic.Int64 // Unix seconds at which a tick is worth while
	closed  chan struct{}
	foreign chan struct{}  // one for each event of a peer that waits
	jobs    sync.WaitGroup // attachments being checked beside the loop
}

// turnState is what outlives a turn but not a reload.
type turnState struct {
	gossip   bool                            // foreign entries came: tell the peers soon
	pulling  map[line.Hash]*pull             // attachments being fetched
	received map[int]*quota                  // bytes taken per party today
	pending  map[line.Pos]struct{}           // entries held but not opened
	unsure   map[line.Pos]struct{}           // entries whose defect may be for want of a card
	sameTime map[int]map[string]record.Token // by party: releases of its newest time
	resealed map[resealing]int               // reseals written
	skew     map[int]time.Duration           // of others' clocks, by their newest cosignature
}

// Arrival is an urgent message of another party that this party owes steps.
type Arrival struct {
	Pos        line.Pos
	Leaf       line.Hash
	Kind       wire.Kind
	Precedence line.Precedence
	Marking    line.Marking
	Number     uint64
}

// maxTurn bounds the events of one turn, and so its memory and its latency.
const maxTurn = 32

// Open reads a line from its store. Run must be called for it to live.
func Open(ctx context.Context, cfg Config) (*Line, error) {
	l := &Line{
		cfg: cfg, wake: make(chan struct{}, 1), peers: map[*Peer]struct{}{},
		still: make(chan struct{}), changed: make(chan struct{}), closed: make(chan struct{}), foreign: make(chan struct{}, maxForeign),
	}
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	l.dueAt(cfg.Now())
	return l, l.holdAtStart(ctx)
}

// ID names the line.
func (l *Line) ID() line.ID { return l.cfg.Line.ID }

// Charter returns the line's charter.
func (l *Line) Charter() *charter.Charter { return l.cfg.Charter }

// Members returns the line's constant part.
func (l *Line) Members() record.Line { return l.cfg.Line }

// load builds the loop's state from the store and forgets what was there.
func (l *Line) load(ctx context.Context) error {
	snap, err := l.cfg.Store.Load(ctx, l.ID())
	if err != nil {
		return fmt.Errorf("line %s: %w", l.ID().Short(), err)
	}
	st, err := record.New(l.cfg.Line, snap, func(p line.Pos) (uint64, error) {
		e, ok, err := l.entry(ctx, p)
		if err != nil || !ok {
			return 0, errors.Join(err, errMissing(ok))
		}
		return e.Rank, nil
	})
	if err != nil {
		return fmt.Errorf("line %s: %w", l.ID().Short(), err)
	}
	v, err := newVault(&l.cfg, snap)
	if err != nil {
		return fmt.Errorf("line %s: %w", l.ID().Short(), err)
	}
	l.st, l.v, l.queue, l.meta = st, v, snap.Queue, snap.Meta
	if l.meta == nil {
		l.meta = map[string][]byte{}
	}
	l.next.number = metaUint(snap.Meta, "number") + 1
	l.next.queueID = metaUint(snap.Meta, "queue") + 1
	l.next.card = uint32(metaUint(snap.Meta, "card"))
	l.turns = turnState{
		pulling: map[line.Hash]*pull{}, received: map[int]*quota{},
		pending: map[line.Pos]struct{}{}, resealed: map[resealing]int{}, sameTime: map[int]map[string]record.Token{}, skew: map[int]time.Duration{},
	}
	for _, p := range snap.Pending {
		l.turns.pending[p] = struct{}{}
	}
	l.loadJudging()
	l.resumePulls(ctx, snap.Meta)
	l.resumeRinging()
	return nil
}

func errMissing(ok bool) error {
	if ok {
		return nil
	}
	return errors.New("an entry that was held is gone from the store")
}

// entry reads one held entry.
func (l *Line) entry(ctx context.Context, p line.Pos) (record.Entry, bool, error) {
	es, err := l.cfg.Store.Entries(ctx, l.ID(), p.Log, p.Seq, 1)
	if err != nil || len(es) == 0 || es[0].Pos != p {
		return record.Entry{}, false, err
	}
	return es[0], true, nil
}

// post hands an event to the loop.
func (l *Line) post(ev func(*turn)) {
	l.mu.Lock()
	l.inbox = append(l.inbox, ev)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// maxForeign bounds the events of peers that wait for a turn: past it a
// connection is read no further, so that a flood fills the sender's queues and
// not this station's memory.
const maxForeign = 1024

// accept hands in an event that a peer caused, once there is room for it.
func (l *Line) accept(p *Peer, ev func(*turn)) error {
	select {
	case l.foreign <- struct{}{}:
	case <-p.conn.ctx.Done():
		return p.conn.ctx.Err()
	case <-l.closed:
		return errors.New("the station is stopping")
	}
	l.post(func(t *turn) {
		<-l.foreign
		ev(t)
	})
	return nil
}

// Run turns the line until ctx ends.
func (l *Line) Run(ctx context.Context) {
	defer close(l.closed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for ctx.Err() == nil {
			evs := l.take()
			if len(evs) == 0 {
				break
			}
			l.turn(ctx, evs)
		}
	}
}

func (l *Line) take() []func(*turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.inbox), maxTurn)
	evs := l.inbox[:n:n]
	l.inbox = l.inbox[n:]
	if len(l.inbox) == 0 {
		l.inbox = nil
	}
	return evs
}

// errStill answers people while the store cannot be read: nobody should wait
// for a disk.
var errStill = errors.New("the station's store cannot be read, so the line stands still. What was accepted before is kept; of this it is not known. Check the disk and restart the station, then do it again: under its token it makes no second message")

// do runs f inside the loop, in a turn of its own making, and waits until
// what it changed is durable.
func (l *Line) do(ctx context.Context, f func(t *turn) error) error {
	done := make(chan error, 1)
	l.mu.Lock()
	still := l.still
	l.mu.Unlock()
	l.post(func(t *turn) {
		if err := f(t); err != nil {
			done <- err
			return
		}
		t.then(func(err error) { done <- err })
	})
	select {
	case err := <-done:
		return err
	case <-still:
		return errStill
	case <-l.closed:
		select {
		case err := <-done: // by the last turn
			return err
		default:
		}
		return errors.New("the station is stopping; what was not accepted was not kept")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Changed returns the line's version and a channel that closes at the next
// change.
func (l *Line) Changed() (uint64, <-chan struct{}) {
	l.chMu.Lock()
	defer l.chMu.Unlock()
	return l.version.Load(), l.changed
}

func (l *Line) announce() {
	l.chMu.Lock()
	defer l.chMu.Unlock()
	l.version.Add(1)
	close(l.changed)
	l.changed = make(chan struct{})
}

// lineKeys gives the line's logs their keys.
func (l *Line) LogKey(g line.Log) (ed25519.PublicKey, bool) {
	return l.cfg.Cards.LogKey(l.cfg.Line.Members[g.Party], g.Gen)
}

// DeliveryKey gives the key with which a party's generation cosigns.
func (l *Line) DeliveryKey(g line.Log) (ed25519.PublicKey, bool) {
	if g.Party >= len(l.cfg.Line.Members) {
		return nil, false
	}
	return l.cfg.Cards.DeliveryKey(l.cfg.Line.Members[g.Party], g.Gen)
}

// own names this station's log.
func (l *Line) own() line.Log { return line.Log{Party: l.cfg.Line.Self, Gen: l.cfg.Own.Gen} }
