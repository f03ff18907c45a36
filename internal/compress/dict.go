package compress

import (
	_ "embed"
	"sync"
	"unicode"
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

// dictionary returns the bytes of dictionary d; none for None.
func dictionary(d uint8) []byte {
	switch d {
	case Latin:
		return []byte(latin)
	case Chinese:
		return []byte(chinese)
	case Russian:
		return []byte(russian)
	case Arabic:
		return []byte(arabic)
	}
	return nil
}

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
func guess(text string) uint8 {
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
