package audit

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"herald/internal/keys"
	"herald/internal/line"
)

// Report is what an audit found (spec 10 §7).
type Report struct {
	// Sound: there is no fault. The record is what its signers signed, as of
	// the heads below and by the word of those who signed them.
	Sound bool `json:"sound"`
	Deep  bool `json:"deep"`
	// Disclosed: the file holds message keys, so that a deep audit reads
	// what entries say.
	Disclosed  bool      `json:"disclosed"`
	Line       string    `json:"line"`
	Title      string    `json:"title"`
	Parties    []Party   `json:"parties"`
	Heads      []Head    `json:"heads"`
	Entries    uint64    `json:"entries"`
	Ranked     uint64    `json:"ranked"`    // entries with a place in the causal order
	Unsettled  uint64    `json:"unsettled"` // entries without one: the file lacks what they name
	Greatest   uint32    `json:"greatest_rank"`
	Signatures uint64    `json:"signatures"` // checked
	Counts     []Count   `json:"counts"`     // of opened entries; empty unless deep
	Basis      []string  `json:"basis"`      // whose word the record rests on, in sentences
	Findings   []Finding `json:"findings"`
}

// Party is one party of the line and where its root key is known from.
type Party struct {
	Code line.Party `json:"code"`
	Root string     `json:"root"` // hash of its root key, hexadecimal
	// Given: the auditor brought this root along. Otherwise it was taken from
	// the file and must be compared.
	Given bool `json:"given"`
	// Words are the safety words of each pair with a later party of the line,
	// where lines are small enough that somebody will compare them.
	Words map[line.Party][]string `json:"words,omitempty"`
}

// Head says as of which state of one log the audit speaks.
type Head struct {
	Party      line.Party      `json:"party"`
	Generation line.Generation `json:"generation"`
	Log        string          `json:"log"`     // log-id, hexadecimal
	Size       uint64          `json:"size"`    // of the greatest signed head that the entries fit; 0 without one
	Root       string          `json:"root"`    // hexadecimal
	Entries    uint64          `json:"entries"` // in sequence
	Ahead      [][2]uint64     `json:"ahead"`   // ranges [first, end) beyond a gap
	Epochs     uint64          `json:"epochs"`
	Opened     uint64          `json:"opened"` // entries that the deep audit read
	Sealed     uint64          `json:"sealed"` // entries that it did not
	Cosigned   []Cosigned      `json:"cosigned"`
}

// Cosigned is the greatest size up to which somebody cosigned a log.
type Cosigned struct {
	By         string          `json:"by"` // party, or a witness's name
	Generation line.Generation `json:"generation,omitempty"`
	Witness    bool            `json:"witness,omitempty"`
	Size       uint64          `json:"size"`
	Time       uint64          `json:"time"` // Unix seconds, as the signer claims
}

// Count is how many opened entries of one kind a party wrote.
type Count struct {
	Party line.Party `json:"party"`
	Kind  string     `json:"kind"`
	N     uint64     `json:"n"`
}

// report puts together what the run has found.
func (a *auditor) report(st standing) Report {
	r := Report{
		Deep: a.deep, Disclosed: a.disclosed, Line: a.id.line.String(), Title: a.id.charter.Title,
		Entries: a.entries, Ranked: st.ranked, Unsettled: st.unsettled, Greatest: st.greatest,
		Signatures: a.verified.Load(), Parties: a.parties(), Heads: []Head{}, Counts: a.counts(),
	}
	slices.SortFunc(a.sections, func(x, y *section) int {
		return cmp.Or(cmp.Compare(x.log.Party, y.log.Party), cmp.Compare(x.log.Gen, y.log.Gen))
	})
	for _, s := range a.sections {
		r.Heads = append(r.Heads, a.headOf(s))
	}
	r.Basis = a.basis(r.Heads)
	r.Findings = a.found.sorted()
	r.Sound = a.found.sound()
	return r
}

// maxWords is the greatest number of parties for whose pairs words are given.
const maxWords = 3

func (a *auditor) parties() []Party {
	var out []Party
	for i, m := range a.id.members {
		p := Party{Code: m.code, Root: hex.EncodeToString(m.want[:]), Given: m.given}
		for _, n := range a.id.members[i+1:] {
			if len(a.id.members) > maxWords || m.root == nil || n.root == nil || m.given && n.given {
				continue
			}
			if p.Words == nil {
				p.Words = map[line.Party][]string{}
			}
			p.Words[n.code] = keys.SafetyWords(*m.root, *n.root)
		}
		out = append(out, p)
	}
	return out
}

func (a *auditor) headOf(s *section) Head {
	h := Head{
		Party: s.party, Generation: s.log.Gen, Log: s.id.String(), Size: s.head.Size, Entries: s.tree.Size(),
		Ahead: append([][2]uint64{}, s.ahead...), Cosigned: []Cosigned{}, Epochs: s.epochs, Opened: s.opened, Sealed: s.sealed,
	}
	if s.headed {
		h.Root = s.head.Root.String()
	}
	for _, g := range slices.SortedFunc(maps.Keys(s.cosigs), line.Log.Compare) {
		c := s.cosigs[g]
		h.Cosigned = append(h.Cosigned, Cosigned{By: string(a.id.members[g.Party].code), Generation: g.Gen, Size: c.size, Time: c.time})
	}
	for _, name := range slices.Sorted(maps.Keys(s.witnesses)) {
		c := s.witnesses[name]
		h.Cosigned = append(h.Cosigned, Cosigned{By: name, Witness: true, Size: c.size, Time: c.time})
	}
	return h
}

func (a *auditor) counts() []Count {
	out := []Count{}
	for i, m := range a.id.members {
		sum := map[string]uint64{}
		for _, s := range a.sections {
			if s.log.Party != i {
				continue
			}
			for k, n := range s.kinds {
				sum[k.String()] += n
			}
		}
		for _, k := range slices.Sorted(maps.Keys(sum)) {
			out = append(out, Count{m.code, k, sum[k]})
		}
	}
	return out
}

// basis says, log by log, whose word the record rests on: without the peers'
// cosignatures a log is one party's claim, and without a neutral witness all
// of them could have agreed on another record (spec 10 §7).
func (a *auditor) basis(heads []Head) []string {
	out := []string{}
	witnessed := false
	for _, h := range heads {
		if h.Entries == 0 {
			continue
		}
		name := logName(h.Party, h.Generation)
		peers := map[string]uint64{}
		for _, c := range h.Cosigned {
			if c.Witness {
				witnessed = true
				out = append(out, fmt.Sprintf("%s: neutral witness %s cosigned %d of %d entries, by its clock at %s.", name, c.By, c.Size, h.Entries, utc(c.Time)))
			} else if c.By != string(h.Party) {
				peers[c.By] = max(peers[c.By], c.Size)
			}
		}
		for _, m := range a.id.members {
			if m.code != h.Party {
				out = append(out, peerBasis(name, h, m.code, peers[string(m.code)]))
			}
		}
	}
	if !witnessed && len(out) > 0 {
		out = append(out, "No neutral witness has cosigned: all parties together could have made another record.")
	}
	return out
}

func peerBasis(name string, h Head, peer line.Party, size uint64) string {
	switch {
	case size == 0:
		return fmt.Sprintf("%s: without any cosignature of %s. Towards %s its %d entries are %s's claim alone.", name, peer, peer, h.Entries, h.Party)
	case size < h.Entries:
		return fmt.Sprintf("%s: %s cosigned that it holds the first %d of %d entries. The last %d are %s's claim alone.", name, peer, size, h.Entries, h.Entries-size, h.Party)
	}
	return fmt.Sprintf("%s: %s cosigned that it holds all %d entries.", name, peer, h.Entries)
}

func utc(unix uint64) string {
	return time.Unix(int64(min(unix, 1<<37)), 0).UTC().Format("2006-01-02 15:04:05 UTC")
}
