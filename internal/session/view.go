package session

import (
	"context"
	"fmt"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

// View is a line as it stands between two turns.
type View struct {
	Held    string // why the station does not sign; "" when it does
	Queued  int
	Pending int // entries held but not opened
	Settled uint64
	Own     line.Log
	Logs    []LogView
	Peers   []PeerView
	Said    map[int]Said          // attendance, by party
	Skew    map[int]time.Duration // how far a party's newest cosignature time is ahead of this station's clock
}

// LogView is one log.
type LogView struct {
	Log       line.Log
	Size      uint64
	Ahead     int
	Head      wire.Head // zero where none is held
	Cosigned  []wire.HaveCosig
	Delivered map[int]uint64 // by party: entries below are delivered to it
}

// PeerView is one connection.
type PeerView struct {
	Party   int
	Bearer  string
	Ready   bool
	Refusal string
	Heard   time.Time
	Conn    *Conn
}

// Said is a party's own word on whether its watch is there.
type Said struct {
	Attended bool
	Time     uint64 // claimed, Unix seconds
}

// View returns the line as it stands.
func (l *Line) View(ctx context.Context) (View, error) {
	var v View
	err := l.do(ctx, func(t *turn) error {
		t.then(func(error) { v = l.view() })
		return nil
	})
	if err != nil {
		return View{}, err // v may still be written
	}
	return v, nil
}

func (l *Line) view() View {
	v := View{Held: l.held, Queued: len(l.queue), Pending: len(l.turns.pending), Settled: l.st.Settled(), Own: l.own(), Said: map[int]Said{}, Skew: map[int]time.Duration{}}
	for _, g := range l.st.Logs() {
		lv := LogView{Log: g, Size: l.st.Size(g), Cosigned: l.st.Cosigners(g), Delivered: map[int]uint64{}}
		for _, r := range l.st.Ahead(g, 1<<30) {
			lv.Ahead += int(r[1] - r[0])
		}
		lv.Head, _ = l.st.Head(g)
		for p := range l.cfg.Line.Members {
			lv.Delivered[p] = l.st.Delivered(g, p)
		}
		v.Logs = append(v.Logs, lv)
	}
	for p := range l.peers {
		v.Peers = append(v.Peers, PeerView{Party: p.party, Bearer: p.conn.bearer, Ready: p.ready, Refusal: p.refusal, Heard: p.conn.Heard(), Conn: p.conn})
	}
	for p := range l.cfg.Line.Members {
		if d, ok := l.turns.skew[p]; ok {
			v.Skew[p] = d
		}
		if x := metaUint(l.meta, fmt.Sprintf("attended/%d", p)); x != 0 {
			v.Said[p] = Said{Attended: x>>48 == 1, Time: x & (1<<48 - 1)}
		}
	}
	return v
}

// holdAtStart decides whether the station may sign: where the anchor and the
// store disagree, or the anchor is gone, it must not until its head is
// confirmed (spec 04 §2). The anchor is written after the store, so it may
// trail after a crash; it never leads a store that is not older than what was
// sent.
func (l *Line) holdAtStart(ctx context.Context) error {
	if why := string(l.meta["held"]); why != "" {
		l.held, l.need = why, metaUint(l.meta, "held-need")
		return nil
	}
	own := l.own()
	head := l.st.TreeHead(own)
	at, known, lost := l.cfg.Anchor.Last(l.cfg.Line.LogID(own))
	switch {
	case head.Size == 0 && !known:
		return nil
	case lost:
		l.held = "the anchor file is missing or damaged, so it is not known whether the database is the newest; nothing is signed until a peer has confirmed this station's head, or an officer opens a new generation"
	case !known || at == head:
		return nil
	case at.Size > head.Size:
		l.held, l.need = fmt.Sprintf("the database ends at entry %d but entry %d was sent: it is older than the anchor, perhaps restored from a backup; nothing is signed until a peer has given back the missing entries, or an officer opens a new generation", head.Size, at.Size), at.Size
	default:
		h, ok, err := l.cfg.Store.HeadAt(ctx, l.ID(), own, at.Size)
		if err != nil {
			return err
		}
		if ok && h.Root == at.Root {
			return nil
		}
		l.held = "the anchor and the database tell different histories; nothing is signed until a peer has confirmed this station's head, or an officer opens a new generation"
	}
	meta := map[string][]byte{"held": []byte(l.held)}
	if l.need > 0 {
		meta["held-need"] = wire8(l.need)
	}
	return l.cfg.Store.Commit(ctx, &record.Batch{Line: l.ID(), Meta: meta})
}
