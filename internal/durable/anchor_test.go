package durable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"herald/internal/line"
)

func id(b byte) line.LogID { return line.LogID{b, 1} }

func head(log byte, size uint64) Head {
	return Head{id(log), size, line.Hash{log, byte(size)}}
}

func create(t *testing.T) (*Anchor, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "anchor")
	a, err := CreateAnchor(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a, path
}

func set(t *testing.T, a *Anchor, heads ...Head) {
	t.Helper()
	if err := a.SetMany(heads); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// want checks what a file holds for one log; size 0 means nothing.
func want(t *testing.T, b []byte, log byte, sizes ...uint64) {
	t.Helper()
	slots, err := parseAnchor(b)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := slots[id(log)]
	for _, size := range sizes {
		if !ok && size == 0 || ok && s.head == head(log, size) {
			return
		}
	}
	t.Fatalf("log %d: holds %v, %v; want one of sizes %v", log, s.head, ok, sizes)
}

func TestAnchorHoldsHeads(t *testing.T) {
	a, path := create(t)
	for size := uint64(1); size <= 5; size++ {
		set(t, a, head(1, size), head(2, 10*size))
	}
	set(t, a, head(3, 7))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := OpenAnchor(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, h := range []Head{head(1, 5), head(2, 50), head(3, 7)} {
		if got, ok := b.Get(h.ID); !ok || got != h {
			t.Errorf("got %v, %v; want %v", got, ok, h)
		}
	}
	if _, ok := b.Get(id(4)); ok || len(b.Heads()) != 3 {
		t.Error("the anchor holds a log that was never set")
	}
}

func TestAnchorRefusesRewind(t *testing.T) {
	a, path := create(t)
	set(t, a, head(1, 5))
	before := content(t, path)
	other := head(1, 5)
	other.Root[9]++
	for _, h := range []Head{head(1, 4), other} {
		if err := a.SetMany([]Head{head(2, 1), h}); !errors.Is(err, ErrAnchorRewind) {
			t.Errorf("%v: %v", h, err)
		}
	}
	if err := a.SetMany([]Head{head(1, 6), head(1, 7)}); err == nil {
		t.Error("one log twice was accepted")
	}
	set(t, a, head(1, 5))
	if !bytes.Equal(before, content(t, path)) {
		t.Error("a refused or an equal head changed the file")
	}
}

func TestAnchorIsNeverReplaced(t *testing.T) {
	a, path := create(t)
	set(t, a, head(1, 5))
	if _, err := CreateAnchor(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("create over an anchor: %v", err)
	}
	want(t, content(t, path), 1, 5)
}

func TestAnchorMissing(t *testing.T) {
	if _, err := OpenAnchor(filepath.Join(t.TempDir(), "anchor")); !errors.Is(err, ErrNoAnchor) {
		t.Errorf("got %v", err)
	}
}

// A write torn at every byte, with old bytes, zeros or garbage behind the
// tear, leaves the former head or the new one, and every other log alone.
func TestAnchorTornWrite(t *testing.T) {
	a, path := create(t)
	set(t, a, head(1, 1), head(2, 1))
	for size := uint64(2); size <= 4; size++ {
		before := content(t, path)
		set(t, a, head(1, size))
		after := content(t, path)
		for len(before) < len(after) {
			before = append(before, 0)
		}
		from := firstDifference(before, after) / pageSize * pageSize
		for cut := range pageSize {
			for _, rest := range []string{"old", "zero", "junk"} {
				torn := bytes.Clone(before)
				copy(torn[from:from+cut], after[from:])
				for i := from + cut; i < from+pageSize; i++ {
					switch rest {
					case "zero":
						torn[i] = 0
					case "junk":
						torn[i] ^= 0x5a
					}
				}
				want(t, torn, 1, size-1, size)
				want(t, torn, 2, 1)
			}
			if cut > 128 && cut < pageSize-64 && testing.Short() {
				break
			}
		}
	}
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// The growth of a file cut short at every byte is a torn first write.
func TestAnchorTruncated(t *testing.T) {
	a, path := create(t)
	set(t, a, head(1, 1))
	before := len(content(t, path))
	set(t, a, head(1, 2))
	full := content(t, path)
	for n := range full {
		switch {
		case n < pageSize:
			if _, err := parseAnchor(full[:n]); !errors.Is(err, ErrAnchorDamaged) {
				t.Fatalf("cut to %d bytes: %v", n, err)
			}
		case n < before:
			want(t, full[:n], 1, 0)
		default:
			want(t, full[:n], 1, 1)
		}
	}
}

// One flipped byte anywhere is noticed: the file is refused, or that page does
// not count.
func TestAnchorFlippedByte(t *testing.T) {
	a, path := create(t)
	set(t, a, head(1, 1), head(2, 3))
	set(t, a, head(1, 2))
	b := content(t, path)
	for i := range b {
		b[i] ^= 0x10
		switch i / pageSize {
		case 0:
			if _, err := parseAnchor(b); !errors.Is(err, ErrAnchorDamaged) {
				t.Fatalf("byte %d: %v", i, err)
			}
		case 1:
			want(t, b, 1, 2)
			want(t, b, 2, 3)
		case 2:
			want(t, b, 1, 1)
			want(t, b, 2, 3)
		case 3:
			want(t, b, 1, 2)
			want(t, b, 2, 0)
		}
		b[i] ^= 0x10
	}
}

func TestAnchorDamageBeyondACrash(t *testing.T) {
	a, path := create(t)
	set(t, a, head(1, 1))
	set(t, a, head(1, 2))
	good := content(t, path)
	page := func(n int) []byte { return good[n*pageSize : (n+1)*pageSize] }
	cases := map[string][]byte{
		"both pages bad": append(append(header(), bytes.Repeat([]byte{7}, pageSize)...), bytes.Repeat([]byte{7}, pageSize)...),
		"two places":     append(bytes.Clone(good), slot{index: 3, count: 1, head: head(1, 9)}.page()...),
		"contradiction":  append(append(header(), slot{index: 1, count: 4, head: head(1, 9)}.page()...), page(2)...),
		"other log":      append(append(header(), slot{index: 1, count: 1, head: head(2, 1)}.page()...), page(2)...),
	}
	for name, b := range cases {
		if _, err := parseAnchor(b); !errors.Is(err, ErrAnchorDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	swapped := append(append(header(), page(2)...), page(1)...)
	if _, err := parseAnchor(swapped); !errors.Is(err, ErrAnchorDamaged) {
		t.Errorf("pages in each other's place: %v", err)
	}
}

func TestAnchorFailedWriteCanBeRepeated(t *testing.T) {
	a, path := create(t)
	set(t, a, head(1, 1))
	good := a.f
	bad, err := os.Open(path) // cannot be written
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	a.f = bad
	if err := a.Set(id(1), 2, head(1, 2).Root); err == nil {
		t.Fatal("a failed write was reported as done")
	}
	if h, _ := a.Get(id(1)); h != head(1, 1) {
		t.Errorf("after a failed write the anchor says %v", h)
	}
	a.f = good
	set(t, a, head(1, 2))
	want(t, content(t, path), 1, 2)
}

func FuzzAnchor(f *testing.F) {
	f.Add(header())
	f.Add(append(header(), slot{index: 1, count: 1, head: head(1, 1)}.page()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		slots, err := parseAnchor(b)
		if err != nil {
			return
		}
		for id, s := range slots {
			if s.head.ID != id || s.count == 0 {
				t.Fatalf("log %s: %v", id, s)
			}
			at := s.index * pageSize
			if !bytes.Equal(s.page(), b[at:at+pageSize]) {
				t.Fatal("a head that the file does not hold")
			}
		}
	})
}

func BenchmarkAnchorSet(b *testing.B) {
	a, err := CreateAnchor(filepath.Join(b.TempDir(), "anchor"))
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	size := uint64(0)
	for b.Loop() {
		size++
		if err := a.Set(id(1), size, line.Hash{}); err != nil {
			b.Fatal(err)
		}
	}
}
