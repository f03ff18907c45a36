package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"herald/internal/line"
)

// EpochKeys is the number of message keys in an epoch, numbered from 1: the
// distance of an entry to its epoch entry, in one byte (spec 06 §2).
const EpochKeys = 255

// Epoch is one epoch secret with all that comes of it. The message keys are
// derived at once, since the commitment needs them all.
type Epoch struct {
	id     line.LogID
	base   uint64
	secret [KeySize]byte
	keys   [EpochKeys][KeySize]byte // keys[i-1] is mk_i
	leaves []byte
	root   line.Hash
	erased bool
}

// NewEpoch draws the secret of an epoch whose entry is at seq base of the log.
func NewEpoch(id line.LogID, base uint64, rand io.Reader) (*Epoch, error) {
	es, err := newKey(rand)
	if err != nil {
		return nil, err
	}
	return derive(id, base, es)
}

// EpochFromSecret derives the epoch of a secret that was opened, and checks it
// against the commitment kt in the epoch's entry. On error the epoch is
// unreadable, and its author is to be asked to reseal.
func EpochFromSecret(id line.LogID, base uint64, es [KeySize]byte, kt line.Hash) (*Epoch, error) {
	e, err := derive(id, base, es)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(e.root[:], kt[:]) != 1 {
		e.Erase()
		return nil, fmt.Errorf("epoch at %d: its secret does not give the keys that its author committed to", base)
	}
	return e, nil
}

// derive computes mk_i = HKDF-Expand(SHA-256, es, "herald/mk/1" ‖ log-id ‖
// u64(base) ‖ u8(i), 32), and the RFC 6962 root over them (spec 06 §2).
func derive(id line.LogID, base uint64, es [KeySize]byte) (*Epoch, error) {
	e := &Epoch{id: id, base: base, secret: es, leaves: make([]byte, 0, EpochKeys*sha256.Size)}
	info := append([]byte("herald/mk/1"), id[:]...)
	info = binary.BigEndian.AppendUint64(info, base)
	for i := 1; i <= EpochKeys; i++ {
		mk, err := hkdf.Expand(sha256.New, es[:], string(append(info, byte(i))), KeySize)
		if err != nil {
			return nil, fmt.Errorf("deriving message keys: %w", err)
		}
		e.keys[i-1] = [KeySize]byte(mk)
		leaf := keyLeaf(e.keys[i-1])
		e.leaves = append(e.leaves, leaf[:]...)
		clear(mk)
	}
	e.root = rootOf(e.leaves)
	return e, nil
}

// Key returns message key i, which belongs to entry base+i. It fails for an i
// outside 1..EpochKeys and after Erase.
func (e *Epoch) Key(i int) ([KeySize]byte, error) {
	if i < 1 || i > EpochKeys {
		return [KeySize]byte{}, fmt.Errorf("epoch at %d has no message key %d: want 1 to %d", e.base, i, EpochKeys)
	}
	if e.erased {
		return [KeySize]byte{}, fmt.Errorf("message key %d of the epoch at %d was erased", i, e.base)
	}
	return e.keys[i-1], nil
}

// Path returns what proves message key i against the commitment. It stays
// possible after Erase.
func (e *Epoch) Path(i int) ([]line.Hash, error) { return PathFromLeaves(e.leaves, i) }

// Leaves returns the hashes of all message keys, EpochKeys × 32 bytes, which
// are not secret: kept, they prove a disclosed key when the secret is gone.
func (e *Epoch) Leaves() []byte { return append([]byte(nil), e.leaves...) }

// Root returns the commitment kt.
func (e *Epoch) Root() line.Hash { return e.root }

// Secret returns the epoch secret, zero after Erase.
func (e *Epoch) Secret() [KeySize]byte { return e.secret }

// Log returns the log that the epoch is in.
func (e *Epoch) Log() line.LogID { return e.id }

// Base returns the seq of the epoch's entry.
func (e *Epoch) Base() uint64 { return e.base }

// Erase overwrites the secret and the message keys.
func (e *Epoch) Erase() {
	clear(e.secret[:])
	for i := range e.keys {
		clear(e.keys[i][:])
	}
	e.erased = true
}

// PathFromLeaves returns the RFC 6962 path of message key i, lowest first,
// from what Leaves gave: 8 hashes, for the last key 7.
func PathFromLeaves(leaves []byte, i int) ([]line.Hash, error) {
	if len(leaves) != EpochKeys*sha256.Size {
		return nil, fmt.Errorf("an epoch's key hashes: %d bytes, want %d", len(leaves), EpochKeys*sha256.Size)
	}
	if i < 1 || i > EpochKeys {
		return nil, fmt.Errorf("an epoch has no message key %d: want 1 to %d", i, EpochKeys)
	}
	var path []line.Hash
	for m := i - 1; len(leaves) > sha256.Size; {
		k := split(len(leaves)/sha256.Size) * sha256.Size
		if m*sha256.Size < k {
			path, leaves = append(path, rootOf(leaves[k:])), leaves[:k]
		} else {
			path, leaves, m = append(path, rootOf(leaves[:k])), leaves[k:], m-k/sha256.Size
		}
	}
	for a, b := 0, len(path)-1; a < b; a, b = a+1, b-1 {
		path[a], path[b] = path[b], path[a]
	}
	return path, nil
}

// VerifyKey reports whether kt commits to mk as message key i.
func VerifyKey(kt line.Hash, i int, mk [KeySize]byte, path []line.Hash) bool {
	if i < 1 || i > EpochKeys || len(path) > 8 {
		return false
	}
	raw := make([][]byte, len(path))
	for n := range path {
		raw[n] = path[n][:]
	}
	leaf := keyLeaf(mk)
	return proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i-1), EpochKeys, leaf[:], raw, kt[:]) == nil
}

// JoinPath writes a path as entries carry it: its hashes, one after another.
func JoinPath(path []line.Hash) []byte {
	var b []byte
	for _, h := range path {
		b = append(b, h[:]...)
	}
	return b
}

// SplitPath reads what JoinPath wrote.
func SplitPath(b []byte) ([]line.Hash, error) {
	if len(b)%sha256.Size != 0 || len(b) > 8*sha256.Size {
		return nil, errors.New("path of a message key: not up to 8 hashes of 32 bytes")
	}
	var path []line.Hash
	for ; len(b) > 0; b = b[sha256.Size:] {
		path = append(path, line.Hash(b[:sha256.Size]))
	}
	return path, nil
}

func keyLeaf(mk [KeySize]byte) line.Hash {
	var b [1 + KeySize]byte
	copy(b[1:], mk[:])
	return sha256.Sum256(b[:])
}

// rootOf is RFC 6962's tree hash over at least one leaf hash.
func rootOf(leaves []byte) line.Hash {
	if len(leaves) == sha256.Size {
		return line.Hash(leaves)
	}
	k := split(len(leaves)/sha256.Size) * sha256.Size
	left, right := rootOf(leaves[:k]), rootOf(leaves[k:])
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// split returns the greatest power of two below n, for n of 2 or more.
func split(n int) int {
	k := 1
	for k<<1 < n {
		k <<= 1
	}
	return k
}
