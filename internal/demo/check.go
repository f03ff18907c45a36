package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"herald/internal/control"
	"herald/internal/line"
)

// holding is a side's record, whole.
type holding struct {
	party *party
	items []control.Item
	line  control.LineInfo
}

// check waits until both sides have signed for everything, then compares what
// they hold and has each side's export audited.
func (d *drill) check(ctx context.Context) error {
	if err := until(ctx, "both sides have signed for everything", func() (bool, error) {
		a, err := d.status(ctx, d.parties[0])
		if err != nil {
			return false, err
		}
		b, err := d.status(ctx, d.parties[1])
		return settled(a, b), err
	}); err != nil {
		return err
	}
	var sides [2]holding
	for i, p := range d.parties {
		sides[i].party = p
		var err error
		if sides[i].items, _, err = d.record(ctx, p, ""); err != nil {
			return err
		}
		if sides[i].line, err = d.status(ctx, p); err != nil {
			return err
		}
	}
	if !settled(sides[0].line, sides[1].line) {
		return errors.New("entries came after both sides had signed for everything")
	}
	r := &d.result
	r.Entries, r.Messages, r.Heads = len(sides[0].items), len(d.said), heads(sides[0].line)
	r.Identical = identical(sides[0].items, sides[1].items)
	for _, s := range sides {
		lost, duplicated := compare(s.items, d.said)
		r.Lost, r.Duplicated = r.Lost+lost, r.Duplicated+duplicated
		r.ByCourier += byCourier(s.items)
	}
	r.Receipts = receipts(sides)
	r.FlashMS, r.Flashes = float64(median(d.flash))/float64(time.Millisecond), len(d.flash)
	d.page.ledger(d, sides)
	if err := d.audit(ctx); err != nil {
		return err
	}
	d.page.verdict(d)
	return nil
}

// settled reports whether each log is as long at both sides, signed by its
// author to its end, and cosigned by the other to its end.
func settled(a, b control.LineInfo) bool {
	if len(a.Logs) == 0 || len(a.Logs) != len(b.Logs) || a.Queued+b.Queued > 0 {
		return false
	}
	for i, x := range a.Logs {
		y := b.Logs[i]
		if x.Party != y.Party || x.Gen != y.Gen || x.Size != y.Size || x.Head != x.Size || y.Head != y.Size || x.Root != y.Root {
			return false
		}
		for _, p := range a.Parties {
			if p != x.Party && (x.Cosigned[string(p)] != x.Size || y.Cosigned[string(p)] != y.Size) {
				return false
			}
		}
	}
	return true
}

func heads(l control.LineInfo) (out []Head) {
	for _, g := range l.Logs {
		h := Head{Log: g.Party, Size: g.Head, Root: g.Root}
		for _, p := range l.Parties {
			if p != g.Party && g.Cosigned[string(p)] == g.Head {
				h.Cosigned = p
			}
		}
		out = append(out, h)
	}
	return out
}

// identical compares two records entry by entry: the same bytes, by their leaf
// hashes, at the same places, in the same order.
func identical(a, b []control.Item) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Leaf != b[i].Leaf || a[i].Log != b[i].Log || a[i].Seq != b[i].Seq || a[i].Rank != b[i].Rank || a[i].Entry != b[i].Entry {
			return false
		}
	}
	return true
}

// spoken reports whether officers write entries of a kind.
func spoken(kind string) bool {
	switch kind {
	case "message", "correct", "query", "cancel", "service", "understood", "hold", "decline", "answer":
		return true
	}
	return false
}

// compare holds a record against what officers wrote: lost is what is not on
// it, or with other words; duplicated is what is on it and should not be,
// twice or written by nobody.
func compare(items []control.Item, wrote []*said) (lost, duplicated int) {
	leaves, names := map[string]bool{}, map[string]control.Item{}
	for _, it := range items {
		if leaves[it.Leaf] {
			duplicated++
		}
		leaves[it.Leaf] = true
		if spoken(it.Kind) {
			if _, twice := names[it.Entry]; twice {
				duplicated++
			}
			names[it.Entry] = it
		}
	}
	for _, s := range wrote {
		it, ok := names[s.entry]
		if !ok || it.Party != s.by.Code || it.Kind != s.Kind || it.Unopened || it.Text != s.Text || it.Defect != "" {
			lost++
		}
		delete(names, s.entry)
	}
	return lost, duplicated + len(names)
}

// receipts counts the steps on both sides' ladders, each once, by its author's
// view: whoever wrote is whom receipts are for.
func receipts(sides [2]holding) (n int) {
	for _, s := range sides {
		for _, it := range s.items {
			if it.Party == s.party.Code && spoken(it.Kind) {
				n += len(it.Ladder)
			}
		}
	}
	return n
}

func byCourier(items []control.Item) (n int) {
	for _, it := range items {
		if strings.HasPrefix(it.Via, "courier") {
			n++
		}
	}
	return n
}

// report is what the demo reads of an audit's report.
type report struct {
	Sound bool `json:"sound"`
	Deep  bool `json:"deep"`
	Heads []struct {
		Party line.Party `json:"party"`
		Size  uint64     `json:"size"`
		Root  string     `json:"root"`
	} `json:"heads"`
	Entries    uint64 `json:"entries"`
	Signatures uint64 `json:"signatures"`
}

// audit exports the record at both sides and has the files audited, each by
// the other side, as distrusting parties do.
func (d *drill) audit(ctx context.Context) error {
	d.result.Audit = "ok"
	for _, p := range d.parties {
		file := p.dir + ".record"
		if _, err := d.herald(ctx, p, "export", file); err != nil {
			return err
		}
		out, err := d.herald(ctx, d.other(p), "audit", "--deep", "--json", file)
		if err != nil {
			d.result.Audit = err.Error()
			return err
		}
		var r report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			return fmt.Errorf("the audit's report: %w", err)
		}
		if wrong := r.differs(d.result); wrong != "" {
			d.result.Audit = filepath.Base(file) + ": " + wrong
			return errors.New(d.result.Audit)
		}
		d.page.audited(d.other(p), p, r)
	}
	return nil
}

// differs says how an audit's report is not about the record that was seen.
func (r report) differs(seen Result) string {
	var wrong []string
	if !r.Sound || !r.Deep {
		wrong = append(wrong, "not sound, deep")
	}
	if r.Entries != uint64(seen.Entries) {
		wrong = append(wrong, fmt.Sprintf("it has %d entries, not %d", r.Entries, seen.Entries))
	}
	if len(r.Heads) != len(seen.Heads) {
		wrong = append(wrong, fmt.Sprintf("it speaks as of %d heads, not %d", len(r.Heads), len(seen.Heads)))
	} else {
		for i, h := range r.Heads {
			if s := seen.Heads[i]; h.Party != s.Log || h.Size != s.Size || h.Root != s.Root {
				wrong = append(wrong, fmt.Sprintf("it speaks as of %s at %d, not %s at %d", h.Party, h.Size, s.Log, s.Size))
			}
		}
	}
	return strings.Join(wrong, "; ")
}
