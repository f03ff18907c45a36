package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"herald/internal/bearer/linksim"
	"herald/internal/control"
	"herald/internal/line"
	"herald/internal/session"
)

// Preempt is how a FLASH fared behind a large attachment on a slow link.
type Preempt struct {
	Rate       int64   `json:"rate_bit_s"`
	RTT        float64 `json:"rtt_ms"` // of the simulated link
	Attachment uint64  `json:"attachment_bytes"`
	Count      int     `json:"count"`
	Idle       float64 `json:"idle_p50_ms"`
	Loaded     float64 `json:"loaded_p50_ms"`
	LoadedMax  float64 `json:"loaded_max_ms"`
	Frame      float64 `json:"frame_ms"` // what one frame of the attachment takes
	Share      float64 `json:"share"`    // of the link that was in use while loaded
	Ratio      float64 `json:"ratio"`    // (loaded - one frame) / idle
}

// leastShare is how much of a link must be in use for it to count as loaded.
const leastShare = 0.3

// The slow links on which FLASH is to pass an attachment.
func slowLinks() []linksim.Config {
	return []linksim.Config{
		{Rate: 1_000_000, Delay: 25 * time.Millisecond},
		{Rate: 30_000, Delay: 350 * time.Millisecond},
	}
}

// preempt measures all slow links side by side: they wait more than they work.
// Making the attachments is work, so that is done before.
func (r *run) preempt(ctx context.Context) error {
	links := slowLinks()[:r.size.links]
	r.out.Preempt = make([]Preempt, len(links))
	pairs, blobs := make([]*pair, len(links)), make([]control.Attachment, len(links))
	defer func() {
		for _, p := range pairs {
			if p != nil {
				p.close()
			}
		}
	}()
	err := sideBySide(links, func(i int, cfg linksim.Config) (err error) {
		r.say("preemption: FLASH at %d bit/s, first idle, then behind an attachment of %d MiB", cfg.Rate, r.size.attachment>>20)
		p, err := r.newPair(ctx, pairing{name: fmt.Sprintf("preempt-%d", cfg.Rate), lines: []int{1}, sim: &cfg})
		if err != nil {
			return err
		}
		pairs[i] = p
		blobs[i], err = p.attachment(ctx, p.lines[0], r.size.attachment)
		return err
	})
	if err != nil {
		return err
	}
	err = sideBySide(links, func(i int, cfg linksim.Config) (err error) {
		r.out.Preempt[i], err = r.preemptOn(ctx, pairs[i], cfg, blobs[i])
		return err
	})
	for _, x := range r.out.Preempt {
		r.out.PreemptRatio = max(r.out.PreemptRatio, x.Ratio)
	}
	return err
}

// sideBySide does the same on all links at once.
func sideBySide(links []linksim.Config, f func(int, linksim.Config) error) error {
	errs := make([]error, len(links))
	var wg sync.WaitGroup
	for i, cfg := range links {
		wg.Go(func() {
			if err := f(i, cfg); err != nil {
				errs[i] = fmt.Errorf("at %d bit/s: %w", cfg.Rate, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// preemptOn measures one link.
func (r *run) preemptOn(ctx context.Context, p *pair, cfg linksim.Config, blob control.Attachment) (Preempt, error) {
	x := Preempt{Rate: cfg.Rate, RTT: ms(2 * cfg.Delay), Attachment: r.size.attachment, Count: r.size.preempt}
	idle, err := p.scattered(ctx, p.lines[0], r.size.preempt, cfg.Delay/8)
	if err != nil {
		return x, err
	}
	if err := p.attach(ctx, p.lines[0], blob); err != nil {
		return x, err
	}
	if err := wait(ctx, r.size.settle); err != nil {
		return x, err
	}
	before, _ := p.sim.Moved()
	began := time.Now()
	loaded, err := p.scattered(ctx, p.lines[0], r.size.preempt, 2*cfg.Delay)
	if err != nil {
		return x, err
	}
	after, _ := p.sim.Moved()
	x.Share = float64(after-before) * 8 / float64(cfg.Rate) / time.Since(began).Seconds()
	if x.Share < leastShare {
		return x, fmt.Errorf("the attachment took only %.0f%% of the link meanwhile, so this measures nothing", 100*x.Share)
	}
	for _, c := range p.st.Carriers(far) {
		x.Frame = max(x.Frame, float64(c.Frame)*8*1000/float64(cfg.Rate))
	}
	x.Idle, x.Loaded, x.LoadedMax = ms(median(idle)), ms(median(loaded)), ms(quantile(loaded, 1))
	x.Ratio = (x.Loaded - x.Frame) / x.Idle
	return x, nil
}

// scattered sends FLASH after random pauses, so that they fall anywhere
// between the frames of the attachment.
func (p *pair) scattered(ctx context.Context, l *session.Line, n int, spread time.Duration) ([]time.Duration, error) {
	var took []time.Duration
	for i := range n {
		if err := wait(ctx, rand.N(spread)); err != nil {
			return nil, err
		}
		d, err := p.send(ctx, l, p.words(l, line.Flash, flashText(int(time.Now().UnixMilli())+i)))
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	return took, nil
}

// attachment gives the near station a file of random bytes.
func (p *pair) attachment(ctx context.Context, l *session.Line, size uint64) (control.Attachment, error) {
	src := rand.NewChaCha8([32]byte{9})
	return p.st.PutBlob(ctx, l.ID(), "chart.bin", io.LimitReader(src, int64(size)))
}

// attach sends a message with the attachment, as an officer does.
func (p *pair) attach(ctx context.Context, l *session.Line, blob control.Attachment) error {
	o := p.us.Officers[0]
	d, err := p.st.Draft(ctx, control.DraftRequest{LineID: l.ID().String(), Officer: o.Code(), Kind: "message",
		Precedence: "routine", Marking: "test", Text: "The chart is attached.", Blobs: []control.Attachment{blob}})
	if err != nil {
		return err
	}
	out, err := p.st.Release(ctx, control.ReleaseRequest{Draft: d.ID, Officer: o.Code(), Signature: o.Sign(d.Statement)})
	if err == nil && !out.Accepted {
		err = fmt.Errorf("the message with the attachment was not accepted")
	}
	return err
}

// wait pauses, or returns the reason why ctx ended.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
