package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	carrier "herald/internal/bearer"
	"herald/internal/bearer/direct"
	"herald/internal/charter"
	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/station"
	"herald/internal/store/folder"
	"herald/internal/wire"
)

// cutter carries connections to a target, and ends each after a random number
// of bytes, from none to limit, wherever that is in a frame or a handshake.
type cutter struct {
	net.Listener
	target string
	limit  int
	cuts   atomic.Int64
	clean  atomic.Bool // cut no more
}

func newCutter(t *testing.T, target string, limit int) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cutter{Listener: l, target: target, limit: limit}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go c.carry(near)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return c
}

func (c *cutter) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer far.Close()
	if c.clean.Load() {
		go func() { io.Copy(far, near); far.Close() }()
		io.Copy(near, far)
		return
	}
	// More often early than late: as many cuts below a hundred bytes as above.
	left := mrand.Int64N(2 << mrand.IntN(len(fmt.Sprintf("%b", c.limit))))
	var end sync.Once
	cut := func() { end.Do(func() { c.cuts.Add(1); near.Close(); far.Close() }) }
	half := func(to, from net.Conn, n int64) {
		defer cut()
		io.CopyN(to, from, n)
	}
	if mrand.IntN(2) == 0 {
		near, far = far, near
	}
	go half(far, near, 1<<40)
	half(near, far, left)
}

// TestCutAnywhere lets two stations talk over connections that break after a
// random number of bytes, again and again: everything arrives, once.
func TestCutAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	us, cn := constitute(t)
	cutters := []*cutter{newCutter(t, us.listen, 8<<10), newCutter(t, cn.listen, 8<<10)}
	us.args = []string{"--listen", us.listen, "--peer", "CN=" + cutters[1].Addr().String()}
	cn.args = []string{"--listen", cn.listen, "--peer", "US=" + cutters[0].Addr().String()}
	us.start()
	cn.start()
	us.station()
	cn.station()
	st := &storm{T: t, sent: map[line.Party]map[string]bool{"US": {}, "CN": {}}, files: map[string][]byte{}}
	ctx, stop := context.WithCancel(t.Context())
	var people sync.WaitGroup
	for i, s := range []*side{us, cn} {
		people.Go(func() { st.write(ctx, s, mrand.New(mrand.NewPCG(mrand.Uint64(), uint64(i)))) })
	}
	cuts := func() (n int64) {
		for _, c := range cutters {
			n += c.cuts.Load()
		}
		return n
	}
	us.until("connections are cut", func() bool { return cuts() >= 12 })
	stop()
	people.Wait()
	for _, c := range cutters {
		c.clean.Store(true)
	}
	level(us, cn)
	st.attachments(us, cn)
	level(us, cn)
	once(us, cn, st.sent)
	audits(us, cn)
}

// memoryOf returns a process's resident memory, in bytes; 0 where the system
// does not tell.
func (s *side) memoryOf() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	var size, pages int64
	if err == nil {
		_, err = fmt.Sscan(string(b), &size, &pages)
	}
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// TestStrangers lets people without a key do to a station's port what they
// like: the line goes on, and comes up again after a restart in the midst of
// it.
func TestStrangers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	us, cn := constitute(t)
	cn.args = cn.args[2:] // only US can be called
	us.args = us.args[:2]
	us.start()
	cn.start()
	here := us.station()
	cn.station()
	sent := map[line.Party]map[string]bool{"US": {"before": true}, "CN": {}}
	us.mustSend(here, note{token: "before", text: "before", prec: "flash"})
	level(us, cn)

	ctx, stop := context.WithCancel(t.Context())
	var strangers sync.WaitGroup
	var done atomic.Int64
	for i := range 24 {
		strangers.Go(func() {
			for ctx.Err() == nil {
				stranger(ctx, us.listen, i)
				done.Add(1)
			}
		})
	}
	for range 80 { // more than the station bears at once; they only stall
		strangers.Go(func() {
			for ctx.Err() == nil {
				stranger(ctx, us.listen, 5)
			}
		})
	}
	us.until("strangers have called", func() bool { return done.Load() > 200 })
	us.mustSend(here, note{token: "amid", text: "amid strangers", prec: "flash"})
	sent["US"]["amid strangers"] = true
	level(us, cn)
	must(t, cn.end(syscall.SIGKILL))
	cn.start()
	us.mustSend(here, note{token: "again", text: "again", prec: "routine"})
	sent["US"]["again"] = true
	level(us, cn)
	if m := us.memoryOf(); m > 200<<20 {
		t.Errorf("the station takes %d MiB", m>>20)
	}
	if n := strings.Count(us.said(), "refused a connection"); n == 0 {
		t.Error("it is not said that connections are refused")
	}
	stop()
	strangers.Wait()
	once(us, cn, sent)
	audits(us, cn)
}

// stranger is one call by somebody without a key that is known.
func stranger(ctx context.Context, addr string, kind int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		pause(ctx, 10*time.Millisecond)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	switch kind % 6 {
	case 0: // bytes without end that mean nothing
		b := make([]byte, 4096)
		for range 64 {
			rand.Read(b)
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	case 1: // the beginning of a handshake that never goes on
		c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3})
		pause(ctx, 100*time.Millisecond)
	case 2: // TLS as it should be, with a key that is on no card
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, key.Public(), key)
		if err != nil {
			return
		}
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"herald/1"},
			Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
		if tc.HandshakeContext(ctx) == nil {
			io.Copy(io.Discard, tc)
		}
	case 3: // TLS without any key
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"herald/1"}})
		if tc.HandshakeContext(ctx) == nil {
			io.Copy(io.Discard, tc)
		}
	case 4: // another protocol
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: station\r\n\r\n")
		io.Copy(io.Discard, c)
	case 5: // nothing at all
		pause(ctx, time.Second)
	}
}

// impostor speaks to a station with a peer's real keys, as somebody might who
// broke into the peer's station, until each of the frames is sent or the
// station hangs up.
type impostor struct {
	frames func() []byte // nil at the end
	ready  chan struct{}
	ended  atomic.Bool
}

func (i *impostor) Next(max int, _ bool) ([]byte, bool) {
	if f := i.frames(); f != nil && len(f) <= max {
		i.Ready()
		return f, false
	} else if f == nil {
		i.ended.Store(true)
	}
	return nil, false
}

func (i *impostor) Ready() <-chan struct{} {
	select {
	case i.ready <- struct{}{}:
	default:
	}
	return i.ready
}

func (i *impostor) Receive([]byte) error { return nil }

// TestKnownPeerSendsGarbage: whatever comes from a peer's own station, the
// other goes on, in bounded memory, and when the peer is itself again, so does
// the line.
func TestKnownPeerSendsGarbage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	us, cn := constitute(t)
	us.start()
	cn.start()
	here := us.station()
	cn.station()
	sent := map[line.Party]map[string]bool{"US": {"before": true}, "CN": {}}
	us.mustSend(here, note{token: "before", text: "before", prec: "flash"})
	level(us, cn)
	must(t, cn.end(syscall.SIGTERM))
	size := us.sizes(here)

	charters, err := folder.Charters(config.Folder(us.dir))
	must(t, err)
	for _, g := range garbage(charters[0]) {
		n := impersonate(t, cn, us.listen, g.frames)
		if m := us.memoryOf(); m > 300<<20 {
			t.Errorf("%s: the station takes %d MiB", g.name, m>>20)
		}
		if _, err := here.Status(t.Context()); err != nil {
			t.Fatalf("after %s: %v; it said\n%s", g.name, err, us.said())
		}
		if n == 0 {
			t.Errorf("%s: nothing was sent", g.name)
		}
	}
	if n := strings.Count(us.said(), "not in the specified format"); n < 10 {
		t.Errorf("only %d connections were ended for what came over them; the station said\n%s", n, us.said())
	}
	if after := us.sizes(here); after["CN"] != size["CN"] {
		t.Errorf("CN's log has %d entries, %d before", after["CN"], size["CN"])
	}

	cn.start()
	us.mustSend(here, note{token: "after", text: "after", prec: "flash"})
	sent["US"]["after"] = true
	level(us, cn)
	once(us, cn, sent)
	audits(us, cn)
}

// sizes is how many entries a station holds of each party's log.
func (s *side) sizes(c control.Service) map[line.Party]uint64 {
	s.t.Helper()
	st, err := c.Status(s.t.Context())
	must(s.t, err)
	out := map[line.Party]uint64{}
	for _, g := range st.Lines[0].Logs {
		out[g.Party] = g.Size
	}
	return out
}

// impersonate dials a station with a party's own TLS key and sends frames
// until they end or the station hangs up. It returns how many were sent.
func impersonate(t *testing.T, as *side, addr string, frames func(n int) []byte) int {
	t.Helper()
	file, err := os.ReadFile(config.Folder(as.dir).StationKey())
	must(t, err)
	pass, err := os.ReadFile(filepath.Join(as.pass, "station"))
	must(t, err)
	k, err := keys.DecryptStation(file, strings.TrimSpace(string(pass)))
	must(t, err)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	n := 0
	i := &impostor{ready: make(chan struct{}, 1), frames: func() []byte {
		f := frames(n)
		if f != nil {
			n++
		}
		return f
	}}
	i.Ready()
	end, err := direct.New(direct.Config{Key: k.TLS, Peer: func(ed25519.PublicKey) (string, bool) { return "US", true },
		Handle: func(ctx context.Context, c carrier.Conn) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() { // what was sent is read before the station is looked at
				for quiet := 0; quiet < 3 && pause(ctx, 10*time.Millisecond); quiet++ {
					if s := c.State(); !i.ended.Load() || s.Sent == 0 || s.Unacked > 0 {
						quiet = 0
					}
				}
				stop()
			}()
			c.Run(ctx, i)
			stop()
		}})
	must(t, err)
	end.Dialer("US", addr).Run(ctx)
	return n
}

type nonsense struct {
	name   string
	frames func(n int) []byte
}

// garbage is what a peer that is not itself might send.
func garbage(ch *charter.Charter) []nonsense {
	id, sum := ch.Line(), sha256.Sum256([]byte(ch.Text()))
	rng := mrand.New(mrand.NewPCG(1, 2))
	random := func(most int) []byte {
		b := make([]byte, 1+rng.IntN(most))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	hello := wire.Frame{Type: wire.FrameHello, Urgent: true, Channel: 1, Payload: wire.Marshal(wire.Hello{
		Versions: []uint16{1}, Suites: []uint16{1}, Line: id[:], Party: uint8(ch.Index("CN")), Charter: sum[:], Have: wire.Have{Full: true}})}.Append(nil)
	of := func(t wire.FrameType, payload []byte) []byte {
		return wire.Frame{Type: t, Urgent: rng.IntN(2) == 0, Channel: 1, Payload: payload}.Append(nil)
	}
	out := []nonsense{
		{"noise", func(n int) []byte {
			if n > 0 {
				return nil
			}
			return random(60)
		}},
		{"hellos of a thousand channels", func(n int) []byte {
			if n > 1000 {
				return nil
			}
			return append([]byte{hello[0], byte(n%100 + 1)}, hello[2:]...)
		}},
		{"beginnings of large frames in parts", func(n int) []byte {
			if n > 200 {
				return nil
			}
			return of(wire.FramePart, append([]byte{byte(n%100 + 1), 0, 0x80, 0x80, 0x04}, 1, 2, 3))
		}},
	}
	for _, t := range []wire.FrameType{wire.FrameHello, wire.FrameHave, wire.FrameEntry, wire.FrameHead, wire.FrameCosig, wire.FrameWantCard,
		wire.FrameCard, wire.FrameWantBlob, wire.FrameChunk, wire.FrameRefuse, wire.FramePart, 10, 99} {
		for most := range 3 {
			out = append(out, nonsense{fmt.Sprintf("frames of type %d", t), func(n int) []byte {
				switch {
				case n == 0:
					return hello
				case n > 20:
					return nil
				}
				return of(t, random([]int{4, 40, 240}[most]))
			}})
		}
	}
	return out
}

// TestClockHoursOff: a station whose clock is hours off sends and receives as
// ever, and both sides say so.
func TestClockHoursOff(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, off := range []time.Duration{-7 * time.Hour, 9 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			us, cn := constitute(t)
			us.start()
			here := us.station()
			there, err := station.Open(t.Context(), station.Options{Dir: cn.dir, Peers: map[line.Party][]string{"US": {us.listen}},
				Passphrase: func(string) ([]byte, error) { return []byte("pass of cn station"), nil },
				Now:        func() time.Time { return time.Now().Add(off) }})
			must(t, err)
			cn.line = us.line
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- there.Serve(ctx) }()
			for i, prec := range []string{"flash", "routine"} {
				us.mustSend(here, note{token: prec, text: "from US " + prec, prec: prec})
				cn.mustSend(there, note{token: prec, text: "from CN " + prec, prec: prec})
				us.until("it is delivered", func() bool { return shown(us.record(here), "delivered") == 2*(i+1) })
				cn.until("it is delivered", func() bool { return shown(cn.record(there), "delivered") == 2*(i+1) })
			}
			for _, it := range us.record(here) {
				if it.Defect != "" {
					t.Errorf("%s is defective: %s", it.Entry, it.Defect)
				}
			}
			for s, c := range map[*side]control.Service{us: here, cn: there} {
				st, err := c.Status(t.Context())
				must(t, err)
				if w := strings.Join(st.Lines[0].Warnings, "; "); !strings.Contains(w, "clock") {
					t.Errorf("%s warns: %q", s.code, w)
				}
			}
			out, err := us.herald("status")
			if err != nil || !strings.Contains(out, "clock is") {
				t.Errorf("herald status does not warn of the clock: %v\n%s", err, out)
			}
			stop()
			must(t, <-served)
			must(t, there.Close())
			must(t, us.end(syscall.SIGTERM))
			for _, s := range []*side{us, cn} {
				file := filepath.Join(t.TempDir(), "record")
				s.do("export", file)
				s.do("audit", "--deep", file)
			}
		})
	}
}

// shown counts the messages that have a step on their ladder.
func shown(items []control.Item, step string) (n int) {
	for _, it := range items {
		for _, r := range it.Ladder {
			if it.Kind == "message" && r.Step == step {
				n++
			}
		}
	}
	return n
}

// TestKillSend kills the command that sends, without a station that serves,
// at random instants, and repeats it under its token: each makes one message.
func TestKillSend(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	us, cn := constitute(t)
	sent := map[line.Party]map[string]bool{"US": {}, "CN": {}}
	killed := 0
	for i := range 12 {
		text := fmt.Sprint("number ", i)
		for accepted := false; !accepted; {
			c := exec.Command("herald", "send", "--dir", us.dir, "--passphrases", us.pass, "--as", "release", "--marking", "test", "--token", text, text)
			must(t, c.Start())
			wait := mrand.IntN(80)
			if i%4 == 0 {
				wait = 10_000
			}
			timer := time.AfterFunc(time.Duration(wait)*time.Millisecond, func() { c.Process.Kill() })
			err := c.Wait()
			timer.Stop()
			accepted = err == nil
			if status := c.ProcessState.Sys().(syscall.WaitStatus); err != nil && !status.Signaled() {
				t.Fatal(err)
			} else if err != nil {
				killed++
			}
		}
		sent["US"][text] = true
	}
	t.Logf("%d killed", killed)
	us.start()
	cn.start()
	us.station()
	cn.station()
	us.until("the queue has gone", func() bool { return len(us.record(us.station())) >= 12 })
	level(us, cn)
	once(us, cn, sent)
	audits(us, cn)
}
