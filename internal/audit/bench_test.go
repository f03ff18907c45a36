package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"runtime"
	"testing"

	"herald/internal/audit"
	"herald/internal/audit/audittest"
)

func benchmark(b *testing.B, n int, deep bool) {
	var file bytes.Buffer
	ok(b, audittest.Synthesize(&file, n))
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		r, err := audit.Run(b.Context(), bytes.NewReader(file.Bytes()), audit.Options{Deep: deep})
		if err != nil || !r.Sound || r.Ranked != uint64(n) {
			b.Fatal(err, r)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkAudit(b *testing.B)     { benchmark(b, 200_000, false) }
func BenchmarkAuditDeep(b *testing.B) { benchmark(b, 100_000, true) }

// BenchmarkVerify is the machine's own limit, on all cores.
func BenchmarkVerify(b *testing.B) {
	pub, priv, _ := ed25519.GenerateKey(nil)
	msg := make([]byte, 87)
	sig := ed25519.Sign(priv, msg)
	b.SetParallelism(1)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if !ed25519.Verify(pub, msg, sig) {
				b.Error("a good signature is refused")
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verifications/s")
	b.ReportMetric(float64(runtime.GOMAXPROCS(0)), "cores")
}
