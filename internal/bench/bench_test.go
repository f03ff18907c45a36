package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv(PeerEnv) != "" {
		if err := Peer(context.Background(), os.Stdin, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestRunTiny(t *testing.T) {
	o := Options{tiny: os.Getenv("BQ") == "", Quick: os.Getenv("BQ") == "1", Progress: os.Stderr, Profiles: os.Getenv("BPROF")}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.MarshalIndent(r, "", " ")
	t.Log(string(b))
}
