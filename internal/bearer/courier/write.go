package courier

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"iter"
	"math"
)

// Written is what Write has made.
type Written struct {
	Pieces int
	Frames int
	Bytes  int64
}

// Write puts the frames on a medium: it calls create for each piece, numbered
// from 1, writes at most size bytes to it and closes it. Size is at least
// MinPiece; 0 means one piece however long. A piece counts only once its Close
// has returned without error, so that is where it should be made durable.
//
// With no frames, one empty piece is written, so that the medium says that
// there was nothing. A frame may be reused by its source once the next one is
// asked for. After an error, what was written is no complete bundle; the
// pieces that were closed are whole and count all the same.
func Write(create func(piece int) (io.WriteCloser, error), bundle ID, meta []byte, size int64, frames iter.Seq[[]byte]) (Written, error) {
	w := &writer{create: create, head: Header{Bundle: bundle, Meta: meta}, size: size}
	if size == 0 {
		w.size = math.MaxInt64
	}
	switch {
	case w.size < MinPiece:
		return w.done, fmt.Errorf("courier: pieces of %d bytes are too small; the least is %d", size, MinPiece)
	case len(meta) > MaxMeta:
		return w.done, fmt.Errorf("courier: %d bytes of metadata, at most %d are allowed", len(meta), MaxMeta)
	}
	if err := w.writeAll(frames); err != nil {
		if w.out != nil {
			w.out.Close() // it is not complete; the first error says why
		}
		return w.done, fmt.Errorf("courier: piece %d: %w", w.head.Number, err)
	}
	return w.done, nil
}

// writer is the bundle in the making.
type writer struct {
	create func(int) (io.WriteCloser, error)
	head   Header
	size   int64
	done   Written

	out  io.WriteCloser // the piece in the making
	buf  *bufio.Writer
	hash hash.Hash
	used int64
}

func (w *writer) writeAll(frames iter.Seq[[]byte]) error {
	if err := w.open(); err != nil {
		return err
	}
	for f := range frames {
		if err := w.frame(f); err != nil {
			return err
		}
	}
	return w.close(endLast)
}

// frame writes one frame, in a new piece if this one has no room for it.
func (w *writer) frame(f []byte) error {
	if err := checkFrame(len(f)); err != nil {
		return err
	}
	head := binary.AppendUvarint(nil, uint64(len(f)))
	if w.used+int64(len(head)+len(f))+trailer > w.size {
		if err := w.close(endMore); err != nil {
			return err
		}
		if err := w.open(); err != nil {
			return err
		}
	}
	w.done.Frames++
	if err := w.write(head); err != nil {
		return err
	}
	return w.write(f)
}

// trailer is the length of what follows the frames: a zero, the end, the hash.
const trailer = 1 + 1 + sha256.Size

func (w *writer) open() error {
	if w.head.Number == MaxPieces {
		return fmt.Errorf("a bundle has at most %d pieces; make them larger", MaxPieces)
	}
	w.head.Number++
	out, err := w.create(w.head.Number)
	if err != nil {
		return err
	}
	w.out, w.hash, w.used = out, sha256.New(), 0
	w.buf = bufio.NewWriterSize(io.MultiWriter(out, w.hash), 64<<10)
	b := append([]byte(magic), w.head.Bundle[:]...)
	b = binary.AppendUvarint(b, uint64(w.head.Number))
	b = binary.AppendUvarint(b, uint64(len(w.head.Meta)))
	return w.write(append(b, w.head.Meta...))
}

func (w *writer) write(b []byte) error {
	w.used += int64(len(b))
	w.done.Bytes += int64(len(b))
	_, err := w.buf.Write(b)
	return err
}

func (w *writer) close(end byte) error {
	if err := w.write([]byte{0, end}); err != nil {
		return err
	}
	if err := w.buf.Flush(); err != nil {
		return err
	}
	sum := w.hash.Sum(nil)
	w.done.Bytes += int64(len(sum))
	if _, err := w.out.Write(sum); err != nil {
		return err
	}
	out := w.out
	w.out = nil
	if err := out.Close(); err != nil {
		return err
	}
	w.done.Pieces++
	return nil
}
