package keys

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"herald/internal/line"
)

// Key files (spec 01 §10): one clear line that says what is inside, then an
// age file in ASCII armor under a passphrase, whose content begins with the
// same line, so that a changed clear line is noticed.
const (
	rootKind    = "herald-root/1"
	stationKind = "herald-station/1"
	officerKind = "herald-officer/1"
)

// Bounds of the scrypt work factor, as powers of two. Reading refuses more
// than MaxWorkFactor, which already takes 1 GiB: a hostile file must not hang
// a station.
const (
	MinWorkFactor     = 10
	DefaultWorkFactor = 18
	MaxWorkFactor     = 20
)

// MaxKeyFile is the greatest size of a key file in bytes.
const MaxKeyFile = 16 << 10

// Errors of key files.
var (
	ErrPassphrase = errors.New("the passphrase does not open this key file; nothing was changed, try again")
	ErrKeyFile    = errors.New("not a key file of this kind, or damaged: take the backup copy")
)

// IsRootFile reports whether a file that begins with prefix holds a root key,
// of any version. 16 bytes are enough.
func IsRootFile(prefix []byte) bool { return bytes.HasPrefix(prefix, []byte("herald-root/")) }

// EncryptRoot returns the root's key file. The work factor is 10 to 20, or 0
// for DefaultWorkFactor; a passphrase must not be empty.
func EncryptRoot(r *Root, passphrase string, workFactor int) ([]byte, error) {
	return seal(rootKind+" "+string(r.Party), passphrase, workFactor,
		secret{"ed25519", r.ed[:]}, secret{"ml-dsa-65", r.ml.Bytes()})
}

// DecryptRoot opens a root's key file.
func DecryptRoot(file []byte, passphrase string) (*Root, error) {
	f, r, err := open(rootKind, 1, file, passphrase)
	if err != nil {
		return nil, err
	}
	return readRoot(f, r)
}

func readRoot(f []string, r *rows) (*Root, error) {
	ed, ml := r.seed("ed25519"), r.seed("ml-dsa-65")
	p, err := line.ParseParty(f[0])
	if err := errors.Join(r.end(), err); err != nil {
		return nil, fmt.Errorf("root key file: %w: %w", ErrKeyFile, err)
	}
	return rootFromSeeds(p, ed, ml)
}

// EncryptStation returns a generation's key file; see EncryptRoot.
func EncryptStation(s *Station, passphrase string, workFactor int) ([]byte, error) {
	return seal(fmt.Sprintf("%s %s %s %d", stationKind, s.Party, s.Name, s.Gen), passphrase, workFactor,
		secret{"log", s.Log.Seed()}, secret{"delivery", s.Delivery.Seed()}, secret{"tls", s.TLS.Seed()},
		secret{"receive", s.Receive[:]}, secret{"archive", s.Archive[:]})
}

// DecryptStation opens a generation's key file.
func DecryptStation(file []byte, passphrase string) (*Station, error) {
	f, r, err := open(stationKind, 3, file, passphrase)
	if err != nil {
		return nil, err
	}
	return readStation(f, r)
}

func readStation(f []string, r *rows) (*Station, error) {
	s := &Station{Party: line.Party(f[0]), Name: f[1], Gen: line.Generation(r.number(f[2], 32))}
	s.Log, s.Delivery, s.TLS = r.private("log"), r.private("delivery"), r.private("tls")
	s.Receive, s.Archive = r.seed("receive"), r.seed("archive")
	if err := errors.Join(r.end(), checkStation(s.Party, s.Name, s.Gen)); err != nil {
		return nil, fmt.Errorf("station key file: %w: %w", ErrKeyFile, err)
	}
	return s, nil
}

// EncryptOfficer returns an officer's key file; see EncryptRoot.
func EncryptOfficer(o *Officer, passphrase string, workFactor int) ([]byte, error) {
	return seal(fmt.Sprintf("%s %s %s", officerKind, o.Party, o.Code()), passphrase, workFactor,
		secret{"ed25519", o.Key.Seed()})
}

// DecryptOfficer opens an officer's key file.
func DecryptOfficer(file []byte, passphrase string) (*Officer, error) {
	f, r, err := open(officerKind, 2, file, passphrase)
	if err != nil {
		return nil, err
	}
	return readOfficer(f, r)
}

func readOfficer(f []string, r *rows) (*Officer, error) {
	p, role, n, err := ParseOfficer(line.Officer(f[1]))
	if err == nil && string(p) != f[0] {
		err = fmt.Errorf("officer %s is not of %s", f[1], f[0])
	}
	o := &Officer{p, role, n, r.private("ed25519")}
	if err := errors.Join(r.end(), err); err != nil {
		return nil, fmt.Errorf("officer key file: %w: %w", ErrKeyFile, err)
	}
	return o, nil
}

func (r *rows) seed(key string) (s [SeedSize]byte) {
	copy(s[:], r.key(r.value(key), SeedSize))
	return s
}

func (r *rows) private(key string) ed25519.PrivateKey {
	s := r.seed(key)
	return ed25519.NewKeyFromSeed(s[:])
}

// secret is one line of a key file.
type secret struct {
	name string
	seed []byte
}

// seal encrypts the head line and the secrets under the passphrase.
func seal(head, passphrase string, workFactor int, secrets ...secret) ([]byte, error) {
	if workFactor == 0 {
		workFactor = DefaultWorkFactor
	}
	if workFactor < MinWorkFactor || workFactor > MaxWorkFactor {
		return nil, fmt.Errorf("work factor %d: want %d to %d", workFactor, MinWorkFactor, MaxWorkFactor)
	}
	rcpt, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	rcpt.SetWorkFactor(workFactor)
	var out bytes.Buffer
	out.WriteString(head + "\n")
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, rcpt)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	text := head + "\n"
	for _, s := range secrets {
		text += s.name + " " + b64(s.seed) + "\n"
	}
	_, err = io.WriteString(w, text)
	if err := errors.Join(err, w.Close(), a.Close()); err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return out.Bytes(), nil
}

// splitHead reads the clear line and returns its fields behind the kind.
func splitHead(kind string, fields int, file []byte) (head string, f []string, rest []byte, err error) {
	if len(file) > MaxKeyFile {
		return "", nil, nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrKeyFile, len(file), MaxKeyFile)
	}
	b, rest, ok := bytes.Cut(file, []byte("\n"))
	head = string(b)
	f = strings.Split(head, " ")
	if !ok || f[0] != kind || len(f) != fields+1 {
		return "", nil, nil, fmt.Errorf("%w: want a first line %q", ErrKeyFile, kind+" …")
	}
	return head, f[1:], rest, nil
}

// open decrypts a key file and returns the head line's fields and a reader of
// the lines behind it.
func open(kind string, fields int, file []byte, passphrase string) ([]string, *rows, error) {
	head, f, rest, err := splitHead(kind, fields, file)
	if err != nil {
		return nil, nil, err
	}
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, nil, ErrPassphrase
	}
	id.SetMaxWorkFactor(MaxWorkFactor)
	d, err := age.Decrypt(armor.NewReader(bytes.NewReader(rest)), id)
	if err != nil {
		return nil, nil, readError(err)
	}
	text, err := io.ReadAll(io.LimitReader(d, MaxKeyFile))
	if err != nil {
		return nil, nil, readError(err)
	}
	r := newRows(string(text))
	if r.line() != head {
		return nil, nil, fmt.Errorf("%w: the clear line does not say what is inside", ErrKeyFile)
	}
	return f, r, nil
}

// readError tells a wrong passphrase from a damaged file. A key file always
// has one passphrase stanza, so the only wrong identity is a wrong passphrase.
func readError(err error) error {
	if errors.Is(err, age.ErrIncorrectIdentity) && !strings.Contains(err.Error(), "not passphrase-encrypted") {
		return ErrPassphrase
	}
	return fmt.Errorf("%w: %w", ErrKeyFile, err)
}

// FileOwner returns what the clear line of any key file says: the kind, such
// as "root", and the words behind it. It needs no passphrase and proves
// nothing.
func FileOwner(file []byte) (kind, owner string, ok bool) {
	b, _, found := bytes.Cut(file[:min(len(file), 200)], []byte("\n"))
	head, owner, _ := strings.Cut(string(b), " ")
	for kind, h := range map[string]string{"root": rootKind, "station": stationKind, "officer": officerKind} {
		if found && head == h {
			return kind, owner, true
		}
	}
	return "", "", false
}
