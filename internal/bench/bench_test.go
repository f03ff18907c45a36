package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMain lets the test's own program be the second process.
func TestMain(m *testing.M) {
	if os.Getenv(PeerEnv) != "" {
		if err := Peer(context.Background(), os.Stdin, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestRun takes every measure at the smallest size. What it took is no
// matter; that every figure is there, and that nothing stays behind, is.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	var progress bytes.Buffer
	r, err := Run(t.Context(), Options{tiny: true, Dir: dir, Progress: &progress})
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.Bytes())
	}
	if strings.Contains(progress.String(), "level=") {
		t.Errorf("a station complained:\n%s", progress.Bytes())
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"flash_ratio_p50", "flash_ratio_p99", "throughput_per_s", "overhead_bytes", "flash_frame_bytes",
		"flash_two_frame_bytes", "preempt_ratio", "reconnect_s", "audit_entries_per_s", "audit_deep_ratio", "took_s",
	} {
		if v, ok := all[name].(float64); !ok || v <= 0 {
			t.Errorf("%s is %v", name, all[name])
		}
	}
	if r.Idle.Lines == 0 || r.Idle.Alloc <= 0 {
		t.Errorf("idle lines: %+v", r.Idle)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	testFrames(t, r.Frames)
	testTable(t, r)
}

// testFrames holds sizes to what must hold whatever the machine.
func testFrames(t *testing.T, f Frames) {
	t.Helper()
	if f.Two-f.One < 64 || f.Twelve <= f.One || f.Receipt <= 64 || f.Head <= 64 {
		t.Errorf("frames: %+v", f)
	}
	for _, l := range f.Languages {
		if l.Texts != 5 || l.Frame <= 128 || l.Lang == "en" && l.Characters != 100 {
			t.Errorf("frames: %+v", l)
		}
	}
}

func testTable(t *testing.T, r Report) {
	t.Helper()
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"FLASH", "messages/s", "receipt", "behind an attachment", "reconnect", "audit", "idle line"} {
		if !strings.Contains(out.String(), what) {
			t.Errorf("the table does not speak of %q:\n%s", what, &out)
		}
	}
}

func TestRunRefusesAnUnknownMeasure(t *testing.T) {
	if _, err := Run(t.Context(), Options{Only: []string{"speed"}}); err == nil {
		t.Error("a measure that does not exist was taken")
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1.5: "1.5", 999: "999", 8000: "8,000", 1234567: "1,234,567"} {
		if got := number(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}
