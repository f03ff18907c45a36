package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/wire"
)

// turnOf is what one turn of a line commits for n messages: entries of 500
// bytes, bodies of 400, and its share of the rest.
func turnOf(id line.ID, from, n uint64) *record.Batch {
	log := line.Log{Party: 0, Gen: 1}
	b := &record.Batch{
		Line: id, Logs: []record.Log{{Log: log, Tree: make([]byte, 400), Size: from + n}},
		Heads: []record.Head{{Head: wire.Head{Log: log, Size: from + n}}},
		Move:  &record.Move{Log: log, From: from, To: from + n},
	}
	leaf, box := make([]byte, 500), make([]byte, 400)
	for seq := from; seq < from+n; seq++ {
		p := line.Pos{Log: log, Seq: seq}
		b.Entries = append(b.Entries, record.Entry{
			SignedEntry: wire.SignedEntry{Pos: p, Leaf: leaf}, LeafHash: line.Hash{byte(seq)}, Rank: seq + 1, Received: int64(seq),
		})
		b.Bodies = append(b.Bodies, record.Body{Pos: p, Kind: wire.KindMessage, Number: seq + 1, Segment: 1, Box: box})
	}
	return b
}

// cpu returns the processor time that this process used so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchCommit(b *testing.B, lines int, messages uint64) {
	db := openTemp(b)
	batches := make([][]*record.Batch, lines)
	for i := range lines {
		for n := range uint64(b.N/lines + 1) {
			batches[i] = append(batches[i], turnOf(line.ID{byte(i), 1}, n*messages, messages))
		}
	}
	b.ResetTimer()
	before := cpu(b)
	var wg sync.WaitGroup
	for _, mine := range batches {
		wg.Go(func() {
			for _, turn := range mine {
				if err := db.Commit(context.Background(), turn); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	total := float64(b.N) * float64(messages)
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/total/2, "cpu-µs/row")
	b.ReportMetric(total/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/commit")
}

// BenchmarkCommit measures durable commits of one message, of 64, and of 64
// lines at once.
func BenchmarkCommit(b *testing.B) {
	b.Run("one message", func(b *testing.B) { benchCommit(b, 1, 1) })
	b.Run("64 messages", func(b *testing.B) { benchCommit(b, 1, 64) })
	b.Run("64 lines, one message each", func(b *testing.B) { benchCommit(b, 64, 1) })
	b.Run("64 lines, 16 messages each", func(b *testing.B) { benchCommit(b, 64, 16) })
}

// BenchmarkRaw appends as many bytes to a file and syncs, for the ratio.
func BenchmarkRaw(b *testing.B) {
	for name, n := range map[string]int{"one message": 900, "64 messages": 64 * 900} {
		b.Run(name, func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			buf := make([]byte, n)
			for b.Loop() {
				if _, err := f.Write(buf); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/commit")
		})
	}
}

// BenchmarkLoad measures the start of a line with a long history.
func BenchmarkLoad(b *testing.B) {
	db := openTemp(b)
	for n := range uint64(200) {
		if err := db.Commit(context.Background(), turnOf(line.ID{1}, n*64, 64)); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		if _, err := db.Load(context.Background(), line.ID{1}); err != nil {
			b.Fatal(err)
		}
	}
}
