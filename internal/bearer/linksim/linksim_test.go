package linksim

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// echo returns the address of a server that sends back what it gets.
func echo(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// through returns a link to an echo server and a connection over it.
func through(t *testing.T, cfg Config) (*Link, net.Conn) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	l, err := Start("127.0.0.1:0", echo(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, c
}

func TestBytesComeThroughUnchanged(t *testing.T) {
	for _, cfg := range []Config{{}, {Rate: 400e6, Delay: time.Millisecond, Queue: 3000}} {
		l, c := through(t, cfg)
		sent := make([]byte, 1<<20)
		rng := rand.New(rand.NewPCG(1, 1))
		for i := range sent {
			sent[i] = byte(rng.Uint32())
		}
		go func() { _, _ = c.Write(sent) }()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			t.Error("bytes were changed")
		}
		c.Close()
		l.Close()
		if there, _ := l.Moved(); there != uint64(len(sent)) {
			t.Errorf("%d bytes were counted, want %d", there, len(sent))
		}
	}
}

// A link can never be quicker than it says: a lower bound holds on any machine.
func TestRateAndDelayAreLowerBounds(t *testing.T) {
	_, c := through(t, Config{Rate: 800e3, Delay: 20 * time.Millisecond})
	began := time.Now()
	if _, err := c.Write(make([]byte, 5000)); err != nil { // 50 ms each way, pipelined by segment
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("5,000 bytes there and back took %v on a link of 100 kB/s and 20 ms", took)
	}
}

func TestCutHoldsEverythingUntilHealed(t *testing.T) {
	l, c := through(t, Config{})
	l.Cut()
	l.Cut() // once more changes nothing
	if _, err := c.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 4)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes over a cut link, %v", n, err)
	}
	if there, back := l.Moved(); there+back != 0 {
		t.Errorf("%d bytes moved over a cut link", there+back)
	}
	l.Heal()
	l.Heal()
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "held" {
		t.Errorf("after the link healed: %q, %v", got, err)
	}
}

func TestSeverEndsConnectionsAndAllowsNewOnes(t *testing.T) {
	l, c := through(t, Config{})
	if _, err := c.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	l.Sever()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a severed connection still carries bytes")
	}
	d, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Write([]byte("b")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(d, make([]byte, 1)); err != nil {
		t.Errorf("a new connection over a severed link: %v", err)
	}
}
