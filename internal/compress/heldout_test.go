package compress

import (
	"os"
	"strings"
	"testing"
)

// The held-out texts were written after the dictionaries were closed, so that
// what they measure is what a stranger's words will get.
func TestHeldOut(t *testing.T) {
	file, err := os.ReadFile("testdata/held-out.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint8{"en": Latin, "zh": Chinese, "ru": Russian, "ar": Arabic}
	plain, packed, runes := map[string]int{}, map[string]int{}, map[string]int{}
	for line := range strings.Lines(string(file)) {
		lang, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			t.Fatalf("no tab in %q", line)
		}
		dict, data := roundTrip(t, text)
		if dict != want[lang] {
			t.Errorf("%s: dictionary %d, want %d: %s", lang, dict, want[lang], text)
		}
		runes[lang] += len([]rune(text))
		plain[lang] += len(text)
		packed[lang] += len(data)
		t.Logf("%s %3d characters %3d bytes → %3d", lang, len([]rune(text)), len(text), len(data))
	}
	for lang := range want {
		share := float64(packed[lang]) / float64(plain[lang])
		t.Logf("%s: %d characters, %d bytes → %d (%.0f%%)", lang, runes[lang], plain[lang], packed[lang], 100*share)
		if share > 0.70 {
			t.Errorf("%s: %.0f%% is left; the dictionary no longer helps", lang, 100*share)
		}
	}
}
