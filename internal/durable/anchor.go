package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"herald/internal/line"
)

// Why two pages per log. A write of one page may be torn by a power cut, and a
// device may then damage the whole page, though nothing beside it. So each log
// has a pair of pages of its own and writes go to them in turn: the page that
// holds the last durable head is never the one being written. A page counts
// only if the checksum over all of it, its place included, is right. Hence
// after a crash at any point of Set the anchor holds the former head or the
// new one, and a head is revealed only after Set returned.

// Errors of anchors. In each case the station must sign nothing until a peer
// or a witness has confirmed its heads (spec 04 §2).
var (
	ErrNoAnchor      = errors.New("there is no anchor file")
	ErrAnchorDamaged = errors.New("the anchor file is damaged")
	ErrAnchorRewind  = errors.New("the anchor already holds a later or a different head")
	ErrAnchorFull    = fmt.Errorf("the anchor file holds %d logs, its limit", MaxAnchorLogs)
)

// MaxAnchorLogs is how many logs one anchor can hold.
const MaxAnchorLogs = 4096

// Head is the last revealed head of one log.
type Head struct {
	ID   line.LogID
	Size uint64
	Root line.Hash
}

// Anchor is an open anchor file. Its methods may be called concurrently. The
// caller holds the folder's Lock: two processes must not open one anchor.
type Anchor struct {
	mu    sync.Mutex
	f     *os.File
	slots map[line.LogID]slot
	pairs int // pairs of pages in use
}

// CreateAnchor makes an empty anchor at path and opens it. It fails if there
// is a file already: an anchor is never silently replaced.
func CreateAnchor(path string) (*Anchor, error) {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			err = os.ErrExist
		}
		return nil, fmt.Errorf("create anchor %s: %w", path, err)
	}
	if err := WriteFile(path, header(), 0o600); err != nil {
		return nil, err
	}
	return OpenAnchor(path)
}

// OpenAnchor opens the anchor at path. The error wraps ErrNoAnchor if there is
// no such file and ErrAnchorDamaged if the file says nothing reliable.
func OpenAnchor(path string) (*Anchor, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoAnchor)
	}
	if err != nil {
		return nil, fmt.Errorf("open anchor: %w", err)
	}
	const limit = (1 + 2*MaxAnchorLogs) * pageSize
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%w: it is longer than %d bytes", ErrAnchorDamaged, limit)
	}
	var slots map[line.LogID]slot
	if err == nil {
		slots, err = parseAnchor(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, f.Close()))
	}
	return &Anchor{f: f, slots: slots, pairs: pairsIn(len(b))}, nil
}

// Get returns the head last set for a log.
func (a *Anchor) Get(id line.LogID) (Head, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.slots[id]
	return s.head, ok
}

// Heads returns every head held, in no order.
func (a *Anchor) Heads() []Head {
	a.mu.Lock()
	defer a.mu.Unlock()
	heads := make([]Head, 0, len(a.slots))
	for _, s := range a.slots {
		heads = append(heads, s.head)
	}
	return heads
}

// Set makes one log's head durable: one page written, one sync. After an error
// the former head stands and Set may be tried again.
func (a *Anchor) Set(id line.LogID, size uint64, root line.Hash) error {
	return a.SetMany([]Head{{id, size, root}})
}

// SetMany makes several heads durable with one sync. A head equal to the one
// held costs nothing; a smaller one, or another root at the same size, is
// refused with ErrAnchorRewind and then nothing of heads is written. No log
// may occur twice in heads.
func (a *Anchor) SetMany(heads []Head) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, err := a.plan(heads)
	if err != nil || len(next) == 0 {
		return err
	}
	for _, s := range next {
		if _, err := a.f.WriteAt(s.page(), int64(s.index)*pageSize); err != nil {
			return fmt.Errorf("write anchor: the head must not be revealed: %w", err)
		}
	}
	if err := datasync(a.f); err != nil {
		return fmt.Errorf("write anchor: the head must not be revealed: %w", err)
	}
	for _, s := range next {
		a.slots[s.head.ID] = s
		a.pairs = max(a.pairs, pairOf(s.index)+1)
	}
	return nil
}

// plan decides which page each changed head goes to.
func (a *Anchor) plan(heads []Head) ([]slot, error) {
	var next []slot
	pairs := a.pairs
	seen := make(map[line.LogID]bool, len(heads))
	for _, h := range heads {
		if seen[h.ID] {
			return nil, fmt.Errorf("set anchor: log %s occurs twice", h.ID)
		}
		seen[h.ID] = true
		old, ok := a.slots[h.ID]
		switch {
		case !ok && pairs == MaxAnchorLogs:
			return nil, ErrAnchorFull
		case !ok:
			next = append(next, slot{index: 1 + 2*pairs, count: 1, head: h})
			pairs++
		case old.head == h:
		case h.Size <= old.head.Size:
			return nil, fmt.Errorf("log %s, size %d after %d: %w", h.ID, h.Size, old.head.Size, ErrAnchorRewind)
		default:
			next = append(next, slot{index: old.other(), count: old.count + 1, head: h})
		}
	}
	return next, nil
}

// Close closes the file. Everything set is already durable.
func (a *Anchor) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.f.Close()
}

// allZero reports whether a page was never written.
func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
