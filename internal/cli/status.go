package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"herald/internal/control"
)

type statusCmd struct {
	JSON bool `help:"Print JSON."`
}

func (statusCmd) Help() string {
	return "Is the line up, over what, when was it last heard, and what needs me now?\n\nExample:\n  herald status --dir us"
}

func (c *statusCmd) Run(ctx context.Context, a *app) error {
	return a.with(ctx, func(s control.Service) error {
		st, err := s.Status(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a.out, st)
		}
		a.printStatus(st)
		return nil
	})
}

func (a *app) printStatus(st control.Status) {
	serving := "not serving: nothing comes or goes"
	if st.Serving {
		serving = "serving"
	}
	a.printf("%s, station %s, generation %d: %s\n", st.Party, st.Station, st.Gen, serving)
	a.printf("%s by this station's clock\n", stamp(st.Now))
	for _, w := range st.Warnings {
		a.printf("warning: %s\n", safe(w))
	}
	if len(st.Lines) == 0 {
		a.printf("\nNo line yet: herald charter import opens one.\n")
	}
	for _, l := range st.Lines {
		a.printLine(l)
	}
}

func (a *app) printLine(l control.LineInfo) {
	a.printf("\nLine %s  %s  (%s)\n", l.ID.Short(), safe(l.Title), words(l.Parties, "and"))
	a.printf("  %s: %s\n", strings.ToUpper(l.State), safe(l.Why))
	for _, list := range []struct {
		name  string
		items []string
	}{{"warning", l.Warnings}, {"overdue", l.Overdue}, {"proof", l.Proofs}} {
		for _, x := range list.items {
			a.printf("  %s: %s\n", list.name, safe(x))
		}
	}
	if !l.Signing {
		a.printf("  not signing: %s\n", safe(l.Held))
	}
	rows := [][]string{{"unread", fmt.Sprint(l.Unread)}, {"drafts", fmt.Sprint(l.Drafts)}, {"queued", fmt.Sprint(l.Queued)}}
	for _, p := range l.Peers {
		rows = append(rows, []string{string(p.Party), fmt.Sprintf("watch %s; %s of ours delivered; card version %d", p.Attended, plural(int(p.Delivered), "entry", "entries"), p.Card)})
		for _, b := range p.Bearers {
			rows = append(rows, []string{"", bearer(b)})
		}
	}
	for _, g := range l.Logs {
		s := fmt.Sprintf("%s, head %d", plural(int(g.Size), "entry", "entries"), g.Head)
		if g.Ahead > 0 {
			s += fmt.Sprintf(", %d beyond a gap", g.Ahead)
		}
		by := []string{}
		for p, n := range g.Cosigned {
			by = append(by, fmt.Sprintf("%s to %d", p, n))
		}
		if slices.Sort(by); len(by) > 0 {
			s += ", cosigned by " + strings.Join(by, ", ")
		}
		rows = append(rows, []string{fmt.Sprintf("log %s/%d", g.Party, g.Gen), s})
	}
	table(a.out, rows)
}

func bearer(b control.BearerInfo) string {
	s := b.Name + " down"
	if b.Up {
		s = b.Name + " up"
	}
	if b.Since != 0 {
		s += " since " + stamp(b.Since)
	}
	if b.LastFrame != 0 {
		s += ", last heard " + stamp(b.LastFrame)
	}
	if b.RoundTrip > 0 {
		s += fmt.Sprintf(", round trip %.1f ms", b.RoundTrip)
	}
	if b.Error != "" {
		s += ": " + b.Error
	}
	return s
}
