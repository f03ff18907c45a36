package wire

import (
	"fmt"

	"herald/internal/line"

	"github.com/fxamacker/cbor/v2"
)

// Entry is one leaf of a log (spec 05 §1). The signature stands outside.
type Entry struct {
	_ struct{} `cbor:",toarray"`
	// Key is 0 for an epoch entry, whose body is in clear; else the distance
	// to the epoch entry whose message key seals the body.
	Key uint8
	// Time is what the author claims, in Unix seconds.
	Time uint64
	// Body is an Epoch when Key is 0, else a sealed Inner.
	Body []byte
	// After says, for every other party in charter order, how much of its log
	// the author had when it wrote this.
	After []Mark
}

// Mark is a size of a party's log in one generation. In generation 1 it is
// written as a bare number, since nearly all are (spec 05 §1).
type Mark struct {
	Gen  line.Generation
	Size uint64
}

// Marked is the party that an entry's i-th mark is about: marks stand in
// charter order, the author left out.
func Marked(author, i int) int {
	if i >= author {
		return i + 1
	}
	return i
}

type longMark struct {
	_    struct{} `cbor:",toarray"`
	Gen  uint32
	Size uint64
}

// MarshalCBOR writes a bare size in generation 1, else [generation, size].
func (m Mark) MarshalCBOR() ([]byte, error) {
	if m.Gen == 1 {
		return codec().enc.Marshal(m.Size)
	}
	return codec().enc.Marshal(longMark{Gen: uint32(m.Gen), Size: m.Size})
}

// UnmarshalCBOR reads either form.
func (m *Mark) UnmarshalCBOR(b []byte) error {
	if len(b) > 0 && b[0]>>5 == 0 {
		m.Gen = 1
		return codec().dec.Unmarshal(b, &m.Size)
	}
	var l longMark
	if err := codec().dec.Unmarshal(b, &l); err != nil {
		return err
	}
	if l.Gen == 0 {
		return fmt.Errorf("generation 0")
	}
	m.Gen, m.Size = line.Generation(l.Gen), l.Size
	return nil
}

// ParseEntry reads an entry's outer structure. Members is the number of
// parties on the line. An error means that the entry is refused: nothing
// inside the seal can cause one.
func ParseEntry(leaf []byte, members int) (Entry, error) {
	var e Entry
	if err := Unmarshal(leaf, MaxEntry, &e); err != nil {
		return e, fmt.Errorf("entry: %w", err)
	}
	if len(e.After) != members-1 {
		return e, fmt.Errorf("entry: %w: names %d other logs, the line has %d", ErrFormat, len(e.After), members-1)
	}
	return e, nil
}

// outer is an entry with null in the place of its body.
type outer struct {
	_     struct{} `cbor:",toarray"`
	Key   uint8
	Time  uint64
	Body  *struct{}
	After []Mark
}

// Context is the associated data's tail: what of the entry stands outside the
// seal, in the entry's own encoding (spec 06 §4).
func (e Entry) Context() []byte {
	return Marshal(outer{Key: e.Key, Time: e.Time, After: e.After})
}

// Epoch is the body of an entry whose Key is 0 (spec 06 §2).
type Epoch struct {
	// Secrets holds the epoch secret sealed to each other party, by charter
	// index. Empty in an opening entry that only publishes a receive key.
	Secrets map[uint8]SealedSecret `cbor:"1,keyasint,omitempty"`
	// Keys is the RFC 6962 root over the epoch's message keys.
	Keys []byte `cbor:"2,keyasint,omitempty"`
	// Receive is the author's next HPKE receive key.
	Receive []byte `cbor:"3,keyasint,omitempty"`
	// ReceiveIndex numbers Receive; the card's key is 0.
	ReceiveIndex uint32 `cbor:"4,keyasint,omitempty"`
	// Oldest is the base of the oldest epoch that any later entry may use.
	Oldest uint64 `cbor:"5,keyasint,omitempty"`
	// Closes tells where the author's former generation ended; only in the
	// first entry of a generation after the first.
	Closes *Closes `cbor:"6,keyasint,omitempty"`
}

// SealedSecret is an epoch secret under one receive key.
type SealedSecret struct {
	_     struct{} `cbor:",toarray"`
	Index uint32
	Box   []byte
}

// Closes names the end of a former generation (spec 04 §2).
type Closes struct {
	_    struct{} `cbor:",toarray"`
	Size uint64
	Root []byte
}

// Lengths in an epoch, in bytes (spec 06 §1).
const (
	receiveSize = 1216 // a receive key
	boxSize     = 1168 // a 32-byte secret sealed to one
)

// ParseEpoch reads the body of an epoch entry. What it takes is part of what
// all parties must agree on, since the causal order rests on Closes
// (spec 07 §3).
func ParseEpoch(body []byte) (Epoch, error) {
	var e Epoch
	if err := Unmarshal(body, MaxEntry, &e); err != nil {
		return e, fmt.Errorf("epoch: %w", err)
	}
	if n := len(e.Keys); n != 32 && (n != 0 || len(e.Secrets) > 0) {
		return e, fmt.Errorf("epoch: %w: commitment of %d bytes", ErrFormat, n)
	}
	if n := len(e.Receive); n != 0 && n != receiveSize {
		return e, fmt.Errorf("epoch: %w: receive key of %d bytes", ErrFormat, n)
	}
	for p, s := range e.Secrets {
		if p >= line.MaxParties || len(s.Box) != boxSize {
			return e, fmt.Errorf("epoch: %w: secret of %d bytes for party %d", ErrFormat, len(s.Box), p)
		}
	}
	if c := e.Closes; c != nil && len(c.Root) != 32 {
		return e, fmt.Errorf("epoch: %w: closing root of %d bytes", ErrFormat, len(c.Root))
	}
	return e, nil
}

// Kind says what an entry is, inside the seal (spec 05 §3).
type Kind uint16

// The kinds. Gaps are for later kinds; an unknown one is stored and shown as
// such.
const (
	KindMessage    Kind = 1  // a principal's message
	KindCorrect    Kind = 2  // replaces parts of an earlier message of the author
	KindQuery      Kind = 3  // asks about a message: not understood, say again
	KindCancel     Kind = 4  // withdraws an earlier message of the author
	KindService    Kind = 5  // operators' talk about the line itself
	KindUnderstood Kind = 6  // an officer acknowledges a message
	KindHold       Kind = 7  // holding reply: received, at work, answer by
	KindDecline    Kind = 8  // an officer declines to answer
	KindAnswer     Kind = 9  // answers a message
	KindGot        Kind = 16 // station: holds an entry durably, ahead of a gap
	KindAlerted    Kind = 17 // station: an alarm channel confirmed
	KindRead       Kind = 18 // station: an officer opened the entry
	KindUnreadable Kind = 19 // station: cannot open an entry
	KindReseal     Kind = 20 // one message key again, for a party that could not open
	KindThrottle   Kind = 21 // station: past its quota it pulls FLASH only
	KindAttendance Kind = 22 // station: attended or unattended
	KindBlobGot    Kind = 23 // station: holds an attachment durably
	KindCard       Kind = 32 // the author's card from here on
	KindAdopt      Kind = 33 // consents to an amendment
	KindEnact      Kind = 34 // puts an adopted amendment in force
	KindEvidence   Kind = 35 // proof of two histories
)

var kindNames = map[Kind]string{
	KindMessage: "message", KindCorrect: "correct", KindQuery: "query",
	KindCancel: "cancel", KindService: "service", KindUnderstood: "understood",
	KindHold: "hold", KindDecline: "decline", KindAnswer: "answer",
	KindGot: "got", KindAlerted: "alerted", KindRead: "read",
	KindUnreadable: "unreadable", KindReseal: "reseal", KindThrottle: "throttle",
	KindAttendance: "attendance", KindBlobGot: "blob-got", KindCard: "card",
	KindAdopt: "adopt", KindEnact: "enact", KindEvidence: "evidence",
}

// String returns the kind's name, or its number when unknown.
func (k Kind) String() string {
	if n, ok := kindNames[k]; ok {
		return n
	}
	return fmt.Sprintf("kind-%d", uint16(k))
}

// Known reports whether this release knows the kind.
func (k Kind) Known() bool { _, ok := kindNames[k]; return ok }

// Spoken reports whether an officer's words or act: it carries a Message and,
// as the charter asks, releases.
func (k Kind) Spoken() bool { return k >= KindMessage && k <= KindAnswer }

// Owes reports whether the kind asks its action parties for the steps of the
// receipt ladder.
func (k Kind) Owes() bool {
	return k == KindMessage || k == KindCorrect || k == KindQuery || k == KindCancel || k == KindAnswer
}

// AsksAnswer reports whether the kind is to be answered by the charter's
// deadline, declined, or met with a holding reply.
func (k Kind) AsksAnswer() bool {
	return k == KindMessage || k == KindCorrect || k == KindQuery
}

// Replies reports whether the kind needs a reference to the message that it
// is about.
func (k Kind) Replies() bool {
	return k >= KindCorrect && k <= KindAnswer && k != KindService
}

// Inner is what a seal holds (spec 05 §2).
type Inner struct {
	_        struct{} `cbor:",toarray"`
	Kind     Kind
	Flags    Flags
	Number   uint64 // US 0598; 0 where the kind is not numbered
	Content  cbor.RawMessage
	Releases []byte
}

// ParseInner reads an opened body. An error means that the entry is shown as
// defective; it stays in the record.
func ParseInner(b []byte) (Inner, error) {
	var in Inner
	if err := Unmarshal(b, MaxEntry, &in); err != nil {
		return in, fmt.Errorf("sealed part: %w", err)
	}
	return in, nil
}

type signedPart struct {
	_       struct{} `cbor:",toarray"`
	Kind    Kind
	Flags   Flags
	Content cbor.RawMessage
}

// SignedPart returns the bytes whose SHA-256 an officer's release binds: all
// but the number and the releases (spec 05 §5).
func (in Inner) SignedPart() []byte {
	return Marshal(signedPart{Kind: in.Kind, Flags: in.Flags, Content: in.Content})
}

// Flags packs precedence (bits 0–1), marking (bits 2–3) and the text's
// dictionary (bits 4–7). The other bits are unassigned, and zero (spec 05 §2).
type Flags uint16

// NewFlags packs them.
func NewFlags(p line.Precedence, m line.Marking, dict uint8) Flags {
	return Flags(p&3) | Flags(m&3)<<2 | Flags(dict&15)<<4
}

// Precedence returns bits 0–1.
func (f Flags) Precedence() line.Precedence { return line.Precedence(f & 3) }

// Marking returns bits 2–3.
func (f Flags) Marking() line.Marking { return line.Marking(f >> 2 & 3) }

// Known reports whether this release knows all that the flags say.
func (f Flags) Known() bool { return f < 1<<8 && f.Marking() <= line.Test }

// Dict returns bits 4–7.
func (f Flags) Dict() uint8 { return uint8(f >> 4 & 15) }
