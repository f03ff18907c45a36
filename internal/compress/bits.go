package compress

import "math/bits"

// endOfBlock is the symbol that closes a DEFLATE block.
const endOfBlock = 256

// coded is a length or a distance as DEFLATE writes it: a symbol, then extra
// bits with a value.
type coded struct {
	symbol, value uint16
	extra         uint8
}

// more is the cost of a length in bits above the 7 of the short codes.
func (c coded) more() uint8 {
	if c.symbol >= 280 {
		return c.extra + 1
	}
	return c.extra
}

// lengthCode codes a match length of 3 to 258 (RFC 1951 §3.2.5).
func lengthCode(length int) coded {
	if length == maxMatch {
		return coded{symbol: 285}
	}
	c := interval(length-3, 3)
	c.symbol += 257
	return c
}

// distanceCode codes a distance of 1 to 32768 (RFC 1951 §3.2.5).
func distanceCode(distance int) coded { return interval(distance-1, 2) }

// interval finds n in the ladder of intervals that lengths and distances
// share: the first 2^k·… symbols stand for one value each, and thereafter
// every 2^(k-1) symbols the interval doubles.
func interval(n, k int) coded {
	extra := max(bits.Len(uint(n))-k, 0)
	group := 1 << (k - 1)
	return coded{
		symbol: uint16(extra*group + n>>extra),
		value:  uint16(n & (1<<extra - 1)),
		extra:  uint8(extra),
	}
}

// literalBits is the cost of a literal in the fixed code (RFC 1951 §3.2.6).
func literalBits(b byte) uint8 {
	if b < 144 {
		return 8
	}
	return 9
}

// bitWriter packs bits into bytes, least significant bit first.
type bitWriter struct {
	out []byte
	acc uint32
	n   uint8 // bits in acc, below 8 between calls
}

func (w *bitWriter) bits(v uint16, n uint8) {
	w.acc |= uint32(v) << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
}

// code writes a Huffman code, which goes most significant bit first.
func (w *bitWriter) code(v uint16, n uint8) { w.bits(bits.Reverse16(v)>>(16-n), n) }

// symbol writes a literal, a length or the end in the fixed code
// (RFC 1951 §3.2.6).
func (w *bitWriter) symbol(s uint16) {
	switch {
	case s < 144:
		w.code(0x30+s, 8)
	case s < 256:
		w.code(0x190+s-144, 9)
	case s < 280:
		w.code(s-256, 7)
	default:
		w.code(0xC0+s-280, 8)
	}
}

// finish returns the bytes, the last filled up with zero bits.
func (w *bitWriter) finish() []byte {
	if w.n > 0 {
		w.out = append(w.out, byte(w.acc))
	}
	return w.out
}
