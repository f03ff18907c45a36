// Package courier is the bearer that is carried by hand: frames in files on
// whatever medium goes, in as many pieces as it needs (spec 09 §7).
//
// There is no way back, so nothing is acknowledged. Each piece stands for
// itself: pieces may be read in any order and any number of times, and a
// damaged one takes nothing from the others. No frame spans two pieces.
//
// A piece's hash finds accidents, not forgers: what a frame is worth, its
// reader judges by the signatures within it. Everything outside the frames is
// in clear, for whoever holds the medium.
package courier

import (
	"errors"
	"fmt"
	"io"

	"herald/internal/bearer"
)

// Limits of a piece (spec 09 §7).
const (
	// MinPiece is the smallest size that pieces may be given, in bytes: any
	// frame fits with room to spare.
	MinPiece = 128 << 10
	// MaxMeta is the greatest length of a bundle's metadata, in bytes.
	MaxMeta = 4 << 10
	// MaxPieces is the greatest number of pieces in a bundle.
	MaxPieces = 1 << 16
)

const magic = "herald-courier/1\n"

// What follows the frames of a piece.
const (
	endMore = 0 // there is a next piece
	endLast = 1 // this is the bundle's last
)

// ErrDamaged marks a piece that is not as it was written: torn, or changed. It
// may be read again from another copy; the other pieces are not affected.
var ErrDamaged = errors.New("damaged piece")

// ErrNotPiece marks a file that is not a courier's piece at all.
var ErrNotPiece = errors.New("not a courier's piece")

// ID names a bundle: random, so that it says nothing.
type ID [16]byte

// NewID draws a name from a source of randomness.
func NewID(random io.Reader) (ID, error) {
	var id ID
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return id, fmt.Errorf("courier: no randomness: %w", err)
	}
	return id, nil
}

// String returns the name in hexadecimal.
func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// Header is what each piece says of itself.
type Header struct {
	Bundle ID
	Number int    // from 1
	Last   bool   // whether it is the bundle's last piece
	Meta   []byte // the same in every piece; at most MaxMeta bytes; in clear
}

// checkFrame holds a frame to the bearer's limits.
func checkFrame(n int) error {
	if n < 1 || n > bearer.MaxFrame {
		return fmt.Errorf("a frame of %d bytes, want 1 to %d", n, bearer.MaxFrame)
	}
	return nil
}
