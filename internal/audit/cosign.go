package audit

import (
	"herald/internal/tlog"
	"herald/internal/wire"
)

// headAt returns the head that a statement of this size is about: the tree
// that the entries give, or a signed head beyond them.
func (s *section) headAt(size uint64) (tlog.Head, bool) {
	if size == s.tree.Size() {
		return s.tree.Head(), true
	}
	return s.beyond, s.beyond.Size == size
}

// takeCosig checks a party's delivery cosignature against the log as the
// entries give it.
func (a *auditor) takeCosig(s *section, c wire.Cosig) {
	signer := logName(a.id.members[c.Signer.Party].code, c.Signer.Gen)
	gen, ok := a.id.generation(c.Signer)
	if !ok {
		a.found.add(Fault, "cosignature-key", s.headPlace(c.Size), s.at(c.Size), "cosigned by %s, whose keys no card in the file certifies", signer)
		return
	}
	head, ok := s.headAt(c.Size)
	if !ok {
		a.found.add(Fault, "cosignature-head", s.headPlace(c.Size), s.at(c.Size), "cosigned by %s, but the file has no head of this size", signer)
		return
	}
	a.jobs <- func() {
		a.verified.Add(1)
		if !tlog.VerifyCosign(gen.Delivery, s.id, head, c.Time, c.Sig) {
			a.found.add(Fault, "cosignature", s.headPlace(c.Size), s.at(c.Size),
				"the cosignature does not fit %s's delivery key and these entries: it is forged, or %s holds another history", signer, signer)
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if c.Size >= s.cosigs[c.Signer].size {
			s.cosigs[c.Signer] = cosigned{c.Size, c.Time}
		}
	}
}

// takeWitness checks a neutral witness's cosignature. Only those that the
// charter names count.
func (a *auditor) takeWitness(s *section, w Witnessed) {
	name, pub, err := tlog.ParseCosignerKey(w.Key)
	if err != nil || !a.id.witnesses[w.Key] {
		a.found.add(Note, "witness-unknown", s.headPlace(w.Size), s.at(w.Size), "cosigned by a witness whom the charter does not name: not counted")
		return
	}
	head, ok := s.headAt(w.Size)
	if !ok {
		a.found.add(Fault, "cosignature-head", s.headPlace(w.Size), s.at(w.Size), "cosigned by witness %s, but the file has no head of this size", name)
		return
	}
	a.jobs <- func() {
		a.verified.Add(1)
		if !tlog.VerifyCosign(pub, s.id, head, w.Time, w.Sig) {
			a.found.add(Fault, "witness", s.headPlace(w.Size), s.at(w.Size), "the cosignature does not fit witness %s's key and these entries: it is forged, or the witness saw another history", name)
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if w.Size >= s.witnesses[name].size {
			s.witnesses[name] = cosigned{w.Size, w.Time}
		}
	}
}
