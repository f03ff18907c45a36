package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestSafetyWords(t *testing.T) {
	a, b, c := testRoot(t, "US").Public(), testRoot(t, "CN").Public(), testRoot(t, "RU").Public()
	w := SafetyWords(a, b)
	if len(w) != SafetyWordCount || !slices.Equal(w, SafetyWords(b, a)) {
		t.Errorf("got %q and %q", w, SafetyWords(b, a))
	}
	list := strings.Fields(wordList)
	for _, x := range w {
		if !slices.Contains(list, x) {
			t.Errorf("%q is not on the list", x)
		}
	}
	if slices.Equal(w, SafetyWords(a, c)) {
		t.Error("two pairs have the same words")
	}
	a.MLDSA65[1951] ^= 1
	if slices.Equal(w, SafetyWords(a, b)) {
		t.Error("the words do not depend on the whole root")
	}
}

// The list is part of the protocol: a changed list is another set of words.
func TestWordList(t *testing.T) {
	list := strings.Fields(wordList)
	if len(list) != 2048 || !slices.IsSorted(list) || len(slices.Compact(list)) != 2048 {
		t.Fatalf("%d words", len(list))
	}
	sum := sha256.Sum256([]byte(wordList))
	if got := hex.EncodeToString(sum[:]); got != "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda" {
		t.Errorf("the list has changed: %s", got)
	}
}
