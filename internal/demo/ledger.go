package demo

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"herald/internal/control"
)

// Columns of the ledger.
const (
	colEntry     = 10
	colWhat      = 12
	colLeaf      = 16
	colDelivered = 11
	colAlerted   = 9
	colRead      = 12
	colSigned    = width - 4 - colEntry - colWhat - colLeaf - colDelivered - colAlerted - colRead
)

// ledger shows what officers wrote, as both sides hold it, each with its
// receipts and who attests them.
func (p *page) ledger(d *drill, sides [2]holding) {
	p.heading("The record, as both sides hold it")
	p.put(4, p.style(dim, pad("entry", colEntry)+pad("what", colWhat)+pad("leaf hash", colLeaf)+
		pad("delivered", colDelivered)+pad("alerted", colAlerted)+pad("read by", colRead)+"and then"))
	other := map[string]control.Item{}
	for _, it := range sides[1].items {
		other[it.Log+fmt.Sprint(it.Seq)] = it
	}
	stations := map[string]int{}
	for _, it := range sides[0].items {
		if !spoken(it.Kind) {
			stations[it.Kind]++
			continue
		}
		its := other[it.Log+fmt.Sprint(it.Seq)]
		mark := p.style(green, " =")
		if its.Leaf != it.Leaf {
			mark = p.style(red, " ≠")
		}
		author := it // receipts are for whoever wrote
		if it.Party != sides[0].party.Code {
			author = its
		}
		p.row(author, short(it.Leaf)+mark+strings.Repeat(" ", colLeaf-14))
	}
	p.put(0, "")
	kinds := []string{}
	for _, k := range slices.Sorted(maps.Keys(stations)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", stations[k], k))
	}
	p.paragraph(4, dim, "And by the stations themselves: "+strings.Join(kinds, ", ")+".")
	p.paragraph(4, dim, "delivered: signed with the other party's delivery key, that it durably holds the bytes; or, where an "+
		"entry is named, said there by its station ahead of a gap. alerted, read by, attachment held: said by its station. "+
		"The rest is signed by the officer named.")
	p.put(0, "")
	for _, h := range d.result.Heads {
		p.put(4, fmt.Sprintf("%s's log  %d entries  %s  signed by %s, cosigned by %s", h.Log, h.Size, p.style(bold, short(h.Root)), h.Log, h.Cosigned))
	}
}

// row shows one entry's receipts.
func (p *page) row(it control.Item, leaf string) {
	cells := map[string]string{}
	signed := []string{}
	for _, r := range it.Ladder {
		switch r.Step {
		case "accepted": // the author's own word
		case "delivered":
			cells[r.Step] = string(r.Party)
			if r.Source != "" {
				cells[r.Step] = r.Source
			}
		case "alerted":
			cells[r.Step] = string(r.Party)
		case "read":
			cells[r.Step] = who(r)
		default:
			signed = append(signed, r.Step+" "+who(r))
		}
	}
	what := it.Kind
	if it.Marking == "TEST" {
		what = "test"
	}
	lines := wrap(strings.Join(signed, "\n"), colSigned)
	p.put(4, pad(it.Entry, colEntry)+pad(what, colWhat)+leaf+
		pad(cells["delivered"], colDelivered)+pad(cells["alerted"], colAlerted)+pad(cells["read"], colRead)+lines[0])
	for _, l := range lines[1:] {
		p.put(4+width-4-colSigned, l)
	}
}

// officer finds an officer's code in who attests a step.
var officer = regexp.MustCompile(`[a-z0-9]+-[a-z]+-\d+`)

// who attests a step: the officer, or the party by its station.
func who(r control.Rung) string {
	if o := officer.FindString(r.By); o != "" {
		return o
	}
	return string(r.Party)
}

func (p *page) audited(by, of *party, r report) {
	p.tick(fmt.Sprintf("%s's export, audited deep by %s: sound; %d entries, %d signatures verified", of.Centre, by.Centre, r.Entries, r.Signatures))
}

func (p *page) tick(text string) { p.put(4, p.style(green, "✓ ")+text) }

func (p *page) verdict(d *drill) {
	r := d.result
	if r.problem() != "" {
		p.put(4, p.style(red, "✗ "+r.problem()))
		return
	}
	p.tick(fmt.Sprintf("%d entries, identical at both sides, leaf by leaf, in one order", r.Entries))
	p.tick(fmt.Sprintf("%d times officers wrote: each is on both records once; none lost, none doubled", r.Messages))
	p.tick(fmt.Sprintf("%d receipts, each with who attests it", r.Receipts))
	p.tick(fmt.Sprintf("FLASH known to be delivered after %.1f ms (median of %d); reconnected after %.2f s",
		r.FlashMS, r.Flashes, r.ReconnectS))
	p.breathe()
}

// farewell says where to look next.
func (p *page) farewell(d *drill) {
	if d.result.Problem != "" {
		return
	}
	p.heading("Where to look next")
	p.put(4, pad("herald demo --keep", 24)+p.style(dim, "leaves both stations running, to talk to"))
	p.put(4, pad("docs/tour.md", 24)+p.style(dim, "the same by hand, on two machines"))
	p.put(4, pad("spec/", 24)+p.style(dim, "the protocol, with test vectors"))
	p.put(0, "")
	p.put(4, p.style(dim, fmt.Sprintf("Everything that was started has ended, and its folder is removed. %.1f s.", d.result.Seconds)))
	p.put(0, "")
}

// kept says how to talk to what was left running, and how to stop it.
func (p *page) kept(d *drill) {
	us, cn := d.parties[0], d.parties[1]
	p.heading("Left running")
	p.put(4, "cd "+d.dir)
	base := func(x *party) string { return filepath.Base(x.dir) }
	officer := "--as watch --passphrases passphrases/"
	for _, row := range [][2]string{
		{"./herald status --dir " + base(us), ""},
		{"./herald record --dir " + base(cn) + " --follow", ""},
		{"./herald send --dir " + base(us) + " " + officer + base(us) + " --marking exercise \"Hello.\"", ""},
		{"echo cut > network", "and later: echo heal > network"},
	} {
		p.put(4, pad(row[0], 24)+"  "+p.style(dim, row[1]))
	}
	ids := []string{}
	for _, x := range d.result.Processes {
		ids = append(ids, fmt.Sprint(x.PID))
	}
	p.put(0, "")
	p.put(4, "To stop them and remove everything:")
	p.put(4, "kill "+strings.Join(ids, " ")+" && rm -r "+d.dir)
	p.put(0, "")
	p.put(4, p.style(dim, "More: docs/tour.md (the same by hand, on two machines), spec/ (the protocol)."))
	p.put(0, "")
}
