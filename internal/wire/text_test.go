package wire_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"herald/internal/wire"
)

// plain says in another way what spec 05 §4 says of a text.
func plain(s string) bool {
	for i, w := 0, 0; i < len(s); i += w {
		r, n := utf8.DecodeRuneInString(s[i:])
		if w = n; r == utf8.RuneError && n == 1 {
			return false
		}
		for _, bad := range [][2]rune{{0, 8}, {0xb, 0x1f}, {0x7f, 0x9f}, {0x2028, 0x202e}, {0x2066, 0x2069}, {0xe0000, 0xe007f}} {
			if r >= bad[0] && r <= bad[1] {
				return false
			}
		}
	}
	return true
}

// Every code point is held against the specification's list, alone and inside
// a text.
func TestCheckTextOnEveryCodePoint(t *testing.T) {
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if r >= 0xd800 && r < 0xe000 {
			continue // no code points of UTF-8
		}
		s := "a" + string(r) + "b"
		if err := wire.CheckText(s, 100); (err == nil) != plain(s) {
			t.Errorf("U+%04X: %v", r, err)
		}
		if err := wire.CheckLine(s, 100); (err == nil) != (plain(s) && r != '\n' && r != '\t') {
			t.Errorf("U+%04X in a line: %v", r, err)
		}
	}
}

func TestCheckTextRefusesWhatIsNotUTF8(t *testing.T) {
	for what, s := range map[string]string{
		"a lone byte":          "\xff",
		"a cut character":      "船"[:2],
		"a surrogate":          "\xed\xa0\x80",
		"a long form of slash": "\xc0\xaf",
		"beyond the last":      "\xf4\x90\x80\x80",
	} {
		if wire.CheckText(s, 100) == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if wire.CheckText(strings.Repeat("x", 101), 100) == nil || wire.CheckText(strings.Repeat("x", 100), 100) != nil {
		t.Error("the limit is not where it should be")
	}
}
