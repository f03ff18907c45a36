package seal

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"herald/internal/line"
)

const (
	// ChunkSize is the plaintext in every chunk of an attachment but the
	// last, in bytes (spec 06 §7).
	ChunkSize = 16 << 10
	// MaxChunk is the greatest chunk as it is carried.
	MaxChunk = ChunkSize + Tag
	// MaxBlob bounds an attachment, in bytes, whatever a charter allows.
	MaxBlob = 1 << 40
)

// BlobInfo is what a message says of its attachment: all that a receiver
// needs to open and to judge what it pulls.
type BlobInfo struct {
	Key    [KeySize]byte
	Length uint64    // of the plaintext, in bytes
	Hash   [32]byte  // SHA-256 of the plaintext
	Root   line.Hash // RFC 6962 root over the chunks as carried
}

// Chunks returns the number of chunks: one also for an empty attachment.
func (b BlobInfo) Chunks() uint64 {
	n := b.Length / ChunkSize
	if b.Length%ChunkSize != 0 || n == 0 {
		n++
	}
	return n
}

// ChunkLength returns how many bytes chunk index has as carried, 0 if the
// attachment has no such chunk.
func (b BlobInfo) ChunkLength(index uint64) int {
	switch last := b.Chunks() - 1; {
	case index < last:
		return MaxChunk
	case index == last:
		return int(b.Length-index*ChunkSize) + Tag
	}
	return 0
}

// SealBlob reads an attachment to its end and emits its chunks in order,
// holding no more than a few in memory. A chunk given to emit is valid until
// emit returns. The key is drawn from rand and used for this attachment alone.
func SealBlob(rand, r io.Reader, emit func(index uint64, chunk []byte) error) (BlobInfo, error) {
	key, err := newKey(rand)
	if err != nil {
		return BlobInfo{}, err
	}
	info := BlobInfo{Key: key}
	a, hash, root := aead(key), sha256.New(), NewChunkRoot()
	in := bufio.NewReaderSize(r, ChunkSize)
	plain, chunk := make([]byte, ChunkSize), make([]byte, 0, MaxChunk)
	for index, last := uint64(0), false; !last; index++ {
		n, err := io.ReadFull(in, plain)
		if err == nil {
			_, err = in.Peek(1)
		}
		// A short read and an end right after a full chunk both end it.
		last = err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return BlobInfo{}, fmt.Errorf("reading the attachment: %w", err)
		}
		if info.Length += uint64(n); info.Length > MaxBlob {
			return BlobInfo{}, fmt.Errorf("attachment longer than %d bytes", uint64(MaxBlob))
		}
		hash.Write(plain[:n])
		chunk = a.Seal(chunk[:0], chunkNonce(index, last), plain[:n], nil)
		root.Add(chunk)
		if err := emit(index, chunk); err != nil {
			return BlobInfo{}, err
		}
	}
	hash.Sum(info.Hash[:0])
	info.Root = root.Root()
	return info, nil
}

// OpenChunk opens one chunk, as it comes. Which is the last follows from the
// attachment's length.
func OpenChunk(key [KeySize]byte, index uint64, last bool, chunk []byte) ([]byte, error) {
	return openChunk(aead(key), index, last, chunk)
}

func openChunk(a cipher.AEAD, index uint64, last bool, chunk []byte) ([]byte, error) {
	if len(chunk) > MaxChunk {
		return nil, fmt.Errorf("chunk %d: %d bytes, more than %d", index, len(chunk), MaxChunk)
	}
	plain, err := a.Open(nil, chunkNonce(index, last), chunk, nil)
	if err != nil {
		return nil, fmt.Errorf("chunk %d: %w", index, ErrOpen)
	}
	return plain, nil
}

// OpenBlob writes a whole attachment to w, reading each chunk as it needs it.
// It verifies chunks, root, length and hash. On error what was written to w
// must be thrown away: only the end shows that all parties got the same bytes.
func OpenBlob(info BlobInfo, chunk func(index uint64) ([]byte, error), w io.Writer) error {
	if info.Length > MaxBlob {
		return fmt.Errorf("attachment of %d bytes: more than %d", info.Length, uint64(MaxBlob))
	}
	a, hash, root := aead(info.Key), sha256.New(), NewChunkRoot()
	n := info.Chunks()
	for i := range n {
		c, err := chunk(i)
		if err != nil {
			return err
		}
		if len(c) != info.ChunkLength(i) {
			return fmt.Errorf("chunk %d of %d: %d bytes, want %d", i, n, len(c), info.ChunkLength(i))
		}
		plain, err := openChunk(a, i, i == n-1, c)
		if err != nil {
			return err
		}
		root.Add(c)
		hash.Write(plain)
		if _, err := w.Write(plain); err != nil {
			return fmt.Errorf("writing the attachment: %w", err)
		}
	}
	if root.Root() != info.Root {
		return errors.New("attachment: its chunks are not those that its message names")
	}
	if !bytes.Equal(hash.Sum(nil), info.Hash[:]) {
		return errors.New("attachment: its content is not that which its message names")
	}
	return nil
}

// ChunkRoot computes the root over chunks as they come, in order.
type ChunkRoot struct{ tree *compact.Range }

// NewChunkRoot returns a root over no chunks yet.
func NewChunkRoot() *ChunkRoot {
	f := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	return &ChunkRoot{f.NewEmptyRange(0)}
}

// Add adds the next chunk, as carried.
func (c *ChunkRoot) Add(chunk []byte) {
	if err := c.tree.Append(rfc6962.DefaultHasher.HashLeaf(chunk), nil); err != nil {
		panic(err) // a range from 0 always takes one more
	}
}

// Root returns the RFC 6962 root over the chunks so far.
func (c *ChunkRoot) Root() line.Hash {
	if c.tree.End() == 0 {
		return line.Hash(rfc6962.DefaultHasher.EmptyRoot())
	}
	root, err := c.tree.GetRootHash(nil)
	if err != nil {
		panic(err) // a range from 0 always has a root
	}
	return line.Hash(root)
}

// chunkNonce is the chunk's index in 11 bytes, big endian, and 1 for the last
// chunk, else 0: order and end are then authentic (the STREAM construction).
func chunkNonce(index uint64, last bool) []byte {
	n := make([]byte, nonceSize)
	binary.BigEndian.PutUint64(n[3:11], index)
	if last {
		n[11] = 1
	}
	return n
}
