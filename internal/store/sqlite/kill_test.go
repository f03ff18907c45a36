package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"herald/internal/line"
)

const killDir = "HERALD_TEST_KILL_DIR"

// TestKilledChild is the child of TestKill: it commits to three lines at once
// and says so after each commit, until it is killed.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("only as a child of TestKill")
	}
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(3) {
		go func() {
			id := line.ID{i}
			for n := holds(t, db, id); ; n++ {
				if err := db.Commit(context.Background(), counting(n, id)); err != nil {
					panic(err)
				}
				// One write, so that lines do not mix.
				os.Stdout.WriteString(fmt.Sprintf("ack %d %d\n", i, n+1))
			}
		}()
	}
	select {}
}

// TestKill kills a process ten times in the midst of its commits. Every batch
// that it acknowledged is there afterwards, whole.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	acked := map[line.ID]uint64{}
	for round := range 10 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		readAcks(t, out, acked, 1+rand.IntN(150), func() { cmd.Process.Kill() })
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		db := openAt(t, dir)
		for id, n := range acked {
			got := holds(t, db, id)
			if got < n || got > n+1 {
				t.Fatalf("kill %d, line %s: %d batches acknowledged, %d are there", round, id.Short(), n, got)
			}
			acked[id] = got
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acked) != 3 {
		t.Fatalf("only %d lines made progress", len(acked))
	}
}

// readAcks reads to the end of the child's output and kills it on the way.
func readAcks(t *testing.T, out io.Reader, acked map[line.ID]uint64, killAfter int, kill func()) {
	t.Helper()
	in := bufio.NewScanner(out)
	for n := 0; in.Scan(); {
		var i byte
		var count uint64
		if _, err := fmt.Sscanf(in.Text(), "ack %d %d", &i, &count); err != nil {
			t.Fatalf("the child said %q", in.Text())
		}
		acked[line.ID{i}] = count
		if n++; n == killAfter {
			kill()
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
}
