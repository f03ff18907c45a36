package station

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
	"herald/internal/store/sqlite"
)

// skewWarned is how many seconds apart two clocks may be before it is said.
const skewWarned = 30

// dutiesWatched is how many of each party's newest messages are looked at for
// what is unread and overdue.
const dutiesWatched = 1024

// expiryAhead is how early a station warns that a key or certificate ends.
const expiryAhead = 30 * 24 * time.Hour

// Status is the station at a glance.
func (s *Station) Status(ctx context.Context) (control.Status, error) {
	card, _ := s.cards.Card(s.cards.self)
	s.mu.Lock()
	st := control.Status{Party: s.cards.self, Station: s.keys.Name, Serving: s.serving, Now: s.o.Now().Unix(), Gen: uint32(s.own.Gen)}
	lines := make([]*session.Line, 0, len(s.lines))
	for _, l := range s.lines {
		lines = append(lines, l)
	}
	s.mu.Unlock()
	st.Warnings = card.Warnings(s.o.Now(), expiryAhead)
	for _, c := range s.cards.all() {
		if c.Party != s.cards.self {
			for _, w := range c.Warnings(s.o.Now(), expiryAhead) {
				st.Warnings = append(st.Warnings, string(c.Party)+": "+w)
			}
		}
	}
	slices.SortFunc(lines, func(a, b *session.Line) int { return strings.Compare(a.ID().String(), b.ID().String()) })
	for _, l := range lines {
		info, err := s.lineInfo(ctx, l)
		if err != nil {
			return st, err
		}
		st.Lines = append(st.Lines, info)
	}
	return st, nil
}

func (s *Station) lineInfo(ctx context.Context, l *session.Line) (control.LineInfo, error) {
	v, err := l.View(ctx)
	if err != nil {
		return control.LineInfo{}, err
	}
	m := l.Members()
	out := control.LineInfo{ID: l.ID(), Line: l.ID().String(), Title: l.Charter().Title, Parties: m.Members,
		Signing: v.Held == "", Held: v.Held, Queued: v.Queued}
	for _, lv := range v.Logs {
		out.Logs = append(out.Logs, logInfo(m, lv))
	}
	for p, code := range m.Members {
		if p != m.Self {
			out.Peers = append(out.Peers, s.peerInfo(v, p, code))
		}
	}
	drafts, err := s.Drafts(ctx, l.ID())
	if err != nil {
		return out, err
	}
	out.Drafts = len(drafts)
	if err := s.proofs(ctx, l, &out); err != nil {
		return out, err
	}
	declined, err := s.duties(ctx, l, &out)
	if err != nil {
		return out, err
	}
	for _, p := range out.Peers {
		if p.Skew > skewWarned || p.Skew < -skewWarned {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s's clock is %s %s ours: claimed times differ by that much", p.Party, (time.Duration(max(p.Skew, -p.Skew))*time.Second), map[bool]string{true: "ahead of", false: "behind"}[p.Skew > 0]))
		}
	}
	out.State, out.Why = lineState(out, v, declined)
	return out, nil
}

func logInfo(m record.Line, lv session.LogView) control.LogInfo {
	out := control.LogInfo{Party: m.Members[lv.Log.Party], Gen: uint32(lv.Log.Gen), Size: lv.Size, Ahead: lv.Ahead,
		Head: lv.Head.Size, Root: lv.Head.Root.String(), Cosigned: map[string]uint64{}}
	for _, c := range lv.Cosigned {
		code := string(m.Members[c.Party])
		out.Cosigned[code] = max(out.Cosigned[code], c.Size)
	}
	return out
}

func (s *Station) peerInfo(v session.View, p int, code line.Party) control.PeerInfo {
	out := control.PeerInfo{Party: code, Attended: "not said"}
	if said, ok := v.Said[p]; ok {
		out.Attended = map[bool]string{true: "attended", false: "unattended"}[said.Attended]
	}
	for _, lv := range v.Logs {
		if lv.Log == v.Own {
			out.Delivered = lv.Delivered[p]
		}
	}
	out.Skew = int64(v.Skew[p] / time.Second)
	if c, ok := s.cards.Card(code); ok {
		out.Card = c.Version
	}
	for _, pv := range v.Peers {
		if pv.Party == p {
			out.Bearers = append(out.Bearers, s.bearerInfo(pv))
		}
	}
	if len(out.Bearers) == 0 {
		s.mu.Lock()
		if _, ok := s.o.Peers[code]; ok {
			out.Bearers = append(out.Bearers, control.BearerInfo{Name: "direct", Error: s.dials[code]})
		}
		s.mu.Unlock()
	}
	return out
}

func (s *Station) bearerInfo(pv session.PeerView) control.BearerInfo {
	s.mu.Lock()
	c := s.conns[pv.Conn]
	s.mu.Unlock()
	out := control.BearerInfo{Name: pv.Bearer, Up: pv.Ready, Error: pv.Refusal}
	if !pv.Heard.IsZero() {
		out.LastFrame = pv.Heard.Unix()
	}
	if c != nil {
		st := c.conn.State()
		out.Since, out.RoundTrip = st.Since.Unix(), float64(st.RTT.Microseconds())/1000
		if !st.Heard.IsZero() {
			out.LastFrame = st.Heard.Unix()
		}
	}
	return out
}

func (s *Station) proofs(ctx context.Context, l *session.Line, out *control.LineInfo) error {
	ps, err := s.db.Proofs(ctx, l.ID())
	if err != nil {
		return err
	}
	for _, p := range ps {
		code := l.Members().Members[p.Log.Party]
		if p.Proven {
			out.Proofs = append(out.Proofs, fmt.Sprintf("%s signed two histories of its log (%s): proven, and kept for herald audit", code, p.Text))
		} else {
			out.Proofs = append(out.Proofs, fmt.Sprintf("unproven inconsistency of %s: %s", code, p.Text))
		}
	}
	return nil
}

// duties counts what is unread and lists what is overdue by this station's
// own clock. Overdue is a view, never an entry. It returns whether the newest
// owed answer was declined.
func (s *Station) duties(ctx context.Context, l *session.Line, out *control.LineInfo) (declined bool, err error) {
	rows, err := s.db.Newest(ctx, l.ID(), len(l.Members().Members), dutiesWatched)
	if err != nil {
		return false, err
	}
	at := make([]line.Pos, len(rows))
	for i, r := range rows {
		at[i] = r.Entry.Pos
	}
	receipts, err := s.db.Receipts(ctx, l.ID(), at)
	if err != nil {
		return false, err
	}
	of := map[line.Pos][]record.Receipt{}
	for _, r := range receipts {
		of[r.Target] = append(of[r.Target], r)
	}
	newest := true // the newest own message decides whether the line is declined
	for _, r := range rows {
		if !r.Body.Kind.Owes() || r.Body.Pending {
			continue
		}
		no := s.duty(l, r, of[r.Entry.Pos], s.o.Now().Unix(), out)
		if r.Entry.Pos.Party == l.Members().Self && newest {
			declined, newest = no, false
		}
	}
	return declined, nil
}

// duty looks at one message: who has read, answered or declined it. It
// returns whether it is an own message that was declined.
func (s *Station) duty(l *session.Line, r sqlite.OrderedRow, receipts []record.Receipt, now int64, out *control.LineInfo) (declined bool) {
	m := l.Members()
	done := map[int]record.Step{}
	read := false
	for _, rc := range receipts {
		if !rc.Good {
			continue
		}
		switch rc.Step {
		case record.Answered, record.Declined, record.Holding:
			done[rc.Party] = rc.Step
		case record.Read:
			read = read || rc.Party == m.Self
		}
	}
	if r.Entry.Pos.Party != m.Self && !read {
		out.Unread++
	}
	if !r.Body.Kind.AsksAnswer() {
		return false
	}
	due := r.Entry.Received/1000 + int64(l.Charter().Precedence(r.Body.Precedence).Answer/time.Second)
	for p, code := range m.Members {
		if p == r.Entry.Pos.Party {
			continue
		}
		step := done[p]
		declined = declined || step == record.Declined && r.Entry.Pos.Party == m.Self
		if step == 0 && now > due && len(out.Overdue) < 100 {
			out.Overdue = append(out.Overdue, fmt.Sprintf("%s is not answered by %s, %s past its time by this station's clock",
				l.Name(r.Entry.Pos, r.Body.Number), code, (time.Duration(now-due)*time.Second).Round(time.Minute)))
		}
	}
	return declined
}

// lineState chooses the line's word and says why, with exactly the evidence
// that exists.
func lineState(out control.LineInfo, v session.View, declined bool) (state, why string) {
	up, unattended, total := 0, []string{}, len(out.Peers)
	for _, p := range out.Peers {
		if slices.ContainsFunc(p.Bearers, func(b control.BearerInfo) bool { return b.Up }) {
			up++
		}
		if p.Attended == "unattended" {
			unattended = append(unattended, string(p.Party))
		}
	}
	switch {
	case v.Held != "":
		return "degraded", "This station does not sign: " + v.Held + "."
	case up == 0:
		return "down", "No bearer reaches another party. This is our own observation: it does not tell a fault from a refusal. What is sent waits here, and a courier can carry it."
	case len(unattended) > 0:
		return "unattended", strings.Join(unattended, " and ") + " said, signed, that nobody is at the station. Delivery still works."
	case declined:
		return "declined", "The other side's officer declined to answer, and signed it. The line works."
	case len(out.Overdue) > 0:
		return "unanswered", "Delivered, and the charter's time for an answer is past by our clock: " + out.Overdue[0] + ". The line works; this is not a fault of it."
	case up < total:
		return "degraded", fmt.Sprintf("%d of %d parties are reached directly; entries for the others go by way of those.", up, total)
	}
	return "up", "Every party is reached, and what is sent is cosigned."
}

// Cards lists the cards held.
func (s *Station) Cards(context.Context) ([]control.CardInfo, error) {
	var out []control.CardInfo
	for _, c := range s.cards.all() {
		out = append(out, s.cardInfo(c))
	}
	return out, nil
}

func (s *Station) cardInfo(c *keys.Card) control.CardInfo {
	h := c.Hash()
	out := control.CardInfo{Party: c.Party, Name: c.Name, Version: c.Version, Hash: fmt.Sprintf("%x", h),
		Own: c.Party == s.cards.self, Warnings: c.Warnings(s.o.Now(), expiryAhead)}
	if own, ok := s.cards.Card(s.cards.self); ok && !out.Own {
		out.Words = keys.SafetyWords(own.Root, c.Root)
	}
	return out
}

// ImportCard takes another party's card, or a newer own one.
func (s *Station) ImportCard(_ context.Context, note []byte) (control.CardInfo, error) {
	c, err := s.cards.introduce(note)
	if err != nil {
		return control.CardInfo{}, err
	}
	return s.cardInfo(c), nil
}

// Closing tells where this station's logs stand.
func (s *Station) Closing(ctx context.Context) ([]control.Closing, error) {
	s.mu.Lock()
	lines := make([]*session.Line, 0, len(s.lines))
	for _, l := range s.lines {
		lines = append(lines, l)
	}
	s.mu.Unlock()
	var out []control.Closing
	for _, l := range lines {
		v, err := l.View(ctx)
		if err != nil {
			return nil, err
		}
		for _, lv := range v.Logs {
			if lv.Log == v.Own && lv.Size > 0 {
				out = append(out, control.Closing{Line: l.ID().String(), Gen: uint32(lv.Log.Gen), Size: lv.Head.Size, Root: lv.Head.Root.String()})
			}
		}
	}
	slices.SortFunc(out, func(a, b control.Closing) int { return strings.Compare(a.Line, b.Line) })
	return out, nil
}
