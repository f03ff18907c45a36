package audit

import (
	"crypto/ed25519"
	"fmt"

	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// section is one log of the file. What is above the line stays as the reader
// made it; the rest belongs to the collector.
type section struct {
	log   line.Log
	id    line.LogID
	party line.Party
	key   ed25519.PublicKey // nil where no card certifies it
	// ----
	tree     tlog.Tree
	trail    trail
	marks    []wire.Mark // of the last entry
	broken   bool        // an entry has no marks: ranks end there
	ranked   uint64      // entries in the trail
	closes   *wire.Closes
	closings []closing // where this log is said to have ended

	head    tlog.Head // greatest good head within the sequence
	headed  bool
	beyond  tlog.Head // greatest signed head past the sequence
	tail    []tailEntry
	ahead   [][2]uint64
	seals   [][16]byte          // halves of the leaf hashes, when references are checked
	past    map[uint64][16]byte // the same for entries beyond a gap
	epochs  uint64
	sealed  uint64 // sealed entries that were not opened
	kinds   map[wire.Kind]uint64
	opened  uint64
	card    *keys.Card // the author's, by its last card entry
	carded  bool       // a card entry was seen
	unknown bool       // a card entry since then may be hidden or not in the file

	cosigs    map[line.Log]cosigned // guarded by auditor.mu
	witnesses map[string]cosigned   // guarded by auditor.mu
}

// closing is somebody's word on where a log ended.
type closing struct {
	size uint64
	root line.Hash
	by   string
}

// cosigned is the greatest size that one signer cosigned.
type cosigned struct{ size, time uint64 }

// tailEntry is an entry that no good head covers yet.
type tailEntry struct {
	seq  uint64
	hash line.Hash
	sig  [64]byte
}

func (s *section) name() string { return logName(s.party, s.log.Gen) }

func logName(p line.Party, g line.Generation) string {
	return fmt.Sprintf("%s generation %d", p, g)
}

func (s *section) place(seq uint64) string { return fmt.Sprintf("%s, entry %d", s.name(), seq) }

func (s *section) headPlace(size uint64) string {
	return fmt.Sprintf("%s, head of size %d", s.name(), size)
}

func (s *section) at(seq uint64) line.Pos { return line.Pos{Log: s.log, Seq: seq} }

// newSection begins a log, in the reader.
func (a *auditor) newSection(g line.Log) *section {
	m := a.id.members[g.Party]
	s := &section{
		log: g, party: m.code, id: line.NewLogID(a.id.line, m.code, g.Gen), marks: firstMarks(len(a.id.members) - 1),
		kinds: map[wire.Kind]uint64{}, cosigs: map[line.Log]cosigned{}, past: map[uint64][16]byte{}, witnesses: map[string]cosigned{},
	}
	gen, ok := a.id.generation(g)
	if ok {
		s.key = gen.Log
	} else {
		a.found.add(Fault, "log-key", s.name(), s.at(0), "no card in the file certifies the keys of this generation: nothing in this log can be attributed to %s", m.code)
	}
	return s
}

// collect is the part that needs the file's order. It ends when the reader
// closes the channel.
func (a *auditor) collect() {
	var s *section
	for c := range a.ordered {
		<-c.done
		if c.sec != s {
			a.finish(s)
			s = c.sec
			a.begin(s)
		}
		for n := range c.items {
			a.take(c, n)
		}
		a.free <- c
	}
	a.finish(s)
}

// begin learns where this log is said to have ended.
func (a *auditor) begin(s *section) {
	a.sections = append(a.sections, s)
	a.byLog[s.log] = s
	s.closings = a.id.closings(s.log)
	next := line.Log{Party: s.log.Party, Gen: s.log.Gen + 1}
	if n, ok := a.byLog[next]; ok && n.closes != nil {
		s.closings = append(s.closings, closing{n.closes.Size, line.Hash(n.closes.Root), n.place(0)})
	}
	for _, c := range s.closings[min(1, len(s.closings)):] {
		if first := s.closings[0]; c.size != first.size || c.root != first.root {
			a.found.add(Note, "closing-differs", s.name(), s.at(c.size), "%s says that it closed at %d entries, %s at %d or with another root: the card is right", c.by, c.size, first.by, first.size)
		}
	}
	a.atSize(s)
}

func (a *auditor) take(c *chunk, n int) {
	s, i := c.sec, &c.items[n]
	switch i.kind {
	case kEntry:
		a.takeEntry(c, n)
	case kAhead:
		a.takeAhead(c, n)
	case kHead:
		a.takeHead(s, parseHead(c.bytes(i), s.log), !i.bad)
	case kCosig:
		if co, err := parseCosig(c.bytes(i), s.log, len(a.id.members)); err == nil { // checked by order
			a.takeCosig(s, co)
		}
	case kWitness:
		a.takeWitness(s, parseWitness(c.bytes(i), s.log))
	case kKey:
		if i.opened != nil {
			a.judge(s, i.seq, c.items[i.entry].outer.time, i.opened)
		}
	}
}

func (a *auditor) takeEntry(c *chunk, n int) {
	s, i := c.sec, &c.items[n]
	a.noteEntry(c, i, n)
	if i.bad {
		s.broken = true
	}
	if !s.broken {
		marks := c.marksOf(n, len(s.marks))
		a.checkMarks(s, i.seq, marks)
		s.trail.add(s.marks, marks)
		copy(s.marks, marks)
		s.ranked++
	}
	if i.seq == 0 {
		a.checkOpening(s, i)
	}
	s.tree.Append(i.hash)
	a.atSize(s)
	if !a.deep && s.key != nil {
		sig, _ := c.leaf(i)
		s.tail = append(s.tail, tailEntry{i.seq, i.hash, sig})
		if len(s.tail) == 2*tailLimit {
			a.verifyTail(s, s.tail[:tailLimit])
			s.tail = append(s.tail[:0], s.tail[tailLimit:]...)
		}
	}
}

// tailLimit bounds the entries kept until a head covers them; older ones are
// checked by their own signatures.
const tailLimit = 1024

// verifyTail checks entries that no head covers by their own signatures.
func (a *auditor) verifyTail(s *section, tail []tailEntry) {
	if len(tail) == 0 {
		return
	}
	tail = append([]tailEntry{}, tail...)
	a.jobs <- func() {
		for _, t := range tail {
			a.verifyEntry(s, t.seq, t.hash, t.sig)
		}
	}
}

// noteEntry counts an entry and keeps what references are compared with.
func (a *auditor) noteEntry(c *chunk, i *item, n int) {
	s := c.sec
	a.entries++
	switch {
	case i.bad:
	case i.outer.key == 0:
		s.epochs++
	case n+1 < len(c.items) && c.items[n+1].kind == kKey && c.items[n+1].opened != nil:
		s.opened++
	default:
		s.sealed++
		s.unknown = true // it may have been a card entry
	}
	if !a.deep {
		return
	}
	if i.kind == kEntry {
		s.seals = append(s.seals, half(i.hash))
	} else {
		s.past[i.seq] = half(i.hash)
	}
}

// checkMarks says when an entry has seen less than its author had before.
func (a *auditor) checkMarks(s *section, seq uint64, marks []wire.Mark) {
	for j, m := range marks {
		if f := s.marks[j]; m.Gen < f.Gen || m.Gen == f.Gen && m.Size < f.Size {
			p := a.id.members[wire.Marked(s.log.Party, j)].code
			a.found.add(Fault, "marks-shrink", s.place(seq), s.at(seq),
				"says that %s held %d entries of %s, after an entry that said %d: %s broke the rules of its log, or runs two stations on one key",
				s.party, m.Size, logName(p, m.Gen), f.Size, s.party)
		}
	}
}

// checkOpening holds a log's first entry to the rule of generations.
func (a *auditor) checkOpening(s *section, i *item) {
	s.closes = i.closes
	switch {
	case i.bad:
	case s.log.Gen == 1 && i.closes != nil:
		a.found.add(Fault, "closing-place", s.place(0), s.at(0), "names where a former generation closed; there is none before generation 1")
	case s.log.Gen > 1 && i.closes == nil:
		a.found.add(Fault, "opening", s.place(0), s.at(0), "does not name where generation %d closed, as the first entry of a generation must", s.log.Gen-1)
	}
}

// atSize compares the log with what was said about where it ended.
func (a *auditor) atSize(s *section) {
	for _, c := range s.closings {
		if c.size != s.tree.Size() {
			continue
		}
		if root := s.tree.Root(); root != c.root {
			a.found.add(Fault, "closing-root", s.name(), s.at(c.size),
				"%s says that it closed at %d entries with root %s; the entries in the file have root %s", c.by, c.size, c.root, root)
		}
	}
}

func (a *auditor) takeHead(s *section, h wire.Head, good bool) {
	if h.Size > s.tree.Size() {
		s.beyond = tlog.Head{Size: h.Size, Root: h.Root}
		return
	}
	if root := s.tree.Root(); root != h.Root {
		a.found.add(Fault, "head-root", s.headPlace(h.Size), s.at(h.Size),
			"the head has root %s; the entries in the file have root %s: the entries were changed, or %s has two histories", h.Root, root, s.party)
		return
	}
	if good {
		s.head, s.headed = tlog.Head{Size: h.Size, Root: h.Root}, true
		s.tail = s.tail[:0]
	}
}

// takeAhead notes an entry that lies beyond a gap.
func (a *auditor) takeAhead(c *chunk, n int) {
	s, i := c.sec, &c.items[n]
	a.noteEntry(c, i, n)
	if k := len(s.ahead); k > 0 && s.ahead[k-1][1] == i.seq {
		s.ahead[k-1][1]++
		return
	}
	s.ahead = append(s.ahead, [2]uint64{i.seq, i.seq + 1})
}

// finish says what is left to say when a log's pieces are through.
func (a *auditor) finish(s *section) {
	if s == nil {
		return
	}
	size := s.tree.Size()
	a.verifyTail(s, s.tail)
	s.tail = nil
	if n := size - s.head.Size; n > 0 && s.key != nil {
		a.found.add(Note, "headless", s.name(), s.at(s.head.Size),
			"the last %d entries are under no signed head in the file; each stands on its own signature", n)
	}
	if s.beyond.Size > size {
		a.found.add(Note, "missing-tail", s.name(), s.at(size),
			"%s signed a head of %d entries; the file holds the first %d: the rest was not here when it was exported, or was left out", s.party, s.beyond.Size, size)
	}
	for n, r := range s.ahead {
		from := size
		if n > 0 {
			from = s.ahead[n-1][1]
		}
		a.found.add(Note, "gap", s.name(), s.at(from), "entries %d to %d are not in the file; %d to %d beyond the gap are, each on its own signature", from, r[0]-1, r[0], r[1]-1)
	}
	for _, c := range s.closings {
		switch {
		case c.size > size:
			a.found.add(Note, "missing-tail", s.name(), s.at(size), "%s says that it closed at %d entries; the file holds the first %d", c.by, c.size, size)
		case c.size < size:
			a.found.add(Note, "disowned", s.name(), s.at(c.size),
				"%s says that it closed at %d entries: those from %d on bear its key's signature, and the party has disowned them", c.by, c.size, c.size)
		}
	}
}
