package station

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
	"herald/internal/store/sqlite"
	"herald/internal/wire"
)

// maxPage bounds one page of the record.
const maxPage = 500

// line finds a line by its full name or a unique beginning of it; "" is the
// only line.
func (s *Station) line(name string) (*session.Line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found *session.Line
	for id, l := range s.lines {
		if strings.HasPrefix(id.String(), strings.ToLower(name)) {
			if found != nil {
				return nil, fmt.Errorf("%q names more than one of the %d lines: give more of its name", name, len(s.lines))
			}
			found = l
		}
	}
	if found == nil && len(s.lines) == 0 {
		return nil, fmt.Errorf("this station has no line yet: import a charter that all parties have signed with herald charter import")
	}
	if found == nil {
		return nil, fmt.Errorf("no line %q here: herald status lists them", name)
	}
	return found, nil
}

// position reads an entry's name: "US 0598" or "US0598" by its number,
// "US#12" by its place, "US#2/12" in generation 2.
func (s *Station) position(ctx context.Context, l *session.Line, name string) (line.Pos, error) {
	bad := fmt.Errorf("entry %q: want a number such as \"US 0598\" or a place such as \"US#12\"", name)
	t := strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(name), " ", ""))
	if code, rest, ok := strings.Cut(t, "#"); ok {
		p := line.Pos{Log: line.Log{Party: l.Charter().Index(line.Party(code)), Gen: 1}}
		if g, n, ok := strings.Cut(rest, "/"); ok {
			v, err := strconv.ParseUint(g, 10, 31)
			if err != nil {
				return p, bad
			}
			p.Gen, rest = line.Generation(v), n
		}
		n, err := strconv.ParseUint(rest, 10, 53)
		if err != nil || p.Party < 0 {
			return p, bad
		}
		p.Seq = n
		return p, nil
	}
	for i, code := range l.Members().Members {
		digits, ok := strings.CutPrefix(t, string(code))
		n, err := strconv.ParseUint(digits, 10, 63)
		if !ok || err != nil {
			continue
		}
		p, found, err := s.db.ByNumber(ctx, l.ID(), i, n)
		if err != nil {
			return p, err
		}
		if !found {
			return p, fmt.Errorf("no message %s %04d is held here", code, n)
		}
		return p, nil
	}
	return line.Pos{}, bad
}

// held reads one entry by name.
func (s *Station) held(ctx context.Context, l *session.Line, name string) (record.Entry, error) {
	p, err := s.position(ctx, l, name)
	if err != nil {
		return record.Entry{}, err
	}
	es, err := s.db.Entries(ctx, l.ID(), p.Log, p.Seq, 1)
	if err != nil {
		return record.Entry{}, err
	}
	if len(es) == 0 || es[0].Pos != p {
		return record.Entry{}, fmt.Errorf("entry %s is not held here", name)
	}
	return es[0], nil
}

func (s *Station) reference(ctx context.Context, l *session.Line, name string) (wire.Ref, error) {
	e, err := s.held(ctx, l, name)
	if err != nil {
		return wire.Ref{}, err
	}
	return wire.NewRef(e.Pos, e.LeafHash), nil
}

// Record returns a stretch of the record, in causal order.
func (s *Station) Record(ctx context.Context, r control.RecordRequest) (control.RecordPage, error) {
	l, err := s.line(r.LineID)
	if err != nil {
		return control.RecordPage{}, err
	}
	if r.Wait {
		if err := waitChange(ctx, l, r.Version); err != nil {
			return control.RecordPage{}, err
		}
	}
	version, _ := l.Changed()
	v, err := l.View(ctx)
	if err != nil {
		return control.RecordPage{}, err
	}
	after, err := parseCursor(r.After)
	if err != nil {
		return control.RecordPage{}, err
	}
	n := r.Max
	if n <= 0 || n > maxPage {
		n = maxPage
	}
	rows, err := s.db.Ordered(ctx, l.ID(), after, n)
	if err != nil {
		return control.RecordPage{}, err
	}
	items, err := s.items(ctx, l, rows, v.Settled)
	if err != nil {
		return control.RecordPage{}, err
	}
	page := control.RecordPage{Items: items, Version: version, Settled: v.Settled}
	if len(rows) > 0 {
		page.Next = cursor(rows[len(rows)-1].Key())
	}
	return page, nil
}

// waitChange returns once the line's version is not the one given, or after
// half a minute, so that a broken client is noticed.
func waitChange(ctx context.Context, l *session.Line, version uint64) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		v, changed := l.Changed()
		if v != version {
			return nil
		}
		select {
		case <-changed:
		case <-deadline.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func cursor(k sqlite.OrderKey) string {
	return fmt.Sprintf("%d.%d.%d.%d", k.Rank, k.Pos.Party, k.Pos.Gen, k.Pos.Seq)
}

func parseCursor(c string) (k sqlite.OrderKey, err error) {
	if c == "" {
		return k, nil
	}
	if _, err := fmt.Sscanf(c, "%d.%d.%d.%d", &k.Rank, &k.Pos.Party, &k.Pos.Gen, &k.Pos.Seq); err != nil {
		return k, fmt.Errorf("cursor %q is not one that this station gave", c)
	}
	return k, nil
}

// items turns rows into what people and programs read.
func (s *Station) items(ctx context.Context, l *session.Line, rows []sqlite.OrderedRow, settled uint64) ([]control.Item, error) {
	at := make([]line.Pos, len(rows))
	bodies := make([]record.Body, len(rows))
	for i, r := range rows {
		at[i], bodies[i] = r.Entry.Pos, r.Body
	}
	opened, err := l.Unarchive(ctx, bodies)
	if err != nil {
		return nil, err
	}
	receipts, err := s.db.Receipts(ctx, l.ID(), at)
	if err != nil {
		return nil, err
	}
	out := make([]control.Item, len(rows))
	for i, r := range rows {
		x := viewer{s: s, l: l, row: r}
		for _, rc := range receipts {
			if rc.Target == r.Entry.Pos && rc.Good {
				x.receipts = append(x.receipts, rc)
			}
		}
		if out[i], err = x.item(ctx, opened[i], settled); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// viewer makes one item.
type viewer struct {
	s        *Station
	l        *session.Line
	row      sqlite.OrderedRow
	receipts []record.Receipt
	in       wire.Inner
	time     uint64
}

func (x *viewer) item(ctx context.Context, a wire.Archived, settled uint64) (control.Item, error) {
	e, b, l := x.row.Entry, x.row.Body, x.l
	parsed, err := wire.ParseEntry(e.Leaf, len(l.Members().Members))
	if err != nil {
		return control.Item{}, err
	}
	x.time = parsed.Time
	it := control.Item{
		Entry: l.Name(e.Pos, b.Number), Log: fmt.Sprintf("%s/%d", l.Members().Members[e.Pos.Party], e.Pos.Gen),
		Seq: e.Pos.Seq, Party: l.Members().Members[e.Pos.Party], Rank: e.Rank, Settled: e.Rank > 0 && e.Rank <= settled,
		Leaf: e.LeafHash.String(), Number: b.Number, Claimed: int64(parsed.Time), Received: e.Received, Via: e.Via, Defect: b.Defect,
	}
	switch {
	case parsed.Key == 0:
		it.Kind, it.Note = "epoch", "opens an epoch: fresh keys for what follows"
	case len(a.Inner) == 0:
		it.Kind, it.Note = "sealed", "not opened here yet"
	default:
		if x.in, err = wire.ParseInner(a.Inner); err != nil {
			it.Kind = "defective"
			return it, nil
		}
		it.Kind = x.in.Kind.String()
		x.content(&it)
	}
	if it.Ladder, err = x.ladder(ctx); err != nil {
		return it, err
	}
	return it, nil
}

// content fills in what the sealed part says.
func (x *viewer) content(it *control.Item) {
	if !x.in.Kind.Spoken() {
		it.Note = x.note()
		return
	}
	it.Precedence, it.Marking = x.in.Flags.Precedence().String(), x.in.Flags.Marking().String()
	m, err := wire.ParseMessage(x.in)
	if err != nil {
		return
	}
	members := x.l.Members().Members
	it.Lang, it.Subject, it.AnswerBy = m.Lang, m.Subject, int64(m.AnswerBy)
	if langs := x.l.Charter().Members[x.row.Entry.Pos.Party].Languages; it.Lang == "" && len(langs) > 0 {
		it.Lang = langs[0]
	}
	it.Action, it.Info = codes(members, line.Parties(m.Action)), codes(members, line.Parties(m.Info))
	for _, r := range m.Refs {
		it.Refs = append(it.Refs, x.s.nameOf(x.l, r))
	}
	for _, b := range m.Blobs {
		it.Blobs = append(it.Blobs, control.Attachment{Name: b.Name, Length: b.Length, Root: hex.EncodeToString(b.Root), Held: x.s.heldBytes(b)})
	}
	if who, err := x.l.Releasers(x.row.Entry.Pos, x.time, x.in); err == nil {
		for _, o := range who {
			it.Officers = append(it.Officers, o.Code)
		}
	}
	if x.in.Kind.AsksAnswer() {
		it.Due = int64(x.time) + int64(x.l.Charter().Precedence(x.in.Flags.Precedence()).Answer/time.Second)
	}
	if x.withheld() {
		it.Unopened = true
		return
	}
	it.Text, _ = session.Text(x.in, m)
}

// withheld reports whether another party's message has not been opened by an
// officer here: only then is it read, and only then is its text shown.
func (x *viewer) withheld() bool {
	self := x.l.Members().Self
	if x.row.Entry.Pos.Party == self || !x.in.Kind.Owes() {
		return false
	}
	return !slices.ContainsFunc(x.receipts, func(r record.Receipt) bool { return r.Party == self && r.Step == record.Read })
}

func codes(members []line.Party, set line.Parties) (out []line.Party) {
	for i, c := range members {
		if set.Has(i) {
			out = append(out, c)
		}
	}
	return out
}

// nameOf names an entry as people do: by its number, when it is held.
func (s *Station) nameOf(l *session.Line, r wire.Ref) string {
	p := r.Pos()
	if p.Party >= len(l.Members().Members) {
		return "an unknown party's entry"
	}
	bs, err := s.db.Bodies(context.Background(), l.ID(), []line.Pos{p})
	if err != nil || len(bs) == 0 {
		return l.Name(p, 0)
	}
	return l.Name(p, bs[0].Number)
}

// note is the sentence for what a station states.
func (x *viewer) note() string {
	party := x.l.Members().Members[x.row.Entry.Pos.Party]
	switch x.in.Kind {
	case wire.KindGot, wire.KindAlerted, wire.KindRead, wire.KindUnreadable, wire.KindBlobGot:
		st, err := wire.ParseStatement(x.in)
		if err != nil {
			return ""
		}
		var names []string
		for _, r := range st.Refs {
			names = append(names, x.s.nameOf(x.l, r))
		}
		of := strings.Join(names, ", ")
		switch x.in.Kind {
		case wire.KindGot:
			return fmt.Sprintf("%s durably holds %s, ahead of a gap", party, of)
		case wire.KindAlerted:
			return fmt.Sprintf("%s's watch was alerted of %s by %s", party, of, st.Channel)
		case wire.KindRead:
			return fmt.Sprintf("%s opened %s", x.s.officerName(x.l, x.row.Entry.Pos.Party, st.Officer), of)
		case wire.KindBlobGot:
			return fmt.Sprintf("%s durably holds an attachment of %s", party, of)
		}
		return fmt.Sprintf("%s cannot open %s and asks for its key again", party, of)
	case wire.KindReseal:
		var r wire.Reseal
		if wire.Unmarshal(x.in.Content, wire.MaxEntry, &r) == nil {
			return fmt.Sprintf("%s gives the key of %s again", party, x.s.nameOf(x.l, r.Ref))
		}
		return ""
	}
	var n wire.Notice
	if wire.Unmarshal(x.in.Content, wire.MaxEntry, &n) != nil {
		return "of a kind that this release does not know; it is kept as it came"
	}
	return noticeNote(x.in.Kind, n, party)
}

func noticeNote(k wire.Kind, n wire.Notice, party line.Party) string {
	switch k {
	case wire.KindCard:
		return fmt.Sprintf("%s's entries from here on are judged by its card version %d (%x…)", party, n.Version, n.Hash[:min(4, len(n.Hash))])
	case wire.KindAttendance:
		if n.State == 1 {
			return fmt.Sprintf("%s's watch is at the station", party)
		}
		return fmt.Sprintf("%s's station is unattended, by its own word", party)
	case wire.KindThrottle:
		if n.State == 1 {
			return fmt.Sprintf("%s takes only FLASH and IMMEDIATE from party %d for today: its quota is used up", party, n.Party)
		}
		return fmt.Sprintf("%s takes everything from party %d again", party, n.Party)
	case wire.KindEvidence:
		return fmt.Sprintf("%s holds proof that party %d signed two histories", party, n.Party)
	}
	return "of a kind that this release does not know; it is kept as it came"
}

// officerName names an officer by the party's newest card.
func (s *Station) officerName(l *session.Line, party int, number uint16) string {
	code := l.Members().Members[party]
	if card, ok := s.cards.Card(code); ok {
		if o, ok := card.Officer(number); ok {
			return fmt.Sprintf("%s officer %s", code, o.Code)
		}
	}
	return fmt.Sprintf("%s officer number %d", code, number)
}

// ladder lists each step that was proved, and who attests it.
func (x *viewer) ladder(ctx context.Context) ([]control.Rung, error) {
	e, l := x.row.Entry, x.l
	members := l.Members().Members
	var out []control.Rung
	if e.Pos.Party == l.Members().Self {
		out = append(out, control.Rung{Party: members[e.Pos.Party], Step: record.Accepted.String(), Time: e.Received / 1000,
			By: "this station: it survives a crash here, not the loss of the disk"})
	}
	for p := range members {
		if p == e.Pos.Party {
			continue
		}
		r, ok, err := x.delivered(ctx, p)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, r)
		}
	}
	steps := slices.Clone(x.receipts)
	slices.SortStableFunc(steps, func(a, b record.Receipt) int { return int(a.Step) - int(b.Step) })
	for _, r := range steps {
		if r.Step == record.Delivered {
			continue
		}
		out = append(out, control.Rung{Party: members[r.Party], Step: r.Step.String(), Time: int64(r.Time), By: x.attests(r), Source: l.Name(r.Source, 0)})
	}
	return out, nil
}

// delivered finds the proof that a party holds the entry: its cosignature over
// a prefix, or its got statement where that came first.
func (x *viewer) delivered(ctx context.Context, party int) (control.Rung, bool, error) {
	e, l := x.row.Entry, x.l
	code := l.Members().Members[party]
	rung := control.Rung{Party: code, Step: record.Delivered.String()}
	card, ok := x.s.cards.Card(code)
	if !ok {
		return rung, false, nil
	}
	for _, g := range card.Generations {
		c, ok, err := x.s.db.CosigAt(ctx, l.ID(), e.Pos.Log, line.Log{Party: party, Gen: g.Gen}, e.Pos.Seq+1)
		if err != nil {
			return rung, false, err
		}
		if ok && (rung.Time == 0 || int64(c.Time) < rung.Time) {
			rung.Time = int64(c.Time)
			rung.By = fmt.Sprintf("%s's delivery key, over %s's log up to size %d", code, l.Members().Members[e.Pos.Party], c.Size)
		}
	}
	for _, r := range x.receipts {
		if r.Step == record.Delivered && r.Party == party && (rung.Time == 0 || int64(r.Time) <= rung.Time) {
			rung.Time, rung.By, rung.Source = int64(r.Time), fmt.Sprintf("%s's station, which holds it ahead of a gap", code), l.Name(r.Source, 0)
		}
	}
	return rung, rung.Time != 0, nil
}

func (x *viewer) attests(r record.Receipt) string {
	code := x.l.Members().Members[r.Party]
	switch r.Step {
	case record.Understood, record.Holding, record.Answered, record.Declined, record.Queried:
		return x.s.officerName(x.l, r.Party, r.Officer) + ", by signature"
	case record.Read:
		return fmt.Sprintf("%s's station, of %s", code, x.s.officerName(x.l, r.Party, r.Officer))
	}
	return fmt.Sprintf("%s's station", code)
}

// Read opens an entry for an officer, notes it on the record, and returns it
// with its text.
func (s *Station) Read(ctx context.Context, r control.ReadRequest) (control.Item, error) {
	l, err := s.line(r.LineID)
	if err != nil {
		return control.Item{}, err
	}
	o, err := s.officer(r.Officer)
	if err != nil {
		return control.Item{}, err
	}
	e, err := s.held(ctx, l, r.Entry)
	if err != nil {
		return control.Item{}, err
	}
	if e.Pos.Party != l.Members().Self {
		if err := s.noteRead(ctx, l, e, o); err != nil {
			return control.Item{}, err
		}
	}
	return s.item(ctx, l, e)
}

func (s *Station) noteRead(ctx context.Context, l *session.Line, e record.Entry, o keys.OfficerCert) error {
	receipts, err := s.db.Receipts(ctx, l.ID(), []line.Pos{e.Pos})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(receipts, func(r record.Receipt) bool { return r.Step == record.Read && r.Party == l.Members().Self }) {
		return nil
	}
	bs, err := s.db.Bodies(ctx, l.ID(), []line.Pos{e.Pos})
	if err != nil {
		return err
	}
	if len(bs) == 0 || bs[0].Pending || len(bs[0].Box) == 0 {
		return fmt.Errorf("entry %s has not been opened by this station yet, so it cannot be read", l.Name(e.Pos, 0))
	}
	return l.Say(ctx, wire.Inner{Kind: wire.KindRead, Flags: wire.NewFlags(bs[0].Precedence, bs[0].Marking, 0),
		Content: wire.Marshal(wire.Statement{Refs: []wire.Ref{wire.NewRef(e.Pos, e.LeafHash)}, Officer: o.Number})})
}

func (s *Station) item(ctx context.Context, l *session.Line, e record.Entry) (control.Item, error) {
	row := sqlite.OrderedRow{Entry: e}
	bs, err := s.db.Bodies(ctx, l.ID(), []line.Pos{e.Pos})
	if err != nil {
		return control.Item{}, err
	}
	if len(bs) > 0 {
		row.Body, row.Opened = bs[0], true
	}
	v, err := l.View(ctx)
	if err != nil {
		return control.Item{}, err
	}
	items, err := s.items(ctx, l, []sqlite.OrderedRow{row}, v.Settled)
	if err != nil {
		return control.Item{}, err
	}
	return items[0], nil
}

// Attend says on the record whether the watch is at the station.
func (s *Station) Attend(ctx context.Context, r control.AttendRequest) error {
	l, err := s.line(r.LineID)
	if err != nil {
		return err
	}
	o, err := s.officer(r.Officer)
	if err != nil {
		return err
	}
	n := wire.Notice{Officer: o.Number}
	if r.Attended {
		n.State = 1
	}
	return l.Say(ctx, wire.Inner{Kind: wire.KindAttendance, Flags: wire.NewFlags(line.Priority, line.Real, 0), Content: wire.Marshal(n)})
}
