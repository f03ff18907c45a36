package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"herald/internal/control"
)

// width is the widest that a line of the story gets, in columns.
const width = 96

// Styles of text, as terminals know them.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
)

// page tells the story to a person.
type page struct {
	ctx    context.Context
	fail   context.CancelCauseFunc // ends the demo when nobody reads on
	o      Options
	actors []Actor
	title  string
}

func newPage(ctx context.Context, fail context.CancelCauseFunc, o Options, e *Episode) *page {
	return &page{ctx: ctx, fail: fail, o: o, actors: e.Parties, title: e.Title}
}

// style marks a text where colours are wanted.
func (p *page) style(s, text string) string {
	if !p.o.Colour || s == "" || text == "" {
		return text
	}
	return "\x1b[" + s + "m" + text + "\x1b[0m"
}

// put writes one line.
func (p *page) put(indent int, text string) {
	_, err := fmt.Fprintln(p.o.Out, strings.TrimRight(strings.Repeat(" ", indent)+text, " "))
	if err != nil {
		p.fail(fmt.Errorf("nobody reads on: %w", err))
	}
}

// paragraph writes wrapped text in one style.
func (p *page) paragraph(indent int, style, text string) {
	for _, l := range wrap(text, width-indent) {
		p.put(indent, p.style(style, l))
	}
}

// breathe lets a person read.
func (p *page) breathe() {
	if !p.o.Person {
		return
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ctx.Done():
	}
}

// heading begins a part.
func (p *page) heading(text string) {
	p.put(0, "")
	p.put(2, p.style(dim, "── ")+p.style(bold, text)+" "+p.style(dim, strings.Repeat("─", max(0, width-6-columns(text)))))
	p.put(0, "")
}

func (p *page) parties(d *drill) {
	p.put(0, "")
	p.put(2, p.style(bold, "Herald")+": a line that stays open between parties that do not trust each other.")
	p.put(2, p.style(dim, p.title+". A drill, marked EXERCISE throughout."))
	p.heading("Two parties meet")
	for i, x := range d.parties {
		name := x.Name
		if x.English != "" {
			name += "  " + x.English
		}
		p.put(4, p.style(p.hue(i), pad(string(x.Code), 4)+pad(x.Centre, 13))+name)
		codes := []string{}
		for _, r := range duties() {
			codes = append(codes, string(x.officers[r].Code()))
		}
		p.put(21, p.style(dim, "officers "+strings.Join(codes, ", ")))
	}
}

// hue is a party's colour.
func (p *page) hue(i int) string { return []string{blue, red}[i] }

func (p *page) met(words []string) {
	p.put(0, "")
	p.put(4, "Cards exchanged. Safety words, read to each other by voice, are the same on both sides:")
	for i := 0; i+5 < len(words); i += 6 {
		p.put(6, p.style(dim, strings.Join(words[i:i+6], "  ")))
	}
}

func (p *page) agreed(d *drill) {
	p.put(0, "")
	p.put(4, "A charter is drawn up in both languages, equally authentic, and signed by both.")
	if d.o.Keep {
		p.put(6, p.style(dim, d.path("charter.signed")))
	}
	p.breathe()
}

func (p *page) started(d *drill) {
	p.put(4, fmt.Sprintf("Two stations and the network between them, %s processes of their own:", count(len(d.processes))))
	ids := []string{}
	for _, x := range d.processes {
		ids = append(ids, fmt.Sprintf("%s %d", x.name, x.cmd.Process.Pid))
	}
	p.put(6, p.style(dim, strings.Join(ids, "  ·  ")))
	p.breathe()
}

// count is a small number as a word.
func count(n int) string {
	if words := []string{"no", "one", "two", "three", "four", "five"}; n < len(words) {
		return words[n]
	}
	return fmt.Sprint(n)
}

func (p *page) signedOn(d *drill) {
	p.heading("The line " + d.line.Short() + " is up")
	p.put(4, "Both watches sign on.")
}

func (p *page) tested(typical time.Duration, n int) {
	p.put(4, fmt.Sprintf("Line test: %d FLASH both ways. Submitted to known delivered at the sender: %s.", n, p.style(bold, ms(typical))))
	p.breathe()
}

func ms(t time.Duration) string { return fmt.Sprintf("%.1f ms", float64(t)/float64(time.Millisecond)) }

// event begins an event under its date.
func (p *page) event(e Event) {
	p.put(0, "")
	day, err := time.Parse(time.DateOnly, e.At)
	date := e.At
	if err == nil {
		date = day.Format("2 Jan 2006")
	}
	style := bold
	if e.Kind == "network" {
		style = bold + ";" + yellow
	}
	p.put(2, p.style(dim, pad(date, 14))+p.style(style, e.Title))
	if e.Note != "" {
		p.paragraph(16, dim, e.Note)
	}
	p.breathe()
}

// way draws an arrow from the author to the other side.
func (p *page) way(s *said, arrow string) string {
	left, right := p.style(blue, p.actors[0].Centre), p.style(red, p.actors[1].Centre)
	if s.by.Code == p.actors[0].Code {
		return left + " " + arrow + " " + right
	}
	return left + " " + mirrored(arrow) + " " + right
}

// mirrored turns an arrow round.
func mirrored(arrow string) string {
	out := ""
	for _, r := range arrow {
		if r == '▶' {
			r = '◀'
		}
		out = string(r) + out
	}
	return out
}

// kind says what is written.
func kind(s *said) string {
	if s.on == nil {
		if s.Kind == "service" {
			return "between operators"
		}
		return strings.ToUpper(s.Precedence)
	}
	verb := map[string]string{"understood": "understood", "hold": "holding reply to", "answer": "answers", "decline": "declines"}[s.Kind]
	return verb + " " + s.on.entry
}

// head is the first line about words, with more behind it.
func (p *page) head(s *said, arrow string, more ...string) {
	name := s.entry
	if name == "" {
		name = "–"
	}
	what := kind(s)
	if s.Kind == "message" && s.urgent() {
		what = p.style(bold, what)
	}
	p.put(4, p.way(s, arrow)+"   "+pad(name, 9)+what+"  "+p.style(dim, strings.Join(append([]string{strings.ToUpper(s.Marking)}, more...), " · ")))
}

// text shows words, and what they mean in English beside them.
func (p *page) text(s *said) {
	if s.english == "" {
		for _, l := range wrap(s.Text, width-12) {
			p.put(12, l)
		}
		return
	}
	const column = 38
	own, english := wrap(s.Text, column), wrap(s.english, width-12-column-4)
	for i := range max(len(own), len(english)) {
		p.put(12, pad(at(own, i), column+4)+p.style(dim, at(english, i)))
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// said shows words, and how far they have got.
func (p *page) said(s *said) {
	steps := []string{"signed " + strings.Join(s.officers, " + ")}
	arrow := "──▶"
	if s.entry == "" {
		arrow = "─╳ "
		steps = append(steps, "accepted: durable here, and queued")
	} else {
		steps = append(steps, "delivered in "+ms(s.delivered))
	}
	if s.alerted {
		steps = append(steps, "alerted")
	}
	if s.read != "" {
		steps = append(steps, "read "+s.read)
	}
	if s.Text == "" {
		p.head(s, arrow, steps[0])
	} else {
		p.head(s, arrow)
		p.text(s)
		p.paragraph(12, dim, strings.Join(steps, " · "))
	}
	p.breathe()
}

func (p *page) attached(s *said, a control.Attachment) {
	p.put(12, p.style(dim, fmt.Sprintf("%s, %d bytes, went sealed and apart, and is whole at %s", a.Name, a.Length, s.to.Centre)))
}

// down shows what each station says of the line.
func (p *page) down(d *drill, says [2]string) {
	both := ""
	for i, x := range d.parties {
		both += x.Centre + " says " + p.style(yellow, says[i]) + ".  "
	}
	p.put(16, both)
	p.paragraph(16, dim, "Each by its own observation, which cannot tell a fault from a refusal.")
	p.breathe()
}

func (p *page) carried(from, to *party, bytes int64, fresh int) {
	p.paragraph(16, "", fmt.Sprintf("%s → %s, one file of %d bytes: %s new. The same file once more: 0 new.", from.Centre, to.Centre, bytes, entries(fresh)))
	p.breathe()
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// arrived shows words that had waited.
func (p *page) arrived(s *said, down bool) {
	arrow, how := "──▶", "from the queue"
	if down {
		arrow, how = "┄┄▶", "by courier"
	}
	more := []string{how}
	if s.read != "" {
		more = append(more, "read "+s.read)
	}
	p.head(s, arrow, more...)
	if s.Text != "" {
		p.put(12, p.style(dim, shorten(s.Text, width-12)))
	}
	p.breathe()
}

// shorten is the beginning of a text on one line.
func shorten(text string, width int) string {
	lines := wrap(text, width-2)
	if len(lines) > 1 {
		return lines[0] + " …"
	}
	return lines[0]
}

func (p *page) healed(seconds float64) {
	p.paragraph(16, "", fmt.Sprintf("The line is up again at both after %.2f s, by itself. What had waited goes, each side's most urgent first:", seconds))
	p.breathe()
}
