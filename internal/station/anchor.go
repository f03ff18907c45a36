package station

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"herald/internal/durable"
	"herald/internal/line"
	"herald/internal/tlog"
)

// anchor writes own heads to the anchor file, behind the lines' backs: a
// line's commit does not wait for it. Of several moves of one log only the
// last is written, so under load one sync serves many. It implements
// session.Anchor.
type anchor struct {
	path string
	log  *slog.Logger
	lost bool                        // the file was missing or damaged at the start
	last map[line.LogID]durable.Head // what it said at the start

	mu    sync.Mutex
	file  *durable.Anchor
	moved map[line.LogID]durable.Head
	wake  chan struct{}
	done  chan struct{}
}

// anchorTrails is how long a moved head may wait for the anchor. The write is
// then behind the message's way to the peer and back, not beside it on the
// same disk, and under load one serves many. A backup that is restored is
// older than this.
const anchorTrails = 20 * time.Millisecond

// openAnchor reads the anchor. Where it is missing or damaged, the lines
// decide what that means; a new one is begun with the next move of a head.
func openAnchor(path string, log *slog.Logger) (*anchor, error) {
	a := &anchor{path: path, log: log, last: map[line.LogID]durable.Head{}, moved: map[line.LogID]durable.Head{},
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	f, err := durable.OpenAnchor(path)
	switch {
	case err == nil:
		a.file = f
		for _, h := range f.Heads() {
			a.last[h.ID] = h
		}
	case errors.Is(err, durable.ErrNoAnchor), errors.Is(err, durable.ErrAnchorDamaged):
		a.lost = true
		if errors.Is(err, durable.ErrAnchorDamaged) {
			log.Error("the anchor file is damaged; it is kept aside", "file", path+".damaged", "error", err)
			if err := os.Rename(path, path+".damaged"); err != nil {
				return nil, err
			}
		}
		if a.file, err = durable.CreateAnchor(path); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	go a.run()
	return a, nil
}

// Last returns what the anchor said at the start.
func (a *anchor) Last(id line.LogID) (head tlog.Head, known, lost bool) {
	h, ok := a.last[id]
	return tlog.Head{Size: h.Size, Root: h.Root}, ok, a.lost
}

// Moved notes a head that was made durable in the store.
func (a *anchor) Moved(id line.LogID, size uint64, root line.Hash) {
	a.mu.Lock()
	a.moved[id] = durable.Head{ID: id, Size: size, Root: root}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *anchor) run() {
	defer close(a.done)
	for range a.wake {
		time.Sleep(anchorTrails)
		a.write()
	}
}

func (a *anchor) write() {
	a.mu.Lock()
	heads := make([]durable.Head, 0, len(a.moved))
	for _, h := range a.moved {
		heads = append(heads, h)
	}
	clear(a.moved)
	a.mu.Unlock()
	if len(heads) == 0 {
		return
	}
	if err := a.file.SetMany(heads); err != nil {
		a.log.Error("the anchor could not be written: if the database is restored from a backup now, the station will not notice", "error", err)
	}
}

// close writes what is left and closes the file.
func (a *anchor) close() error {
	close(a.wake)
	<-a.done
	a.write()
	return a.file.Close()
}
