package session

import (
	"herald/internal/line"
	"herald/internal/wire"
)

// swapCards asks for cards that the other side has in a newer version. A
// hello carries hashes; the card itself goes only to who lacks it.
func (l *Line) swapCards(p *Peer, theirs []wire.HaveCard) {
	for _, c := range theirs {
		if int(c.Party) >= len(l.cfg.Line.Members) || len(c.Hash) != 32 {
			continue
		}
		if l.lacksCard(int(c.Party), c.Version) {
			p.send(classPriority, wire.FrameWantCard, false, c.Hash)
		}
	}
}

func (l *Line) lacksCard(party int, version uint32) bool {
	mine, ok := l.cfg.Cards.Card(l.cfg.Line.Members[party])
	return !ok || mine.Version < version
}

// wantCard asks every peer for a card that an entry names.
func (l *Line) wantCard(party int, version uint32, hash [32]byte) {
	if !l.lacksCard(party, version) {
		return
	}
	for p := range l.peers {
		if p.ready {
			p.send(classPriority, wire.FrameWantCard, false, hash[:])
		}
	}
}

// cardFrame gives a card that was asked for, or takes one.
func (l *Line) cardFrame(p *Peer, f wire.Frame) error {
	if f.Type == wire.FrameWantCard {
		if len(f.Payload) != 32 || p.conn.backlog() > 4*fullBytes {
			return nil
		}
		if note, _, ok := l.cfg.Cards.CardByHash([32]byte(f.Payload)); ok {
			p.send(classPriority, wire.FrameCard, false, note)
		}
		return nil
	}
	if err := l.cfg.Cards.Take(p.conn.ctx, append([]byte(nil), f.Payload...)); err != nil {
		l.cfg.Log.Warn("a card from a peer was not taken", "line", l.ID().Short(), "peer", p.conn.label(), "error", err)
		return nil
	}
	l.post(func(t *turn) {
		t.seen = true
		l.turns.gossip = true // entries that waited for this card are offered again
		l.dueAt(t.now)
	})
	return nil
}

// CardTaken tells the line that this station's own card, or another party's,
// is new.
func (l *Line) CardTaken(party line.Party) {
	l.post(func(t *turn) {
		t.seen = true
		l.turns.gossip = true
		l.dueAt(t.now)
		if party == l.cfg.Line.Members[l.cfg.Line.Self] && l.held == "" {
			l.renewCard(t)
		}
	})
}
