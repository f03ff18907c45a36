package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// reader splits a file into pieces and keeps the SHA-256 of what it has read.
// It holds one piece at a time.
type reader struct {
	ctx    context.Context
	src    io.Reader
	buf    []byte
	r, w   int // unread bytes are buf[r:w]
	hashed int // bytes below are in sum
	sum    hash.Hash
	at     uint64 // offset in the file of buf[r]
	order  order
	pieces uint64
	// damaged says that the end mark does not fit what came before it.
	damaged bool
}

// readBuffer holds the greatest piece, and is read in few system calls.
const readBuffer = 1 << 20

func newReader(ctx context.Context, src io.Reader) (*reader, error) {
	r := &reader{ctx: ctx, src: src, buf: make([]byte, readBuffer), sum: sha256.New()}
	head, err := r.peek(len(magic))
	switch {
	case err != nil && !errors.Is(err, ErrTruncated):
		return nil, err
	case err != nil || string(head) != magic:
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrFormat, magic[:len(magic)-1])
	}
	r.skip(len(magic))
	return r, nil
}

// peek returns the next n bytes without passing them; n is at most readBuffer.
func (r *reader) peek(n int) ([]byte, error) {
	for r.w-r.r < n {
		if r.r > 0 {
			r.sum.Write(r.buf[r.hashed:r.r])
			r.w = copy(r.buf, r.buf[r.r:r.w])
			r.r, r.hashed = 0, 0
		}
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		m, err := r.src.Read(r.buf[r.w:])
		r.w += m
		if m > 0 {
			continue
		}
		if errors.Is(err, io.EOF) {
			return r.buf[r.r:r.w], ErrTruncated
		}
		if err != nil {
			return nil, fmt.Errorf("the file could not be read: %w", err)
		}
	}
	return r.buf[r.r : r.r+n], nil
}

func (r *reader) skip(n int) {
	r.r += n
	r.at += uint64(n)
}

// next returns one piece. Its bytes are valid until the next call. After kEnd
// nothing follows.
func (r *reader) next() (kind, []byte, error) {
	at := r.at
	k, b, err := r.piece()
	if err != nil && errors.Is(err, ErrFormat) {
		err = fmt.Errorf("at byte %d: %w", at, err)
	}
	return k, b, err
}

func (r *reader) piece() (kind, []byte, error) {
	head, err := r.peek(2)
	if err != nil {
		return 0, nil, err
	}
	k := kind(head[0])
	least, most, ok := k.bounds()
	if !ok {
		return 0, nil, fmt.Errorf("%w: %s is unknown here: the file is damaged, or a newer release wrote it", ErrFormat, k)
	}
	n, width, err := r.length()
	if err != nil {
		return 0, nil, err
	}
	if n < uint64(least) || n > uint64(most) {
		return 0, nil, fmt.Errorf("%w: %s of %d bytes", ErrFormat, k, n)
	}
	if k == kEnd {
		return k, nil, r.end(1+width, int(n))
	}
	b, err := r.peek(1 + width + int(n))
	if err != nil {
		return 0, nil, err
	}
	b = b[1+width:]
	if err := r.order.next(k, b); err != nil {
		return 0, nil, err
	}
	r.skip(1 + width + int(n))
	r.pieces++
	return k, b, nil
}

// length reads the length after the kind: a shortest varint of at most three
// bytes, as the greatest piece needs.
func (r *reader) length() (n uint64, width int, err error) {
	for width = 1; width <= 3; width++ {
		b, err := r.peek(1 + width)
		if err != nil {
			return 0, 0, err
		}
		if b[width] < 0x80 {
			n, used := binary.Uvarint(b[1:])
			if used != width || width > 1 && b[width] == 0 {
				break
			}
			return n, width, nil
		}
	}
	return 0, 0, fmt.Errorf("%w: a length is not in its shortest form", ErrFormat)
}

// end reads the end mark and compares it with what was read.
func (r *reader) end(head, n int) error {
	if err := r.order.next(kEnd, nil); err != nil {
		return err
	}
	b, err := r.peek(head + n)
	if err != nil {
		return err
	}
	r.sum.Write(r.buf[r.hashed:r.r])
	r.hashed = r.r
	want := binary.BigEndian.AppendUint64(nil, r.pieces)
	want = binary.BigEndian.AppendUint64(want, r.order.total)
	r.damaged = string(r.sum.Sum(want)) != string(b[head:])
	r.skip(head + n)
	if _, err := r.peek(1); err == nil {
		return fmt.Errorf("%w: more follows after the end mark", ErrFormat)
	} else if !errors.Is(err, ErrTruncated) {
		return err
	}
	return nil
}
