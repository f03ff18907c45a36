package demo

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/wire"
)

//go:embed episode/june-2023.yaml
var june2023 []byte

// Episode is what happened, and what desks write on the line about it.
type Episode struct {
	ID      string
	Title   string
	Parties []Actor
	Events  []Event
}

// Actor is a party of an episode.
type Actor struct {
	Code      line.Party
	Name      string
	English   string `yaml:"en"` // the name, where it is not English
	Centre    string // its capital
	Languages []string
}

// Event is one thing that happened, or a turn of the drill (kind: network).
type Event struct {
	At         string // a date
	Title      string
	Note       string
	Kind       string // incident, engagement, call, agenda, readout, network
	By         line.Party
	Precedence string

	Form    string
	Summary string
	Act     string
	What    string
	Why     string
	When    []string
	Outcome string
	With    []string
	Of      string
	Agenda  []Item
	Points  []string
	// Original is what the party itself wrote where it is not English; Points
	// then is the English beside it.
	Original []string
	AgreedBy []line.Party `yaml:"agreed_by"`

	Text   string // what the desk writes, where it is not the summary
	Attach string // the name of a picture to go with it
	Then   []Move
}

// Item is one point of an agenda.
type Item struct {
	By   line.Party
	Kind string
	Text string
}

// Move is what a desk does after an event.
type Move struct {
	By       line.Party
	Do       string // understood, hold, answer, decline, service
	As       keys.Role
	Text     string
	English  string        `yaml:"en"`
	AnswerBy time.Duration `yaml:"answer_by"`
}

// June2023 returns the episode that is built in.
func June2023() (*Episode, error) { return parseEpisode(june2023) }

// parseEpisode reads an episode. A name that it does not know is refused.
func parseEpisode(b []byte) (*Episode, error) {
	var e Episode
	if err := yaml.UnmarshalWithOptions(b, &e, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("episode: %w", err)
	}
	if len(e.Parties) != 2 {
		return nil, fmt.Errorf("episode %s has %d parties: the demo plays two", e.ID, len(e.Parties))
	}
	for _, ev := range e.Events {
		if err := e.check(ev); err != nil {
			return nil, fmt.Errorf("episode %s, %s %q: %w", e.ID, ev.At, ev.Title, err)
		}
	}
	return &e, nil
}

func (e *Episode) check(ev Event) error {
	if _, err := time.Parse(time.DateOnly, ev.At); err != nil {
		return err
	}
	if ev.Kind == "network" {
		return e.checkMoves(ev)
	}
	if _, ok := e.actor(ev.By); !ok {
		return fmt.Errorf("by %q: no such party", ev.By)
	}
	if _, err := line.ParsePrecedence(ev.Precedence); err != nil {
		return err
	}
	text, _ := ev.words()
	if text == "" {
		return fmt.Errorf("kind %q says nothing", ev.Kind)
	}
	if err := wire.CheckText(text, wire.MaxText); err != nil {
		return err
	}
	return e.checkMoves(ev)
}

func (e *Episode) checkMoves(ev Event) error {
	for _, m := range ev.Then {
		if _, ok := e.actor(m.By); !ok {
			return fmt.Errorf("by %q: no such party", m.By)
		}
		switch m.Do {
		case "understood", "hold":
		case "answer", "decline", "service":
			if m.Text == "" {
				return fmt.Errorf("%s without words", m.Do)
			}
		default:
			return fmt.Errorf("do %q: want understood, hold, answer, decline or service", m.Do)
		}
		if err := wire.CheckText(m.Text, wire.MaxText); err != nil {
			return err
		}
	}
	return nil
}

func (e *Episode) actor(p line.Party) (Actor, bool) {
	for _, a := range e.Parties {
		if a.Code == p {
			return a, true
		}
	}
	return Actor{}, false
}

// words is what a desk writes on the line about an event, and its English
// where that is another.
func (ev Event) words() (text, english string) {
	switch {
	case ev.Text != "":
		return ev.Text, ""
	case len(ev.Original) > 0:
		return strings.Join(ev.Original, "\n"), strings.Join(ev.Points, "\n")
	case len(ev.Points) > 0:
		return "Readout of the " + ev.Of + ".\n" + strings.Join(ev.Points, "\n"), ""
	case len(ev.Agenda) > 0:
		return ev.agenda(), ""
	case ev.What != "":
		return ev.engagement(), ""
	}
	return ev.Summary, ""
}

// agenda is the acting party's own points; the other's are its own to say.
func (ev Event) agenda() string {
	s := "For the agenda of the call between " + strings.Join(ev.With, " and ") + "."
	for _, i := range ev.Agenda {
		if i.By == ev.By {
			s += "\n" + sentence(strings.ReplaceAll(i.Kind, "-", " ")+": "+i.Text)
		}
	}
	return s
}

func (ev Event) engagement() string {
	s := map[string]string{"postpone": "Postponed: ", "propose": "Proposed: ", "reschedule": "Rescheduled: ", "inform": "For information: "}[ev.Act] + ev.What
	if len(ev.When) > 0 {
		s += ", " + strings.Join(ev.When, " to ")
	}
	s = sentence(s)
	if ev.Why != "" {
		s += " Reason: " + sentence(strings.ToLower(ev.Why[:1])+ev.Why[1:])
	}
	return s
}

// sentence gives a text a capital and a full stop.
func sentence(s string) string {
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}
