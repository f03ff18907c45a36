package compress

import (
	"errors"
	"testing"
)

func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "Request clarification.", "请确认收到。🕊️", "Просим подтвердить", "يرجى تأكيد", "\xff请\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { roundTrip(t, text) })
}

func FuzzDecompress(f *testing.F) {
	for _, s := range []string{"Request clarification.", "请确认收到。🕊️", "Просим подтвердить", "يرجى تأكيد"} {
		dict, data := Compress(s)
		f.Add(dict, data, uint16(len(s)))
	}
	f.Fuzz(func(t *testing.T, dict uint8, data []byte, limit uint16) {
		text, err := Decompress(dict, data, int(limit))
		switch {
		case err == nil && len(text) > int(limit):
			t.Errorf("%d bytes, limit %d", len(text), limit)
		case err != nil && text != "":
			t.Errorf("text beside %v", err)
		case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrDictionary) && !errors.Is(err, ErrTooLong):
			t.Errorf("unclassified: %v", err)
		}
	})
}

func BenchmarkShort(b *testing.B) {
	text := "Your destroyer is overtaking ours on the port side with less than 140 yards to spare. Ask her to slow down. " +
		"We lost contact with a cargo drone at 22:10 UTC; it may drift across the border near Hill 611. It is unarmed. " +
		"Wreckage recovered 12 miles off the lighthouse. Serial numbers match. Four bodies found."
	dict, data := Compress(text)
	b.Run("compress", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Compress(text)
		}
	})
	b.Run("decompress", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decompress(dict, data, 1000); err != nil {
				b.Fatal(err)
			}
		}
	})
}
