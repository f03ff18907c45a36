package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"herald/internal/line"
	"herald/internal/wire"
)

// Options say how to audit.
type Options struct {
	// Deep also checks every entry's own signature, and opens and checks what
	// entries say where the file has their keys.
	Deep bool
	// Roots are hashes of parties' root keys (keys.RootPublic.Hash), learnt
	// otherwise than from the file: from cards exchanged in person, or
	// compared by safety words. A party left out is taken from the file, and
	// the report says so.
	Roots map[line.Party][32]byte
}

// auditor is one run. The reader fills chunks, workers check them, the
// collector takes them in the file's order.
type auditor struct {
	opt  Options
	deep bool
	id   *identity

	found    findings
	verified atomic.Uint64 // signatures

	free    chan *chunk
	jobs    chan func()
	ordered chan *chunk

	mu sync.Mutex // guards what jobs write into sections

	// Of the reader.
	disclosed bool

	// Of the collector.
	sections   []*section
	byLog      map[line.Log]*section
	entries    uint64
	references []reference
	released   map[[16]byte]bool
}

// Run audits an export as it reads it. It holds no entries: memory grows by
// some 6 bytes an entry for two parties (ranks, and how far each entry had
// seen the other), with Deep by 16 more and by 64 for each reference to a
// later log and each release.
//
// The error says that the file could not be read: ErrTruncated, ErrFormat,
// ctx's error, or r's. Whatever the file proves or fails to prove is in the
// report.
func Run(ctx context.Context, r io.Reader, opt Options) (Report, error) {
	rd, err := newReader(ctx, r)
	if err != nil {
		return Report{}, err
	}
	a := newAuditor(opt)
	if err := a.file(rd); err != nil {
		return Report{}, err
	}
	if rd.damaged {
		a.found.add(Fault, "changed", "end of the file", line.Pos{}, "the file's own check does not fit: it was damaged or changed after it was exported")
	}
	a.concludeReferences()
	return a.report(a.rank()), nil
}

func newAuditor(opt Options) *auditor {
	return &auditor{opt: opt, deep: opt.Deep, byLog: map[line.Log]*section{}, released: map[[16]byte]bool{}}
}

// file reads the whole file, and starts and ends what works on it.
func (a *auditor) file(rd *reader) error {
	k, b, err := a.prologue(rd)
	if err != nil {
		return err
	}
	workers := runtime.GOMAXPROCS(0)
	chunks := 4*workers + 4
	a.free, a.ordered, a.jobs = make(chan *chunk, chunks), make(chan *chunk, chunks), make(chan func(), chunks)
	for range chunks {
		a.free <- &chunk{}
	}
	var work, collect sync.WaitGroup
	for range workers {
		work.Go(func() {
			for j := range a.jobs {
				j()
			}
		})
	}
	collect.Go(a.collect)
	err = a.pieces(rd, k, b)
	close(a.ordered)
	collect.Wait()
	close(a.jobs) // only now: the collector makes jobs too
	work.Wait()
	return err
}

// prologue reads the charter and the cards, and returns the piece after them.
func (a *auditor) prologue(rd *reader) (kind, []byte, error) {
	k, b, err := rd.next()
	if err != nil {
		return 0, nil, err
	}
	if k != kCharter { // order has refused all else
		return 0, nil, ErrFormat
	}
	note := append([]byte{}, b...)
	if a.id, err = newIdentity(note); err != nil {
		return 0, nil, err
	}
	rd.order.members = len(a.id.members)
	for n := 1; ; n++ {
		if k, b, err = rd.next(); err != nil {
			return 0, nil, err
		}
		if k != kCard {
			a.settle(note)
			return k, b, nil
		}
		a.takeCardNote(n, b)
	}
}

// pieces reads from the given piece to the end.
func (a *auditor) pieces(rd *reader, k kind, b []byte) (err error) {
	f := filler{a: a}
	defer f.flush()
	for ; ; k, b, err = rd.next() {
		if err != nil {
			return err
		}
		switch k {
		case kEnd:
			return nil
		case kLog:
			g, err := parseLog(b, len(a.id.members))
			if err != nil {
				return err
			}
			f.section(a.newSection(g))
		case kEvidence, kInconsistency:
			f.flush()
			if err := a.proof(k, b); err != nil {
				return err
			}
		default:
			f.piece(k, b)
		}
	}
}

// proof takes the file's evidence, or its words about what is no evidence.
func (a *auditor) proof(k kind, b []byte) error {
	g, err := parseLog(b, len(a.id.members))
	if err != nil {
		return err
	}
	place := logName(a.id.members[g.Party].code, g.Gen)
	if k == kEvidence {
		a.prove(b[sizeLog:], place, true)
		return nil
	}
	text := string(b[sizeLog+8:])
	if err := wire.CheckText(text, maxText); err != nil {
		return fmt.Errorf("%w: inconsistency: %w", ErrFormat, err)
	}
	a.found.add(Note, "inconsistency", place, line.Pos{Log: g}, "the exporting party saw, and cannot prove (its clock: %s): %s", utc(binary.BigEndian.Uint64(b[sizeLog:])), text)
	return nil
}

// standing is what became of the order of entries.
type standing struct {
	ranked, unsettled uint64
	greatest          uint32
}

// ranker computes the causal order, once every log was read (spec 07 §3).
func (a *auditor) ranker() *ranker {
	r := ranker{logs: map[line.Log]*ranked{}}
	for _, s := range a.sections {
		l := &ranked{log: s.log, trail: s.trail, size: s.ranked, marks: make([]wire.Mark, len(s.marks)), ranks: make([]uint32, 0, s.ranked)}
		if s.closes != nil {
			l.closes = s.closes.Size
		}
		r.add(l)
	}
	r.run()
	return &r
}

// rank says what became of the causal order.
func (a *auditor) rank() standing {
	r := a.ranker()
	var st standing
	for _, l := range r.turn {
		st.ranked += uint64(len(l.ranks))
		for _, x := range l.ranks[max(0, len(l.ranks)-1):] {
			st.greatest = max(st.greatest, x)
		}
	}
	st.unsettled = a.entries - st.ranked
	for _, l := range r.circles() {
		p := line.Pos{Log: l.log, Seq: uint64(len(l.ranks))}
		a.found.add(Fault, "order-circle", a.placeOf(p), p, "this entry says that it came after another that says it came after this one: one of their authors wrote down what it had not seen")
	}
	if st.unsettled > 0 {
		a.found.add(Note, "unsettled", "", line.Pos{}, "%d entries have no place in the order yet: they name entries that the file does not hold", st.unsettled)
	}
	return st
}
