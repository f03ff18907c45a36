// Package line holds the names that every other package speaks in: parties,
// lines, logs, positions in logs, precedences and markings. It has no
// behaviour beyond naming, comparing, printing and parsing.
package line

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// MaxParties is the greatest number of parties on one line (spec 02 §1).
const MaxParties = 16

// Party is a party's code on cards, charters and screens: 2 to 8 upper-case
// ASCII letters and digits, first a letter (spec 01 §1).
type Party string

// ParseParty checks s and returns it as a Party.
func ParseParty(s string) (Party, error) {
	if len(s) < 2 || len(s) > 8 {
		return "", fmt.Errorf("party code %q: want 2 to 8 characters", s)
	}
	for i, r := range s {
		letter := r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return "", fmt.Errorf("party code %q: want capital letters and digits, first a letter", s)
		}
	}
	return Party(s), nil
}

// ID names a line: the SHA-256 of its first charter's text, without
// signatures (spec 03 §1).
type ID [32]byte

// String returns the full name in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first eight hexadecimal digits, for screens.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// ParseID reads the full hexadecimal name of a line.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("line %q: want 64 hexadecimal digits", s)
	}
	copy(id[:], b)
	return id, nil
}

// Generation counts a party's key generations on its logs, from 1
// (spec 04 §2).
type Generation uint32

// LogID names one party's log in one generation. It looks random to whoever
// does not know the line.
type LogID [32]byte

// String returns the log's name in hexadecimal.
func (id LogID) String() string { return hex.EncodeToString(id[:]) }

// NewLogID computes SHA-256("herald/log/1" ‖ line ‖ party ‖ generation), the
// party preceded by its length in one byte and the generation as 32 bits, big
// endian (spec 04 §1).
func NewLogID(l ID, p Party, g Generation) LogID {
	b := append([]byte("herald/log/1"), l[:]...)
	b = append(b, byte(len(p)))
	b = append(b, p...)
	b = binary.BigEndian.AppendUint32(b, uint32(g))
	return sha256.Sum256(b)
}

// Log says whose log and which generation, on a line known from the context.
// Party is an index into the charter's list of members.
type Log struct {
	Party int
	Gen   Generation
}

// Compare orders logs by party, then generation.
func (l Log) Compare(m Log) int {
	return cmp.Or(cmp.Compare(l.Party, m.Party), cmp.Compare(l.Gen, m.Gen))
}

// Less reports whether l comes before m.
func (l Log) Less(m Log) bool { return l.Compare(m) < 0 }

// Pos is one entry's place: a log and a sequence number in it, from 0.
type Pos struct {
	Log
	Seq uint64
}

// Compare orders places by log, then sequence number.
func (p Pos) Compare(q Pos) int {
	return cmp.Or(p.Log.Compare(q.Log), cmp.Compare(p.Seq, q.Seq))
}

// Hash is an RFC 6962 leaf or node hash.
type Hash [32]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Precedence orders everything that is sent; greater goes first.
type Precedence uint8

// The precedences, least urgent first (spec 05 §2).
const (
	Routine Precedence = iota
	Priority
	Immediate
	Flash
)

var precedenceNames = [...]string{"ROUTINE", "PRIORITY", "IMMEDIATE", "FLASH"}

// Precedences lists all of them, most urgent first.
func Precedences() []Precedence { return []Precedence{Flash, Immediate, Priority, Routine} }

// String returns the precedence's name in capitals.
func (p Precedence) String() string {
	if int(p) < len(precedenceNames) {
		return precedenceNames[p]
	}
	return fmt.Sprintf("PRECEDENCE-%d", uint8(p))
}

// Urgent reports whether the precedence may overtake: FLASH and IMMEDIATE.
func (p Precedence) Urgent() bool { return p >= Immediate }

// ParsePrecedence reads a name in either case.
func ParsePrecedence(s string) (Precedence, error) {
	for i, n := range precedenceNames {
		if strings.EqualFold(s, n) {
			return Precedence(i), nil
		}
	}
	return 0, fmt.Errorf("precedence %q: want flash, immediate, priority or routine", s)
}

// Marking says whether a message is meant: always shown, never implied.
type Marking uint8

// The markings (spec 05 §2).
const (
	Real Marking = iota
	Exercise
	Test
)

var markingNames = [...]string{"REAL", "EXERCISE", "TEST"}

// String returns the marking's name in capitals.
func (m Marking) String() string {
	if int(m) < len(markingNames) {
		return markingNames[m]
	}
	return fmt.Sprintf("MARKING-%d", uint8(m))
}

// ParseMarking reads a name in either case. There is no default: who sends
// must say.
func ParseMarking(s string) (Marking, error) {
	for i, n := range markingNames {
		if strings.EqualFold(s, n) {
			return Marking(i), nil
		}
	}
	if s == "" {
		return 0, errors.New("marking: say real, exercise or test")
	}
	return 0, fmt.Errorf("marking %q: want real, exercise or test", s)
}

// Officer is a role code with a number, such as "us-watch-1". A rival sees
// the code, never a name (spec 01 §5).
type Officer string

// Parties is a set of charter indexes.
type Parties uint32

// Has reports whether party i is in the set.
func (s Parties) Has(i int) bool { return i >= 0 && i < 32 && s&(1<<i) != 0 }

// With returns the set with party i added.
func (s Parties) With(i int) Parties { return s | 1<<i }

// Without returns the set with party i removed.
func (s Parties) Without(i int) Parties { return s &^ (1 << i) }
