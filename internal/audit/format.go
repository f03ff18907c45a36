package audit

import (
	"encoding/binary"
	"errors"
	"fmt"

	"herald/internal/line"
	"herald/internal/seal"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// magic begins every export (spec 10 §1).
const magic = "herald-record/1\n"

// kind is the type of one piece of the file (spec 10 §2).
type kind uint8

const (
	kCharter       kind = 1
	kCard          kind = 2
	kLog           kind = 3
	kEntry         kind = 4
	kEpochKeys     kind = 5
	kKey           kind = 6
	kHead          kind = 7
	kCosig         kind = 8
	kWitness       kind = 9
	kAhead         kind = 10
	kEvidence      kind = 11
	kInconsistency kind = 12
	kEnd           kind = 13
)

var kindNames = [...]string{"", "charter", "card", "log", "entry", "epoch keys", "message key", "head",
	"cosignature", "witness cosignature", "entry ahead of a gap", "evidence", "inconsistency", "end"}

func (k kind) String() string {
	if k >= 1 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("piece of kind %d", uint8(k))
}

// Limits of a file (spec 10 §3).
const (
	maxNote   = 512 << 10 // bytes of a charter note or card
	maxCards  = 4096
	maxLogs   = 4096
	maxProofs = 4096
	maxVKey   = 512
	maxText   = 4096 // bytes of an inconsistency's text
	maxTotal  = 1<<32 - 1
)

// Sizes of pieces, in bytes.
const (
	sizeLog       = 1 + 4
	sizeHead      = 8 + 32 + 64
	sizeCosig     = 8 + 1 + 4 + 8 + 64
	sizeWitness   = 8 + 8 + 64 // and the witness's verifier key
	sizeEpochKeys = seal.EpochKeys * 32
	sizeEnd       = 8 + 8 + 32
)

// bounds gives the smallest and greatest size of each kind of piece.
func (k kind) bounds() (least, most int, ok bool) {
	switch k {
	case kCharter, kCard:
		return 1, maxNote, true
	case kLog:
		return sizeLog, sizeLog, true
	case kEntry:
		return 64 + 1, 64 + wire.MaxEntry, true
	case kEpochKeys:
		return sizeEpochKeys, sizeEpochKeys, true
	case kKey:
		return seal.KeySize, seal.KeySize, true
	case kHead:
		return sizeHead, sizeHead, true
	case kCosig:
		return sizeCosig, sizeCosig, true
	case kWitness:
		return sizeWitness + 1, sizeWitness + maxVKey, true
	case kAhead:
		return 8 + 64 + 1, 8 + 64 + wire.MaxEntry, true
	case kEvidence:
		return sizeLog + 1, sizeLog + tlog.MaxEvidence, true
	case kInconsistency:
		return sizeLog + 8 + 1, sizeLog + 8 + maxText, true
	case kEnd:
		return sizeEnd, sizeEnd, true
	}
	return 0, 0, false
}

// ErrTruncated says that the file ends before its end piece: it was cut short,
// or its export was not finished.
var ErrTruncated = errors.New("the file ends before its end mark: it was cut short, or the export did not finish; copy or export it again")

// ErrFormat says that the bytes are not an export that this release can read.
var ErrFormat = errors.New("not a record that this release can read")

// Witnessed is a neutral witness's cosignature on a head (spec 10 §2).
type Witnessed struct {
	Log  line.Log
	Size uint64
	Key  string // the witness's verifier key, as the charter lists it
	Time uint64 // Unix seconds, as the witness claims
	Sig  [64]byte
}

func appendLog(b []byte, g line.Log) []byte {
	b = append(b, byte(g.Party))
	return binary.BigEndian.AppendUint32(b, uint32(g.Gen))
}

// parseLog reads a log of a line with so many members.
func parseLog(b []byte, members int) (line.Log, error) {
	g := line.Log{Party: int(b[0]), Gen: line.Generation(binary.BigEndian.Uint32(b[1:]))}
	if g.Party >= members || g.Gen == 0 {
		return g, fmt.Errorf("%w: it names generation %d of party %d, and the charter has %d parties", ErrFormat, g.Gen, g.Party, members)
	}
	return g, nil
}

func appendHead(b []byte, h wire.Head) []byte {
	b = binary.BigEndian.AppendUint64(b, h.Size)
	b = append(b, h.Root[:]...)
	return append(b, h.Sig[:]...)
}

func parseHead(b []byte, g line.Log) (h wire.Head) {
	h.Log, h.Size = g, binary.BigEndian.Uint64(b)
	copy(h.Root[:], b[8:])
	copy(h.Sig[:], b[40:])
	return h
}

func appendCosig(b []byte, c wire.Cosig) []byte {
	b = binary.BigEndian.AppendUint64(b, c.Size)
	b = appendLog(b, c.Signer)
	b = binary.BigEndian.AppendUint64(b, c.Time)
	return append(b, c.Sig[:]...)
}

func parseCosig(b []byte, g line.Log, members int) (c wire.Cosig, err error) {
	c.Log, c.Size = g, binary.BigEndian.Uint64(b)
	if c.Signer, err = parseLog(b[8:], members); err != nil {
		return c, err
	}
	c.Time = binary.BigEndian.Uint64(b[13:])
	copy(c.Sig[:], b[21:])
	return c, nil
}

func appendWitness(b []byte, w Witnessed) []byte {
	b = binary.BigEndian.AppendUint64(b, w.Size)
	b = binary.BigEndian.AppendUint64(b, w.Time)
	b = append(b, w.Sig[:]...)
	return append(b, w.Key...)
}

func parseWitness(b []byte, g line.Log) (w Witnessed) {
	w.Log, w.Size, w.Time = g, binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	copy(w.Sig[:], b[16:])
	w.Key = string(b[sizeWitness:])
	return w
}
