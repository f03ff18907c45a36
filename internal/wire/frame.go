package wire

import (
	"encoding/binary"
	"fmt"
	"math"

	"herald/internal/line"
)

// FrameType is a session frame's first byte, less its urgent bit
// (spec 08 §2).
type FrameType uint8

// The frames of a session.
const (
	FrameHello    FrameType = 1 // who I am, what I speak, what I hold; opens a channel
	FrameHave     FrameType = 2 // what I hold
	FrameEntry    FrameType = 3
	FrameHead     FrameType = 4
	FrameCosig    FrameType = 5
	FrameWantCard FrameType = 6
	FrameCard     FrameType = 7
	FrameWantBlob FrameType = 8
	FrameChunk    FrameType = 9
	FrameRefuse   FrameType = 11 // why this channel is not served
	FramePart     FrameType = 12 // a piece of a frame that is larger than the bearer's
)

const urgentBit = 0x80

// Frame is one session frame: a type with an urgent bit that a blind relay
// may act on, the channel, which stands for the line on this connection, and
// the payload.
type Frame struct {
	Type    FrameType
	Urgent  bool
	Channel uint64
	Payload []byte
}

// Append writes the frame's bytes after b.
func (f Frame) Append(b []byte) []byte {
	t := byte(f.Type)
	if f.Urgent {
		t |= urgentBit
	}
	b = append(b, t)
	b = binary.AppendUvarint(b, f.Channel)
	return append(b, f.Payload...)
}

// ParseFrame splits a frame. The payload is not looked into.
func ParseFrame(b []byte) (Frame, error) {
	if len(b) < 2 || len(b) > MaxFrame {
		return Frame{}, fmt.Errorf("frame: %w: %d bytes", ErrFormat, len(b))
	}
	ch, n, err := uvarint(b[1:])
	if err != nil {
		return Frame{}, fmt.Errorf("frame: %w: channel", err)
	}
	return Frame{
		Type: FrameType(b[0] &^ urgentBit), Urgent: b[0]&urgentBit != 0,
		Channel: ch, Payload: b[1+n:],
	}, nil
}

// uvarint reads a shortest-form unsigned varint.
func uvarint(b []byte) (uint64, int, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || (n > 1 && b[n-1] == 0) {
		return 0, 0, ErrFormat
	}
	return v, n, nil
}

// appendLog writes party and generation: one byte up to generation 14, else
// the low half byte 15 and the generation (spec 08 §2).
func appendLog(b []byte, l line.Log) []byte {
	if l.Gen < 15 {
		return append(b, byte(l.Party)<<4|byte(l.Gen))
	}
	b = append(b, byte(l.Party)<<4|15)
	return binary.AppendUvarint(b, uint64(l.Gen))
}

func parseLog(b []byte) (line.Log, []byte, error) {
	if len(b) == 0 {
		return line.Log{}, nil, ErrFormat
	}
	l := line.Log{Party: int(b[0] >> 4), Gen: line.Generation(b[0] & 15)}
	b = b[1:]
	if l.Gen == 15 {
		g, n, err := uvarint(b)
		if err != nil || g < 15 || g > math.MaxUint32 {
			return l, nil, ErrFormat
		}
		l.Gen, b = line.Generation(g), b[n:]
	}
	if l.Gen == 0 {
		return l, nil, ErrFormat
	}
	return l, b, nil
}

// SignedEntry is an entry on its way: where it stands, the log key's
// signature, and the leaf.
type SignedEntry struct {
	Pos  line.Pos
	Sig  [64]byte
	Leaf []byte
}

// Append writes the payload of an entry frame.
func (e SignedEntry) Append(b []byte) []byte {
	b = appendLog(b, e.Pos.Log)
	b = binary.AppendUvarint(b, e.Pos.Seq)
	b = append(b, e.Sig[:]...)
	return append(b, e.Leaf...)
}

// ParseSignedEntry reads the payload of an entry frame. Leaf shares b.
func ParseSignedEntry(b []byte) (e SignedEntry, err error) {
	if e.Pos, b, err = parsePos(b); err != nil {
		return e, fmt.Errorf("entry frame: %w", err)
	}
	if len(b) <= 64 || len(b) > 64+MaxEntry {
		return e, fmt.Errorf("entry frame: %w: %d bytes after the position", ErrFormat, len(b))
	}
	copy(e.Sig[:], b)
	e.Leaf = b[64:]
	return e, nil
}

func parsePos(b []byte) (p line.Pos, rest []byte, err error) {
	if p.Log, b, err = parseLog(b); err != nil {
		return p, nil, err
	}
	v, n, err := uvarint(b)
	if err != nil {
		return p, nil, err
	}
	p.Seq = v
	return p, b[n:], nil
}

// Head is a log's signed head on its way. The receiver compares the root with
// its own tree once it holds the entries.
type Head struct {
	Log  line.Log
	Size uint64
	Root line.Hash
	Sig  [64]byte
}

// Append writes the payload of a head frame.
func (h Head) Append(b []byte) []byte {
	b = appendLog(b, h.Log)
	b = binary.AppendUvarint(b, h.Size)
	b = append(b, h.Root[:]...)
	return append(b, h.Sig[:]...)
}

// ParseHead reads the payload of a head frame.
func ParseHead(b []byte) (h Head, err error) {
	p, b, err := parsePos(b)
	if err != nil || len(b) != 32+64 {
		return h, fmt.Errorf("head frame: %w", ErrFormat)
	}
	h.Log, h.Size = p.Log, p.Seq
	copy(h.Root[:], b)
	copy(h.Sig[:], b[32:])
	return h, nil
}

// Cosig is a party's statement that it durably holds every leaf of Log below
// Size. The root is not carried: who holds the entries knows it.
type Cosig struct {
	Log    line.Log
	Size   uint64
	Signer line.Log // party and generation whose delivery key signed
	Time   uint64   // claimed by the signer, Unix seconds
	Sig    [64]byte
}

// Append writes the payload of a cosignature frame.
func (c Cosig) Append(b []byte) []byte {
	b = appendLog(b, c.Log)
	b = binary.AppendUvarint(b, c.Size)
	b = appendLog(b, c.Signer)
	b = binary.AppendUvarint(b, c.Time)
	return append(b, c.Sig[:]...)
}

// ParseCosig reads the payload of a cosignature frame.
func ParseCosig(b []byte) (c Cosig, err error) {
	p, b, err := parsePos(b)
	if err != nil {
		return c, fmt.Errorf("cosignature frame: %w", err)
	}
	q, b, err := parsePos(b)
	if err != nil || len(b) != 64 {
		return c, fmt.Errorf("cosignature frame: %w", ErrFormat)
	}
	c.Log, c.Size, c.Signer, c.Time = p.Log, p.Seq, q.Log, q.Seq
	copy(c.Sig[:], b)
	return c, nil
}

// Hello opens a channel on a connection, or heads a courier's bundle
// (spec 08 §3).
type Hello struct {
	Versions []uint16 `cbor:"0,keyasint"` // protocol versions that I speak, best first
	Suites   []uint16 `cbor:"1,keyasint"` // sealing suites that I can open, best first
	Line     []byte   `cbor:"2,keyasint"` // 32 bytes
	Party    uint8    `cbor:"3,keyasint"` // charter index of the speaker
	Charter  []byte   `cbor:"4,keyasint"` // SHA-256 of the charter text in force
	Have     Have     `cbor:"5,keyasint"`
}

// Have sums up what a station holds of a line. A full one replaces what the
// other side believed; a partial one only adds to it.
type Have struct {
	Full  bool       `cbor:"0,keyasint,omitempty"`
	Logs  []HaveLog  `cbor:"1,keyasint,omitempty"`
	Cards []HaveCard `cbor:"2,keyasint,omitempty"`
}

// HaveLog is what is held of one log.
type HaveLog struct {
	_        struct{} `cbor:",toarray"`
	Party    uint8
	Gen      uint32
	Size     uint64      // every entry below is held
	Ahead    [][2]uint64 // ranges [first, end) held beyond Size
	Head     uint64      // size of the greatest signed head held
	Cosigned []HaveCosig
}

// HaveCosig is the greatest cosignature held of one signer.
type HaveCosig struct {
	_     struct{} `cbor:",toarray"`
	Party uint8
	Gen   uint32
	Size  uint64
}

// HaveCard names a card by its hash.
type HaveCard struct {
	_       struct{} `cbor:",toarray"`
	Party   uint8
	Version uint32
	Hash    []byte
}

// ParseHello reads a hello and checks its bounds.
func ParseHello(b []byte) (h Hello, err error) {
	if err = Unmarshal(b, MaxFrame, &h); err != nil {
		return h, fmt.Errorf("hello: %w", err)
	}
	if len(h.Line) != 32 || len(h.Charter) != 32 || h.Party >= line.MaxParties ||
		len(h.Versions) == 0 || len(h.Versions) > 16 || len(h.Suites) == 0 || len(h.Suites) > 16 {
		return h, fmt.Errorf("hello: %w", ErrFormat)
	}
	return h, h.Have.check()
}

// ParseHave reads a summary and checks its bounds.
func ParseHave(b []byte) (h Have, err error) {
	if err = Unmarshal(b, MaxFrame, &h); err != nil {
		return h, fmt.Errorf("have: %w", err)
	}
	return h, h.check()
}

func (h Have) check() error {
	if len(h.Logs) > MaxLogs || len(h.Cards) > MaxLogs {
		return fmt.Errorf("have: %w: too many logs", ErrFormat)
	}
	for _, l := range h.Logs {
		if l.Gen == 0 || l.Party >= line.MaxParties || len(l.Ahead) > MaxRanges || len(l.Cosigned) > MaxLogs {
			return fmt.Errorf("have: %w: log %d/%d", ErrFormat, l.Party, l.Gen)
		}
		end := l.Size
		for _, r := range l.Ahead {
			if r[0] <= end || r[1] <= r[0] {
				return fmt.Errorf("have: %w: ranges out of order", ErrFormat)
			}
			end = r[1]
		}
		for _, c := range l.Cosigned {
			if c.Gen == 0 || c.Party >= line.MaxParties {
				return fmt.Errorf("have: %w: cosigner %d/%d", ErrFormat, c.Party, c.Gen)
			}
		}
	}
	for _, c := range h.Cards {
		if c.Party >= line.MaxParties || len(c.Hash) != 32 {
			return fmt.Errorf("have: %w: card of party %d", ErrFormat, c.Party)
		}
	}
	return nil
}

// WantBlob asks for chunks of an attachment (spec 08 §6).
type WantBlob struct {
	Root  []byte `cbor:"0,keyasint"`
	First uint64 `cbor:"1,keyasint"` // chunks [First, End)
	End   uint64 `cbor:"2,keyasint"`
}

// Chunk carries one chunk of an attachment.
type Chunk struct {
	_     struct{} `cbor:",toarray"`
	Root  []byte
	Index uint64
	Data  []byte
}

// ParsePart reads the payload of a part: which frame, where in it, how long
// the whole frame is, and the bytes (spec 08 §2).
func ParsePart(b []byte) (id, offset, total uint64, data []byte, err error) {
	var v [3]uint64
	for i := range v {
		n := 0
		if v[i], n, err = uvarint(b); err != nil {
			return 0, 0, 0, nil, fmt.Errorf("part: %w", err)
		}
		b = b[n:]
	}
	id, offset, total = v[0], v[1], v[2]
	if total > MaxFrame || total < 2 || offset > total || uint64(len(b)) > total-offset || len(b) == 0 {
		return 0, 0, 0, nil, fmt.Errorf("part: %w", ErrFormat)
	}
	return id, offset, total, b, nil
}
