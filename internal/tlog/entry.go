package tlog

import (
	"crypto/ed25519"
	"encoding/binary"

	"herald/internal/line"
)

// entryLabel begins every entry's context. Its NUL and its letters cannot
// begin a checkpoint's text, which the same key signs (spec 04 §4).
const entryLabel = "herald/entry/1\x00"

// EntryContext returns what names one place in one log:
// "herald/entry/1" ‖ 0 ‖ log-id ‖ seq in 8 bytes, big endian. It begins the
// signed bytes of an entry, and the associated data of its body (spec 04 §4).
func EntryContext(id line.LogID, seq uint64) []byte {
	b := make([]byte, 0, len(entryLabel)+len(id)+8+32)
	b = append(b, entryLabel...)
	b = append(b, id[:]...)
	return binary.BigEndian.AppendUint64(b, seq)
}

// SignEntry signs the leaf with this hash at place seq of the log. A log key
// that signs two leaves at one place proves its party's two histories: the
// caller's store must make sure that it never does.
func SignEntry(priv ed25519.PrivateKey, id line.LogID, seq uint64, leafHash line.Hash) [64]byte {
	return sign(priv, append(EntryContext(id, seq), leafHash[:]...))
}

// VerifyEntry reports whether sig is the log key's signature on the leaf with
// this hash at place seq of the log.
func VerifyEntry(pub ed25519.PublicKey, id line.LogID, seq uint64, leafHash line.Hash, sig [64]byte) bool {
	return verify(pub, append(EntryContext(id, seq), leafHash[:]...), sig)
}

func sign(priv ed25519.PrivateKey, msg []byte) [64]byte {
	return [64]byte(ed25519.Sign(priv, msg))
}

// verify is ed25519.Verify for keys from outside: one of a wrong length
// verifies nothing, instead of panicking.
func verify(pub ed25519.PublicKey, msg []byte, sig [64]byte) bool {
	return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, msg, sig[:])
}
