package tlog

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"herald/internal/line"
)

// Kind says which of the three forms a piece of evidence has (spec 04 §6).
type Kind uint8

// The kinds of evidence.
const (
	// TwoEntries: signatures on two leaves at one place of a log.
	TwoEntries Kind = 1
	// TwoRoots: signatures on two roots of one size.
	TwoRoots Kind = 2
	// TwoInclusions: two signed heads, each shown to hold another leaf at
	// one place.
	TwoInclusions Kind = 3
)

// String names the kind in words for people.
func (k Kind) String() string {
	switch k {
	case TwoEntries:
		return "two entries at one place"
	case TwoRoots:
		return "two roots of one size"
	case TwoInclusions:
		return "two heads that hold different entries at one place"
	}
	return fmt.Sprintf("evidence of kind %d", uint8(k))
}

// Claim is one of the two things that a log key signed and that cannot both
// be true.
type Claim struct {
	Hash line.Hash // the leaf hash; for TwoRoots, the root
	Sig  [64]byte  // on the entry for TwoEntries; otherwise on the head

	// For TwoInclusions only: the signed head, and the proof that it holds
	// the leaf.
	Head Head
	Path []line.Hash
}

// Evidence is transferable proof that whoever holds a log's key signed two
// histories of it. It needs no entry's content. Anything that does not fit
// here is an unproven inconsistency, and accuses nobody (spec 04 §6).
type Evidence struct {
	Kind Kind
	Log  line.LogID
	At   uint64   // the place in the log, from 0; for TwoRoots, the size
	By   [2]Claim // by ascending Hash
}

// NewEvidence puts two claims in their order. It does not verify.
func NewEvidence(kind Kind, id line.LogID, at uint64, a, b Claim) Evidence {
	if bytes.Compare(a.Hash[:], b.Hash[:]) > 0 {
		a, b = b, a
	}
	return Evidence{Kind: kind, Log: id, At: at, By: [2]Claim{a, b}}
}

// Verify returns nil exactly if the evidence proves that the holder of pub
// signed two histories of the log. That pub is the log's key, and whose, the
// caller knows from a party card.
func (e Evidence) Verify(pub ed25519.PublicKey) error {
	if err := e.check(); err != nil {
		return err
	}
	for i, c := range e.By {
		if err := e.verifyClaim(pub, c); err != nil {
			return fmt.Errorf("evidence of two histories does not hold: claim %d: %w", i+1, err)
		}
	}
	return nil
}

// check is what can be said without a key.
func (e Evidence) check() error {
	switch e.Kind {
	case TwoEntries, TwoRoots, TwoInclusions:
	default:
		return fmt.Errorf("evidence of two histories: unknown kind %d", uint8(e.Kind))
	}
	if e.At > MaxSize {
		return errors.New("evidence of two histories: a place that no log has")
	}
	if bytes.Compare(e.By[0].Hash[:], e.By[1].Hash[:]) >= 0 {
		return errors.New("evidence of two histories: the two claims must differ, the lesser hash first")
	}
	for _, c := range e.By {
		if len(c.Path) > maxProof || c.Head.Size > MaxSize {
			return errors.New("evidence of two histories: a proof longer than any log needs")
		}
		if e.Kind != TwoInclusions && (c.Head != Head{} || len(c.Path) != 0) {
			return errors.New("evidence of two histories: a head or proof where none belongs")
		}
	}
	return nil
}

func (e Evidence) verifyClaim(pub ed25519.PublicKey, c Claim) error {
	var signed bool
	switch e.Kind {
	case TwoEntries:
		signed = VerifyEntry(pub, e.Log, e.At, c.Hash, c.Sig)
	case TwoRoots:
		signed = VerifyHead(pub, e.Log, Head{Size: e.At, Root: c.Hash}, c.Sig)
	case TwoInclusions:
		signed = VerifyHead(pub, e.Log, c.Head, c.Sig)
	}
	if !signed {
		return errors.New("not signed by the log's key")
	}
	if e.Kind == TwoInclusions {
		return VerifyInclusion(c.Hash, e.At, c.Head, c.Path)
	}
	return nil
}
