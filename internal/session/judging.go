package session

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

// An entry is judged by the latest card that its party's log has named before
// it (spec 07 §6). Where that is not known yet, because the entry overtook the
// naming, or the card itself, it is judged again once it is.

// namedCard is a card as a party's log named it.
type namedCard struct {
	at      line.Pos
	version uint32
	hash    [32]byte
}

// namedCards is all of them, in order. Screens ask beside the loop.
type namedCards struct {
	mu  sync.RWMutex
	all []namedCard
}

func byPlace(a, b namedCard) int {
	switch {
	case a.at == b.at:
		return 0
	case a.at.Log != b.at.Log && a.at.Log.Less(b.at.Log), a.at.Log == b.at.Log && a.at.Seq < b.at.Seq:
		return -1
	}
	return 1
}

func (n *namedCards) add(c namedCard) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i, ok := slices.BinarySearchFunc(n.all, c, byPlace); !ok {
		n.all = slices.Insert(n.all, i, c)
	}
}

// before returns the card named last before a place, by the same party.
func (n *namedCards) before(p line.Pos) (namedCard, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(n.all, namedCard{at: p}, byPlace)
	if i == 0 || n.all[i-1].at.Party != p.Party {
		return namedCard{}, false
	}
	return n.all[i-1], true
}

func (n *namedCards) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = nil
}

const (
	namedPrefix  = "card-at/"
	unsurePrefix = "unsure/"
)

func placeName(prefix string, p line.Pos) string {
	return fmt.Sprintf("%s%d/%d/%d", prefix, p.Party, p.Gen, p.Seq)
}

func parsePlace(prefix, name string) (p line.Pos, ok bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return p, false
	}
	n, err := fmt.Sscanf(rest, "%d/%d/%d", &p.Party, &p.Gen, &p.Seq)
	return p, err == nil && n == 3
}

// loadJudging builds what is kept in memory from the store's named values.
func (l *Line) loadJudging() {
	l.named.reset()
	l.turns.unsure = map[line.Pos]struct{}{}
	for name, b := range l.meta {
		if p, ok := parsePlace(namedPrefix, name); ok && len(b) == 36 {
			l.named.add(namedCard{at: p, version: binary.BigEndian.Uint32(b), hash: [32]byte(b[4:])})
		}
		if p, ok := parsePlace(unsurePrefix, name); ok {
			l.turns.unsure[p] = struct{}{}
		}
	}
}

// nameCard notes that a log names a card from a place on.
func (l *Line) nameCard(t *turn, p line.Pos, n wire.Notice) {
	t.meta(placeName(namedPrefix, p), append(binary.BigEndian.AppendUint32(nil, n.Version), n.Hash...))
	l.named.add(namedCard{at: p, version: n.Version, hash: [32]byte(n.Hash)})
}

// judging returns the card by which an entry is judged, and whether that is
// the one named before it. A newer card than that serves too: it has all that
// the older one had.
func (l *Line) judging(p line.Pos) (card *keys.Card, held, certain bool) {
	named, ok := l.named.before(p)
	if ok {
		if _, card, held := l.cfg.Cards.CardByHash(named.hash); held {
			return card, true, true
		}
	}
	card, held = l.cfg.Cards.Card(l.cfg.Line.Members[p.Party])
	return card, held, held && card.Version >= named.version
}

// doubtful notes a defect that may be none.
func (l *Line) doubtful(t *turn, p line.Pos) {
	if _, _, certain := l.judging(p); p.Party == l.cfg.Line.Self || certain && p.Seq < l.st.Size(p.Log) {
		return
	}
	t.meta(placeName(unsurePrefix, p), []byte{1})
	l.turns.unsure[p] = struct{}{}
}

// judgeAgain judges entries whose card is known now.
func (l *Line) judgeAgain(t *turn) {
	for p := range l.turns.unsure {
		if _, _, certain := l.judging(p); !certain || p.Seq >= l.st.Size(p.Log) {
			continue
		}
		delete(l.turns.unsure, p)
		t.meta(placeName(unsurePrefix, p), nil)
		if err := l.rejudge(t, p); err != nil {
			l.cfg.Log.Error("an entry cannot be judged again", "line", l.ID().Short(), "entry", l.Name(p, 0), "error", err)
		}
	}
}

func (l *Line) rejudge(t *turn, p line.Pos) error {
	e, ok := t.find(p)
	if !ok {
		var err error
		if e, ok, err = l.entry(t.ctx, p); err != nil || !ok {
			return orMissing(err)
		}
	}
	parsed, err := wire.ParseEntry(e.Leaf, len(l.cfg.Line.Members))
	if err != nil {
		return err
	}
	b, err := l.body(t, p)
	if err != nil {
		return err
	}
	a, err := l.v.unarchive(t.ctx, l.cfg.Store, b)
	if err != nil {
		return err
	}
	in, err := wire.ParseInner(a.Inner)
	if err != nil {
		return err
	}
	b.Defect = l.judge(t, p, parsed.Time, in)
	t.Bodies = append(t.Bodies, b)
	t.seen = true
	l.spokenSteps(t, e, parsed.Time, in)
	return nil
}

// body returns what was made of an entry, in this turn or before.
func (l *Line) body(t *turn, p line.Pos) (record.Body, error) {
	for i := len(t.Bodies) - 1; i >= 0; i-- {
		if t.Bodies[i].Pos == p {
			return t.Bodies[i], nil
		}
	}
	bs, err := l.cfg.Store.Bodies(t.ctx, l.ID(), []line.Pos{p})
	if err != nil || len(bs) == 0 {
		return record.Body{}, orMissing(err)
	}
	return bs[0], nil
}
