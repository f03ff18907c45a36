package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a program that the demo has started and will end.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with what it said
	done chan struct{} // closed when it has ended
	err  error         // how, once it has
}

// begin starts a program in the background. Each is started and awaited by a
// thread of its own, since Linux ends a child that asked for it when the
// thread that started it ends.
func begin(name string, cmd *exec.Cmd, orphan bool) (*process, error) {
	cmd.SysProcAttr = attributes(orphan)
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// grace is how long a process may take to end when it is asked to.
const grace = 5 * time.Second

// end asks a process to end, and makes it.
func (p *process) end() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
		return nil
	case <-t.C:
	}
	err := p.cmd.Process.Kill()
	<-p.done
	return errors.Join(err, fmt.Errorf("%s did not end when asked to, and was killed", p.name))
}

// lastWords returns the last thing that a process said if it has ended.
func (p *process) lastWords() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	b, err := os.ReadFile(p.log)
	said := strings.Split(strings.TrimSpace(string(b)), "\n")
	return errors.Join(err, fmt.Errorf("%s has ended (%v); its last words: %s", p.name, p.err, said[len(said)-1]))
}

// lastWords tells which of the processes have ended, and what they said.
func (d *drill) lastWords() error {
	var errs []error
	for _, p := range d.processes {
		errs = append(errs, p.lastWords())
	}
	return errors.Join(errs...)
}

// end ends everything that was started, the newest first.
func (d *drill) end() error {
	var errs []error
	if d.cable != nil {
		errs = append(errs, d.cable.Close())
	}
	for i := len(d.processes) - 1; i >= 0; i-- {
		errs = append(errs, d.processes[i].end())
	}
	return errors.Join(errs...)
}

// copyProgram copies the herald program into the demo's folder, so that what
// is kept goes on working when the original, such as go run's, is gone.
func (d *drill) copyProgram() error {
	from, err := os.Open(d.o.Program)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(d.program(), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

func (d *drill) program() string { return d.path("herald") }

func (d *drill) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// command prepares the herald command with a clean environment: the user's own
// settings for Herald are not the demo's.
func (d *drill) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, d.program(), args...)
	c.Dir = d.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "TMPDIR=" + d.dir, "TZ=UTC"}
	return c
}

// herald runs a verb for a party to its end and returns what it printed.
func (d *drill) herald(ctx context.Context, p *party, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := d.command(ctx, append(args, "--dir", p.dir, "--passphrases", p.pass)...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	c.SysProcAttr = attributes(false)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = grace
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("herald %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
