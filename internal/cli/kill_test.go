package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/line"
)

// fromEnv reads a number from the environment.
func fromEnv(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q: want a number", name, text)
	}
	return n
}

// storm is two stations that are killed, and the people who go on writing.
type storm struct {
	*testing.T
	seed uint64

	mu    sync.Mutex
	sent  map[line.Party]map[string]bool // texts that were accepted
	files map[string][]byte              // attachments by name
	open  map[line.Party][]note          // of which nobody knows whether they were accepted
}

// TestKill kills two stations with SIGKILL at random instants, one or both,
// and starts them again, while people on both sides write and read. In the
// end every message that was accepted is on both records exactly once, both
// records are the same, no step of a ladder that was shown is gone, and both
// pass an audit.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	kills := int(fromEnv(t, "HERALD_KILLS", 10))
	st := &storm{T: t, seed: uint64(fromEnv(t, "HERALD_SEED", time.Now().UnixNano()>>10)),
		sent: map[line.Party]map[string]bool{"US": {}, "CN": {}}, files: map[string][]byte{}}
	t.Logf("%d kills, HERALD_SEED=%d", kills, st.seed)
	us, cn := constitute(t)
	us.start()
	cn.start()
	us.station()
	cn.station()

	ctx, stop := context.WithCancel(t.Context())
	var people sync.WaitGroup
	for i, s := range []*side{us, cn} {
		for w := range 2 {
			people.Go(func() { st.write(ctx, s, rand.New(rand.NewPCG(st.seed, uint64(10*i+w)))) })
		}
		people.Go(func() { st.watch(ctx, s, rand.New(rand.NewPCG(st.seed, uint64(10*i+5)))) })
	}
	rng := rand.New(rand.NewPCG(st.seed, 99))
	for n := 0; n < kills && !t.Failed(); {
		wait := 60 + rng.IntN(500)
		if rng.IntN(4) == 0 {
			wait = rng.IntN(60) // while it starts
		}
		pause(ctx, time.Duration(wait)*time.Millisecond)
		victims := [][]*side{{us}, {cn}, {us, cn}}[rng.IntN(3)]
		for _, s := range victims {
			if err := s.end(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			n++
		}
		pause(ctx, time.Duration(rng.IntN(150))*time.Millisecond)
		for _, s := range victims {
			s.start()
		}
	}
	pause(ctx, 500*time.Millisecond) // so that something is written after the last one
	stop()
	people.Wait()

	level(us, cn)
	st.attachments(us, cn)
	level(us, cn) // that an attachment came is an entry too
	once(us, cn, st.sent)
	if n := len(st.sent["US"]) + len(st.sent["CN"]); n < 2*kills {
		t.Errorf("only %d messages were accepted during %d kills: that tells little", n, kills)
	} else {
		t.Logf("%d messages, %d of them with an attachment", n, len(st.files))
	}
	audits(us, cn)
}

// gone reports whether an error only says that the station was killed.
func gone(err error) bool {
	var said *control.Error
	return err != nil && !errors.As(err, &said)
}

// write sends message after message. Each is tried under its token until the
// station has said that it is accepted.
func (st *storm) write(ctx context.Context, s *side, rng *rand.Rand) {
	name := fmt.Sprintf("%s-%08x", s.code, rng.Uint32())
	for i := 0; ctx.Err() == nil && !st.Failed(); i++ {
		m := note{token: fmt.Sprintf("%s-%d", name, i), prec: lower(line.Precedence(rng.IntN(4)))}
		m.text = m.token + strings.Repeat(" ship", rng.IntN(20))
		if rng.IntN(8) == 0 {
			m.file = make([]byte, 1+rng.IntN(200_000))
			for j := range m.file {
				m.file[j] = byte(rng.Uint32())
			}
			st.mu.Lock()
			st.files[m.token] = m.file
			st.mu.Unlock()
		}
		if !st.insist(s, m) {
			return
		}
		pause(ctx, time.Duration(rng.IntN(100))*time.Millisecond)
	}
}

// insist tries until the message is accepted, also when everybody else has
// stopped: it may be on the record already.
func (st *storm) insist(s *side, m note) bool {
	var err error
	for end := time.Now().Add(2 * patience); time.Now().Before(end); pause(st.Context(), 10*time.Millisecond) {
		var c *control.Client
		if c, err = control.Dial(config.Folder(s.dir).Socket()); err != nil {
			continue
		}
		var out control.Released
		out, err = s.send(st.Context(), c, m)
		c.Close()
		switch {
		case err == nil && out.Accepted:
			st.mu.Lock()
			defer st.mu.Unlock()
			st.sent[s.code][m.text] = true
			return true
		case !gone(err):
			st.Errorf("%s: sending %s: %v, %+v", s.code, m.token, err, out)
			return false
		}
	}
	st.Errorf("%s: %s was never accepted: %v; the station said\n%s", s.code, m.token, err, s.said())
	return false
}

// watch looks at the record again and again, and reads what the other side
// sent. What was shown once must be shown ever after.
func (st *storm) watch(ctx context.Context, s *side, rng *rand.Rand) {
	shown := memory{}
	base := "" // where all before is settled and was seen long ago
	for rounds := 0; ctx.Err() == nil && !st.Failed(); rounds++ {
		pause(ctx, time.Duration(20+rng.IntN(60))*time.Millisecond)
		c, err := control.Dial(config.Folder(s.dir).Socket())
		if err != nil {
			continue
		}
		items, next, err := st.look(ctx, s, c, base)
		if err == nil {
			st.compare(s, shown, items)
			base = next
			err = st.read(ctx, s, c, items, rng)
		}
		c.Close()
		if err != nil && !gone(err) && ctx.Err() == nil {
			st.Errorf("%s: %v", s.code, err)
		}
	}
	all := s.record(s.station()) // from the beginning, once
	st.compare(s, shown, all)
	seen, steps := map[string]bool{}, 0
	for _, it := range all {
		seen[place{it.Log, it.Seq}.String()] = true
		steps += len(it.Ladder)
	}
	if steps == 0 {
		st.Errorf("%s: no ladder has a step, so nothing was watched", s.code)
	}
	for at := range shown {
		if !seen[at] {
			st.Errorf("%s: %s was shown, and is not on the record", s.code, at)
		}
	}
}

func (p place) String() string { return fmt.Sprintf("%s#%d", p.log, p.seq) }

// memory is what was shown of each entry: its hash and the steps on its
// ladder.
type memory map[string]map[string]bool

// look reads the record from a cursor, and returns one from which to look the
// next time: behind it stand 1,000 entries at most.
func (st *storm) look(ctx context.Context, s *side, c control.Service, from string) (items []control.Item, next string, err error) {
	next = from
	for after := from; ; {
		page, err := c.Record(ctx, control.RecordRequest{LineID: s.line.String(), After: after})
		if err != nil {
			return nil, from, err
		}
		if len(page.Items) == 0 {
			return items, next, nil
		}
		if len(items) >= 500 && items[len(items)-1].Settled && len(page.Items) == 500 {
			next = after
		}
		items = append(items, page.Items...)
		after = page.Next
	}
}

// compare checks what is shown against what was shown, and notes it.
func (st *storm) compare(s *side, shown memory, items []control.Item) {
	for _, it := range items {
		at := place{it.Log, it.Seq}.String()
		now := map[string]bool{"leaf " + it.Leaf: true}
		for _, r := range it.Ladder {
			now[string(r.Party)+" "+r.Step] = true
		}
		for step := range shown[at] {
			if !now[step] {
				st.Errorf("%s: %s had %q once, and now has only %q", s.code, at, step, slices.Sorted(maps.Keys(now)))
			}
		}
		shown[at] = now
	}
}

// read opens one of the other side's messages that nobody has opened.
func (st *storm) read(ctx context.Context, s *side, c control.Service, items []control.Item, rng *rand.Rand) error {
	var unread []control.Item
	for _, it := range items {
		if it.Unopened && it.Kind == "message" {
			unread = append(unread, it)
		}
	}
	if len(unread) == 0 {
		return nil
	}
	it := unread[rng.IntN(len(unread))]
	_, err := c.Read(ctx, control.ReadRequest{LineID: s.line.String(), Entry: it.Entry, Officer: s.watch.Code()})
	return err
}

// attachments waits until every attachment is whole on both sides.
func (st *storm) attachments(us, cn *side) {
	for _, s := range []*side{us, cn} {
		c := s.station()
		s.until("every attachment is whole", func() bool {
			have := 0
			for _, it := range s.record(c) {
				for _, b := range it.Blobs {
					if b.Held == b.Length {
						have++
					}
				}
			}
			return have >= len(st.files)
		})
		for _, it := range s.record(c) {
			for _, b := range it.Blobs {
				got, err := s.blobOf(c, b.Root)
				if err != nil || !bytes.Equal(got, st.files[b.Name]) {
					st.Errorf("%s: attachment %s is not what was sent: %d bytes, %v", s.code, b.Name, len(got), err)
				}
			}
		}
	}
}
