package courier

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"herald/internal/bearer"
)

// medium keeps pieces in memory.
type medium struct {
	pieces map[int]*bytes.Buffer
	closed map[int]bool
}

type file struct {
	*bytes.Buffer
	close func() error
}

func (f file) Close() error { return f.close() }

func (m *medium) create(n int) (io.WriteCloser, error) {
	m.pieces[n] = &bytes.Buffer{}
	return file{m.pieces[n], func() error { m.closed[n] = true; return nil }}, nil
}

func newMedium() *medium {
	return &medium{pieces: make(map[int]*bytes.Buffer), closed: make(map[int]bool)}
}

// someFrames makes frames of many lengths; seeded, so that a failure repeats.
func someFrames(count int) [][]byte {
	rng := rand.New(rand.NewPCG(5, 5))
	frames := make([][]byte, count)
	for i := range frames {
		frames[i] = make([]byte, 1+rng.IntN(bearer.MaxFrame))
		for j := range frames[i] {
			frames[i][j] = byte(rng.Uint32())
		}
	}
	return frames
}

func readAll(t *testing.T, b []byte) (*Piece, [][]byte) {
	t.Helper()
	p, err := Open(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for f, err := range p.Frames() {
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, bytes.Clone(f))
	}
	if len(frames) != p.Count {
		t.Fatalf("%d frames were read, %d were counted", len(frames), p.Count)
	}
	return p, frames
}

func TestFramesGoOverAsManyPiecesAsNeeded(t *testing.T) {
	frames := append(someFrames(40), bytes.Repeat([]byte{'m'}, bearer.MaxFrame), []byte{1})
	for _, size := range []int64{0, MinPiece, 500_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			m := newMedium()
			w, err := Write(m.create, ID{1}, []byte("meta"), size, slices.Values(frames))
			if err != nil {
				t.Fatal(err)
			}
			var got [][]byte
			var total int64
			for _, n := range slices.Sorted(maps.Keys(m.pieces)) {
				b := m.pieces[n].Bytes()
				total += int64(len(b))
				if size > 0 && int64(len(b)) > size {
					t.Errorf("piece %d has %d bytes", n, len(b))
				}
				if !m.closed[n] {
					t.Errorf("piece %d was not closed", n)
				}
				p, more := readAll(t, b)
				if p.Number != n || p.Bundle != (ID{1}) || string(p.Meta) != "meta" || p.Last != (n == w.Pieces) {
					t.Errorf("piece %d says %+v", n, p.Header)
				}
				readAll(t, b) // any number of times
				got = append(got, more...)
			}
			if !slices.EqualFunc(got, frames, bytes.Equal) {
				t.Error("the frames are not those that were written")
			}
			if w.Pieces != len(m.pieces) || w.Frames != len(frames) || w.Bytes != total {
				t.Errorf("Write says %+v of %d pieces and %d bytes", w, len(m.pieces), total)
			}
			if size > 0 && w.Pieces < 2 {
				t.Error("one piece held more than its size")
			}
		})
	}
}

func TestNoFramesMakeOneEmptyPiece(t *testing.T) {
	m := newMedium()
	w, err := Write(m.create, ID{}, nil, 0, slices.Values[[][]byte](nil))
	if err != nil || w.Pieces != 1 {
		t.Fatal(w, err)
	}
	if p, frames := readAll(t, m.pieces[1].Bytes()); len(frames) != 0 || !p.Last {
		t.Errorf("got %d frames, %+v", len(frames), p.Header)
	}
}

// onePiece is a small piece to damage.
func onePiece(t testing.TB) []byte {
	m := newMedium()
	if _, err := Write(m.create, ID{7, 7}, []byte("to CN"), 0, slices.Values([][]byte{[]byte("one"), make([]byte, 300)})); err != nil {
		t.Fatal(err)
	}
	return m.pieces[1].Bytes()
}

func TestEveryDamageIsFound(t *testing.T) {
	whole := onePiece(t)
	for i := range whole {
		if _, err := Open(bytes.NewReader(whole[:i])); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotPiece) {
			t.Errorf("torn off after %d of %d bytes: %v", i, len(whole), err)
		}
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			if _, err := Open(bytes.NewReader(b)); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotPiece) {
				t.Errorf("bit %d of byte %d turned over: %v", bit, i, err)
			}
		}
	}
	if _, err := Open(bytes.NewReader(append(bytes.Clone(whole), 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a byte too many: %v", err)
	}
	if _, err := Open(bytes.NewReader([]byte("Dear sister, "))); !errors.Is(err, ErrNotPiece) {
		t.Errorf("a letter: %v", err)
	}
}

// changing gives other bytes when it is read again.
type changing struct {
	*bytes.Reader
	reads int
	after []byte
}

func (c *changing) Seek(off int64, whence int) (int64, error) {
	if c.reads++; c.reads == 2 {
		c.Reader.Reset(c.after)
	}
	return c.Reader.Seek(off, whence)
}

func TestDamageBetweenTheReadingsIsFound(t *testing.T) {
	whole := onePiece(t)
	after := bytes.Clone(whole)
	after[len(after)-100] ^= 1
	p, err := Open(&changing{Reader: bytes.NewReader(whole), after: after})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range p.Frames() {
		last = err
	}
	if !errors.Is(last, ErrDamaged) {
		t.Errorf("the second reading ended with %v", last)
	}
}

// failing is a source or a piece that fails.
type failing struct{ io.Reader }

func (failing) Seek(int64, int) (int64, error) { return 0, nil }

func TestAnUnreadableMediumIsNotCalledDamage(t *testing.T) {
	bad := errors.New("input/output error")
	for _, n := range []int{0, 5, 20, 60} {
		src := failing{io.MultiReader(bytes.NewReader(onePiece(t)[:n]), iotest.ErrReader(bad))}
		if _, err := Open(src); !errors.Is(err, bad) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotPiece) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestWriteSaysWhatWentWrong(t *testing.T) {
	full := errors.New("no space left on device")
	ok := newMedium()
	one := slices.Values([][]byte{{1}})
	for name, tc := range map[string]struct {
		create func(int) (io.WriteCloser, error)
		meta   []byte
		size   int64
		frames iter.Seq[[]byte]
		want   error
	}{
		"small pieces": {create: ok.create, size: MinPiece - 1, frames: one},
		"negative":     {create: ok.create, size: -1, frames: one},
		"much meta":    {create: ok.create, meta: make([]byte, MaxMeta+1), frames: one},
		"empty frame":  {create: ok.create, frames: slices.Values([][]byte{{}})},
		"long frame":   {create: ok.create, frames: slices.Values([][]byte{make([]byte, bearer.MaxFrame+1)})},
		"no file":      {create: func(int) (io.WriteCloser, error) { return nil, full }, frames: one, want: full},
		"full": {create: func(int) (io.WriteCloser, error) {
			return file{bytes.NewBuffer(nil), func() error { return full }}, nil
		}, frames: one, want: full},
	} {
		w, err := Write(tc.create, ID{}, tc.meta, tc.size, tc.frames)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if w.Pieces != 0 {
			t.Errorf("%s: %d pieces are said to be done", name, w.Pieces)
		}
	}
}

func TestTallyNamesWhatIsMissing(t *testing.T) {
	var tally Tally
	if missing, ended := tally.Missing(); len(missing) != 0 || ended {
		t.Error("an empty tally misses", missing, ended)
	}
	for _, n := range []int{5, 2, 2} {
		tally.Add(Header{Number: n})
	}
	if missing, ended := tally.Missing(); !slices.Equal(missing, []int{1, 3, 4}) || ended {
		t.Error("of 2 and 5:", missing, ended)
	}
	for _, n := range []int{1, 3, 4} {
		tally.Add(Header{Number: n})
	}
	tally.Add(Header{Number: 6, Last: true})
	if missing, ended := tally.Missing(); len(missing) != 0 || !ended {
		t.Error("of all:", missing, ended)
	}
}

// FuzzPiece opens any bytes, as they are and with the hash that would make them
// a piece, and holds what is taken against its own encoding.
func FuzzPiece(f *testing.F) {
	whole := onePiece(f)
	f.Add(whole)
	f.Add(whole[:len(whole)-sha256.Size])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		for _, b := range [][]byte{b, append(bytes.Clone(b), sum[:]...)} {
			p, err := Open(bytes.NewReader(b))
			if err != nil {
				continue
			}
			_, frames := readAll(t, b)
			if !p.Last || p.Number != 1 {
				continue // Write makes such pieces only among others
			}
			m := newMedium()
			if _, err := Write(m.create, p.Bundle, p.Meta, 0, slices.Values(frames)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.pieces[1].Bytes(), b) {
				t.Error("a piece was taken that Write does not make")
			}
		}
	})
}
