package compress

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// toUTF16 returns a UTF-8 text in UTF-16, big endian, without a byte order
// mark. A Chinese character takes two bytes there instead of three, and
// DEFLATE then leaves a sixth less (spec 11 §3).
func toUTF16(text string) string {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if hi, lo := utf16.EncodeRune(r); r > 0xFFFF {
			out = binary.BigEndian.AppendUint16(out, uint16(hi))
			out = binary.BigEndian.AppendUint16(out, uint16(lo))
			continue
		}
		out = binary.BigEndian.AppendUint16(out, uint16(r))
	}
	return string(out)
}

// fromUTF16 undoes toUTF16. It refuses half units and half pairs, which no
// text yields.
func fromUTF16(units string) (string, error) {
	if len(units)%2 != 0 {
		return "", fmt.Errorf("%w (UTF-16 of %d bytes)", ErrCorrupt, len(units))
	}
	unit := func(i int) rune { return rune(units[i])<<8 | rune(units[i+1]) }
	out := make([]rune, 0, len(units)/2)
	for i := 0; i < len(units); i += 2 {
		r := unit(i)
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if i += 2; i < len(units) {
				low = unit(i)
			}
			// DecodeRune answers U+FFFD for all that is not a pair.
			if r = utf16.DecodeRune(r, low); r == 0xFFFD {
				return "", fmt.Errorf("%w (half of a UTF-16 pair)", ErrCorrupt)
			}
		}
		out = append(out, r)
	}
	return string(out), nil
}
