package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// The goals, as the table shows them beside what was measured.
const (
	goalFlashP50   = 1.5
	goalFlashP99   = 4
	goalThroughput = 8000
	goalOverhead   = 110
	goalOne        = 270
	goalTwo        = 340
	goalReceipt    = 99
	goalPreempt    = 1.2
	goalReconnect  = 2
	goalAudit      = 300_000
	goalDeep       = 0.7
	goalIdle       = 64 << 10
)

// table writes rows of what was measured.
type table struct{ w *tabwriter.Writer }

func (t table) row(what, measured, goal string) {
	fmt.Fprintf(t.w, "%s\t%s\t%s\n", what, measured, goal)
}

func (t table) note(format string, args ...any) { t.row("  "+fmt.Sprintf(format, args...), "", "") }

// most is a goal that the value may not exceed, least one that it must reach.
func most(v, goal float64, unit string) string  { return verdict(v <= goal, "≤", goal, unit) }
func least(v, goal float64, unit string) string { return verdict(v >= goal, "≥", goal, unit) }

func verdict(ok bool, sign string, goal float64, unit string) string {
	s := fmt.Sprintf("%s %s%s", sign, number(goal), unit)
	if ok {
		return s + "  reached"
	}
	return s + "  MISSED"
}

// number writes 8000 as 8,000 and 1.5 as it is.
func number(v float64) string {
	if v != float64(int64(v)) || v < 1000 {
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
	}
	s := fmt.Sprint(int64(v))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Write prints the report for people. Measures that were not taken are left
// out.
func (r Report) Write(out io.Writer) error {
	t := table{tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)}
	t.row("WHAT", "MEASURED", "GOAL")
	r.writeFlash(t)
	r.writeThroughput(t)
	r.writeFrames(t)
	r.writeLinks(t)
	r.writeAudit(t)
	r.writeIdle(t)
	return t.w.Flush()
}

func (r Report) writeFlash(t table) {
	if len(r.Flash) == 0 {
		return
	}
	m := r.Machine
	t.row("this machine: durable commit of our store", fmt.Sprintf("%.3f ms (p99 %.3f)", m.CommitMS, m.CommitP99MS), "")
	t.row("this machine: append and fsync", fmt.Sprintf("%.3f ms", m.FsyncMS), "")
	t.row("this machine: bearer there and back, two processes", fmt.Sprintf("%.3f ms", m.PingMS), "")
	t.row("this machine: Ed25519 sign; verify", fmt.Sprintf("%.3f; %.3f ms", m.SignMS, m.VerifyMS), "")
	for _, f := range r.Flash {
		what := fmt.Sprintf("FLASH to delivered known, %d releasers", f.Releasers)
		p50, p99 := "", ""
		if f.Releasers == 1 {
			p50, p99 = most(f.RatioP50, goalFlashP50, " ×"), most(f.RatioP99, goalFlashP99, " ×")
		}
		t.row(what+", p50", fmt.Sprintf("%.2f × (%.2f ms)", f.RatioP50, f.P50), p50)
		t.row(what+", p99", fmt.Sprintf("%.2f × (%.2f ms)", f.RatioP99, f.P99), p99)
	}
	f := r.Flash[len(r.Flash)/2]
	t.note("of %d each; × is 2 commits + 1 round trip + %d signatures and %d verifications, by their medians = %.2f ms", f.Count, chainSigns, chainVerifies+f.Releasers, f.Bound)
	t.note("chain: %s", chainText)
}

func (r Report) writeThroughput(t table) {
	for i, x := range r.Throughput {
		goal := ""
		if i == 0 {
			goal = least(x.PerSecond, goalThroughput, "/s")
		}
		t.row(fmt.Sprintf("messages/s, %s text, %d releasers", x.Text, x.Releasers), number(float64(int(x.PerSecond))), goal)
		t.note("%s of %d bytes, %d in flight; processor %.0f + %.0f µs a message, so %d cores could carry %s/s", number(float64(x.Count)), bodyBytes, inFlight,
			x.NearCPU, x.FarCPU, r.cores(), number(float64(int(float64(r.cores())*1e6/(x.NearCPU+x.FarCPU)))))
	}
}

func (r Report) writeFrames(t table) {
	f := r.Frames
	if f.Entries == 0 {
		return
	}
	t.row("bytes above a text of 100 characters", number(float64(f.Overhead)), most(float64(f.Overhead), goalOverhead, ""))
	t.row("FLASH of 100 English characters, 1 releaser", number(float64(f.One)), most(float64(f.One), goalOne, ""))
	t.row("FLASH of 100 English characters, 2 releasers", number(float64(f.Two)), most(float64(f.Two), goalTwo, ""))
	t.row("receipt (cosignature); head that goes with an entry", fmt.Sprintf("%d; %d", f.Receipt, f.Head), most(float64(f.Receipt), goalReceipt, ""))
	t.row("FLASH of 100 English characters, 1 releaser, 12 parties", number(float64(f.Twelve)), "")
	for _, l := range f.Languages {
		t.row(fmt.Sprintf("FLASH in %s of %d characters (%d bytes), 1 releaser", l.Lang, l.Characters, l.UTF8), number(float64(l.Frame)), "")
	}
	t.note("greatest of %d held-out texts; every log held %d entries before (twelve parties: %d); TLS and TCP left out", f.Languages[0].Texts, f.Entries, f.TwelveAfter)
}

func (r Report) writeLinks(t table) {
	for _, p := range r.Preempt {
		t.row(fmt.Sprintf("FLASH behind an attachment, %s bit/s, %.0f ms round trip", number(float64(p.Rate)), p.RTT),
			fmt.Sprintf("%.2f × (%.0f ms, idle %.0f, one frame %.0f)", p.Ratio, p.Loaded, p.Idle, p.Frame), most(p.Ratio, goalPreempt, " ×"))
		t.note("medians of %d; worst %.0f ms; attachment of %d MiB, link %.0f%% full; × is (loaded - one frame) / idle", p.Count, p.LoadedMax, p.Attachment>>20, 100*p.Share)
	}
	for _, c := range r.Reconnect {
		t.row(fmt.Sprintf("reconnect after %.0f s, %s, worst of %d", c.Cut, c.How, c.Count),
			fmt.Sprintf("%.2f s (median %.2f)", c.Worst, c.Median), most(c.Worst, goalReconnect, " s"))
	}
}

func (r Report) writeAudit(t table) {
	a := r.Audit
	if a.Entries == 0 {
		return
	}
	t.row(fmt.Sprintf("audit of %s entries: heads and trees", number(float64(a.Entries))), number(float64(int(a.PerSecond)))+"/s", least(a.PerSecond, goalAudit, "/s"))
	t.row("audit --deep: signatures/s as a share of the machine's own", fmt.Sprintf("%.2f (%s of %s/s)", a.Ratio, number(float64(int(a.Deep))), number(float64(int(a.VerifyRate)))), least(a.Ratio, goalDeep, ""))
	t.note("by processor time %.2f; file of %d MiB; heap rose by %.1f MiB", a.CPURatio, a.FileBytes>>20, float64(a.PeakHeap)/(1<<20))
}

func (r Report) writeIdle(t table) {
	x := r.Idle
	if x.Lines == 0 {
		return
	}
	t.row(fmt.Sprintf("memory of an idle line, of %s", number(float64(x.Lines))), fmt.Sprintf("%.1f KiB", x.InUse/1024), most(x.InUse, goalIdle, " bytes"))
	t.note("heap spans and stacks in use after garbage was collected; heap spans alone %.1f, live objects %.1f, resident %.1f KiB", x.HeapInUse/1024, x.Alloc/1024, x.RSS/1024)
}

func (r Report) cores() int { return max(1, r.Machine.Cores) }
