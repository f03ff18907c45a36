package seal

import (
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"herald/internal/line"
)

// Labels begin HPKE's info, so that no box can be opened as another kind.
const (
	labelEpoch   = "herald/epoch/1"
	labelReseal  = "herald/reseal/1"
	labelSegment = "herald/segment/1"
)

// ReceiveKey is the private half of an HPKE key pair, MLKEM768-X25519: what a
// party's epoch secrets are sealed to (spec 06 §1).
type ReceiveKey struct {
	seed   [KeySize]byte
	priv   hpke.PrivateKey
	public []byte
}

// NewReceiveKey draws a new key.
func NewReceiveKey(rand io.Reader) (ReceiveKey, error) {
	seed, err := newKey(rand)
	if err != nil {
		return ReceiveKey{}, err
	}
	return ReceiveKeyFromSeed(seed[:])
}

// ReceiveKeyFromSeed returns the key that Seed gave.
func ReceiveKeyFromSeed(seed []byte) (ReceiveKey, error) {
	if len(seed) != KeySize {
		return ReceiveKey{}, fmt.Errorf("receive key: a seed of %d bytes, want %d", len(seed), KeySize)
	}
	priv, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil {
		return ReceiveKey{}, fmt.Errorf("receive key: %w", err)
	}
	return ReceiveKey{seed: [KeySize]byte(seed), priv: priv, public: priv.PublicKey().Bytes()}, nil
}

// Public returns the public half, PublicKeySize bytes.
func (k ReceiveKey) Public() []byte { return append([]byte(nil), k.public...) }

// Seed returns the secret from which the whole key comes, to be kept under
// the station's working key.
func (k ReceiveKey) Seed() []byte { return append([]byte(nil), k.seed[:]...) }

// CheckPublic reports whether b can be a receive key's public half.
func CheckPublic(b []byte) error {
	_, err := publicKey(b)
	return err
}

func publicKey(b []byte) (hpke.PublicKey, error) {
	if len(b) != PublicKeySize {
		return nil, fmt.Errorf("receive key: %d bytes, want %d", len(b), PublicKeySize)
	}
	pk, err := hpke.MLKEM768X25519().NewPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("receive key: not a key: %w", err)
	}
	return pk, nil
}

// SealSecret seals an epoch secret to a party's receive key number index. The
// box of SealedKeySize bytes opens only as the secret of the epoch at base in
// that log, for that party and key (spec 06 §3).
func SealSecret(pub []byte, id line.LogID, base uint64, party line.Party, index uint32, es [KeySize]byte) ([]byte, error) {
	return sealKey(labelEpoch, pub, id, base, party, index, es)
}

// OpenSecret opens what SealSecret sealed. EpochFromSecret then checks the
// secret against the epoch's commitment.
func OpenSecret(key ReceiveKey, id line.LogID, base uint64, party line.Party, index uint32, enc []byte) ([KeySize]byte, error) {
	return openKey(labelEpoch, key, id, base, party, index, enc)
}

// SealKey seals the message key of entry seq to a party that could not open
// it (spec 06 §6).
func SealKey(pub []byte, id line.LogID, seq uint64, party line.Party, index uint32, mk [KeySize]byte) ([]byte, error) {
	return sealKey(labelReseal, pub, id, seq, party, index, mk)
}

// OpenKey opens what SealKey sealed. VerifyKey then checks the message key
// against its epoch's commitment.
func OpenKey(key ReceiveKey, id line.LogID, seq uint64, party line.Party, index uint32, enc []byte) ([KeySize]byte, error) {
	return openKey(labelReseal, key, id, seq, party, index, enc)
}

func sealKey(label string, pub []byte, id line.LogID, at uint64, party line.Party, index uint32, secret [KeySize]byte) ([]byte, error) {
	if _, err := line.ParseParty(string(party)); err != nil {
		return nil, err
	}
	return hpkeSeal(pub, keyInfo(label, id, at, party, index, pub), secret)
}

func openKey(label string, key ReceiveKey, id line.LogID, at uint64, party line.Party, index uint32, enc []byte) ([KeySize]byte, error) {
	if _, err := line.ParseParty(string(party)); err != nil {
		return [KeySize]byte{}, err
	}
	secret, err := hpkeOpen(key, keyInfo(label, id, at, party, index, key.public), enc)
	if err != nil {
		return secret, fmt.Errorf("key sealed to %s, receive key %d: %w", party, index, err)
	}
	return secret, nil
}

// keyInfo is label ‖ log-id ‖ u64(at) ‖ u8(len party) ‖ party ‖ u32(index) ‖
// SHA-256(public key).
func keyInfo(label string, id line.LogID, at uint64, party line.Party, index uint32, pub []byte) []byte {
	b := append([]byte(label), id[:]...)
	b = binary.BigEndian.AppendUint64(b, at)
	b = append(b, byte(len(party)))
	b = append(b, party...)
	b = binary.BigEndian.AppendUint32(b, index)
	h := sha256.Sum256(pub)
	return append(b, h[:]...)
}

func hpkeSeal(pub, info []byte, secret [KeySize]byte) ([]byte, error) {
	pk, err := publicKey(pub)
	if err != nil {
		return nil, err
	}
	enc, err := hpke.Seal(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), info, secret[:])
	if err != nil {
		return nil, fmt.Errorf("sealing a key: %w", err)
	}
	return enc, nil
}

func hpkeOpen(key ReceiveKey, info, enc []byte) (secret [KeySize]byte, err error) {
	if key.priv == nil {
		return secret, errors.New("no receive key was given")
	}
	if len(enc) != SealedKeySize {
		return secret, fmt.Errorf("a box of %d bytes, want %d", len(enc), SealedKeySize)
	}
	b, err := hpke.Open(key.priv, hpke.HKDFSHA256(), hpke.AES256GCM(), info, enc)
	if err != nil {
		return secret, ErrOpen
	}
	copy(secret[:], b)
	clear(b)
	return secret, nil
}
