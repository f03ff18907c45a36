package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"herald/internal/bench"
)

type benchCmd struct {
	Quick    bool     `help:"Smaller sizes, in about half a minute."`
	JSON     bool     `name:"json" help:"Print one JSON object."`
	Only     []string `placeholder:"NAME" help:"Take only these measures: flash, throughput, frames, idle, audit, preempt, reconnect."`
	Profiles string   `placeholder:"DIR" help:"Write CPU profiles of both processes into a folder that exists."`
}

func (benchCmd) Help() string {
	return `Every figure stands beside this machine's own limits, taken in the same run.
A second process of this program is started and ended; folders are temporary.

Example:
  herald bench --quick`
}

func (c benchCmd) Run(ctx context.Context, a *app) error {
	if a.env(bench.PeerEnv) != "" {
		return bench.Peer(ctx, os.Stdin, os.Stdout, os.Stderr)
	}
	r, err := bench.Run(ctx, bench.Options{Quick: c.Quick, Progress: a.errs, Only: c.Only, Profiles: c.Profiles})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(a.out).Encode(r)
	}
	if err := r.Write(a.out); err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	a.printf("\n%.0f s\n", r.Took)
	return nil
}
