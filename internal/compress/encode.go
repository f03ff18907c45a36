package compress

import "math"

const (
	minMatch = 3   // DEFLATE's shortest match; one Chinese character in UTF-8
	maxMatch = 258 // DEFLATE's longest match
	hashBits = 12
	maxChain = 256 // candidates looked at per position, nearest first
)

// index finds earlier places where three given bytes stand, nearest first.
type index struct {
	data []byte
	head [1 << hashBits]int32 // last place of a hash, plus one
	prev []int32              // the place before it of the same hash, plus one
}

func newIndex(data []byte) *index {
	x := &index{data: data, prev: make([]int32, len(data))}
	for i := 0; i+minMatch <= len(data); i++ {
		h := hash(data[i:])
		x.prev[i], x.head[h] = x.head[h], int32(i)+1
	}
	return x
}

func hash(b []byte) uint32 {
	return (uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])) * 0x9E3779B1 >> (32 - hashBits)
}

// step is how the cheapest encoding reaches a place in the text: by the last
// length bytes, copied from distance back; or by one literal, if length is 1.
type step struct {
	bits             uint32
	length, distance uint16
}

// encode returns text as one final DEFLATE block with the fixed Huffman codes
// (RFC 1951 §3.2.6), over a window that holds the index's dictionary, with the
// fewest bits of all ways to cut the text into literals and matches (up to
// maxChain candidates a position). The standard library's encoder looks for
// matches of four bytes or more, greedily, and adds an empty block: a third
// more on texts of a hundred characters.
func encode(dict *index, text string) []byte {
	return write(text, cheapest(dict, text))
}

// cheapest computes, for each prefix of the text, the last step of its
// cheapest encoding.
func cheapest(dict *index, text string) []step {
	n, base := len(text), len(dict.data)
	window := make([]byte, 0, base+n)
	window = append(append(window, dict.data...), text...)
	steps := make([]step, n+1)
	for i := range steps[1:] {
		steps[i+1].bits = math.MaxUint32
	}
	own := make([]int32, n) // like index.prev and index.head, for the text
	var ownHead [1 << hashBits]int32
	for i := range n {
		at := base + i
		relax(steps, i, 1, 0, literalBits(text[i]))
		if i+minMatch > n {
			continue
		}
		h := hash(window[at:])
		best := minMatch - 1
		chain := 0
		for p := ownHead[h]; p > 0 && chain < maxChain; p = own[p-1] {
			best = try(steps, window, at, base+int(p)-1, base, best)
			chain++
		}
		for p := dict.head[h]; p > 0 && chain < maxChain; p = dict.prev[p-1] {
			best = try(steps, window, at, int(p)-1, base, best)
			chain++
		}
		own[i], ownHead[h] = ownHead[h], int32(i)+1
	}
	return steps
}

// try considers copying from place from to place at, for all lengths above
// best, which nearer candidates have covered; it returns the new best.
func try(steps []step, window []byte, at, from, base, best int) int {
	room := min(len(window)-at, maxMatch)
	if best >= room || window[from+best] != window[at+best] {
		return best
	}
	length := 0
	for length < room && window[from+length] == window[at+length] {
		length++
	}
	distance := distanceCode(at - from)
	for l := best + 1; l <= length; l++ {
		relax(steps, at-base, l, at-from, 7+lengthCode(l).more()+5+distance.extra)
	}
	return max(best, length)
}

// relax notes a step from place i if it is the cheapest so far to where it
// leads.
func relax(steps []step, i, length, distance int, bits uint8) {
	if to, cost := &steps[i+length], steps[i].bits+uint32(bits); cost < to.bits {
		*to = step{cost, uint16(length), uint16(distance)}
	}
}

// write turns the steps into bits.
func write(text string, steps []step) []byte {
	path := make([]int, 0, len(text)) // the ends of the steps, last first
	for i := len(text); i > 0; i -= int(steps[i].length) {
		path = append(path, i)
	}
	w := bitWriter{out: make([]byte, 0, steps[len(text)].bits/8+2)}
	w.bits(1|1<<1, 3) // final block, fixed codes
	for k := len(path) - 1; k >= 0; k-- {
		s := steps[path[k]]
		if s.length == 1 {
			w.symbol(uint16(text[path[k]-1]))
			continue
		}
		l := lengthCode(int(s.length))
		w.symbol(l.symbol)
		w.bits(l.value, l.extra)
		d := distanceCode(int(s.distance))
		w.code(d.symbol, 5)
		w.bits(d.value, d.extra)
	}
	w.symbol(endOfBlock)
	return w.finish()
}
