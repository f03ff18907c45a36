package tlog

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"herald/internal/line"
	"herald/internal/wire"
)

// MaxEvidence bounds encoded evidence, in bytes.
const MaxEvidence = 8 << 10

// wireEvidence and its claims are the CDDL of spec 04 §6.
type wireEvidence struct {
	_    struct{} `cbor:",toarray"`
	Kind Kind
	Log  []byte
	At   uint64
	A, B cbor.RawMessage
}

// wireSigned is a claim of TwoEntries and TwoRoots.
type wireSigned struct {
	_         struct{} `cbor:",toarray"`
	Hash, Sig []byte
}

// wireIncluded is a claim of TwoInclusions.
type wireIncluded struct {
	_         struct{} `cbor:",toarray"`
	Hash, Sig []byte
	Size      uint64
	Root      []byte
	Path      [][]byte
}

// Marshal returns the evidence in deterministic CBOR, at most MaxEvidence
// bytes. The error says that its fields do not fit its kind.
func (e Evidence) Marshal() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return wire.Marshal(wireEvidence{
		Kind: e.Kind, Log: e.Log[:], At: e.At,
		A: e.By[0].marshal(e.Kind), B: e.By[1].marshal(e.Kind),
	}), nil
}

func (c Claim) marshal(k Kind) []byte {
	if k == TwoInclusions {
		return wire.Marshal(wireIncluded{Hash: c.Hash[:], Sig: c.Sig[:], Size: c.Head.Size, Root: c.Head.Root[:], Path: raw(c.Path)})
	}
	return wire.Marshal(wireSigned{Hash: c.Hash[:], Sig: c.Sig[:]})
}

// ParseEvidence reads exactly what Marshal writes. It verifies no signature:
// call Verify before saying anything about anybody.
func ParseEvidence(b []byte) (Evidence, error) {
	var w wireEvidence
	if err := wire.Unmarshal(b, MaxEvidence, &w); err != nil {
		return Evidence{}, fmt.Errorf("evidence of two histories: %w", err)
	}
	e := Evidence{Kind: w.Kind, At: w.At}
	ok := fixed(e.Log[:], w.Log)
	for i, in := range []cbor.RawMessage{w.A, w.B} {
		c, err := parseClaim(w.Kind, in)
		if err != nil {
			return Evidence{}, fmt.Errorf("evidence of two histories: claim %d: %w", i+1, err)
		}
		e.By[i] = c
	}
	if !ok {
		return Evidence{}, errors.New("evidence of two histories: the log's name is not 32 bytes")
	}
	// One proof has one encoding: a null instead of an empty list would not
	// come back as it came.
	if again, err := e.Marshal(); err != nil {
		return Evidence{}, err
	} else if !bytes.Equal(again, b) {
		return Evidence{}, fmt.Errorf("evidence of two histories: %w", wire.ErrFormat)
	}
	return e, nil
}

func parseClaim(k Kind, b []byte) (c Claim, err error) {
	var hash, sig []byte
	root, ok := c.Head.Root[:], true
	if k == TwoInclusions {
		var w wireIncluded
		if err := wire.Unmarshal(b, MaxEvidence, &w); err != nil {
			return c, err
		}
		if len(w.Path) > maxProof {
			return c, errors.New("a proof longer than any log needs")
		}
		hash, sig, c.Head.Size, ok = w.Hash, w.Sig, w.Size, fixed(root, w.Root)
		for _, h := range w.Path {
			var to line.Hash
			ok = fixed(to[:], h) && ok
			c.Path = append(c.Path, to)
		}
	} else {
		var w wireSigned
		if err := wire.Unmarshal(b, MaxEvidence, &w); err != nil {
			return c, err
		}
		hash, sig = w.Hash, w.Sig
	}
	if !ok || !fixed(c.Hash[:], hash) || !fixed(c.Sig[:], sig) {
		return c, errors.New("a hash or signature has a wrong length")
	}
	return c, nil
}

// fixed copies b, which must fill to exactly.
func fixed(to, b []byte) bool { return len(b) == len(to) && copy(to, b) == len(to) }
