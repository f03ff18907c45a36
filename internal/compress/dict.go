package compress

import (
	_ "embed"
	"sync"
	"unicode"
	"unicode/utf8"
)

// The files hold no secret and no code: plain vocabulary, the most useful
// phrases last, because DEFLATE spends fewer bits on what is near.
var (
	//go:embed dict/1-latin.txt
	latin string
	//go:embed dict/2-chinese.txt
	chinese string
	//go:embed dict/3-russian.txt
	russian string
	//go:embed dict/4-arabic.txt
	arabic string
)

// dictionaries holds the bytes of each dictionary, made at first use.
var dictionaries = sync.OnceValue(func() [Arabic + 1][]byte {
	return [...][]byte{
		Latin:   []byte(latin),
		Chinese: []byte(toUTF16(chinese)),
		Russian: []byte(russian),
		Arabic:  []byte(arabic),
	}
})

// dictionary returns the bytes of dictionary d, which must not be changed;
// none for None.
func dictionary(d uint8) []byte { return dictionaries()[d] }

// indexes returns the search index of each dictionary, built at first use.
var indexes = sync.OnceValue(func() [Arabic + 1]*index {
	var all [Arabic + 1]*index
	for d := range all {
		all[d] = newIndex(dictionary(uint8(d)))
	}
	return all
})

// guess picks the dictionary of the script that most of the text's letters
// are in. Trying them all would find the same and cost four times as much.
// A text that is not UTF-8 goes the way that keeps its bytes.
func guess(text string) uint8 {
	if !utf8.ValidString(text) {
		return Latin
	}
	var count [Arabic + 1]int
	for _, r := range text {
		switch {
		case r < 0x250:
			count[Latin]++
		case unicode.Is(unicode.Han, r):
			count[Chinese] += 2 // one character says as much as several letters
		case unicode.Is(unicode.Cyrillic, r):
			count[Russian]++
		case unicode.Is(unicode.Arabic, r):
			count[Arabic]++
		}
	}
	best := Latin
	for d := Chinese; d <= Arabic; d++ {
		if count[d] > count[best] {
			best = d
		}
	}
	return best
}
