package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"time"

	"herald/internal/audit"
	"herald/internal/audit/audittest"
)

// Audit is how fast an exported record was audited.
type Audit struct {
	Entries    int     `json:"entries"`
	FileBytes  int64   `json:"file_bytes"`
	PerSecond  float64 `json:"entries_per_s"`     // heads and trees
	Deep       float64 `json:"deep_signatures_s"` // every entry's signature
	VerifyRate float64 `json:"verify_per_s"`      // the machine's own, on all cores
	Ratio      float64 `json:"deep_ratio"`        // of the two
	CPURatio   float64 `json:"deep_cpu_ratio"`    // the same by processor time, whatever else the machine does
	PeakHeap   uint64  `json:"peak_heap_bytes"`   // while auditing, above what was in use before
}

// rateTime is for how long the machine's own rate is measured, before and
// after the deep audit.
const rateTime = 500 * time.Millisecond

func (r *run) audit(ctx context.Context) error {
	x := Audit{Entries: r.size.entries}
	r.say("audit: making a record of %d entries", x.Entries)
	path := filepath.Join(r.dir, "record.herald")
	defer os.Remove(path)
	if err := synthesize(path, x.Entries); err != nil {
		return err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	x.FileBytes = fi.Size()
	peak := watchHeap(ctx)
	r.say("audit: heads and trees, then every signature")
	plain, _, err := auditOnce(ctx, path, x.Entries, false)
	if err != nil {
		return err
	}
	before, err := verifyRate(rateTime)
	if err != nil {
		return err
	}
	cpu := processorTime()
	deep, signatures, err := auditOnce(ctx, path, x.Entries, true)
	if err != nil {
		return err
	}
	cpu = processorTime() - cpu
	after, err := verifyRate(rateTime)
	if err != nil {
		return err
	}
	x.PeakHeap = peak()
	x.PerSecond = float64(x.Entries) / plain.Seconds()
	x.Deep, x.VerifyRate = float64(signatures)/deep.Seconds(), (before.wall+after.wall)/2
	x.Ratio = x.Deep / x.VerifyRate
	if cpu > 0 {
		x.CPURatio = float64(signatures) / cpu.Seconds() / ((before.cpu + after.cpu) / 2)
	}
	r.out.Audit, r.out.AuditEntriesPerS, r.out.AuditDeepRatio = x, x.PerSecond, x.Ratio
	return nil
}

func synthesize(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := audittest.Synthesize(w, n); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func auditOnce(ctx context.Context, path string, n int, deep bool) (time.Duration, uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	began := time.Now()
	rep, err := audit.Run(ctx, io.Reader(f), audit.Options{Deep: deep})
	if err != nil {
		return 0, 0, err
	}
	if !rep.Sound || rep.Entries != uint64(n) {
		return 0, 0, fmt.Errorf("a sound record of %d entries was found unsound, or to have %d", n, rep.Entries)
	}
	return time.Since(began), rep.Signatures, nil
}

// watchHeap samples the heap until the returned function says by how much it
// rose.
func watchHeap(ctx context.Context) func() uint64 {
	runtime.GC()
	runtime.GC()
	ctx, cancel := context.WithCancel(ctx)
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	first, rose := s[0].Value.Uint64(), make(chan uint64, 1)
	go func() {
		most := first
		for err := error(nil); err == nil; err = wait(ctx, 20*time.Millisecond) {
			metrics.Read(s)
			most = max(most, s[0].Value.Uint64())
		}
		rose <- most - first
	}()
	return func() uint64 { cancel(); return <-rose }
}
