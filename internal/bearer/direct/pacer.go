package direct

import (
	"time"

	"herald/internal/bearer"
)

// Figures of the window (spec 09 §6). They are this implementation's choice;
// the wire does not depend on them.
const (
	firstFrame   = 900                    // least limit of a frame until the rate is proved: 0.24 s at 30 kbit/s
	smallFrame   = 1024                   // below this, a frame may take slowTime; above, quickTime
	slowTime     = 160 * time.Millisecond // well under the 0.25 s that no frame may exceed, with overhead
	quickTime    = 50 * time.Millisecond
	slack        = 5 * time.Millisecond   // a queue that nobody notices, and that keeps a quick path full
	noQueue      = 2 * time.Millisecond   // a queue below this is taken for noise
	unprovedWait = 250 * time.Millisecond // how long bulk may wait for a rate that nothing has proved
	probeEvery   = time.Minute            // how long a measured idle delay is believed under load
	reprobe      = time.Second            // and the first of all
	maxMarks     = 64
	maxWindow    = 16 << 20
	firstGrowth  = 1.25 // how boldly a rate is tried that nothing has bounded yet
	laterGrowth  = 1.1  // and later, in case the path became quicker
	rateWeight   = 0.25
	delayWeight  = 0.25
)

// pacer decides how many bytes may be under way, from pings that follow the
// data and pongs that carry the peer's clock. Bulk keeps the path full but
// leaves no more than about one frame in the bottleneck's queue.
//
// The delay of one direction is the peer's clock at reading less our clock at
// sending. The clocks' difference is unknown but the same each time, so what
// counts is how much a delay exceeds the smallest one: that is the queue in
// our direction alone, whatever the peer is sending meanwhile.
//
// All times are since the connection began, by either side's own clock. A
// pacer does nothing by itself and needs a lock around it.
type pacer struct {
	sent   uint64 // data bytes written, headers included
	pinged uint64 // of those, followed by a ping
	acked  uint64 // of those, known to have been taken by the peer
	number uint64 // of the newest ping
	marks  []mark // pings without an answer, oldest first

	ref     point         // where the next rate is measured from
	base    time.Duration // smallest delay seen, clocks' difference included
	baseAt  time.Duration // when base was last confirmed
	hasBase bool
	path    time.Duration // round trip without our own queue
	rtt     time.Duration // round trip as it is
	rate    float64       // bytes per second; 0: unknown
	proved  bool          // whether a standing queue has shown the rate; until then it is a lower bound
	full    bool          // whether any answer within the last round trip saw a queue
	fullAt  time.Duration // when one last did
	queued  bool          // whether the newest answer saw a queue before its own bytes
	clear   time.Duration // when the bottleneck has sent all of it, at the measured rate

	drainSince time.Duration
	draining   bool
}

// point is a place in the stream, when we sent it and when the peer read it,
// each by its own clock.
type point struct {
	offset uint64
	sent   time.Duration
	read   time.Duration
	valid  bool
	queued bool // whether a queue stood there
}

// mark is a ping on its way.
type mark struct {
	number uint64
	offset uint64
	at     time.Duration
	size   uint64 // data bytes since the ping before
	ref    point
	clean  bool // sent on an empty path, so that it measures the idle delay
}

// frame is the greatest frame to send now.
func (p *pacer) frame() int {
	slow := min(int(p.rate*slowTime.Seconds()), smallFrame)
	n := max(slow, int(min(p.rate*quickTime.Seconds(), bearer.MaxFrame)))
	if !p.proved {
		return max(firstFrame, n)
	}
	return max(bearer.MinMax, n)
}

// window is how many bytes may be under way before another bulk frame.
func (p *pacer) window() uint64 {
	if p.rate == 0 {
		return firstFrame
	}
	w := p.gain()*p.rate*(p.path+slack).Seconds() + float64(p.frame()/2)
	return uint64(min(w, maxWindow))
}

// gain is above 1 while no queue shows that the path is full.
func (p *pacer) gain() float64 {
	switch {
	case p.full:
		return 1
	case p.proved:
		return laterGrowth
	}
	return firstGrowth
}

// unacked is the number of data bytes under way.
func (p *pacer) unacked() uint64 { return p.sent - p.acked }

// allow says whether a frame may be sent now, and whether it may be bulk.
// Frames that are not bulk have two frames more room, so that they never wait
// for bulk, and yet do not fill the queue before one more urgent.
func (p *pacer) allow(now time.Duration) (some, bulk bool) {
	p.planDrain(now)
	w, u := p.window(), p.unacked()
	return u < w+uint64(2*p.frame()), u < w && !p.draining && p.clear <= now+slack
}

// wait is how long after now the window may open without any answer, or 0:
// bulk follows at the path's rate, so that an open window is not poured into
// an empty path at once, to stand there as a queue.
func (p *pacer) wait(now time.Duration) time.Duration {
	if p.draining || p.unacked() >= p.window() {
		return 0
	}
	return max(0, p.clear-slack-now)
}

// planDrain lets the path run empty now and then under steady load, since only
// an empty path shows its idle delay. It gives up when urgent traffic keeps
// the path busy.
func (p *pacer) planDrain(now time.Duration) {
	switch {
	case !p.draining:
		if p.hasBase && p.unacked() > 0 && now-p.baseAt > probeEvery {
			p.draining, p.drainSince = true, now
		}
	case now-p.drainSince > 2*p.rtt+time.Second:
		p.draining, p.baseAt = false, now
	}
}

// wrote counts one data frame.
func (p *pacer) wrote(n int, now time.Duration) {
	if p.sent == p.acked && p.hasBase {
		p.ref = point{offset: p.sent, sent: now, read: now + p.base, valid: true}
	}
	p.sent += uint64(n)
	if p.rate > 0 {
		took := float64(n) / (p.rate * p.gain())
		p.clear = max(p.clear, now) + time.Duration(took*float64(time.Second))
		if !p.proved {
			// The rate is a lower bound so far: a first answer that a busy machine
			// held up must not hold bulk back for longer than a frame may last.
			p.clear = min(p.clear, now+unprovedWait)
		}
	}
}

// wantPing says whether a ping should follow what has been written: always one
// is under way while data is, more on a full path, where each frame's answer
// opens the window again.
func (p *pacer) wantPing() bool {
	if len(p.marks) >= maxMarks {
		return false
	}
	loose := p.sent - p.pinged
	if loose > 0 {
		return len(p.marks) == 0 || p.draining || loose >= p.window()/8
	}
	return p.draining && p.unacked() == 0 && len(p.marks) == 0
}

// ping records one more ping and returns its number.
func (p *pacer) ping(now time.Duration) uint64 {
	p.number++
	p.marks = append(p.marks, mark{
		number: p.number,
		offset: p.sent,
		at:     now,
		size:   p.sent - p.pinged,
		ref:    p.ref,
		clean:  p.sent == p.acked,
	})
	p.pinged = p.sent
	return p.number
}

// pong takes the peer's answer: it has taken everything before that ping.
func (p *pacer) pong(number uint64, read, now time.Duration) error {
	i := 0
	for i < len(p.marks) && p.marks[i].number < number {
		i++
	}
	if i == len(p.marks) || p.marks[i].number != number {
		return broke("answer to ping %d, which does not wait for one", number)
	}
	m := p.marks[i]
	for _, earlier := range p.marks[:i] {
		m.size += earlier.size // one answer for several: all their bytes came before it
	}
	p.marks = append(p.marks[:0], p.marks[i+1:]...)
	p.acked = m.offset
	if m.clean {
		p.draining = false
	}
	queue := p.measureDelay(m, read, now)
	p.measureRate(m, read, now, queue)
	p.ref = point{offset: m.offset, sent: m.at, read: read, valid: true, queued: p.queued}
	return nil
}

// measureDelay learns the path's delays from one answer, and returns how long
// the ping waited in our direction.
func (p *pacer) measureDelay(m mark, read, now time.Duration) (queue time.Duration) {
	rtt, delay := now-m.at, read-m.at
	stale := now-p.baseAt > probeEvery
	switch {
	case !p.hasBase:
		// The end of the handshake was in the way of this one: soon another.
		p.base, p.hasBase, p.baseAt = delay, true, now+reprobe-probeEvery
	case m.clean && (stale || delay < p.base):
		p.base, p.baseAt = delay, now
	case delay < p.base:
		p.base = delay // but it need not be all: frames were in the way
	}
	queue = min(max(delay-p.base, 0), rtt)
	if m.clean {
		p.path = 0
	}
	p.path = blend(p.path, rtt-queue)
	p.rtt = blend(p.rtt, rtt)
	return queue
}

// measureRate learns the path's rate. Where a queue stood at both ends of the
// measure, bytes left the bottleneck at its own rate; otherwise, the path can
// carry at least what was seen.
func (p *pacer) measureRate(m mark, read, now, queue time.Duration) {
	if !m.ref.valid || m.offset <= m.ref.offset {
		return
	}
	// No shorter than half a round trip, so that a few bytes that came through
	// quickly are not taken for a quick path: the window at most doubles.
	took := max(read-m.ref.read, m.at-m.ref.sent, (now-m.at)/2, time.Microsecond)
	seen := float64(m.offset-m.ref.offset) / took.Seconds()
	if p.rate == 0 {
		p.rate = seen
		return
	}
	before := queue - time.Duration(float64(m.size)/p.rate*float64(time.Second))
	p.queued = before > noQueue
	if p.queued {
		p.fullAt = now
	}
	p.full = p.proved && now-p.fullAt <= p.rtt
	if p.queued && m.ref.queued {
		p.rate += rateWeight * (seen - p.rate)
		p.proved = true
	} else {
		p.rate = max(p.rate, seen)
	}
}

// blend moves an average towards a new sample; 0 means that there is none yet.
func blend(old, sample time.Duration) time.Duration {
	if old == 0 {
		return sample
	}
	return old + time.Duration(delayWeight*float64(sample-old))
}
