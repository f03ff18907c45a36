package station

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"herald/internal/line"
	"herald/internal/session"
	"herald/internal/wire"
)

// alertPatience bounds how long the alarm's program may take to confirm.
const alertPatience = 2 * time.Minute

// alarm calls the watch by the configured program, within the charter's rates:
// what comes faster than a party may send rings once for all of it.
type alarm struct {
	s  *Station
	mu sync.Mutex
	in map[bucketName]*bucket
}

type bucketName struct {
	line  line.ID
	party int
	prec  line.Precedence
}

// bucket is a token bucket: burst at once, and so many per hour after.
type bucket struct {
	tokens float64
	at     time.Time
	flood  bool // the excess has rung
}

// alerter returns what a line calls when an urgent message has come, or nil
// where no alarm channel is configured: such a station never says alerted.
func (s *Station) alerter() func(*session.Line, session.Arrival) {
	if len(s.o.Alert) == 0 {
		return nil
	}
	a := &alarm{s: s, in: map[bucketName]*bucket{}}
	return func(l *session.Line, x session.Arrival) {
		ring, flood := a.admit(l, x)
		if ring {
			s.wg.Go(func() { a.ring(l, x, flood) })
		}
	}
}

// admit takes a token, or says that this is the first of an excess.
func (a *alarm) admit(l *session.Line, x session.Arrival) (ring, flood bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	terms := l.Charter().Precedence(x.Precedence)
	name := bucketName{l.ID(), x.Pos.Party, x.Precedence}
	now := a.s.o.Now()
	b, ok := a.in[name]
	if !ok {
		b = &bucket{tokens: float64(terms.Burst), at: now}
		a.in[name] = b
	}
	b.tokens = min(float64(terms.Burst), b.tokens+now.Sub(b.at).Hours()*float64(terms.PerHour))
	b.at = now
	if b.tokens >= 1 {
		b.tokens--
		b.flood = false
		return true, false
	}
	first := !b.flood
	b.flood = true
	return first, true
}

// ring runs the program, and says alerted on the record once it has ended
// with status 0.
func (a *alarm) ring(l *session.Line, x session.Arrival, flood bool) {
	ctx, cancel := context.WithTimeout(a.s.run, alertPatience)
	defer cancel()
	argv := a.s.o.Alert
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(),
		"HERALD_PARTY="+string(l.Members().Members[x.Pos.Party]),
		"HERALD_PRECEDENCE="+x.Precedence.String(), "HERALD_MARKING="+x.Marking.String(),
		"HERALD_ENTRY="+l.Name(x.Pos, x.Number), "HERALD_LINE="+l.ID().String(),
		fmt.Sprintf("HERALD_COALESCED=%t", flood))
	if err := cmd.Run(); err != nil {
		a.s.o.Log.Error("the alarm's program failed, so the watch may not know: the other side is not told that it was alerted", "entry", l.Name(x.Pos, x.Number), "error", err)
		return
	}
	st := wire.Statement{Refs: []wire.Ref{wire.NewRef(x.Pos, x.Leaf)}, Channel: filepath.Base(argv[0])}
	err := l.Say(a.s.run, wire.Inner{Kind: wire.KindAlerted, Flags: wire.NewFlags(x.Precedence, x.Marking, 0), Content: wire.Marshal(st)})
	if err != nil {
		a.s.o.Log.Error("that the watch was alerted could not be put on the record", "error", err)
	}
}
