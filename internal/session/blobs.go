package session

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/wire"
)

// Attachments are pulled: the receiver asks for chunks, a few at a time, and
// says so on the record once it durably holds the whole (spec 08 §6).
const (
	pullWindow   = 16 // chunks asked for and not yet here
	pullPatience = 10 * time.Second
)

// pull is one attachment being fetched.
type pull struct {
	info  seal.BlobInfo
	ref   wire.Ref // the message that it belongs to
	asked time.Time
	await map[uint64]struct{}
	next  uint64
	ended bool // all chunks came; being checked
}

func pullName(root line.Hash) string { return "pull/" + hex.EncodeToString(root[:]) }

func blobName(root line.Hash) string { return "blob/" + hex.EncodeToString(root[:]) }

// blobHeldName notes that a party said to hold an attachment.
func blobHeldName(root line.Hash, party int) string {
	return fmt.Sprintf("blob-held/%s/%d", root, party)
}

func blobInfo(b wire.Blob) seal.BlobInfo {
	return seal.BlobInfo{Key: [32]byte(b.Key), Length: b.Length, Hash: [32]byte(b.Hash), Root: line.Hash(b.Root)}
}

// wantBlobs begins to fetch the attachments of a message.
func (l *Line) wantBlobs(t *turn, p line.Pos, m wire.Message) {
	e, ok := t.find(p)
	if !ok {
		var err error
		if e, ok, err = l.entry(t.ctx, p); err != nil || !ok {
			return
		}
	}
	for _, b := range m.Blobs {
		info := blobInfo(b)
		if b.Length > l.cfg.Charter.BlobBytes {
			l.cfg.Log.Warn("an attachment is larger than the charter allows and is not fetched", "line", l.ID().Short(), "bytes", b.Length)
			continue
		}
		if _, ok := l.turns.pulling[info.Root]; ok {
			continue
		}
		ref := wire.NewRef(p, e.LeafHash)
		t.meta(pullName(info.Root), wire.Marshal(ref))
		l.turns.pulling[info.Root] = &pull{info: info, ref: ref, await: map[uint64]struct{}{}}
		t.then(func(err error) {
			if err == nil {
				l.post(func(t *turn) { l.ask(t, info.Root) })
			}
		})
	}
}

// resumePulls takes up what was being fetched when the station stopped.
func (l *Line) resumePulls(ctx context.Context, meta map[string][]byte) {
	for name, v := range meta {
		var ref wire.Ref
		if !strings.HasPrefix(name, "pull/") || wire.Unmarshal(v, wire.MaxEntry, &ref) != nil {
			continue
		}
		m, err := l.message(ctx, ref.Pos())
		if err != nil {
			continue
		}
		for _, b := range m.Blobs {
			if info := blobInfo(b); pullName(info.Root) == name {
				l.turns.pulling[info.Root] = &pull{info: info, ref: ref, await: map[uint64]struct{}{}}
				l.dueAt(l.cfg.Now())
			}
		}
	}
}

// message reads a spoken entry back from the archive.
func (l *Line) message(ctx context.Context, p line.Pos) (wire.Message, error) {
	bodies, err := l.cfg.Store.Bodies(ctx, l.ID(), []line.Pos{p})
	if err != nil || len(bodies) == 0 || len(bodies[0].Box) == 0 {
		return wire.Message{}, fmt.Errorf("entry is not in the archive: %w", orMissing(err))
	}
	a, err := l.v.unarchive(ctx, l.cfg.Store, bodies[0])
	if err != nil {
		return wire.Message{}, err
	}
	in, err := wire.ParseInner(a.Inner)
	if err != nil {
		return wire.Message{}, err
	}
	return wire.ParseMessage(in)
}

// BlobInfo returns what the record says of an attachment.
func (l *Line) BlobInfo(ctx context.Context, root line.Hash) (info seal.BlobInfo, err error) {
	err = l.do(ctx, func(t *turn) error {
		var ref wire.Ref
		v, ok := l.meta[blobName(root)]
		if !ok || wire.Unmarshal(v, wire.MaxEntry, &ref) != nil {
			return fmt.Errorf("no message on this line names the attachment %s", root)
		}
		m, err := l.message(ctx, ref.Pos())
		if err != nil {
			return err
		}
		for _, b := range m.Blobs {
			if line.Hash(b.Root) == root {
				info = blobInfo(b)
			}
		}
		return nil
	})
	return info, err
}

// pullBlobs asks again for what did not come.
func (l *Line) pullBlobs(t *turn) {
	for root, p := range l.turns.pulling {
		if !p.ended && t.now.Sub(p.asked) >= pullPatience {
			clear(p.await)
			p.next = 0
			l.ask(t, root)
		}
	}
}

// ask requests the next missing chunks from a peer, the author first.
func (l *Line) ask(t *turn, root line.Hash) {
	p := l.turns.pulling[root]
	if p == nil || p.ended {
		return
	}
	l.dueAt(t.now.Add(pullPatience))
	if err := l.cfg.Blobs.Want(t.ctx, root, p.info.Length); err != nil {
		l.cfg.Log.Error("an attachment cannot be kept", "line", l.ID().Short(), "error", err)
		return
	}
	missing, err := l.cfg.Blobs.Missing(t.ctx, root, p.next, pullWindow-len(p.await))
	if err != nil {
		l.cfg.Log.Error("an attachment's state cannot be read", "line", l.ID().Short(), "error", err)
		return
	}
	if len(missing) == 0 && len(p.await) == 0 {
		l.finish(t, root, p)
		return
	}
	peer := l.source(int(p.ref.Party))
	if peer == nil {
		return
	}
	for i := 0; i < len(missing); {
		j := i + 1
		for j < len(missing) && missing[j] == missing[j-1]+1 {
			j++
		}
		peer.send(classPriority, wire.FrameWantBlob, false, wire.Marshal(wire.WantBlob{Root: root[:], First: missing[i], End: missing[j-1] + 1}))
		i = j
	}
	for _, n := range missing {
		p.await[n] = struct{}{}
		p.next = n + 1
	}
	p.asked = t.now
}

func (l *Line) source(author int) *Peer {
	var any *Peer
	for p := range l.peers {
		if p.ready && p.party == author {
			return p
		}
		if p.ready {
			any = p
		}
	}
	return any
}

// finish checks a whole attachment against its root, beside the loop, and
// then says on the record that it is held.
func (l *Line) finish(t *turn, root line.Hash, p *pull) {
	p.ended = true
	ctx := t.ctx
	l.jobs.Go(func() {
		sum := seal.NewChunkRoot()
		err := l.cfg.Blobs.Sync(ctx, root)
		for i := uint64(0); i < p.info.Chunks() && err == nil; i++ {
			var b []byte
			var ok bool
			if b, ok, err = l.cfg.Blobs.Chunk(ctx, root, i); err == nil && !ok {
				err = fmt.Errorf("chunk %d is missing", i)
			}
			sum.Add(b)
		}
		if err == nil && sum.Root() != root {
			err = fmt.Errorf("its chunks do not have the root that the message names")
		}
		l.post(func(t *turn) { l.finished(t, root, p, err) })
	})
}

func (l *Line) finished(t *turn, root line.Hash, p *pull, err error) {
	if err != nil {
		l.cfg.Log.Error("an attachment could not be completed", "line", l.ID().Short(), "root", root.String(), "error", err)
		p.ended = false
		l.dueAt(t.now.Add(pullPatience))
		return
	}
	delete(l.turns.pulling, root)
	t.meta(pullName(root), nil)
	l.state(t, wire.KindBlobGot, line.Routine, wire.Statement{Refs: []wire.Ref{p.ref}, Root: root[:]})
}

// blobFrame serves chunks that a peer asks for, and takes those that came.
func (l *Line) blobFrame(p *Peer, f wire.Frame) error {
	if f.Type == wire.FrameWantBlob {
		return l.serveBlob(p, f.Payload)
	}
	var c wire.Chunk
	if err := wire.Unmarshal(f.Payload, wire.MaxFrame, &c); err != nil {
		return fmt.Errorf("chunk: %w", err)
	}
	if len(c.Root) != 32 || len(c.Data) > seal.MaxChunk {
		return fmt.Errorf("chunk: %w", wire.ErrFormat)
	}
	pushed := p.conn.bearer == courierName
	return l.accept(p, func(t *turn) { l.takeChunk(t, c, pushed) })
}

func (l *Line) serveBlob(p *Peer, payload []byte) error {
	var w wire.WantBlob
	if err := wire.Unmarshal(payload, wire.MaxFrame, &w); err != nil {
		return fmt.Errorf("wanted chunks: %w", err)
	}
	if len(w.Root) != 32 || w.End < w.First || w.End-w.First > pullWindow {
		return fmt.Errorf("wanted chunks: %w", wire.ErrFormat)
	}
	for i := w.First; i < w.End && p.conn.backlog() < 4*fullBytes; i++ {
		data, ok, err := l.cfg.Blobs.Chunk(p.conn.ctx, line.Hash(w.Root), i)
		if err != nil || !ok {
			return nil
		}
		p.send(classBlob, wire.FrameChunk, false, wire.Marshal(wire.Chunk{Root: w.Root, Index: i, Data: data}))
	}
	return nil
}

// takeChunk takes a chunk that was asked for, or that a courier brought.
func (l *Line) takeChunk(t *turn, c wire.Chunk, pushed bool) {
	root := line.Hash(c.Root)
	p := l.turns.pulling[root]
	if p == nil || p.ended {
		return
	}
	if _, ok := p.await[c.Index]; !ok && !pushed {
		return
	}
	if pushed {
		if err := l.cfg.Blobs.Want(t.ctx, root, p.info.Length); err != nil {
			l.cfg.Log.Error("an attachment cannot be kept", "line", l.ID().Short(), "error", err)
			return
		}
	}
	if _, err := seal.OpenChunk(p.info.Key, c.Index, c.Index+1 == p.info.Chunks(), c.Data); err != nil {
		l.cfg.Log.Warn("a chunk of an attachment is not what its message names", "line", l.ID().Short(), "chunk", c.Index)
		return
	}
	if err := l.cfg.Blobs.PutChunk(t.ctx, root, c.Index, c.Data); err != nil {
		l.cfg.Log.Error("a chunk cannot be kept", "line", l.ID().Short(), "error", err)
		return
	}
	delete(p.await, c.Index)
	p.asked = t.now
	if len(p.await) <= pullWindow/2 {
		l.ask(t, root)
	}
}

// Unarchive opens archived bodies, in the order given; one that does not open
// leaves an empty place.
func (l *Line) Unarchive(ctx context.Context, bs []record.Body) ([]wire.Archived, error) {
	out := make([]wire.Archived, len(bs))
	err := l.do(ctx, func(t *turn) error {
		for i, b := range bs {
			if len(b.Box) > 0 {
				if a, err := l.v.unarchive(ctx, l.cfg.Store, b); err == nil {
					out[i] = a
				}
			}
		}
		return nil
	})
	return out, err
}
