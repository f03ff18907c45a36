package direct

import (
	"fmt"
	"testing"
	"time"

	"herald/internal/bearer"
)

// path is an ideal bottleneck in virtual time: a queue that empties at a fixed
// rate, then a fixed delay; answers come back after a delay of their own.
type path struct {
	rate     float64 // bytes per second
	delay    time.Duration
	skew     time.Duration // the peer's clock less ours
	backward func(now time.Duration) time.Duration

	free     time.Duration // when the bottleneck has sent what it was given
	answers  []answer
	worst    time.Duration // the longest queue that a frame not bulk would have met
	longest  time.Duration // the longest time that one frame took on the wire
	received uint64
}

type answer struct {
	number   uint64
	read, at time.Duration
}

// send puts bytes, and behind them a ping, into the bottleneck.
func (q *path) send(now time.Duration, n int, ping uint64) {
	start := max(now, q.free)
	took := time.Duration(float64(n) / q.rate * float64(time.Second))
	q.free = start + took
	q.longest = max(q.longest, took)
	q.received += uint64(n)
	if ping != 0 {
		read := q.free + q.delay
		q.answers = append(q.answers, answer{ping, read + q.skew, read + q.delay + q.backward(read)})
	}
}

// drive sends endless bulk for the given time, and measures after settling.
func drive(t *testing.T, p *pacer, q *path, from, until, settled time.Duration) (carried uint64) {
	t.Helper()
	now := from
	q.worst, q.longest = 0, 0
	var before uint64
	for now < until {
		if now >= settled && before == 0 {
			before, q.worst, q.longest = q.received, 0, 0
		}
		for {
			_, bulk := p.allow(now)
			if !bulk && !p.wantPing() {
				break
			}
			n := 0
			if bulk {
				n = frameSize(p.frame())
				p.wrote(n, now)
			}
			var ping uint64
			if p.wantPing() {
				ping = p.ping(now)
			}
			q.send(now, n, ping)
			q.worst = max(q.worst, q.free-now)
			if len(q.answers) > maxMarks {
				t.Fatalf("%d pings are under way", len(q.answers))
			}
		}
		if w := p.wait(now); w > 0 && (len(q.answers) == 0 || now+w < q.answers[0].at) {
			now += w
			continue
		}
		if len(q.answers) == 0 {
			t.Fatal("the window is shut and nothing will open it")
		}
		a := q.answers[0]
		q.answers = q.answers[1:]
		now = max(now, a.at)
		if err := p.pong(a.number, a.read, now); err != nil {
			t.Fatal(err)
		}
	}
	return q.received - before
}

func idle(time.Duration) time.Duration { return 0 }

func TestPacerKeepsThePathFullAndItsQueueShort(t *testing.T) {
	for _, tc := range []struct {
		bits  float64
		delay time.Duration
		share float64 // of the path's rate that bulk must reach
	}{
		{30e3, 350 * time.Millisecond, 0.9},
		{1e6, 25 * time.Millisecond, 0.95},
		{10e6, 300 * time.Millisecond, 0.9},
		{100e6, 5 * time.Millisecond, 0.95},
		{1e9, 500 * time.Microsecond, 0.95},
	} {
		t.Run(fmt.Sprintf("%.0fkbps_%s", tc.bits/1e3, tc.delay), func(t *testing.T) {
			p := &pacer{}
			q := &path{rate: tc.bits / 8, delay: tc.delay, skew: -3 * time.Hour, backward: idle}
			q.send(0, 700, p.ping(0)) // behind the end of the handshake
			// Five minutes hold four drains; a quick path shows the same sooner.
			until := 300 * time.Second
			if tc.bits > 50e6 {
				until = 65 * time.Second
			}
			settled := 30 * time.Second
			carried := drive(t, p, q, 0, until, settled)
			share := float64(carried) / (q.rate * (until - settled).Seconds())
			if share < tc.share {
				t.Errorf("bulk got %.2f of the path, want %.2f", share, tc.share)
			}
			if q.longest > 250*time.Millisecond {
				t.Errorf("a frame took %v", q.longest)
			}
			limit := 250*time.Millisecond + 2*tc.delay/5
			if q.worst > limit {
				t.Errorf("a frame not bulk would wait %v, want at most %v", q.worst, limit)
			}
			t.Logf("share %.3f, worst wait %v, frame %d B, rate %.0f B/s", share, q.worst, p.frame(), p.rate)
		})
	}
}

// The peer's own bulk delays our answers. That must not be taken for a longer
// path at our expense, nor for a queue of ours.
func TestPacerIgnoresTheQueueOfTheOtherDirection(t *testing.T) {
	p := &pacer{}
	q := &path{rate: 125e3, delay: 25 * time.Millisecond, backward: func(now time.Duration) time.Duration {
		if now > 10*time.Second {
			return 400 * time.Millisecond
		}
		return 0
	}}
	q.send(0, 3, p.ping(0))
	carried := drive(t, p, q, 0, 120*time.Second, 20*time.Second)
	if share := float64(carried) / (q.rate * 100); share < 0.9 {
		t.Errorf("bulk got %.2f of the path", share)
	}
	if q.worst > 250*time.Millisecond {
		t.Errorf("a frame not bulk would wait %v", q.worst)
	}
}

func TestPacerFollowsAPathThatSlowsDown(t *testing.T) {
	p := &pacer{}
	q := &path{rate: 125e4, delay: 50 * time.Millisecond, backward: idle}
	q.send(0, 3, p.ping(0))
	drive(t, p, q, 0, 20*time.Second, 10*time.Second)
	q.rate /= 10
	carried := drive(t, p, q, 20*time.Second, 60*time.Second, 30*time.Second)
	if q.worst > 250*time.Millisecond {
		t.Errorf("a frame not bulk would wait %v", q.worst)
	}
	if share := float64(carried) / (q.rate * 30); share < 0.9 {
		t.Errorf("bulk got %.2f of the slower path", share)
	}
}

func TestPacerNeverTakesAnAnswerTwiceOrUnasked(t *testing.T) {
	p := &pacer{}
	for _, n := range []uint64{0, 1} {
		if err := p.pong(n, 0, 0); err == nil {
			t.Errorf("an answer to ping %d was taken before it was sent", n)
		}
	}
	p.ping(0)
	p.ping(0)
	if err := p.pong(2, time.Second, time.Second); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{1, 2, 3} {
		if err := p.pong(n, time.Second, time.Second); err == nil {
			t.Errorf("an answer to ping %d was taken again", n)
		}
	}
}

// A peer may lie about its clock; it may harm its own traffic, no more.
func TestPacerStaysInBoundsUnderALyingClock(t *testing.T) {
	p := &pacer{}
	now := time.Duration(0)
	for i := range 2000 {
		if _, bulk := p.allow(now); bulk {
			p.wrote(frameSize(p.frame()), now)
		}
		n := p.ping(now)
		read := time.Duration(maxClock) * time.Microsecond
		if i%3 == 0 {
			read = 0
		}
		now += time.Millisecond
		if err := p.pong(n, read, now); err != nil {
			t.Fatal(err)
		}
		if f := p.frame(); f < bearer.MinMax || f > bearer.MaxFrame {
			t.Fatalf("frame of %d bytes", f)
		}
		if w := p.window(); w > maxWindow {
			t.Fatalf("window of %d bytes", w)
		}
	}
}

// A little traffic on a quick path shows a low rate. That must not cut frames
// to pieces.
func TestPacerDoesNotTakeALightLoadForASlowPath(t *testing.T) {
	p := &pacer{}
	now := time.Duration(0)
	for range 100 {
		p.wrote(10, now)
		n := p.ping(now)
		now += 350 * time.Millisecond
		read := now
		now += 350 * time.Millisecond
		if err := p.pong(n, read, now); err != nil {
			t.Fatal(err)
		}
	}
	if p.frame() < firstFrame {
		t.Errorf("frames are held to %d bytes", p.frame())
	}
}
