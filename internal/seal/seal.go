// Package seal keeps words secret between the parties, and at rest: epochs of
// one-time message keys, each committed to by one root; their secrets sealed
// to the other parties with hybrid post-quantum HPKE; entries' bodies; the
// archive that ends with its keys; and attachments in chunks (spec 06).
//
// Randomness comes from the caller's reader, except inside HPKE: the standard
// library draws its encapsulations from the system. Erasing overwrites the
// bytes that this package holds; copies that a caller made, and what the
// runtime may have moved, it cannot reach.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
)

// Sizes in bytes (spec 06 §1).
const (
	KeySize        = 32                            // of every secret key here
	Tag            = 16                            // that AES-256-GCM adds
	nonceSize      = 12                            // of AES-GCM
	PublicKeySize  = 1216                          // of a receive key's public half
	encapsulation  = 1120                          // of MLKEM768-X25519
	SealedKeySize  = encapsulation + KeySize + Tag // 1168
	LocalOverhead  = nonceSize + Tag               // that SealLocal and Segment.Seal add
	segmentIDSize  = 8
	wrappedSegment = segmentIDSize + LocalOverhead + KeySize
	offlineSegment = segmentIDSize + SealedKeySize
)

// ErrOpen is wrapped when a box does not open: the key is not its key, or it
// or what it is bound to was changed. Which of these, cannot be told.
var ErrOpen = errors.New("does not open: another key, or changed bytes")

// aead returns AES-256-GCM; it fails for no 32-byte key.
func aead(key [KeySize]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key's length is constant
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES's block size is constant
	}
	return gcm
}

// SealBody seals an entry's inner part under its message key. The nonce is
// zero, so a key may seal once and never again (spec 06 §4). The ad is the
// entry's context and what of it stands outside the seal. The result is Tag
// bytes longer than inner.
func SealBody(mk [KeySize]byte, ad, inner []byte) []byte {
	var nonce [nonceSize]byte
	return aead(mk).Seal(make([]byte, 0, len(inner)+Tag), nonce[:], inner, ad)
}

// OpenBody opens what SealBody sealed. The key must have been checked against
// its epoch's commitment, since AES-GCM alone does not commit to its key.
func OpenBody(mk [KeySize]byte, ad, body []byte) ([]byte, error) {
	var nonce [nonceSize]byte
	inner, err := aead(mk).Open(nil, nonce[:], body, ad)
	if err != nil {
		return nil, fmt.Errorf("entry's body: %w", ErrOpen)
	}
	return inner, nil
}

// SealLocal encrypts what a station keeps for itself, such as an epoch secret
// or a receive key's seed, under its working key. The context says what it
// is and where it belongs, and must be given again to open it. The result is
// LocalOverhead bytes longer than secret (spec 06 §5).
func SealLocal(rand io.Reader, working [KeySize]byte, context, secret []byte) ([]byte, error) {
	return box(rand, aead(working), context, secret)
}

// OpenLocal opens what SealLocal encrypted in the same context.
func OpenLocal(working [KeySize]byte, context, boxed []byte) ([]byte, error) {
	secret, err := unbox(aead(working), context, boxed)
	if err != nil {
		return nil, fmt.Errorf("local secret: %w; was the station's working key replaced?", err)
	}
	return secret, nil
}

// box encrypts under a random nonce, which it puts in front.
func box(rand io.Reader, a cipher.AEAD, ad, plaintext []byte) ([]byte, error) {
	b := make([]byte, nonceSize, nonceSize+len(plaintext)+Tag)
	if _, err := io.ReadFull(rand, b); err != nil {
		return nil, fmt.Errorf("no randomness for a nonce: %w", err)
	}
	return a.Seal(b, b, plaintext, ad), nil
}

func unbox(a cipher.AEAD, ad, b []byte) ([]byte, error) {
	if len(b) < LocalOverhead {
		return nil, ErrOpen
	}
	plaintext, err := a.Open(nil, b[:nonceSize], b[nonceSize:], ad)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// newKey draws a secret key.
func newKey(rand io.Reader) (k [KeySize]byte, err error) {
	if _, err := io.ReadFull(rand, k[:]); err != nil {
		return [KeySize]byte{}, fmt.Errorf("no randomness for a key: %w", err)
	}
	return k, nil
}
