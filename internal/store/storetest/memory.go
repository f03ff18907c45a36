package storetest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
)

// Memory is session.Store in maps: the meaning of every method in the plainest
// words. It keeps nothing beyond the process, and shares the bytes of what it
// was given.
type Memory struct {
	mu    sync.Mutex
	lines map[line.ID]*memoryLine
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{lines: map[line.ID]*memoryLine{}} }

type headKey struct {
	log  line.Log
	size uint64
	root line.Hash
}

type cosigKey struct {
	log, signer line.Log
	size        uint64
}

type receiptKey struct {
	target line.Pos
	party  int
	step   record.Step
}

type keyKey struct {
	log   line.Log
	index uint32
}

type memoryLine struct {
	entries  map[line.Pos]record.Entry
	bodies   map[line.Pos]record.Body
	logs     map[line.Log]record.Log
	heads    map[headKey]record.Head
	cosigs   map[cosigKey]record.Cosig
	receipts map[receiptKey]record.Receipt
	epochs   map[line.Pos]record.Epoch
	keys     map[keyKey]record.ReceiveKey
	segments map[uint64]record.Segment
	queue    []record.Queued
	tokens   map[string]record.Token
	meta     map[string][]byte
}

func newMemoryLine() *memoryLine {
	return &memoryLine{
		entries: map[line.Pos]record.Entry{}, bodies: map[line.Pos]record.Body{}, logs: map[line.Log]record.Log{},
		heads: map[headKey]record.Head{}, cosigs: map[cosigKey]record.Cosig{}, receipts: map[receiptKey]record.Receipt{},
		epochs: map[line.Pos]record.Epoch{}, keys: map[keyKey]record.ReceiveKey{}, segments: map[uint64]record.Segment{},
		tokens: map[string]record.Token{}, meta: map[string][]byte{},
	}
}

// view returns a line's rows, empty ones for a line that is not known.
func (m *Memory) view(l line.ID) *memoryLine {
	if ml, ok := m.lines[l]; ok {
		return ml
	}
	return newMemoryLine()
}

// Commit implements session.Store.
func (m *Memory) Commit(ctx context.Context, b *record.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil || b.Empty() {
		return err
	}
	ml := m.view(b.Line)
	if mv := b.Move; mv != nil {
		if ml.logs[mv.Log].Size != mv.From {
			return session.ErrHeadMoved
		}
		if !slices.ContainsFunc(b.Logs, func(l record.Log) bool { return l.Log == mv.Log && l.Size == mv.To }) {
			return errors.New("a batch that moves a head must carry the log's row of the new size")
		}
	}
	ml.apply(b)
	m.lines[b.Line] = ml
	return nil
}

func (ml *memoryLine) apply(b *record.Batch) {
	insert(ml.entries, b.Entries, func(e record.Entry) line.Pos { return e.Pos })
	for _, r := range b.Ranks {
		if e, ok := ml.entries[r.Pos]; ok {
			e.Rank = r.Rank
			ml.entries[r.Pos] = e
		}
	}
	replace(ml.bodies, b.Bodies, func(x record.Body) line.Pos { return x.Pos })
	replace(ml.logs, b.Logs, func(l record.Log) line.Log { return l.Log })
	insert(ml.heads, b.Heads, func(h record.Head) headKey { return headKey{h.Log, h.Size, h.Root} })
	insert(ml.cosigs, b.Cosigs, func(c record.Cosig) cosigKey { return cosigKey{c.Log, c.Signer, c.Size} })
	for _, r := range b.Receipts {
		k := receiptKey{r.Target, r.Party, r.Step}
		if old, ok := ml.receipts[k]; !ok || r.Good && !old.Good {
			ml.receipts[k] = r
		}
	}
	replace(ml.epochs, b.Epochs, func(e record.Epoch) line.Pos { return line.Pos{Log: e.Log, Seq: e.Base} })
	replace(ml.keys, b.Keys, func(k record.ReceiveKey) keyKey { return keyKey{k.Log, k.Index} })
	replace(ml.segments, b.Segments, func(s record.Segment) uint64 { return s.ID })
	for _, q := range b.Queue {
		if !slices.ContainsFunc(ml.queue, func(o record.Queued) bool { return o.ID == q.ID }) {
			ml.queue = append(ml.queue, q)
		}
	}
	ml.queue = slices.DeleteFunc(ml.queue, func(q record.Queued) bool { return slices.Contains(b.Unqueue, q.ID) })
	replace(ml.tokens, b.Tokens, func(t record.Token) string { return t.Token })
	for name, v := range b.Meta {
		if v == nil {
			delete(ml.meta, name)
		} else {
			ml.meta[name] = v
		}
	}
}

// insert adds the rows whose keys are new.
func insert[K comparable, V any](m map[K]V, rows []V, key func(V) K) {
	for _, r := range rows {
		if _, ok := m[key(r)]; !ok {
			m[key(r)] = r
		}
	}
}

// replace adds the rows in place of those with their keys.
func replace[K comparable, V any](m map[K]V, rows []V, key func(V) K) {
	for _, r := range rows {
		m[key(r)] = r
	}
}

// Load implements session.Store.
func (m *Memory) Load(ctx context.Context, l line.ID) (record.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ml := m.view(l)
	snap := record.Snapshot{
		Logs:  slices.Collect(maps.Values(ml.logs)),
		Queue: slices.Clone(ml.queue),
		Meta:  maps.Clone(ml.meta),
	}
	for p, e := range ml.entries {
		switch size := ml.logs[p.Log].Size; {
		case p.Seq >= size:
			snap.Ahead = append(snap.Ahead, e)
		case e.Rank == 0:
			snap.Waiting = append(snap.Waiting, e)
		}
	}
	for p, b := range ml.bodies {
		if b.Pending {
			snap.Pending = append(snap.Pending, p)
		}
	}
	snap.Heads = ml.greatestHeads()
	snap.Cosigs = ml.greatestCosigs()
	for _, e := range ml.epochs {
		if len(e.Secret) > 0 {
			snap.Epochs = append(snap.Epochs, e)
		}
	}
	for _, k := range ml.keys {
		if len(k.Seed) > 0 {
			snap.Keys = append(snap.Keys, k)
		}
	}
	slices.SortFunc(snap.Keys, func(a, b record.ReceiveKey) int {
		return cmp.Or(a.Log.Compare(b.Log), cmp.Compare(a.Index, b.Index))
	})
	if len(ml.segments) > 0 {
		newest := slices.Max(slices.Collect(maps.Keys(ml.segments)))
		snap.Segments = []record.Segment{ml.segments[newest]}
	}
	slices.SortStableFunc(snap.Queue, func(a, b record.Queued) int { return cmp.Compare(b.Precedence, a.Precedence) })
	slices.SortFunc(snap.Waiting, func(a, b record.Entry) int { return a.Pos.Compare(b.Pos) })
	slices.SortFunc(snap.Ahead, func(a, b record.Entry) int { return a.Pos.Compare(b.Pos) })
	return snap, ctx.Err()
}

func (ml *memoryLine) greatestHeads() []record.Head {
	best := map[line.Log]record.Head{}
	for _, h := range ml.heads {
		if o, ok := best[h.Log]; !ok || h.Size > o.Size || h.Size == o.Size && earlier(h, o) {
			best[h.Log] = h
		}
	}
	return slices.Collect(maps.Values(best))
}

// earlier says which of two heads of one size counts as the first that came.
func earlier(a, b record.Head) bool {
	return cmp.Or(cmp.Compare(a.Received, b.Received), slices.Compare(a.Root[:], b.Root[:])) < 0
}

func (ml *memoryLine) greatestCosigs() []record.Cosig {
	best := map[[2]line.Log]record.Cosig{}
	for _, c := range ml.cosigs {
		k := [2]line.Log{c.Log, c.Signer}
		if o, ok := best[k]; !ok || c.Size > o.Size {
			best[k] = c
		}
	}
	return slices.Collect(maps.Values(best))
}

// Entries implements session.History.
func (m *Memory) Entries(ctx context.Context, l line.ID, log line.Log, first uint64, max int) ([]record.Entry, error) {
	return m.stretch(ctx, l, log, first, max, func(record.Entry) bool { return true })
}

// Urgent implements session.History.
func (m *Memory) Urgent(ctx context.Context, l line.ID, log line.Log, first uint64, max int) ([]record.Entry, error) {
	return m.stretch(ctx, l, log, first, max, func(e record.Entry) bool { return e.Urgent })
}

func (m *Memory) stretch(ctx context.Context, l line.ID, log line.Log, first uint64, max int, want func(record.Entry) bool) ([]record.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []record.Entry
	for p, e := range m.view(l).entries {
		if p.Log == log && p.Seq >= first && want(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b record.Entry) int { return a.Pos.Compare(b.Pos) })
	return out[:min(len(out), max)], ctx.Err()
}

// Bodies implements session.History.
func (m *Memory) Bodies(ctx context.Context, l line.ID, at []line.Pos) (out []record.Body, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range at {
		if b, ok := m.view(l).bodies[p]; ok {
			out = append(out, b)
		}
	}
	return out, ctx.Err()
}

// HeadAt implements session.History.
func (m *Memory) HeadAt(ctx context.Context, l line.ID, log line.Log, size uint64) (best record.Head, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, h := range m.view(l).heads {
		if k.log == log && k.size == size && (!ok || earlier(h, best)) {
			best, ok = h, true
		}
	}
	return best, ok, ctx.Err()
}

// CosigAt implements session.History.
func (m *Memory) CosigAt(ctx context.Context, l line.ID, log, signer line.Log, size uint64) (best record.Cosig, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, c := range m.view(l).cosigs {
		if k.log == log && k.signer == signer && k.size >= size && (!ok || k.size < best.Size) {
			best, ok = c, true
		}
	}
	return best, ok, ctx.Err()
}

// Readable implements session.History.
func (m *Memory) Readable(ctx context.Context, l line.ID, before int64, most int) (out []record.Segment, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.view(l).segments {
		if s.Made < before && len(s.Working) > 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b record.Segment) int { return cmp.Compare(a.Made, b.Made) })
	return out[:min(len(out), most)], ctx.Err()
}

// Segment implements session.History.
func (m *Memory) Segment(ctx context.Context, l line.ID, id uint64) (record.Segment, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.view(l).segments[id]
	return s, ok, ctx.Err()
}

// EpochLeaves implements session.History.
func (m *Memory) EpochLeaves(ctx context.Context, l line.ID, log line.Log, base uint64) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.view(l).epochs[line.Pos{Log: log, Seq: base}]
	return e.Leaves, ok, ctx.Err()
}

// Token implements session.History.
func (m *Memory) Token(ctx context.Context, l line.ID, token string) (record.Token, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.view(l).tokens[token]
	return t, ok, ctx.Err()
}
