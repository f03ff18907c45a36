// Package world makes parties and signed charters in haste: their folders,
// keys, cards and lines, all in one process and with a passphrase that costs
// nothing to try. It is for measures, demonstrations and tests. Real parties
// make their roots apart, and nobody else holds their officers' keys.
package world

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"herald/internal/charter"
	"herald/internal/config"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
	"herald/internal/store/folder"
	"herald/internal/wire"
)

// Passphrase opens every station key that this package makes.
const Passphrase = "measure"

// cost is the work that a passphrase takes here: the least that is allowed.
const cost = 10

// Party is a party with everything at hand.
type Party struct {
	Code     line.Party
	Dir      string
	Root     *keys.Root
	Card     *keys.Card
	Note     []byte          // the signed card
	Officers []*keys.Officer // releasers
}

// NewParty makes a party with so many releasing officers in a new folder below
// dir.
func NewParty(dir string, code line.Party, officers int) (*Party, error) {
	p := &Party{Code: code, Dir: filepath.Join(dir, string(code))}
	f := config.Folder(p.Dir)
	if err := f.Create(); err != nil {
		return nil, err
	}
	var err error
	if p.Root, err = keys.NewRoot(rand.Reader, code); err != nil {
		return nil, err
	}
	st, err := keys.NewStation(rand.Reader, code, "main", 1)
	if err != nil {
		return nil, err
	}
	from := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	until := from.AddDate(1, 0, 0)
	gen, err := st.Certify(from, until)
	if err != nil {
		return nil, err
	}
	p.Card = &keys.Card{Party: code, Name: "Party " + string(code), Languages: []string{"en"}, Version: 1,
		Issued: from, Root: p.Root.Public(), Generations: []keys.Generation{gen}}
	for n := range officers {
		o, err := keys.NewOfficer(rand.Reader, code, keys.RoleRelease, n+1)
		if err != nil {
			return nil, err
		}
		p.Officers = append(p.Officers, o)
		p.Card.Officers = append(p.Card.Officers, o.Certify(from, until))
	}
	if p.Note, err = keys.SignCard(p.Card, p.Root); err != nil {
		return nil, err
	}
	file, err := keys.EncryptStation(st, Passphrase, cost)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(f.StationKey(), file, 0o600); err != nil {
		return nil, err
	}
	return p, os.WriteFile(f.OwnCard(), p.Note, 0o600)
}

// Parties makes parties of the given codes, who hold one another's cards.
func Parties(dir string, officers int, codes ...line.Party) ([]*Party, error) {
	var ps []*Party
	for _, c := range codes {
		p, err := NewParty(dir, c, officers)
		if err != nil {
			return nil, fmt.Errorf("party %s: %w", c, err)
		}
		ps = append(ps, p)
	}
	for _, p := range ps {
		for _, q := range ps {
			if p == q {
				continue
			}
			if _, err := folder.ImportCard(config.Folder(p.Dir), q.Note); err != nil {
				return nil, fmt.Errorf("party %s takes the card of %s: %w", p.Code, q.Code, err)
			}
		}
	}
	return ps, nil
}

// Terms returns terms under which so many officers release at every
// precedence, and no limit is in the way of a measure.
func Terms(title string, releasers int, ps ...*Party) charter.Terms {
	var members []charter.Member
	for _, p := range ps {
		members = append(members, charter.Member{Party: p.Code, Root: p.Root.Public().Hash(), Languages: []string{"en"}})
	}
	t := charter.DefaultTerms(title, members)
	t.QuotaBytes, t.BlobBytes = 1<<40, 1<<40
	for i := range t.Precedences {
		x := &t.Precedences[i]
		x.Releasers, x.Words, x.Roles = releasers, 0, nil
		if releasers > 0 {
			x.Roles = []keys.Role{keys.RoleRelease}
		}
	}
	return t
}

// Charter drafts a charter and has every member sign it.
func Charter(t charter.Terms, ps ...*Party) (note []byte, err error) {
	text, err := charter.Draft(t)
	if err != nil {
		return nil, err
	}
	note = []byte(text)
	for _, p := range ps {
		if note, err = charter.Sign(note, p.Root); err != nil {
			return nil, err
		}
	}
	return note, nil
}

// Constitute puts a signed charter into every party's folder, whose stations
// must not be open. It returns the line.
func Constitute(note []byte, ps ...*Party) (line.ID, error) {
	var id line.ID
	for _, p := range ps {
		c, err := folder.ImportCharter(config.Folder(p.Dir), note)
		if err != nil {
			return id, fmt.Errorf("party %s takes the charter: %w", p.Code, err)
		}
		id = c.Line()
	}
	return id, nil
}

// Words makes a message for a line, released by the party's first so many
// officers at time now.
func (p *Party) Words(l record.Line, version uint32, now time.Time, in wire.Inner, releasers int) session.Submission {
	at := uint64(now.Unix())
	stmt := session.Statement(l, version, l.Self, at, in)
	for _, o := range p.Officers[:releasers] {
		in.Releases = keys.AppendRelease(in.Releases, o.Number, o.Sign(stmt))
	}
	return session.Submission{Inner: in, Time: at, Numbered: true}
}

// Message returns the sealed part of a message with a text that is compressed
// already.
func Message(prec line.Precedence, dict uint8, text []byte) wire.Inner {
	return wire.Inner{Kind: wire.KindMessage, Flags: wire.NewFlags(prec, line.Test, dict), Content: wire.Marshal(wire.Message{Text: text})}
}
