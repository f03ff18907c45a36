package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"herald/internal/control"
	"herald/internal/keys"
)

// said is words that an officer wrote, and what became of them.
type said struct {
	by, to *party
	control.DraftRequest
	english string
	on      *said     // what it is about
	as      keys.Role // who speaks, if not the usual
	quiet   bool      // a test, not shown one by one

	draft     uint64
	entry     string // its name, once it has one
	officers  []string
	delivered time.Duration // until that was known at the sender
	read      string        // which officer of the other side has opened it
	alerted   bool
}

// owes reports whether the other side's watch has to open it.
func (s *said) owes() bool { return s.Kind == "message" || s.Kind == "answer" }

// urgent reports whether it rings.
func (s *said) urgent() bool { return s.Precedence == "flash" || s.Precedence == "immediate" }

// other is the party on the other side.
func (d *drill) other(p *party) *party {
	if p == d.parties[0] {
		return d.parties[1]
	}
	return d.parties[0]
}

// speak has a party's officers write, sign and release words. While the line
// works it follows them until the other side's watch has read them.
func (d *drill) speak(ctx context.Context, s *said) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.to = d.other(s.by)
	if s.on != nil {
		s.Refs = []string{s.on.entry}
	}
	tail, err := d.tail(ctx, s.by)
	if err != nil {
		return err
	}
	began, err := d.release(ctx, s)
	if err != nil {
		return fmt.Errorf("%s writes %q: %w", s.by.Centre, s.Text, err)
	}
	d.said = append(d.said, s)
	if s.entry != "" {
		if err := d.awaitStep(ctx, s, tail, "delivered"); err != nil {
			return err
		}
		s.delivered = time.Since(began)
		if s.Precedence == "flash" {
			d.flash = append(d.flash, s.delivered)
		}
		if err := d.attend(ctx, s, tail); err != nil {
			return err
		}
	}
	if !s.quiet {
		d.page.said(s)
	}
	return nil
}

// release drafts the words and signs the statement with as many officers as
// the charter asks for. It returns when the last signature was handed in.
func (d *drill) release(ctx context.Context, s *said) (began time.Time, err error) {
	s.Line, s.LineID = d.line, d.line.String()
	s.Officer = s.by.officers[keys.RoleWatch].Code()
	s.Token = rand.Text()
	dr, err := s.by.station.Draft(ctx, s.DraftRequest)
	if err != nil {
		return began, err
	}
	s.draft = dr.ID
	who := s.signers(dr)
	if len(who) < dr.Need {
		return began, fmt.Errorf("the charter asks for %d officers of role %s", dr.Need, strings.Join(dr.Roles, ", "))
	}
	for _, o := range who {
		began = time.Now()
		out, err := s.by.station.Release(ctx, control.ReleaseRequest{Draft: dr.ID, Officer: o.Code(), Signature: o.Sign(dr.Statement)})
		if err != nil {
			return began, err
		}
		s.officers = append(s.officers, string(o.Code()))
		if out.Accepted {
			s.entry = out.Entry
			return began, nil
		}
	}
	return began, errors.New("the words were released by all that the charter asks for, and are not accepted")
}

// signers chooses who releases: who is to speak, then whoever else may.
func (s *said) signers(dr control.Draft) (who []*keys.Officer) {
	order := []keys.Role{s.as, keys.RoleRelease, keys.RolePrincipal, keys.RoleWatch}
	if !s.owes() && s.Kind != "decline" {
		order = append([]keys.Role{keys.RoleWatch}, order...) // the watch's own acts
	}
	for _, r := range order {
		o := s.by.officers[r]
		if o != nil && slices.Contains(dr.Roles, string(r)) && !slices.Contains(who, o) && len(who) < dr.Need {
			who = append(who, o)
		}
	}
	return who
}

// attend has the other side's watch do what it owes: be called, and open it.
func (d *drill) attend(ctx context.Context, s *said, tail string) error {
	if !s.owes() {
		return nil
	}
	if s.urgent() {
		if err := d.awaitStep(ctx, s, tail, "alerted"); err != nil {
			return err
		}
		s.alerted = true
	}
	if err := d.open(ctx, s); err != nil {
		return err
	}
	return d.awaitStep(ctx, s, tail, "read")
}

// open has the other side's watch open the words, and compares them.
func (d *drill) open(ctx context.Context, s *said) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	watch := s.to.officers[keys.RoleWatch].Code()
	var it control.Item
	var version uint64
	for wait := false; ; wait = true {
		page, err := s.to.station.Record(ctx, control.RecordRequest{LineID: s.LineID, Max: 1, Wait: wait, Version: version})
		if err != nil {
			return err
		}
		version = page.Version
		if it, err = s.to.station.Read(ctx, control.ReadRequest{LineID: s.LineID, Entry: s.entry, Officer: watch}); err == nil {
			break
		}
		var refused *control.Error // it may not be opened yet
		if !errors.As(err, &refused) || ctx.Err() != nil {
			return err
		}
	}
	if it.Text != s.Text {
		return fmt.Errorf("%s wrote %q and %s reads %q", s.by.Centre, s.Text, s.to.Centre, it.Text)
	}
	s.read = string(watch)
	return nil
}

// tail is the cursor behind all that a party's record now has.
func (d *drill) tail(ctx context.Context, p *party) (after string, err error) {
	_, after, err = d.record(ctx, p, "")
	return after, err
}

// record reads a party's record behind a cursor to its end.
func (d *drill) record(ctx context.Context, p *party, after string) (items []control.Item, end string, err error) {
	for {
		page, err := p.station.Record(ctx, control.RecordRequest{LineID: d.line.String(), After: after})
		if err != nil {
			return nil, "", err
		}
		items = append(items, page.Items...)
		if len(page.Items) == 0 || page.Next == "" || page.Next == after {
			return items, after, nil
		}
		after = page.Next
	}
}

// awaitStep waits at the author until a step of the words is proved there.
func (d *drill) awaitStep(ctx context.Context, s *said, after, step string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var version uint64
	for wait := false; ; wait = true {
		page, err := s.by.station.Record(ctx, control.RecordRequest{LineID: s.LineID, After: after, Wait: wait, Version: version})
		if err != nil {
			return fmt.Errorf("%s waits for %s to be %s: %w", s.by.Centre, s.entry, step, err)
		}
		version = page.Version
		for _, it := range page.Items {
			if it.Entry == s.entry && slices.ContainsFunc(it.Ladder, func(r control.Rung) bool { return r.Step == step && r.Party == s.to.Code }) {
				return nil
			}
		}
	}
}

// name asks what became of words that were queued: their entry's name, or "".
func (d *drill) name(ctx context.Context, s *said) error {
	if s.entry != "" {
		return nil
	}
	out, err := s.by.station.Release(ctx, control.ReleaseRequest{Draft: s.draft, Officer: s.Officer})
	s.entry = out.Entry
	return err
}
