package station

import (
	"context"
	"fmt"
	"io"
	"slices"

	"herald/internal/audit"
	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
	"herald/internal/store/folder"
	"herald/internal/wire"
)

// ImportCharter opens a line, once every member has signed.
func (s *Station) ImportCharter(ctx context.Context, note []byte) (control.LineInfo, error) {
	ch, err := folder.ImportCharter(s.folder, note)
	if err != nil {
		return control.LineInfo{}, err
	}
	l, err := s.addLine(ctx, ch)
	if err != nil {
		return control.LineInfo{}, err
	}
	return s.lineInfo(ctx, l)
}

// Export writes a line's record for herald audit, with the message keys of
// what was opened, so that the audit reads what the officers read.
func (s *Station) Export(ctx context.Context, id line.ID, w io.Writer) (control.ExportSummary, error) {
	l, ok := s.find(id)
	if !ok {
		return control.ExportSummary{}, fmt.Errorf("no line %s here", id.Short())
	}
	note, err := config.ReadFile(s.folder.Charter(id), keys.MaxNote)
	if err != nil {
		return control.ExportSummary{}, fmt.Errorf("the line's charter: %w", err)
	}
	meta := audit.Meta{Charter: note}
	for _, code := range l.Members().Members {
		meta.Cards = append(meta.Cards, s.cards.history(code)...)
	}
	count := &counter{w: w}
	x := exporter{ctx: ctx, s: s, l: l, w: audit.NewWriter(count, meta)}
	if err := x.run(); err != nil {
		return control.ExportSummary{}, err
	}
	return control.ExportSummary{Line: id.String(), Entries: x.entries, Bytes: count.n}, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

type exporter struct {
	ctx     context.Context
	s       *Station
	l       *session.Line
	w       *audit.Writer
	entries uint64
}

func (x *exporter) run() error {
	logs, err := x.s.db.Logs(x.ctx, x.l.ID())
	if err != nil {
		return err
	}
	slices.SortFunc(logs, func(a, b line.Log) int {
		if a.Party != b.Party {
			return a.Party - b.Party
		}
		return int(b.Gen) - int(a.Gen) // newest generation first (spec 10 §3)
	})
	for _, g := range logs {
		if err := x.log(g); err != nil {
			return err
		}
	}
	proofs, err := x.s.db.Proofs(x.ctx, x.l.ID())
	if err != nil {
		return err
	}
	for _, proven := range []bool{true, false} {
		for _, p := range proofs {
			switch {
			case p.Proven != proven:
			case proven:
				err = x.w.Evidence(p.Log, p.Bytes)
			default:
				err = x.w.Inconsistency(p.Log, p.Found, p.Text)
			}
			if err != nil {
				return err
			}
		}
	}
	return x.w.Close()
}

func (x *exporter) log(g line.Log) error {
	var st audit.Statements
	id := x.l.ID()
	err := x.s.db.AllHeads(x.ctx, id, g, func(h record.Head) error { st.Heads = append(st.Heads, h.Head); return nil })
	if err != nil {
		return err
	}
	err = x.s.db.AllCosigs(x.ctx, id, g, func(c record.Cosig) error { st.Cosigs = append(st.Cosigs, c.Cosig); return nil })
	if err != nil {
		return err
	}
	if err := x.w.Log(g, st); err != nil {
		return err
	}
	next := uint64(0)
	var page []record.Entry
	err = x.s.db.AllEntries(x.ctx, id, g, func(e record.Entry) error {
		if e.Pos.Seq != next {
			if err := x.flush(g, &page); err != nil {
				return err
			}
			return x.w.Ahead(e.Pos.Seq, e.Sig, e.Leaf)
		}
		next++
		page = append(page, e)
		if len(page) < 256 {
			return nil
		}
		return x.flush(g, &page)
	})
	if err != nil {
		return err
	}
	return x.flush(g, &page)
}

// flush writes entries with what opens them.
func (x *exporter) flush(g line.Log, page *[]record.Entry) error {
	at := make([]line.Pos, len(*page))
	for i, e := range *page {
		at[i] = e.Pos
	}
	found, err := x.s.db.Bodies(x.ctx, x.l.ID(), at)
	if err != nil {
		return err
	}
	bodies := make([]record.Body, len(at))
	for _, b := range found {
		bodies[slices.Index(at, b.Pos)] = b
	}
	opened, err := x.l.Unarchive(x.ctx, bodies)
	if err != nil {
		return err
	}
	for i, e := range *page {
		if err := x.entry(g, e, opened[i]); err != nil {
			return err
		}
	}
	*page = (*page)[:0]
	return nil
}

func (x *exporter) entry(g line.Log, e record.Entry, a wire.Archived) error {
	x.entries++
	if err := x.w.Entry(e.Sig, e.Leaf); err != nil {
		return err
	}
	if len(a.Key) == 32 {
		return x.w.Key([32]byte(a.Key))
	}
	leaves, ok, err := x.s.db.EpochLeaves(x.ctx, x.l.ID(), g, e.Pos.Seq)
	if err != nil || !ok {
		return err
	}
	return x.w.EpochKeys(leaves)
}
