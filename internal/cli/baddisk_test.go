package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"herald/internal/control"
	"herald/internal/line"
)

// disk is a small file system of its own, which can fill up and lose power.
type disk struct {
	t    *testing.T
	dir  string
	args []string // of mount
}

// newDisk mounts one, or skips the test where that is not possible: kind is
// tmpfs, or ext4 in a file.
func newDisk(t *testing.T, kind string, size int64) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("SKIPPED: only root can mount a small %s to fill or cut off", kind)
	}
	d := &disk{t: t, dir: t.TempDir(), args: []string{"-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=700", size), "tmpfs"}}
	if kind == "ext4" {
		image := filepath.Join(t.TempDir(), "image")
		must(t, os.WriteFile(image, nil, 0o600))
		must(t, os.Truncate(image, size))
		if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", image).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: no ext4 can be made here: %v: %s", err, out)
		}
		d.args = []string{"-o", "loop", image}
	}
	if out, err := exec.Command("mount", append(d.args, d.dir)...).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: nothing can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() { d.umount() })
	return d
}

func (d *disk) umount() {
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		d.t.Errorf("umount: %v: %s", err, out)
	}
}

// cut takes the power from the disk: what was not made permanent by now never
// will be, and everything fails.
func (d *disk) cut() {
	d.t.Helper()
	f, err := os.Open(d.dir)
	must(d.t, err)
	defer f.Close()
	const shutdown, withoutLog = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, withoutLog); err != nil {
		d.t.Skipf("SKIPPED: this system cannot cut a file system off: %v", err)
	}
}

// again mounts the disk as it is after a power cut.
func (d *disk) again() {
	d.t.Helper()
	d.umount()
	if out, err := exec.Command("mount", append(d.args, d.dir)...).CombinedOutput(); err != nil {
		d.t.Fatalf("mount: %v: %s", err, out)
	}
}

// fill leaves no room, and returns how to make some again.
func (d *disk) fill() (free func()) {
	d.t.Helper()
	path := filepath.Join(d.dir, "ballast")
	f, err := os.Create(path)
	must(d.t, err)
	defer f.Close()
	for n := 1 << 16; n > 0; {
		if _, err = f.Write(make([]byte, n)); errors.Is(err, syscall.ENOSPC) {
			n /= 2
		} else {
			must(d.t, err)
		}
	}
	return func() { must(d.t, os.Remove(path)) }
}

// sentences fails unless an error says what happened, what it means for the
// line and what to do.
func sentences(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error does not say %q: %v", p, err)
		}
	}
}

// TestPowerCut takes the power from a station's disk at random moments while
// it sends and receives: all that was not made permanent is gone. Nothing that
// was accepted is, from the making of the party on, and the station makes no
// second history.
func TestPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	d := newDisk(t, "ext4", 64<<20)
	us, cn := constitute(t, d.dir)
	d.cut()
	d.again()
	us.start()
	cn.start()
	us.station()
	cn.station()
	st := &storm{T: t, sent: map[line.Party]map[string]bool{"US": {}, "CN": {}}, files: map[string][]byte{}}
	for round := range 6 {
		ctx, stop := context.WithCancel(t.Context())
		var people sync.WaitGroup
		for i, s := range []*side{us, cn} {
			people.Go(func() { st.powerless(ctx, s, fmt.Sprintf("%s round %d", s.code, round), uint64(10*round+i)) })
		}
		pause(ctx, time.Duration(100+rand.IntN(400))*time.Millisecond)
		d.cut()
		if c, err := us.dial(); err == nil {
			out, err := us.send(ctx, c, note{token: fmt.Sprint("dead", round), text: "to a dead disk", prec: "flash"})
			if err == nil || out.Accepted {
				t.Errorf("a dead disk took a message: %+v", out)
			}
			sentences(t, err, "disk")
		}
		stop()
		people.Wait()
		us.kill()
		d.again()
		us.start()
		us.station()
		for _, s := range []*side{us, cn} { // what nobody knows of is asked for again
			for _, n := range st.open[s.code] {
				s.mustSend(s.station(), n)
				st.sent[s.code][n.text] = true
			}
		}
		st.open = nil
	}
	level(us, cn)
	once(us, cn, st.sent)
	if len(st.sent["US"]) < 10 {
		t.Errorf("only %d messages were accepted", len(st.sent["US"]))
	}
	audits(us, cn)
}

// dial reaches the station if it is there.
func (s *side) dial() (*control.Client, error) {
	return control.Dial(filepath.Join(s.dir, "control.sock"))
}

// powerless sends message after message until one fails, and notes what it
// does not know to be accepted.
func (st *storm) powerless(ctx context.Context, s *side, name string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := 0; ctx.Err() == nil; i++ {
		n := note{token: fmt.Sprintf("%s, %d", name, i), prec: lower(line.Precedence(rng.IntN(4)))}
		n.text = n.token
		c, err := s.dial()
		if err == nil {
			var out control.Released
			out, err = s.send(context.Background(), c, n)
			c.Close()
			if err == nil && !out.Accepted {
				err = errors.New("not accepted")
			}
		}
		st.mu.Lock()
		if err == nil {
			st.sent[s.code][n.text] = true
		} else {
			if st.open == nil {
				st.open = map[line.Party][]note{}
			}
			st.open[s.code] = append(st.open[s.code], n)
		}
		st.mu.Unlock()
		if err != nil {
			return
		}
		pause(ctx, time.Duration(rng.IntN(20))*time.Millisecond)
	}
}

// TestFullDisk fills up the disk of one station, then frees it. In between,
// nothing is accepted there, nothing that comes is cosigned, and both are
// said; afterwards the line goes on by itself, and nothing is lost.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t, kind, 16<<20)
			us, cn := constitute(t, d.dir)
			chart := filepath.Join(t.TempDir(), "chart")
			must(t, os.WriteFile(chart, make([]byte, 1<<20), 0o600))
			us.start()
			cn.start()
			here, there := us.station(), cn.station()
			sent := map[line.Party]map[string]bool{"US": {}, "CN": {}}
			before := note{token: "before", text: "before", prec: "routine"}
			us.mustSend(here, before)
			sent["US"]["before"] = true
			level(us, cn)

			free := d.fill()
			full := us.untilFull(here)
			if _, err := us.send(t.Context(), here, full); err == nil {
				t.Error("accepted after all")
			} else {
				sentences(t, err, "the disk is full", "nothing of this was accepted", "Free some space")
			}
			_, err := us.herald("send", "--as", "release", "--marking", "test", "--token", full.token, full.text)
			sentences(t, err, "the disk is full", "Free some space")
			_, err = us.herald("send", "--as", "release", "--marking", "test", "--attach", chart, "see the chart")
			sentences(t, err, "the disk is full", "Free some space")
			cn.mustSend(there, note{token: "meanwhile", text: "meanwhile", prec: "flash", file: make([]byte, 1<<20)})
			sent["CN"]["meanwhile"] = true
			us.until("it says that what came was not kept", func() bool { return strings.Contains(us.said(), "a change was not kept") })
			uncosigned(cn, there, us)

			must(t, us.end(syscall.SIGTERM))
			_, err = us.herald("send", "--as", "release", "--marking", "test", "--token", full.token, full.text)
			sentences(t, err, "the disk is full", "Free some space")
			us.start()
			us.until("it answers, or says why not", func() bool {
				_, err := us.dial()
				return err == nil || strings.Contains(us.said(), "the disk is full, so the station does not run")
			})
			free()
			if _, err := us.dial(); err != nil { // there was no room for the socket
				us.kill()
				us.start()
			}
			here = us.station()
			us.mustSend(here, full)
			sent["US"][full.text] = true
			for i := range us.filler {
				sent["US"][fmt.Sprint("filler ", i)] = true
			}
			level(us, cn)
			st := &storm{T: t, files: map[string][]byte{"meanwhile": make([]byte, 1<<20)}}
			st.attachments(us, cn)
			level(us, cn)
			once(us, cn, sent)
			audits(us, cn)
		})
	}
}

// untilFull sends until nothing more is accepted, and returns what was not.
func (s *side) untilFull(c control.Service) note {
	s.t.Helper()
	for ; s.filler < 10_000; s.filler++ {
		n := note{token: fmt.Sprint("filler", s.filler), text: fmt.Sprint("filler ", s.filler), prec: "routine"}
		if _, err := s.send(s.t.Context(), c, n); err != nil {
			return n
		}
	}
	s.t.Fatal("a full disk took ten thousand messages")
	return note{}
}

// uncosigned checks that the newest of the own entries is not delivered to
// another party.
func uncosigned(s *side, c control.Service, other *side) {
	s.t.Helper()
	st, err := c.Status(s.t.Context())
	must(s.t, err)
	for _, g := range st.Lines[0].Logs {
		if n := g.Cosigned[string(other.code)]; g.Party == s.code && n >= g.Size {
			s.t.Errorf("%s cosigned %d entries of %s, and had no room for the last", other.code, n, s.code)
		}
	}
}
