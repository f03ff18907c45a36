package charter

import (
	"fmt"
	"slices"
	"time"

	"herald/internal/keys"
	"herald/internal/line"
)

// Terms is what machines read of a charter (spec 02 §2).
type Terms struct {
	Version     uint32   // from 1
	Line        line.ID  // from version 2 on: the line
	Base        [32]byte // from version 2 on: hash of the text that this one amends
	Title       string   // at most 200 bytes
	Members     []Member // 2 to 16, in the order that indexes count
	Precedences [4]PrecedenceTerms
	Tiers       []string // tiers of counterparts, lowest first; 1 to 8

	TestEvery  time.Duration // a line test every so long, 5 min to 7 days,
	TestOffset time.Duration // counted from midnight UTC of 1 January 1970 plus this
	Epoch      time.Duration // greatest age of an epoch under traffic, 1 min to 7 days

	RetentionDays uint32 // of the working archive, 1 to 36500
	EntryBytes    uint32 // greatest entry, 20480 to 32768
	QuotaBytes    uint64 // per party and UTC day; beyond it only FLASH is pulled
	BlobBytes     uint64 // greatest attachment

	Forms       []Form
	Threshold   uint32        // how many witnesses must cosign a head
	Witnesses   []string      // note verifier keys, at most 16
	HeadCadence time.Duration // a party has its head witnessed every so long, 1 min to 7 days
}

// Member is one party of the line.
type Member struct {
	Party     line.Party
	Root      [32]byte // hash of its root (spec 01 §2)
	Languages []string
}

// PrecedenceTerms is what was agreed for one precedence.
type PrecedenceTerms struct {
	Answer    time.Duration // deadline for an answer, 1 min to 30 days
	Releasers int           // officers who must release, 0 to 3
	Roles     []keys.Role   // who may; empty exactly if Releasers is 0
	Words     uint32        // greatest number of words, 0 for no limit
	Burst     uint32        // messages at once, at least 1
	PerHour   uint32        // and per hour after, at least 1
}

// Form is an agreed form, named by the hash of its definition.
type Form struct {
	Name string
	Hash [32]byte
}

const (
	maxTitle     = 200
	maxTiers     = 8
	maxForms     = 256
	maxWitnesses = 16
	minEntry     = 20 << 10 // an epoch entry for 16 parties has 19 KiB
	maxEntry     = 32 << 10
	maxBytes     = 1 << 40
	day          = 24 * time.Hour
)

// DefaultTerms returns terms to start a negotiation from.
func DefaultTerms(title string, members []Member) Terms {
	roles := []keys.Role{keys.RoleWatch, keys.RoleRelease, keys.RolePrincipal}
	return Terms{
		Version: 1, Title: title, Members: members,
		Precedences: [4]PrecedenceTerms{
			line.Flash:     {10 * time.Minute, 1, roles, 200, 5, 20},
			line.Immediate: {30 * time.Minute, 1, roles, 200, 10, 60},
			line.Priority:  {3 * time.Hour, 1, roles, 0, 20, 120},
			line.Routine:   {6 * time.Hour, 1, roles, 0, 50, 300},
		},
		Tiers:     []string{"watch", "middle", "principal"},
		TestEvery: 12 * time.Hour, TestOffset: 6 * time.Hour,
		Epoch: time.Hour, RetentionDays: 3650,
		EntryBytes: maxEntry, QuotaBytes: 256 << 20, BlobBytes: 100 << 20,
		HeadCadence: time.Hour,
	}
}

// Languages returns every member's languages, each once, in the order in which
// they first occur.
func (t Terms) Languages() []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range t.Members {
		for _, l := range m.Languages {
			if !seen[l] {
				seen[l] = true
				out = append(out, l)
			}
		}
	}
	return out
}

// check holds the bounds of spec 02 §2.
func (t Terms) check() error {
	amended := t.Line != (line.ID{}) || t.Base != ([32]byte{})
	if t.Version == 0 || amended != (t.Version > 1) {
		return fmt.Errorf("version %d: versions count from 1, and from 2 on name their line and base", t.Version)
	}
	if err := keys.CheckLabel(t.Title, maxTitle); err != nil {
		return fmt.Errorf("title: %w", err)
	}
	for _, check := range []func() error{t.checkMembers, t.checkPrecedences, t.checkLists, t.checkRanges} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (t Terms) checkMembers() error {
	if len(t.Members) < 2 || len(t.Members) > line.MaxParties {
		return fmt.Errorf("%d members: want 2 to %d", len(t.Members), line.MaxParties)
	}
	parties, roots := map[line.Party]bool{}, map[[32]byte]bool{}
	for _, m := range t.Members {
		if _, err := line.ParseParty(string(m.Party)); err != nil {
			return err
		}
		if parties[m.Party] || roots[m.Root] {
			return fmt.Errorf("member %s: its code or its root occurs twice", m.Party)
		}
		parties[m.Party], roots[m.Root] = true, true
		if err := keys.CheckLanguages(m.Languages); err != nil {
			return fmt.Errorf("member %s: %w", m.Party, err)
		}
	}
	return nil
}

func (t Terms) checkPrecedences() error {
	for _, p := range line.Precedences() {
		x := t.Precedences[p]
		if err := seconds(x.Answer, time.Minute, 30*day); err != nil {
			return fmt.Errorf("%s: answer: %w", p, err)
		}
		if x.Releasers < 0 || x.Releasers > 3 || (x.Releasers == 0) != (len(x.Roles) == 0) {
			return fmt.Errorf("%s: want 0 to 3 releasers, and roles exactly if there are releasers", p)
		}
		for i, r := range x.Roles {
			if _, err := keys.ParseRole(string(r)); err != nil || slices.Contains(x.Roles[:i], r) {
				return fmt.Errorf("%s: role %q is unknown or occurs twice", p, r)
			}
		}
		if x.Burst == 0 || x.PerHour == 0 {
			return fmt.Errorf("%s: the rate must let at least one message pass at once and per hour", p)
		}
	}
	return nil
}

func (t Terms) checkLists() error {
	if len(t.Tiers) < 1 || len(t.Tiers) > maxTiers || len(t.Forms) > maxForms || len(t.Witnesses) > maxWitnesses {
		return fmt.Errorf("want 1 to %d tiers, at most %d forms and %d witnesses", maxTiers, maxForms, maxWitnesses)
	}
	names := map[string]bool{}
	for _, x := range t.Tiers {
		if err := checkName("tier", x, names); err != nil {
			return err
		}
	}
	for _, f := range t.Forms {
		if err := checkName("form", f.Name, names); err != nil {
			return err
		}
	}
	for _, w := range t.Witnesses {
		if err := checkWitness(w); err != nil {
			return err
		}
		if names["witness "+w] {
			return fmt.Errorf("witness %s occurs twice", w)
		}
		names["witness "+w] = true
	}
	if int(t.Threshold) > len(t.Witnesses) || (t.Threshold == 0) != (len(t.Witnesses) == 0) {
		return fmt.Errorf("%d of %d witnesses: want at least 1 and at most all, or no witnesses", t.Threshold, len(t.Witnesses))
	}
	return nil
}

func checkName(kind, name string, seen map[string]bool) error {
	if err := keys.ParseStationName(name); err != nil {
		return fmt.Errorf("%s %q: want 1 to 32 lower-case letters, digits and inner hyphens", kind, name)
	}
	if seen[kind+" "+name] {
		return fmt.Errorf("%s %s occurs twice", kind, name)
	}
	seen[kind+" "+name] = true
	return nil
}

func (t Terms) checkRanges() error {
	for _, d := range []struct {
		name         string
		v, low, high time.Duration
	}{
		{"line test", t.TestEvery, 5 * time.Minute, 7 * day},
		{"line test offset", t.TestOffset, 0, t.TestEvery - time.Second},
		{"epoch", t.Epoch, time.Minute, 7 * day},
		{"head cadence", t.HeadCadence, time.Minute, 7 * day},
	} {
		if err := seconds(d.v, d.low, d.high); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	switch {
	case t.RetentionDays < 1 || t.RetentionDays > 36500:
		return fmt.Errorf("retention of %d days: want 1 to 36500", t.RetentionDays)
	case t.EntryBytes < minEntry || t.EntryBytes > maxEntry:
		return fmt.Errorf("entries of %d bytes: want %d to %d", t.EntryBytes, minEntry, maxEntry)
	case t.QuotaBytes < 1<<20 || t.QuotaBytes > maxBytes:
		return fmt.Errorf("quota of %d bytes: want %d to %d", t.QuotaBytes, 1<<20, maxBytes)
	case t.BlobBytes > maxBytes:
		return fmt.Errorf("attachments of %d bytes: want at most %d", t.BlobBytes, maxBytes)
	}
	return nil
}

func seconds(d, low, high time.Duration) error {
	if d%time.Second != 0 || d < low || d > high {
		return fmt.Errorf("%v: want whole seconds from %v to %v", d, low, high)
	}
	return nil
}
