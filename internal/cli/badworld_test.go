package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
)

// side is one party whose station runs as a process of its own, the real
// command, so that it can be killed.
type side struct {
	t       *testing.T
	code    line.Party
	dir     string
	pass    string // folder of passphrases
	listen  string
	args    []string // of serve, besides the folder and the passphrases
	line    line.ID
	release *keys.Officer // who drafts and releases
	watch   *keys.Officer // who reads
	filler  int           // messages sent to fill a disk

	mu  sync.Mutex
	cmd *exec.Cmd
	log *tail
}

// tail is what a station said: the end of it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (w *tail) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.b = append(w.b, b...); len(w.b) > 64<<10 {
		w.b = bytes.Clone(w.b[len(w.b)-32<<10:])
	}
	return len(b), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// herald runs the real command for a party to its end.
func (s *side) herald(args ...string) (string, error) {
	c := exec.Command("herald", append(args, "--dir", s.dir, "--passphrases", s.pass)...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("herald %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

func (s *side) do(args ...string) string {
	s.t.Helper()
	out, err := s.herald(args...)
	must(s.t, err)
	return out
}

// constitute makes two parties with a line between them, each in the folder
// given, or in one of its own. Each listens, and dials the other at via.
func constitute(t *testing.T, dirs ...string) (us, cn *side) {
	t.Helper()
	base := t.TempDir()
	var both [2]*side
	for i, code := range []string{"US", "CN"} {
		name := strings.ToLower(code)
		s := &side{t: t, code: line.Party(code), dir: filepath.Join(base, name), pass: filepath.Join(base, "pass", name), listen: freeAddr(t)}
		if len(dirs) > i && dirs[i] != "" {
			s.dir = filepath.Join(dirs[i], name)
		}
		both[i] = s
		must(t, os.MkdirAll(s.pass, 0o700))
		for _, k := range []string{"root", "station", name + "-watch-1", name + "-release-1"} {
			must(t, os.WriteFile(filepath.Join(s.pass, k), []byte("pass of "+name+" "+k+"\n"), 0o600))
		}
		root := filepath.Join(base, name+"-root", "root.key")
		s.do("party", "new", "--code", code, "--name", "Party "+code, "--lang", "en", "--root", root, "--scrypt-cost", "10")
		for _, role := range []string{"watch", "release"} {
			s.do("officer", "new", "--role", role, "--root", root, "--scrypt-cost", "10")
		}
		s.watch, s.release = s.officer(name+"-watch-1"), s.officer(name+"-release-1")
	}
	us, cn = both[0], both[1]
	for i, s := range both {
		s.do("card", "import", filepath.Join(both[1-i].dir, "party.card"))
	}
	path := filepath.Join(base, "charter.txt")
	must(t, os.WriteFile(path, []byte(us.do("charter", "draft", "--with", "CN")), 0o600))
	for i, s := range both {
		s.do("charter", "sign", "--root", filepath.Join(base, []string{"us", "cn"}[i]+"-root", "root.key"), path)
		path = filepath.Join(base, "charter.signed")
	}
	for i, s := range both {
		s.do("charter", "import", path)
		s.args = []string{"--listen", s.listen, "--peer", string(both[1-i].code) + "=" + both[1-i].listen}
		t.Cleanup(func() { s.kill() })
	}
	return us, cn
}

// officer opens an officer's key, as the command does: no station sees it.
func (s *side) officer(code string) *keys.Officer {
	s.t.Helper()
	file, err := config.ReadFile(config.Folder(s.dir).OfficerKey(line.Officer(code)), keys.MaxKeyFile)
	must(s.t, err)
	pass, err := os.ReadFile(filepath.Join(s.pass, code))
	must(s.t, err)
	o, err := keys.DecryptOfficer(file, strings.TrimSpace(string(pass)))
	must(s.t, err)
	return o
}

// freeAddr finds an address that stays free while a station is down: not among
// the ports that the system gives to outgoing connections and, where loopback
// has more than one address, on one that nobody else uses.
func freeAddr(t *testing.T) string {
	t.Helper()
	for i := range 100 {
		host := fmt.Sprintf("127.%d.%d.%d", rand.IntN(256), rand.IntN(256), 1+rand.IntN(254))
		if i > 2 {
			host = "127.0.0.1"
		}
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, 12000+rand.IntN(18000)))
		if err == nil {
			must(t, l.Close())
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// start runs the station, and returns before it answers.
func (s *side) start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = &tail{}
	s.cmd = exec.Command("herald", append([]string{"serve", "--dir", s.dir, "--passphrases", s.pass}, s.args...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Error(err)
	}
}

// end stops the station by a signal. Where that is SIGKILL, it must not have
// ended by itself before.
func (s *side) end(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := s.cmd.Wait()
	state := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	s.cmd = nil
	if sig == syscall.SIGKILL && state.Signaled() && state.Signal() == sig {
		return nil
	}
	if err != nil || sig == syscall.SIGKILL {
		return fmt.Errorf("the station of %s ended with %v; it said\n%s", s.code, err, s.log)
	}
	return nil
}

func (s *side) kill() { _ = s.end(syscall.SIGKILL) }

func (s *side) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// station reaches the running station, and waits until it answers.
func (s *side) station() *control.Client {
	s.t.Helper()
	var c *control.Client
	s.until("the station answers", func() bool {
		var err error
		c, err = control.Dial(config.Folder(s.dir).Socket())
		return err == nil
	})
	if s.line == (line.ID{}) {
		st, err := c.Status(s.t.Context())
		must(s.t, err)
		s.line = st.Lines[0].ID
	}
	return c
}

// until tries until it holds. What is awaited, a station does by itself.
func (s *side) until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(2 * patience); time.Now().Before(end); pause(s.t.Context(), 20*time.Millisecond) {
		if holds() {
			return
		}
	}
	s.t.Fatalf("%s: it never came that %s; its station said\n%s", s.code, what, s.said())
}

// pause waits, and returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// note is a message to be sent under a token.
type note struct {
	token, text, prec string
	file              []byte // an attachment; nil for none
}

// send drafts and releases once, through the station's socket.
func (s *side) send(ctx context.Context, c control.Service, n note) (control.Released, error) {
	r := control.DraftRequest{Line: s.line, LineID: s.line.String(), Officer: s.release.Code(), Kind: "message",
		Precedence: n.prec, Marking: "test", Text: n.text, Token: n.token}
	if n.file != nil {
		a, err := c.PutBlob(ctx, s.line, n.token, bytes.NewReader(n.file))
		if err != nil {
			return control.Released{}, err
		}
		r.Blobs = []control.Attachment{a}
	}
	d, err := c.Draft(ctx, r)
	if err != nil {
		return control.Released{}, err
	}
	return c.Release(ctx, control.ReleaseRequest{Draft: d.ID, Officer: s.release.Code(), Signature: s.release.Sign(d.Statement)})
}

// mustSend sends through a station that is well.
func (s *side) mustSend(c control.Service, n note) control.Released {
	s.t.Helper()
	out, err := s.send(s.t.Context(), c, n)
	if err != nil || !out.Accepted {
		s.t.Fatalf("%s: %q was not accepted: %v", s.code, n.text, err)
	}
	return out
}

// record reads the whole record.
func (s *side) record(c control.Service) []control.Item {
	s.t.Helper()
	var all []control.Item
	for after := ""; ; {
		page, err := c.Record(s.t.Context(), control.RecordRequest{LineID: s.line.String(), After: after})
		must(s.t, err)
		all = append(all, page.Items...)
		if len(page.Items) == 0 || page.Next == after {
			return all
		}
		after = page.Next
	}
}

// level waits until both stations hold the same logs, cosigned to the end,
// with nothing that waits.
func level(us, cn *side) {
	us.t.Helper()
	last := ""
	defer func() {
		if us.t.Failed() {
			us.t.Logf("the last was\n%s\n%s said\n%s", last, cn.code, cn.said())
		}
	}()
	us.until("both sides hold the same", func() bool {
		var said [2]string
		for i, s := range []*side{us, cn} {
			st, err := s.station().Status(s.t.Context())
			must(s.t, err)
			l := st.Lines[0]
			if l.Queued > 0 || l.Held != "" || len(l.Logs) != 2 {
				last = fmt.Sprintf("%s: %+v", s.code, l)
				return false
			}
			for _, g := range l.Logs {
				said[i] += fmt.Sprintf("%s/%d %d %s\n", g.Party, g.Gen, g.Size, g.Root)
				other := map[line.Party]string{us.code: string(cn.code), cn.code: string(us.code)}[g.Party]
				if g.Ahead > 0 || g.Head != g.Size || g.Cosigned[other] != g.Size {
					last = fmt.Sprintf("%s: %+v", s.code, g)
					return false
				}
			}
		}
		last = said[0] + said[1]
		return said[0] == said[1]
	})
}

// once checks that both records are the same, and that each text is on them
// once.
func once(us, cn *side, sent map[line.Party]map[string]bool) {
	t := us.t
	t.Helper()
	var leaves [2]map[string]string
	for i, s := range []*side{us, cn} {
		leaves[i] = map[string]string{}
		found := map[string]int{}
		for _, it := range s.record(s.station()) {
			at := fmt.Sprintf("%s#%d", it.Log, it.Seq)
			if it.Defect != "" {
				t.Errorf("%s: %s is defective: %s", s.code, at, it.Defect)
			}
			if _, twice := leaves[i][at]; twice {
				t.Errorf("%s: %s is on the record twice", s.code, at)
			}
			leaves[i][at] = it.Leaf
			if it.Party == s.code && it.Kind == "message" {
				found[it.Text]++
			}
		}
		for text := range sent[s.code] {
			if found[text] != 1 {
				t.Errorf("%s: %q was accepted, and is on the record %d times", s.code, text, found[text])
			}
			delete(found, text)
		}
		for text, n := range found {
			t.Errorf("%s: %q is on the record %d times, and nobody was told that it was accepted", s.code, text, n)
		}
	}
	for at, leaf := range leaves[0] {
		if leaves[1][at] != leaf {
			t.Errorf("%s is %.12s at %s, and %.12s at %s", at, leaf, us.code, leaves[1][at], cn.code)
		}
	}
	if len(leaves[0]) != len(leaves[1]) {
		t.Errorf("%d entries at %s, %d at %s", len(leaves[0]), us.code, len(leaves[1]), cn.code)
	}
}

// audits ends both stations in peace, and has the command audit what each
// holds.
func audits(us, cn *side) {
	us.t.Helper()
	for _, s := range []*side{us, cn} {
		must(s.t, s.end(syscall.SIGTERM))
		file := filepath.Join(s.t.TempDir(), "record")
		s.do("export", file)
		s.do("audit", "--deep", file)
	}
}

// blobOf returns an attachment's bytes as a station holds them.
func (s *side) blobOf(c control.Service, root string) ([]byte, error) {
	var b bytes.Buffer
	err := c.GetBlob(s.t.Context(), s.line, root, io.Writer(&b))
	return b.Bytes(), err
}
