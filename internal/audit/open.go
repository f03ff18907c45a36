package audit

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"herald/internal/compress"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/seal"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// opened is what an entry says, as far as the collector needs it.
type opened struct {
	kind      wire.Kind
	flags     wire.Flags
	refs      []wire.Ref
	releases  []keys.Release
	statement []byte    // what the releases sign
	content   [32]byte  // hash of what they release
	card      line.Hash // of a card entry
	defect    string
}

// checkEpochKeys compares the hashes of an epoch's keys with the commitment in
// the epoch's entry.
func (a *auditor) checkEpochKeys(c *chunk, i *item) {
	s, e := c.sec, &c.items[i.entry]
	ep, err := wire.ParseEpoch(e.outer.body)
	if e.bad || e.outer.key != 0 || err != nil || len(ep.Keys) != 32 {
		a.found.add(Fault, "epoch-keys", s.place(i.seq), s.at(i.seq), "the file gives keys of an epoch here, but the entry opens none")
		return
	}
	var t tlog.Tree
	for b := c.bytes(i); len(b) > 0; b = b[32:] {
		t.Append(line.Hash(b[:32]))
	}
	if root := t.Root(); root != line.Hash(ep.Keys) {
		a.found.add(Fault, "epoch-keys", s.place(i.seq), s.at(i.seq), "the file's hashes of this epoch's keys are not those that %s committed to", s.party)
	}
}

// open opens a sealed entry with the key in the file. That the key is the
// committed one is shown before it is used: AES-GCM alone would let one body
// open to two texts under two keys (spec 06 §4).
func (a *auditor) open(c *chunk, i *item) {
	s, e := c.sec, &c.items[i.entry]
	mk := [32]byte(c.bytes(i))
	if e.bad || e.outer.key == 0 {
		a.found.add(Fault, "message-key", s.place(i.seq), s.at(i.seq), "the file gives a message key here, but the entry is not sealed")
		return
	}
	if !i.known {
		a.found.add(Note, "uncommitted-key", s.place(i.seq), s.at(i.seq), "the file gives a message key, but not its epoch's key hashes: the entry was not opened, since nothing shows that this is the key its author committed to")
		return
	}
	if leaf := tlog.LeafHash(mk[:]); subtle.ConstantTimeCompare(leaf[:], i.commit[:]) != 1 {
		a.found.add(Fault, "message-key", s.place(i.seq), s.at(i.seq), "the file's message key is not the one that %s committed to: whoever made the file changed it", s.party)
		return
	}
	i.opened = a.read(s, e, c.marksOf(i.entry, len(a.id.members)-1), mk)
}

// read opens an entry and reads what it says.
func (a *auditor) read(s *section, e *item, marks []wire.Mark, mk [32]byte) *opened {
	outside := wire.Entry{Key: e.outer.key, Time: e.outer.time, After: marks}
	ad := append(tlog.EntryContext(s.id, e.seq), outside.Context()...)
	o := &opened{}
	inner, err := seal.OpenBody(mk, ad, e.outer.body)
	if err != nil {
		o.defect = "its seal does not open under the key that its epoch commits to"
		return o
	}
	in, err := wire.ParseInner(inner)
	if err != nil {
		o.defect = err.Error()
		return o
	}
	o.kind, o.flags = in.Kind, in.Flags
	if err := a.content(s, e, in, o); err != nil {
		o.defect = err.Error()
	}
	return o
}

// content reads what an entry says, by its kind (spec 05 §3).
func (a *auditor) content(s *section, e *item, in wire.Inner, o *opened) error {
	switch {
	case in.Kind.Spoken():
		return a.spoken(s, e, in, o)
	case !in.Kind.Known():
		return nil // a later release's; in the record and counted as such
	}
	switch in.Kind {
	case wire.KindGot, wire.KindAlerted, wire.KindRead, wire.KindUnreadable, wire.KindBlobGot:
		st, err := wire.ParseStatement(in)
		o.refs = st.Refs
		return err
	case wire.KindReseal:
		r, err := wire.ParseReseal(in)
		o.refs = []wire.Ref{r.Ref}
		return err
	}
	n, err := wire.ParseNotice(in)
	if err != nil {
		return err
	}
	switch in.Kind {
	case wire.KindCard:
		o.card = line.Hash(n.Hash)
	case wire.KindEvidence:
		a.prove(n.Proof, s.place(e.seq), false)
	}
	return nil
}

// spoken reads an officer's words or act.
func (a *auditor) spoken(s *section, e *item, in wire.Inner, o *opened) error {
	m, err := wire.ParseMessage(in)
	if err != nil {
		return err
	}
	o.refs = m.Refs
	o.content = sha256.Sum256(in.SignedPart())
	o.statement = keys.ReleaseStatement(a.id.line, a.id.version, s.party, e.outer.time,
		in.Flags.Precedence(), in.Flags.Marking(), o.content)
	if o.releases, err = keys.ParseReleases(in.Releases); err != nil {
		return fmt.Errorf("releases: %w", err)
	}
	text, err := compress.Decompress(in.Flags.Dict(), m.Text, wire.MaxText)
	if err != nil {
		return fmt.Errorf("text: %w", err)
	}
	return wire.CheckText(text, wire.MaxText)
}
