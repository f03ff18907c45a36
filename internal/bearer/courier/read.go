package courier

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"herald/internal/bearer"
)

// Piece is a piece whose every byte was found as it was written.
type Piece struct {
	Header
	Count int // frames
	src   io.ReadSeeker
}

// Open reads a piece once from its start to its end and checks it, in bounded
// memory. The source must stay open while Frames is used. The error has
// ErrNotPiece or ErrDamaged in its chain, or is the source's own.
func Open(src io.ReadSeeker) (*Piece, error) {
	p := &Piece{src: src}
	for _, err := range p.scan(&p.Header) {
		if err != nil {
			return nil, err
		}
		p.Count++
	}
	return p, nil
}

// Frames reads the piece once more and yields its frames; each is valid until
// the next. The medium is not trusted to give the same bytes twice, so damage
// is looked for again, and ends the sequence with an error. A frame that came
// before counts if its own signatures hold.
func (p *Piece) Frames() iter.Seq2[[]byte, error] {
	var h Header
	return p.scan(&h)
}

// scan reads the piece from its start, filling in the header, and yields its
// frames. An error comes last and alone.
func (p *Piece) scan(h *Header) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if _, err := p.src.Seek(0, io.SeekStart); err != nil {
			yield(nil, fmt.Errorf("courier: %w", err))
			return
		}
		s := &scanner{r: bufio.NewReaderSize(p.src, 32<<10), hash: sha256.New()}
		err := s.header(h)
		for err == nil {
			var f []byte
			if f, err = s.frame(); err == nil && f == nil {
				err = s.end(h)
				break
			}
			if err == nil && !yield(f, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, name(err, *h))
		}
	}
}

// name says which piece is at fault, as far as it could be read.
func name(err error, h Header) error {
	if h.Number == 0 {
		return fmt.Errorf("courier: %w", err)
	}
	return fmt.Errorf("courier: piece %d of bundle %v: %w", h.Number, h.Bundle, err)
}

// scanner reads a piece in order and hashes what it reads.
type scanner struct {
	r    *bufio.Reader
	hash hash.Hash
	buf  []byte // the frame last read
}

// fill reads exactly len(b) bytes.
func (s *scanner) fill(b []byte) error {
	_, err := io.ReadFull(s.r, b)
	s.hash.Write(b)
	return torn(err)
}

// torn tells a piece that ends too early from a medium that cannot be read.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is torn off before its end; copy it again", ErrDamaged)
	}
	return err
}

// number reads a uvarint in its shortest form, of at most limit.
func (s *scanner) number(limit uint64, what string) (int, error) {
	var v uint64
	for i := 0; ; i++ {
		var c [1]byte
		if err := s.fill(c[:]); err != nil {
			return 0, err
		}
		v |= uint64(c[0]&0x7f) << (7 * i)
		if c[0] < 0x80 {
			if v > limit || i > 0 && c[0] == 0 {
				return 0, fmt.Errorf("%w: %s is not sound; copy it again", ErrDamaged, what)
			}
			return int(v), nil
		}
		if i == 2 { // three bytes hold every number of a piece
			return 0, fmt.Errorf("%w: %s is not sound; copy it again", ErrDamaged, what)
		}
	}
}

func (s *scanner) header(h *Header) error {
	start := make([]byte, len(magic))
	n, err := io.ReadFull(s.r, start)
	switch ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); {
	case err != nil && !ended:
		return err
	case n == 0:
		return fmt.Errorf("%w: it is empty", ErrNotPiece)
	case !bytes.Equal(start[:n], []byte(magic)[:n]):
		return fmt.Errorf("%w: it does not begin with %q", ErrNotPiece, magic)
	case ended:
		return torn(err)
	}
	s.hash.Write(start)
	if err := s.fill(h.Bundle[:]); err != nil {
		return err
	}
	number, err := s.number(MaxPieces, "its number")
	if err != nil {
		return err
	}
	if number == 0 {
		return fmt.Errorf("%w: its number is not sound; copy it again", ErrDamaged)
	}
	length, err := s.number(MaxMeta, "the length of its metadata")
	if err != nil {
		return err
	}
	h.Meta = make([]byte, length)
	if err := s.fill(h.Meta); err != nil {
		return err
	}
	h.Number = number
	return nil
}

// frame reads the next frame; nil after the last.
func (s *scanner) frame() ([]byte, error) {
	n, err := s.number(bearer.MaxFrame, "a frame's length")
	if err != nil || n == 0 {
		return nil, err
	}
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	s.buf = s.buf[:n]
	return s.buf, s.fill(s.buf)
}

// end reads what follows the frames, and holds the whole against its hash.
func (s *scanner) end(h *Header) error {
	var last [1]byte
	if err := s.fill(last[:]); err != nil {
		return err
	}
	var sum [sha256.Size]byte
	want := s.hash.Sum(nil)
	if err := s.fill(sum[:]); err != nil {
		return err
	}
	if !bytes.Equal(sum[:], want) || last[0] > endLast {
		return fmt.Errorf("%w: its bytes were changed; copy it again", ErrDamaged)
	}
	switch _, err := s.r.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: bytes follow its end; copy it again", ErrDamaged)
	case !errors.Is(err, io.EOF):
		return err
	}
	h.Last = last[0] == endLast
	return nil
}
