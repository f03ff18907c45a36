package audit

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"herald/internal/line"
	"herald/internal/tlog"
)

// order holds the rules of what may follow what in a file (spec 10 §3). Writer
// and reader share it, so that one cannot write what the other refuses.
type order struct {
	members int // known once the charter was read
	last    kind
	stage   kind // the greatest of charter, card, log, evidence, inconsistency
	cards   int
	logs    int
	proofs  int
	total   uint64 // entries in all logs

	log    line.Log
	size   uint64 // entries of the log so far, in sequence
	at     uint64 // what the statements being read are about: size, or a head beyond it
	headed bool   // a head of size at was read
	signer line.Log
	signed bool // signer is set for at
	vkey   []byte
	ahead  uint64 // the least seq that an entry ahead of the gap may have; 0: none yet
}

// next takes one piece, checked for size, or says why it must not stand here.
func (o *order) next(k kind, b []byte) error {
	if err := o.place(k, b); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFormat, k, err)
	}
	o.last = k
	return nil
}

func (o *order) place(k kind, b []byte) error {
	switch k {
	case kCharter:
		if o.last != 0 {
			return fmt.Errorf("must come first, and once")
		}
	case kCard:
		o.cards++
		return o.advance(kCard, o.cards, maxCards)
	case kLog:
		return o.section(b)
	case kEntry:
		return o.entry()
	case kEpochKeys, kKey:
		return o.attach()
	case kHead, kCosig, kWitness:
		return o.statement(k, b)
	case kAhead:
		return o.beyond(b)
	case kEvidence, kInconsistency:
		o.proofs++
		return o.advance(k, o.proofs, maxProofs)
	case kEnd:
		if o.last == 0 {
			return fmt.Errorf("there is no charter")
		}
	}
	return nil
}

// advance moves to a stage that is not before the present one.
func (o *order) advance(stage kind, n, most int) error {
	if o.last == 0 || stage < o.stage {
		return fmt.Errorf("comes after %s", o.last)
	}
	if n > most {
		return fmt.Errorf("more than %d of them", most)
	}
	o.stage = stage
	return nil
}

// section begins a log. Within a party the newest generation stands first, so
// that where it closed the former is known before the former is read.
func (o *order) section(b []byte) error {
	g, err := parseLog(b, o.members)
	if err != nil {
		return err
	}
	if o.stage == kLog && (g.Party < o.log.Party || g.Party == o.log.Party && g.Gen >= o.log.Gen) {
		return fmt.Errorf("logs go by party, and within a party from the newest generation to the oldest")
	}
	o.logs++
	if err := o.advance(kLog, o.logs, maxLogs); err != nil {
		return err
	}
	*o = order{members: o.members, last: o.last, stage: o.stage, cards: o.cards, logs: o.logs, total: o.total, log: g}
	return nil
}

// reset forgets what was stated about the former size.
func (o *order) reset(at uint64) {
	o.at, o.headed, o.signed, o.vkey = at, false, false, nil
}

func (o *order) entry() error {
	if o.stage != kLog {
		return fmt.Errorf("stands in no log")
	}
	if o.at != o.size || o.ahead > 0 {
		return fmt.Errorf("comes after what lies beyond the log's sequence")
	}
	if o.total++; o.total > maxTotal {
		return fmt.Errorf("more than %d entries", uint64(maxTotal))
	}
	o.size++
	o.reset(o.size)
	return nil
}

// attach takes what belongs to the entry just before it.
func (o *order) attach() error {
	if o.last != kEntry && o.last != kAhead {
		return fmt.Errorf("does not follow its entry")
	}
	return nil
}

// statement takes a head or a cosignature: about the entries so far, or, after
// the last entry, about a greater size that a head in the file names.
func (o *order) statement(k kind, b []byte) error {
	if o.stage != kLog || o.ahead > 0 {
		return fmt.Errorf("stands in no log, or after an entry ahead of a gap")
	}
	size := binary.BigEndian.Uint64(b)
	if size > tlog.MaxSize {
		return fmt.Errorf("of size %d, which no log has", size)
	}
	if k == kHead {
		if size < o.at || size == o.at && (o.headed || o.signed || o.vkey != nil) {
			return fmt.Errorf("of size %d does not stand where the log has that size", size)
		}
		o.reset(size)
		o.headed = true
		return nil
	}
	if size != o.at {
		return fmt.Errorf("of size %d does not stand where the log has that size", size)
	}
	if k == kCosig {
		c, err := parseCosig(b, o.log, o.members)
		if err != nil {
			return err
		}
		if o.vkey != nil || o.signed && !o.signer.Less(c.Signer) {
			return fmt.Errorf("signers of one size go by party and generation, none twice")
		}
		o.signer, o.signed = c.Signer, true
		return nil
	}
	if key := b[sizeWitness:]; o.vkey == nil || bytes.Compare(o.vkey, key) < 0 {
		o.vkey = append([]byte{}, key...)
		return nil
	}
	return fmt.Errorf("witnesses of one size go by their keys, none twice")
}

func (o *order) beyond(b []byte) error {
	seq := binary.BigEndian.Uint64(b)
	if o.stage != kLog || seq <= o.size || seq < o.ahead || seq >= tlog.MaxSize {
		return fmt.Errorf("number %d does not stand beyond a gap, in rising order", seq)
	}
	if o.total++; o.total > maxTotal {
		return fmt.Errorf("more than %d entries", uint64(maxTotal))
	}
	o.ahead = seq + 1
	return nil
}
