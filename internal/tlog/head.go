package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"herald/internal/line"
)

// Head is a log's size and the root over its first Size leaves.
type Head struct {
	Size uint64
	Root line.Hash
}

// originPrefix begins the origins of logs and the names of cosigners.
const originPrefix = "herald/"

// Origin returns the log's name in checkpoints, which is also the name of its
// key: "herald/" and the log-id in hexadecimal (spec 04 §5).
func Origin(id line.LogID) string { return originPrefix + id.String() }

// CheckpointText returns the C2SP tlog-checkpoint that is signed: origin, size
// and root in base64, each followed by a newline, nothing else (spec 04 §5).
func CheckpointText(id line.LogID, head Head) string {
	return Origin(id) + "\n" + strconv.FormatUint(head.Size, 10) + "\n" +
		base64.StdEncoding.EncodeToString(head.Root[:]) + "\n"
}

// ParseCheckpointText reads what CheckpointText writes, and only that: another
// origin, an extension line or another spelling of a number is an error.
func ParseCheckpointText(text string) (line.LogID, Head, error) {
	id, head, err := scanCheckpoint(text)
	if err != nil {
		return id, head, fmt.Errorf("checkpoint: %w", err)
	}
	if CheckpointText(id, head) != text {
		return id, head, errors.New("checkpoint: not in its one spelling, so its signatures could not be compared")
	}
	return id, head, nil
}

func scanCheckpoint(text string) (id line.LogID, head Head, err error) {
	lines := strings.Split(text, "\n")
	if len(text) > 256 || len(lines) != 4 || lines[3] != "" {
		return id, head, errors.New("want three lines: origin, size, root")
	}
	name, ok := strings.CutPrefix(lines[0], originPrefix)
	b, err := hex.DecodeString(name)
	if !ok || err != nil || len(b) != len(id) {
		return id, head, errors.New("the origin does not name a Herald log")
	}
	copy(id[:], b)
	head.Size, err = strconv.ParseUint(lines[1], 10, 64)
	if err != nil || head.Size > MaxSize {
		return id, head, errors.New("the size is not a number of entries")
	}
	b, err = base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(b) != len(head.Root) {
		return id, head, errors.New("the root is not 32 bytes in base64")
	}
	copy(head.Root[:], b)
	return id, head, nil
}

// SignHead returns the log key's note signature on the checkpoint, plain
// Ed25519 over its text (spec 04 §5).
func SignHead(priv ed25519.PrivateKey, id line.LogID, head Head) [64]byte {
	return sign(priv, []byte(CheckpointText(id, head)))
}

// VerifyHead reports whether sig is the log key's signature on the head.
func VerifyHead(pub ed25519.PublicKey, id line.LogID, head Head, sig [64]byte) bool {
	return verify(pub, []byte(CheckpointText(id, head)), sig)
}

// Cosign returns a C2SP cosignature/v1 on the head at time t, in Unix seconds.
// What it means is the charter's to say: a party's delivery key states that
// the party durably holds every leaf below head.Size; a witness states only
// that it saw this head, consistent with all that it saw before (spec 04 §5).
func Cosign(priv ed25519.PrivateKey, id line.LogID, head Head, t uint64) [64]byte {
	return sign(priv, cosigned(id, head, t))
}

// VerifyCosign reports whether sig is the cosigner's signature on the head at
// time t. The time is the cosigner's claim.
func VerifyCosign(pub ed25519.PublicKey, id line.LogID, head Head, t uint64, sig [64]byte) bool {
	return verify(pub, cosigned(id, head, t), sig)
}

func cosigned(id line.LogID, head Head, t uint64) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", t, CheckpointText(id, head))
}

// CosignerName returns the key name under which a party's generation cosigns
// on a line: "herald/" and, in hexadecimal, SHA-256("herald/cosigner/1" ‖ line
// ‖ length of party in one byte ‖ party ‖ generation in 4 bytes, big endian).
// To a witness it looks random (spec 04 §5).
func CosignerName(l line.ID, p line.Party, g line.Generation) string {
	b := append([]byte("herald/cosigner/1"), l[:]...)
	b = append(b, byte(len(p)))
	b = append(b, p...)
	b = binary.BigEndian.AppendUint32(b, uint32(g))
	h := sha256.Sum256(b)
	return originPrefix + hex.EncodeToString(h[:])
}
