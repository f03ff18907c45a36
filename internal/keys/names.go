package keys

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"herald/internal/line"
)

// Role is what an officer may do.
type Role string

// The roles (spec 01 §5).
const (
	RoleWatch       Role = "watch"       // keeps the line, acknowledges, holds
	RoleRelease     Role = "release"     // releases messages
	RolePrincipal   Role = "principal"   // speaks for the party
	RoleInterpreter Role = "interpreter" // signs translations
	RoleAuditor     Role = "auditor"     // reads and exports the record
)

// Roles lists all of them.
func Roles() []Role {
	return []Role{RoleWatch, RoleRelease, RolePrincipal, RoleInterpreter, RoleAuditor}
}

// ParseRole reads a role's name.
func ParseRole(s string) (Role, error) {
	for _, r := range Roles() {
		if s == string(r) {
			return r, nil
		}
	}
	return "", fmt.Errorf("role %q: want watch, release, principal, interpreter or auditor", s)
}

// MaxSerial is how many officers of one role a party can ever have.
const MaxSerial = 8191

// roleSpan is how many roles an officer's number has room for: with small
// numbers for the first officers of each role, a release names its officer in
// one byte (spec 01 §5).
const roleSpan = 8

// OfficerNumber returns the number that stands for an officer in releases:
// (serial - 1) × 8 + the role's place in Roles, from 1. It is 0 for an unknown
// role or a serial outside 1..MaxSerial.
func OfficerNumber(r Role, serial int) uint16 {
	i := slices.Index(Roles(), r)
	if i < 0 || serial < 1 || serial > MaxSerial {
		return 0
	}
	return uint16((serial-1)*roleSpan + i + 1)
}

// OfficerSerial returns which officer of its role a number stands for.
func OfficerSerial(number uint16) int { return (int(number)-1)/roleSpan + 1 }

// OfficerCode returns "PARTY-ROLE-SERIAL" in lower case.
func OfficerCode(p line.Party, r Role, serial int) line.Officer {
	return line.Officer(fmt.Sprintf("%s-%s-%d", strings.ToLower(string(p)), r, serial))
}

// ParseOfficer takes an officer's code apart and accepts only what OfficerCode
// writes. It returns the officer's number, not the serial.
func ParseOfficer(code line.Officer) (line.Party, Role, uint16, error) {
	f := strings.Split(string(code), "-")
	if len(f) == 3 {
		p, perr := line.ParseParty(strings.ToUpper(f[0]))
		r, rerr := ParseRole(f[1])
		n, nerr := strconv.ParseUint(f[2], 10, 16)
		number := OfficerNumber(r, int(n))
		if perr == nil && rerr == nil && nerr == nil && number > 0 && OfficerCode(p, r, int(n)) == code {
			return p, r, number, nil
		}
	}
	return "", "", 0, fmt.Errorf("officer %q: want a code such as us-watch-1, the last part from 1 to %d", code, MaxSerial)
}

// NoteName is the key name under which a party's root signs notes, such as
// "herald/us" (spec 01 §4).
func NoteName(p line.Party) string { return "herald/" + strings.ToLower(string(p)) }

// ParseStationName checks a station's name: 1 to 32 lower-case ASCII letters,
// digits and hyphens, first and last no hyphen.
func ParseStationName(s string) error {
	ok := len(s) >= 1 && len(s) <= 32 && s[0] != '-' && s[len(s)-1] != '-'
	for _, r := range s {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	}
	if !ok {
		return fmt.Errorf("station name %q: want 1 to 32 lower-case letters, digits and inner hyphens", s)
	}
	return nil
}

func checkStation(p line.Party, name string, g line.Generation) error {
	if _, err := line.ParseParty(string(p)); err != nil {
		return err
	}
	if g == 0 {
		return fmt.Errorf("station %s: generations count from 1", name)
	}
	return ParseStationName(name)
}

// CheckLanguage checks a language tag: two or three lower-case letters, then
// optionally a script such as Hans, then optionally a region such as CN.
func CheckLanguage(s string) error {
	parts := strings.Split(s, "-")
	ok := len(parts[0]) >= 2 && len(parts[0]) <= 3 && within(parts[0], 'a', 'z')
	rest := parts[1:]
	if len(rest) > 0 && len(rest[0]) == 4 {
		ok = ok && within(rest[0][:1], 'A', 'Z') && within(rest[0][1:], 'a', 'z')
		rest = rest[1:]
	}
	if len(rest) > 0 && len(rest[0]) == 2 {
		ok = ok && within(rest[0], 'A', 'Z')
		rest = rest[1:]
	}
	if !ok || len(rest) > 0 {
		return fmt.Errorf("language %q: want a tag such as en, zh-Hans or pt-BR", s)
	}
	return nil
}

func within(s string, lo, hi byte) bool {
	for i := range len(s) {
		if s[i] < lo || s[i] > hi {
			return false
		}
	}
	return true
}

// CheckLabel checks a one-line name: CheckLine, not empty, no space at either
// end and no two in a row.
func CheckLabel(s string, limit int) error {
	if s == "" {
		return fmt.Errorf("a name is empty")
	}
	if strings.Trim(s, " ") != s || strings.Contains(s, "  ") {
		return fmt.Errorf("name %q: want no space at either end and no two in a row", s)
	}
	return CheckLine(s, limit)
}

// CheckLine checks one line of text for people: valid UTF-8, at most limit
// bytes, and no character that is invisible or changes how its neighbours are
// read (spec 01 §1).
func CheckLine(s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("a line of text has %d bytes: the limit is %d", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("text is not UTF-8")
	}
	for i, r := range s {
		if hidden(r) {
			return fmt.Errorf("text has U+%04X at byte %d, which is invisible or makes the text read otherwise than it is: remove it", r, i)
		}
	}
	return nil
}

// hidden holds the fixed list of spec 01 §1: not a table of some Unicode
// version, since all stations must agree for ever on what they accept. The
// joiners U+200C and U+200D stay out of it: several scripts need them.
func hidden(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f, // controls
		r == 0xad, r == 0x61c, r == 0x115f, r == 0x1160, r == 0x180e, r == 0x3164, r == 0xffa0,
		r == 0x200b, r == 0x200e, r == 0x200f,
		r >= 0x2028 && r <= 0x202e, // separators, bidirectional embeddings and overrides
		r >= 0x2060 && r <= 0x206f, // joiners, isolates, deprecated format characters
		r == 0xfeff, r >= 0xfff9 && r <= 0xfffd,
		r&0xfffe == 0xfffe,           // noncharacters
		r >= 0xe0000 && r <= 0xe0fff: // tags, supplementary selectors
		return true
	}
	return false
}

// formatTime prints a time as cards and key files hold it: RFC 3339, UTC,
// whole seconds.
func formatTime(t time.Time) string { return t.UTC().Format(timeForm) }

const timeForm = "2006-01-02T15:04:05Z"

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeForm, s)
	if err != nil || formatTime(t) != s || t.Year() < 2000 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("time %q: want the form 2026-11-23T12:00:00Z", s)
	}
	return t, nil
}
