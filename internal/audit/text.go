package audit

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"herald/internal/line"
)

// String returns the report for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Record of line %s\n%s\n\n", r.Line, r.Title)
	r.writeParties(&b)
	r.writeHeads(&b)
	r.writeCounts(&b)
	r.writeFindings(&b)
	for _, s := range r.Basis {
		fmt.Fprintf(&b, "%s\n", s)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Verdict())
	return b.String()
}

// Verdict is the audit's last word, in a sentence or two.
func (r Report) Verdict() string {
	faults := 0
	for _, f := range r.Findings {
		if f.Level == Fault {
			faults += 1 + f.More
		}
	}
	if !r.Sound {
		return fmt.Sprintf("NOT SOUND: %d faults, listed above.", faults)
	}
	how := "heads and trees; entries' own signatures were not checked (--deep checks them)"
	switch {
	case r.Deep && r.Disclosed:
		how = "heads, trees, every entry's signature, and what the entries say"
	case r.Deep:
		how = "heads, trees and every entry's signature; the file discloses no message keys"
	}
	return fmt.Sprintf("Sound as of these heads: %s.", how)
}

func (r Report) writeParties(b *strings.Builder) {
	given := true
	for _, p := range r.Parties {
		from := "as you gave it"
		if !p.Given {
			from, given = "TAKEN FROM THE FILE", false
		}
		fmt.Fprintf(b, "%-8s root key %s, %s\n", p.Code, p.Root, from)
	}
	if !given {
		b.WriteString("Root keys taken from the file prove nothing yet: compare them with the parties' cards or words before you rely on this audit.\n")
	}
	for _, p := range r.Parties {
		for _, q := range r.Parties {
			if w := p.Words[q.Code]; w != nil {
				fmt.Fprintf(b, "Safety words %s–%s: %s\n", p.Code, q.Code, strings.Join(w, " "))
			}
		}
	}
	b.WriteString("\n")
}

func (r Report) writeHeads(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "log\tentries\thead\troot")
	for _, h := range r.Heads {
		head, root := "none", "-"
		if h.Root != "" {
			head, root = fmt.Sprint(h.Size), h.Root
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", logName(h.Party, h.Generation), h.Entries, head, root)
	}
	_ = w.Flush() // into a strings.Builder
	fmt.Fprintf(b, "\n%d entries, %d with a place in the order, %d without; %d signatures checked.\n\n", r.Entries, r.Ranked, r.Unsettled, r.Signatures)
}

func (r Report) writeCounts(b *strings.Builder) {
	var last line.Party
	for _, c := range r.Counts {
		if c.Party != last {
			if last != "" {
				b.WriteString("\n")
			}
			fmt.Fprintf(b, "%s wrote", c.Party)
			last = c.Party
		} else {
			b.WriteString(",")
		}
		fmt.Fprintf(b, " %d %s", c.N, c.Kind)
	}
	if last != "" {
		b.WriteString("\n\n")
	}
}

func (r Report) writeFindings(b *strings.Builder) {
	for _, f := range r.Findings {
		place := f.Place
		if place != "" {
			place += ": "
		}
		fmt.Fprintf(b, "%-7s %s%s\n", strings.ToUpper(string(f.Level)), place, f.Text)
		if f.More > 0 {
			fmt.Fprintf(b, "        and %d more of this kind (%s)\n", f.More, f.Code)
		}
	}
	if len(r.Findings) > 0 {
		b.WriteString("\n")
	}
}
