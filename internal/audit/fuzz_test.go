package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"herald/internal/audit"
	"herald/internal/line"
	"herald/internal/wire"
)

// FuzzReader: whatever the bytes, reading ends, with an error of the specified
// kinds or at the end mark.
func FuzzReader(f *testing.F) {
	w, us, _ := small(f)
	file := export(f, w, func(x *audit.Writer) error { return x.Inconsistency(us.Log, 1, "x") })
	f.Add(file)
	f.Add([]byte("herald-record/1\n\x01\x01c\x0d\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := audit.ReadPieces(t.Context(), bytes.NewReader(b))
		if err != nil && !errors.Is(err, audit.ErrFormat) && !errors.Is(err, audit.ErrTruncated) {
			t.Fatal(err)
		}
	})
}

// FuzzRun audits logs of any bytes on a line that is well founded, in a file
// whose end mark fits: it ends with an error of the specified kinds, or with a
// report that calls only the good record sound.
func FuzzRun(f *testing.F) {
	w, _, _ := small(f)
	file := export(f, w, nil)
	known := roots(w)
	all := pieces(f, file)
	logs := 0
	for all[logs].kind <= 2 {
		logs++
	}
	from, end := all[logs].head, all[len(all)-1].head
	f.Add(file[from:end])
	f.Add(file[from : from+7])
	f.Fuzz(func(t *testing.T, b []byte) {
		bad := append(slices.Clone(file[:from]), b...)
		bad = repair(append(bad, file[end:]...))
		for _, deep := range []bool{false, true} {
			r, err := audit.Run(t.Context(), bytes.NewReader(bad), audit.Options{Deep: deep, Roots: known})
			switch {
			case err != nil:
				if !errors.Is(err, audit.ErrFormat) && !errors.Is(err, audit.ErrTruncated) {
					t.Fatal(err)
				}
			case deep && r.Sound && !bytes.Equal(bad, file):
				t.Fatalf("sound:\n%s", r) // the end mark counts the good file's pieces
			case r.String() == "":
				t.Fatal("a report without a word")
			}
		}
	})
}

// FuzzOuter holds the audit's reader of entries to wire's.
func FuzzOuter(f *testing.F) {
	for _, after := range [][]wire.Mark{{{Gen: 1, Size: 0}}, {{Gen: 1, Size: 1 << 40}, {Gen: 2, Size: 300}}, {{Gen: 1<<32 - 1, Size: 1<<64 - 1}}} {
		f.Add(wire.Marshal(wire.Entry{Key: 200, Time: 1 << 33, Body: make([]byte, 30), After: after}), byte(len(after)))
	}
	f.Add([]byte{0x84, 0, 0, 0xf6, 0x81, 0}, byte(1))          // no body at all
	f.Add([]byte{0x84, 0, 0, 0x40, 0x81, 0x82, 1, 0}, byte(1)) // generation 1 in the long form
	f.Add([]byte{0x84, 0x18, 3, 0, 0x40, 0x81, 0}, byte(1))    // not the shortest form
	f.Add([]byte{0x84, 0x19, 1, 0, 0, 0x40, 0x81, 0}, byte(1))
	f.Fuzz(func(t *testing.T, leaf []byte, others byte) {
		members := 2 + int(others-1)%(line.MaxParties-1)
		want, wantErr := wire.ParseEntry(leaf, members)
		got, err := audit.ParseOuter(leaf, members)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%x: wire says %v, audit says %v", leaf, wantErr, err)
		}
		if err == nil && !bytes.Equal(wire.Marshal(want), wire.Marshal(got)) {
			t.Fatalf("%x: wire reads %+v, audit %+v", leaf, want, got)
		}
	})
}
