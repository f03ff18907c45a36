package bench

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"herald/internal/station"
)

// PeerEnv is set in the environment of the second process: whoever runs the
// measures in a program of their own calls Peer when it is set.
const PeerEnv = "HERALD_BENCH_PEER"

// request is one line to the second process. The first one opens the station.
type request struct {
	Do      string // open, memory, advance, cpu
	Dir     string
	Peer    []byte // open: the other side's key for the bare bearer
	Key     []byte // open: seed of the own key for the bare bearer
	Profile string // open: file for a CPU profile; "" for none
	Seconds int64  // advance: by how much the station's clock goes on
}

// reply is one line back.
type reply struct {
	Err    string
	Addr   string // of the station
	Echo   string // of the bare bearer
	Memory memory
	CPU    time.Duration // processor time used so far
}

// memory is what a process has in use after garbage was collected, in bytes.
type memory struct {
	Alloc, InUse, Stack, RSS uint64
}

// Peer is the second process: a station that does what the first process
// writes to its standard input, until that ends.
func Peer(ctx context.Context, in io.Reader, out, warnings io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	p := &peer{ctx: ctx, warnings: warnings}
	defer p.close()
	defer cancel()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	enc := json.NewEncoder(out)
	for lines.Scan() {
		var q request
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		r, err := p.do(q)
		if err != nil {
			r.Err = err.Error()
		}
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return lines.Err()
}

// peer is the state of the second process.
type peer struct {
	ctx      context.Context
	warnings io.Writer
	st       *station.Station
	ahead    atomic.Int64 // seconds by which the station's clock was advanced
	wg       sync.WaitGroup
	ends     []func()
}

func (p *peer) close() {
	p.wg.Wait()
	for i := range p.ends {
		p.ends[len(p.ends)-1-i]()
	}
}

func (p *peer) do(q request) (r reply, err error) {
	switch q.Do {
	case "open":
		return p.open(q)
	case "memory":
		r.Memory = inUse()
		err = heapProfile(q.Profile)
	case "cpu":
		r.CPU = processorTime()
	case "advance":
		p.ahead.Add(q.Seconds)
	default:
		return r, fmt.Errorf("unknown request %q", q.Do)
	}
	return r, err
}

// heapProfile writes what lives on the heap, if a file is named.
func heapProfile(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("heap").WriteTo(f, 0)
}

func (p *peer) open(q request) (r reply, err error) {
	if q.Profile != "" {
		f, err := os.Create(q.Profile)
		if err != nil {
			return r, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return r, err
		}
		p.ends = append(p.ends, func() { pprof.StopCPUProfile(); f.Close() })
	}
	o := options(q.Dir, "127.0.0.1:0", nil, p.warnings)
	o.Now = func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load()) * time.Second) }
	listening := make(chan string, 1)
	o.Listening = func(a net.Addr) { listening <- a.String() }
	if p.st, err = station.Open(p.ctx, o); err != nil {
		return r, err
	}
	p.ends = append(p.ends, func() { p.st.Close() })
	failed := make(chan error, 1)
	p.wg.Go(func() { failed <- p.st.Serve(p.ctx) })
	select {
	case r.Addr = <-listening:
	case err := <-failed:
		return r, errors.Join(errors.New("the station does not serve"), err)
	case <-p.ctx.Done():
		return r, p.ctx.Err()
	}
	if len(q.Key) > 0 {
		r.Echo, err = p.echo(q)
	}
	return r, err
}

// echo gives every frame of the bare bearer back at once.
func (p *peer) echo(q request) (string, error) {
	e, err := bare(ed25519.NewKeyFromSeed(q.Key), q.Peer, true, nil)
	if err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.wg.Go(func() { _ = e.Serve(p.ctx, ln) })
	return ln.Addr().String(), nil
}

func inUse() memory {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{Alloc: m.HeapAlloc, InUse: m.HeapInuse, Stack: m.StackInuse, RSS: resident()}
}

// child is the second process as the first one holds it.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	mu  sync.Mutex
}

// spawn starts this program again as the second process. It ends when its
// input is closed, so also when this process dies.
func spawn(warnings io.Writer) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, "bench")
	cmd.Env = append(os.Environ(), PeerEnv+"=1")
	cmd.Stderr = warnings
	cmd.SysProcAttr = ownGroup()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("the second process does not start: %w", err)
	}
	return &child{cmd: cmd, in: in, out: bufio.NewReader(out)}, nil
}

// ask sends a request and waits for its reply.
func (c *child) ask(q request) (r reply, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := json.Marshal(q)
	if err != nil {
		return r, err
	}
	if _, err := c.in.Write(append(b, '\n')); err != nil {
		return r, fmt.Errorf("the second process is gone: %w", err)
	}
	answer, err := c.out.ReadBytes('\n')
	if err != nil {
		return r, fmt.Errorf("the second process ended: %w", err)
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return r, err
	}
	if r.Err != "" {
		return r, fmt.Errorf("second process: %s", r.Err)
	}
	return r, nil
}

// kill ends the second process at once.
func (c *child) kill() { _ = c.cmd.Process.Kill() }

// end lets the second process close its station and waits for it.
func (c *child) end() error {
	c.in.Close()
	kill := time.AfterFunc(10*time.Second, c.kill)
	defer kill.Stop()
	return c.cmd.Wait()
}
