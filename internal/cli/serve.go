package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"

	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/keys"
)

type serveCmd struct {
	Listen   string   `placeholder:"ADDRESS" help:"Listen for the other parties on HOST:PORT or :PORT (default: as in herald.toml)."`
	Peer     []string `placeholder:"CODE=ADDRESS" help:"Dial a party, besides those in herald.toml."`
	Alert    []string `placeholder:"COMMAND" sep:"none" help:"Program that calls the watch, and with further --alert its arguments (default: as in herald.toml)."`
	LogLevel string   `placeholder:"LEVEL" help:"debug, info, warn or error (default: as in herald.toml, or info)."`
}

func (serveCmd) Help() string {
	return `Runs until it is told to stop (Ctrl-C, SIGTERM). Either side may dial; one that can be reached is enough. Needs the station key's passphrase, never the root key: a folder that holds one is refused.

Example:
  herald serve --dir us --listen :7400
  herald serve --dir cn --peer US=us.example.org:7400`
}

func (c *serveCmd) Run(ctx context.Context, a *app) error {
	settings, err := c.settings(a)
	if err != nil {
		return err
	}
	if err := checkNoRoot(a.Dir); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.errs, &slog.HandlerOptions{Level: settings.Log}))
	s, err := a.openStation(ctx, settings, log)
	if err != nil {
		return err
	}
	l, err := control.Listen(a.Dir.Socket())
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("the disk is full, so the station does not run and its lines are down; what was accepted before is kept. Free some space, then serve again: %w", err)
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	answered := make(chan error, 1)
	go func() {
		answered <- control.Serve(ctx, l, s)
		stop()
	}()
	log.Info("serving", "folder", string(a.Dir))
	err = s.Serve(ctx)
	stop()
	err = errors.Join(err, <-answered, s.Close())
	if err == nil || errors.Is(err, context.Canceled) {
		log.Info("stopped; what was accepted is kept")
		return nil
	}
	return err
}

// settings joins the flags to the folder's settings.
func (c *serveCmd) settings(a *app) (config.Settings, error) {
	if err := a.Dir.Check(); err != nil {
		return config.Settings{}, err
	}
	s, err := a.Dir.Settings()
	if err != nil {
		return s, err
	}
	if c.Listen != "" {
		if err := config.CheckAddress(c.Listen); err != nil {
			return s, fmt.Errorf("--listen: %w", err)
		}
		s.Listen = c.Listen
	}
	if len(c.Alert) > 0 {
		s.Alert.Command = c.Alert
	}
	for _, p := range c.Peer {
		if err := s.AddPeer(p); err != nil {
			return s, fmt.Errorf("--peer: %w", err)
		}
	}
	if c.LogLevel != "" {
		if err := s.Log.UnmarshalText([]byte(c.LogLevel)); err != nil {
			return s, fmt.Errorf("--log-level %q: want debug, info, warn or error", c.LogLevel)
		}
	}
	return s, nil
}

// checkNoRoot refuses a folder that holds a root key anywhere: whoever broke
// into the station could then speak for the party.
func checkNoRoot(f config.Folder) error {
	found, err := f.FindFiles(keys.IsRootFile)
	if err != nil {
		return fmt.Errorf("look for root keys in %s: %w", f, err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%s is a root key, inside the folder that is to be served: whoever breaks into this station could speak for the party; move it to a medium that you lock away, then serve again", found[0])
	}
	return nil
}
