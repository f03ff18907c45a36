package cli

import (
	"context"
	"log/slog"
	"net"

	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/station"
)

// runner is a station as serve needs it.
type runner interface {
	control.Service
	Serve(ctx context.Context) error
	Close() error
}

// openStation opens the folder's station in this process.
func (a *app) openStation(ctx context.Context, s config.Settings, log *slog.Logger) (runner, error) {
	if err := a.finishGeneration(); err != nil {
		return nil, err
	}
	return station.Open(ctx, station.Options{
		Dir: string(a.Dir), Listen: s.Listen, Peers: s.Peers, Alert: s.Alert.Command, Log: log,
		Listening: func(at net.Addr) { log.Info("listening", "address", at.String()) },
		Passphrase: func(string) ([]byte, error) {
			p, err := a.passphrase(stationSecret(), false)
			return []byte(p), err
		},
	})
}
