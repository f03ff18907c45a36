package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// Reserved keys: ordinary words open a new epoch once 239 keys of the current
// one are behind them, so that a FLASH finds 16 more in it (spec 06 §2).
const (
	ordinaryKeys = seal.EpochKeys - 16
	receiveLife  = 30 * 24 * time.Hour
)

// vault seals and opens: the own epochs, the others', the receive keys, and
// the archive of what was opened.
type vault struct {
	cfg      *Config
	epochs   map[line.Log][]*epoch // by base, oldest first; secret not erased
	keys     []record.ReceiveKey   // own, seed not erased, oldest first
	nextKey  uint32
	peerKeys map[int]peerKey // newest receive key that each other party published
	segment  *seal.Segment   // today's
	made     int64           // when
	open     map[uint64]*seal.Segment
}

type epoch struct {
	row  record.Epoch // its leaves are left to the store: 8 KiB that an idle line does without
	root line.Hash    // over them
	live *seal.Epoch  // derived when needed, dropped when idle
}

// peerKey is a party's newest receive key, as its log published it.
type peerKey struct {
	Gen   uint32
	Seq   uint64
	Index uint32
	Pub   []byte
}

func newVault(cfg *Config, snap record.Snapshot) (*vault, error) {
	v := &vault{cfg: cfg, epochs: map[line.Log][]*epoch{}, peerKeys: map[int]peerKey{}, open: map[uint64]*seal.Segment{}}
	for _, e := range snap.Epochs {
		root, err := tlog.TreeOf(leafReader(e.Leaves), seal.EpochKeys)
		if err != nil {
			return nil, fmt.Errorf("stored epoch at %d of log %s: %w", e.Base, cfg.Line.LogID(e.Log), err)
		}
		e.Leaves = nil
		v.epochs[e.Log] = append(v.epochs[e.Log], &epoch{row: e, root: root.Root()})
	}
	for _, es := range v.epochs {
		slices.SortFunc(es, func(a, b *epoch) int { return compare(a.row.Base, b.row.Base) })
	}
	v.keys = slices.Clone(snap.Keys)
	slices.SortFunc(v.keys, func(a, b record.ReceiveKey) int { return compare(uint64(a.Index), uint64(b.Index)) })
	v.nextKey = uint32(metaUint(snap.Meta, "receive-key")) + 1
	for p := range cfg.Line.Members {
		if b, ok := snap.Meta[peerKeyName(p)]; ok {
			var k peerKey
			if err := wire.Unmarshal(b, wire.MaxEntry, &k); err != nil {
				return nil, fmt.Errorf("stored receive key of %s: %w", cfg.Line.Members[p], err)
			}
			v.peerKeys[p] = k
		}
	}
	for _, s := range snap.Segments {
		if len(s.Working) == 0 {
			continue
		}
		seg, err := seal.OpenSegment(s.Working, cfg.Own.Working)
		if err != nil {
			return nil, fmt.Errorf("archive segment %d: %w: is this the station key that belongs to the database?", s.ID, err)
		}
		v.open[s.ID] = seg
		if s.Made >= v.made {
			v.segment, v.made = seg, s.Made
		}
	}
	return v, nil
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func peerKeyName(p int) string { return fmt.Sprintf("peer-key/%d", p) }

// localContext binds what is wrapped under the working key to its place.
func localContext(what string, id line.LogID, n uint64) []byte {
	b := append([]byte("herald/"+what+"/1"), id[:]...)
	return binary.BigEndian.AppendUint64(b, n)
}

// find returns the epoch at base of a log.
func (v *vault) find(g line.Log, base uint64) *epoch {
	for _, e := range v.epochs[g] {
		if e.row.Base == base {
			return e
		}
	}
	return nil
}

// derive returns the epoch with its keys.
func (v *vault) derive(e *epoch) (*seal.Epoch, error) {
	if e.live != nil {
		return e.live, nil
	}
	id := v.cfg.Line.LogID(e.row.Log)
	secret, err := seal.OpenLocal(v.cfg.Own.Working, localContext("epoch-secret", id, e.row.Base), e.row.Secret)
	if err != nil || len(secret) != seal.KeySize {
		return nil, fmt.Errorf("epoch at %d: %w", e.row.Base, seal.ErrOpen)
	}
	live, err := seal.EpochFromSecret(id, e.row.Base, [seal.KeySize]byte(secret), e.root)
	clear(secret)
	if err != nil {
		return nil, err
	}
	e.live = live
	return live, nil
}

func leafReader(b []byte) tlog.LeafReader {
	return func(i uint64) (h line.Hash, err error) {
		if uint64(len(b)) < (i+1)*32 {
			return h, errors.New("epoch's leaf hashes are incomplete")
		}
		copy(h[:], b[i*32:])
		return h, nil
	}
}

// keep adds an epoch whose secret is known and makes it durable.
func (v *vault) keep(t *turn, g line.Log, live *seal.Epoch) (*epoch, error) {
	secret := live.Secret()
	box, err := seal.SealLocal(v.cfg.Rand, v.cfg.Own.Working, localContext("epoch-secret", live.Log(), live.Base()), secret[:])
	clear(secret[:])
	if err != nil {
		return nil, err
	}
	e := &epoch{row: record.Epoch{Log: g, Base: live.Base(), Secret: box}, root: live.Root(), live: live}
	es := append(v.epochs[g], e)
	slices.SortFunc(es, func(a, b *epoch) int { return compare(a.row.Base, b.row.Base) })
	v.epochs[g] = es
	row := e.row
	row.Leaves = live.Leaves()
	t.Epochs = append(t.Epochs, row)
	return e, nil
}

// erase forgets an epoch's secret, here and in the store.
func (v *vault) erase(t *turn, e *epoch) {
	v.rewrite(t, e, func(row *record.Epoch) { row.Secret = nil })
	if e.live != nil {
		e.live.Erase()
		e.live = nil
	}
	v.epochs[e.row.Log] = slices.DeleteFunc(v.epochs[e.row.Log], func(o *epoch) bool { return o == e })
}

// rewrite changes an epoch's row, which goes back to the store with its
// leaves. Where these cannot be read the row stays, and the store's fault is
// found by the commit.
func (v *vault) rewrite(t *turn, e *epoch, change func(*record.Epoch)) {
	change(&e.row)
	row := e.row
	if e.live != nil {
		row.Leaves = e.live.Leaves()
	} else {
		leaves, ok, err := t.l.cfg.Store.EpochLeaves(t.ctx, t.Line, row.Log, row.Base)
		if err != nil || !ok {
			t.l.cfg.Log.Error("an epoch's row cannot be rewritten", "line", t.Line.Short(), "error", errors.Join(err, errMissing(ok)))
			return
		}
		row.Leaves = leaves
	}
	t.Epochs = append(t.Epochs, row)
}

// archive encrypts an opened entry for the own archive.
func (v *vault) archive(t *turn, p line.Pos, inner []byte, mk []byte) (segment uint64, box []byte, err error) {
	if v.segment == nil || t.now.Unix()-v.made >= 24*3600 {
		if err := v.newSegment(t); err != nil {
			return 0, nil, err
		}
	}
	box, err = v.segment.Seal(v.cfg.Rand, localContext("archive", v.cfg.Line.LogID(p.Log), p.Seq),
		wire.Marshal(wire.Archived{Inner: inner, Key: mk}))
	return v.segment.ID(), box, err
}

func (v *vault) newSegment(t *turn) error {
	var id [8]byte
	if _, err := io.ReadFull(v.cfg.Rand, id[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint64(id[:]) >> 1 // a database's integers are signed
	s, err := seal.NewSegment(v.cfg.Rand, n, v.cfg.Own.Working, v.cfg.Own.Offline)
	if err != nil {
		return err
	}
	v.segment, v.made, v.open[n] = s, t.now.Unix(), s
	t.Segments = append(t.Segments, record.Segment{ID: n, Working: s.Wrapped(), Offline: s.Offline(), Made: v.made})
	return nil
}

// unarchive opens an archived entry again.
func (v *vault) unarchive(ctx context.Context, st Store, b record.Body) (wire.Archived, error) {
	var a wire.Archived
	seg, err := v.segmentFor(ctx, st, b.Segment)
	if err != nil {
		return a, err
	}
	plain, err := seg.Open(localContext("archive", v.cfg.Line.LogID(b.Pos.Log), b.Pos.Seq), b.Box)
	if err != nil {
		return a, fmt.Errorf("archived entry: %w", err)
	}
	return a, wire.Unmarshal(plain, 2*wire.MaxEntry, &a)
}

func (v *vault) segmentFor(ctx context.Context, st Store, id uint64) (*seal.Segment, error) {
	if seg, ok := v.open[id]; ok {
		return seg, nil
	}
	row, ok, err := st.Segment(ctx, v.cfg.Line.ID, id)
	if err != nil {
		return nil, err
	}
	if !ok || len(row.Working) == 0 {
		return nil, errors.New("the working archive no longer has this: its retention has ended; the party's offline archive key opens the sealed copy")
	}
	seg, err := seal.OpenSegment(row.Working, v.cfg.Own.Working)
	if err != nil {
		return nil, fmt.Errorf("archive segment %d: %w", id, err)
	}
	v.open[id] = seg
	return seg, nil
}

// forget drops a segment's key from memory.
func (v *vault) forget(id uint64) {
	if s, ok := v.open[id]; ok {
		s.Erase()
		delete(v.open, id)
		if v.segment == s {
			v.segment = nil
		}
	}
}

// receiveKey returns what to seal to for a party: the newest key that its log
// published, else the card's (spec 06 §3).
func (v *vault) receiveKey(party int) (pub []byte, index uint32, ok bool) {
	if k, ok := v.peerKeys[party]; ok {
		return k.Pub, k.Index, true
	}
	pub, ok = v.cfg.Cards.ReceiveKey(v.cfg.Line.Members[party])
	return pub, 0, ok
}

// learn notes a receive key that another party published in its log.
func (v *vault) learn(t *turn, p line.Pos, ep wire.Epoch) {
	old, ok := v.peerKeys[p.Party]
	if len(ep.Receive) == 0 || seal.CheckPublic(ep.Receive) != nil {
		return
	}
	if ok && (old.Gen > uint32(p.Gen) || old.Gen == uint32(p.Gen) && old.Seq >= p.Seq) {
		return
	}
	k := peerKey{Gen: uint32(p.Gen), Seq: p.Seq, Index: ep.ReceiveIndex, Pub: ep.Receive}
	v.peerKeys[p.Party] = k
	t.meta(peerKeyName(p.Party), wire.Marshal(k))
}

// private returns the own receive key of an index.
func (v *vault) private(index uint32) (seal.ReceiveKey, error) {
	if index == 0 {
		return v.cfg.Own.Receive, nil
	}
	for _, k := range v.keys {
		if k.Index != index {
			continue
		}
		seed, err := seal.OpenLocal(v.cfg.Own.Working, localContext("receive-key", v.cfg.Line.LogID(k.Log), uint64(index)), k.Seed)
		if err != nil {
			return seal.ReceiveKey{}, err
		}
		defer clear(seed)
		return seal.ReceiveKeyFromSeed(seed)
	}
	return seal.ReceiveKey{}, fmt.Errorf("receive key %d was erased: %w", index, seal.ErrOpen)
}

// newReceiveKey draws the receive key that the epoch entry at seq publishes.
func (v *vault) newReceiveKey(t *turn, g line.Log, seq uint64) (pub []byte, index uint32, err error) {
	k, err := seal.NewReceiveKey(v.cfg.Rand)
	if err != nil {
		return nil, 0, err
	}
	index = v.nextKey
	seed := k.Seed()
	box, err := seal.SealLocal(v.cfg.Rand, v.cfg.Own.Working, localContext("receive-key", v.cfg.Line.LogID(g), uint64(index)), seed)
	clear(seed)
	if err != nil {
		return nil, 0, err
	}
	v.nextKey++
	t.metaUint("receive-key", uint64(index))
	row := record.ReceiveKey{Log: g, Index: index, Seq: seq, Seed: box, Made: t.now.Unix()}
	v.keys = append(v.keys, row)
	t.Keys = append(t.Keys, row)
	return k.Public(), index, nil
}

// retire erases what has served: receive keys that every peer has shown to
// have left behind, own epochs that all others hold, others' epochs that no
// later entry may use (spec 06 §3).
func (v *vault) retire(t *turn, st *record.State) {
	if len(t.Logs)+len(t.Entries)+len(t.Cosigs)+len(t.Ranks) == 0 && !t.seen {
		return
	}
	v.retireKeys(t, st)
	own := line.Log{Party: v.cfg.Line.Self, Gen: v.cfg.Own.Gen}
	for g, es := range v.epochs {
		if v.closed(st, g) {
			for _, e := range slices.Clone(es) {
				v.erase(t, e)
			}
			continue
		}
		for i := 0; i+1 < len(es); i++ {
			e, next := es[i], es[i+1]
			g := e.row.Log
			done := st.Size(g) > e.row.Base+seal.EpochKeys || e.row.End != 0 && st.Size(g) > e.row.End
			if g == own {
				done = v.allHold(st, own, next.row.Base+1)
			}
			if done {
				v.erase(t, e)
				v.retire(t, st)
				return
			}
		}
	}
}

// closed reports whether a log's epochs have served because its party has gone
// on in a later generation: what is ranked there follows all that came before.
func (v *vault) closed(st *record.State, g line.Log) bool {
	if g.Party == v.cfg.Line.Self {
		return g.Gen < v.cfg.Own.Gen
	}
	return slices.ContainsFunc(st.Logs(), func(o line.Log) bool { return o.Party == g.Party && o.Gen > g.Gen && st.Ranked(o) > 0 })
}

// allHold reports whether every other party's word covers size of a log.
func (v *vault) allHold(st *record.State, g line.Log, size uint64) bool {
	for p := range v.cfg.Line.Members {
		if p != v.cfg.Line.Self && st.Delivered(g, p) < size {
			return false
		}
	}
	return true
}

func (v *vault) retireKeys(t *turn, st *record.State) {
	keep := v.keys[:0]
	for i, k := range v.keys {
		newer := i+1 < len(v.keys)
		for p := range v.cfg.Line.Members {
			if newer && p != v.cfg.Line.Self {
				m, next := st.MarkFor(p, v.cfg.Line.Self), v.keys[i+1]
				newer = m.Gen > next.Log.Gen || m.Gen == next.Log.Gen && m.Size > next.Seq
			}
		}
		if newer || i+1 < len(v.keys) && t.now.Unix()-k.Made > int64(receiveLife/time.Second) {
			k.Seed = nil
			t.Keys = append(t.Keys, k)
			continue
		}
		keep = append(keep, k)
	}
	v.keys = keep
}

// idle drops derived keys from memory; they come back from the store's
// wrapped secrets when they are needed.
func (v *vault) idle() {
	for _, es := range v.epochs {
		for _, e := range es {
			if e.live != nil {
				e.live.Erase()
				e.live = nil
			}
		}
	}
	for id, s := range v.open {
		if s != v.segment {
			s.Erase()
			delete(v.open, id)
		}
	}
}
