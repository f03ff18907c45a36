package demo

import (
	"strings"
	"unicode"
)

// columns is how many columns of a terminal a text takes: Chinese characters
// and their punctuation take two.
func columns(s string) (n int) {
	for _, r := range s {
		n += wide(r)
	}
	return n
}

func wide(r rune) int {
	switch {
	case unicode.Is(unicode.Han, r), r >= 0x3000 && r <= 0x30ff, r >= 0xff01 && r <= 0xff60:
		return 2
	case unicode.Is(unicode.Mn, r):
		return 0
	}
	return 1
}

// pad fills a text with spaces to a width.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-columns(s)))
}

// wrap breaks a text into lines of at most width columns: at spaces, and
// between Chinese characters, but never before their punctuation.
func wrap(text string, width int) (lines []string) {
	for para := range strings.SplitSeq(text, "\n") {
		now := ""
		for _, piece := range pieces(para) {
			if now != "" && columns(now)+columns(strings.TrimRight(piece, " ")) > width {
				lines, now = append(lines, strings.TrimRight(now, " ")), ""
			}
			now += piece
		}
		lines = append(lines, strings.TrimRight(now, " "))
	}
	return lines
}

// pieces cuts a paragraph where a line may break. A piece ends with its spaces
// or its punctuation.
func pieces(s string) (out []string) {
	now := []rune{}
	for _, r := range s {
		n := len(now)
		switch {
		case n == 0, r == ' ', closing(r):
		case now[n-1] == ' ', wide(now[n-1]) == 2, wide(r) == 2:
			out, now = append(out, string(now)), nil
		}
		now = append(now, r)
	}
	return append(out, string(now))
}

// closing is punctuation that begins no line.
func closing(r rune) bool { return strings.ContainsRune("，。；：、？！）》”’", r) }

// short is the beginning of a hash, which is enough for the eye.
func short(hash string) string { return hash[:min(12, len(hash))] }
