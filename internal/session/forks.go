package session

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// maxProofs is how many proofs are kept of one log. One is enough to convict;
// whoever signs two stories of everything must not fill this record with it.
const maxProofs = 4

// compare holds an offered entry against the one that is held at its place.
func (l *Line) compare(t *turn, c record.Checked) {
	held, ok := t.find(c.Pos)
	if !ok {
		var err error
		if held, ok, err = l.entry(t.ctx, c.Pos); err != nil || !ok {
			return
		}
	}
	if ev, forked := l.st.Fork(c, held); forked {
		t.Prove(c.Pos.Log, ev)
	}
}

// keepProofs goes through what the turn found: what is known, or more than
// enough, is dropped; the rest is kept, and what is proven goes on the own
// record, so that every party has it (spec 07 §6).
func (l *Line) keepProofs(t *turn) {
	found := t.Proofs
	t.Proofs = nil
	for _, p := range found {
		if !l.keepProof(t, p) || !p.Proven {
			continue
		}
		l.notice(t, wire.KindEvidence, line.Immediate, wire.Notice{Party: uint8(p.Log.Party), Proof: p.Bytes})
	}
	t.Proofs = t.kept
}

// keepProof reports whether a proof is new, and then keeps it.
func (l *Line) keepProof(t *turn, p record.Proof) bool {
	of := fmt.Sprintf("fork/%d/%d/", p.Log.Party, p.Log.Gen)
	if !p.Proven {
		of = fmt.Sprintf("unproven/%d/%d/", p.Log.Party, p.Log.Gen)
	}
	name := of + fmt.Sprintf("%x", sha256.Sum256(append([]byte(p.Text), p.Bytes...)))[:16]
	known := 0
	for n := range l.meta {
		if strings.HasPrefix(n, of) {
			known++
		}
	}
	if _, ok := l.meta[name]; ok || known >= maxProofs {
		return false
	}
	t.meta(name, []byte{1})
	t.kept = append(t.kept, p)
	t.seen = true
	return true
}

// takeEvidence keeps another party's proof of two histories, once it verifies.
func (l *Line) takeEvidence(t *turn, n wire.Notice) {
	ev, err := tlog.ParseEvidence(n.Proof)
	if err != nil {
		return
	}
	for _, g := range l.st.Logs() {
		if l.cfg.Line.LogID(g) != ev.Log {
			continue
		}
		if pub, ok := l.LogKey(g); ok && ev.Verify(pub) == nil {
			l.keepProof(t, record.Proof{Log: g, Proven: true, Text: ev.Kind.String(), Bytes: n.Proof})
		}
	}
}
