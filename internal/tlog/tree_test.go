package tlog

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"herald/internal/line"
)

// leafHashes returns n different leaf hashes; another salt gives others.
func leafHashes(n int, salt byte) []line.Hash {
	out := make([]line.Hash, n)
	for i := range out {
		out[i] = LeafHash(binary.BigEndian.AppendUint64([]byte{salt}, uint64(i)))
	}
	return out
}

func treeFrom(hashes []line.Hash) Tree {
	var t Tree
	for _, h := range hashes {
		t.Append(h)
	}
	return t
}

func TestLeafAndNodeHashAgreeWithLibrary(t *testing.T) {
	for _, n := range []int{0, 1, 300, 1022, 1023, 1024, 1025, 40000} {
		leaf := bytes.Repeat([]byte{7}, n)
		if got, want := LeafHash(leaf), rfc6962.DefaultHasher.HashLeaf(leaf); !bytes.Equal(got[:], want) {
			t.Errorf("leaf of %d bytes: %s, want %x", n, got, want)
		}
	}
	a, b := LeafHash([]byte("a")), LeafHash([]byte("b"))
	if got, want := NodeHash(a, b), rfc6962.DefaultHasher.HashChildren(a[:], b[:]); !bytes.Equal(got[:], want) {
		t.Errorf("node: %s, want %x", got, want)
	}
}

// The frontier, the library's compact range and x/mod's tree are three
// programs by three authors; they must agree on every size.
func TestRootAgreesWithTwoLibraries(t *testing.T) {
	var ours Tree
	if got := ours.Root(); !bytes.Equal(got[:], rfc6962.DefaultHasher.EmptyRoot()) {
		t.Fatalf("empty root %s", got)
	}
	f := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	theirs := f.NewEmptyRange(0)
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
		for _, i := range at {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i, h := range leafHashes(600, 0) {
		ours.Append(h)
		if err := theirs.Append(h[:], nil); err != nil {
			t.Fatal(err)
		}
		hs, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(h), read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
		got := ours.Root()
		if want, err := theirs.GetRootHash(nil); err != nil || !bytes.Equal(got[:], want) {
			t.Fatalf("size %d: root %s, compact range has %x, %v", i+1, got, want, err)
		}
		if want, err := tlog.TreeHash(int64(i+1), read); err != nil || line.Hash(want) != got {
			t.Fatalf("size %d: root %s, x/mod has %x, %v", i+1, got, want, err)
		}
	}
}

func TestTreeResumesFromItsMarshalledForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := leafHashes(rapid.IntRange(0, 300).Draw(t, "size"), 1)
		at := rapid.IntRange(0, len(all)).Draw(t, "at")
		half := treeFrom(all[:at])
		got, err := ParseTree(half.Marshal())
		if err != nil || got != half {
			t.Fatalf("size %d did not come back: %v", at, err)
		}
		before := half.Head()
		for _, h := range all[at:] {
			got.Append(h)
		}
		if want := treeFrom(all); got != want {
			t.Fatalf("resumed at %d of %d: another tree", at, len(all))
		}
		if half.Head() != before {
			t.Fatal("appending to a copy changed the original")
		}
	})
}

func TestParseTreeRefusesDamage(t *testing.T) {
	whole := treeFrom(leafHashes(13, 0))
	b := whole.Marshal()
	for n := range b {
		if _, err := ParseTree(b[:n]); err == nil {
			t.Errorf("accepted the first %d of %d bytes", n, len(b))
		}
	}
	if _, err := ParseTree(append(b, 0)); err == nil {
		t.Error("accepted a byte too many")
	}
	huge := binary.BigEndian.AppendUint64(nil, 1<<63)
	if _, err := ParseTree(append(huge, make([]byte, 32)...)); err == nil {
		t.Error("accepted 2^63 leaves")
	}
}

func FuzzParseTree(f *testing.F) {
	for _, n := range []int{0, 1, 7, 8} {
		tree := treeFrom(leafHashes(n, 0))
		f.Add(tree.Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := ParseTree(b)
		if err != nil {
			return
		}
		if !bytes.Equal(tree.Marshal(), b) {
			t.Fatalf("%x came back as %x", b, tree.Marshal())
		}
		tree.Append(line.Hash{1})
		_ = tree.Root()
	})
}

func BenchmarkAppend(b *testing.B) {
	var t Tree
	h := LeafHash([]byte("leaf"))
	b.ReportAllocs()
	for b.Loop() {
		t.Append(h)
	}
}

func BenchmarkLeafHashAndAppend(b *testing.B) {
	var t Tree
	leaf := make([]byte, 280)
	b.ReportAllocs()
	for b.Loop() {
		t.Append(LeafHash(leaf))
	}
}

func BenchmarkAppendAndRoot(b *testing.B) {
	t := treeFrom(leafHashes(1<<17-1, 0))
	h := LeafHash([]byte("leaf"))
	b.ReportAllocs()
	for b.Loop() {
		t.Append(h)
		_ = t.Root()
	}
}
