package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	"golang.org/x/mod/sumdb/note"

	"herald/internal/line"
)

// MaxNote is the greatest size of a signed note in bytes.
const MaxNote = 512 << 10

// Signature types in a note's key hash (spec 01 §4). Type 1 is the note
// format's own; 0xff stands for a type without an assigned number and is
// followed by a name.
const (
	noteEd25519 = "\x01"
	noteMLDSA65 = "\xffherald/ml-dsa-65"
)

// ErrNotSigned means that a note lacks one or both of a party's signatures.
var ErrNotSigned = errors.New("not signed by both keys of the root")

// noteKey is one of a root's two keys, to verify with and perhaps to sign.
type noteKey struct {
	name   string
	hash   uint32
	verify func(msg, sig []byte) bool
	sign   func(msg []byte) ([]byte, error)
}

func (k noteKey) Name() string                    { return k.name }
func (k noteKey) KeyHash() uint32                 { return k.hash }
func (k noteKey) Verify(msg, sig []byte) bool     { return k.verify(msg, sig) }
func (k noteKey) Sign(msg []byte) ([]byte, error) { return k.sign(msg) }

func noteKeyHash(name, typ string, pub []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"+typ), pub...))
	return binary.BigEndian.Uint32(sum[:])
}

// rootKeys returns the two verifiers of a root, Ed25519 first.
func rootKeys(p line.Party, root RootPublic) ([2]noteKey, error) {
	ml, err := mldsa.NewPublicKey(mldsa.MLDSA65(), root.MLDSA65[:])
	if err != nil {
		return [2]noteKey{}, fmt.Errorf("root of %s: %w", p, err)
	}
	name := NoteName(p)
	return [2]noteKey{
		{name: name, hash: noteKeyHash(name, noteEd25519, root.Ed25519[:]),
			verify: func(msg, sig []byte) bool { return ed25519.Verify(root.Ed25519[:], msg, sig) }},
		{name: name, hash: noteKeyHash(name, noteMLDSA65, root.MLDSA65[:]),
			verify: func(msg, sig []byte) bool { return mldsa.Verify(ml, msg, sig, nil) == nil }},
	}, nil
}

// Verifiers returns the note verifiers of a party's root: a note is signed by
// the party only if both accept it.
func Verifiers(p line.Party, root RootPublic) ([]note.Verifier, error) {
	k, err := rootKeys(p, root)
	return []note.Verifier{k[0], k[1]}, err
}

// signers returns the two signers of a root. ML-DSA signs deterministically: a
// root works offline, and one text then has one signed note.
func (r *Root) signers() ([]note.Signer, error) {
	k, err := rootKeys(r.Party, r.Public())
	if err != nil {
		return nil, err
	}
	k[0].sign = func(msg []byte) ([]byte, error) { return ed25519.Sign(r.edKey(), msg), nil }
	k[1].sign = func(msg []byte) ([]byte, error) { return r.ml.SignDeterministic(msg, nil) }
	return []note.Signer{k[0], k[1]}, nil
}

// SignNote signs a text, which must end in a line feed, as the root's party,
// and keeps the signatures that others made before.
func SignNote(text string, others []note.Signature, root *Root) ([]byte, error) {
	s, err := root.signers()
	if err != nil {
		return nil, err
	}
	msg, err := note.Sign(&note.Note{Text: text, UnverifiedSigs: others}, s...)
	if err != nil {
		return nil, fmt.Errorf("sign as %s: %w", root.Party, err)
	}
	if len(msg) > MaxNote {
		return nil, fmt.Errorf("sign as %s: the note has %d bytes, the limit is %d", root.Party, len(msg), MaxNote)
	}
	return msg, nil
}

// OpenNote returns the text of a note that both keys of p's root have signed.
// Signatures by anybody else are neither checked nor minded.
func OpenNote(msg []byte, root RootPublic, p line.Party) (string, error) {
	n, _, err := openNote(msg, root, p)
	if err != nil {
		return "", err
	}
	return n.Text, nil
}

// openNote also reports whether msg is exactly what SignNote writes when
// nobody else signs.
func openNote(msg []byte, root RootPublic, p line.Party) (n *note.Note, exact bool, err error) {
	if len(msg) > MaxNote {
		return nil, false, fmt.Errorf("note of %d bytes: the limit is %d", len(msg), MaxNote)
	}
	k, err := rootKeys(p, root)
	if err != nil {
		return nil, false, err
	}
	n, err = note.Open(msg, note.VerifierList(k[0], k[1]))
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unverified), err == nil && len(n.Sigs) != len(k):
		return nil, false, fmt.Errorf("note of %s: %w: it proves nothing", p, ErrNotSigned)
	case err != nil:
		return nil, false, fmt.Errorf("note of %s: %w: the text or a signature was changed on the way", p, err)
	}
	return n, len(n.UnverifiedSigs) == 0 && n.Sigs[0].Hash == k[0].hash && canonicalNote(msg, n), nil
}

// SplitNote returns the text of a note and its signatures, none of them
// checked.
func SplitNote(msg []byte) (string, []note.Signature, error) {
	if len(msg) > MaxNote {
		return "", nil, fmt.Errorf("note of %d bytes: the limit is %d", len(msg), MaxNote)
	}
	_, err := note.Open(msg, nil)
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		return "", nil, fmt.Errorf("not a signed note: %w", err)
	}
	return unverified.Note.Text, unverified.Note.UnverifiedSigs, nil
}

// canonicalNote reports whether msg is written as the note format's own writer
// would, with every signature once and in strict base64.
func canonicalNote(msg []byte, n *note.Note) bool {
	for _, s := range n.Sigs {
		// The note format leaves the unused bits of base64 open.
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return false
		}
	}
	again, err := note.Sign(n)
	return err == nil && bytes.Equal(again, msg)
}
