// Package audittest makes records of lines that never were, with true keys and
// signatures, for tests and benchmarks of the audit. The same seed makes the
// same record, since nobody opens the secrets that its epochs seal: they are
// random bytes of the right size.
package audittest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"herald/internal/audit"
	"herald/internal/charter"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/seal"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// Start is when every such line begins, in Unix seconds.
const Start = 1_800_000_000

// World is a line with all its parties' keys.
type World struct {
	Rand    io.Reader
	Line    line.ID
	Terms   charter.Terms
	Charter []byte
	Parties []*Party
	Logs    []*Log // in the order in which they were opened
	now     uint64
}

// Party is one party with all its secrets.
type Party struct {
	Code     line.Party
	Root     *keys.Root
	Stations []*keys.Station // by generation, from 1
	Officers []*keys.Officer
	Cards    []*keys.Card // by version, from 1
	Notes    [][]byte
}

// New makes a line between parties, each with one generation of keys and two
// officers. Change may alter the charter's terms; nil leaves the defaults.
func New(seed byte, change func(*charter.Terms), codes ...line.Party) (*World, error) {
	w := &World{Rand: rand.NewChaCha8([32]byte{seed}), now: Start}
	var members []charter.Member
	for _, code := range codes {
		p, err := w.party(code)
		if err != nil {
			return nil, err
		}
		w.Parties = append(w.Parties, p)
		members = append(members, charter.Member{Party: code, Root: p.Root.Public().Hash(), Languages: []string{"en"}})
	}
	w.Terms = charter.DefaultTerms("A line for tests", members)
	if change != nil {
		change(&w.Terms)
	}
	text, err := charter.Draft(w.Terms)
	if err != nil {
		return nil, err
	}
	w.Charter = []byte(text)
	for _, p := range w.Parties {
		if w.Charter, err = charter.Sign(w.Charter, p.Root); err != nil {
			return nil, err
		}
	}
	w.Line = line.ID(sha256.Sum256([]byte(text)))
	return w, nil
}

func (w *World) party(code line.Party) (*Party, error) {
	root, err := keys.NewRoot(w.Rand, code)
	if err != nil {
		return nil, err
	}
	p := &Party{Code: code, Root: root}
	for _, role := range []keys.Role{keys.RoleWatch, keys.RoleRelease} {
		o, err := keys.NewOfficer(w.Rand, code, role, 1)
		if err != nil {
			return nil, err
		}
		p.Officers = append(p.Officers, o)
	}
	return p, w.Generation(p)
}

// Generation gives a party the keys of its next generation, on a new card.
func (w *World) Generation(p *Party) error {
	s, err := keys.NewStation(w.Rand, p.Code, "main", line.Generation(len(p.Stations)+1))
	if err != nil {
		return err
	}
	p.Stations = append(p.Stations, s)
	return w.Issue(p, nil)
}

// Issue gives a party its next card. Change may alter it before it is signed.
func (w *World) Issue(p *Party, change func(*keys.Card)) error {
	from, until := time.Unix(Start-3600, 0).UTC(), time.Unix(Start+1<<30, 0).UTC()
	c := &keys.Card{
		Party: p.Code, Name: "Party " + string(p.Code), Languages: []string{"en"},
		Version: uint32(len(p.Cards) + 1), Issued: from, Root: p.Root.Public(),
	}
	for _, s := range p.Stations {
		g, err := s.Certify(from, until)
		if err != nil {
			return err
		}
		c.Generations = append(c.Generations, g)
	}
	for _, o := range p.Officers {
		c.Officers = append(c.Officers, o.Certify(from, until))
	}
	if n := len(p.Cards); n > 0 {
		c.Closings = append(c.Closings, p.Cards[n-1].Closings...)
	}
	if change != nil {
		change(c)
	}
	note, err := keys.SignCard(c, p.Root)
	if err != nil {
		return err
	}
	p.Cards, p.Notes = append(p.Cards, c), append(p.Notes, note)
	return nil
}

// Log is one party's log while it is written.
type Log struct {
	W     *World
	Party *Party
	Log   line.Log
	ID    line.LogID

	Tree    tlog.Tree
	Entries []Entry
	Signed  audit.Statements
	epoch   *seal.Epoch
	former  *seal.Epoch
}

// Entry is one entry with what a party that opened it can disclose.
type Entry struct {
	Sig       [64]byte
	Leaf      []byte
	Hash      line.Hash
	Key       *[32]byte // of a sealed entry
	EpochKeys []byte    // of an epoch entry
	Missing   bool      // not exported
}

// Open opens a party's log in its newest generation: an epoch, and the card
// by which it is to be judged. Closes is nil in generation 1.
func (w *World) Open(party int, closes *wire.Closes) (*Log, error) {
	p := w.Parties[party]
	g := line.Log{Party: party, Gen: line.Generation(len(p.Stations))}
	l := &Log{W: w, Party: p, Log: g, ID: line.NewLogID(w.Line, p.Code, g.Gen)}
	w.Logs = append(w.Logs, l)
	if err := l.Epoch(closes); err != nil {
		return nil, err
	}
	return l, l.Card()
}

// After returns the marks of an entry written now by a station that has seen
// everything.
func (l *Log) After() []wire.Mark {
	var out []wire.Mark
	for p := range l.W.Parties {
		if p == l.Log.Party {
			continue
		}
		m := wire.Mark{Gen: 1}
		for _, o := range l.W.Logs {
			if o.Log.Party == p && o.Log.Gen >= m.Gen && o.Tree.Size() > 0 {
				m = wire.Mark{Gen: o.Log.Gen, Size: o.Tree.Size()}
			}
		}
		out = append(out, m)
	}
	return out
}

func (l *Log) station() *keys.Station { return l.Party.Stations[l.Log.Gen-1] }

// Epoch writes an epoch entry.
func (l *Log) Epoch(closes *wire.Closes) error {
	ep, body, err := newEpoch(l.W.Rand, l.ID, l.Tree.Size(), l.Log.Party, len(l.W.Parties))
	if err != nil {
		return err
	}
	body.Closes = closes
	l.epoch, l.former = ep, l.epoch
	l.Append(wire.Marshal(wire.Entry{Time: l.W.tick(), Body: wire.Marshal(body), After: l.After()}))
	l.Entries[len(l.Entries)-1].EpochKeys = ep.Leaves()
	return nil
}

// Return makes the next entries use the epoch before the present one, as urgent
// words do while the others do not hold the present one yet.
func (l *Log) Return() { l.epoch, l.former = l.former, l.epoch }

func newEpoch(rand io.Reader, id line.LogID, base uint64, party, members int) (*seal.Epoch, wire.Epoch, error) {
	ep, err := seal.NewEpoch(id, base, rand)
	if err != nil {
		return nil, wire.Epoch{}, err
	}
	root := ep.Root()
	body := wire.Epoch{Keys: root[:], Oldest: base, Secrets: map[uint8]wire.SealedSecret{}}
	for p := range members {
		if p == party {
			continue
		}
		box := make([]byte, seal.SealedKeySize)
		if _, err := io.ReadFull(rand, box); err != nil {
			return nil, body, err
		}
		body.Secrets[uint8(p)] = wire.SealedSecret{Box: box}
	}
	return ep, body, nil
}

func (w *World) tick() uint64 {
	w.now++
	return w.now
}

// Append signs a leaf, whatever it is, and adds it to the log.
func (l *Log) Append(leaf []byte) {
	h := tlog.LeafHash(leaf)
	sig := tlog.SignEntry(l.station().Log, l.ID, l.Tree.Size(), h)
	l.Entries = append(l.Entries, Entry{Sig: sig, Leaf: leaf, Hash: h})
	l.Tree.Append(h)
}

// Seal seals an inner part at the given time and adds the entry.
func (l *Log) Seal(in wire.Inner, at uint64) error {
	if l.Tree.Size()-l.epoch.Base() > seal.EpochKeys {
		if err := l.Epoch(nil); err != nil {
			return err
		}
	}
	seq := l.Tree.Size()
	i := seq - l.epoch.Base()
	mk, err := l.epoch.Key(int(i))
	if err != nil {
		return err
	}
	l.Append(sealed(l.ID, seq, uint8(i), mk, at, l.After(), wire.Marshal(in)))
	l.Entries[len(l.Entries)-1].Key = &mk
	return nil
}

func sealed(id line.LogID, seq uint64, i uint8, mk [32]byte, at uint64, after []wire.Mark, inner []byte) []byte {
	e := wire.Entry{Key: i, Time: at, After: after}
	e.Body = seal.SealBody(mk, append(tlog.EntryContext(id, seq), e.Context()...), inner)
	return wire.Marshal(e)
}

// Card puts the party's newest card on the log.
func (l *Log) Card() error {
	c := l.Party.Cards[len(l.Party.Cards)-1]
	h := c.Hash()
	return l.Seal(wire.Inner{Kind: wire.KindCard, Content: wire.Marshal(wire.Notice{Version: c.Version, Hash: h[:]})}, l.W.tick())
}

// Say writes a message, or another spoken kind, released by officers of the
// party, by their place in its list.
func (l *Log) Say(k wire.Kind, m wire.Message, officers ...int) error {
	at := l.W.tick()
	in := wire.Inner{Kind: k, Flags: wire.NewFlags(line.Flash, line.Exercise, 0), Number: uint64(len(l.Entries)), Content: wire.Marshal(m)}
	stmt := keys.ReleaseStatement(l.W.Line, l.W.Terms.Version, l.Party.Code, at, line.Flash, line.Exercise, sha256.Sum256(in.SignedPart()))
	for _, n := range officers {
		o := l.Party.Officers[n]
		in.Releases = keys.AppendRelease(in.Releases, o.Number, o.Sign(stmt))
	}
	return l.Seal(in, at)
}

// State writes a station's statement about an entry of another log.
func (l *Log) State(k wire.Kind, about *Log, seq uint64) error {
	ref := wire.NewRef(line.Pos{Log: about.Log, Seq: seq}, about.Entries[seq].Hash)
	return l.Seal(wire.Inner{Kind: k, Content: wire.Marshal(wire.Statement{Refs: []wire.Ref{ref}})}, l.W.tick())
}

// Head signs the log's present head.
func (l *Log) Head() tlog.Head {
	h := l.Tree.Head()
	l.Signed.Heads = append(l.Signed.Heads, wire.Head{Log: l.Log, Size: h.Size, Root: h.Root, Sig: tlog.SignHead(l.station().Log, l.ID, h)})
	return h
}

// Cosign has another party, by its newest generation, cosign the present head.
func (l *Log) Cosign(by int) {
	p := l.W.Parties[by]
	s := p.Stations[len(p.Stations)-1]
	h, at := l.Tree.Head(), l.W.tick()
	l.Signed.Cosigs = append(l.Signed.Cosigs, wire.Cosig{
		Log: l.Log, Size: h.Size, Signer: line.Log{Party: by, Gen: s.Gen}, Time: at,
		Sig: tlog.Cosign(s.Delivery, l.ID, h, at),
	})
}

// Witness has a neutral witness cosign the present head. The charter must name
// its verifier key.
func (l *Log) Witness(name string, key ed25519.PrivateKey) {
	h, at := l.Tree.Head(), l.W.tick()
	l.Signed.Witnessed = append(l.Signed.Witnessed, audit.Witnessed{
		Log: l.Log, Size: h.Size, Key: tlog.CosignerKey(name, key.Public().(ed25519.PublicKey)),
		Time: at, Sig: tlog.Cosign(key, l.ID, h, at),
	})
}

// Meta returns what stands at the head of the line's export.
func (w *World) Meta() audit.Meta {
	m := audit.Meta{Charter: w.Charter}
	for _, p := range w.Parties {
		m.Cards = append(m.Cards, p.Notes...)
	}
	return m
}

// Export writes the line's record, with message keys or without. Last, if not
// nil, adds evidence.
func (w *World) Export(out io.Writer, disclose bool, last func(*audit.Writer) error) error {
	x := audit.NewWriter(out, w.Meta())
	for p, party := range w.Parties {
		for g := len(party.Stations); g > 0; g-- {
			for _, l := range w.Logs {
				if l.Log != (line.Log{Party: p, Gen: line.Generation(g)}) {
					continue
				}
				if err := l.export(x, disclose); err != nil {
					return fmt.Errorf("log %v: %w", l.Log, err)
				}
			}
		}
	}
	if last != nil {
		if err := last(x); err != nil {
			return err
		}
	}
	return x.Close()
}

func (l *Log) export(x *audit.Writer, disclose bool) error {
	if err := x.Log(l.Log, l.Signed); err != nil {
		return err
	}
	gap := false
	for seq, e := range l.Entries {
		if e.Missing {
			gap = true
			continue
		}
		add := func() error { return x.Entry(e.Sig, e.Leaf) }
		if gap {
			add = func() error { return x.Ahead(uint64(seq), e.Sig, e.Leaf) }
		}
		if err := add(); err != nil {
			return err
		}
		if !disclose {
			continue
		}
		var err error
		switch {
		case e.EpochKeys != nil:
			err = x.EpochKeys(e.EpochKeys)
		case e.Key != nil:
			err = x.Key(*e.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
