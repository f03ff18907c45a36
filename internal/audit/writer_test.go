package audit_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"herald/internal/audit"
	"herald/internal/line"
	"herald/internal/wire"
)

// TestWriterRefuses: the writer refuses what its reader would not read, and
// goes on refusing.
func TestWriterRefuses(t *testing.T) {
	meta := audit.Meta{Charter: []byte("c"), Cards: [][]byte{[]byte("k")}}
	first := line.Log{Party: 0, Gen: 1}
	for name, write := range map[string]func(*audit.Writer) error{
		"an entry in no log":  func(w *audit.Writer) error { return w.Entry([64]byte{}, []byte{1}) },
		"a key without entry": func(w *audit.Writer) error { w.Log(first, audit.Statements{}); return w.Key([32]byte{}) },
		"a log twice":         func(w *audit.Writer) error { w.Log(first, audit.Statements{}); return w.Log(first, audit.Statements{}) },
		"an older party": func(w *audit.Writer) error {
			w.Log(line.Log{Party: 1, Gen: 1}, audit.Statements{})
			return w.Log(first, audit.Statements{})
		},
		"a newer generation": func(w *audit.Writer) error {
			w.Log(first, audit.Statements{})
			return w.Log(line.Log{Party: 0, Gen: 2}, audit.Statements{})
		},
		"no such party": func(w *audit.Writer) error { return w.Log(line.Log{Party: 16, Gen: 1}, audit.Statements{}) },
		"ahead without a gap": func(w *audit.Writer) error {
			w.Log(first, audit.Statements{})
			return w.Ahead(0, [64]byte{}, []byte{1})
		},
		"an entry after ahead": func(w *audit.Writer) error {
			w.Log(first, audit.Statements{})
			w.Ahead(5, [64]byte{}, []byte{1})
			return w.Entry([64]byte{}, []byte{1})
		},
		"too large an entry": func(w *audit.Writer) error {
			w.Log(first, audit.Statements{})
			return w.Entry([64]byte{}, make([]byte, wire.MaxEntry+1))
		},
		"too few epoch keys": func(w *audit.Writer) error {
			w.Log(first, audit.Statements{})
			w.Entry([64]byte{}, []byte{1})
			return w.EpochKeys(make([]byte, 32))
		},
		"a log after evidence": func(w *audit.Writer) error { w.Evidence(first, []byte{1}); return w.Log(first, audit.Statements{}) },
		"evidence after words": func(w *audit.Writer) error { w.Inconsistency(first, 1, "x"); return w.Evidence(first, []byte{1}) },
		"anything after Close": func(w *audit.Writer) error { w.Close(); return w.Log(first, audit.Statements{}) },
	} {
		w := audit.NewWriter(io.Discard, meta)
		err := write(w)
		if err == nil {
			t.Errorf("%s: not refused", name)
		} else if again := w.Close(); again == nil || again.Error() != err.Error() {
			t.Errorf("%s: refused with %v, then %v", name, err, again)
		}
	}
}

// TestWriterSorts: statements come in any order, some of sizes that are never
// reached; the file is the same.
func TestWriterSorts(t *testing.T) {
	w, us, _ := small(t)
	want := export(t, w, nil)
	s := &us.Signed
	s.Heads[0], s.Heads[1] = s.Heads[1], s.Heads[0]
	s.Cosigs[0], s.Cosigs[1] = s.Cosigs[1], s.Cosigs[0]
	s.Heads = append(s.Heads, s.Heads[0])
	s.Cosigs = append(s.Cosigs, wire.Cosig{Log: us.Log, Size: 99, Signer: line.Log{Party: 1, Gen: 1}})
	if !bytes.Equal(export(t, w, nil), want) {
		t.Error("the file differs")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriterFull(t *testing.T) {
	w, _, _ := small(t)
	if err := w.Export(full{}, true, nil); err == nil {
		t.Error("a full disk went unnoticed")
	}
}
