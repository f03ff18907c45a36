package station

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"herald/internal/bearer/courier"
	"herald/internal/control"
	"herald/internal/line"
	"herald/internal/session"
	"herald/internal/wire"
)

// CourierExport writes what another party lacks as pieces for a medium.
func (s *Station) CourierExport(ctx context.Context, r control.CourierRequest, next func(piece int) (io.WriteCloser, error)) (control.CourierSummary, error) {
	out := control.CourierSummary{From: s.cards.self}
	l, err := s.line(r.LineID)
	if err != nil {
		return out, err
	}
	out.Line = l.ID().String()
	to, err := s.recipient(ctx, l, r.To)
	if err != nil {
		return out, err
	}
	frames, err := l.Carry(ctx, to, r.Everything)
	if err != nil {
		return out, err
	}
	id, err := courier.NewID(rand.Reader)
	if err != nil {
		return out, err
	}
	var failed error
	w, err := courier.Write(next, id, session.BundleMeta(l.Members()), r.PieceSize, func(yield func([]byte) bool) {
		for f, err := range frames {
			if failed = err; err != nil || !yield(f) {
				return
			}
			if wire.FrameType(f[0]&^0x80) == wire.FrameEntry {
				out.Entries++
			}
		}
	})
	out.Pieces, out.Bytes = w.Pieces, w.Bytes
	return out, errors.Join(failed, err)
}

// recipient finds whom a bundle is for: who was named, or who lacks most of
// this party's own log.
func (s *Station) recipient(ctx context.Context, l *session.Line, code line.Party) (int, error) {
	if code != "" {
		i := l.Charter().Index(code)
		if i < 0 || i == l.Members().Self {
			return 0, fmt.Errorf("%s is not another party of this line", code)
		}
		return i, nil
	}
	v, err := l.View(ctx)
	if err != nil {
		return 0, err
	}
	best, least := -1, ^uint64(0)
	for p := range l.Members().Members {
		if p == l.Members().Self {
			continue
		}
		has := uint64(0)
		for _, lv := range v.Logs {
			has += lv.Delivered[p]
		}
		if has < least {
			best, least = p, has
		}
	}
	return best, nil
}

// CourierImport takes one piece, in any order, any number of times. It is
// copied first: a piece is judged whole before any of it is believed.
func (s *Station) CourierImport(ctx context.Context, r io.Reader) (control.CourierSummary, error) {
	var out control.CourierSummary
	tmp, err := os.CreateTemp(s.o.Dir, ".courier-*")
	if err != nil {
		return out, fmt.Errorf("the piece cannot be copied into the folder: %w", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if out.Bytes, err = io.Copy(tmp, r); err != nil {
		return out, fmt.Errorf("the piece could not be read to its end: %w", err)
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return out, err
	}
	p, err := courier.Open(tmp)
	if err != nil {
		return out, err
	}
	id, from, err := session.ParseBundleMeta(p.Meta)
	if err != nil {
		return out, err
	}
	l, ok := s.find(id)
	if !ok {
		return out, fmt.Errorf("the piece belongs to line %s, which is not here: import its charter first", id.Short())
	}
	if from >= len(l.Members().Members) || from == l.Members().Self {
		return out, fmt.Errorf("the piece does not come from another party of line %s", id.Short())
	}
	out.Line, out.From, out.Pieces = id.String(), l.Members().Members[from], 1
	var failed error
	d, err := l.Deliver(ctx, from, whole(p.Frames(), &failed))
	out.Entries, out.New, out.Refused = d.Entries, d.New, d.Refused
	return out, errors.Join(failed, err)
}

// whole yields frames until one cannot be read, and keeps why.
func whole(frames iter.Seq2[[]byte, error], failed *error) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for f, err := range frames {
			if *failed = err; err != nil || !yield(f) {
				return
			}
		}
	}
}
