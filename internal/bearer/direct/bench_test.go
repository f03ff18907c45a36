package direct

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"herald/internal/bearer"
	"herald/internal/bearer/bearertest"
	"herald/internal/bearer/linksim"
)

// overLink returns both ends of an authenticated connection over a simulated
// link, and the link.
func overLink(b *testing.B, cfg linksim.Config) (near, far *Conn) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	sim, err := linksim.Start("127.0.0.1:0", ln.Addr().String(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sim.Close() })
	client, err := net.Dial("tcp", sim.Addr())
	if err != nil {
		b.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return tlsPair(b, client, server)
}

// carry runs both ends until the returned function is called.
func carry(a, z *Conn, la, lz bearer.Link) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() { _ = a.Run(ctx, la) })
	both.Go(func() { _ = z.Run(ctx, lz) })
	return func() { cancel(); both.Wait() }
}

// BenchmarkBulk measures what loopback carries in frames of 64 KiB.
func BenchmarkBulk(b *testing.B) {
	client, server := tcpPair(b)
	a, z := tlsPair(b, client, server)
	la, lz := bearertest.NewLink(), bearertest.NewLink()
	frame := make([]byte, bearer.MaxFrame)
	la.Fill = func(limit int) []byte { return frame[:limit] }
	const chunk = 1 << 20
	arrived, got := make(chan struct{}), 0
	lz.Sink = func(f []byte) error {
		for got += len(f); got >= chunk; got -= chunk {
			arrived <- struct{}{}
		}
		return nil
	}
	stop := carry(a, z, la, lz)
	for range 64 {
		<-arrived // until the window has grown
	}
	b.SetBytes(chunk)
	b.ResetTimer()
	for range b.N {
		<-arrived
	}
	b.StopTimer()
	s := a.State()
	b.ReportMetric(float64(s.Frame), "frame-B")
	b.ReportMetric(float64(s.RTT.Microseconds()), "rtt-µs")
	go func() {
		for range arrived { //nolint:revive // drains what is still coming
		}
	}()
	stop()
	close(arrived)
}

// BenchmarkFlash measures an urgent frame of 300 bytes, one way, on an idle
// link and behind endless bulk.
func BenchmarkFlash(b *testing.B) {
	for _, cfg := range []linksim.Config{
		{Rate: 1e6, Delay: 25 * time.Millisecond},
		{Rate: 30e3, Delay: 350 * time.Millisecond},
	} {
		for _, loaded := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dkbps_rtt%v_bulk=%t", cfg.Rate/1000, 2*cfg.Delay, loaded), func(b *testing.B) {
				flash(b, cfg, loaded)
			})
		}
	}
}

func flash(b *testing.B, cfg linksim.Config, loaded bool) {
	a, z := overLink(b, cfg)
	la, lz := bearertest.NewLink(), bearertest.NewLink()
	bulk := make([]byte, bearer.MaxFrame)
	if loaded {
		la.Fill = func(limit int) []byte { return bulk[:limit] }
	}
	urgent := make([]byte, 300)
	urgent[0] = 1
	arrived := make(chan time.Time, 1)
	var carried int
	lz.Sink = func(f []byte) error {
		carried += len(f)
		if f[0] == 1 {
			arrived <- time.Now()
		}
		return nil
	}
	stop := carry(a, z, la, lz)
	defer stop()
	settle := 10 * time.Second
	if !loaded {
		settle = time.Second
	}
	<-time.After(settle)
	before, began := a.State().Sent, time.Now()
	var took []time.Duration
	b.ResetTimer()
	for i := range b.N {
		<-time.After(time.Duration(37+i*71%400) * time.Millisecond) // at no set phase of the bulk
		sent := time.Now()
		la.Send(urgent)
		took = append(took, (<-arrived).Sub(sent))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "max-ms")
	if loaded {
		share := float64(a.State().Sent-before) * 8 / time.Since(began).Seconds() / float64(cfg.Rate)
		b.ReportMetric(100*share, "bulk-%")
		b.ReportMetric(float64(a.State().Frame), "frame-B")
	}
}

// BenchmarkIdleMemory measures one side of an idle connection.
func BenchmarkIdleMemory(b *testing.B) {
	const count = 1000
	conns := make([]*Conn, 0, 2*count)
	for range count {
		client, server := tcpPair(b)
		a, z := tlsPair(b, client, server)
		conns = append(conns, a, z)
	}
	links := make([]*bearertest.Link, len(conns))
	for i := range links {
		links[i] = bearertest.NewLink()
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	var got sync.WaitGroup
	got.Add(len(conns))
	for i, c := range conns {
		links[i].Sink = func([]byte) error { got.Done(); return nil }
		links[i].Send(make([]byte, bearer.MinMax))
		all.Go(func() { _ = c.Run(ctx, links[i]) })
	}
	got.Wait()
	runtime.GC()
	runtime.GC()
	var with, without runtime.MemStats
	runtime.ReadMemStats(&with)
	cancel()
	all.Wait()
	clear(conns)
	clear(links)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&without)
	per := func(a, b uint64) float64 { return float64(a-b) / (2 * count) / 1024 }
	b.ReportMetric(per(with.HeapInuse+with.StackInuse, without.HeapInuse+without.StackInuse), "KiB/conn")
	b.ReportMetric(per(with.StackInuse, without.StackInuse), "KiB-stack/conn")
}
