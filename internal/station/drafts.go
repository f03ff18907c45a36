package station

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"herald/internal/charter"
	"herald/internal/compress"
	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/seal"
	"herald/internal/session"
	"herald/internal/store/sqlite"
	"herald/internal/wire"
)

// stored is a draft as it lies in the store, encrypted under the working key.
type stored struct {
	control.Draft
	Inner    []byte // wire.Inner, encoded, without releases
	Releases []byte
	Action   line.Parties
	Numbered bool
}

var kindsByName = map[string]wire.Kind{
	"message": wire.KindMessage, "correct": wire.KindCorrect, "query": wire.KindQuery,
	"cancel": wire.KindCancel, "service": wire.KindService, "understood": wire.KindUnderstood,
	"hold": wire.KindHold, "decline": wire.KindDecline, "answer": wire.KindAnswer,
}

// Draft stores words without sending them.
func (s *Station) Draft(ctx context.Context, r control.DraftRequest) (control.Draft, error) {
	l, err := s.line(r.LineID)
	if err != nil {
		return control.Draft{}, err
	}
	if _, err := s.officer(r.Officer); err != nil {
		return control.Draft{}, err
	}
	in, m, err := s.compose(ctx, l, &r)
	if err != nil {
		return control.Draft{}, err
	}
	d := stored{Draft: control.Draft{DraftRequest: r, Time: s.o.Now().Unix(), State: "draft"},
		Inner: wire.Marshal(in), Action: line.Parties(m.Action), Numbered: in.Kind != wire.KindUnderstood}
	s.restate(l, &d, in)
	return s.keep(ctx, l, &d)
}

// restate fills in what a draft's release takes.
func (s *Station) restate(l *session.Line, d *stored, in wire.Inner) {
	need, roles := l.Charter().ReleaseRule(in.Kind, in.Flags.Precedence())
	d.Need, d.Roles = need, nil
	for _, r := range roles {
		d.Roles = append(d.Roles, string(r))
	}
	d.Statement = session.Statement(l.Members(), l.Charter().Version, l.Members().Self, uint64(d.Time), in)
}

// compose checks the request and builds the sealed part from it.
func (s *Station) compose(ctx context.Context, l *session.Line, r *control.DraftRequest) (wire.Inner, wire.Message, error) {
	var m wire.Message
	in := wire.Inner{Kind: kindsByName[r.Kind]}
	if in.Kind == 0 {
		return in, m, fmt.Errorf("kind %q: want message, correct, query, cancel, service, understood, hold, answer or decline", r.Kind)
	}
	prec, err := line.ParsePrecedence(r.Precedence)
	if err != nil {
		return in, m, err
	}
	mark, err := line.ParseMarking(r.Marking)
	if err != nil {
		return in, m, err
	}
	if err := wire.CheckText(r.Text, wire.MaxText); err != nil {
		return in, m, fmt.Errorf("%w; longer texts go as an attachment", err)
	}
	if n, limit := words(r.Text), int(l.Charter().Precedence(prec).Words); limit > 0 && n > limit {
		return in, m, fmt.Errorf("the text has %d words; the charter allows %d at %s: shorten it, attach the rest, or choose a lower precedence", n, limit, prec)
	}
	if r.Text == "" && in.Kind != wire.KindUnderstood && in.Kind != wire.KindHold && len(r.Blobs) == 0 {
		return in, m, errors.New("there is no text: give it as an argument or on standard input")
	}
	var dict uint8
	dict, m.Text = compress.Compress(r.Text)
	in.Flags = wire.NewFlags(prec, mark, dict)
	if m.Action, err = partySet(l, r.Action); err != nil {
		return in, m, err
	}
	if m.Info, err = partySet(l, r.Info); err != nil {
		return in, m, err
	}
	if m.Action&m.Info != 0 {
		return in, m, errors.New("a party is named both for action and for information")
	}
	for _, ref := range r.Refs {
		x, err := s.reference(ctx, l, ref)
		if err != nil {
			return in, m, err
		}
		m.Refs = append(m.Refs, x)
	}
	if in.Kind.Replies() && len(m.Refs) == 0 {
		return in, m, fmt.Errorf("%s: say which entry it is about", r.Kind)
	}
	if err := s.rest(ctx, l, in.Kind, r, &m); err != nil {
		return in, m, err
	}
	in.Content = wire.Marshal(m)
	_, err = wire.ParseMessage(in)
	return in, m, err
}

// rest fills in what few messages have.
func (s *Station) rest(ctx context.Context, l *session.Line, k wire.Kind, r *control.DraftRequest, m *wire.Message) error {
	own := l.Charter().Members[l.Members().Self]
	if r.Lang != "" && (len(own.Languages) == 0 || r.Lang != own.Languages[0]) {
		if err := keys.CheckLanguage(r.Lang); err != nil {
			return err
		}
		m.Lang = r.Lang
	}
	if k == wire.KindCorrect || k == wire.KindCancel {
		for _, ref := range m.Refs {
			if int(ref.Party) != l.Members().Self {
				return fmt.Errorf("%s: only one's own messages can be changed; ask about another party's with query", r.Kind)
			}
		}
	}
	m.Subject = r.Subject
	if r.AnswerBy != 0 {
		if r.AnswerBy < s.o.Now().Unix() {
			return errors.New("the time to answer by is past")
		}
		m.AnswerBy = uint64(r.AnswerBy)
	}
	if r.Form != "" {
		h, err := hex.DecodeString(r.Form)
		if err != nil || len(h) != 32 {
			return fmt.Errorf("form %q: want its SHA-256 in hexadecimal", r.Form)
		}
		if !slices.ContainsFunc(l.Charter().Forms, func(f charter.Form) bool { return f.Hash == [32]byte(h) }) {
			return fmt.Errorf("form %.8s…: the charter does not name it", r.Form)
		}
		m.Form = h
	}
	for _, a := range r.Blobs {
		b, err := s.blobOf(ctx, l.ID(), a)
		if err != nil {
			return err
		}
		m.Blobs = append(m.Blobs, b)
	}
	return nil
}

// words counts words for the charter's limits: runs of letters and digits,
// and each character of a script that is written without spaces for half a
// word, rounded up.
func words(text string) int {
	n, dense, in := 0, 0, false
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
			dense, in = dense+1, false
		case unicode.IsSpace(r):
			in = false
		case !in:
			n, in = n+1, true
		}
	}
	return n + (dense+1)/2
}

func partySet(l *session.Line, codes []line.Party) (uint32, error) {
	var set line.Parties
	for _, c := range codes {
		i := l.Charter().Index(c)
		if i < 0 {
			return 0, fmt.Errorf("%s is not a party of this line", c)
		}
		if i == l.Members().Self {
			return 0, fmt.Errorf("%s is this party itself", c)
		}
		set = set.With(i)
	}
	return uint32(set), nil
}

// officer finds one of this party's officers who may act now.
func (s *Station) officer(code line.Officer) (keys.OfficerCert, error) {
	card, _ := s.cards.Card(s.cards.self)
	o, ok := card.OfficerByCode(code)
	if !ok {
		return o, fmt.Errorf("no officer %q is on this party's card (version %d): herald card show lists them", code, card.Version)
	}
	if !o.Revoked.IsZero() {
		return o, fmt.Errorf("officer %s: the certificate was revoked on %s", code, o.Revoked.UTC().Format("2006-01-02"))
	}
	// A clock that is slow must not silence a watch, so the beginning of the
	// certificate is not asked for.
	if !s.o.Now().Before(o.Until) {
		return o, fmt.Errorf("officer %s: the certificate ended on %s by this station's clock, which says %s: renew it with herald officer, or set the clock", code, o.Until.UTC().Format("2006-01-02"), s.o.Now().UTC().Format("2006-01-02"))
	}
	return o, nil
}

// keep writes a draft, encrypted, and returns it with its number.
func (s *Station) keep(ctx context.Context, l *session.Line, d *stored) (control.Draft, error) {
	plain, err := json.Marshal(d)
	if err != nil {
		return control.Draft{}, err
	}
	id := l.ID()
	box, err := seal.SealLocal(s.random(), s.own.Working, append([]byte("herald/draft/1"), id[:]...), plain)
	if err != nil {
		return control.Draft{}, err
	}
	n, err := s.db.PutDraft(ctx, sqlite.Draft{ID: d.ID, Line: id, Box: box, State: d.State, Token: d.Token, Updated: s.o.Now().Unix()})
	if err != nil {
		return control.Draft{}, err
	}
	if d.ID == 0 && d.Token != "" { // a repeat returns the draft that was made first
		first, _, err := s.draft(ctx, n)
		return first.Draft, err
	}
	d.ID = n
	return d.Draft, nil
}

// draft reads one back.
func (s *Station) draft(ctx context.Context, id uint64) (stored, *session.Line, error) {
	var d stored
	row, ok, err := s.db.Draft(ctx, id)
	if err != nil {
		return d, nil, err
	}
	if !ok {
		return d, nil, fmt.Errorf("there is no draft %d: herald drafts lists them", id)
	}
	l, found := s.find(row.Line)
	if !found {
		return d, nil, fmt.Errorf("draft %d belongs to line %s, which is not here", id, row.Line.Short())
	}
	plain, err := seal.OpenLocal(s.own.Working, append([]byte("herald/draft/1"), row.Line[:]...), row.Box)
	if err != nil {
		return d, nil, fmt.Errorf("draft %d: %w", id, err)
	}
	if err := json.Unmarshal(plain, &d); err != nil {
		return d, nil, fmt.Errorf("draft %d: %w", id, err)
	}
	d.ID = id
	return d, l, nil
}

// GetDraft returns a draft with the statement that a releaser signs.
func (s *Station) GetDraft(ctx context.Context, id uint64) (control.Draft, error) {
	d, _, err := s.draft(ctx, id)
	return d.Draft, err
}

// Drafts lists a line's drafts, the oldest first.
func (s *Station) Drafts(ctx context.Context, id line.ID) ([]control.Draft, error) {
	rows, err := s.db.Drafts(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []control.Draft
	for _, r := range rows {
		if r.State == "accepted" {
			continue
		}
		d, _, err := s.draft(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, d.Draft)
	}
	return out, nil
}

// Discard removes a draft that was not sent.
func (s *Station) Discard(ctx context.Context, id uint64) error {
	d, _, err := s.draft(ctx, id)
	if err != nil {
		return err
	}
	if d.State == "accepted" {
		return fmt.Errorf("draft %d was released and accepted as %s: it cannot be discarded; cancel the message instead", id, d.Entry)
	}
	return s.db.DeleteDraft(ctx, id)
}

// Release adds one officer's signature to a draft, and submits it with the
// last that is needed.
func (s *Station) Release(ctx context.Context, r control.ReleaseRequest) (control.Released, error) {
	d, l, err := s.draft(ctx, r.Draft)
	if err != nil {
		return control.Released{}, err
	}
	if d.State == "accepted" {
		return s.released(ctx, l, d)
	}
	cert, err := s.officer(r.Officer)
	if err != nil {
		return control.Released{}, err
	}
	in, err := wire.ParseInner(d.Inner)
	if err != nil {
		return control.Released{}, err
	}
	if err := s.changePrecedence(l, &d, &in, r.Precedence); err != nil {
		return control.Released{}, err
	}
	if len(r.Signature) > 0 && !slices.Contains(d.Released, r.Officer) {
		if len(d.Roles) > 0 && !slices.Contains(d.Roles, string(cert.Role)) {
			return control.Released{}, fmt.Errorf("officer %s has the role %s; the charter lets %s release this", cert.Code, cert.Role, strings.Join(d.Roles, ", "))
		}
		x := keys.Release{Officer: cert.Number, Sig: r.Signature}
		if !x.Verify(cert, d.Statement) {
			return control.Released{}, fmt.Errorf("the signature is not officer %s's over draft %d as it stands: look at the draft again and sign what it says now", r.Officer, r.Draft)
		}
		d.Releases = keys.AppendRelease(d.Releases, cert.Number, r.Signature)
		d.Draft.Released = append(d.Draft.Released, r.Officer)
	}
	if _, err := s.keep(ctx, l, &d); err != nil {
		return control.Released{}, err
	}
	if len(d.Draft.Released) < d.Need || d.Need > 0 && len(r.Signature) == 0 {
		return control.Released{Draft: d.Draft}, nil
	}
	in.Releases = d.Releases
	a, err := l.Submit(ctx, session.Submission{Inner: in, Time: uint64(d.Time), Numbered: d.Numbered, Action: d.Action, Token: draftToken(d.ID)})
	if err != nil {
		return control.Released{}, fmt.Errorf("not known to be accepted: %w; release draft %d again, it will not be sent twice", err, d.ID)
	}
	d.State = "accepted"
	if !a.Queued {
		d.Entry = l.Name(a.Pos, a.Number)
	}
	if _, err := s.keep(ctx, l, &d); err != nil {
		s.o.Log.Warn("a released draft could not be marked; releasing it again will not send it twice", "draft", d.ID, "error", err)
	}
	return control.Released{Draft: d.Draft, Accepted: true, Entry: d.Entry, Queued: a.Queued, Held: a.Held}, nil
}

func draftToken(id uint64) string { return fmt.Sprintf("draft/%d", id) }

// released tells again what became of a draft.
func (s *Station) released(ctx context.Context, l *session.Line, d stored) (control.Released, error) {
	t, ok, err := s.db.Token(ctx, l.ID(), draftToken(d.ID))
	if err != nil {
		return control.Released{}, err
	}
	out := control.Released{Draft: d.Draft, Accepted: true, Entry: d.Entry, Queued: ok && t.Queued != 0}
	if ok && t.Queued == 0 {
		out.Entry = l.Name(t.Pos, t.Number)
	}
	return out, nil
}

// changePrecedence makes the releaser's choice of precedence, which ends the
// signatures given to the former.
func (s *Station) changePrecedence(l *session.Line, d *stored, in *wire.Inner, name string) error {
	if name == "" {
		return nil
	}
	p, err := line.ParsePrecedence(name)
	if err != nil || p == in.Flags.Precedence() {
		return err
	}
	if limit := int(l.Charter().Precedence(p).Words); limit > 0 && words(d.Text) > limit {
		return fmt.Errorf("the text has %d words; the charter allows %d at %s", words(d.Text), limit, p)
	}
	in.Flags = wire.NewFlags(p, in.Flags.Marking(), in.Flags.Dict())
	d.Inner, d.Releases, d.Draft.Released = wire.Marshal(*in), nil, nil
	d.Precedence = strings.ToLower(p.String())
	s.restate(l, d, *in)
	return nil
}
