package bench

import (
	"context"
	"time"
)

// Idle is what idle lines take of a station's memory: what a process with so
// many more lines than one has in use after garbage was collected, less what a
// process with one line has, for each line.
type Idle struct {
	Lines     int     `json:"lines"`
	InUse     float64 `json:"in_use_bytes"` // heap spans and stacks
	HeapInUse float64 `json:"heap_in_use_bytes"`
	Alloc     float64 `json:"heap_alloc_bytes"`
	RSS       float64 `json:"rss_bytes"`
}

// restAfter is by how much the far station's clock is put forward, so that its
// lines come to rest without a wait: derived keys are dropped after a minute.
const restAfter = 2 * time.Minute

// twoTicks is time for the far station to look at its clock, as it does each
// second.
const twoTicks = 2500 * time.Millisecond

func (r *run) idle(ctx context.Context) error {
	n := r.size.lines
	r.say("memory: a station with %d idle lines", n)
	b, err := r.rest(ctx, "idle-one", 1)
	if err != nil {
		return err
	}
	a, err := r.rest(ctx, "idle-many", 1+n)
	if err != nil {
		return err
	}
	per := func(a, b uint64) float64 { return (float64(a) - float64(b)) / float64(n) }
	r.out.Idle = Idle{Lines: n, InUse: per(a.InUse+a.Stack, b.InUse+b.Stack), HeapInUse: per(a.InUse, b.InUse),
		Alloc: per(a.Alloc, b.Alloc), RSS: per(a.RSS, b.RSS)}
	r.out.IdleLineBytes = r.out.Idle.InUse
	return nil
}

// rest returns the memory of a second process whose station has so many lines
// with this one, all at rest.
func (r *run) rest(ctx context.Context, name string, lines int) (memory, error) {
	rules := make([]int, lines)
	for i := range rules {
		rules[i] = 1
	}
	p, err := r.newPair(ctx, pairing{name: name, lines: rules})
	if err != nil {
		return memory{}, err
	}
	defer p.close()
	if _, err := p.child.ask(request{Do: "advance", Seconds: int64(restAfter.Seconds())}); err != nil {
		return memory{}, err
	}
	if err := wait(ctx, twoTicks); err != nil {
		return memory{}, err
	}
	m, err := p.child.ask(request{Do: "memory", Profile: r.profile(name + ".heap.pprof")})
	return m.Memory, err
}
