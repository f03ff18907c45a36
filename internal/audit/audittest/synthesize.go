package audittest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"

	"herald/internal/audit"
	"herald/internal/line"
	"herald/internal/seal"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// Batch is the number of entries under one head of a synthesized record.
const Batch = 64

// Synthesize writes the record of a line of two parties with n small entries,
// half of them each's: sealed service messages in epochs of 255 keys, a signed
// and cosigned head every Batch entries, true signatures throughout, and no
// message keys. It streams, and takes about one Ed25519 signature per entry of
// all cores.
func Synthesize(w io.Writer, n int) error {
	world, err := New(1, nil, "US", "CN")
	if err != nil {
		return err
	}
	x := audit.NewWriter(w, world.Meta())
	for p := range world.Parties {
		s := synth{world: world, party: p, log: line.Log{Party: p, Gen: 1}, rand: rand.NewChaCha8([32]byte{2, byte(p)})}
		s.id = line.NewLogID(world.Line, world.Parties[p].Code, 1)
		s.size, s.other = share(n, p), share(n, 1-p)
		if err := s.write(x); err != nil {
			return err
		}
	}
	return x.Close()
}

func share(n, party int) uint64 { return uint64(n+1-party) / 2 }

// synth writes one log of a synthesized record.
type synth struct {
	world       *World
	party       int
	log         line.Log
	id          line.LogID
	rand        *rand.ChaCha8
	size, other uint64 // entries of this log, and of the other one
	epoch       *seal.Epoch
	tree        tlog.Tree
}

// job is one entry that waits for its signature.
type job struct {
	seq  uint64
	leaf []byte
	hash line.Hash
	sig  [64]byte
}

// stretch is how many entries are signed at a time.
const stretch = 64 * Batch

func (s *synth) write(x *audit.Writer) error {
	// The heads must be known when the log is begun, so it is made twice: once
	// for its heads, then, from the same randomness, for its signatures.
	signed, err := s.heads()
	if err != nil {
		return err
	}
	if err := x.Log(s.log, signed); err != nil {
		return err
	}
	s.rand.Seed([32]byte{2, byte(s.party)})
	for from := uint64(0); from < s.size; from += stretch {
		jobs, err := s.jobs(from, min(from+stretch, s.size))
		if err != nil {
			return err
		}
		s.parallel(jobs, func(j *job) {
			j.sig = tlog.SignEntry(s.world.Parties[s.party].Stations[0].Log, s.id, j.seq, tlog.LeafHash(j.leaf))
		})
		for _, j := range jobs {
			if err := x.Entry(j.sig, j.leaf); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *synth) heads() (audit.Statements, error) {
	var st audit.Statements
	author, peer := s.world.Parties[s.party].Stations[0], s.world.Parties[1-s.party].Stations[0]
	for from := uint64(0); from < s.size; from += stretch {
		jobs, err := s.jobs(from, min(from+stretch, s.size))
		if err != nil {
			return st, err
		}
		s.parallel(jobs, func(j *job) { j.hash = tlog.LeafHash(j.leaf) })
		for _, j := range jobs {
			s.tree.Append(j.hash)
			if n := s.tree.Size(); n%Batch != 0 && n != s.size {
				continue
			}
			h := s.tree.Head()
			st.Heads = append(st.Heads, wire.Head{Log: s.log, Size: h.Size, Root: h.Root, Sig: tlog.SignHead(author.Log, s.id, h)})
			st.Cosigs = append(st.Cosigs, wire.Cosig{
				Log: s.log, Size: h.Size, Signer: line.Log{Party: 1 - s.party, Gen: 1}, Time: Start + h.Size,
				Sig: tlog.Cosign(peer.Delivery, s.id, h, Start+h.Size),
			})
		}
	}
	return st, nil
}

// jobs makes the leaves from seq from to before to.
func (s *synth) jobs(from, to uint64) ([]job, error) {
	out := make([]job, 0, to-from)
	for seq := from; seq < to; seq++ {
		after := []wire.Mark{{Gen: 1, Size: s.seen(seq)}}
		if seq%(seal.EpochKeys+1) == 0 {
			ep, body, err := newEpoch(s.rand, s.id, seq, s.party, 2)
			if err != nil {
				return nil, err
			}
			s.epoch = ep
			out = append(out, job{seq: seq, leaf: wire.Marshal(wire.Entry{Time: Start + seq, Body: wire.Marshal(body), After: after})})
			continue
		}
		i := seq - s.epoch.Base()
		mk, err := s.epoch.Key(int(i))
		if err != nil {
			return nil, err
		}
		in := wire.Inner{Kind: wire.KindService, Content: wire.Marshal(wire.Message{Text: fmt.Appendf(nil, "line test %d", seq)})}
		out = append(out, job{seq: seq, leaf: sealed(s.id, seq, uint8(i), mk, Start+seq, after, wire.Marshal(in))})
	}
	return out, nil
}

// seen is how much of the other log this one's entry names: the parties take
// turns, a batch each.
func (s *synth) seen(seq uint64) uint64 {
	return min(s.other, (seq/Batch+uint64(s.party))*Batch)
}

func (s *synth) parallel(jobs []job, do func(*job)) {
	var wg sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for w := range n {
		wg.Go(func() {
			for i := w; i < len(jobs); i += n {
				do(&jobs[i])
			}
		})
	}
	wg.Wait()
}
