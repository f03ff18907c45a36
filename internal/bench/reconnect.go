package bench

import (
	"context"
	"time"

	"herald/internal/bearer/linksim"
	"herald/internal/line"
)

// Reconnect is how long it took, from the moment at which a cut link was
// healed, until a FLASH submitted at that moment was known to be delivered.
type Reconnect struct {
	How    string  `json:"how"`
	Cut    float64 `json:"cut_s"`
	Count  int     `json:"count"`
	Median float64 `json:"median_s"`
	Worst  float64 `json:"worst_s"`
}

// cut is a way in which a link fails.
type cut struct {
	how   string
	sever bool // the connections are lost at once, as when a router restarts
	long  time.Duration
	times int
}

func (r *run) reconnect(ctx context.Context) error {
	p, err := r.newPair(ctx, pairing{name: "reconnect", lines: []int{1}, sim: &linksim.Config{}})
	if err != nil {
		return err
	}
	defer p.close()
	for _, c := range r.size.cuts {
		r.say("reconnect: %d times, link cut for %v, %s", c.times, c.long, c.how)
		var took []time.Duration
		for range c.times {
			d, err := p.heal(ctx, c)
			if err != nil {
				return err
			}
			took = append(took, d)
		}
		x := Reconnect{How: c.how, Cut: c.long.Seconds(), Count: c.times, Median: median(took).Seconds(), Worst: quantile(took, 1).Seconds()}
		r.out.Reconnect = append(r.out.Reconnect, x)
		r.out.ReconnectS = max(r.out.ReconnectS, x.Worst)
	}
	return nil
}

// heal cuts the link, heals it, and returns how long the line needed.
func (p *pair) heal(ctx context.Context, c cut) (time.Duration, error) {
	l := p.lines[0]
	size, err := l.Delivered(ctx)
	if err != nil {
		return 0, err
	}
	p.sim.Cut()
	if c.sever {
		p.sim.Sever()
	}
	if err := wait(ctx, c.long); err != nil {
		return 0, err
	}
	s := p.words(l, line.Flash, flashText(int(time.Now().UnixMilli())))
	p.sim.Heal()
	began := time.Now()
	if _, err := l.Submit(ctx, s); err != nil {
		return 0, err
	}
	_, err = l.AwaitDelivered(ctx, size+1)
	return time.Since(began), err
}
