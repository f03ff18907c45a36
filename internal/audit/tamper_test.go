package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"herald/internal/audit"
	"herald/internal/audit/audittest"
	"herald/internal/line"
)

// piece is one piece of a file, by its place.
type piece struct {
	kind       byte
	head, body int // offsets of the kind and of what it holds
	end        int
}

// pieces splits a well-formed file.
func pieces(t testing.TB, file []byte) (out []piece) {
	t.Helper()
	at := len("herald-record/1\n")
	for at < len(file) {
		n, w := binary.Uvarint(file[at+1:])
		p := piece{file[at], at, at + 1 + w, at + 1 + w + int(n)}
		if w <= 0 || p.end > len(file) {
			t.Fatal("not a well-formed file")
		}
		out = append(out, p)
		at = p.end
	}
	return out
}

// repair makes the end mark fit the file again, as somebody would who changes
// it on purpose.
func repair(file []byte) []byte {
	end := len(file) - 2 - 48
	sum := sha256.Sum256(file[:end])
	copy(file[len(file)-32:], sum[:])
	return file
}

// rebuild joins pieces into a file, with an end mark that fits.
func rebuild(t testing.TB, file []byte, keep func(piece) [][]byte) []byte {
	t.Helper()
	out := []byte("herald-record/1\n")
	var n, entries uint64
	for _, p := range pieces(t, file) {
		if p.kind == 13 {
			continue
		}
		for _, b := range keep(p) {
			n++
			if b[0] == 4 || b[0] == 10 {
				entries++
			}
			out = append(out, b...)
		}
	}
	sum := sha256.Sum256(out)
	out = append(out, 13, 48)
	out = binary.BigEndian.AppendUint64(out, n)
	out = binary.BigEndian.AppendUint64(out, entries)
	return append(out, sum[:]...)
}

// roots gives the audit the parties' roots, which spares it the safety words.
func roots(w *audittest.World) map[line.Party][32]byte {
	out := map[line.Party][32]byte{}
	for _, p := range w.Parties {
		out[p.Code] = p.Root.Public().Hash()
	}
	return out
}

// TestEveryByte changes one byte after another. By whoever repairs the end
// mark or not: the file can no longer be read, or the audit finds a fault.
func TestEveryByte(t *testing.T) {
	w, _, _ := small(t)
	file := export(t, w, nil)
	var at []int
	for _, p := range pieces(t, file) {
		for i := p.head; i < p.end; i++ {
			// Pieces are long where they hold keys, signatures and hashes
			// throughout; of those a sample will do.
			if i-p.head < 110 || (i-p.head)%97 == 0 || p.end-i < 4 {
				at = append(at, i)
			}
		}
	}
	if testing.Short() {
		rand.New(rand.NewPCG(8, 8)).Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
		at = at[:len(at)/8]
	}
	known := roots(w)
	var wg sync.WaitGroup
	for worker := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(worker)))
			for n := worker; n < len(at); n += runtime.GOMAXPROCS(0) {
				bad := slices.Clone(file)
				bad[at[n]] ^= byte(1 + rnd.IntN(255))
				if at[n] < len(file)-50 {
					repair(bad)
				}
				r, err := audit.Run(t.Context(), bytes.NewReader(bad), audit.Options{Deep: true, Roots: known})
				if err == nil && r.Sound {
					t.Errorf("byte %d was changed from %#x to %#x, and the record is found sound:\n%s", at[n], file[at[n]], bad[at[n]], r)
				}
			}
		})
	}
	wg.Wait()
}

// TestUnrepaired: without the end mark repaired any change shows, also where
// nothing signed was touched.
func TestUnrepaired(t *testing.T) {
	w, us, _ := small(t)
	file := export(t, w, func(x *audit.Writer) error { return x.Inconsistency(us.Log, audittest.Start, "a rumour") })
	bad := bytes.Replace(file, []byte("a rumour"), []byte("A rumour"), 1)
	wantFinding(t, run(t, bad, false), "changed")
	if r := run(t, repair(slices.Clone(bad)), false); !r.Sound {
		t.Errorf("the exporting party's own words are not signed by anybody, but:\n%s", r)
	}
}

func TestTruncated(t *testing.T) {
	w, _, _ := small(t)
	file := export(t, w, nil)
	cuts := []int{0, 5, len("herald-record/1\n")}
	for _, p := range pieces(t, file) {
		cuts = append(cuts, p.head+1, p.body, (p.body+p.end)/2, p.end-1)
		if p.end < len(file) {
			cuts = append(cuts, p.end)
		}
	}
	for _, n := range cuts {
		_, err := audit.Run(t.Context(), bytes.NewReader(file[:n]), audit.Options{Roots: roots(w)})
		if n < len("herald-record/1\n") {
			if !errors.Is(err, audit.ErrFormat) {
				t.Errorf("cut at %d: %v", n, err)
			}
		} else if !errors.Is(err, audit.ErrTruncated) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := audit.Run(t.Context(), bytes.NewReader(append(slices.Clone(file), 0)), audit.Options{}); !errors.Is(err, audit.ErrFormat) {
		t.Errorf("with a byte too many: %v", err)
	}
}

// TestPieces leaves out, repeats and swaps whole pieces, with an end mark that
// fits: what is left must not pass for the whole.
func TestPieces(t *testing.T) {
	w, _, _ := small(t)
	file := export(t, w, nil)
	all := pieces(t, file)
	known := roots(w)
	for n, p := range all[:len(all)-1] {
		for _, how := range []string{"left out", "repeated"} {
			bad := rebuild(t, file, func(q piece) [][]byte {
				b := file[q.head:q.end]
				switch {
				case q != p:
					return [][]byte{b}
				case how == "repeated":
					return [][]byte{b, b}
				}
				return nil
			})
			r, err := audit.Run(t.Context(), bytes.NewReader(bad), audit.Options{Deep: true, Roots: known})
			if err == nil && r.Sound && !(how == "left out" && less(p.kind)) {
				t.Errorf("piece %d, of kind %d, was %s:\n%s", n, p.kind, how, r)
			}
		}
	}
}

// less reports whether a file may do without a piece of this kind: without
// what opens an entry it stays sealed, and without a statement the record
// rests on fewer. TestBasis holds the report to saying so.
func less(kind byte) bool { return kind >= 5 && kind <= 8 }

func wantFinding(t testing.TB, r audit.Report, code string) audit.Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Code == code {
			if r.Sound == (f.Level == audit.Fault) {
				t.Errorf("sound: %v, with %s", r.Sound, fmt.Sprint(f))
			}
			return f
		}
	}
	t.Fatalf("no finding %q in:\n%s", code, r)
	return audit.Finding{}
}
