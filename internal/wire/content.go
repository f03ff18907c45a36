package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"herald/internal/line"
)

// Ref names an entry and binds its bytes by the leaf hash.
type Ref struct {
	_     struct{} `cbor:",toarray"`
	Party uint8
	Gen   uint32
	Seq   uint64
	Leaf  []byte
}

// NewRef makes a reference.
func NewRef(p line.Pos, leaf line.Hash) Ref {
	return Ref{Party: uint8(p.Party), Gen: uint32(p.Gen), Seq: p.Seq, Leaf: leaf[:]}
}

// Pos returns the place that the reference names.
func (r Ref) Pos() line.Pos {
	return line.Pos{Log: line.Log{Party: int(r.Party), Gen: line.Generation(r.Gen)}, Seq: r.Seq}
}

// Hash returns the leaf hash that the reference binds.
func (r Ref) Hash() (h line.Hash) { copy(h[:], r.Leaf); return h }

// Message is the content of every spoken kind. One that has only a text is
// written as that text alone, since nearly all short ones are (spec 05 §3).
type Message struct {
	Text     []byte `cbor:"0,keyasint,omitempty"` // UTF-8, or compressed as the flags' dictionary says
	Lang     string `cbor:"1,keyasint,omitempty"` // BCP 47; default: the author's first language
	Action   uint32 `cbor:"2,keyasint,omitempty"` // set of parties who owe the steps; default: all others
	Info     uint32 `cbor:"3,keyasint,omitempty"` // set of parties who are told
	Refs     []Ref  `cbor:"4,keyasint,omitempty"`
	Subject  string `cbor:"5,keyasint,omitempty"`
	Blobs    []Blob `cbor:"6,keyasint,omitempty"`
	AnswerBy uint64 `cbor:"7,keyasint,omitempty"` // Unix seconds; in a holding reply: when the answer comes
	Form     []byte `cbor:"8,keyasint,omitempty"` // SHA-256 of the agreed form that the text fills
}

// wholeMessage is a message in its long form.
type wholeMessage Message

func (m Message) onlyText() bool {
	return m.Lang == "" && m.Action == 0 && m.Info == 0 && len(m.Refs) == 0 && m.Subject == "" &&
		len(m.Blobs) == 0 && m.AnswerBy == 0 && len(m.Form) == 0
}

// MarshalCBOR writes the text alone where there is nothing else.
func (m Message) MarshalCBOR() ([]byte, error) {
	if m.onlyText() {
		return codec().enc.Marshal(m.Text)
	}
	return codec().enc.Marshal(wholeMessage(m))
}

// UnmarshalCBOR reads either form.
func (m *Message) UnmarshalCBOR(b []byte) error {
	if len(b) > 0 && b[0]>>5 == 2 {
		return codec().dec.Unmarshal(b, &m.Text)
	}
	return codec().dec.Unmarshal(b, (*wholeMessage)(m))
}

// Blob describes a detached attachment (spec 06 §7).
type Blob struct {
	_      struct{} `cbor:",toarray"`
	Name   string
	Length uint64
	Key    []byte // 32 bytes
	Hash   []byte // SHA-256 of the plaintext
	Root   []byte // RFC 6962 root over the ciphertext chunks; names the blob
}

// Statement is the content of what a station says about entries: got,
// alerted, read, unreadable, blob-got.
type Statement struct {
	Refs    []Ref  `cbor:"0,keyasint"`
	Officer uint16 `cbor:"1,keyasint,omitempty"` // read: who opened it
	Channel string `cbor:"2,keyasint,omitempty"` // alerted: which channel confirmed
	Root    []byte `cbor:"3,keyasint,omitempty"` // blob-got: which attachment
}

// Reseal carries one message key again (spec 06 §6).
type Reseal struct {
	Ref  Ref                    `cbor:"0,keyasint"`
	Keys map[uint8]SealedSecret `cbor:"1,keyasint"`
	Path []byte                 `cbor:"2,keyasint"` // concatenated hashes up to the epoch's commitment
}

// Notice is the content of card, adopt, enact, throttle, attendance and
// evidence entries: few fields, each used by the kinds that need it.
type Notice struct {
	Version uint32 `cbor:"0,keyasint,omitempty"` // card's or amendment's base version
	Hash    []byte `cbor:"1,keyasint,omitempty"` // card note or amendment text, SHA-256
	Party   uint8  `cbor:"2,keyasint,omitempty"` // throttle: whose entries
	State   uint8  `cbor:"3,keyasint,omitempty"` // throttle: 1 on, 0 off; attendance: 1 attended, 0 unattended
	Officer uint16 `cbor:"4,keyasint,omitempty"` // attendance: who signed on or off
	Proof   []byte `cbor:"5,keyasint,omitempty"` // evidence (spec 04 §6)
}

// ParseMessage reads the content of a spoken kind and checks what does not
// need the charter: sizes, counts, and the short texts. The text itself is
// checked once it is decompressed (spec 05 §4).
func ParseMessage(in Inner) (Message, error) {
	var m Message
	if err := Unmarshal(in.Content, MaxEntry, &m); err != nil {
		return m, fmt.Errorf("%s: %w", in.Kind, err)
	}
	if err := m.check(in); err != nil {
		return m, fmt.Errorf("%s: %w", in.Kind, err)
	}
	return m, nil
}

func (m Message) check(in Inner) error {
	switch {
	case !in.Flags.Known():
		return fmt.Errorf("%w: flags %#x", ErrFormat, uint16(in.Flags))
	case len(m.Refs) > MaxRefs || len(m.Blobs) > MaxBlobs:
		return fmt.Errorf("%w: too many references or attachments", ErrFormat)
	case in.Kind.Replies() && len(m.Refs) == 0:
		return fmt.Errorf("%w: names no message", ErrFormat)
	case len(m.Form) != 0 && len(m.Form) != 32:
		return fmt.Errorf("%w: form of %d bytes", ErrFormat, len(m.Form))
	case !languageLike(m.Lang):
		return fmt.Errorf("%w: language %q", ErrFormat, m.Lang)
	}
	if err := checkRefs(m.Refs); err != nil {
		return err
	}
	for _, b := range m.Blobs {
		if err := b.check(); err != nil {
			return err
		}
	}
	if err := CheckLine(m.Subject, MaxSubject); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	return nil
}

func (b Blob) check() error {
	if len(b.Key) != 32 || len(b.Hash) != 32 || len(b.Root) != 32 || b.Length > MaxBlob {
		return fmt.Errorf("%w: attachment %q", ErrFormat, b.Name)
	}
	if err := CheckLine(b.Name, MaxName); err != nil {
		return fmt.Errorf("attachment's name: %w", err)
	}
	if b.Name == "" || b.Name == "." || b.Name == ".." || strings.ContainsAny(b.Name, `/\`) {
		return fmt.Errorf("%w: attachment's name %q is not a file's", ErrFormat, b.Name)
	}
	return nil
}

func checkRefs(refs []Ref) error {
	for _, r := range refs {
		if len(r.Leaf) != 32 || r.Gen == 0 || r.Party >= line.MaxParties {
			return fmt.Errorf("%w: reference", ErrFormat)
		}
	}
	return nil
}

// languageLike bounds what may stand for a language. Whether it names one is
// for whoever shows it.
func languageLike(s string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' {
			return false
		}
	}
	return len(s) <= 16
}

// ParseStatement reads a station's statement.
func ParseStatement(in Inner) (Statement, error) {
	var s Statement
	if err := Unmarshal(in.Content, MaxEntry, &s); err != nil {
		return s, fmt.Errorf("%s: %w", in.Kind, err)
	}
	if len(s.Refs) == 0 || len(s.Refs) > MaxStated {
		return s, fmt.Errorf("%s: %w: %d references", in.Kind, ErrFormat, len(s.Refs))
	}
	if err := checkRefs(s.Refs); err != nil {
		return s, fmt.Errorf("%s: %w", in.Kind, err)
	}
	if want := len(s.Root) == 32; want != (in.Kind == KindBlobGot) || !want && len(s.Root) != 0 {
		return s, fmt.Errorf("%s: %w: attachment's root of %d bytes", in.Kind, ErrFormat, len(s.Root))
	}
	if err := CheckLine(s.Channel, MaxName); err != nil {
		return s, fmt.Errorf("%s: channel: %w", in.Kind, err)
	}
	return s, nil
}

// ParseReseal reads one message key that came again.
func ParseReseal(in Inner) (Reseal, error) {
	var r Reseal
	if err := Unmarshal(in.Content, MaxEntry, &r); err != nil {
		return r, fmt.Errorf("%s: %w", in.Kind, err)
	}
	err := checkRefs([]Ref{r.Ref})
	if err == nil && (len(r.Keys) == 0 || len(r.Path) > 256 || len(r.Path)%32 != 0) {
		err = fmt.Errorf("%w: keys or path", ErrFormat)
	}
	for p, k := range r.Keys {
		if err == nil && (p >= line.MaxParties || len(k.Box) != boxSize) {
			err = fmt.Errorf("%w: key of %d bytes for party %d", ErrFormat, len(k.Box), p)
		}
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", in.Kind, err)
	}
	return r, nil
}

// ParseNotice reads a notice and checks that its kind has what it needs.
func ParseNotice(in Inner) (Notice, error) {
	var n Notice
	if err := Unmarshal(in.Content, MaxEntry, &n); err != nil {
		return n, fmt.Errorf("%s: %w", in.Kind, err)
	}
	ok := (len(n.Hash) == 0 || len(n.Hash) == 32) && n.Party < line.MaxParties && n.State <= 1
	switch in.Kind {
	case KindCard, KindAdopt, KindEnact:
		ok = ok && n.Version > 0 && len(n.Hash) == 32
	case KindEvidence:
		ok = ok && len(n.Proof) > 0
	}
	if !ok {
		return n, fmt.Errorf("%s: %w", in.Kind, ErrFormat)
	}
	return n, nil
}

// CheckContent reports whether an opened part's content is as its kind asks.
// Of an unknown kind nothing is asked (spec 05 §3).
func CheckContent(in Inner) (err error) {
	switch {
	case in.Kind.Spoken():
		_, err = ParseMessage(in)
	case in.Kind == KindReseal:
		_, err = ParseReseal(in)
	case in.Kind == KindThrottle, in.Kind == KindAttendance, in.Kind >= KindCard && in.Kind.Known():
		_, err = ParseNotice(in)
	case in.Kind.Known():
		_, err = ParseStatement(in)
	}
	return err
}

// CheckLine refuses what CheckText refuses, and more than one line.
func CheckLine(s string, limit int) error {
	if err := CheckText(s, limit); err != nil {
		return err
	}
	if i := strings.IndexAny(s, "\n\t"); i >= 0 {
		return fmt.Errorf("text has a line break or tab at byte %d: it must be one line", i)
	}
	return nil
}

// CheckText refuses text that is not UTF-8, is longer than limit bytes, or
// carries characters that change what a reader sees: controls other than line
// feed and tab, and bidirectional overrides and isolates (spec 05 §4).
func CheckText(s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("text of %d bytes: the limit is %d", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("text is not UTF-8")
	}
	for i, r := range s {
		switch {
		case r == '\n' || r == '\t':
		case unicode.IsControl(r):
			return fmt.Errorf("text has the control character U+%04X at byte %d: remove it", r, i)
		case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0x2028, r == 0x2029:
			return fmt.Errorf("text has the direction or separator character U+%04X at byte %d, which can make it read otherwise than it is: remove it", r, i)
		case r >= 0xE0000 && r <= 0xE007F:
			return fmt.Errorf("text has the invisible tag character U+%04X at byte %d: remove it", r, i)
		}
	}
	return nil
}

// Archived is what a station keeps of an opened entry: the inner part and the
// message key, which opens nothing but this one entry and lets the party
// reseal or disclose it later (spec 06 §5).
type Archived struct {
	_     struct{} `cbor:",toarray"`
	Inner []byte
	Key   []byte // 32 bytes; empty where the key was never held
}
