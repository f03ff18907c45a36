// Package tlog is one party's log as anybody may check it: leaf hashes, the
// RFC 6962 tree over them, the signatures on entries and heads, cosignatures,
// proofs, and the evidence that a party signed two histories. It knows nothing
// of what entries mean, and holds no entries (spec 04).
package tlog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"herald/internal/line"
)

// MaxSize bounds the number of entries in a log, so that sizes are exact in
// every JSON reader and never overflow (spec 04 §3).
const MaxSize = 1 << 53

// LeafHash computes SHA-256(0x00 ‖ leaf), RFC 6962's hash of a leaf (spec 04 §3).
func LeafHash(leaf []byte) line.Hash {
	var small [1024]byte
	if len(leaf) < len(small) {
		return sha256.Sum256(append(small[:1], leaf...))
	}
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(leaf)
	var out line.Hash
	h.Sum(out[:0])
	return out
}

// NodeHash computes SHA-256(0x01 ‖ left ‖ right), RFC 6962's hash of an inner
// node (spec 04 §3).
func NodeHash(left, right line.Hash) line.Hash {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// EmptyRoot returns the root of the tree without leaves: SHA-256 of nothing.
func EmptyRoot() line.Hash { return sha256.Sum256(nil) }

// Tree is the frontier of an append-only RFC 6962 tree: what is needed to add
// leaves and to know the root, about 2 KiB whatever the size. The zero Tree is
// the empty tree. Assignment copies it, and equal trees compare equal.
//
// It is an array and not the library's compact range, because appending to it
// allocates nothing; the tests hold the two against each other.
type Tree struct {
	size uint64
	// peaks[k] is the root of the complete subtree of 2^k leaves that the
	// frontier has exactly if bit k of size is set; otherwise zero.
	peaks [64]line.Hash
}

// Append adds one leaf by its LeafHash.
func (t *Tree) Append(leaf line.Hash) {
	k := 0
	for ; t.size>>k&1 == 1; k++ {
		leaf = NodeHash(t.peaks[k], leaf)
		t.peaks[k] = line.Hash{}
	}
	t.peaks[k] = leaf
	t.size++
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Root returns the RFC 6962 root, by at most one hash per bit of the size.
func (t *Tree) Root() line.Hash {
	if t.size == 0 {
		return EmptyRoot()
	}
	k := bits.TrailingZeros64(t.size)
	root := t.peaks[k]
	for k++; t.size>>k != 0; k++ {
		if t.size>>k&1 == 1 {
			root = NodeHash(t.peaks[k], root)
		}
	}
	return root
}

// Head returns size and root together.
func (t *Tree) Head() Head { return Head{Size: t.size, Root: t.Root()} }

// Clone returns a copy that shares nothing with t.
func (t *Tree) Clone() Tree { return *t }

// Marshal returns the tree's local form: the size in 8 bytes, big endian, and
// its complete subtrees' roots, greatest first, 32 bytes each (spec 04 §3).
func (t *Tree) Marshal() []byte {
	b := make([]byte, 8, 8+32*bits.OnesCount64(t.size))
	binary.BigEndian.PutUint64(b, t.size)
	for k := 63; k >= 0; k-- {
		if t.size>>k&1 == 1 {
			b = append(b, t.peaks[k][:]...)
		}
	}
	return b
}

// ParseTree reads what Marshal wrote. The bytes carry no checksum: a caller
// that does not trust their storage compares the root with a signed head.
func ParseTree(b []byte) (Tree, error) {
	var t Tree
	if len(b) < 8 {
		return t, fmt.Errorf("stored tree: %d bytes, want at least 8: it is cut short", len(b))
	}
	size := binary.BigEndian.Uint64(b)
	if size > MaxSize {
		return t, fmt.Errorf("stored tree: %d leaves, more than a log can have: it is damaged", size)
	}
	if want := 8 + 32*bits.OnesCount64(size); len(b) != want {
		return t, fmt.Errorf("stored tree: %d bytes for %d leaves, want %d: it is damaged", len(b), size, want)
	}
	t.size = size
	b = b[8:]
	for k := 63; k >= 0; k-- {
		if size>>k&1 == 1 {
			b = b[copy(t.peaks[k][:], b):]
		}
	}
	return t, nil
}
