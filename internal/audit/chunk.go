package audit

import (
	"encoding/binary"

	"herald/internal/line"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// Bounds of a chunk: enough to spread the work, small enough to keep the
// memory of the whole audit to a few megabytes.
const (
	chunkItems = 512
	chunkBytes = 256 << 10
)

// chunk is a stretch of one log on its way through the audit: filled by the
// reader, checked by a worker, taken by the collector in the file's order.
type chunk struct {
	sec   *section
	buf   []byte
	items []item
	marks []wire.Mark // of every entry, one after another
	done  chan struct{}
}

// item is one piece of a chunk, and what a worker found out about it.
type item struct {
	kind     kind
	from, to int // its bytes in the chunk's buffer
	seq      uint64
	entry    int       // for what is attached: the index of its entry
	commit   line.Hash // for a message key: what its epoch's keys say of it
	known    bool      // commit is set

	hash   line.Hash // leaf hash
	outer  outer
	bad    bool // not to be built upon: no entry, or its signature does not hold
	closes *wire.Closes
	opened *opened
}

func (c *chunk) bytes(i *item) []byte { return c.buf[i.from:i.to] }

// leaf returns an entry's signature and leaf.
func (c *chunk) leaf(i *item) (sig [64]byte, leaf []byte) {
	b := c.bytes(i)
	if i.kind == kAhead {
		b = b[8:]
	}
	return [64]byte(b), b[64:]
}

// marksOf returns the marks of the n-th item of the chunk.
func (c *chunk) marksOf(n, others int) []wire.Mark { return c.marks[n*others : (n+1)*others] }

func (c *chunk) reset(s *section) {
	c.sec, c.buf, c.done = s, c.buf[:0], make(chan struct{})
	clear(c.items)
	c.items = c.items[:0]
}

func (c *chunk) add(k kind, seq uint64, b []byte) *item {
	from := len(c.buf)
	c.buf = append(c.buf, b...)
	c.items = append(c.items, item{kind: k, seq: seq, from: from, to: len(c.buf)})
	return &c.items[len(c.items)-1]
}

func (c *chunk) full() bool { return len(c.items) >= chunkItems || len(c.buf) >= chunkBytes }

// filler turns pieces into chunks. Only here is a log's sequence counted.
type filler struct {
	a    *auditor
	c    *chunk
	next uint64 // seq of the log's next entry
	seq  uint64 // of the last entry
	key  uint8  // of the last entry
	at   int    // index of the last entry in the chunk
	// epochs holds the key hashes of the epochs that the next entries may use.
	epochs map[uint64][]byte
}

// section begins a log.
func (f *filler) section(s *section) {
	f.flush()
	f.next, f.epochs = 0, map[uint64][]byte{}
	f.c = <-f.a.free
	f.c.reset(s)
}

// flush hands the present chunk on.
func (f *filler) flush() {
	if f.c == nil {
		return
	}
	c := f.c
	f.c = nil
	f.a.ordered <- c
	f.a.jobs <- func() { f.a.check(c); close(c.done) }
}

// piece takes one piece of a log.
func (f *filler) piece(k kind, b []byte) {
	switch k {
	case kEntry:
		f.entry(k, f.next, b, b[64:])
		f.next++
	case kAhead:
		f.entry(k, binary.BigEndian.Uint64(b), b, b[8+64:])
	case kEpochKeys:
		f.a.disclosed = true
		if f.a.deep {
			f.epoch(b)
		}
	case kKey:
		f.a.disclosed = true
		if f.a.deep {
			f.messageKey(b)
		}
	default:
		f.room()
		f.c.add(k, 0, b)
	}
}

// room makes sure that the chunk takes one more piece.
func (f *filler) room() {
	if f.c.full() {
		s := f.c.sec
		f.flush()
		f.c = <-f.a.free
		f.c.reset(s)
	}
}

func (f *filler) entry(k kind, seq uint64, b, leaf []byte) {
	f.room()
	f.c.add(k, seq, b)
	f.seq, f.at = seq, len(f.c.items)-1
	c := cursor{b: leaf}
	var key uint64
	if c.array(4) && c.uint(&key) && key <= 255 {
		f.key = uint8(key)
	} else {
		f.key = 0 // no entry; a worker will say so
	}
}

// epoch keeps the hashes of an epoch's keys for the entries to come.
func (f *filler) epoch(b []byte) {
	f.c.add(kEpochKeys, f.seq, b).entry = f.at
	for base := range f.epochs {
		if base+tooOld < f.seq {
			delete(f.epochs, base)
		}
	}
	f.epochs[f.seq] = append([]byte{}, b...)
}

// tooOld is the distance beyond which no entry can use an epoch.
const tooOld = 255

func (f *filler) messageKey(b []byte) {
	i := f.c.add(kKey, f.seq, b)
	i.entry = f.at
	if leaves, ok := f.epochs[f.seq-uint64(f.key)]; ok && f.key > 0 {
		i.commit, i.known = line.Hash(leaves[32*int(f.key-1):][:32]), true
	}
}

// check is a worker's part: everything about a chunk that needs nothing from
// outside of it.
func (a *auditor) check(c *chunk) {
	others := len(a.id.members) - 1
	if need := len(c.items) * others; cap(c.marks) < need {
		c.marks = make([]wire.Mark, need)
	} else {
		c.marks = c.marks[:need]
	}
	for n := range c.items {
		i := &c.items[n]
		switch i.kind {
		case kEntry, kAhead:
			a.checkEntry(c, i, c.marksOf(n, others))
		case kHead:
			a.checkHead(c, i)
		case kEpochKeys:
			a.checkEpochKeys(c, i)
		case kKey:
			a.open(c, i)
		}
	}
}

func (a *auditor) checkEntry(c *chunk, i *item, marks []wire.Mark) {
	s := c.sec
	sig, leaf := c.leaf(i)
	i.hash = tlog.LeafHash(leaf)
	o, err := parseOuter(leaf, marks)
	if err == nil && uint64(o.key) > i.seq {
		err = errOuter
	}
	if err != nil {
		i.bad = true
		a.found.add(Fault, "entry-form", s.place(i.seq), s.at(i.seq), "these bytes are not an entry: no honest station signs or keeps them")
	}
	i.outer = o
	if (a.deep || i.kind == kAhead) && s.key != nil {
		a.verifyEntry(s, i.seq, i.hash, sig)
	}
	if err == nil && o.key == 0 {
		a.checkEpoch(s, i)
	}
}

// verifyEntry checks an entry's own signature.
func (a *auditor) verifyEntry(s *section, seq uint64, hash line.Hash, sig [64]byte) {
	a.verified.Add(1)
	if !tlog.VerifyEntry(s.key, s.id, seq, hash, sig) {
		a.found.add(Fault, "entry-signature", s.place(seq), s.at(seq),
			"the signature is not by %s's log key: this entry is not %s's word, or was changed", s.party, s.party)
	}
}

// checkEpoch reads an epoch entry as far as the audit needs it.
func (a *auditor) checkEpoch(s *section, i *item) {
	if !a.deep && i.seq > 0 {
		return
	}
	e, err := wire.ParseEpoch(i.outer.body)
	if err != nil {
		a.found.add(Defect, "epoch-form", s.place(i.seq), s.at(i.seq), "the epoch cannot be read: %v", err)
		return
	}
	if i.seq == 0 {
		i.closes = e.Closes
	} else if e.Closes != nil {
		a.found.add(Fault, "closing-place", s.place(i.seq), s.at(i.seq), "names where a former generation closed; only a generation's first entry may")
	}
}

func (a *auditor) checkHead(c *chunk, i *item) {
	s := c.sec
	if s.key == nil {
		i.bad = true
		return
	}
	h := parseHead(c.bytes(i), s.log)
	a.verified.Add(1)
	if !tlog.VerifyHead(s.key, s.id, tlog.Head{Size: h.Size, Root: h.Root}, h.Sig) {
		i.bad = true
		a.found.add(Fault, "head-signature", s.headPlace(h.Size), s.at(h.Size),
			"the head's signature is not by %s's log key: %s did not state this, or it was changed", s.party, s.party)
	}
}
