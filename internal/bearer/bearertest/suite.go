// Package bearertest holds the suite that every bearer with a connection must
// pass, and a link to test and measure bearers with.
package bearertest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herald/internal/bearer"
)

// Pair is two ends of one new connection, not yet run.
type Pair struct {
	A, B bearer.Conn
	// Cut breaks the connection at once, wherever a frame may be.
	Cut func()
	// Inject puts bytes on the wire towards B, as if A's machine had sent
	// them; nil for a bearer where nobody could.
	Inject func(b []byte)
	// MaxFrame is the greatest frame that the bearer comes to offer on a good
	// path; 0 means bearer.MaxFrame.
	MaxFrame int
}

// patience bounds a wait that only a defect makes long.
const patience = time.Minute

// Run runs the suite. connect makes a new connection, whose helpers end with
// the test that it is given.
func Run(t *testing.T, connect func(t testing.TB) Pair) {
	for _, tc := range []struct {
		name string
		test func(*testing.T, func(testing.TB) Pair)
	}{
		{"FramesArriveWhole", framesArriveWhole},
		{"UrgentOvertakesBulk", urgentOvertakesBulk},
		{"CutLosesOnlyTheConnection", cutLosesOnlyTheConnection},
		{"GarbageEndsOnlyTheConnection", garbageEndsOnlyTheConnection},
		{"LinkErrorEndsTheConnection", linkErrorEndsTheConnection},
		{"OversizeFromOwnSessionIsRefused", oversizeIsRefused},
		{"RunsOnce", runsOnce},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, leaks) }) // after connect's own cleanups
			tc.test(t, connect)
		})
	}
}

// running is a pair under way.
type running struct {
	t      testing.TB
	p      Pair
	a, b   *Link
	aEnded chan error
	bEnded chan error
	cancel context.CancelFunc
}

// start runs both ends with the links.
func start(t testing.TB, p Pair, a, b *Link) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, p: p, a: a, b: b, aEnded: make(chan error, 1), bEnded: make(chan error, 1), cancel: cancel}
	a.keep, b.keep = true, true
	go func() { r.aEnded <- p.A.Run(ctx, a) }()
	go func() { r.bEnded <- p.B.Run(ctx, b) }()
	t.Cleanup(cancel)
	return r
}

// stop ends both sides in order, and checks that they say so.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	for _, ended := range []chan error{r.aEnded, r.bEnded} {
		// The side that is stopped second may see the first one's end.
		if err := r.ended(ended); err != nil && !errors.Is(err, bearer.ErrLost) {
			r.t.Errorf("Run ended with %v", err)
		}
	}
	r.checkLinks()
}

func (r *running) ended(ch chan error) error {
	r.t.Helper()
	select {
	case err := <-ch:
		return err
	case <-time.After(patience):
		r.t.Fatal("Run has not returned")
		return nil
	}
}

func (r *running) checkLinks() {
	r.t.Helper()
	for _, l := range []*Link{r.a, r.b} {
		if err := l.Fault(); err != nil {
			r.t.Errorf("contract of Link: %v", err)
		}
	}
}

// await waits until the link's frames satisfy ok.
func (r *running) await(l *Link, what string, ok func(frames [][]byte) bool) {
	r.t.Helper()
	limit := time.After(patience)
	for {
		frames, more := l.Got()
		if ok(frames) {
			return
		}
		select {
		case <-more:
		case err := <-r.aEnded:
			r.t.Fatalf("waiting for %s: A ended with %v", what, err)
		case err := <-r.bEnded:
			r.t.Fatalf("waiting for %s: B ended with %v", what, err)
		case <-limit:
			r.t.Fatalf("%s did not come", what)
		}
	}
}

// varied makes bulk frames of all lengths, up to count of them after the
// longest has been offered.
func varied(seed uint64, longest, count int) func(max int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	seen := false
	return func(limit int) []byte {
		if seen && count == 0 {
			return nil
		}
		n := min(limit, longest)
		if n == longest {
			seen = true
		}
		if seen {
			count--
		}
		if rng.IntN(2) == 0 && !(seen && count == 0) {
			n = 1 + rng.IntN(n)
		}
		f := make([]byte, n)
		for i := range f {
			f[i] = byte(rng.Uint32())
		}
		return f
	}
}

func (p Pair) maxFrame() int {
	if p.MaxFrame > 0 {
		return p.MaxFrame
	}
	return bearer.MaxFrame
}

// framesArriveWhole sends frames of all lengths both ways at once. Copies are
// allowed, loss and change are not.
func framesArriveWhole(t *testing.T, connect func(testing.TB) Pair) {
	p := connect(t)
	a, b := NewLink(), NewLink()
	last := []byte("the last one")
	for i, l := range []*Link{a, b} {
		fill, done := varied(uint64(i), p.maxFrame(), 50), false
		l.Fill = func(limit int) []byte {
			f := fill(limit)
			if f == nil && !done {
				done = true
				f = last
			}
			return f
		}
	}
	r := start(t, p, a, b)
	for _, l := range []*Link{a, b} {
		r.await(l, "the last frame", func(frames [][]byte) bool {
			return slices.ContainsFunc(frames, func(f []byte) bool { return bytes.Equal(f, last) })
		})
	}
	r.await(b, "every frame of A's", func(got [][]byte) bool { return len(distinct(got)) >= len(distinct(a.Sent())) })
	r.await(a, "every frame of B's", func(got [][]byte) bool { return len(distinct(got)) >= len(distinct(b.Sent())) })
	r.stop()
	checkWhole(t, a, b)
	checkWhole(t, b, a)
	if s := p.A.State(); s.Received == 0 || s.Sent == 0 {
		t.Errorf("state counts nothing: %+v", s)
	}
}

func distinct(frames [][]byte) map[string]bool {
	m := make(map[string]bool)
	for _, f := range frames {
		m[string(f)] = true
	}
	return m
}

// checkWhole holds what arrived against what was sent.
func checkWhole(t *testing.T, from, to *Link) {
	t.Helper()
	got, _ := to.Got()
	sent := distinct(from.Sent())
	for _, f := range got {
		if !sent[string(f)] {
			t.Fatalf("a frame of %d bytes arrived that was not sent", len(f))
		}
	}
}

// urgentOvertakesBulk sends urgent frames into endless bulk: at most one bulk
// frame that was asked for later may arrive earlier.
func urgentOvertakesBulk(t *testing.T, connect func(testing.TB) Pair) {
	p := connect(t)
	a, b := NewLink(), NewLink()
	n := 0
	a.Fill = func(limit int) []byte {
		n++
		return bytes.Repeat([]byte{byte(n), byte(n >> 8), byte(n >> 16), 'b'}, min(limit, 4096)/4)
	}
	r := start(t, p, a, b)
	for i := range 5 {
		r.await(b, "bulk", func(frames [][]byte) bool { return len(frames) > 20*(i+1) })
		urgent := []byte{'u', byte(i)}
		a.Send(urgent)
		same := func(f []byte) bool { return bytes.Equal(f, urgent) }
		r.await(b, "the urgent frame", func(frames [][]byte) bool { return slices.ContainsFunc(frames, same) })
		got, _ := b.Got()
		pulled := distinct(a.Sent()[:slices.IndexFunc(a.Sent(), same)])
		late := 0
		for _, f := range got[:slices.IndexFunc(got, same)] {
			if !pulled[string(f)] {
				late++
			}
		}
		if late > 1 {
			t.Errorf("%d bulk frames that were pulled later overtook an urgent one", late)
		}
	}
	r.stop()
}

// cutLosesOnlyTheConnection cuts in the middle of traffic.
func cutLosesOnlyTheConnection(t *testing.T, connect func(testing.TB) Pair) {
	p := connect(t)
	a, b := NewLink(), NewLink()
	a.Fill = varied(3, p.maxFrame(), 1<<30)
	r := start(t, p, a, b)
	r.await(b, "traffic", func(frames [][]byte) bool { return len(frames) > 30 })
	p.Cut()
	for _, ended := range []chan error{r.aEnded, r.bEnded} {
		if err := r.ended(ended); !errors.Is(err, bearer.ErrLost) {
			t.Errorf("after a cut, Run ended with %v", err)
		}
	}
	r.checkLinks()
	checkWhole(t, a, b)
	works(t, connect)
}

// works makes a connection and sends one frame over it.
func works(t *testing.T, connect func(testing.TB) Pair) {
	t.Helper()
	a, b := NewLink(), NewLink()
	r := start(t, connect(t), a, b)
	a.Send([]byte("still here"))
	r.await(b, "a frame on a new connection", func(frames [][]byte) bool { return len(frames) > 0 })
	r.stop()
}

func garbageEndsOnlyTheConnection(t *testing.T, connect func(testing.TB) Pair) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 8 {
		p := connect(t)
		if p.Inject == nil {
			t.Skip("nobody can inject bytes here")
		}
		a, b := NewLink(), NewLink()
		r := start(t, p, a, b)
		a.Send([]byte("before"))
		r.await(b, "a frame", func(frames [][]byte) bool { return len(frames) > 0 })
		junk := make([]byte, 100_000)
		for i := range junk {
			junk[i] = byte(rng.Uint32())
		}
		go p.Inject(junk) // blocks where nobody reads any more
		if err := r.ended(r.bEnded); err == nil {
			t.Error("garbage was taken")
		}
		p.Cut()
		r.ended(r.aEnded)
		r.checkLinks()
	}
	works(t, connect)
}

func linkErrorEndsTheConnection(t *testing.T, connect func(testing.TB) Pair) {
	bad := errors.New("the session refuses this")
	a, b := NewLink(), NewLink()
	b.Sink = func([]byte) error { return bad }
	r := start(t, connect(t), a, b)
	a.Send([]byte("unwelcome"))
	if err := r.ended(r.bEnded); !errors.Is(err, bad) {
		t.Errorf("Run ended with %v, want the link's own error", err)
	}
	if err := r.ended(r.aEnded); !errors.Is(err, bearer.ErrLost) {
		t.Errorf("the other side's Run ended with %v", err)
	}
	r.checkLinks()
	works(t, connect)
}

// oversizeIsRefused has the session break its side of the contract.
func oversizeIsRefused(t *testing.T, connect func(testing.TB) Pair) {
	for _, excess := range []int{1, bearer.MaxFrame} {
		a, b := NewLink(), NewLink()
		a.Fill = func(limit int) []byte { return make([]byte, limit+excess) }
		r := start(t, connect(t), a, b)
		if err := r.ended(r.aEnded); err == nil || errors.Is(err, bearer.ErrProtocol) {
			t.Errorf("a frame %d bytes too long: Run ended with %v", excess, err)
		}
		r.ended(r.bEnded)
		if got, _ := b.Got(); len(got) > 0 {
			t.Errorf("a frame %d bytes too long was carried", excess)
		}
	}
}

func runsOnce(t *testing.T, connect func(testing.TB) Pair) {
	p := connect(t)
	r := start(t, p, NewLink(), NewLink())
	r.stop()
	if err := p.A.Run(context.Background(), NewLink()); err == nil {
		t.Error("a connection could be run twice")
	}
}
