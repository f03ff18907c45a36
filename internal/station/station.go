// Package station builds a party's running node from its folder and ends it
// again: keys, cards, store, anchor, lines, bearers. It is the one place that
// knows every service, and it does for its own people what control.Service
// asks for.
package station

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"time"

	"herald/internal/charter"
	"herald/internal/config"
	"herald/internal/durable"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/session"
	"herald/internal/store/folder"
	"herald/internal/store/sqlite"
)

// Options say what to build.
type Options struct {
	Dir        string
	Passphrase func(what string) ([]byte, error) // asked once, for the station key
	Listen     string                            // address to take peers on; "" for none
	Listening  func(net.Addr)                    // told where, once peers are taken; nil if nobody asks
	Peers      map[line.Party][]string           // addresses to dial
	Alert      []string                          // command that calls the watch; empty for no alarm channel
	Log        *slog.Logger
	Now        func() time.Time // nil for the system's clock
}

// Station is a party's node.
type Station struct {
	o      Options
	folder config.Folder
	lock   *durable.Lock
	db     *sqlite.DB
	cards  *directory
	anchor *anchor
	room   *room
	keys   *keys.Station
	own    session.Own
	stop   context.CancelFunc
	run    context.Context
	wg     sync.WaitGroup

	mu      sync.Mutex
	lines   map[line.ID]*session.Line
	conns   map[*session.Conn]*carried
	serving bool
	dials   map[line.Party]string // last error of dialling a party
}

// Open takes the folder and reads its lines. Nothing is listened to or dialled
// until Serve.
func Open(ctx context.Context, o Options) (*Station, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Station{o: o, folder: config.Folder(o.Dir), lines: map[line.ID]*session.Line{}, conns: map[*session.Conn]*carried{}, dials: map[line.Party]string{}}
	s.room = &room{dir: o.Dir, now: o.Now}
	s.run, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Station) open(ctx context.Context) (err error) {
	if err := s.folder.Check(); err != nil {
		return err
	}
	if s.lock, err = durable.LockDir(s.o.Dir); err != nil {
		return err
	}
	if s.cards, err = openDirectory(s.folder); err != nil {
		return err
	}
	if err := s.unlock(); err != nil {
		return err
	}
	if s.db, err = sqlite.Open(s.o.Dir); err != nil {
		return err
	}
	if note := s.db.Report().Note; note != "" {
		s.o.Log.Warn(note)
	}
	if s.anchor, err = openAnchor(s.folder.Anchor(), s.o.Log); err != nil {
		return err
	}
	s.cards.taken = s.cardTaken
	charters, err := folder.Charters(s.folder)
	if err != nil {
		return err
	}
	for _, ch := range charters {
		if _, err := s.addLine(ctx, ch); err != nil {
			return err
		}
	}
	return nil
}

// unlock opens the station's keys and checks them against the own card.
func (s *Station) unlock() error {
	file, err := config.ReadFile(s.folder.StationKey(), keys.MaxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("station key: %w: bring back its backup copy, or open a new generation with herald generation open", err)
	}
	if err != nil {
		return fmt.Errorf("station key: %w", err)
	}
	pass, err := s.o.Passphrase("station key")
	if err != nil {
		return err
	}
	k, err := keys.DecryptStation(file, string(pass))
	clear(pass)
	if err != nil {
		return fmt.Errorf("station key: %w", err)
	}
	card, _ := s.cards.Card(s.cards.self)
	gen, ok := card.Generation(k.Gen)
	if !ok || !gen.Log.Equal(k.Log.Public()) {
		return fmt.Errorf("the station key is of generation %d, which the party's card (version %d) does not certify with this key: use the card that belongs to it", k.Gen, card.Version)
	}
	if cur, _ := card.Current(); cur.Gen != k.Gen {
		return fmt.Errorf("the station key is of generation %d, but the party's card has opened generation %d: the old key never signs again; put the new station key into the folder", k.Gen, cur.Gen)
	}
	receive, err := seal.ReceiveKeyFromSeed(k.Receive[:])
	if err != nil {
		return err
	}
	s.keys = k
	s.own = session.Own{Gen: k.Gen, Log: k.Log, Delivery: k.Delivery, Receive: receive, Working: k.Archive}
	if pub, err := config.ReadFile(s.folder.ArchivePublic(), seal.PublicKeySize); err == nil {
		if err := seal.CheckPublic(pub); err != nil {
			return fmt.Errorf("offline archive key %s: %w", s.folder.ArchivePublic(), err)
		}
		s.own.Offline = pub
	}
	return nil
}

// addLine opens the line of a charter that all members have signed.
func (s *Station) addLine(ctx context.Context, ch *charter.Charter) (*session.Line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.lines[ch.Line()]; ok {
		return l, nil
	}
	l, err := session.Open(ctx, session.Config{
		Line:    record.Line{ID: ch.Line(), Members: ch.Parties(), Self: ch.Index(s.cards.self)},
		Charter: ch, Own: s.own, Cards: s.cards, Store: s.db, Blobs: s.db.Blobs(), Anchor: s.anchor,
		Now: s.o.Now, Rand: rand.Reader, Log: s.o.Log, Alert: s.alerter(), Room: s.room.enough,
	})
	if err != nil {
		return nil, err
	}
	s.lines[ch.Line()] = l
	s.wg.Go(func() { l.Run(s.run) })
	for c := range s.conns {
		if ch.Index(c.Party()) >= 0 {
			c.AddLine(l)
		}
	}
	return l, nil
}

func (s *Station) cardTaken(p line.Party) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		for _, m := range l.Members().Members {
			if m == p {
				l.CardTaken(p)
			}
		}
	}
}

func (s *Station) find(id line.ID) (*session.Line, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.lines[id]
	return l, ok
}

// shared lists the lines that a party is a member of.
func (s *Station) shared(p line.Party) []*session.Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*session.Line
	for _, l := range s.lines {
		if l.Charter().Index(p) >= 0 {
			out = append(out, l)
		}
	}
	return out
}

// Close stops the lines and gives the folder up. What was accepted is durable
// already.
func (s *Station) Close() error {
	s.stop()
	s.wg.Wait()
	var errs []error
	if s.anchor != nil {
		errs = append(errs, s.anchor.close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
