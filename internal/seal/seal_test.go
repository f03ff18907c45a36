package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"herald/internal/line"
)

var (
	testLog  = line.NewLogID(line.ID{1, 2, 3}, "US", 1)
	otherLog = line.NewLogID(line.ID{1, 2, 3}, "CN", 1)
)

// seeded returns a reader of bytes that are the same in every run.
func seeded(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// noRandom fails, as a system without randomness would.
type noRandom struct{}

func (noRandom) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func key(t testing.TB, seed byte) ReceiveKey {
	t.Helper()
	k, err := NewReceiveKey(seeded(seed))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestBodyOpensOnlyUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mk := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		ad := rapid.SliceOf(rapid.Byte()).Draw(t, "ad")
		inner := rapid.SliceOf(rapid.Byte()).Draw(t, "inner")
		body := SealBody(mk, ad, inner)
		if len(body) != len(inner)+Tag {
			t.Fatalf("%d bytes became %d", len(inner), len(body))
		}
		got, err := OpenBody(mk, ad, body)
		if err != nil || !bytes.Equal(got, inner) {
			t.Fatalf("did not come back: %v", err)
		}
		bit := rapid.IntRange(0, 8*len(body)-1).Draw(t, "bit")
		changed := bytes.Clone(body)
		changed[bit/8] ^= 1 << (bit % 8)
		_, err1 := OpenBody(mk, ad, changed)
		_, err2 := OpenBody(mk, append(bytes.Clone(ad), 0), body)
		mk[bit%32] ^= 1
		_, err3 := OpenBody(mk, ad, body)
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, ErrOpen) {
				t.Fatalf("opened changed: %v, %v, %v", err1, err2, err3)
			}
		}
	})
	for n := range Tag {
		if _, err := OpenBody([32]byte{}, nil, make([]byte, n)); !errors.Is(err, ErrOpen) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestLocalSecretsOpenOnlyInTheirPlace(t *testing.T) {
	working := [32]byte{7}
	b, err := SealLocal(seeded(1), working, []byte("epoch 4"), []byte("secret"))
	if err != nil || len(b) != len("secret")+LocalOverhead {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if got, err := OpenLocal(working, []byte("epoch 4"), b); err != nil || string(got) != "secret" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := OpenLocal(working, []byte("epoch 5"), b); !errors.Is(err, ErrOpen) {
		t.Errorf("another context: %v", err)
	}
	if _, err := OpenLocal([32]byte{8}, []byte("epoch 4"), b); !errors.Is(err, ErrOpen) {
		t.Errorf("another key: %v", err)
	}
	for i := range b {
		if _, err := OpenLocal(working, []byte("epoch 4"), b[:i]); !errors.Is(err, ErrOpen) {
			t.Errorf("first %d bytes: %v", i, err)
		}
		b[i] ^= 1
		if _, err := OpenLocal(working, []byte("epoch 4"), b); !errors.Is(err, ErrOpen) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		b[i] ^= 1
	}
}

func TestNothingIsMadeWithoutRandomness(t *testing.T) {
	_, err1 := NewReceiveKey(noRandom{})
	_, err2 := NewEpoch(testLog, 0, noRandom{})
	_, err3 := NewSegment(noRandom{}, 1, [32]byte{}, nil)
	_, err4 := SealLocal(noRandom{}, [32]byte{}, nil, nil)
	_, err5 := SealBlob(noRandom{}, bytes.NewReader(nil), func(uint64, []byte) error { return nil })
	// Enough for the segment's key, not for the nonce of its wrap.
	_, err6 := NewSegment(bytes.NewReader(make([]byte, 40)), 1, [32]byte{}, nil)
	for i, err := range []error{err1, err2, err3, err4, err5, err6} {
		if err == nil {
			t.Errorf("case %d: made without randomness", i+1)
		}
	}
}

func TestReceiveKeyComesFromItsSeed(t *testing.T) {
	k := key(t, 1)
	again, err := ReceiveKeyFromSeed(k.Seed())
	if err != nil || !bytes.Equal(again.Public(), k.Public()) {
		t.Fatalf("another key from the same seed: %v", err)
	}
	if len(k.Public()) != PublicKeySize {
		t.Errorf("public half of %d bytes", len(k.Public()))
	}
	if err := CheckPublic(k.Public()); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := ReceiveKeyFromSeed(make([]byte, n)); err == nil {
			t.Errorf("took a seed of %d bytes", n)
		}
	}
	if CheckPublic(k.Public()[1:]) == nil || CheckPublic(bytes.Repeat([]byte{255}, PublicKeySize)) == nil {
		t.Error("took what cannot be a key")
	}
}

func TestSealedKeysOpenOnlyWhereTheyBelong(t *testing.T) {
	k, es := key(t, 1), [32]byte{42}
	enc, err := SealSecret(k.Public(), testLog, 9, "CN", 3, es)
	if err != nil || len(enc) != SealedKeySize {
		t.Fatalf("%d bytes, %v", len(enc), err)
	}
	if got, err := OpenSecret(k, testLog, 9, "CN", 3, enc); err != nil || got != es {
		t.Fatalf("%x, %v", got, err)
	}
	changed := bytes.Clone(enc)
	changed[len(enc)-1] ^= 1
	kem := bytes.Clone(enc)
	kem[5] ^= 1
	open := func(k ReceiveKey, id line.LogID, base uint64, p line.Party, index uint32, enc []byte) error {
		got, err := OpenSecret(k, id, base, p, index, enc)
		if got != [32]byte{} {
			t.Error("an error came with a secret")
		}
		return err
	}
	for what, err := range map[string]error{
		"another key":           open(key(t, 2), testLog, 9, "CN", 3, enc),
		"another log":           open(k, otherLog, 9, "CN", 3, enc),
		"another base":          open(k, testLog, 10, "CN", 3, enc),
		"another party":         open(k, testLog, 9, "RU", 3, enc),
		"another index":         open(k, testLog, 9, "CN", 4, enc),
		"a changed box":         open(k, testLog, 9, "CN", 3, changed),
		"another encapsulation": open(k, testLog, 9, "CN", 3, kem),
		"a short box":           open(k, testLog, 9, "CN", 3, enc[1:]),
		"no key":                open(ReceiveKey{}, testLog, 9, "CN", 3, enc),
		"a party that is none":  open(k, testLog, 9, "", 3, enc),
	} {
		if err == nil {
			t.Errorf("opened with %s", what)
		}
	}
	if _, err := OpenKey(k, testLog, 9, "CN", 3, enc); !errors.Is(err, ErrOpen) {
		t.Errorf("an epoch's secret opened as a message key: %v", err)
	}
	if _, err := SealSecret(k.Public()[1:], testLog, 9, "CN", 3, es); err == nil {
		t.Error("sealed to half a key")
	}
	if _, err := SealSecret(k.Public(), testLog, 9, "not a party", 3, es); err == nil {
		t.Error("sealed to no party")
	}
}

func TestResealedKeyOpensTheEntry(t *testing.T) {
	e, err := NewEpoch(testLog, 100, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	mk, err := e.Key(7)
	if err != nil {
		t.Fatal(err)
	}
	k := key(t, 2)
	enc, err := SealKey(k.Public(), testLog, 107, "CN", 5, mk)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenKey(k, testLog, 107, "CN", 5, enc)
	if err != nil {
		t.Fatal(err)
	}
	path, err := e.Path(7)
	if err != nil || !VerifyKey(e.Root(), 7, got, path) {
		t.Errorf("the resealed key is not the one committed to: %v", err)
	}
	if _, err := OpenKey(k, testLog, 108, "CN", 5, enc); !errors.Is(err, ErrOpen) {
		t.Errorf("opened for another entry: %v", err)
	}
	if _, err := OpenSecret(k, testLog, 107, "CN", 5, enc); !errors.Is(err, ErrOpen) {
		t.Errorf("a message key opened as an epoch's secret: %v", err)
	}
}

func BenchmarkSealBody(b *testing.B) {
	ad, inner := make([]byte, 80), make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		SealBody([32]byte{1}, ad, inner)
	}
}

func BenchmarkSealSecret(b *testing.B) {
	k := key(b, 1)
	pub := k.Public()
	for b.Loop() {
		if _, err := SealSecret(pub, testLog, 1, "CN", 0, [32]byte{1}); err != nil {
			b.Fatal(err)
		}
	}
}
