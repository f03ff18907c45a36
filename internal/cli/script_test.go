package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds what a script waits for.
const patience = 20 * time.Second

// TestScripts runs testdata/script: one script for each group of verbs, with
// the real command.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition: func(c string) (bool, error) {
			switch c {
			case "root":
				return os.Geteuid() == 0, nil
			case "mount": // a process of its own may make a folder read-only
				dir := t.TempDir()
				return exec.Command("unshare", "-m", "sh", "-c", "mount --bind "+dir+" "+dir).Run() == nil, nil
			}
			return false, fmt.Errorf("no condition %q", c)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":     cmdServe,
			"endserve":  cmdEndServe,
			"killserve": cmdKillServe,
			"until":     cmdUntil,
			"json":      cmdJSON,
			"pass":      cmdPass,
			"write":     cmdWrite,
			"port":      cmdPort,
			"setout":    cmdSetout,
			"line":      cmdLine,
			"exits":     cmdExits,
		},
	})
}

// world is a script's stations and passphrases.
type world struct {
	mu       sync.Mutex
	stations map[string]*exec.Cmd
	logs     map[string]*bytes.Buffer
}

type worldKey struct{}

func setup(env *testscript.Env) error {
	w := &world{stations: map[string]*exec.Cmd{}, logs: map[string]*bytes.Buffer{}}
	env.Values[worldKey{}] = w
	env.Defer(func() {
		for dir := range w.stations {
			w.end(dir, syscall.SIGKILL)
		}
	})
	// Passphrases made for tests; the command must not ask.
	for _, party := range []string{"us", "cn", "ru"} {
		dir := filepath.Join(env.WorkDir, "pass", party)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		for _, name := range []string{"root", "station", party + "-watch-1", party + "-release-1", party + "-interpreter-1", party + "-principal-1"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("pass of "+party+" "+name+"\n"), 0o600); err != nil {
				return err
			}
		}
	}
	env.Setenv("HERALD_DIR", "")
	env.Setenv("TZ", "UTC")
	return nil
}

func of(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// end stops a station and returns how it ended.
func (w *world) end(dir string, sig os.Signal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.stations[dir]
	if c == nil {
		return fmt.Errorf("no station serves %s", dir)
	}
	delete(w.stations, dir)
	if err := c.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return c.Wait()
}

// cmdServe starts a station and waits until it answers: serve DIR [flags].
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: serve DIR [flags]")
	}
	w, dir := of(ts), args[0]
	log := &bytes.Buffer{}
	c := exec.Command("herald", append([]string{"serve", "--dir", dir, "--passphrases", "pass/" + filepath.Base(dir)}, args[1:]...)...)
	c.Dir, c.Stderr, c.Stdout = ts.Getenv("WORK"), log, log
	c.Env = environ(ts)
	path, err := exec.LookPath("herald")
	ts.Check(err)
	c.Path = path
	ts.Check(c.Start())
	w.mu.Lock()
	w.stations[dir], w.logs[dir] = c, log
	w.mu.Unlock()
	ok := poll(func() bool {
		conn, err := net.Dial("unix", filepath.Join(ts.MkAbs(dir), "control.sock"))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if !ok {
		w.end(dir, syscall.SIGKILL)
		ts.Fatalf("%s does not serve:\n%s", dir, log)
	}
}

// environ is the script's environment, as far as the command minds it.
func environ(ts *testscript.TestScript) []string {
	env := []string{}
	for _, k := range []string{"PATH", "TZ", "HOME", "TMPDIR", "HERALD_DIR", "HERALD_PASSPHRASES", "GOCOVERDIR"} {
		if v := ts.Getenv(k); v != "" {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// cmdEndServe ends a station in peace: endserve DIR. What it logged becomes stdout's.
func cmdEndServe(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	if err := w.end(args[0], syscall.SIGTERM); err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], err, w.logs[args[0]])
	}
	ts.Logf("%s", w.logs[args[0]])
}

// cmdKillServe ends a station by SIGKILL: killserve DIR.
func cmdKillServe(ts *testscript.TestScript, neg bool, args []string) {
	if err := of(ts).end(args[0], syscall.SIGKILL); err == nil {
		ts.Fatalf("%s ended in peace", args[0])
	}
}

// poll tries until it holds or patience ends.
func poll(f func() bool) bool {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-t.C {
		if f() {
			return true
		}
	}
	return false
}

// cmdUntil runs a command until its output matches: until REGEXP herald ….
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	re := regexp.MustCompile("(?m)" + args[0])
	var out, errs string
	ok := poll(func() bool {
		c := exec.Command(args[1], args[2:]...)
		path, err := exec.LookPath(args[1])
		ts.Check(err)
		c.Path, c.Dir = path, ts.Getenv("WORK")
		c.Env = environ(ts)
		var o, e bytes.Buffer
		c.Stdout, c.Stderr = &o, &e
		err = c.Run()
		out, errs = o.String(), e.String()
		return err == nil && re.MatchString(out) != neg
	})
	if !ok {
		for dir, l := range of(ts).logs {
			ts.Logf("log of %s:\n%s", dir, l)
		}
		ts.Fatalf("%q never came; the last was\n%s%s", args[0], out, errs)
	}
	fmt.Fprint(ts.Stdout(), out)
}

// cmdJSON compares a value in a file of JSON: json FILE PATH VALUE, where PATH
// is names and indexes joined by dots. A file of several objects counts as a
// list.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json FILE PATH VALUE")
	}
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	d.UseNumber()
	var all []any
	for d.More() {
		var v any
		ts.Check(d.Decode(&v))
		all = append(all, v)
	}
	var v any = all
	if len(all) == 1 {
		v = all[0]
	}
	for name := range strings.SplitSeq(args[1], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			if name == "len" {
				v = len(x)
				continue
			}
			i := 0
			_, err := fmt.Sscan(name, &i)
			ts.Check(err)
			if i < 0 {
				i += len(x)
			}
			if i < 0 || i >= len(x) {
				ts.Fatalf("%s: there are %d", args[1], len(x))
			}
			v = x[i]
		default:
			ts.Fatalf("%s: nothing at %q in %v", args[1], name, reflect.TypeOf(v))
		}
	}
	if got := fmt.Sprint(v); (got == args[2]) == neg {
		ts.Fatalf("%s is %q, want %q", args[1], got, args[2])
	}
}

// cmdPass sets whose passphrases the next commands use: pass PARTY.
func cmdPass(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("HERALD_PASSPHRASES", ts.MkAbs("pass/"+args[0]))
	ts.Setenv("HERALD_DIR", args[0])
}

// cmdWrite writes a file with Go's escapes, which txtar cannot hold, some
// number of times: write FILE TEXT [N].
func cmdWrite(ts *testscript.TestScript, neg bool, args []string) {
	n := 1
	if len(args) > 2 {
		_, err := fmt.Sscan(args[2], &n)
		ts.Check(err)
	}
	var text string
	ts.Check(json.Unmarshal([]byte(`"`+strings.ReplaceAll(args[1], `\x`, `\u00`)+`"`), &text))
	b := []byte(strings.Repeat(text, n))
	if strings.Contains(args[1], `\x`) { // bytes, not characters
		b = nil
		for _, r := range strings.Repeat(text, n) {
			b = append(b, byte(r))
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// cmdPort finds a free address and puts it into a variable: port NAME.
func cmdPort(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// cmdSetout puts a file's only line into a variable: setout NAME FILE.
func cmdSetout(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// cmdLine makes parties in the folders us, cn, …, each with a watch and a
// release officer, and a line between them: line us,cn [charter draft flags].
func cmdLine(ts *testscript.TestScript, neg bool, args []string) {
	parties := strings.Split(args[0], ",")
	herald := func(party string, args ...string) {
		ts.Check(ts.Exec("herald", append(args, "--dir", party, "--passphrases", ts.MkAbs("pass/"+party))...))
	}
	for _, p := range parties {
		herald(p, "party", "new", "--code", strings.ToUpper(p), "--name", "Party "+p, "--lang", "en", "--scrypt-cost", "10")
		herald(p, "officer", "new", "--role", "watch", "--scrypt-cost", "10")
		herald(p, "officer", "new", "--role", "release", "--scrypt-cost", "10")
	}
	draft := append([]string{"charter", "draft"}, args[1:]...)
	for _, p := range parties {
		for _, q := range parties {
			if p != q {
				herald(p, "card", "import", filepath.Join(q, "party.card"))
			}
		}
	}
	for _, q := range parties[1:] {
		draft = append(draft, "--with", q)
	}
	herald(parties[0], draft...)
	ts.Check(os.WriteFile(ts.MkAbs("charter.txt"), []byte(ts.ReadFile("stdout")), 0o600))
	for _, p := range parties {
		herald(p, "charter", "sign", "charter.txt")
	}
	for _, p := range parties {
		herald(p, "charter", "import", "charter.signed")
	}
}

// cmdExits runs a command that ends with a given status: exits N herald ….
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	var e *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); !errors.As(err, &e) || fmt.Sprint(e.ExitCode()) != args[0] {
		ts.Fatalf("%v, want exit status %s", err, args[0])
	}
}
