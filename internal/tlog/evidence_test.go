package tlog

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"pgregory.net/rapid"

	"herald/internal/line"
)

// fork is two histories that part at entry 3, and their signer.
type fork struct {
	priv ed25519.PrivateKey
	pub  ed25519.PublicKey
	a, b []line.Hash
}

func newFork() fork {
	priv, pub := testKey(1)
	a, b := leafHashes(9, 0), leafHashes(7, 0)
	copy(b[3:], leafHashes(7, 1)[3:])
	return fork{priv, pub, a, b}
}

func (f fork) entries(at uint64) Evidence {
	claim := func(h line.Hash) Claim { return Claim{Hash: h, Sig: SignEntry(f.priv, testLog, at, h)} }
	return NewEvidence(TwoEntries, testLog, at, claim(f.a[at]), claim(f.b[at]))
}

func (f fork) roots(size uint64) Evidence {
	claim := func(hs []line.Hash) Claim {
		h := headOf(hs[:size])
		return Claim{Hash: h.Root, Sig: SignHead(f.priv, testLog, h)}
	}
	return NewEvidence(TwoRoots, testLog, size, claim(f.a), claim(f.b))
}

func (f fork) inclusions(t interface{ Fatal(...any) }, at uint64) Evidence {
	claim := func(hs []line.Hash) Claim {
		h := headOf(hs)
		path, err := Inclusion(Leaves(hs), at, h.Size)
		if err != nil {
			t.Fatal(err)
		}
		return Claim{Hash: hs[at], Sig: SignHead(f.priv, testLog, h), Head: h, Path: path}
	}
	return NewEvidence(TwoInclusions, testLog, at, claim(f.a), claim(f.b))
}

func (f fork) all(t interface{ Fatal(...any) }) []Evidence {
	return []Evidence{f.entries(3), f.roots(5), f.inclusions(t, 4)}
}

func TestEvidenceHoldsAndTravels(t *testing.T) {
	f := newFork()
	for _, e := range f.all(t) {
		if err := e.Verify(f.pub); err != nil {
			t.Errorf("%s: %v", e.Kind, err)
		}
		b, err := e.Marshal()
		if err != nil {
			t.Fatalf("%s: %v", e.Kind, err)
		}
		got, err := ParseEvidence(b)
		if err != nil {
			t.Fatalf("%s: %v", e.Kind, err)
		}
		if again, err := got.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: came back as other bytes, %v", e.Kind, err)
		}
		if err := got.Verify(f.pub); err != nil {
			t.Errorf("%s, after travel: %v", e.Kind, err)
		}
		if _, stranger := testKey(2); got.Verify(stranger) == nil {
			t.Errorf("%s: accuses the holder of another key", e.Kind)
		}
		if got.Verify(nil) == nil {
			t.Errorf("%s: verifies without a key", e.Kind)
		}
	}
}

// Whoever signed one history cannot be accused by it, however it is put.
func TestOneHistoryIsNoEvidence(t *testing.T) {
	priv, pub := testKey(1)
	a := leafHashes(9, 0)
	entry := func(at uint64) Claim { return Claim{Hash: a[at], Sig: SignEntry(priv, testLog, at, a[at])} }
	root := func(n uint64) Claim {
		h := headOf(a[:n])
		return Claim{Hash: h.Root, Sig: SignHead(priv, testLog, h)}
	}
	incl := func(at, n uint64) Claim {
		h := headOf(a[:n])
		path, err := Inclusion(Leaves(a), at, n)
		if err != nil {
			t.Fatal(err)
		}
		return Claim{Hash: a[at], Sig: SignHead(priv, testLog, h), Head: h, Path: path}
	}
	for what, e := range map[string]Evidence{
		"one entry twice":              NewEvidence(TwoEntries, testLog, 3, entry(3), entry(3)),
		"two places":                   NewEvidence(TwoEntries, testLog, 3, entry(3), entry(4)),
		"one root twice":               NewEvidence(TwoRoots, testLog, 5, root(5), root(5)),
		"two sizes":                    NewEvidence(TwoRoots, testLog, 5, root(5), root(6)),
		"one leaf under two heads":     NewEvidence(TwoInclusions, testLog, 4, incl(4, 6), incl(4, 9)),
		"two places under two heads":   NewEvidence(TwoInclusions, testLog, 4, incl(4, 6), incl(5, 9)),
		"another log's entries":        NewEvidence(TwoEntries, line.LogID{}, 3, entry(3), entry(4)),
		"entries passed off as roots":  NewEvidence(TwoRoots, testLog, 3, entry(3), entry(4)),
		"roots passed off as entries":  NewEvidence(TwoEntries, testLog, 5, root(5), root(6)),
		"unknown kind":                 NewEvidence(9, testLog, 3, entry(3), entry(4)),
		"kind zero":                    NewEvidence(0, testLog, 3, entry(3), entry(4)),
		"heads beside two entries":     NewEvidence(TwoEntries, testLog, 4, incl(4, 6), incl(5, 9)),
		"an inner node as a leaf":      NewEvidence(TwoInclusions, testLog, 0, nodeAsLeaf(t, priv, a), incl(0, 4)),
		"a leaf that was never signed": NewEvidence(TwoEntries, testLog, 3, entry(3), Claim{Hash: a[4]}),
	} {
		if e.Verify(pub) == nil {
			t.Errorf("%s: taken as proof", what)
		}
	}
}

// nodeAsLeaf claims that the root over leaves 0 and 1 is entry 0.
func nodeAsLeaf(t *testing.T, priv ed25519.PrivateKey, a []line.Hash) Claim {
	h := headOf(a[:4])
	path, err := Inclusion(Leaves(a), 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	return Claim{Hash: NodeHash(a[0], a[1]), Sig: SignHead(priv, testLog, h), Head: h, Path: path[1:]}
}

// No change to the bytes of a proof makes another proof.
func TestChangedEvidenceDoesNotHold(t *testing.T) {
	f := newFork()
	for _, e := range f.all(t) {
		b, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			c := bytes.Clone(b)
			c[i] ^= 1
			got, err := ParseEvidence(c)
			if err == nil && got.Verify(f.pub) == nil {
				t.Errorf("%s: holds with byte %d changed", e.Kind, i)
			}
			if _, err := ParseEvidence(b[:i]); err == nil {
				t.Errorf("%s: read from its first %d bytes", e.Kind, i)
			}
		}
	}
}

func TestEveryForkIsProvable(t *testing.T) {
	priv, pub := testKey(1)
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.IntRange(1, 40).Draw(t, "n"), rapid.IntRange(1, 40).Draw(t, "m")
		at := rapid.IntRange(0, min(n, m)-1).Draw(t, "at")
		a, b := leafHashes(n, 0), leafHashes(m, 0)
		b[at] = LeafHash([]byte("another"))
		f := fork{priv, pub, a, b}
		for _, e := range []Evidence{f.entries(uint64(at)), f.roots(uint64(at + 1)), f.inclusions(t, uint64(at))} {
			if err := e.Verify(pub); err != nil {
				t.Fatalf("%s: %v", e.Kind, err)
			}
		}
	})
}

func FuzzParseEvidence(f *testing.F) {
	for _, e := range newFork().all(f) {
		b, err := e.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEvidence(b)
		if err != nil {
			return
		}
		if again, err := e.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x came back as %x, %v", b, again, err)
		}
	})
}
