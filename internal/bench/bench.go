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
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// Options say how to measure.
type Options struct {
	Quick    bool      // smaller sizes, in less than half a minute
	Dir      string    // where temporary folders are made; "" for the system's
	Progress io.Writer // told what is being measured; nil for nobody
	Profiles string    // folder for CPU profiles of both processes; "" for none
	Only     []string  // names of measures; empty for all

	tiny bool // for tests: smallest sizes
}

// size says how much is measured.
type size struct {
	flash    int
	messages int
}

// Machine is what the machine itself can do, medians, in milliseconds.
type Machine struct {
	CommitMS    float64 `json:"commit_ms"`
	CommitP99MS float64 `json:"commit_p99_ms"`
	FsyncMS     float64 `json:"fsync_ms"`
	PingMS      float64 `json:"ping_ms"`
	SignMS      float64 `json:"sign_ms"`
	VerifyMS    float64 `json:"verify_ms"`
}

// Report is everything that was measured.
type Report struct {
	FlashRatioP50  float64 `json:"flash_ratio_p50"`
	FlashRatioP99  float64 `json:"flash_ratio_p99"`
	ThroughputPerS float64 `json:"throughput_per_s"`

	Machine    Machine      `json:"machine"`
	Flash      []Latency    `json:"flash"`
	Throughput []Throughput `json:"throughput"`
}

// run is one run of the measures.
type run struct {
	o    Options
	dir  string
	size size
	out  Report
}

// Run measures everything, or what Options.Only names.
func Run(ctx context.Context, o Options) (rep Report, err error) {
	r := &run{o: o, size: size{flash: 1000, messages: 20000}}
	switch {
	case o.tiny:
		r.size = size{flash: 10, messages: 100}
	case o.Quick:
		r.size = size{flash: 150, messages: 4000}
	}
	if r.dir, err = os.MkdirTemp(o.Dir, "herald-bench-"); err != nil {
		return rep, err
	}
	defer os.RemoveAll(r.dir)
	for _, m := range []struct {
		name string
		f    func(context.Context) error
	}{{"flash", r.flash}, {"throughput", r.throughput}} {
		if err := m.f(ctx); err != nil {
			return r.out, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return r.out, nil
}

func (r *run) say(format string, args ...any) {
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
