package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"

	"herald/internal/line"
)

func TestReleases(t *testing.T) {
	st := ReleaseStatement(line.ID{1}, 1, "US", 1767225600, line.Flash, line.Exercise, [32]byte{2})
	a, b := testOfficer(t, "US", RoleWatch, 1), testOfficer(t, "US", RoleRelease, 38)
	buf := AppendRelease(nil, a.Number, a.Sign(st))
	buf = AppendRelease(buf, b.Number, b.Sign(st))
	if len(buf) != 1+64+2+64 {
		t.Errorf("%d bytes", len(buf))
	}
	got := must[[]Release](t)(ParseReleases(buf))
	if len(got) != 2 || got[0].Officer != 1 || got[1].Officer != 298 {
		t.Fatalf("got %v", got)
	}
	ca, cb := a.Certify(day(0), day(1)), b.Certify(day(0), day(1))
	if !got[0].Verify(ca, st) || !got[1].Verify(cb, st) {
		t.Error("a good release was refused")
	}
	if got[0].Verify(cb, st) || got[0].Verify(ca, append(st, 0)) {
		t.Error("a bad release was accepted")
	}
	swapped := got[0]
	swapped.Officer = 300
	if swapped.Verify(cb, st) {
		t.Error("a release under another officer's number was accepted")
	}
	if none, err := ParseReleases(nil); err != nil || none != nil {
		t.Errorf("got %v, %v", none, err)
	}
}

// Every field is bound, and no two fields can trade bytes.
func TestReleaseStatementBindsEverything(t *testing.T) {
	seen := map[string]int{}
	for i, s := range [][]byte{
		ReleaseStatement(line.ID{1}, 1, "US", 1, line.Flash, line.Real, [32]byte{2}),
		ReleaseStatement(line.ID{2}, 1, "US", 1, line.Flash, line.Real, [32]byte{2}),
		ReleaseStatement(line.ID{1}, 2, "US", 1, line.Flash, line.Real, [32]byte{2}),
		ReleaseStatement(line.ID{1}, 1, "CN", 1, line.Flash, line.Real, [32]byte{2}),
		ReleaseStatement(line.ID{1}, 1, "US", 2, line.Flash, line.Real, [32]byte{2}),
		ReleaseStatement(line.ID{1}, 1, "US", 1, line.Routine, line.Real, [32]byte{2}),
		ReleaseStatement(line.ID{1}, 1, "US", 1, line.Flash, line.Test, [32]byte{2}),
		ReleaseStatement(line.ID{1}, 1, "US", 1, line.Flash, line.Real, [32]byte{3}),
	} {
		if j, ok := seen[string(s)]; ok {
			t.Errorf("statements %d and %d are equal", i, j)
		}
		seen[string(s)] = i
	}
}

func TestParseReleasesRefuses(t *testing.T) {
	sig := make([]byte, 64)
	one := AppendRelease(nil, 1, sig)
	nine := []byte(nil)
	for i := range uint16(9) {
		nine = AppendRelease(nine, i+1, sig)
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"unknown scheme": {append([]byte{1<<2 | 1}, sig...), ErrUnknownScheme},
		"second unknown": {append(bytes.Clone(one), 2<<2|3), ErrUnknownScheme},
		"cut":            {one[:64], ErrReleases},
		"trailing":       {append(bytes.Clone(one), 0x80), ErrReleases},
		"number 0":       {append([]byte{0}, sig...), ErrReleases},
		"number 65536":   {append([]byte{0x80, 0x80, 0x10}, sig...), ErrReleases},
		"long number":    {append([]byte{0x84, 0x00}, sig...), ErrReleases},
		"twice":          {append(bytes.Clone(one), one...), ErrReleases},
		"nine":           {nine, ErrReleases},
	} {
		if _, err := ParseReleases(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := ParseReleases(nine[:8*65]); err != nil || len(got) != MaxReleases {
		t.Errorf("eight: %d, %v", len(got), err)
	}
}

func TestTLSCertificate(t *testing.T) {
	st := testStation(t, "US", 1)
	c := must[tls.Certificate](t)(TLSCertificate(st.TLS, "nmcc", day(0), day(9)))
	x := must[*x509.Certificate](t)(x509.ParseCertificate(c.Certificate[0]))
	if !x.PublicKey.(ed25519.PublicKey).Equal(st.TLS.Public()) || !x.NotAfter.Equal(day(9)) {
		t.Error("not this station's certificate")
	}
	if err := x.CheckSignature(x.SignatureAlgorithm, x.RawTBSCertificate, x.Signature); err != nil {
		t.Error(err)
	}
	again := must[tls.Certificate](t)(TLSCertificate(st.TLS, "nmcc", day(0), day(9)))
	if !bytes.Equal(again.Certificate[0], c.Certificate[0]) {
		t.Error("one key has two certificates")
	}
}
