package session_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"herald/internal/line"
	"herald/internal/session"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// twin is a second station of the same party, with the same key and a copy of
// the folder: what a party does that tells two stories.
func (n *node) twin() *node {
	n.w.t.Helper()
	two := &node{w: n.w, name: n.name + "'", self: n.self, root: n.root, keys: n.keys, officers: n.officers, blobs: n.blobs, rang: n.rang}
	two.store = n.store.copy(n.w.t, n.store.now())
	two.over = two.store
	two.anchor = newFakeAnchor()
	two.cards = newCards(n.w.t, two)
	for _, m := range n.w.nodes {
		two.cards.add(m.cards.note(m.root.Party))
	}
	two.open()
	return two
}

// proven fails unless the node keeps proof of two histories of the log that
// anybody can verify, and has put it on the record.
func (n *node) proven(g line.Log) {
	n.w.t.Helper()
	pub, _ := n.cards.LogKey(n.line.Members().Members[g.Party], g.Gen)
	found := 0
	for _, p := range n.store.proofs() {
		if !p.Proven || p.Log != g {
			continue
		}
		ev, err := tlog.ParseEvidence(p.Bytes)
		must(n.w.t, err)
		must(n.w.t, ev.Verify(pub))
		if ev.Log != n.line.Members().LogID(g) {
			n.w.t.Errorf("%s: the evidence is of another log", n.name)
		}
		found++
	}
	if found == 0 {
		n.w.t.Errorf("%s keeps no proof", n.name)
	}
}

// Two stories told to two parties come out when the two meet.
func TestTwoStoriesMeet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 3, nil, nil)
		defer w.close()
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		ab, ac := w.join(a, b, nil), w.join(a, c, nil)
		a.say(words{text: "One story."})
		w.settle(10 * time.Second)
		ab()
		ac()
		two := a.twin()
		defer two.close()
		ab, ac = w.join(a, b, nil), w.join(two, c, nil)
		a.say(words{text: "We withdraw."})
		two.say(words{text: "We do not withdraw."})
		w.settle(10 * time.Second)
		ab()
		ac()
		defer w.join(b, c, nil)()
		w.settle(10 * time.Second)
		b.proven(a.log())
		c.proven(a.log())
		if b.kinds(b.log(), wire.KindEvidence)+c.kinds(c.log(), wire.KindEvidence) == 0 {
			t.Error("the proof is not on the record")
		}
		said := b.say(words{text: "The line goes on."})
		w.settle(10 * time.Second)
		if !b.delivered(said.Pos, 2) {
			t.Error("the line does not go on")
		}
	})
}

// Two entries at one place, told to one party; a third one learns of it by the
// record.
func TestTwoEntriesAtOnePlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 3, nil, nil)
		defer w.close()
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		ab := w.join(a, b, nil)
		defer w.join(b, c, nil)()
		w.settle(10 * time.Second)
		two := a.twin()
		defer two.close()
		for range 20 {
			a.say(words{text: "Yes."})
		}
		w.settle(10 * time.Second)
		ab()
		// The twin's entries go straight in, as from a station that does not
		// care what its peer holds.
		part := w.join(two, c, func(_ *node, f []byte) []byte { return nil })
		part()
		for range 20 {
			two.say(words{text: "No."})
		}
		d := b.takes(two, two.bundle(c, true))
		if d.Refused != 0 {
			t.Errorf("%+v", d)
		}
		w.settle(10 * time.Second)
		b.proven(a.log())
		c.proven(a.log())
		if got := b.kinds(b.log(), wire.KindEvidence); got == 0 || got > 8 {
			t.Errorf("%d entries of evidence, want a few", got)
		}
		before := len(b.store.proofs())
		b.takes(two, two.bundle(c, true))
		b.close()
		b.open()
		b.takes(two, two.bundle(c, true))
		if after := len(b.store.proofs()); after != before {
			t.Errorf("the same lies again made %d proofs of %d", after, before)
		}
		if got := b.texts(a.log()); !slices.Equal(got, slices.Repeat([]string{"Yes."}, 20)) {
			t.Errorf("B reads %q", got)
		}
	})
}

// rogue is a peer that sends whatever a test likes, over a channel that is
// open.
type rogue struct {
	n    *node
	conn *session.Conn
	part func()
}

func (w *world) rogue(n *node, as *node) *rogue {
	w.t.Helper()
	l := n.line
	c := session.Attach(context.Background(), "rogue", as.root.Party, []*session.Line{l}, func(id line.ID) (*session.Line, bool) { return l, id == l.ID() })
	r := &rogue{n: n, conn: c, part: c.Detach}
	id, sum := l.ID(), w.ch.Hash()
	r.send(wire.FrameHello, false, wire.Marshal(wire.Hello{Versions: []uint16{1}, Suites: []uint16{1}, Line: id[:], Party: uint8(as.self), Charter: sum[:], Have: wire.Have{Full: true}}))
	return r
}

// send hands one frame in. A bearer closes the connection on an error; here
// that is all there is to it.
func (r *rogue) send(k wire.FrameType, urgent bool, payload []byte) error {
	return r.conn.Receive(wire.Frame{Type: k, Urgent: urgent, Channel: 1, Payload: payload}.Append(nil))
}

// forge signs an entry for a place with any key.
func forge(n *node, g line.Log, seq uint64, key ed25519.PrivateKey, e wire.Entry) wire.SignedEntry {
	se := wire.SignedEntry{Pos: line.Pos{Log: g, Seq: seq}, Leaf: wire.Marshal(e)}
	se.Sig = tlog.SignEntry(key, n.line.Members().LogID(g), seq, tlog.LeafHash(se.Leaf))
	return se
}

// What a peer has no right to is refused and leaves the line as it was.
func TestForgeriesLeaveNoTrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 3, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		a.say(words{text: "Genuine."})
		w.settle(10 * time.Second)
		r := w.rogue(b, w.nodes[2])
		defer r.part()
		synctest.Wait()
		commits, entries := b.store.now(), len(b.entries(a.log()))

		_, other, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		plain := wire.Entry{Key: 1, Time: 1, Body: bytes.Repeat([]byte{7}, 40), After: []wire.Mark{{Gen: 1}, {Gen: 1}}}
		few := plain
		few.After = few.After[:1]
		own, next := a.log(), uint64(entries)
		bad := forge(b, own, next, a.keys.Log, plain)
		bad.Sig[3] ^= 1
		huge := plain
		huge.Body = make([]byte, wire.MaxEntry)
		for name, se := range map[string]wire.SignedEntry{
			"a bad signature":          bad,
			"another key":              forge(b, own, next, other, plain),
			"signed for another place": {Pos: line.Pos{Log: own, Seq: next}, Leaf: wire.Marshal(plain), Sig: forge(b, own, next+1, a.keys.Log, plain).Sig},
			"an unknown generation":    forge(b, line.Log{Party: 0, Gen: 9}, 0, a.keys.Log, plain),
			"an unknown party":         {Pos: line.Pos{Log: line.Log{Party: 15, Gen: 1}}, Leaf: wire.Marshal(plain)},
			"too few marks":            forge(b, own, next, a.keys.Log, few),
			"too large":                forge(b, own, next, a.keys.Log, huge),
		} {
			_ = r.send(wire.FrameEntry, true, se.Append(nil))
			synctest.Wait()
			if now := b.store.now(); now != commits {
				t.Errorf("%s: made %d commits", name, now-commits)
				commits = now
			}
		}
		head := wire.Head{Log: own, Size: next + 5}
		head.Sig = tlog.SignHead(other, b.line.Members().LogID(own), tlog.Head{Size: head.Size})
		_ = r.send(wire.FrameHead, true, head.Append(nil))
		cosig := wire.Cosig{Log: own, Size: next, Signer: line.Log{Party: 2, Gen: 1}, Time: 1}
		_ = r.send(wire.FrameCosig, true, cosig.Append(nil))
		_ = r.send(wire.FrameCard, false, []byte("no card"))
		_ = r.send(wire.FrameChunk, false, wire.Marshal(wire.Chunk{Root: make([]byte, 32), Index: 5, Data: []byte("x")}))
		_ = r.send(wire.FrameWantBlob, false, wire.Marshal(wire.WantBlob{Root: make([]byte, 32), First: 1 << 62, End: 1<<62 + 4}))
		_ = r.send(99, false, []byte("of a later release"))
		synctest.Wait()
		if now := b.store.now(); now != commits {
			t.Errorf("heads, cosignatures and the rest made %d commits", now-commits)
		}
		if len(b.entries(a.log())) != entries || len(b.store.proofs()) != 0 {
			t.Error("a forgery left a trace")
		}
		for _, k := range []wire.FrameType{wire.FrameHello, wire.FrameHave, wire.FrameEntry, wire.FrameHead, wire.FrameCosig, wire.FrameChunk, wire.FramePart} {
			if err := r.send(k, true, []byte{0xff, 0x00}); err == nil {
				t.Errorf("garbage in a frame of type %d is no breach of the protocol", k)
			}
		}
		if err := r.conn.Receive(make([]byte, wire.MaxFrame+1)); err == nil {
			t.Error("a frame over the limit is no breach of the protocol")
		}
		said := a.say(words{prec: line.Flash, text: "Still genuine."})
		w.settle(10 * time.Second)
		if !a.delivered(said.Pos, 1) {
			t.Error("the line does not go on")
		}
	})
}

// A flood of what is well signed costs the other parties little: it makes no
// entries, and a FLASH of somebody else passes.
func TestFloodOfUrgentFrames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 3, nil, nil)
		defer w.close()
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		defer w.join(a, b, nil)()
		w.settle(10 * time.Second)
		r := w.rogue(b, c)
		defer r.part()
		e := wire.Entry{Key: 1, Time: 1, Body: bytes.Repeat([]byte{7}, 40), After: []wire.Mark{{Gen: 1}, {Gen: 1}}}
		own := len(b.entries(b.log()))
		for i := range uint64(500) {
			must(t, r.send(wire.FrameEntry, true, forge(b, c.log(), 2*i+3, c.keys.Log, e).Append(nil)))
			must(t, r.send(wire.FrameHave, true, wire.Marshal(wire.Have{Full: true})))
		}
		said := a.say(words{prec: line.Flash, text: "Through the flood."})
		w.settle(10 * time.Second)
		if !a.delivered(said.Pos, 1) {
			t.Error("the FLASH did not come through")
		}
		if n := len(b.entries(b.log())) - own; n > 3 {
			t.Errorf("the flood made %d own entries", n)
		}
	})
}
