package sqlite

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"herald/internal/line"
	"herald/internal/seal"
)

// sealed makes an attachment and its chunks.
func sealed(t *testing.T, n int) (seal.BlobInfo, [][]byte) {
	t.Helper()
	plain := make([]byte, n)
	rand.Read(plain)
	var chunks [][]byte
	info, err := seal.SealBlob(rand.Reader, bytes.NewReader(plain), func(_ uint64, c []byte) error {
		chunks = append(chunks, slices.Clone(c))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return info, chunks
}

func missing(t *testing.T, b *Blobs, root line.Hash, from uint64, most int, want ...uint64) {
	t.Helper()
	got, err := b.Missing(context.Background(), root, from, most)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("missing: %v, %v, want %v", got, err, want)
	}
}

func put(t *testing.T, b *Blobs, root line.Hash, chunks [][]byte, which ...uint64) {
	t.Helper()
	for _, n := range which {
		if err := b.PutChunk(context.Background(), root, n, chunks[n]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBlobSurvivesWhatWasSynced(t *testing.T) {
	p := &place{dir: filepath.Join(t.TempDir(), "store")}
	ctx := context.Background()
	info, chunks := sealed(t, 4*seal.ChunkSize+100)
	p.Open(t)
	b := p.db.Blobs()
	if _, err := b.Missing(ctx, info.Root, 0, 9); !errors.Is(err, ErrNoBlob) {
		t.Fatalf("missing chunks of an unknown attachment: %v", err)
	}
	if err := b.PutChunk(ctx, info.Root, 0, chunks[0]); !errors.Is(err, ErrNoBlob) {
		t.Fatalf("a chunk of an unknown attachment: %v", err)
	}
	for range 2 {
		if err := b.Want(ctx, info.Root, info.Length); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Want(ctx, info.Root, info.Length+1); err == nil {
		t.Fatal("another length was taken")
	}
	if err := b.Want(ctx, line.Hash{1}, seal.MaxBlob+1); err == nil {
		t.Fatal("an enormous length was taken")
	}
	missing(t, b, info.Root, 0, 9, 0, 1, 2, 3, 4)
	missing(t, b, info.Root, 2, 2, 2, 3)
	put(t, b, info.Root, chunks, 4, 1)
	missing(t, b, info.Root, 0, 9, 0, 2, 3)
	if err := b.Sync(ctx, info.Root); err != nil {
		t.Fatal(err)
	}
	put(t, b, info.Root, chunks, 0) // not synced
	if got, ok, err := b.Chunk(ctx, info.Root, 0); err != nil || !ok || !bytes.Equal(got, chunks[0]) {
		t.Fatalf("a chunk that was put: %v, %v", ok, err)
	}
	for _, bad := range []struct {
		n    uint64
		data []byte
	}{{2, chunks[2][1:]}, {4, chunks[2]}, {5, chunks[2]}, {1 << 60, nil}} {
		if err := b.PutChunk(ctx, info.Root, bad.n, bad.data); err == nil {
			t.Errorf("chunk %d of %d bytes was taken", bad.n, len(bad.data))
		}
	}
	p.Crash(t)
	p.Open(t)
	b = p.db.Blobs()
	missing(t, b, info.Root, 0, 9, 0, 2, 3)
	if _, ok, err := b.Chunk(ctx, info.Root, 0); err != nil || ok {
		t.Fatalf("a chunk that was not synced: %v, %v", ok, err)
	}
	put(t, b, info.Root, chunks, 0, 2, 3)
	if err := errors.Join(b.Sync(ctx, info.Root), b.Sync(ctx, info.Root)); err != nil {
		t.Fatal(err)
	}
	p.Close(t)
	p.Open(t)
	defer p.Close(t)
	b = p.db.Blobs()
	missing(t, b, info.Root, 0, 9)
	var plain bytes.Buffer
	err := seal.OpenBlob(info, func(n uint64) ([]byte, error) { c, _, err := b.Chunk(ctx, info.Root, n); return c, err }, &plain)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := b.Chunk(ctx, info.Root, 5); err != nil || ok {
		t.Fatalf("a chunk past the end: %v, %v", ok, err)
	}
	if err := os.Truncate(b.path(info.Root), 10); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Chunk(ctx, info.Root, 3); err == nil {
		t.Fatal("a chunk of a damaged file was read")
	}
	if err := errors.Join(b.Drop(ctx, info.Root), b.Drop(ctx, info.Root)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Missing(ctx, info.Root, 0, 9); !errors.Is(err, ErrNoBlob) {
		t.Fatalf("after dropping: %v", err)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Fatalf("files left: %v, %v", left, err)
	}
}

func TestBlobSyncsItself(t *testing.T) {
	p := &place{dir: filepath.Join(t.TempDir(), "store")}
	p.Open(t)
	info, chunks := sealed(t, (syncEvery+2)*seal.ChunkSize)
	if err := p.db.Blobs().Want(context.Background(), info.Root, info.Length); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(len(chunks)) {
		put(t, p.db.Blobs(), info.Root, chunks, n)
	}
	p.Crash(t)
	p.Open(t)
	defer p.Close(t)
	missing(t, p.db.Blobs(), info.Root, 0, 9, syncEvery, syncEvery+1)
}

func TestBlobAdd(t *testing.T) {
	p := &place{dir: filepath.Join(t.TempDir(), "store")}
	p.Open(t)
	ctx := context.Background()
	plain := bytes.Repeat([]byte("words "), 10000)
	info, err := p.db.Blobs().Add(ctx, func(put func(uint64, []byte) error) (seal.BlobInfo, error) {
		return seal.SealBlob(rand.Reader, bytes.NewReader(plain), put)
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Crash(t)
	p.Open(t)
	defer p.Close(t)
	b := p.db.Blobs()
	missing(t, b, info.Root, 0, 9)
	var got bytes.Buffer
	err = seal.OpenBlob(info, func(n uint64) ([]byte, error) { c, _, err := b.Chunk(ctx, info.Root, n); return c, err }, &got)
	if err != nil || !bytes.Equal(got.Bytes(), plain) {
		t.Fatalf("%d bytes, %v", got.Len(), err)
	}
	failed := errors.New("the file went away")
	if _, err := b.Add(ctx, func(func(uint64, []byte) error) (seal.BlobInfo, error) { return seal.BlobInfo{}, failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) != 1 {
		t.Fatalf("files: %v, %v", left, err)
	}
}

// TestBlobPages crosses the border between two rows of bits.
func TestBlobPages(t *testing.T) {
	db := openTemp(t)
	ctx := context.Background()
	b, root := db.Blobs(), line.Hash{9}
	if err := b.Want(ctx, root, (pageChunks+2)*seal.ChunkSize); err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, seal.MaxChunk)
	for _, n := range []uint64{pageChunks - 1, pageChunks + 1} {
		if err := b.PutChunk(ctx, root, n, chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Sync(ctx, root); err != nil {
		t.Fatal(err)
	}
	missing(t, b, root, pageChunks-2, 9, pageChunks-2, pageChunks)
}
