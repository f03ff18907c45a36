package session

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"herald/internal/compress"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/wire"
)

// judge checks what an opened entry needs besides its author's log key: text
// that can be read, and for spoken kinds the officers' signatures. It returns
// why the entry is defective, or "" (spec 05 §5, spec 07 §6).
func (l *Line) judge(t *turn, p line.Pos, at uint64, in wire.Inner) string {
	if !in.Kind.Spoken() {
		if err := wire.CheckContent(in); err != nil {
			return err.Error()
		}
		return ""
	}
	m, err := wire.ParseMessage(in)
	if err != nil {
		return err.Error()
	}
	if _, err := Text(in, m); err != nil {
		return err.Error()
	}
	officers, err := l.Releasers(p, at, in)
	if err != nil {
		return err.Error()
	}
	need, roles := l.cfg.Charter.ReleaseRule(in.Kind, in.Flags.Precedence())
	if len(officers) < need {
		return fmt.Sprintf("released by %d officers; the charter asks for %d at %s", len(officers), need, in.Flags.Precedence())
	}
	for _, o := range officers {
		if len(roles) > 0 && !slices.Contains(roles, o.Role) {
			return fmt.Sprintf("released by %s, whose role may not release this", o.Code)
		}
	}
	return l.repeat(t, p, at, in)
}

// repeat flags words whose release was used before, in any generation: a
// release is for one entry (spec 05 §5).
func (l *Line) repeat(t *turn, p line.Pos, at uint64, in wire.Inner) string {
	if len(in.Releases) == 0 {
		return ""
	}
	h := sha256.Sum256(in.SignedPart())
	name := fmt.Sprintf("release/%d/%d/%x", p.Party, at, h[:16])
	old, ok := l.releasedBefore(t, p.Party, at, name)
	if ok && old.Pos != p {
		return fmt.Sprintf("repeats the release of %s", l.Name(old.Pos, old.Number))
	}
	tok := record.Token{Token: name, Pos: p, Number: in.Number}
	if same := l.turns.sameTime[p.Party]; same != nil && metaUint(l.meta, newestRelease(p.Party)) == at {
		same[name] = tok
	}
	t.Tokens = append(t.Tokens, tok)
	return ""
}

func newestRelease(party int) string { return fmt.Sprintf("newest-release/%d", party) }

// releasedBefore finds an earlier entry with the same release. A release binds
// its time, so one that is newer than all before it needs no look into the
// store, and one of the newest time only a look at those of that time.
func (l *Line) releasedBefore(t *turn, party int, at uint64, name string) (record.Token, bool) {
	newest := metaUint(l.meta, newestRelease(party))
	same := l.turns.sameTime[party]
	switch {
	case at > newest:
		t.metaUint(newestRelease(party), at)
		l.turns.sameTime[party] = map[string]record.Token{}
		return record.Token{}, false
	case at == newest && same != nil:
		old, ok := same[name]
		return old, ok
	}
	if old, ok := t.token(name); ok {
		return old, true
	}
	old, ok, err := l.cfg.Store.Token(t.ctx, l.ID(), name)
	return old, ok && err == nil
}

func (t *turn) token(name string) (record.Token, bool) {
	for i := len(t.Tokens) - 1; i >= 0; i-- {
		if t.Tokens[i].Token == name {
			return t.Tokens[i], true
		}
	}
	return record.Token{}, false
}

// Name returns how people call an entry: by its number where it has one.
func (l *Line) Name(p line.Pos, number uint64) string {
	code := l.cfg.Line.Members[p.Party]
	switch {
	case number > 0:
		return fmt.Sprintf("%s %04d", code, number)
	case p.Gen > 1:
		return fmt.Sprintf("%s#%d/%d", code, p.Gen, p.Seq)
	}
	return fmt.Sprintf("%s#%d", code, p.Seq)
}

// Text returns a spoken entry's text, decompressed and checked.
func Text(in wire.Inner, m wire.Message) (string, error) {
	text, err := compress.Decompress(in.Flags.Dict(), m.Text, wire.MaxText)
	if err != nil {
		return "", fmt.Errorf("text: %w", err)
	}
	return text, wire.CheckText(text, wire.MaxText)
}

// Releasers verifies an entry's releases and returns who signed.
func (l *Line) Releasers(p line.Pos, at uint64, in wire.Inner) ([]keys.OfficerCert, error) {
	if len(in.Releases) == 0 {
		return nil, nil
	}
	rel, err := keys.ParseReleases(in.Releases)
	if err != nil {
		return nil, fmt.Errorf("releases: %w", err)
	}
	party := l.cfg.Line.Members[p.Party]
	card, ok, _ := l.judging(p)
	if !ok {
		return nil, fmt.Errorf("no card of %s is held, so its officers cannot be verified", party)
	}
	stmt := Statement(l.cfg.Line, l.cfg.Charter.Version, p.Party, at, in)
	var out []keys.OfficerCert
	for _, r := range rel {
		cert, ok := card.Officer(r.Officer)
		if !ok {
			return nil, fmt.Errorf("released by officer number %d, who is not on %s's card", r.Officer, party)
		}
		if !cert.Revoked.IsZero() || int64(at) >= cert.Until.Unix() {
			return nil, fmt.Errorf("released by %s, whose certificate was revoked or had expired", cert.Code)
		}
		if !r.Verify(cert, stmt) {
			return nil, fmt.Errorf("the release by %s does not verify", cert.Code)
		}
		out = append(out, cert)
	}
	return out, nil
}

// Statement returns what a releasing officer signs (spec 05 §5).
func Statement(l record.Line, version uint32, party int, at uint64, in wire.Inner) []byte {
	return keys.ReleaseStatement(l.ID, version, l.Members[party], at,
		in.Flags.Precedence(), in.Flags.Marking(), sha256.Sum256(in.SignedPart()))
}

// spokenStep maps an officer's act to the step that it proves.
var spokenStep = map[wire.Kind]record.Step{
	wire.KindUnderstood: record.Understood, wire.KindHold: record.Holding,
	wire.KindDecline: record.Declined, wire.KindAnswer: record.Answered, wire.KindQuery: record.Queried,
}

// statedStep maps a station's statement to the step that it claims.
var statedStep = map[wire.Kind]record.Step{
	wire.KindGot: record.Delivered, wire.KindAlerted: record.Alerted, wire.KindRead: record.Read,
	wire.KindBlobGot: record.BlobHeld, wire.KindUnreadable: record.Unreadable,
}

// derive adds the receipts that an entry proves, and acts on what it asks of
// this station.
func (l *Line) derive(t *turn, e record.Entry, at uint64, in wire.Inner) {
	switch {
	case in.Kind.Spoken():
		l.deriveSpoken(t, e, at, in)
	case in.Kind == wire.KindReseal:
		l.takeReseal(t, in)
	case in.Kind == wire.KindCard, in.Kind == wire.KindAttendance, in.Kind == wire.KindEvidence, in.Kind == wire.KindThrottle:
		l.takeNotice(t, e, at, in)
	case statedStep[in.Kind] != 0:
		l.deriveStated(t, e, at, in)
	}
}

func (l *Line) deriveSpoken(t *turn, e record.Entry, at uint64, in wire.Inner) {
	m, err := wire.ParseMessage(in)
	if err != nil {
		return
	}
	if e.Pos.Party != l.cfg.Line.Self {
		l.wantBlobs(t, e.Pos, m)
		l.alert(t, e, in, m)
	}
	for _, b := range m.Blobs {
		t.meta(blobName(line.Hash(b.Root)), wire.Marshal(wire.NewRef(e.Pos, e.LeafHash)))
	}
	l.spokenSteps(t, e, at, in)
}

// spokenSteps adds the step that an officer's act proves.
func (l *Line) spokenSteps(t *turn, e record.Entry, at uint64, in wire.Inner) {
	step, ok := spokenStep[in.Kind]
	if !ok || len(in.Releases) == 0 {
		return // no step without an officer's signature
	}
	m, err := wire.ParseMessage(in)
	if err != nil {
		return
	}
	rel, err := keys.ParseReleases(in.Releases)
	if err != nil || len(rel) == 0 {
		return
	}
	if e.Pos.Party != l.cfg.Line.Self {
		if who, err := l.Releasers(e.Pos, at, in); err != nil || len(who) == 0 {
			return
		}
	}
	for _, r := range m.Refs {
		l.receipt(t, r, record.Receipt{Party: e.Pos.Party, Step: step, Source: e.Pos, Time: at, Officer: rel[0].Officer})
	}
}

// alert calls the watch for an urgent message, once it is durable.
func (l *Line) alert(t *turn, e record.Entry, in wire.Inner, m wire.Message) {
	p := in.Flags.Precedence()
	if l.cfg.Alert == nil || !p.Urgent() || !in.Kind.Owes() || m.Action != 0 && !line.Parties(m.Action).Has(l.cfg.Line.Self) {
		return
	}
	name := fmt.Sprintf("ring/%d/%d/%d", e.Pos.Party, e.Pos.Gen, e.Pos.Seq)
	r := ringing{Ref: wire.NewRef(e.Pos, e.LeafHash), Kind: in.Kind, Flags: in.Flags, Number: in.Number}
	t.meta(name, wire.Marshal(r)) // with the entry, so that a crash before the call does not lose it
	t.then(func(err error) {
		if err == nil {
			l.ring(name, r)
		}
	})
}

// ringing is a call of the watch that has not gone out yet.
type ringing struct {
	_      struct{} `cbor:",toarray"`
	Ref    wire.Ref
	Kind   wire.Kind
	Flags  wire.Flags
	Number uint64
}

func (l *Line) ring(name string, r ringing) {
	l.cfg.Alert(l, Arrival{Pos: r.Ref.Pos(), Leaf: r.Ref.Hash(), Kind: r.Kind, Precedence: r.Flags.Precedence(), Marking: r.Flags.Marking(), Number: r.Number})
	l.post(func(t *turn) { t.meta(name, nil) })
}

// resumeRinging makes the calls that were due when the station stopped, or
// when the store failed.
func (l *Line) resumeRinging() {
	for name, b := range l.meta {
		var r ringing
		if strings.HasPrefix(name, "ring/") && l.cfg.Alert != nil && wire.Unmarshal(b, wire.MaxEntry, &r) == nil {
			l.post(func(*turn) { l.ring(name, r) })
		}
	}
}

func (l *Line) deriveStated(t *turn, e record.Entry, at uint64, in wire.Inner) {
	s, err := wire.ParseStatement(in)
	if err != nil {
		return
	}
	if in.Kind == wire.KindRead && s.Officer == 0 {
		return // nobody is named, so nobody read it
	}
	if in.Kind == wire.KindBlobGot && len(s.Root) == 32 {
		t.meta(blobHeldName(line.Hash(s.Root), e.Pos.Party), []byte{1})
	}
	for _, r := range s.Refs {
		l.receipt(t, r, record.Receipt{Party: e.Pos.Party, Step: statedStep[in.Kind], Source: e.Pos, Time: at, Officer: s.Officer})
		if in.Kind == wire.KindUnreadable && e.Pos.Party != l.cfg.Line.Self {
			l.reseal(t, e.Pos.Party, r)
		}
	}
}

// receipt adds one step, when its reference binds the entry that is held.
func (l *Line) receipt(t *turn, r wire.Ref, row record.Receipt) {
	p := r.Pos()
	if p.Party >= len(l.cfg.Line.Members) {
		return
	}
	held, ok := t.find(p)
	if !ok {
		var err error
		if held, ok, err = l.entry(t.ctx, p); err != nil || !ok {
			return
		}
	}
	if held.LeafHash != r.Hash() {
		return
	}
	row.Target, row.Good = p, true
	t.Receipts = append(t.Receipts, row)
	t.seen = true
}

func (l *Line) takeNotice(t *turn, e record.Entry, at uint64, in wire.Inner) {
	var n wire.Notice
	if err := wire.Unmarshal(in.Content, wire.MaxEntry, &n); err != nil {
		return
	}
	switch in.Kind {
	case wire.KindAttendance:
		t.metaUint(fmt.Sprintf("attended/%d", e.Pos.Party), uint64(n.State)<<48|at&(1<<48-1))
	case wire.KindThrottle:
		t.metaUint(fmt.Sprintf("throttled-by/%d", e.Pos.Party), uint64(n.State)<<48|at&(1<<48-1))
	case wire.KindCard:
		if len(n.Hash) != 32 {
			return
		}
		l.nameCard(t, e.Pos, n)
		if e.Pos.Party == l.cfg.Line.Self && n.Version > l.next.card { // come back after a restore
			l.next.card = n.Version
			t.metaUint("card", uint64(n.Version))
		}
		if e.Pos.Party != l.cfg.Line.Self {
			l.wantCard(e.Pos.Party, n.Version, [32]byte(n.Hash))
		}
	case wire.KindEvidence:
		l.takeEvidence(t, n)
	}
	t.seen = true
}

// maxReseals is how often one party is given one key again, between two starts
// of the station: what does not open then is no accident.
const maxReseals = 3

// resealing is a key given again to a party.
type resealing struct {
	pos   line.Pos
	party int
}

// reseal answers a party that could not open an entry, with the entry's
// message key from the own archive (spec 06 §6).
func (l *Line) reseal(t *turn, party int, r wire.Ref) {
	p := r.Pos()
	if p.Party >= len(l.cfg.Line.Members) {
		return
	}
	if p.Party != l.cfg.Line.Self && p.Party != party {
		return // its author will
	}
	name := resealing{p, party}
	if l.turns.resealed[name] >= maxReseals {
		return
	}
	key, box, path, err := l.resealed(t.ctx, party, p)
	if err != nil {
		l.cfg.Log.Warn("an entry cannot be resealed", "line", l.ID().Short(), "entry", l.Name(p, 0), "error", err)
		return
	}
	l.turns.resealed[name]++
	l.say(t, wire.Inner{Kind: wire.KindReseal, Flags: wire.NewFlags(line.Immediate, line.Real, 0), Content: wire.Marshal(wire.Reseal{
		Ref: r, Keys: map[uint8]wire.SealedSecret{uint8(party): {Index: key, Box: box}}, Path: path,
	})})
}

func (l *Line) resealed(ctx context.Context, party int, p line.Pos) (index uint32, box, path []byte, err error) {
	bodies, err := l.cfg.Store.Bodies(ctx, l.ID(), []line.Pos{p})
	if err != nil || len(bodies) == 0 || len(bodies[0].Box) == 0 {
		return 0, nil, nil, fmt.Errorf("it is not in this station's archive: %w", orMissing(err))
	}
	a, err := l.v.unarchive(ctx, l.cfg.Store, bodies[0])
	if err != nil || len(a.Key) != seal.KeySize {
		return 0, nil, nil, fmt.Errorf("archive: %w", orMissing(err))
	}
	e, ok, err := l.entry(ctx, p)
	if err != nil || !ok {
		return 0, nil, nil, orMissing(err)
	}
	parsed, err := wire.ParseEntry(e.Leaf, len(l.cfg.Line.Members))
	if err != nil {
		return 0, nil, nil, err
	}
	leaves, ok, err := l.cfg.Store.EpochLeaves(ctx, l.ID(), p.Log, p.Seq-uint64(parsed.Key))
	if err != nil || !ok {
		return 0, nil, nil, orMissing(err)
	}
	hashes, err := seal.PathFromLeaves(leaves, int(parsed.Key))
	if err != nil {
		return 0, nil, nil, err
	}
	pub, index, ok := l.v.receiveKey(party)
	if !ok {
		return 0, nil, nil, fmt.Errorf("no receive key of party %d", party)
	}
	box, err = seal.SealKey(pub, l.cfg.Line.LogID(p.Log), p.Seq, l.cfg.Line.Members[party], index, [seal.KeySize]byte(a.Key))
	return index, box, seal.JoinPath(hashes), err
}

func orMissing(err error) error {
	if err == nil {
		return seal.ErrOpen
	}
	return err
}

// takeReseal opens an entry with a key that came again.
func (l *Line) takeReseal(t *turn, in wire.Inner) {
	var r wire.Reseal
	if err := wire.Unmarshal(in.Content, wire.MaxEntry, &r); err != nil {
		return
	}
	p := r.Ref.Pos()
	box, ok := r.Keys[uint8(l.cfg.Line.Self)]
	if _, waits := l.turns.pending[p]; !ok || !waits || p.Party >= len(l.cfg.Line.Members) {
		return
	}
	key, err := l.v.private(box.Index)
	if err != nil {
		return
	}
	id := l.cfg.Line.LogID(p.Log)
	mk, err := seal.OpenKey(key, id, p.Seq, l.cfg.Line.Members[l.cfg.Line.Self], box.Index, box.Box)
	if err != nil {
		return
	}
	held, ok, err := l.entry(t.ctx, p)
	if err != nil || !ok || held.LeafHash != r.Ref.Hash() {
		return
	}
	parsed, err := wire.ParseEntry(held.Leaf, len(l.cfg.Line.Members))
	if err != nil || parsed.Key == 0 {
		return
	}
	base, ok, err := l.entry(t.ctx, line.Pos{Log: p.Log, Seq: p.Seq - uint64(parsed.Key)})
	if err != nil || !ok {
		return
	}
	kt, ok := commitment(base.Leaf, len(l.cfg.Line.Members))
	path, perr := seal.SplitPath(r.Path)
	if !ok || perr != nil || !seal.VerifyKey(kt, int(parsed.Key), mk, path) {
		l.cfg.Log.Warn("a resealed key is not the one that the epoch commits to", "line", l.ID().Short(), "entry", l.Name(p, 0))
		return
	}
	l.openWith(t, record.Checked{SignedEntry: held.SignedEntry, Entry: parsed, LeafHash: held.LeafHash}, mk)
}

// commitment returns the root over an epoch's keys from its entry.
func commitment(leaf []byte, members int) (kt line.Hash, ok bool) {
	e, err := wire.ParseEntry(leaf, members)
	if err != nil || e.Key != 0 {
		return kt, false
	}
	ep, err := wire.ParseEpoch(e.Body)
	if err != nil || len(ep.Keys) != 32 {
		return kt, false
	}
	return line.Hash(ep.Keys), true
}
