package demo

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
)

// drill is one run of the demo.
type drill struct {
	o         Options
	dir       string
	ep        *Episode
	page      *page
	parties   []*party
	line      line.ID
	processes []*process
	cable     *os.File // the network's commands
	down      bool     // the network is cut
	said      []*said  // everything that officers wrote, in order
	flash     []time.Duration
	result    Result
}

// party is one side.
type party struct {
	Actor
	dir      string // the station's folder
	pass     string // folder of passphrases
	officers map[keys.Role]*keys.Officer
	station  *control.Client
}

// duties are the roles that each party fills in the demo.
func duties() []keys.Role {
	return []keys.Role{keys.RoleWatch, keys.RoleRelease, keys.RolePrincipal}
}

// cheap is the scrypt cost of the demo's keys, whose passphrases a machine has
// made of 128 bits.
const cheap = "10"

// constitute makes the parties, exchanges their cards and agrees on a charter,
// all with the command that users use.
func (d *drill) constitute(ctx context.Context) error {
	if err := d.copyProgram(); err != nil {
		return err
	}
	d.result.Episode = d.ep.ID
	for _, a := range d.ep.Parties {
		p := &party{Actor: a, dir: d.path(strings.ToLower(string(a.Code))), officers: map[keys.Role]*keys.Officer{}}
		p.pass = d.path("passphrases", filepath.Base(p.dir))
		d.parties = append(d.parties, p)
		d.result.Parties = append(d.result.Parties, p.Code)
		if err := d.found(ctx, p); err != nil {
			return err
		}
	}
	d.page.parties(d)
	words, err := d.meet(ctx)
	if err != nil {
		return err
	}
	d.page.met(words)
	if err := d.agree(ctx); err != nil {
		return err
	}
	d.page.agreed(d)
	return nil
}

// found makes a party with its officers. The root key lies beside the
// station's folder, as the command puts it: serve refuses it inside.
func (d *drill) found(ctx context.Context, p *party) error {
	if err := os.MkdirAll(p.pass, 0o700); err != nil {
		return err
	}
	codes := []line.Officer{"root", "station"}
	for _, r := range duties() {
		codes = append(codes, keys.OfficerCode(p.Code, r, 1))
	}
	for _, c := range codes {
		if err := os.WriteFile(filepath.Join(p.pass, string(c)), []byte(rand.Text()+"\n"), 0o600); err != nil {
			return err
		}
	}
	args := []string{"party", "new", "--code", string(p.Code), "--name", p.Name, "--scrypt-cost", cheap}
	for _, l := range p.Languages {
		args = append(args, "--lang", l)
	}
	if _, err := d.herald(ctx, p, args...); err != nil {
		return err
	}
	for _, r := range duties() {
		if _, err := d.herald(ctx, p, "officer", "new", "--role", string(r), "--scrypt-cost", cheap); err != nil {
			return err
		}
		o, err := p.unlock(keys.OfficerCode(p.Code, r, 1))
		if err != nil {
			return err
		}
		p.officers[r] = o
	}
	return nil
}

// unlock opens an officer's key, here and nowhere else: no station sees it.
func (p *party) unlock(code line.Officer) (*keys.Officer, error) {
	file, err := config.ReadFile(config.Folder(p.dir).OfficerKey(code), keys.MaxKeyFile)
	if err != nil {
		return nil, err
	}
	pass, err := os.ReadFile(filepath.Join(p.pass, string(code)))
	if err != nil {
		return nil, err
	}
	return keys.DecryptOfficer(file, strings.TrimSpace(string(pass)))
}

// meet exchanges cards and compares safety words, as if by voice.
func (d *drill) meet(ctx context.Context) ([]string, error) {
	for i, p := range d.parties {
		card, err := d.herald(ctx, p, "card", "export")
		if err != nil {
			return nil, err
		}
		path := p.dir + ".card"
		if err := os.WriteFile(path, []byte(card), 0o644); err != nil {
			return nil, err
		}
		if _, err := d.herald(ctx, d.parties[1-i], "card", "import", path); err != nil {
			return nil, err
		}
	}
	var heard [2][]string
	for i, p := range d.parties {
		out, err := d.herald(ctx, p, "card", "words", "--json", string(d.parties[1-i].Code))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(out), &heard[i]); err != nil {
			return nil, err
		}
	}
	if len(heard[0]) == 0 || strings.Join(heard[0], " ") != strings.Join(heard[1], " ") {
		return nil, errors.New("the two sides read different safety words to each other")
	}
	return heard[0], nil
}

// agree draws up a charter, which both sign. FLASH takes two officers.
func (d *drill) agree(ctx context.Context) error {
	us, cn := d.parties[0], d.parties[1]
	text, err := d.herald(ctx, us, "charter", "draft", "--with", string(cn.Code), "--title", us.Centre+"–"+cn.Centre,
		"--flash-release", "2", "--flash-burst", "20")
	if err != nil {
		return err
	}
	charter := d.path("charter.txt")
	if err := os.WriteFile(charter, []byte(text), 0o644); err != nil {
		return err
	}
	signed := d.path("charter.signed")
	if _, err := d.herald(ctx, us, "charter", "sign", charter); err != nil {
		return err
	}
	if _, err := d.herald(ctx, cn, "charter", "sign", signed); err != nil {
		return err
	}
	for _, p := range d.parties {
		if _, err := d.herald(ctx, p, "charter", "import", signed); err != nil {
			return err
		}
	}
	return nil
}

// start runs the two stations and the network between them: three processes.
func (d *drill) start(ctx context.Context) error {
	us, cn := d.parties[0], d.parties[1]
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	if err := d.serve(ctx, us, "--listen", addr); err != nil {
		return err
	}
	via, err := d.lay(ctx, addr)
	if err != nil {
		return err
	}
	if err := d.serve(ctx, cn, "--peer", string(us.Code)+"="+via); err != nil {
		return err
	}
	for _, p := range d.parties {
		if err := until(ctx, p.Centre+"'s station answers on its socket", func() (bool, error) {
			c, err := control.Dial(config.Folder(p.dir).Socket())
			if errors.Is(err, control.ErrNotServing) {
				return false, d.lastWords()
			}
			p.station = c
			return err == nil, err
		}); err != nil {
			return err
		}
	}
	if err := d.awaitState(ctx, "up"); err != nil {
		return err
	}
	d.page.started(d)
	return nil
}

// freeAddress finds a port on loopback that nobody uses.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// bell stands for whatever calls a watch: a station calls it, and says
// "alerted" only because it exits with 0.
const bell = "#!/bin/sh\necho \"$HERALD_ENTRY $HERALD_PRECEDENCE $HERALD_MARKING\" >> \"$0.rang\"\n"

// serve starts a party's station.
func (d *drill) serve(ctx context.Context, p *party, args ...string) error {
	alarm := p.dir + "-bell"
	if err := os.WriteFile(alarm, []byte(bell), 0o700); err != nil {
		return err
	}
	args = append([]string{"serve", "--dir", p.dir, "--passphrases", p.pass, "--alert", alarm}, args...)
	return d.launch(ctx, p.Centre+"'s station", p.dir+".log", args, nil, nil)
}

// launch starts the herald command as a process that goes on. Where out is
// nil, all that it says goes to the log.
func (d *drill) launch(ctx context.Context, name, log string, args []string, in, out *os.File) error {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // the process has its own
	c := d.command(context.WithoutCancel(ctx), args...)
	c.Stderr, c.Stdout = f, f
	if in != nil {
		c.Stdin = in
	}
	if out != nil {
		c.Stdout = out
	}
	p, err := begin(name, c, d.o.Keep)
	if err != nil {
		return err
	}
	p.log = log
	d.processes = append(d.processes, p)
	return nil
}

// lay starts the network to an address and returns where to dial instead. Its
// commands come through a named pipe, so that whoever keeps the demo can go on
// cutting and healing.
func (d *drill) lay(ctx context.Context, target string) (string, error) {
	fifo := d.path("network")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return "", fmt.Errorf("make %s: %w", fifo, err)
	}
	cable, err := os.OpenFile(fifo, os.O_RDWR, 0) // both ends: it does not end when one writer does
	if err != nil {
		return "", err
	}
	d.cable = cable
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	err = d.launch(ctx, "the network", d.path("network.log"), []string{"demo", "network", target}, cable, w)
	if err = errors.Join(err, w.Close()); err != nil {
		return "", err
	}
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	addr, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the network does not say where it is: %w", err)
	}
	return strings.TrimSpace(addr), nil
}

// until asks again and again until it holds, fails, or patience ends.
func until(ctx context.Context, what string, holds func() (bool, error)) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return fmt.Errorf("waited %s in vain until %s", patience, what)
		}
	}
}

// awaitState waits until both stations say that the line is in a state.
func (d *drill) awaitState(ctx context.Context, state string) error {
	for _, p := range d.parties {
		if err := until(ctx, fmt.Sprintf("%s says that the line is %s", p.Centre, state), func() (bool, error) {
			l, err := d.status(ctx, p)
			if err != nil {
				return false, errors.Join(err, d.lastWords())
			}
			return anyUp(l) == (state == "up"), d.lastWords()
		}); err != nil {
			return err
		}
	}
	return nil
}

// anyUp reports whether any bearer reaches a peer.
func anyUp(l control.LineInfo) bool {
	for _, p := range l.Peers {
		for _, b := range p.Bearers {
			if b.Up {
				return true
			}
		}
	}
	return false
}

// status is the line as a party's station sees it.
func (d *drill) status(ctx context.Context, p *party) (control.LineInfo, error) {
	s, err := p.station.Status(ctx)
	if err != nil {
		return control.LineInfo{}, err
	}
	if len(s.Lines) != 1 {
		return control.LineInfo{}, fmt.Errorf("%s keeps %d lines, not one", p.Centre, len(s.Lines))
	}
	d.line = s.Lines[0].ID
	return s.Lines[0], nil
}
