package keys

import (
	"bytes"
	_ "embed"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// wordList is the English list of BIP-0039: 2048 words, no two with the
// same first four letters. (MIT licence.)
//
//go:embed words.txt
var wordList string

// SafetyWordCount words of 11 bits each are compared by voice.
const SafetyWordCount = 12

// SafetyWords returns the words that two parties read to each other to know
// that each has the other's true root. They do not depend on the order of a
// and b. It takes about a tenth of a second and 32 MiB, on purpose: whoever
// stands between the parties may choose both roots that he shows, so that a
// search meets in the middle after 2^66 trials, and each trial must be dear
// (spec 01 §9).
func SafetyWords(a, b RootPublic) []string {
	x, y := a.Hash(), b.Hash()
	if bytes.Compare(x[:], y[:]) > 0 {
		x, y = y, x
	}
	const bits, bytesNeeded = 11, (SafetyWordCount*11 + 7) / 8
	sum, err := scrypt.Key(append(x[:], y[:]...), []byte("herald/safety-words/1"), 1<<15, 8, 1, bytesNeeded)
	if err != nil {
		panic(err) // constant parameters
	}
	list := strings.Fields(wordList)
	words := make([]string, SafetyWordCount)
	for i := range words {
		n := 0
		for bit := i * bits; bit < (i+1)*bits; bit++ {
			n = n<<1 | int(sum[bit/8]>>(7-bit%8)&1)
		}
		words[i] = list[n]
	}
	return words
}
