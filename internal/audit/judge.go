package audit

import (
	"crypto/sha256"
	"slices"

	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/tlog"
	"herald/internal/wire"
)

func half(h line.Hash) [16]byte { return [16]byte(h[:16]) }

// reference is one entry's word about another, to be compared once every log
// was read.
type reference struct {
	from, to line.Pos
	leaf     [16]byte
}

// judge takes an opened entry in the order of its log, and holds its releases
// against the card that the log itself named last (spec 05 §5).
func (a *auditor) judge(s *section, seq, at uint64, o *opened) {
	if o.defect != "" {
		a.defect(s, seq, "%s", o.defect)
		return
	}
	s.kinds[o.kind]++
	if o.kind == wire.KindCard {
		a.takeCard(s, seq, o.card)
	}
	for _, r := range o.refs {
		a.refer(s.at(seq), r)
	}
	if o.kind.Spoken() {
		a.judgeReleases(s, seq, at, o)
	}
}

func (a *auditor) defect(s *section, seq uint64, format string, args ...any) {
	a.found.add(Defect, "defective", s.place(seq), s.at(seq), format, args...)
}

// takeCard notes the card by which the entries from here on are judged.
func (a *auditor) takeCard(s *section, seq uint64, hash line.Hash) {
	card, ok := a.id.members[s.log.Party].byHash[hash]
	s.card, s.carded, s.unknown = card, true, false
	if !ok {
		a.found.add(Note, "card-missing", s.place(seq), s.at(seq), "names a card of %s that is not in the file: releases after it were not judged", s.party)
	}
}

// judgeReleases checks the officers' signatures and their number.
func (a *auditor) judgeReleases(s *section, seq, at uint64, o *opened) {
	need, roles := a.id.charter.ReleaseRule(o.kind, o.flags.Precedence())
	if len(o.releases) < need {
		a.defect(s, seq, "released by %d officers; the charter asks for %d at %s", len(o.releases), need, o.flags.Precedence())
	}
	if len(o.releases) == 0 {
		return
	}
	a.judgeRepeat(s, seq, at, o)
	if s.card == nil {
		if !s.carded && !s.unknown {
			a.defect(s, seq, "released before the log named a card, so that no officer is known")
			return
		}
		a.found.add(Note, "unjudged", s.place(seq), s.at(seq), "its releases were not judged: the card that counts here is not in the file, or the entry that names it was not opened")
		return
	}
	for _, r := range o.releases {
		a.judgeRelease(s, seq, at, o.statement, r, roles)
	}
}

func (a *auditor) judgeRelease(s *section, seq, at uint64, statement []byte, r keys.Release, roles []keys.Role) {
	officer, ok := s.card.Officer(r.Officer)
	switch {
	case !ok && s.unknown:
		a.found.add(Note, "unjudged", s.place(seq), s.at(seq), "officer %d is not on the card that the log named last; an entry that was not opened may name a newer one", r.Officer)
	case !ok:
		a.defect(s, seq, "released by officer %d, who is not on %s's card of that time", r.Officer, s.party)
	case !officer.Revoked.IsZero() || at >= uint64(officer.Until.Unix()):
		// By the card's word and not by the claimed time: a thief can claim any.
		a.defect(s, seq, "released by %s, whose certificate was revoked or had expired", officer.Code)
	case len(roles) > 0 && !slices.Contains(roles, officer.Role):
		a.defect(s, seq, "released by %s, whose role may not release this", officer.Code)
	default:
		a.jobs <- func() {
			a.verified.Add(1)
			if !r.Verify(officer, statement) {
				a.defect(s, seq, "the release by %s does not verify: the officer did not release this text at this time", officer.Code)
			}
		}
	}
}

// judgeRepeat flags words whose release was used before: a release is for one
// entry, in any generation (spec 05 §5).
func (a *auditor) judgeRepeat(s *section, seq, at uint64, o *opened) {
	sum := sha256.Sum256(append([]byte{byte(s.log.Party)}, o.statement...))
	key := half(sum)
	if a.released[key] {
		a.defect(s, seq, "repeats words that its officers released once: a release is for one entry")
	}
	a.released[key] = true
}

// refer keeps a reference for later, when every log was read.
func (a *auditor) refer(from line.Pos, r wire.Ref) {
	to := r.Pos()
	if to.Party >= len(a.id.members) || to.Gen == 0 {
		a.found.add(Defect, "reference", a.placeOf(from), from, "refers to a log that the line does not have")
		return
	}
	ref := reference{from: from, to: to, leaf: half(r.Hash())}
	if ok, known := a.bound(ref); known {
		a.concludeReference(ref, ok)
		return
	}
	a.references = append(a.references, ref)
}

// bound compares a reference with the entry that it names, if it was read.
func (a *auditor) bound(r reference) (same, known bool) {
	s, ok := a.byLog[r.to.Log]
	if !ok {
		return false, false
	}
	if r.to.Seq < uint64(len(s.seals)) {
		return s.seals[r.to.Seq] == r.leaf, true
	}
	h, ok := s.past[r.to.Seq]
	return h == r.leaf, ok
}

func (a *auditor) concludeReference(r reference, same bool) {
	if !same {
		a.found.add(Defect, "reference", a.placeOf(r.from), r.from,
			"is about another entry than the one that the file has at %s: an unproven inconsistency. Its author is wrong, or was shown another history", a.placeOf(r.to))
	}
}

// concludeReferences compares what could not be compared on the way.
func (a *auditor) concludeReferences() {
	missing := 0
	for _, r := range a.references {
		if same, known := a.bound(r); known {
			a.concludeReference(r, same)
		} else {
			missing++
		}
	}
	if missing > 0 {
		a.found.add(Note, "reference-missing", "", line.Pos{}, "%d references name entries that are not in the file", missing)
	}
}

func (a *auditor) placeOf(p line.Pos) string {
	s := section{log: p.Log, party: a.id.members[p.Party].code}
	return s.place(p.Seq)
}

// prove verifies evidence of two histories, from the file or from an entry.
// Proof that stands is a fault of the log that it is about: there is no one
// history of it that could be sound (spec 10 §6).
func (a *auditor) prove(proof []byte, where string, claimed bool) {
	e, err := tlog.ParseEvidence(proof)
	if err != nil {
		a.unproven(where, claimed, err)
		return
	}
	g, ok := a.id.logOf(e.Log)
	if !ok {
		a.found.add(Note, "evidence-log", where, line.Pos{}, "evidence of two histories about a log that no card in the file certifies: not judged")
		return
	}
	gen, _ := a.id.generation(g)
	a.verified.Add(2)
	if err := e.Verify(gen.Log); err != nil {
		a.unproven(where, claimed, err)
		return
	}
	party := a.id.members[g.Party].code
	a.found.add(Fault, "two-histories", logName(party, g.Gen), line.Pos{Log: g, Seq: e.At},
		"PROVEN: %s's log key signed two histories (%s, at %d). The two signatures prove it to anybody; one of the two is not what %s told others", party, e.Kind, e.At, party)
}

// unproven says that evidence does not hold: the file's own is then not what
// the file claims, a party's is that party's defect.
func (a *auditor) unproven(where string, claimed bool, err error) {
	if claimed {
		a.found.add(Fault, "evidence", where, line.Pos{}, "the file's evidence proves nothing: %v", err)
		return
	}
	a.found.add(Defect, "evidence", where, line.Pos{}, "the evidence that this entry carries proves nothing: %v", err)
}
