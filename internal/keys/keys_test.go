package keys

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"herald/internal/line"
)

// seeded is a reproducible source of "randomness".
type seeded struct {
	name string
	n    uint64
	buf  []byte
}

func (s *seeded) Read(p []byte) (int, error) {
	for len(s.buf) < len(p) {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.name), s.n))
		s.n++
		s.buf = append(s.buf, sum[:]...)
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func testRoot(t testing.TB, p line.Party) *Root {
	return must[*Root](t)(NewRoot(&seeded{name: "root " + string(p)}, p))
}

func testStation(t testing.TB, p line.Party, g line.Generation) *Station {
	r := &seeded{name: fmt.Sprintf("station %s %d", p, g)}
	return must[*Station](t)(NewStation(r, p, "nmcc", g))
}

func testOfficer(t testing.TB, p line.Party, role Role, n int) *Officer {
	r := &seeded{name: fmt.Sprintf("officer %s %d", p, n)}
	return must[*Officer](t)(NewOfficer(r, p, role, n))
}

func day(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }

// testCard is a card with two generations, three officers and a closing.
func testCard(t testing.TB) (*Card, *Root) {
	root := testRoot(t, "US")
	c := &Card{
		Party: "US", Name: "United States, National Military Command Center",
		Languages: []string{"en", "es"}, Version: 3, Issued: day(100), Root: root.Public(),
		Closings: []Closing{{Line: line.ID{9}, Gen: 1, Size: 598, Root: line.Hash{7}}},
	}
	for g := line.Generation(1); g <= 2; g++ {
		s := testStation(t, "US", g)
		c.Generations = append(c.Generations, must[Generation](t)(s.Certify(day(100*int(g-1)), day(500))))
	}
	for i, r := range []Role{RoleWatch, RoleRelease, RolePrincipal} {
		c.Officers = append(c.Officers, testOfficer(t, "US", r, i+1).Certify(day(0), day(365)))
	}
	c.Officers[2].Revoked = day(90)
	return c, root
}

func TestCardRoundTrip(t *testing.T) {
	c, root := testCard(t)
	msg := must[[]byte](t)(SignCard(c, root))
	got := must[*Card](t)(ParseCard(msg))
	if got.Text() != c.Text() || got.Hash() != c.Hash() {
		t.Error("the card changed on the way")
	}
	if again := must[[]byte](t)(SignCard(c, root)); !bytes.Equal(again, msg) {
		t.Error("one card has two notes")
	}
	g, ok := got.Current()
	if !ok || g.Gen != 2 {
		t.Errorf("current generation %d", g.Gen)
	}
	if o, ok := got.OfficerByCode("us-release-2"); !ok || o.Number != 10 || o.Role != RoleRelease {
		t.Errorf("got %v, %v", o, ok)
	}
	if _, ok := got.OfficerByCode("us-watch-2"); ok {
		t.Error("an officer was found under another role")
	}
	if x, ok := got.Closing(line.ID{9}, 1); !ok || x.Size != 598 {
		t.Errorf("got %v, %v", x, ok)
	}
}

func TestCardListsMayComeInAnyOrder(t *testing.T) {
	c, root := testCard(t)
	want := c.Text()
	c.Generations[0], c.Generations[1] = c.Generations[1], c.Generations[0]
	c.Officers[0], c.Officers[2] = c.Officers[2], c.Officers[0]
	if c.Text() != want {
		t.Error("the text depends on the order of lists")
	}
	must[[]byte](t)(SignCard(c, root))
}

func TestCardNeedsBothSignatures(t *testing.T) {
	c, root := testCard(t)
	msg := string(must[[]byte](t)(SignCard(c, root)))
	head, sigs, _ := strings.Cut(msg, "\n\n")
	lines := strings.SplitAfter(sigs, "\n")
	stranger := testRoot(t, "CN")
	foreign := must[[]byte](t)(SignNote(c.Text(), nil, stranger))
	_, foreignSigs, _ := strings.Cut(string(foreign), "\n\n")
	for name, s := range map[string]string{
		"Ed25519 alone":        lines[0],
		"ML-DSA alone":         lines[1],
		"other order":          lines[1] + lines[0],
		"one twice":            lines[0] + lines[1] + lines[1],
		"a stranger as well":   lines[0] + lines[1] + foreignSigs,
		"only a stranger":      foreignSigs,
		"a changed Ed25519":    flip(lines[0]) + lines[1],
		"a changed ML-DSA":     lines[0] + flip(lines[1]),
		"unused base64 bits":   looseEnd(lines[0]) + lines[1],
		"without an end":       strings.TrimSuffix(lines[0]+lines[1], "\n"),
		"none":                 "",
		"none, no blank line ": "\x00",
	} {
		if _, err := ParseCard([]byte(head + "\n\n" + s)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ParseCard([]byte(strings.Replace(msg, "National", "national", 1))); err == nil {
		t.Error("a changed text was accepted")
	}
}

// flip changes one bit in the middle of a signature line's base64.
func flip(s string) string {
	b := []byte(s)
	i := len(b) / 2
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// looseEnd sets a bit of the last base64 digit that stands for no byte.
func looseEnd(s string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	i := strings.IndexByte(s, '=') - 1
	return s[:i] + string(digits[strings.IndexByte(digits, s[i])|1]) + s[i+1:]
}

func TestSignCardRefusesAnotherRoot(t *testing.T) {
	c, _ := testCard(t)
	if _, err := SignCard(c, testRoot(t, "CN")); err == nil {
		t.Error("signed by another party's root")
	}
}

// The Ed25519 line is a standard note signature, which foreign tools verify.
func TestNoteIsStandard(t *testing.T) {
	root := testRoot(t, "US")
	msg := must[[]byte](t)(SignNote("a text\n", nil, root))
	pub := root.Public()
	vkey := must[string](t)(note.NewEd25519VerifierKey("herald/us", pub.Ed25519[:]))
	v := must[note.Verifier](t)(note.NewVerifier(vkey))
	n := must[*note.Note](t)(note.Open(msg, note.VerifierList(v)))
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 1 {
		t.Errorf("%d verified, %d unknown; want 1 and 1", len(n.Sigs), len(n.UnverifiedSigs))
	}
}

func TestOpenNoteAmongOthers(t *testing.T) {
	us, cn := testRoot(t, "US"), testRoot(t, "CN")
	msg := must[[]byte](t)(SignNote("a text\n", nil, us))
	text, sigs, err := SplitNote(msg)
	if err != nil {
		t.Fatal(err)
	}
	msg = must[[]byte](t)(SignNote(text, sigs, cn))
	for _, r := range []*Root{us, cn} {
		if text := must[string](t)(OpenNote(msg, r.Public(), r.Party)); text != "a text\n" {
			t.Errorf("got %q", text)
		}
	}
	if _, err := OpenNote(msg, us.Public(), "CN"); !errors.Is(err, ErrNotSigned) {
		t.Errorf("another party's name: %v", err)
	}
	if _, err := OpenNote(msg, testRoot(t, "RU").Public(), "RU"); !errors.Is(err, ErrNotSigned) {
		t.Errorf("a party that did not sign: %v", err)
	}
	if _, err := OpenNote(make([]byte, MaxNote+1), us.Public(), "US"); err == nil {
		t.Error("no limit")
	}
}

func TestCheckSuccessor(t *testing.T) {
	next := func(change func(c *Card)) *Card {
		c, _ := testCard(t)
		c.Version++
		change(c)
		return c
	}
	old, _ := testCard(t)
	good := map[string]*Card{
		"nothing": next(func(*Card) {}),
		"more": next(func(c *Card) {
			c.Generations = append(c.Generations, must[Generation](t)(testStation(t, "US", 3).Certify(day(1), day(2))))
			c.Officers = append(c.Officers, testOfficer(t, "US", RoleWatch, 4).Certify(day(0), day(9)))
			c.Closings = append(c.Closings, Closing{Line: line.ID{9}, Gen: 2, Size: 1})
		}),
		"revoked":         next(func(c *Card) { c.Officers[0].Revoked = day(5) }),
		"revoked earlier": next(func(c *Card) { c.Officers[2].Revoked = day(5) }),
		"renewed":         next(func(c *Card) { c.Officers[0].Until = day(999) }),
	}
	for name, c := range good {
		if err := CheckSuccessor(old, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := map[string]*Card{
		"same version":     next(func(c *Card) { c.Version-- }),
		"other party":      next(func(c *Card) { c.Party = "CN" }),
		"other root":       next(func(c *Card) { c.Root.MLDSA65[0] ^= 1 }),
		"issued before":    next(func(c *Card) { c.Issued = day(99) }),
		"generation gone":  next(func(c *Card) { c.Generations = c.Generations[1:] }),
		"generation key":   next(func(c *Card) { c.Generations[0].Log = c.Generations[1].Log }),
		"generation until": next(func(c *Card) { c.Generations[0].Until = day(499) }),
		"officer gone":     next(func(c *Card) { c.Officers = c.Officers[1:] }),
		"officer key":      next(func(c *Card) { c.Officers[0].Key = c.Officers[1].Key }),
		"officer role":     next(func(c *Card) { c.Officers[0].Code = "us-auditor-1" }),
		"unrevoked":        next(func(c *Card) { c.Officers[2].Revoked = time.Time{} }),
		"revoked later":    next(func(c *Card) { c.Officers[2].Revoked = day(91) }),
		"closing gone":     next(func(c *Card) { c.Closings = nil }),
		"closing moved":    next(func(c *Card) { c.Closings[0].Size++ }),
	}
	for name, c := range bad {
		if err := CheckSuccessor(old, c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	two, _ := testCard(t)
	two.Generations = two.Generations[1:]
	if err := CheckSuccessor(two, next(func(*Card) {})); err == nil {
		t.Error("a generation below the current one was added")
	}
}

func TestCardWarnings(t *testing.T) {
	c, _ := testCard(t)
	month := 30 * 24 * time.Hour
	for _, x := range []struct {
		now  time.Time
		want []string
	}{
		{day(300), nil},
		{day(340), []string{"us-watch-1 will expire", "us-release-2 will expire"}},
		{day(480), []string{"generation 2, will expire", "us-watch-1 expired", "us-release-2 expired"}},
	} {
		got := c.Warnings(x.now, month)
		if len(got) != len(x.want) {
			t.Fatalf("%v: got %q", x.now, got)
		}
		for i := range got {
			if !strings.Contains(got[i], x.want[i]) {
				t.Errorf("got %q, want %q in it", got[i], x.want[i])
			}
		}
	}
}

func TestOfficerValidAt(t *testing.T) {
	o := OfficerCert{From: day(1), Until: day(10), Revoked: day(5)}
	for n, want := range map[int]bool{0: false, 1: true, 4: true, 5: false, 11: false} {
		if o.ValidAt(day(n)) != want {
			t.Errorf("day %d: want %v", n, want)
		}
	}
	o.Revoked = time.Time{}
	if !o.ValidAt(day(9)) || o.ValidAt(day(10)) {
		t.Error("not valid from From until Until")
	}
}

func TestKeyFiles(t *testing.T) {
	root, st, of := testRoot(t, "US"), testStation(t, "US", 2), testOfficer(t, "US", RoleWatch, 7)
	const pass, work = "a long winter", MinWorkFactor
	rf := must[[]byte](t)(EncryptRoot(root, pass, work))
	sf := must[[]byte](t)(EncryptStation(st, pass, work))
	of2 := must[[]byte](t)(EncryptOfficer(of, pass, work))

	r2 := must[*Root](t)(DecryptRoot(rf, pass))
	if r2.Party != "US" || r2.Public() != root.Public() {
		t.Error("the root changed")
	}
	s2 := must[*Station](t)(DecryptStation(sf, pass))
	if s2.Name != "nmcc" || s2.Gen != 2 || !s2.Log.Equal(st.Log) || !s2.Delivery.Equal(st.Delivery) ||
		!s2.TLS.Equal(st.TLS) || s2.Receive != st.Receive || s2.Archive != st.Archive {
		t.Error("the station changed")
	}
	o2 := must[*Officer](t)(DecryptOfficer(of2, pass))
	if o2.Code() != "us-watch-7" || !o2.Key.Equal(of.Key) {
		t.Error("the officer changed")
	}
	if !IsRootFile(rf[:16]) || IsRootFile(sf) || IsRootFile(of2) || IsRootFile(nil) {
		t.Error("IsRootFile is wrong")
	}
	if kind, owner, ok := FileOwner(sf); kind != "station" || owner != "US nmcc 2" || !ok {
		t.Errorf("got %q, %q, %v", kind, owner, ok)
	}
	if _, err := DecryptRoot(rf, "a long summer"); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := DecryptRoot(sf, pass); !errors.Is(err, ErrKeyFile) {
		t.Errorf("another kind: %v", err)
	}
	lie := bytes.Replace(rf, []byte("US"), []byte("CN"), 1)
	if _, err := DecryptRoot(lie, pass); !errors.Is(err, ErrKeyFile) {
		t.Errorf("changed clear line: %v", err)
	}
	at := len(rf) - 60
	rf[at] ^= 1
	if _, err := DecryptRoot(rf, pass); err == nil || errors.Is(err, ErrPassphrase) {
		t.Errorf("damaged file: %v", err)
	}
}

func TestKeyFileBounds(t *testing.T) {
	of := testOfficer(t, "US", RoleWatch, 7)
	for _, w := range []int{-1, 9, 21} {
		if _, err := EncryptOfficer(of, "x", w); err == nil {
			t.Errorf("work factor %d was accepted", w)
		}
	}
	if _, err := EncryptOfficer(of, "", 10); err == nil {
		t.Error("an empty passphrase was accepted")
	}
	if _, err := DecryptOfficer(make([]byte, MaxKeyFile+1), "x"); !errors.Is(err, ErrKeyFile) {
		t.Errorf("no limit: %v", err)
	}
	heavy := "herald-officer/1 US us-watch-7\n" + heavyAge
	if _, err := DecryptOfficer([]byte(heavy), "x"); !errors.Is(err, ErrKeyFile) || !strings.Contains(err.Error(), "work factor") {
		t.Errorf("a file that takes 2^21 scrypt rounds: %v", err)
	}
}

// heavyAge is an age header with work factor 21; its MAC is never looked at.
const heavyAge = `-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBBQUFBQUFBQUFBQUFBQUFB
QUFBQUFBIDIxCkFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB
QUFBQUEKLS0tIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB
QUFBQUEK
-----END AGE ENCRYPTED FILE-----
`

func TestSecretsAreNotPrinted(t *testing.T) {
	st, of, root := testStation(t, "US", 1), testOfficer(t, "US", RoleWatch, 7), testRoot(t, "US")
	out := fmt.Sprintf("%v %v %s %v", *st, *of, st, root)
	for _, s := range [][]byte{st.Log.Seed(), of.Key.Seed(), st.Archive[:], root.ed[:]} {
		if strings.Contains(out, fmt.Sprint(s[:8])[1:10]) {
			t.Errorf("a secret was printed: %s", out)
		}
	}
}

func TestReceiveKeyIsThePublicOfTheSeed(t *testing.T) {
	st := testStation(t, "US", 1)
	g := must[Generation](t)(st.Certify(day(0), day(1)))
	priv := must[hpke.PrivateKey](t)(hpke.MLKEM768X25519().NewPrivateKey(st.Receive[:]))
	pub := must[hpke.PublicKey](t)(hpke.MLKEM768X25519().NewPublicKey(g.Receive))
	aead, kdf := hpke.AES256GCM(), hpke.HKDFSHA256()
	box := must[[]byte](t)(hpke.Seal(pub, kdf, aead, nil, []byte("x")))
	if got := must[[]byte](t)(hpke.Open(priv, kdf, aead, nil, box)); string(got) != "x" {
		t.Errorf("got %q", got)
	}
}

func TestFailingRandomness(t *testing.T) {
	short := func() io.Reader { return strings.NewReader("not enough") }
	if _, err := NewRoot(short(), "US"); err == nil {
		t.Error("root")
	}
	if _, err := NewStation(short(), "US", "a", 1); err == nil {
		t.Error("station")
	}
	if _, err := NewOfficer(short(), "US", RoleWatch, 1); err == nil {
		t.Error("officer")
	}
}
