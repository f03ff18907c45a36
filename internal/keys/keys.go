// Package keys holds who a party is: its offline root, the keys of its
// stations and officers, the card that certifies them under the root, and the
// files in which the secrets are kept. It decides nothing about lines; it
// takes bytes, randomness and times as arguments and reads no file.
//
// A root is a pair of keys, Ed25519 and ML-DSA-65. What it signs counts only
// with both signatures, so that neither a broken curve nor a broken lattice
// lets anybody speak for the party.
package keys

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"filippo.io/mldsa"

	"herald/internal/line"
)

// Sizes in bytes.
const (
	SeedSize    = 32   // every secret key is kept as its seed
	ReceiveSize = 1216 // a public HPKE key of MLKEM768-X25519
)

// Root is a party's offline key. It signs cards and charters and nothing else.
type Root struct {
	Party line.Party

	ed *[SeedSize]byte
	ml *mldsa.PrivateKey
}

// RootPublic is the public half of a root. Values compare with ==.
type RootPublic struct {
	Ed25519 [ed25519.PublicKeySize]byte
	MLDSA65 [mldsa.MLDSA65PublicKeySize]byte
}

// Hash names the root in charters (spec 01 §2).
func (p RootPublic) Hash() [32]byte {
	b := append([]byte("herald/root/1\x00"), p.Ed25519[:]...)
	return sha256.Sum256(append(b, p.MLDSA65[:]...))
}

// NewRoot makes a party's root from 64 bytes of randomness.
func NewRoot(rand io.Reader, p line.Party) (*Root, error) {
	if _, err := line.ParseParty(string(p)); err != nil {
		return nil, err
	}
	var seeds [2][SeedSize]byte
	if err := fillSeeds(rand, &seeds[0], &seeds[1]); err != nil {
		return nil, err
	}
	return rootFromSeeds(p, seeds[0], seeds[1])
}

func rootFromSeeds(p line.Party, ed, ml [SeedSize]byte) (*Root, error) {
	priv, err := mldsa.NewPrivateKey(mldsa.MLDSA65(), ml[:])
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	return &Root{p, &ed, priv}, nil
}

// Public returns the public half.
func (r *Root) Public() RootPublic {
	var p RootPublic
	copy(p.Ed25519[:], r.edKey().Public().(ed25519.PublicKey))
	copy(p.MLDSA65[:], r.ml.PublicKey().Bytes())
	return p
}

func (r *Root) edKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(r.ed[:]) }

// Station is the secret half of one generation of a party's keys: what a
// running station holds (spec 01 §3).
type Station struct {
	Party    line.Party
	Name     string
	Gen      line.Generation
	Log      ed25519.PrivateKey // signs entries and heads
	Delivery ed25519.PrivateKey // states what is durably held
	TLS      ed25519.PrivateKey
	Receive  [SeedSize]byte // seed of the generation's first HPKE receive key
	Archive  [32]byte       // wraps the working archive's segment keys
}

// String names the keys and shows none of them.
func (s Station) String() string {
	return fmt.Sprintf("secret keys of station %s of %s, generation %d", s.Name, s.Party, s.Gen)
}

// NewStation makes the keys of one generation from 160 bytes of randomness.
func NewStation(rand io.Reader, p line.Party, name string, g line.Generation) (*Station, error) {
	s := &Station{Party: p, Name: name, Gen: g}
	var log, delivery, tls [SeedSize]byte
	if err := fillSeeds(rand, &log, &delivery, &tls, &s.Receive, &s.Archive); err != nil {
		return nil, err
	}
	s.Log = ed25519.NewKeyFromSeed(log[:])
	s.Delivery = ed25519.NewKeyFromSeed(delivery[:])
	s.TLS = ed25519.NewKeyFromSeed(tls[:])
	return s, checkStation(p, name, g)
}

// Certify returns what the party's card says about these keys.
func (s *Station) Certify(from, until time.Time) (Generation, error) {
	receive, err := hpke.MLKEM768X25519().NewPrivateKey(s.Receive[:])
	if err != nil {
		return Generation{}, fmt.Errorf("receive key: %w", err)
	}
	return Generation{
		Gen: s.Gen, Station: s.Name, From: from, Until: until,
		Log:      s.Log.Public().(ed25519.PublicKey),
		Delivery: s.Delivery.Public().(ed25519.PublicKey),
		TLS:      s.TLS.Public().(ed25519.PublicKey),
		Receive:  receive.PublicKey().Bytes(),
	}, nil
}

// Officer is an officer's secret key.
type Officer struct {
	Party  line.Party
	Role   Role
	Number uint16
	Key    ed25519.PrivateKey
}

// String names the officer and does not show the key.
func (o Officer) String() string { return "secret key of officer " + string(o.Code()) }

// NewOfficer makes the key of a role's officer with this serial, from 32 bytes
// of randomness.
func NewOfficer(rand io.Reader, p line.Party, r Role, serial int) (*Officer, error) {
	var seed [SeedSize]byte
	if err := fillSeeds(rand, &seed); err != nil {
		return nil, err
	}
	o := &Officer{p, r, OfficerNumber(r, serial), ed25519.NewKeyFromSeed(seed[:])}
	_, _, _, err := ParseOfficer(OfficerCode(p, r, serial))
	return o, err
}

// Code returns the officer's code, such as "us-watch-1".
func (o Officer) Code() line.Officer { return OfficerCode(o.Party, o.Role, OfficerSerial(o.Number)) }

// Certify returns what the party's card says about the officer.
func (o *Officer) Certify(from, until time.Time) OfficerCert {
	return OfficerCert{
		Number: o.Number, Code: o.Code(), Role: o.Role,
		Key: o.Key.Public().(ed25519.PublicKey), From: from, Until: until,
	}
}

// Sign signs a release statement (spec 01 §8).
func (o *Officer) Sign(statement []byte) []byte { return ed25519.Sign(o.Key, statement) }

func fillSeeds(rand io.Reader, seeds ...*[SeedSize]byte) error {
	for _, s := range seeds {
		if _, err := io.ReadFull(rand, s[:]); err != nil {
			return fmt.Errorf("no key was made: the source of randomness failed: %w", err)
		}
	}
	return nil
}
