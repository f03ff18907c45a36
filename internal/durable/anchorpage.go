package durable

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"herald/internal/line"
)

// The file: page 0 is a header that never changes; pages 1+2k and 2+2k are the
// pair of the k-th log. A page: u64 count, log-id, u64 size, root, zeros, and
// in the last 32 bytes the checksum. Numbers are big endian.
const (
	pageSize = 4096
	magic    = "herald-anchor/1\n"
	sumLabel = "herald/anchor/1\x00"
	sumAt    = pageSize - sha256.Size
)

// slot is one written page.
type slot struct {
	index int // page number in the file, from 1
	count uint64
	head  Head
}

// other returns the page that the next head of the same log goes to.
func (s slot) other() int { return ((s.index - 1) ^ 1) + 1 }

func pairOf(index int) int { return (index - 1) / 2 }

// pairsIn says how many pairs a file of n bytes has begun.
func pairsIn(n int) int { return max(0, (n-1)/pageSize+1) / 2 }

// page encodes the slot.
func (s slot) page() []byte {
	b := make([]byte, 0, pageSize)
	b = binary.BigEndian.AppendUint64(b, s.count)
	b = append(b, s.head.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, s.head.Size)
	b = append(b, s.head.Root[:]...)
	b = b[:pageSize]
	sum := pageSum(s.index, b[:sumAt])
	copy(b[sumAt:], sum[:])
	return b
}

// header is page 0.
func header() []byte {
	b := make([]byte, pageSize)
	copy(b, magic)
	sum := pageSum(0, b[:sumAt])
	copy(b[sumAt:], sum[:])
	return b
}

// pageSum covers the page's place too: a page written to a wrong place does
// not count.
func pageSum(index int, body []byte) [sha256.Size]byte {
	b := make([]byte, 0, len(sumLabel)+8+pageSize)
	b = append(b, sumLabel...)
	b = binary.BigEndian.AppendUint64(b, uint64(index))
	return sha256.Sum256(append(b, body...))
}

// parseSlot decodes page number index; ok is false if the page does not count.
func parseSlot(index int, b []byte) (s slot, ok bool) {
	s.index = index
	s.count = binary.BigEndian.Uint64(b)
	b2 := b[8:]
	copy(s.head.ID[:], b2)
	s.head.Size = binary.BigEndian.Uint64(b2[32:])
	copy(s.head.Root[:], b2[40:])
	return s, s.count > 0 && bytes.Equal(s.page(), b)
}

// parseAnchor reads a whole file. Missing bytes at its end count as zeros: a
// crash may cut the growth of the file short.
func parseAnchor(b []byte) (map[line.LogID]slot, error) {
	if len(b) < pageSize || !bytes.Equal(b[:pageSize], header()) {
		return nil, fmt.Errorf("%w: its first page is not that of an anchor", ErrAnchorDamaged)
	}
	slots := make(map[line.LogID]slot)
	n := pairsIn(len(b))
	padded := make([]byte, (1+2*n)*pageSize)
	copy(padded, b)
	for k := range n {
		first := 1 + 2*k
		s, ok, err := parsePair(first, padded[first*pageSize:][:2*pageSize])
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if _, dup := slots[s.head.ID]; dup {
			return nil, fmt.Errorf("%w: log %s has two places", ErrAnchorDamaged, s.head.ID)
		}
		slots[s.head.ID] = s
	}
	return slots, nil
}

// parsePair picks the newer good page of a pair. One bad page is a torn write,
// whose head was never revealed. Two bad pages, or two pages that do not
// follow each other, are no crash of ours.
func parsePair(first int, b []byte) (slot, bool, error) {
	pages := [2][]byte{b[:pageSize], b[pageSize:]}
	x, xok := parseSlot(first, pages[0])
	y, yok := parseSlot(first+1, pages[1])
	switch {
	case xok && yok:
		if x.count < y.count {
			x, y = y, x
		}
		if x.head.ID != y.head.ID || x.count != y.count+1 || x.head.Size <= y.head.Size {
			return slot{}, false, fmt.Errorf("%w: pages %d and %d contradict each other", ErrAnchorDamaged, first, first+1)
		}
		return x, true, nil
	case xok:
		return x, true, nil
	case yok:
		return y, true, nil
	case !allZero(pages[0]) && !allZero(pages[1]):
		return slot{}, false, fmt.Errorf("%w: pages %d and %d are both unreadable", ErrAnchorDamaged, first, first+1)
	}
	return slot{}, false, nil
}
