// Package demo shows Herald at work on one machine: it makes two parties,
// starts their stations as processes with a network between them that can be
// cut, replays an episode from the public record, and then checks, entry by
// entry, that both sides hold one record.
//
// It does what users do and no more: it runs the herald command and speaks to
// stations through their sockets. No station knows of it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"herald/internal/line"
)

// patience bounds each single thing that is waited for.
const patience = 30 * time.Second

// pause is how long a person gets to look at each message, on a terminal.
const pause = 200 * time.Millisecond

// Options say what to run and how to show it.
type Options struct {
	Program string    // the herald program, which is copied into the demo's folder
	Keep    bool      // leave the stations running, and the folder
	Out     io.Writer // the story; io.Discard for none
	Person  bool      // somebody is watching: pause between messages
	Colour  bool
}

// Result is what came of it. All that can be wrong is counted, not assumed.
type Result struct {
	Episode    string       `json:"episode"`
	Parties    []line.Party `json:"parties"`
	Line       string       `json:"line"`
	Entries    int          `json:"entries"`  // on the record, of all kinds
	Messages   int          `json:"messages"` // that officers wrote, replies and receipts by signature included
	Receipts   int          `json:"receipts"` // steps that somebody attested
	Lost       int          `json:"lost"`     // accepted words that a side does not hold
	Duplicated int          `json:"duplicated"`
	Identical  bool         `json:"records_identical"` // entry by entry, in the same order
	Audit      string       `json:"audit"`             // "ok": both sides' exports are sound, deep, with these heads
	FlashMS    float64      `json:"flash_ms"`          // median: submitted to known delivered at the sender, milliseconds
	Flashes    int          `json:"flashes"`           // how many the median is of
	ReconnectS float64      `json:"reconnect_s"`       // from the cable mended to the line up at both, seconds
	ByCourier  int          `json:"by_courier"`        // entries that came by courier first
	Heads      []Head       `json:"heads"`
	Seconds    float64      `json:"seconds"` // all in all
	Folder     string       `json:"folder,omitempty"`
	Processes  []Process    `json:"processes,omitempty"` // left running, with Folder
	Problem    string       `json:"problem,omitempty"`   // why it does not hold
}

// Head is one log's head that both parties signed.
type Head struct {
	Log      line.Party `json:"log"`
	Size     uint64     `json:"size"`
	Root     string     `json:"root"`
	Cosigned line.Party `json:"cosigned_by"`
}

// Process is a process that the demo has left running.
type Process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

// problem says what does not hold, in a sentence; "" when all does.
func (r Result) problem() string {
	switch {
	case r.Lost > 0:
		return fmt.Sprintf("%d accepted messages are missing at a side", r.Lost)
	case r.Duplicated > 0:
		return fmt.Sprintf("%d entries are on the record without words that somebody wrote once", r.Duplicated)
	case !r.Identical:
		return "the two records differ"
	case r.Audit != "ok":
		return "the audit fails: " + r.Audit
	case r.Entries == 0 || r.Messages == 0 || r.Flashes == 0:
		return "nothing was exchanged"
	}
	return ""
}

// Run replays the episode. The error is nil only when everything held. Unless
// it is to keep them, all processes have ended and the folder is gone when it
// returns, also on an error or when ctx ends.
func Run(ctx context.Context, o Options) (r Result, err error) {
	began := time.Now()
	ep, err := June2023()
	if err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "herald-demo-")
	if err != nil {
		return r, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // what is printed works from anywhere
		return r, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	d := &drill{o: o, dir: dir, ep: ep, page: newPage(ctx, fail, o, ep)}
	err = d.run(ctx)
	d.result.Seconds = time.Since(began).Seconds()
	if err == nil {
		if p := d.result.problem(); p != "" {
			err = errors.New(p)
		}
	}
	if err != nil {
		d.result.Problem = err.Error()
	}
	if o.Keep && ctx.Err() == nil && d.cable != nil {
		d.keep()
		return d.result, err
	}
	if end := errors.Join(d.end(), os.RemoveAll(dir)); end != nil {
		err = errors.Join(err, fmt.Errorf("clean up %s: %w", dir, end))
	}
	d.page.farewell(d)
	return d.result, err
}

// run plays everything and fills in the result.
func (d *drill) run(ctx context.Context) error {
	for _, act := range []func(context.Context) error{d.constitute, d.start, d.signOn, d.test, d.play, d.check} {
		if err := act(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return errors.Join(err, d.lastWords())
		}
	}
	return nil
}

// keep lets the processes go on after this one.
func (d *drill) keep() {
	d.result.Folder = d.dir
	for _, p := range d.processes {
		d.result.Processes = append(d.result.Processes, Process{p.name, p.cmd.Process.Pid})
	}
	for _, p := range d.parties {
		if p.station != nil {
			p.station.Close()
		}
	}
	d.page.kept(d)
}
