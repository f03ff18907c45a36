package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"herald/internal/demo"
)

type demoCmd struct {
	Run     demoRun     `cmd:"" default:"withargs" help:"Replay an episode between two stations on this machine."`
	Network demoNetwork `cmd:"" hidden:"" help:"The network between the demo's stations."`
}

func (demoCmd) Help() string {
	return `Takes the flags of "herald demo run", which it runs: --keep leaves the stations running, --json prints one JSON object.`
}

type demoRun struct {
	Keep bool `help:"Leave the stations running, and their folder; says how to talk to them and how to stop them."`
	JSON bool `help:"Print one JSON object at the end, and nothing else."`
}

func (demoRun) Help() string {
	return `Makes two parties in a temporary folder, starts their stations with a network between them, replays what passed between Washington and Beijing from February to June 2023, cuts the network on the way, sends a courier, and checks that both sides hold one record. Needs nothing but this program, and leaves nothing behind.

Exit status: 0 only when nothing was lost, nothing doubled, both records are identical and the audit passes.

Example:
  herald demo
  herald demo --keep`
}

func (c *demoRun) Run(ctx context.Context, a *app) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	o := demo.Options{Program: program, Keep: c.Keep, Out: a.out}
	if f, ok := a.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		o.Person, o.Colour = true, a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
	}
	if c.JSON {
		o.Out, o.Person = io.Discard, false
	}
	// Also when the terminal is closed, or nobody reads on, what was started ends.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE) // a write fails instead
	defer signal.Stop(unread)
	r, err := demo.Run(ctx, o)
	if c.JSON && ctx.Err() == nil {
		err = errors.Join(err, printJSON(a.out, r))
	}
	return err
}

type demoNetwork struct {
	Target string `arg:"" help:"Where to carry connections."`
}

func (c *demoNetwork) Run(ctx context.Context, a *app) error {
	return demo.Proxy(ctx, c.Target, a.in, a.out)
}
