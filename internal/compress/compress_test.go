package compress

import (
	"bytes"
	"compress/flate"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

func roundTrip(t *testing.T, text string) (dict uint8, data []byte) {
	t.Helper()
	dict, data = Compress(text)
	if len(data) > len(text) {
		t.Errorf("%d bytes became %d", len(text), len(data))
	}
	got, err := Decompress(dict, data, len(text))
	if err != nil || got != text {
		t.Fatalf("dictionary %d, %d bytes: %v", dict, len(text), err)
	}
	return dict, data
}

func TestRoundTrip(t *testing.T) {
	for _, text := range []string{
		"", "a", "abc", "\x00", "\xff\xfe\x90\x8f", "請確認", "é", "🕊️",
		strings.Repeat("a", 2), strings.Repeat("a", 257), strings.Repeat("a", 258),
		strings.Repeat("a", 259), strings.Repeat("ab", 512), strings.Repeat("ab", 513),
		latin, chinese, russian, arabic,
		strings.Repeat("Request clarification. ", 3000),
	} {
		roundTrip(t, text)
	}
}

// Random cuts and repeats of little alphabets reach every length and distance
// symbol.
func TestRoundTripRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		text := make([]byte, 0, shortText)
		for len(text) < shortText-300 {
			if len(text) > 0 && r.IntN(2) == 0 {
				from := r.IntN(len(text))
				text = append(text, text[from:from+r.IntN(min(len(text)-from, 280))]...)
			} else {
				text = append(text, byte(r.IntN(256)))
			}
		}
		roundTrip(t, string(text))
	}
}

func TestEveryLengthAndDistance(t *testing.T) {
	for l := minMatch; l <= maxMatch; l++ {
		c := lengthCode(l)
		if c.symbol < 257 || c.symbol > 285 || c.extra > 5 || c.value >= 1<<c.extra {
			t.Errorf("length %d: %+v", l, c)
		}
	}
	// Samples of the table in RFC 1951 §3.2.5.
	for _, v := range []struct {
		n    int
		want coded
	}{
		{1, coded{0, 0, 0}}, {4, coded{3, 0, 0}}, {5, coded{4, 0, 1}}, {6, coded{4, 1, 1}},
		{7, coded{5, 0, 1}}, {13, coded{7, 0, 2}}, {1024, coded{19, 255, 8}},
		{24576, coded{28, 8191, 13}}, {24577, coded{29, 0, 13}}, {32768, coded{29, 8191, 13}},
	} {
		if got := distanceCode(v.n); got != v.want {
			t.Errorf("distance %d: %+v, want %+v", v.n, got, v.want)
		}
	}
}

func TestDecompressRefuses(t *testing.T) {
	text := "Request clarification of the bearing of the airborne object. " + strings.Repeat("again ", 20)
	dict, data := roundTrip(t, text)
	if dict != Latin {
		t.Fatalf("dictionary %d", dict)
	}
	var bomb bytes.Buffer
	w, _ := flate.NewWriterDict(&bomb, 9, dictionary(Latin))
	for range 1024 {
		w.Write(make([]byte, 64<<10))
	}
	w.Close()
	for _, v := range []struct {
		name  string
		dict  uint8
		data  []byte
		limit int
		want  error
	}{
		{"one byte over the limit", dict, data, len(text) - 1, ErrTooLong},
		{"plain, over the limit", None, []byte("abc"), 2, ErrTooLong},
		{"negative limit", dict, data, -1, ErrTooLong},
		{"bomb", Latin, bomb.Bytes(), 4096, ErrTooLong},
		{"unknown dictionary", Arabic + 1, data, 4096, ErrDictionary},
		{"trailing byte", dict, append(bytes.Clone(data), 0), 4096, ErrCorrupt},
		{"empty", dict, nil, 4096, ErrCorrupt},
		{"reserved block type", dict, []byte{7}, 4096, ErrCorrupt},
		{"distance before the window", dict, []byte{0x03, 0xFE, 0xFF, 0xFF, 0xFF}, 4096, ErrCorrupt},
	} {
		if got, err := Decompress(v.dict, v.data, v.limit); !errors.Is(err, v.want) || got != "" {
			t.Errorf("%s: %q, %v; want %v", v.name, got, err, v.want)
		}
	}
	for cut := range data {
		if _, err := Decompress(dict, data[:cut], 4096); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}
