package demo_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"herald/internal/cli"
	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/demo"
)

// TestMain lets this test binary be the herald command, so that the demo runs
// with what users run.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "herald" {
		os.Exit(cli.Main())
	}
	os.Exit(m.Run())
}

// herald prepares the demo, with its folder below tmp.
func herald(t *testing.T, tmp string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "herald")
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), name, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.Env = append(os.Environ(), "TMPDIR="+tmp, "HERALD_DIR=/nowhere", "HERALD_PASSPHRASES=/nowhere")
	return c
}

// within waits until it holds.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick, end := time.NewTicker(20*time.Millisecond), time.NewTimer(30*time.Second)
	defer tick.Stop()
	defer end.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("it never came that %s", what)
		}
	}
}

// running lists the processes whose command line names a folder.
func running(t *testing.T, dir string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Skip("this system has no /proc")
	}
	for _, f := range all {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(dir)) {
			found = append(found, string(bytes.ReplaceAll(b, []byte{0}, []byte(" "))))
		}
	}
	return found
}

// nothingLeft checks that no process runs from tmp and that no file is in it.
func nothingLeft(t *testing.T, tmp string) {
	t.Helper()
	if left := running(t, tmp); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
	files, err := os.ReadDir(tmp)
	if err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// The story is what a person sees: narrow enough, plain where it is no
// terminal, with a tick for each thing that was checked.
func TestStory(t *testing.T) {
	tmp := t.TempDir()
	c := herald(t, tmp, "demo")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, &errs)
	}
	for l := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(l, "\x1b") || utf8.RuneCountInString(l) > 96 {
			t.Errorf("too wide, or coloured: %q", l)
		}
	}
	for _, want := range []string{
		"Washington ──▶ Beijing", "Washington ◀── Beijing", "Washington says down.  Beijing says down.", "┄┄▶", "该飞艇来自中国",
		"declines US 0007", "✓ Washington's export, audited deep by Beijing: sound", "✓ Beijing's export", "identical at both sides", "none lost, none doubled", "docs/tour.md",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the story does not have %q", want)
		}
	}
	if strings.Contains(string(out), "✗") || strings.Contains(string(out), "≠") {
		t.Errorf("the story has a failure:\n%s", out)
	}
	nothingLeft(t, tmp)
}

// What is kept can be talked to, cut, healed and stopped as the demo says.
func TestKeepJSON(t *testing.T) {
	tmp := t.TempDir()
	c := herald(t, tmp, "demo", "--keep", "--json")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, failed := c.Output()
	var r demo.Result
	d := json.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	err := d.Decode(&r)
	t.Cleanup(func() {
		for _, p := range r.Processes {
			syscall.Kill(p.PID, syscall.SIGKILL) // those that the test has not stopped
		}
	})
	if failed != nil || err != nil || d.More() {
		t.Fatalf("%v; one JSON object: %v\n%s%s", failed, err, out, &errs)
	}
	if r.Lost != 0 || r.Duplicated != 0 || !r.Identical || r.Audit != "ok" || r.Problem != "" {
		t.Errorf("it does not hold: %+v", r)
	}
	if len(r.Parties) != 2 || r.Entries <= r.Messages || r.Messages < 30 || r.Receipts < r.Messages || r.FlashMS <= 0 || r.Flashes < 8 || r.ByCourier == 0 || r.ReconnectS <= 0 {
		t.Errorf("too little happened: %+v", r)
	}
	for _, h := range r.Heads {
		if h.Size == 0 || h.Cosigned == "" || h.Cosigned == h.Log {
			t.Errorf("head %+v is not cosigned by the other side", h)
		}
	}
	if len(r.Heads) != 2 || len(r.Processes) != 3 || filepath.Dir(r.Folder) != tmp {
		t.Fatalf("heads, processes, folder: %+v", r)
	}
	talk(t, r)
	for _, p := range r.Processes {
		if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	within(t, "all have stopped", func() bool { return len(running(t, tmp)) == 0 })
}

func talk(t *testing.T, r demo.Result) {
	t.Helper()
	s, err := control.Dial(config.Folder(filepath.Join(r.Folder, "us")).Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, x := range []struct{ command, state string }{{"cut\n", "down"}, {"heal\n", "up"}} {
		if err := os.WriteFile(filepath.Join(r.Folder, "network"), []byte(x.command), 0); err != nil {
			t.Fatal(err)
		}
		within(t, "the line is "+x.state, func() bool {
			st, err := s.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			up := len(st.Lines[0].Peers[0].Bearers) > 0 && st.Lines[0].Peers[0].Bearers[0].Up
			return up == (x.state == "up")
		})
	}
	c := exec.CommandContext(t.Context(), "./herald", "send", "--dir", "us", "--as", "watch", "--passphrases", "passphrases/us", "--marking", "exercise", "Hello.")
	c.Dir = r.Folder
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "US 0016 accepted") {
		t.Errorf("%v: %s", err, out)
	}
}

// However the demo ends, what it started ends too.
func TestInterrupted(t *testing.T) {
	for _, x := range []struct {
		name string
		end  func(c *exec.Cmd, out io.Closer) error
		exit int // -1: by the signal itself
	}{
		{"interrupted", func(c *exec.Cmd, _ io.Closer) error { return c.Process.Signal(syscall.SIGINT) }, 130},
		{"terminal closed", func(c *exec.Cmd, _ io.Closer) error { return c.Process.Signal(syscall.SIGHUP) }, 1},
		{"unread", func(_ *exec.Cmd, out io.Closer) error { return out.Close() }, 1},
		{"killed", func(c *exec.Cmd, _ io.Closer) error { return c.Process.Kill() }, -1},
	} {
		t.Run(x.name, func(t *testing.T) {
			tmp := t.TempDir()
			c := herald(t, tmp, "demo")
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && !strings.Contains(lines.Text(), "The line ") {
			}
			if len(running(t, tmp)) < 3 {
				t.Error("there are not three processes to end")
			}
			if err := x.end(c, out); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() { // it may be writing
			}
			err = c.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != x.exit {
				t.Errorf("it ended with %v, want exit status %d", err, x.exit)
			}
			if x.exit >= 0 {
				nothingLeft(t, tmp)
				return
			}
			within(t, "the others end when it is killed", func() bool { return len(running(t, tmp)) == 0 })
		})
	}
}

// A program that is not herald is found out, and leaves nothing.
func TestFails(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	program := filepath.Join(t.TempDir(), "false")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho no such verb >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r, err := demo.Run(t.Context(), demo.Options{Program: program, Out: &out})
	if err == nil || !strings.Contains(err.Error(), "no such verb") || r.Problem == "" || r.Identical {
		t.Errorf("%+v, %v", r, err)
	}
	nothingLeft(t, tmp)
}
