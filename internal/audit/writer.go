package audit

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"herald/internal/line"
	"herald/internal/wire"
)

// Meta is what stands at the head of an export.
type Meta struct {
	Charter []byte   // the signed charter note
	Cards   [][]byte // signed cards of all members, every version held; by party in charter order, then version
}

// Statements is what was signed about one log: by its own key, by parties'
// delivery keys, and by witnesses. Any order; the writer sorts. Of two with
// the same size and signer the first counts.
type Statements struct {
	Heads     []wire.Head
	Cosigs    []wire.Cosig
	Witnessed []Witnessed
}

// Writer writes one line's record as a stream. The order of calls is that of
// spec 10 §3: for each log Log, then its entries in sequence, each followed by
// its keys where these are disclosed, then those beyond a gap; after all logs
// the evidence and the inconsistencies; then Close. The same calls give the
// same bytes. After an error every later call returns it.
type Writer struct {
	buf    *bufio.Writer
	sum    hash.Hash
	order  order
	pieces uint64
	log    line.Log
	open   bool
	rest   Statements
	err    error
	piece  []byte
}

// NewWriter begins an export. Errors show with the next call.
func NewWriter(w io.Writer, m Meta) *Writer {
	sum := sha256.New()
	x := &Writer{sum: sum, order: order{members: line.MaxParties}}
	x.buf = bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	if _, err := x.buf.WriteString(magic); err != nil {
		x.fail(err)
	}
	x.put(kCharter, m.Charter)
	for _, c := range m.Cards {
		x.put(kCard, c)
	}
	return x
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = fmt.Errorf("export: %w", err)
	}
}

// put writes one piece, if it may stand here.
func (w *Writer) put(k kind, b []byte) {
	if w.err != nil {
		return
	}
	if least, most, _ := k.bounds(); len(b) < least || len(b) > most {
		w.fail(fmt.Errorf("%s of %d bytes: want %d to %d", k, len(b), least, most))
		return
	}
	if err := w.order.next(k, b); err != nil {
		w.fail(err)
		return
	}
	w.pieces++
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = byte(k)
	n := binary.PutUvarint(head[1:], uint64(len(b)))
	if _, err := w.buf.Write(head[:1+n]); err != nil {
		w.fail(err)
	} else if _, err := w.buf.Write(b); err != nil {
		w.fail(err)
	}
}

// Log begins a log: by party, and within a party from the newest generation
// to the oldest.
func (w *Writer) Log(g line.Log, s Statements) error {
	w.finishLog()
	w.put(kLog, appendLog(w.piece[:0], g))
	w.log, w.open = g, true
	w.rest = s.sorted()
	return w.err
}

// sorted returns copies in the order of the file, without repetitions.
func (s Statements) sorted() Statements {
	out := Statements{slices.Clone(s.Heads), slices.Clone(s.Cosigs), slices.Clone(s.Witnessed)}
	byHead := func(a, b wire.Head) int { return cmp.Compare(a.Size, b.Size) }
	byCosig := func(a, b wire.Cosig) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.Signer.Party, b.Signer.Party), cmp.Compare(a.Signer.Gen, b.Signer.Gen))
	}
	byWitness := func(a, b Witnessed) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.Key, b.Key))
	}
	slices.SortStableFunc(out.Heads, byHead)
	slices.SortStableFunc(out.Cosigs, byCosig)
	slices.SortStableFunc(out.Witnessed, byWitness)
	out.Heads = slices.CompactFunc(out.Heads, func(a, b wire.Head) bool { return byHead(a, b) == 0 })
	out.Cosigs = slices.CompactFunc(out.Cosigs, func(a, b wire.Cosig) bool { return byCosig(a, b) == 0 })
	out.Witnessed = slices.CompactFunc(out.Witnessed, func(a, b Witnessed) bool { return byWitness(a, b) == 0 })
	return out
}

// state writes what was stated about exactly this size, and drops what was
// stated about lesser ones.
func (w *Writer) state(size uint64) {
	r := &w.rest
	for ; len(r.Heads) > 0 && r.Heads[0].Size <= size; r.Heads = r.Heads[1:] {
		if r.Heads[0].Size == size {
			w.put(kHead, appendHead(w.piece[:0], r.Heads[0]))
		}
	}
	for ; len(r.Cosigs) > 0 && r.Cosigs[0].Size <= size; r.Cosigs = r.Cosigs[1:] {
		if r.Cosigs[0].Size == size {
			w.put(kCosig, appendCosig(w.piece[:0], r.Cosigs[0]))
		}
	}
	for ; len(r.Witnessed) > 0 && r.Witnessed[0].Size <= size; r.Witnessed = r.Witnessed[1:] {
		if r.Witnessed[0].Size == size {
			w.put(kWitness, appendWitness(w.piece[:0], r.Witnessed[0]))
		}
	}
}

// finishLog writes what was stated about sizes that the log has reached, and
// about greater ones that a signed head names. A cosignature of a greater size
// without a head says nothing that could be checked, and is left out.
func (w *Writer) finishLog() {
	if !w.open {
		return
	}
	w.open = false
	w.state(w.order.size)
	for len(w.rest.Heads) > 0 {
		w.state(w.rest.Heads[0].Size)
	}
	w.rest = Statements{}
}

// Entry adds the log's next entry.
func (w *Writer) Entry(sig [64]byte, leaf []byte) error {
	w.state(w.order.size)
	w.piece = append(append(w.piece[:0], sig[:]...), leaf...)
	w.put(kEntry, w.piece)
	return w.err
}

// EpochKeys adds, right after an epoch's entry, the 255 hashes of its message
// keys (seal.Epoch.Leaves). They are no secret: they show that a disclosed key
// is the one that the author committed to.
func (w *Writer) EpochKeys(leaves []byte) error {
	w.put(kEpochKeys, leaves)
	return w.err
}

// Key adds, right after a sealed entry, its message key: whoever reads the
// file can then read that entry and no other.
func (w *Writer) Key(mk [32]byte) error {
	w.put(kKey, mk[:])
	return w.err
}

// Ahead adds an entry that is held beyond a gap in the log's sequence.
func (w *Writer) Ahead(seq uint64, sig [64]byte, leaf []byte) error {
	w.finishLog()
	w.piece = binary.BigEndian.AppendUint64(w.piece[:0], seq)
	w.piece = append(append(w.piece, sig[:]...), leaf...)
	w.put(kAhead, w.piece)
	return w.err
}

// Evidence adds a proof of two histories of a log, in the encoding of
// tlog.Evidence.
func (w *Writer) Evidence(g line.Log, proof []byte) error {
	w.finishLog()
	w.piece = append(appendLog(w.piece[:0], g), proof...)
	w.put(kEvidence, w.piece)
	return w.err
}

// Inconsistency adds, in words, what the exporting party saw about a log and
// cannot prove. Found is its own clock's Unix time in seconds.
func (w *Writer) Inconsistency(g line.Log, found int64, text string) error {
	w.finishLog()
	w.piece = binary.BigEndian.AppendUint64(appendLog(w.piece[:0], g), uint64(found))
	w.piece = append(w.piece, text...)
	w.put(kInconsistency, w.piece)
	return w.err
}

// Close writes the end mark. It does not close or sync what is below.
func (w *Writer) Close() error {
	w.finishLog()
	if w.err != nil {
		return w.err
	}
	if err := w.buf.Flush(); err != nil {
		w.fail(err)
		return w.err
	}
	end := binary.BigEndian.AppendUint64(nil, w.pieces)
	end = binary.BigEndian.AppendUint64(end, w.order.total)
	end = w.sum.Sum(end)
	w.put(kEnd, end)
	if err := w.buf.Flush(); err != nil {
		w.fail(err)
	}
	if w.err != nil {
		return w.err
	}
	w.err = errors.New("export: already finished")
	return nil
}
