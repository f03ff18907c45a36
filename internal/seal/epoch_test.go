package seal

import (
	"bytes"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"herald/internal/line"
)

func epoch(t testing.TB, seed byte) *Epoch {
	t.Helper()
	e, err := NewEpoch(testLog, 100, seeded(seed))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustKey(t testing.TB, e *Epoch, i int) [32]byte {
	t.Helper()
	mk, err := e.Key(i)
	if err != nil {
		t.Fatal(err)
	}
	return mk
}

func TestEpochCommitsToEachOfItsKeys(t *testing.T) {
	e := epoch(t, 1)
	f := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree := f.NewEmptyRange(0)
	seen := map[[32]byte]int{}
	for i := 1; i <= EpochKeys; i++ {
		mk := mustKey(t, e, i)
		if seen[mk] != 0 {
			t.Fatalf("keys %d and %d are one", i, seen[mk])
		}
		seen[mk] = i
		if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(mk[:]), nil); err != nil {
			t.Fatal(err)
		}
		path, err := e.Path(i)
		if err != nil || !VerifyKey(e.Root(), i, mk, path) {
			t.Fatalf("key %d is not shown: %v", i, err)
		}
		if back, err := SplitPath(JoinPath(path)); err != nil || !VerifyKey(e.Root(), i, mk, back) {
			t.Fatalf("key %d is not shown after its path travelled: %v", i, err)
		}
		other := mk
		other[31] ^= 1
		if VerifyKey(e.Root(), i, other, path) || VerifyKey(e.Root(), i%EpochKeys+1, mk, path) ||
			VerifyKey(line.Hash{}, i, mk, path) || VerifyKey(e.Root(), i, mk, path[1:]) {
			t.Fatalf("key %d: shown what is not so", i)
		}
	}
	if want, err := tree.GetRootHash(nil); err != nil || !bytes.Equal(want, hashBytes(e.Root())) {
		t.Fatalf("commitment %s, the library has %x, %v", e.Root(), want, err)
	}
}

func TestEpochsDiffer(t *testing.T) {
	es := [32]byte{5}
	var roots []line.Hash
	for _, at := range []struct {
		id   line.LogID
		base uint64
	}{{testLog, 0}, {testLog, 1}, {otherLog, 0}} {
		e, err := derive(at.id, at.base, es)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, e.Root())
	}
	if roots[0] == roots[1] || roots[0] == roots[2] {
		t.Error("one secret gives the same keys in two places")
	}
}

func TestEpochFromSecretChecksTheCommitment(t *testing.T) {
	e := epoch(t, 1)
	got, err := EpochFromSecret(testLog, 100, e.Secret(), e.Root())
	if err != nil || mustKey(t, got, 255) != mustKey(t, e, 255) || got.Log() != testLog || got.Base() != 100 {
		t.Fatalf("the epoch did not come back: %v", err)
	}
	if _, err := EpochFromSecret(testLog, 101, e.Secret(), e.Root()); err == nil {
		t.Error("took it at another base")
	}
	if _, err := EpochFromSecret(otherLog, 100, e.Secret(), e.Root()); err == nil {
		t.Error("took it in another log")
	}
	if _, err := EpochFromSecret(testLog, 100, [32]byte{}, e.Root()); err == nil {
		t.Error("took another secret")
	}
}

func TestErasedEpochStillProvesButNeverOpens(t *testing.T) {
	e := epoch(t, 1)
	leaves, root, mk := e.Leaves(), e.Root(), mustKey(t, e, 9)
	e.Erase()
	if e.Secret() != [32]byte{} {
		t.Error("the secret is still there")
	}
	for _, k := range e.keys {
		if k != [32]byte{} {
			t.Fatal("a message key is still there")
		}
	}
	if _, err := e.Key(9); err == nil {
		t.Error("gave an erased key")
	}
	path, err := PathFromLeaves(leaves, 9)
	if err != nil || !VerifyKey(root, 9, mk, path) {
		t.Errorf("a kept key cannot be shown any more: %v", err)
	}
	if _, err := e.Path(9); err != nil {
		t.Error(err)
	}
}

func TestEpochRefusesKeysItDoesNotHave(t *testing.T) {
	e := epoch(t, 1)
	for _, i := range []int{-1, 0, 256, 1 << 40} {
		_, err1 := e.Key(i)
		_, err2 := e.Path(i)
		if err1 == nil || err2 == nil || VerifyKey(e.Root(), i, [32]byte{}, nil) {
			t.Errorf("key %d: %v, %v", i, err1, err2)
		}
	}
	for _, n := range []int{0, 32, 255*32 - 1, 256 * 32} {
		if _, err := PathFromLeaves(make([]byte, n), 1); err == nil {
			t.Errorf("took %d bytes of key hashes", n)
		}
	}
	for _, n := range []int{1, 31, 33, 9 * 32} {
		if _, err := SplitPath(make([]byte, n)); err == nil {
			t.Errorf("took a path of %d bytes", n)
		}
	}
}

func BenchmarkNewEpoch(b *testing.B) {
	r := seeded(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewEpoch(testLog, 1, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	e := epoch(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Key(200); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPath(b *testing.B) {
	e := epoch(b, 1)
	for b.Loop() {
		if _, err := e.Path(200); err != nil {
			b.Fatal(err)
		}
	}
}

func hashBytes(h line.Hash) []byte { return h[:] }
