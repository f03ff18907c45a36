package direct

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"herald/internal/bearer"
	"herald/internal/bearer/bearertest"
	"herald/internal/bearer/linksim"
)

// BenchmarkReconnect measures from the moment that a cut link heals until a
// frame comes through, for cuts that TCP survives and for ones that it does
// not. "severed" also ends every connection, as a restarted router does.
func BenchmarkReconnect(b *testing.B) {
	for _, cut := range []time.Duration{2 * time.Second, 7 * time.Second, 20 * time.Second} {
		for _, sever := range []bool{false, true} {
			b.Run(fmt.Sprintf("cut%v_severed=%t", cut, sever), func(b *testing.B) {
				reconnect(b, cut, sever)
			})
		}
	}
}

func reconnect(b *testing.B, cut time.Duration, sever bool) {
	arrived := make(chan struct{}, 1)
	cn := endpoint(b, 2, func(ctx context.Context, c bearer.Conn) {
		l := bearertest.NewLink()
		l.Sink = func([]byte) error {
			select {
			case arrived <- struct{}{}:
			default:
			}
			return nil
		}
		_ = c.Run(ctx, l)
	})
	us := endpoint(b, 1, func(ctx context.Context, c bearer.Conn) {
		l := bearertest.NewLink()
		ticker := time.NewTicker(20 * time.Millisecond) // a session that has something to say
		defer ticker.Stop()
		l.Fill = func(int) []byte { return nil }
		done := make(chan struct{})
		go func() { defer close(done); _ = c.Run(ctx, l) }()
		for {
			select {
			case <-ticker.C:
				l.Send([]byte("x"))
			case <-done:
				return
			}
		}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	sim, err := linksim.Start("127.0.0.1:0", ln.Addr().String(), linksim.Config{Delay: 25 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = cn.Serve(ctx, ln) })
	all.Go(func() { us.Dialer("CN", sim.Addr()).Run(ctx) })
	defer all.Wait()
	defer sim.Close()
	defer cancel()
	var worst, total time.Duration
	for range b.N {
		<-arrived
		sim.Cut()
		if sever {
			sim.Sever()
		}
		<-time.After(cut)
		select { // what had come through before the cut
		case <-arrived:
		default:
		}
		began := time.Now()
		sim.Heal()
		<-arrived
		took := time.Since(began)
		total += took
		worst = max(worst, took)
	}
	b.ReportMetric(total.Seconds()/float64(b.N), "mean-s")
	b.ReportMetric(worst.Seconds(), "max-s")
}
