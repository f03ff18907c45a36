package bench

import (
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/store/sqlite"
	"herald/internal/wire"
)

// limits measures what the machine itself can do, bit by bit between the
// other measures, so that both see the same machine.
type limits struct {
	db     *sqlite.DB
	size   uint64 // entries committed so far
	file   *os.File
	pub    ed25519.PublicKey
	priv   ed25519.PrivateKey
	commit []time.Duration
	sync   []time.Duration
	trip   []time.Duration
	sign   []time.Duration
	verify []time.Duration
}

// The figures of a FLASH as it is committed at either end, in bytes.
const (
	flashLeaf = 200
	flashBox  = 260
	signBatch = 8 // signatures timed together
)

func newLimits(dir string) (*limits, error) {
	m := &limits{}
	var err error
	if m.db, err = sqlite.Open(filepath.Join(dir, "limit")); err != nil {
		return nil, err
	}
	if m.file, err = os.Create(filepath.Join(dir, "limit", "raw")); err != nil {
		return nil, err
	}
	m.pub, m.priv, err = ed25519.GenerateKey(nil)
	return m, err
}

func (m *limits) close() error {
	m.file.Close()
	return m.db.Close()
}

// take measures each limit n times.
func (m *limits) take(ctx context.Context, n int, b *bareLink) error {
	frame := make([]byte, 270)
	raw := make([]byte, 900)
	for range n {
		began := time.Now()
		if err := m.db.Commit(ctx, m.batch()); err != nil {
			return err
		}
		m.commit = append(m.commit, time.Since(began))
		began = time.Now()
		if _, err := m.file.Write(raw); err != nil {
			return err
		}
		if err := m.file.Sync(); err != nil {
			return err
		}
		m.sync = append(m.sync, time.Since(began))
		trip, err := b.trip(ctx, frame)
		if err != nil {
			return err
		}
		m.trip = append(m.trip, trip)
		m.signatures()
	}
	return nil
}

// batch is what a turn commits for one FLASH: an entry, its body, the log's
// state and head, and the move.
func (m *limits) batch() *record.Batch {
	log := line.Log{Party: 0, Gen: 1}
	p := line.Pos{Log: log, Seq: m.size}
	m.size++
	return &record.Batch{
		Line: line.ID{1},
		Entries: []record.Entry{{SignedEntry: wire.SignedEntry{Pos: p, Leaf: make([]byte, flashLeaf)},
			LeafHash: line.Hash{byte(m.size)}, Rank: m.size, Received: int64(m.size), Urgent: true}},
		Bodies: []record.Body{{Pos: p, Kind: wire.KindMessage, Precedence: line.Flash, Number: m.size, Segment: 1, Box: make([]byte, flashBox)}},
		Logs:   []record.Log{{Log: log, Tree: make([]byte, 400), Size: m.size}},
		Heads:  []record.Head{{Head: wire.Head{Log: log, Size: m.size}}},
		Meta:   map[string][]byte{"number": make([]byte, 8)},
		Move:   &record.Move{Log: log, From: m.size - 1, To: m.size},
	}
}

func (m *limits) signatures() {
	msg := make([]byte, 87)
	var sig []byte
	began := time.Now()
	for range signBatch {
		sig = ed25519.Sign(m.priv, msg)
	}
	m.sign = append(m.sign, time.Since(began)/signBatch)
	began = time.Now()
	for range signBatch {
		ed25519.Verify(m.pub, msg, sig)
	}
	m.verify = append(m.verify, time.Since(began)/signBatch)
}

// rate is verifications a second: as the clock counts, and for each second of
// processor time.
type rate struct{ wall, cpu float64 }

// verifyRate returns how fast all cores verify Ed25519 signatures.
func verifyRate(d time.Duration) (rate, error) {
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		return rate{}, err
	}
	msg := make([]byte, 87)
	sig := ed25519.Sign(priv, msg)
	counts := make([]int, runtime.GOMAXPROCS(0))
	cpu, began := processorTime(), time.Now()
	var wg sync.WaitGroup
	for i := range counts {
		wg.Go(func() {
			for time.Since(began) < d {
				for range 16 {
					ed25519.Verify(pub, msg, sig)
				}
				counts[i] += 16
			}
		})
	}
	wg.Wait()
	took, used := time.Since(began).Seconds(), (processorTime() - cpu).Seconds()
	total := 0.0
	for _, n := range counts {
		total += float64(n)
	}
	r := rate{wall: total / took}
	if used > 0 {
		r.cpu = total / used
	}
	return r, nil
}
