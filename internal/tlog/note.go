package tlog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"herald/internal/line"
)

// MaxNote bounds a checkpoint with its signatures, in bytes: room for the
// parties, for many witnesses and for post-quantum signatures.
const MaxNote = 64 << 10

// Kinds of note keys, one byte each (C2SP signed-note).
const (
	algEd25519     = 1
	algCosignature = 4
)

// NoteCosig is one cosignature/v1 on a checkpoint, with the key it is by.
type NoteCosig struct {
	Name string
	Pub  ed25519.PublicKey
	Time uint64 // Unix seconds, as the cosigner claims
	Sig  [64]byte
}

// NoteSig is one signature line of a note, not verified.
type NoteSig struct {
	Name string
	Key  uint32 // the key's short hash
	Sig  []byte
}

// Note is a checkpoint with its signature lines as they came.
type Note struct {
	Log  line.LogID
	Head Head
	Sigs []NoteSig
}

// FormatNote writes a whole C2SP note: the checkpoint, the log's signature and
// the cosignatures, in the order given. It verifies nothing. The error names a
// cosigner whose name cannot stand in a note.
func FormatNote(id line.LogID, head Head, logPub ed25519.PublicKey, logSig [64]byte, cosigs []NoteCosig) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(CheckpointText(id, head))
	b.WriteByte('\n')
	writeSig(&b, Origin(id), keyHash(Origin(id), algEd25519, logPub), logSig[:])
	for _, c := range cosigs {
		if !validName(c.Name) {
			return nil, fmt.Errorf("cosigner %q: a key's name has no spaces, control characters or plus signs", c.Name)
		}
		sig := append(binary.BigEndian.AppendUint64(nil, c.Time), c.Sig[:]...)
		writeSig(&b, c.Name, keyHash(c.Name, algCosignature, c.Pub), sig)
	}
	if b.Len() > MaxNote {
		return nil, fmt.Errorf("checkpoint with %d cosignatures: %d bytes, more than %d", len(cosigs), b.Len(), MaxNote)
	}
	return b.Bytes(), nil
}

func writeSig(b *bytes.Buffer, name string, key uint32, sig []byte) {
	raw := append(binary.BigEndian.AppendUint32(nil, key), sig...)
	fmt.Fprintf(b, "— %s %s\n", name, base64.StdEncoding.EncodeToString(raw))
}

// keyHash is a note key's short hash: the first 4 bytes of SHA-256(name ‖
// newline ‖ kind ‖ public key).
func keyHash(name string, alg byte, pub []byte) uint32 {
	b := append([]byte(name), '\n', alg)
	h := sha256.Sum256(append(b, pub...))
	return binary.BigEndian.Uint32(h[:])
}

func validName(name string) bool {
	bad := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '+' }
	return name != "" && len(name) <= 255 && utf8.ValidString(name) && !strings.ContainsFunc(name, bad)
}

// ParseNote reads a checkpoint with its signature lines, of any kinds and by
// anybody, at most MaxNote bytes. It verifies no signature: ask LogSig and
// Cosig for that.
func ParseNote(msg []byte) (Note, error) {
	if len(msg) > MaxNote {
		return Note{}, fmt.Errorf("checkpoint note: %d bytes, more than %d", len(msg), MaxNote)
	}
	// Opened with no known keys, a well-formed note is always unverified.
	_, err := note.Open(msg, note.VerifierList())
	var open *note.UnverifiedNoteError
	if !errors.As(err, &open) {
		return Note{}, fmt.Errorf("checkpoint note: %w", err)
	}
	id, head, err := ParseCheckpointText(open.Note.Text)
	if err != nil {
		return Note{}, err
	}
	n := Note{Log: id, Head: head}
	for _, s := range open.Note.UnverifiedSigs {
		raw, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || len(raw) < 4 {
			return Note{}, fmt.Errorf("checkpoint note: signature by %q is not base64", s.Name)
		}
		n.Sigs = append(n.Sigs, NoteSig{Name: s.Name, Key: s.Hash, Sig: raw[4:]})
	}
	return n, nil
}

// LogSig returns the signature of the log's own key, verified.
func (n Note) LogSig(pub ed25519.PublicKey) (sig [64]byte, ok bool) {
	name := Origin(n.Log)
	key := keyHash(name, algEd25519, pub)
	for _, s := range n.Sigs {
		if s.Name != name || s.Key != key || len(s.Sig) != 64 {
			continue
		}
		if sig = [64]byte(s.Sig); VerifyHead(pub, n.Log, n.Head, sig) {
			return sig, true
		}
	}
	return [64]byte{}, false
}

// Cosig returns the latest cosignature by this key, verified.
func (n Note) Cosig(name string, pub ed25519.PublicKey) (NoteCosig, bool) {
	best, found := NoteCosig{Name: name, Pub: pub}, false
	key := keyHash(name, algCosignature, pub)
	for _, s := range n.Sigs {
		if s.Name != name || s.Key != key || len(s.Sig) != 72 {
			continue
		}
		t, sig := binary.BigEndian.Uint64(s.Sig), [64]byte(s.Sig[8:])
		if (!found || t > best.Time) && VerifyCosign(pub, n.Log, n.Head, t, sig) {
			best.Time, best.Sig, found = t, sig, true
		}
	}
	return best, found
}

// LogKey returns the log's verifier key in the notation of C2SP signed-note,
// for foreign tools.
func LogKey(id line.LogID, pub ed25519.PublicKey) string {
	return verifierKey(Origin(id), algEd25519, pub)
}

// CosignerKey returns a cosigner's verifier key in the same notation.
func CosignerKey(name string, pub ed25519.PublicKey) string {
	return verifierKey(name, algCosignature, pub)
}

func verifierKey(name string, alg byte, pub ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyHash(name, alg, pub),
		base64.StdEncoding.EncodeToString(append([]byte{alg}, pub...)))
}

// ParseCosignerKey reads a witness's verifier key, as charters list them:
// NAME+HASH+BASE64, of the kind for cosignature/v1.
func ParseCosignerKey(vkey string) (name string, pub ed25519.PublicKey, err error) {
	fail := func(why string) (string, ed25519.PublicKey, error) {
		return "", nil, fmt.Errorf("witness key %.80q: %s", vkey, why)
	}
	parts := strings.SplitN(vkey, "+", 3)
	if len(vkey) > 512 || len(parts) != 3 || !validName(parts[0]) {
		return fail("want NAME+HASH+KEY")
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != algCosignature {
		return fail("not an Ed25519 key for cosignature/v1")
	}
	name, pub = parts[0], ed25519.PublicKey(raw[1:])
	if CosignerKey(name, pub) != vkey {
		return fail("its hash does not fit its name and key: it was mistyped")
	}
	return name, pub, nil
}
