package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// tourStep is one command of the tour: typed in a terminal, and what it shows.
type tourStep struct {
	line     int // in the tour, from 1
	terminal string
	command  string
	shows    []string
}

var tourPrompt = regexp.MustCompile(`^([a-z]+(?:-station)?)\$ (.*)$`)

// tourSteps reads the console blocks of a tour. A line such as "us$ herald …"
// is a command and its terminal; the lines after it are what it shows.
func tourSteps(text string) ([]tourStep, error) {
	var steps []tourStep
	in, began := false, false
	for i, l := range strings.Split(text, "\n") {
		switch m := tourPrompt.FindStringSubmatch(l); {
		case strings.HasPrefix(l, "```"):
			in, began = l == "```console", false
		case in && m != nil:
			steps, began = append(steps, tourStep{i + 1, m[1], m[2], nil}), true
		case in && !began:
			return nil, fmt.Errorf("line %d: a block begins with a command", i+1)
		case in:
			s := &steps[len(steps)-1]
			s.shows = append(s.shows, l)
		}
	}
	return steps, nil
}

// tourMasks are what differs from one run to the next.
var tourMasks = []struct {
	re   *regexp.Regexp
	mask string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d`), "DAY"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b|\b[0-9a-f]{8}\b`), "HEX"},
	{regexp.MustCompile(`(127\.0\.0\.1|\[::1\]|localhost)?:\d{4,5}\b`), ":PORT"},
	{regexp.MustCompile(`\b\d+ bytes`), "N bytes"},
	{regexp.MustCompile(`\b[A-Z]{2}#\d+`), "PLACE"},
	{regexp.MustCompile(`up to size \d+`), "up to size N"},
	{regexp.MustCompile(`\d+ signatures`), "N signatures"},
	{regexp.MustCompile(`round trip [0-9.]+ ms`), "round trip N ms"},
	{regexp.MustCompile(`(?m)^(  [a-z]+)( +[a-z]+){3}$`), "SAFETY WORDS"},
	{regexp.MustCompile(`(?m)^(Safety words [A-Z–]+): .*`), "$1: WORDS"},
	{regexp.MustCompile(`(?m) +`), " "},
	{regexp.MustCompile(`(?m) $`), ""},
}

func tourMask(s string) string {
	for _, m := range tourMasks {
		s = m.re.ReplaceAllString(s, m.mask)
	}
	return strings.Trim(s, "\n")
}

// tourWants makes a pattern of what a step shows: "…" on a line of its own is
// any number of lines, and elsewhere any characters.
func tourWants(shows []string) *regexp.Regexp {
	p := regexp.QuoteMeta("\n" + tourMask(strings.Join(shows, "\n")) + "\n")
	p = strings.ReplaceAll(p, "\n…\n", "\n(?:.*\n)*")
	return regexp.MustCompile("^" + strings.ReplaceAll(p, "…", ".*") + "$")
}

// tourist follows the tour in a folder of its own.
type tourist struct {
	t        *testing.T
	dir      string
	env      map[string][]string // what each terminal exported
	ports    map[string]string
	stations map[string]*exec.Cmd
	heard    map[string]*tourLog
}

// tourLog keeps what a station prints.
type tourLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *tourLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *tourLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestTour types docs/tour.md from top to bottom, as a new user would, and
// compares what it shows.
func TestTour(t *testing.T) {
	text, err := os.ReadFile("../../docs/tour.md")
	if err != nil {
		t.Fatal(err)
	}
	steps, err := tourSteps(string(text))
	if err != nil {
		t.Fatal(err)
	}
	bin, err := exec.LookPath("herald") // testscript put it there
	if err != nil {
		t.Fatal(err)
	}
	to := &tourist{t: t, dir: t.TempDir(), env: map[string][]string{}, ports: map[string]string{}, stations: map[string]*exec.Cmd{}, heard: map[string]*tourLog{}}
	t.Setenv("PATH", filepath.Dir(bin)+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("TZ", "UTC")
	t.Setenv("HERALD_DIR", "")
	t.Setenv("HERALD_PASSPHRASES", "")
	t.Setenv("HERALD_SCRYPT_COST", "10") // the passphrases are made by a machine
	defer to.leave()
	for _, s := range steps {
		to.step(s)
		if t.Failed() {
			return
		}
	}
}

// TestTourVerbs holds the tour to using every verb, and every verb's help to
// an example.
func TestTourVerbs(t *testing.T) {
	text, err := os.ReadFile("../../docs/tour.md")
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser(t.Context(), &commands{}, newApp())
	if err != nil {
		t.Fatal(err)
	}
	steps, err := tourSteps(string(text))
	if err != nil {
		t.Fatal(err)
	}
	typed := ""
	for _, s := range steps {
		typed += s.command + "\n"
	}
	for _, leaf := range k.Model.Leaves(true) {
		verb := strings.TrimSuffix(leaf.Path(), " run")
		if !strings.Contains(leaf.Detail, "Example:\n  herald "+verb) {
			t.Errorf("the help of herald %s has no example", verb)
		}
		if verb == "demo" || verb == "bench" {
			continue
		}
		if !regexp.MustCompile(`herald ` + verb + `\b`).MatchString(typed) {
			t.Errorf("the tour never uses herald %s", verb)
		}
	}
}

var tourPorts = regexp.MustCompile(`:74\d\d\b`)

func (to *tourist) step(s tourStep) {
	s.command = tourPorts.ReplaceAllStringFunc(s.command, to.port)
	if !strings.HasSuffix(s.terminal, "-station") {
		to.talk(s)
		return
	}
	if s.command == "^C" {
		to.stop(s)
		return
	}
	if to.stations[s.terminal] != nil {
		to.t.Errorf("docs/tour.md:%d: a station runs in this terminal already", s.line)
		return
	}
	c := to.shell(s)
	log := &tourLog{}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		to.t.Errorf("docs/tour.md:%d: %v", s.line, err)
		return
	}
	to.stations[s.terminal], to.heard[s.terminal] = c, log
	want := tourWants(append(slices.Clone(s.shows), "…")) // it goes on
	if !poll(func() bool { return want.MatchString("\n" + tourMask(log.String()) + "\n") }) {
		to.t.Errorf("docs/tour.md:%d: %s\nshows\n%s\nand not\n%s", s.line, s.command, log, strings.Join(s.shows, "\n"))
	}
}

// shell makes a process of a step's command.
func (to *tourist) shell(s tourStep) *exec.Cmd {
	c := exec.Command("sh", "-c", "exec "+s.command)
	if !strings.HasSuffix(s.terminal, "-station") {
		c.Args[2] = s.command
	}
	c.Dir, c.Env = to.dir, append(os.Environ(), to.env[s.terminal]...)
	return c
}

// port gives each port of the tour one that is free here.
func (to *tourist) port(name string) string {
	if to.ports[name] == "" {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			to.t.Fatal(err)
		}
		to.ports[name] = fmt.Sprintf(":%d", l.Addr().(*net.TCPAddr).Port)
		if err := l.Close(); err != nil {
			to.t.Fatal(err)
		}
	}
	return to.ports[name]
}

// tourAsks matches what people repeat until they see what they wait for.
var tourAsks = regexp.MustCompile(`^herald (record|status|read|save|card show)\b`)

// talk runs a command to its end. What only asks is asked again until it shows
// what the tour shows, for the other station may still be writing.
func (to *tourist) talk(s tourStep) {
	if words, ok := strings.CutPrefix(s.command, "export "); ok {
		to.env[s.terminal] = append(to.env[s.terminal], strings.Fields(words)...)
		return
	}
	want, fails := tourWants(s.shows), false
	for _, l := range s.shows {
		fails = fails || strings.HasPrefix(l, "herald: ")
	}
	var out []byte
	var err error
	once := func() bool {
		out, err = to.shell(s).CombinedOutput()
		return (err != nil) == fails && want.MatchString("\n"+tourMask(string(out))+"\n")
	}
	if once() || tourAsks.MatchString(s.command) && poll(once) {
		return
	}
	to.t.Errorf("docs/tour.md:%d: %s\nends with %v and shows\n%s\nand not\n%s", s.line, s.command, err, out, strings.Join(s.shows, "\n"))
}

// stop presses Ctrl-C.
func (to *tourist) stop(s tourStep) {
	c := to.stations[s.terminal]
	if c == nil {
		to.t.Errorf("docs/tour.md:%d: nothing runs in this terminal", s.line)
		return
	}
	delete(to.stations, s.terminal)
	if err := c.Process.Signal(os.Interrupt); err != nil {
		to.t.Errorf("docs/tour.md:%d: %v", s.line, err)
	}
	if err := c.Wait(); err != nil {
		to.t.Errorf("docs/tour.md:%d: %v\n%s", s.line, err, to.heard[s.terminal])
	}
	last := ""
	for sc := bufio.NewScanner(strings.NewReader(to.heard[s.terminal].String())); sc.Scan(); {
		last = sc.Text()
	}
	if !tourWants(s.shows).MatchString("\n" + tourMask(last) + "\n") {
		to.t.Errorf("docs/tour.md:%d: Ctrl-C shows\n%s", s.line, last)
	}
}

// leave ends the stations that still run.
func (to *tourist) leave() {
	for name, c := range to.stations {
		if err := c.Process.Signal(syscall.SIGKILL); err == nil {
			c.Wait() // it was killed
		}
		if to.t.Failed() {
			to.t.Logf("%s:\n%s", name, to.heard[name])
		}
	}
}
