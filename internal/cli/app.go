package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"herald/internal/config"
	"herald/internal/control"
)

// app is what verbs share: the streams, the clock and the flags of all verbs.
type app struct {
	globals

	in        io.Reader
	out, errs io.Writer
	env       func(string) string
	now       func() time.Time
	rand      io.Reader
	ask       func(prompt string) (string, error) // from the terminal, without echo
	terminal  bool                                // the input is one

	single string // the key for which --passphrase-file was used
}

func newApp() *app {
	return &app{
		in: os.Stdin, out: os.Stdout, errs: os.Stderr,
		env: os.Getenv, now: time.Now, rand: rand.Reader,
		ask: askTerminal, terminal: term.IsTerminal(int(os.Stdin.Fd())),
	}
}

// errNoTerminal means that there is nobody to ask.
var errNoTerminal = errors.New("no terminal to ask on")

// askTerminal asks on the terminal of this process, also when its streams are
// redirected.
func askTerminal(prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errNoTerminal
	}
	defer tty.Close()
	fmt.Fprint(tty, prompt)
	b, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	return string(b), err
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// notef tells people what programs that read the output need not know.
func (a *app) notef(format string, args ...any) { fmt.Fprintf(a.errs, format, args...) }

// service returns the station that serves the folder or, when none does, one
// that this process opens, which carries nothing.
func (a *app) service(ctx context.Context) (control.Service, func() error, error) {
	if err := a.Dir.Check(); err != nil {
		return nil, nil, err
	}
	c, err := control.Dial(a.Dir.Socket())
	if err == nil {
		return c, c.Close, nil
	}
	if !errors.Is(err, control.ErrNotServing) {
		return nil, nil, err
	}
	s, err := a.openStation(ctx, config.Settings{}, nil)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// with runs f with the folder's station.
func (a *app) with(ctx context.Context, f func(control.Service) error) error {
	s, end, err := a.service(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(s), end())
}

// readInput reads a file, or the standard input for "-".
func (a *app) readInput(name string, limit int64) ([]byte, error) {
	if name == "-" {
		return config.ReadAll(a.in, "the standard input", limit)
	}
	return config.ReadFile(name, limit)
}
