package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"herald/internal/bench/world"
	"herald/internal/compress"
	"herald/internal/line"
	"herald/internal/session"
)

// The serial chain of signatures of a FLASH, from submission to the moment at
// which the sender knows that it is delivered. The officer's own signature is
// made before the submission.
const (
	chainSigns    = 3 // entry, head; the peer's cosignature
	chainVerifies = 3 // head, entry at the peer; the cosignature
	chainText     = "sign entry, sign head | verify head, verify entry, verify each release, cosign | verify cosignature"
)

// Latency is what one kind of message took, submission to delivered.
type Latency struct {
	Releasers int     `json:"releasers"`
	Count     int     `json:"count"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Bound     float64 `json:"bound_ms"` // 2 commits + 1 round trip + the chain of signatures
	RatioP50  float64 `json:"ratio_p50"`
	RatioP99  float64 `json:"ratio_p99"`
}

// send submits one message and waits until it is known to be delivered.
func (p *pair) send(ctx context.Context, l *session.Line, s session.Submission) (time.Duration, error) {
	began := time.Now()
	a, err := l.Submit(ctx, s)
	if err != nil {
		return 0, err
	}
	if a.Queued {
		return 0, fmt.Errorf("a message was queued, so the line is not up")
	}
	_, err = l.AwaitDelivered(ctx, a.Pos.Seq+1)
	return time.Since(began), err
}

// flashText is 100 characters, each number a text of its own.
func flashText(n int) string {
	return fmt.Sprintf("Object %04d sighted over the strait at 1204Z, heading 090, no response to calls. Please advise now..", n%10000)
}

// words makes a message of the near party, released by as many as the line
// asks for.
func (p *pair) words(l *session.Line, prec line.Precedence, text string) session.Submission {
	dict, b := compress.Compress(text)
	return p.us.Words(l.Members(), l.Charter().Version, time.Now(), world.Message(prec, dict, b), l.Charter().Precedences[prec].Releasers)
}

// flash measures FLASH one after the other on lines whose charters ask for 0,
// 1 and 2 releasers, with the machine's limits between them.
func (r *run) flash(ctx context.Context) error {
	r.say("FLASH: %d one after the other for each release rule", r.size.flash)
	p, err := r.newPair(ctx, pairing{name: "flash", lines: []int{0, 1, 2}, bare: true})
	if err != nil {
		return err
	}
	defer p.close()
	m, err := newLimits(r.dir)
	if err != nil {
		return err
	}
	defer m.close()
	end := r.startProfile("flash.near.pprof")
	defer end()
	const slices = 10
	took := make([][]time.Duration, len(p.lines))
	n := 0
	for range slices {
		if err := m.take(ctx, max(1, r.size.flash/slices), p.bare); err != nil {
			return err
		}
		for i, l := range p.lines {
			for range max(1, r.size.flash/slices) {
				n++
				d, err := p.send(ctx, l, p.words(l, line.Flash, flashText(n)))
				if err != nil {
					return err
				}
				took[i] = append(took[i], d)
			}
		}
	}
	r.limits(m)
	for i := range took {
		r.out.Flash = append(r.out.Flash, latency(i, took[i], m))
	}
	r.out.FlashRatioP50, r.out.FlashRatioP99 = r.out.Flash[1].RatioP50, r.out.Flash[1].RatioP99
	return nil
}

func (r *run) limits(m *limits) {
	r.out.Machine = Machine{
		Cores:    runtime.GOMAXPROCS(0),
		CommitMS: ms(median(m.commit)), CommitP99MS: ms(quantile(m.commit, 0.99)), FsyncMS: ms(median(m.sync)),
		PingMS: ms(median(m.trip)), SignMS: ms(median(m.sign)), VerifyMS: ms(median(m.verify)),
	}
}

func latency(releasers int, took []time.Duration, m *limits) Latency {
	bound := 2*median(m.commit) + median(m.trip) + chainSigns*median(m.sign) + time.Duration(chainVerifies+releasers)*median(m.verify)
	l := Latency{Releasers: releasers, Count: len(took), P50: ms(median(took)), P99: ms(quantile(took, 0.99)), Bound: ms(bound)}
	l.RatioP50, l.RatioP99 = l.P50/l.Bound, l.P99/l.Bound
	return l
}
