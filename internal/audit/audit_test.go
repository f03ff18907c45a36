package audit_test

import (
	"bytes"
	"testing"

	"herald/internal/audit"
	"herald/internal/audit/audittest"
	"herald/internal/line"
	"herald/internal/wire"
)

// small is a line of two parties who have talked: a message, its receipts, an
// answer, every head cosigned by the other.
func small(t testing.TB) (*audittest.World, *audittest.Log, *audittest.Log) {
	t.Helper()
	w, err := audittest.New(1, nil, "US", "CN")
	ok(t, err)
	us, err := w.Open(0, nil)
	ok(t, err)
	cn, err := w.Open(1, nil)
	ok(t, err)
	ok(t, us.Say(wire.KindMessage, wire.Message{Text: []byte("Is your vessel at anchor?")}, 1))
	us.Head()
	us.Cosign(1)
	ok(t, cn.State(wire.KindRead, us, 2))
	ok(t, cn.Say(wire.KindAnswer, wire.Message{Text: []byte("It is."), Refs: []wire.Ref{ref(us, 2)}}, 0))
	cn.Head()
	cn.Cosign(0)
	ok(t, us.State(wire.KindAlerted, cn, 3))
	us.Head()
	us.Cosign(1)
	return w, us, cn
}

func ref(l *audittest.Log, seq int) wire.Ref {
	return wire.NewRef(line.Pos{Log: l.Log, Seq: uint64(seq)}, l.Entries[seq].Hash)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func export(t testing.TB, w *audittest.World, last func(*audit.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	ok(t, w.Export(&b, true, last))
	return b.Bytes()
}

func run(t testing.TB, file []byte, deep bool) audit.Report {
	t.Helper()
	r, err := audit.Run(t.Context(), bytes.NewReader(file), audit.Options{Deep: deep})
	ok(t, err)
	return r
}

func TestSound(t *testing.T) {
	w, us, cn := small(t)
	file := export(t, w, nil)
	for _, deep := range []bool{false, true} {
		r := run(t, file, deep)
		if !r.Sound || len(r.Findings) != 0 {
			t.Fatalf("deep %v: a good record is not found so:\n%s", deep, r)
		}
		if r.Entries != 8 || r.Ranked != 8 || r.Unsettled != 0 || r.Greatest != 8 {
			t.Errorf("entries %d, ranked %d, unsettled %d, greatest rank %d", r.Entries, r.Ranked, r.Unsettled, r.Greatest)
		}
		if h := r.Heads[0]; h.Size != us.Tree.Size() || h.Root != us.Tree.Root().String() || h.Cosigned[0].Size != h.Size {
			t.Errorf("head %+v", h)
		}
		if h := r.Heads[1]; h.Size != cn.Tree.Size() || len(r.Heads) != 2 {
			t.Errorf("head %+v", h)
		}
	}
}
