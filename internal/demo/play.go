package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
)

// tests is how many line tests each side sends before the episode.
const tests = 4

// signOn has both watches say on the record that they are there.
func (d *drill) signOn(ctx context.Context) error {
	d.result.Line = d.line.String()
	for _, p := range d.parties {
		watch := p.officers[keys.RoleWatch].Code()
		if err := p.station.Attend(ctx, control.AttendRequest{LineID: d.line.String(), Officer: watch, Attended: true}); err != nil {
			return err
		}
	}
	for _, p := range d.parties {
		if err := until(ctx, p.Centre+" knows that the other watch is there", func() (bool, error) {
			l, err := d.status(ctx, p)
			return err == nil && len(l.Peers) == 1 && l.Peers[0].Attended == "attended", err
		}); err != nil {
			return err
		}
	}
	d.page.signedOn(d)
	return nil
}

// test sends FLASHes marked TEST both ways, as a line is tested.
func (d *drill) test(ctx context.Context) error {
	for i := range tests {
		for _, p := range d.parties {
			s := &said{by: p, quiet: true, DraftRequest: control.DraftRequest{Kind: "message", Precedence: "flash", Marking: "test",
				Text: fmt.Sprintf("Line test %d of %d.", i+1, tests)}}
			if err := d.speak(ctx, s); err != nil {
				return err
			}
		}
	}
	d.page.tested(median(d.flash), len(d.flash))
	return nil
}

func median(of []time.Duration) time.Duration {
	if len(of) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(of))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// play replays the episode.
func (d *drill) play(ctx context.Context) error {
	for _, e := range d.ep.Events {
		d.page.event(e)
		if err := d.event(ctx, e); err != nil {
			return fmt.Errorf("%s, %s: %w", e.At, e.Title, err)
		}
		for _, m := range e.Then {
			if err := d.move(ctx, m); err != nil {
				return fmt.Errorf("%s, %s: %w", e.At, e.Title, err)
			}
		}
	}
	return nil
}

func (d *drill) party(c line.Party) *party {
	for _, p := range d.parties {
		if p.Code == c {
			return p
		}
	}
	return nil // an episode names none but its parties, which parsing has checked
}

func (d *drill) event(ctx context.Context, e Event) error {
	if e.Kind == "network" {
		switch e.Act {
		case "cut":
			return d.cut(ctx)
		case "heal":
			return d.heal(ctx)
		case "courier":
			return d.courier(ctx, d.party(e.By))
		}
		return fmt.Errorf("act %q: want cut, heal or courier", e.Act)
	}
	text, english := e.words()
	s := &said{by: d.party(e.By), english: english, DraftRequest: control.DraftRequest{
		Kind: "message", Precedence: e.Precedence, Marking: "exercise", Text: text,
	}}
	if e.Attach == "" {
		return d.speak(ctx, s)
	}
	return d.attach(ctx, s, e.Attach)
}

// attach sends words with a picture, and compares what arrives.
func (d *drill) attach(ctx context.Context, s *said, name string) error {
	picture, err := encounter()
	if err != nil {
		return err
	}
	a, err := s.by.station.PutBlob(ctx, d.line, name, bytes.NewReader(picture))
	if err != nil {
		return err
	}
	s.Blobs = []control.Attachment{a}
	if err := d.speak(ctx, s); err != nil {
		return err
	}
	if err := until(ctx, "the picture is whole at "+s.to.Centre, func() (bool, error) {
		var got bytes.Buffer
		err := s.to.station.GetBlob(ctx, d.line, a.Root, &got)
		var refused *control.Error // it may not be complete yet
		if errors.As(err, &refused) {
			return false, nil
		}
		if err == nil && !bytes.Equal(got.Bytes(), picture) {
			err = errors.New("the picture is not the one that was sent")
		}
		return err == nil, err
	}); err != nil {
		return err
	}
	d.page.attached(s, a)
	return nil
}

// move is what a desk does next. It is about what the other side wrote last
// and awaits an act on.
func (d *drill) move(ctx context.Context, m Move) error {
	s := &said{by: d.party(m.By), english: m.English, as: m.As, DraftRequest: control.DraftRequest{
		Kind: m.Do, Precedence: "routine", Marking: "exercise", Text: m.Text,
	}}
	if m.Do != "service" {
		s.on = d.lastOf(d.other(s.by))
		if s.on == nil {
			return errors.New("there is nothing to reply to")
		}
		s.Precedence = s.on.Precedence
	}
	if m.AnswerBy > 0 {
		s.AnswerBy = time.Now().Add(m.AnswerBy).Unix()
	}
	return d.speak(ctx, s)
}

// lastOf is the last message of a party that the other side has read.
func (d *drill) lastOf(p *party) *said {
	for _, s := range slices.Backward(d.said) {
		if s.by == p && s.Kind == "message" && s.read != "" {
			return s
		}
	}
	return nil
}

func (d *drill) network(command string) error {
	_, err := d.cable.WriteString(command + "\n")
	return err
}

// cut breaks the network.
func (d *drill) cut(ctx context.Context) error {
	if err := d.network("cut"); err != nil {
		return err
	}
	d.down = true
	if err := d.awaitState(ctx, "down"); err != nil {
		return err
	}
	var says [2]string
	for i, p := range d.parties {
		l, err := d.status(ctx, p)
		if err != nil {
			return err
		}
		says[i] = l.State
	}
	d.page.down(d, says)
	return nil
}

// carried finds the counts that the courier's verbs print.
var carried = regexp.MustCompile(`(\d+) entr(?:y|ies), (\d+) of them new`)

// courier carries what a party has accepted to the other side, in a file. The
// file is taken in twice: a courier may come twice.
func (d *drill) courier(ctx context.Context, from *party) error {
	to := d.other(from)
	bag := d.path("courier")
	if err := os.MkdirAll(bag, 0o700); err != nil {
		return err
	}
	file := d.path("courier", strings.ToLower(string(from.Code))+".courier")
	if _, err := d.herald(ctx, from, "courier", "export", "--to", string(to.Code), file); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	var fresh [2]int
	for i := range fresh {
		out, err := d.herald(ctx, to, "courier", "import", file)
		if err != nil {
			return err
		}
		m := carried.FindStringSubmatch(out)
		if m == nil {
			return fmt.Errorf("herald courier import says %q", out)
		}
		if fresh[i], err = strconv.Atoi(m[2]); err != nil {
			return err
		}
	}
	if fresh[0] == 0 || fresh[1] != 0 {
		return fmt.Errorf("the courier's file brought %d new entries, and again %d", fresh[0], fresh[1])
	}
	d.page.carried(from, to, info.Size(), fresh[0])
	for _, s := range d.said {
		if s.by == from && s.entry == "" {
			if err := d.name(ctx, s); err != nil {
				return err
			}
			if err := d.arrived(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// arrived has the other side's watch open words that came late, and shows it.
func (d *drill) arrived(ctx context.Context, s *said) error {
	if s.entry == "" {
		return fmt.Errorf("%s's %q has no number yet, though it was carried", s.by.Centre, s.Text)
	}
	if s.owes() {
		if err := d.open(ctx, s); err != nil {
			return err
		}
	}
	d.page.arrived(s, d.down)
	return nil
}

// heal mends the network. The line comes up by itself, and what was waiting
// goes, in its order, once.
func (d *drill) heal(ctx context.Context) error {
	var late []*said
	for _, s := range d.said {
		if s.entry == "" {
			late = append(late, s)
		}
	}
	began := time.Now()
	if err := d.network("heal"); err != nil {
		return err
	}
	if err := d.awaitState(ctx, "up"); err != nil {
		return err
	}
	d.down = false
	d.result.ReconnectS = time.Since(began).Seconds()
	d.page.healed(d.result.ReconnectS)
	for _, s := range late {
		if err := until(ctx, s.by.Centre+"'s queue is sent", func() (bool, error) {
			err := d.name(ctx, s)
			return s.entry != "", err
		}); err != nil {
			return err
		}
		if err := d.awaitStep(ctx, s, "", "delivered"); err != nil {
			return err
		}
	}
	if err := d.sortAsSent(ctx, late); err != nil {
		return err
	}
	for _, s := range late {
		if err := d.arrived(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// sortAsSent puts words into the order in which the record has them.
func (d *drill) sortAsSent(ctx context.Context, list []*said) error {
	items, _, err := d.record(ctx, d.parties[0], "")
	if err != nil {
		return err
	}
	at := map[string]int{}
	for i, it := range items {
		at[it.Entry] = i
	}
	slices.SortFunc(list, func(a, b *said) int { return at[a.entry] - at[b.entry] })
	return nil
}
