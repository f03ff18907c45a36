package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"herald/internal/line"
	"herald/internal/session"
)

// inFlight is how many messages are under way at a time: submitted, and not
// yet known to be delivered.
const inFlight = 64

// bodyBytes is a message's text in the measure of throughput, in bytes.
const bodyBytes = 300

// Throughput is how many durable messages a second one line carried, until
// each was known to be delivered.
type Throughput struct {
	Text      string  `json:"text"`
	Releasers int     `json:"releasers"`
	Count     int     `json:"count"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_s"`
	// Processor time of either process for one message, in microseconds, the
	// other work of their stations included.
	NearCPU float64 `json:"near_cpu_us"`
	FarCPU  float64 `json:"far_cpu_us"`
}

// typical is text as people write it; hard is text that no compressor
// shortens by much.
func typical(n int) string {
	s := fmt.Sprintf("Message %07d. Our patrol vessel reports a fishing boat adrift two miles inside the buffer area with engine failure. We intend to send one unarmed tug from the north at 0400Z and to leave by 0600Z. Please confirm that your units are informed and will hold their present positions until we report completion. ", n)
	return (s + strings.Repeat(".", bodyBytes))[:bodyBytes]
}

func hard(n int) string {
	var seed [32]byte
	copy(seed[:], fmt.Sprint(n))
	b := make([]byte, bodyBytes)
	rand.NewChaCha8(seed).Read(b)
	return base64.StdEncoding.EncodeToString(b)[:bodyBytes]
}

// throughput keeps a line full with ROUTINE messages.
func (r *run) throughput(ctx context.Context) error {
	p, err := r.newPair(ctx, pairing{name: "throughput", lines: []int{0, 1}})
	if err != nil {
		return err
	}
	defer p.close()
	end := r.startProfile("throughput.near.pprof")
	defer end()
	for i, l := range p.lines {
		for _, t := range []struct {
			name string
			text func(int) string
		}{{"hardly compressible", hard}, {"typical", typical}} {
			r.say("throughput: %d messages of %d bytes, %s text, %d releasers, %d in flight", r.size.messages, bodyBytes, t.name, i, inFlight)
			x, err := p.fill(ctx, l, r.size.messages, t.text)
			if err != nil {
				return err
			}
			x.Text, x.Releasers = t.name, i
			r.out.Throughput = append(r.out.Throughput, x)
		}
	}
	r.out.ThroughputPerS = r.out.Throughput[0].PerSecond
	return nil
}

// fill sends n messages, inFlight at a time, and returns how long it took
// until the last was known to be delivered. The officers' signatures are made
// before.
func (p *pair) fill(ctx context.Context, l *session.Line, n int, text func(int) string) (x Throughput, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	subs := make(chan session.Submission, n)
	for i := range n {
		subs <- p.words(l, line.Routine, text(i))
	}
	close(subs)
	g := &gauge{}
	g.moved.L = &g.mu
	stop := context.AfterFunc(ctx, g.end)
	defer stop()
	before, err := p.child.ask(request{Do: "cpu"})
	if err != nil {
		return x, err
	}
	cpu, began := processorTime(), time.Now()
	var follower, senders sync.WaitGroup
	follower.Go(func() { g.follow(ctx, l) })
	for range inFlight {
		senders.Go(func() {
			for s := range subs {
				a, err := l.Submit(ctx, s)
				if err != nil {
					cancel(err)
				}
				if !g.await(a.Pos.Seq) {
					return
				}
			}
		})
	}
	senders.Wait()
	took, cpu, err := time.Since(began), processorTime()-cpu, context.Cause(ctx)
	cancel(nil)
	follower.Wait()
	if err != nil {
		return x, err
	}
	after, err := p.child.ask(request{Do: "cpu"})
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(n) }
	return Throughput{Count: n, Seconds: took.Seconds(), PerSecond: float64(n) / took.Seconds(), NearCPU: per(cpu), FarCPU: per(after.CPU - before.CPU)}, err
}

// gauge is how much of the own log is known to be delivered, for many who
// wait for it.
type gauge struct {
	mu    sync.Mutex
	moved sync.Cond
	size  uint64
	ended bool
}

func (g *gauge) follow(ctx context.Context, l *session.Line) {
	for size := uint64(0); ; {
		now, err := l.AwaitDelivered(ctx, size+1)
		if err != nil {
			g.end()
			return
		}
		size = now
		g.mu.Lock()
		g.size = now
		g.mu.Unlock()
		g.moved.Broadcast()
	}
}

func (g *gauge) end() {
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	g.moved.Broadcast()
}

// await returns true once the entry is delivered.
func (g *gauge) await(seq uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.size <= seq && !g.ended {
		g.moved.Wait()
	}
	return g.size > seq
}
