package tlog

import (
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"herald/internal/line"
)

func headOf(hashes []line.Hash) Head {
	t := treeFrom(hashes)
	return t.Head()
}

func theirs(path []line.Hash) []tlog.Hash {
	out := make([]tlog.Hash, len(path))
	for i, h := range path {
		out[i] = tlog.Hash(h)
	}
	return out
}

func TestInclusionProofs(t *testing.T) {
	all := leafHashes(40, 0)
	for n := uint64(1); n <= 40; n++ {
		head := headOf(all[:n])
		for i := range n {
			path, err := Inclusion(Leaves(all), i, n)
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyInclusion(all[i], i, head, path); err != nil {
				t.Fatalf("entry %d of %d: %v", i, n, err)
			}
			if err := tlog.CheckRecord(tlog.RecordProof(theirs(path)), int64(n), tlog.Hash(head.Root), int64(i), tlog.Hash(all[i])); err != nil {
				t.Fatalf("x/mod on entry %d of %d: %v", i, n, err)
			}
			wrong := map[string]error{
				"other leaf":  VerifyInclusion(LeafHash(nil), i, head, path),
				"other place": VerifyInclusion(all[i], i+1, head, path),
				"other root":  VerifyInclusion(all[i], i, Head{n, EmptyRoot()}, path),
				"longer path": VerifyInclusion(all[i], i, head, append(path[:len(path):len(path)], all[0])),
			}
			if len(path) > 0 {
				wrong["shorter path"] = VerifyInclusion(all[i], i, head, path[1:])
			}
			for what, err := range wrong {
				if err == nil {
					t.Fatalf("entry %d of %d: verified with %s", i, n, what)
				}
			}
		}
	}
}

func TestConsistencyProofs(t *testing.T) {
	all, other := leafHashes(33, 0), leafHashes(33, 1)
	for n := uint64(0); n <= 33; n++ {
		newer := headOf(all[:n])
		for m := uint64(0); m <= n; m++ {
			older := headOf(all[:m])
			path, err := Consistency(Leaves(all), m, n)
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyConsistency(older, newer, path); err != nil {
				t.Fatalf("%d to %d: %v", m, n, err)
			}
			if m > 0 {
				if err := tlog.CheckTree(theirs(path), int64(n), tlog.Hash(newer.Root), int64(m), tlog.Hash(older.Root)); err != nil {
					t.Fatalf("x/mod on %d to %d: %v", m, n, err)
				}
				if VerifyConsistency(headOf(other[:m]), newer, path) == nil {
					t.Fatalf("%d to %d: verified from another history", m, n)
				}
			}
			if m < n && VerifyConsistency(newer, older, path) == nil {
				t.Fatalf("verified from %d back to %d", n, m)
			}
		}
	}
	if VerifyConsistency(Head{0, all[0]}, headOf(all), nil) == nil {
		t.Fatal("verified from an empty log with a root that it cannot have")
	}
}

func TestProofsPassOnReadErrors(t *testing.T) {
	gone := errors.New("disk on fire")
	broken := func(uint64) (line.Hash, error) { return line.Hash{}, gone }
	if _, err := Inclusion(broken, 1, 9); !errors.Is(err, gone) {
		t.Errorf("inclusion: %v", err)
	}
	if _, err := Consistency(broken, 3, 9); !errors.Is(err, gone) {
		t.Errorf("consistency: %v", err)
	}
	if _, err := TreeOf(Leaves(leafHashes(3, 0)), 4); err == nil {
		t.Error("a tree over leaves that are not there")
	}
	for _, bad := range [][2]uint64{{3, 3}, {0, 0}, {1, MaxSize + 1}} {
		if _, err := Inclusion(broken, bad[0], bad[1]); err == nil || errors.Is(err, gone) {
			t.Errorf("inclusion of %d in %d: %v", bad[0], bad[1], err)
		}
	}
	if _, err := Consistency(broken, 4, 3); err == nil || errors.Is(err, gone) {
		t.Errorf("consistency from 4 back to 3: %v", err)
	}
}
