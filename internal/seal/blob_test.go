package seal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"testing/iotest"

	"herald/internal/line"
)

// blob seals plain and returns what is carried.
func blob(t testing.TB, r io.Reader) (BlobInfo, [][]byte) {
	t.Helper()
	var chunks [][]byte
	info, err := SealBlob(seeded(1), r, func(index uint64, chunk []byte) error {
		if index != uint64(len(chunks)) {
			return fmt.Errorf("chunk %d after %d", index, len(chunks))
		}
		chunks = append(chunks, bytes.Clone(chunk))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return info, chunks
}

func from(chunks [][]byte) func(uint64) ([]byte, error) {
	return func(i uint64) ([]byte, error) {
		if i >= uint64(len(chunks)) {
			return nil, errors.New("no such chunk")
		}
		return chunks[i], nil
	}
}

func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func TestBlobComesBack(t *testing.T) {
	for _, n := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 2 * ChunkSize, 5*ChunkSize + 77} {
		plain := text(n)
		for how, r := range map[string]io.Reader{
			"whole":           bytes.NewReader(plain),
			"halves":          iotest.HalfReader(bytes.NewReader(plain)),
			"data with error": iotest.DataErrReader(bytes.NewReader(plain)),
		} {
			info, chunks := blob(t, r)
			if info.Length != uint64(n) || info.Hash != sha256.Sum256(plain) || info.Chunks() != uint64(len(chunks)) {
				t.Fatalf("%d bytes, %s: %d in %d chunks", n, how, info.Length, len(chunks))
			}
			root := NewChunkRoot()
			for i, c := range chunks {
				root.Add(c)
				if len(c) != info.ChunkLength(uint64(i)) {
					t.Errorf("%d bytes, %s: chunk %d has %d bytes, foretold %d", n, how, i, len(c), info.ChunkLength(uint64(i)))
				}
				got, err := OpenChunk(info.Key, uint64(i), i == len(chunks)-1, c)
				if err != nil || !bytes.Equal(got, plain[i*ChunkSize:i*ChunkSize+len(got)]) {
					t.Errorf("%d bytes, %s: chunk %d: %v", n, how, i, err)
				}
			}
			if root.Root() != info.Root {
				t.Errorf("%d bytes, %s: another root", n, how)
			}
			var out bytes.Buffer
			if err := OpenBlob(info, from(chunks), &out); err != nil || !bytes.Equal(out.Bytes(), plain) {
				t.Errorf("%d bytes, %s: %v", n, how, err)
			}
		}
	}
}

func TestChunksHaveTheirPlaces(t *testing.T) {
	info, chunks := blob(t, bytes.NewReader(text(2*ChunkSize+5)))
	for what, err := range map[string]error{
		"another place":     chunkErr(info.Key, 1, false, chunks[0]),
		"as the last":       chunkErr(info.Key, 1, true, chunks[1]),
		"last as not last":  chunkErr(info.Key, 2, false, chunks[2]),
		"another key":       chunkErr([32]byte{}, 0, false, chunks[0]),
		"cut short":         chunkErr(info.Key, 0, false, chunks[0][:ChunkSize]),
		"nothing":           chunkErr(info.Key, 0, false, nil),
		"longer than any":   chunkErr(info.Key, 0, false, append(bytes.Clone(chunks[0]), 0)),
		"index at its most": chunkErr(info.Key, math.MaxUint64, true, chunks[2]),
	} {
		if err == nil {
			t.Errorf("opened a chunk: %s", what)
		}
	}
	if info.ChunkLength(3) != 0 || info.ChunkLength(math.MaxUint64) != 0 {
		t.Error("a length for a chunk that is not there")
	}
	if n := (BlobInfo{Length: math.MaxUint64}).Chunks(); n != 1<<50 {
		t.Errorf("%d chunks", n)
	}
}

func chunkErr(key [32]byte, index uint64, last bool, chunk []byte) error {
	_, err := OpenChunk(key, index, last, chunk)
	return err
}

func TestBlobMustBeWhatItsMessageNames(t *testing.T) {
	plain := text(2*ChunkSize + 5)
	good, chunks := blob(t, bytes.NewReader(plain))
	// The sender has the key, and can seal other chunks for another party.
	other := bytes.Clone(plain)
	other[3] ^= 1
	_, forged := blob(t, bytes.NewReader(other))
	for what, change := range map[string]func(*BlobInfo) [][]byte{
		"length less":    func(b *BlobInfo) [][]byte { b.Length--; return chunks },
		"length more":    func(b *BlobInfo) [][]byte { b.Length++; return chunks },
		"chunk missing":  func(b *BlobInfo) [][]byte { return chunks[:2] },
		"cut to a chunk": func(b *BlobInfo) [][]byte { b.Length = ChunkSize; return chunks[:1] },
		"other root":     func(b *BlobInfo) [][]byte { b.Root = line.Hash{}; return chunks },
		"other hash":     func(b *BlobInfo) [][]byte { b.Hash[0] ^= 1; return chunks },
		"other chunks":   func(b *BlobInfo) [][]byte { return forged },
		"swapped":        func(b *BlobInfo) [][]byte { return [][]byte{chunks[1], chunks[0], chunks[2]} },
		"beyond all":     func(b *BlobInfo) [][]byte { b.Length = MaxBlob + 1; return chunks },
	} {
		info := good
		if err := OpenBlob(info, from(change(&info)), io.Discard); err == nil {
			t.Errorf("taken: %s", what)
		}
	}
}

func TestBlobPassesOnFailures(t *testing.T) {
	gone := errors.New("gone")
	keep := func(uint64, []byte) error { return nil }
	if _, err := SealBlob(seeded(1), iotest.ErrReader(gone), keep); !errors.Is(err, gone) {
		t.Errorf("reading: %v", err)
	}
	late := io.MultiReader(bytes.NewReader(text(ChunkSize)), iotest.ErrReader(gone))
	if _, err := SealBlob(seeded(1), late, keep); !errors.Is(err, gone) {
		t.Errorf("reading after a chunk: %v", err)
	}
	if _, err := SealBlob(seeded(1), bytes.NewReader(nil), func(uint64, []byte) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("emitting: %v", err)
	}
	info, _ := blob(t, bytes.NewReader(text(9)))
	if err := OpenBlob(info, func(uint64) ([]byte, error) { return nil, gone }, io.Discard); !errors.Is(err, gone) {
		t.Errorf("pulling: %v", err)
	}
}

func BenchmarkSealBlob(b *testing.B) {
	plain := text(1 << 20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := SealBlob(seeded(1), bytes.NewReader(plain), func(uint64, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
