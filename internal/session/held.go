package session

import (
	"errors"
	"time"
)

// A store that is older than what was sent must not sign: it would make a
// second history. Where the anchor was restored with it, or lost with it, only
// a peer knows (spec 04 §2).

// doubtFor is how long a station waits for a peer to show entries of this
// station's own log that it says to hold. Each party is waited for once, so
// that by claims alone nobody silences a station.
const doubtFor = 30 * time.Second

// doubt is a claim that waits to be shown.
type doubt struct {
	until time.Time // zero: none
	size  uint64    // of the own log, as claimed
}

var errHeld = errors.New("the station must not sign any more; what was not accepted was not kept")

// doubtBy holds signing back for a while when a peer says that it holds more
// of the own log than is in the store.
func (l *Line) doubtBy(t *turn, p *Peer) {
	x := p.of(l.own())
	claim := x.size
	if n := len(x.ahead); n > 0 {
		claim = max(claim, x.ahead[n-1][1])
	}
	if l.held != "" || claim <= l.st.Size(l.own()) || l.doubted.Has(p.party) {
		return
	}
	l.doubted = l.doubted.With(p.party)
	l.doubt = doubt{until: t.now.Add(doubtFor), size: claim}
	l.held = "a peer says that it holds entries of this station's own log that are not in its store; it is given half a minute to show one before anything is signed"
	l.dueAt(l.doubt.until)
	t.seen = true
}

// disbelieve ends a doubt that nothing was shown for.
func (l *Line) disbelieve(t *turn) {
	if l.doubt.until.IsZero() || t.now.Before(l.doubt.until) {
		return
	}
	l.cfg.Log.Warn("a peer said that it holds entries of this station's own log that are not in its store, and showed none; the station signs again", "line", l.ID().Short())
	l.doubt, l.held = doubt{}, ""
	t.seen = true
}

// holdFor stops signing, durably, since an entry or a head with the own
// signature shows that the own log has at least size entries.
func (l *Line) holdFor(t *turn, size uint64) {
	if l.moved || size <= max(l.st.Size(l.own()), l.need) {
		return
	}
	l.doubt, l.need = doubt{}, size
	l.held = "a peer holds entries of this station's own log that are not in its store: the store is older than what was sent. They are being fetched; when they are here, signing goes on by itself"
	t.meta("held", []byte(l.held))
	t.metaUint("held-need", size)
	t.seen = true
}
