// Package bench measures Herald against the figures that it is to reach, each
// beside the machine's own limits taken in the same run, so that a slow disk
// or a busy processor shows as such.
//
// One station runs in this process and one in a second process, which is this
// program again. Nothing is left behind: folders are temporary, and the second
// process ends with the first.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say how to measure.
type Options struct {
	Quick    bool      // smaller sizes, in about half a minute
	Dir      string    // where temporary folders are made; "" for the system's
	Progress io.Writer // told what is being measured; nil for nobody
	Profiles string    // folder for CPU profiles of both processes; "" for none
	Only     []string  // measures to take, by name; empty for all

	tiny bool // for tests: smallest sizes
}

// Measures are the names that Options.Only takes.
func Measures() []string {
	var out []string
	for _, m := range steps {
		out = append(out, m.name)
	}
	return out
}

// size says how much is measured.
type size struct {
	flash      int           // FLASH for each release rule
	messages   int           // of each kind, for throughput
	warm       int           // entries in each log before frames are measured
	warmTwelve int           // the same, with twelve parties
	attachment uint64        // bytes that FLASH is to pass
	preempt    int           // FLASH on each slow link, idle and loaded
	settle     time.Duration // for the attachment's transfer to get going
	links      int           // of the slow ones, the quickest first
	cuts       []cut
	entries    int // of the record that is audited
	lines      int // idle ones
}

const (
	silent  = "everything stands still"
	severed = "its connections are lost"
)

func sizes(o Options) size {
	switch {
	case o.tiny:
		return size{flash: 10, messages: 100, warm: 10, warmTwelve: 2, attachment: 1 << 20, preempt: 1, settle: time.Second, links: 1,
			cuts: []cut{{silent, false, 100 * time.Millisecond, 1}, {severed, true, 100 * time.Millisecond, 1}}, entries: 1000, lines: 10}
	case o.Quick:
		return size{flash: 150, messages: 3000, warm: 300, warmTwelve: 30, attachment: 64 << 20, preempt: 3, settle: 2 * time.Second, links: 2,
			cuts: []cut{{silent, false, 5 * time.Second, 1}, {severed, true, 5 * time.Second, 1}}, entries: 50_000, lines: 100}
	}
	return size{flash: 1000, messages: 40_000, warm: 300, warmTwelve: 260, attachment: 1 << 30, preempt: 10, settle: 15 * time.Second, links: 2,
		cuts: []cut{{silent, false, 5 * time.Second, 3}, {severed, true, 5 * time.Second, 3}, {silent, false, 20 * time.Second, 1}}, entries: 1_000_000, lines: 1000}
}

// Machine is what the machine itself can do, medians, in milliseconds.
type Machine struct {
	Cores       int     `json:"cores"`
	CommitMS    float64 `json:"commit_ms"` // our own store, one message
	CommitP99MS float64 `json:"commit_p99_ms"`
	FsyncMS     float64 `json:"fsync_ms"` // 900 bytes appended to a file
	PingMS      float64 `json:"ping_ms"`  // one frame there and back between the processes
	SignMS      float64 `json:"sign_ms"`  // Ed25519, 87 bytes
	VerifyMS    float64 `json:"verify_ms"`
}

// Report is everything that was measured.
type Report struct {
	FlashRatioP50      float64 `json:"flash_ratio_p50"`
	FlashRatioP99      float64 `json:"flash_ratio_p99"`
	ThroughputPerS     float64 `json:"throughput_per_s"`
	OverheadBytes      int     `json:"overhead_bytes"`
	FlashFrameBytes    int     `json:"flash_frame_bytes"`
	FlashTwoFrameBytes int     `json:"flash_two_frame_bytes"`
	PreemptRatio       float64 `json:"preempt_ratio"`
	ReconnectS         float64 `json:"reconnect_s"`
	AuditEntriesPerS   float64 `json:"audit_entries_per_s"`
	AuditDeepRatio     float64 `json:"audit_deep_ratio"`
	IdleLineBytes      float64 `json:"idle_line_bytes"`

	Quick      bool         `json:"quick"`
	Took       float64      `json:"took_s"`
	Machine    Machine      `json:"machine"`
	Flash      []Latency    `json:"flash"`
	Throughput []Throughput `json:"throughput"`
	Frames     Frames       `json:"frames"`
	Preempt    []Preempt    `json:"preempt"`
	Reconnect  []Reconnect  `json:"reconnect"`
	Audit      Audit        `json:"audit"`
	Idle       Idle         `json:"idle"`
}

// run is one run of the measures.
type run struct {
	o    Options
	dir  string
	size size
	out  Report
	mu   sync.Mutex // of Progress
}

// step is a measure. Those of one group run side by side: they wait more than
// they work, or measure no time.
type step struct {
	name         string
	group, quick int // in a whole run, and in a quick one
	limit        time.Duration
	f            func(*run, context.Context) error
}

const groups = 6

var steps = []step{
	{"flash", 0, 0, 2 * time.Minute, (*run).flash},
	{"throughput", 1, 1, 3 * time.Minute, (*run).throughput},
	{"audit", 2, 2, 5 * time.Minute, (*run).audit},
	{"frames", 3, 5, 3 * time.Minute, (*run).frames},
	{"idle", 4, 5, 5 * time.Minute, (*run).idle},
	{"preempt", 5, 5, 5 * time.Minute, (*run).preempt},
	{"reconnect", 5, 5, 3 * time.Minute, (*run).reconnect},
}

// Run measures everything, or what Options.Only names. After an error the
// report holds what was measured before.
func Run(ctx context.Context, o Options) (rep Report, err error) {
	for _, name := range o.Only {
		if !slices.Contains(Measures(), name) {
			return rep, fmt.Errorf("there is no measure %q; there are %s", name, strings.Join(Measures(), ", "))
		}
	}
	began := time.Now()
	r := &run{o: o, size: sizes(o)}
	r.out.Quick, r.out.Machine.Cores = o.Quick, runtime.GOMAXPROCS(0)
	if r.dir, err = os.MkdirTemp(o.Dir, "herald-bench-"); err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	for group := range groups {
		if err := r.group(ctx, group); err != nil {
			return r.out, err
		}
	}
	r.out.Took = time.Since(began).Seconds()
	return r.out, nil
}

func (r *run) group(ctx context.Context, group int) error {
	var wg sync.WaitGroup
	errs := make([]error, len(steps))
	for i, s := range steps {
		its := s.group
		if r.o.Quick || r.o.tiny {
			its = s.quick
		}
		if its != group || len(r.o.Only) > 0 && !slices.Contains(r.o.Only, s.name) {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("not done within %v", s.limit))
			defer cancel()
			if err := s.f(r, ctx); err != nil {
				errs[i] = fmt.Errorf("measure %s: %w", s.name, err)
				if ctx.Err() != nil {
					errs[i] = fmt.Errorf("%w (%w)", errs[i], context.Cause(ctx))
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *run) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.o.Progress != nil {
		fmt.Fprintf(r.o.Progress, format+"\n", args...)
	}
}

// warnings is where stations' errors go.
func (r *run) warnings() io.Writer {
	if r.o.Progress != nil {
		return r.o.Progress
	}
	return io.Discard
}

func (r *run) profile(name string) string {
	if r.o.Profiles == "" {
		return ""
	}
	return filepath.Join(r.o.Profiles, name)
}

// startProfile begins a CPU profile of this process, if one is wanted.
func (r *run) startProfile(name string) (end func()) {
	path := r.profile(name)
	if path == "" {
		return func() {}
	}
	f, err := os.Create(path)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		r.say("no profile: %v", err)
		return func() {}
	}
	return func() { pprof.StopCPUProfile(); f.Close() }
}
