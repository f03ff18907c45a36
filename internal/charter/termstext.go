package charter

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"herald/internal/keys"
	"herald/internal/line"
)

const firstLine = "herald-charter/1"

// text returns the terms' canonical text.
func (t Terms) text() string {
	var b strings.Builder
	row := func(format string, v ...any) { fmt.Fprintf(&b, format+"\n", v...) }
	row(firstLine)
	row("version %d", t.Version)
	if t.Version > 1 {
		row("line %x", t.Line[:])
		row("base %x", t.Base[:])
	}
	row("title %s", t.Title)
	for _, m := range t.Members {
		row("member %s %x %s", m.Party, m.Root[:], strings.Join(m.Languages, " "))
	}
	for _, p := range line.Precedences() {
		x := t.Precedences[p]
		row("precedence %s answer %d releasers %d roles %s words %d burst %d hourly %d",
			p, secs(x.Answer), x.Releasers, rolesText(x.Roles), x.Words, x.Burst, x.PerHour)
	}
	row("tiers %s", strings.Join(t.Tiers, " "))
	row("line-test every %d offset %d", secs(t.TestEvery), secs(t.TestOffset))
	row("epoch %d", secs(t.Epoch))
	row("retention-days %d", t.RetentionDays)
	row("entry-bytes %d", t.EntryBytes)
	row("quota-bytes %d", t.QuotaBytes)
	row("blob-bytes %d", t.BlobBytes)
	for _, f := range t.Forms {
		row("form %s %x", f.Name, f.Hash[:])
	}
	row("witnesses %d", t.Threshold)
	for _, w := range t.Witnesses {
		row("witness %s", w)
	}
	row("head-cadence %d", secs(t.HeadCadence))
	return b.String()
}

func secs(d time.Duration) int64 { return int64(d / time.Second) }

func rolesText(roles []keys.Role) string {
	var out []string
	for _, r := range keys.Roles() { // canonical order
		for _, x := range roles {
			if x == r {
				out = append(out, string(r))
			}
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ",")
}

// parseTerms reads lines in any order and spelling that it can make sense of;
// the caller compares with text(), which accepts only the canonical one.
func parseTerms(text string) (Terms, error) {
	p := termsParser{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != firstLine {
		return Terms{}, fmt.Errorf("not a charter: the first line is not %q", firstLine)
	}
	for i, l := range lines[1:] {
		key, value, _ := strings.Cut(l, " ")
		p.line(key, value)
		if p.err != nil {
			return Terms{}, fmt.Errorf("line %d, %q: %w", i+2, key, p.err)
		}
	}
	return p.t, nil
}

type termsParser struct {
	t   Terms
	err error
}

func (p *termsParser) line(key, value string) {
	f := strings.Split(value, " ")
	switch key {
	case "version":
		p.t.Version = uint32(p.number(value, 32))
	case "line":
		p.t.Line = p.hash(value)
	case "base":
		p.t.Base = p.hash(value)
	case "title":
		p.t.Title = value
	case "member":
		p.member(f)
	case "precedence":
		p.precedence(f)
	case "tiers":
		p.t.Tiers = f
	case "line-test":
		v := p.pairs(f, "every", "offset")
		p.t.TestEvery, p.t.TestOffset = p.seconds(v[0]), p.seconds(v[1])
	case "epoch":
		p.t.Epoch = p.seconds(value)
	case "retention-days":
		p.t.RetentionDays = uint32(p.number(value, 32))
	case "entry-bytes":
		p.t.EntryBytes = uint32(p.number(value, 32))
	case "quota-bytes":
		p.t.QuotaBytes = p.number(value, 64)
	case "blob-bytes":
		p.t.BlobBytes = p.number(value, 64)
	case "form":
		name, hash, _ := strings.Cut(value, " ")
		p.t.Forms = append(p.t.Forms, Form{name, p.hash(hash)})
	case "witnesses":
		p.t.Threshold = uint32(p.number(value, 32))
	case "witness":
		p.t.Witnesses = append(p.t.Witnesses, value)
	case "head-cadence":
		p.t.HeadCadence = p.seconds(value)
	default:
		p.fail(errors.New("unknown term"))
	}
}

func (p *termsParser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *termsParser) number(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		p.fail(fmt.Errorf("want a number of %d bits", bits))
	}
	return n
}

// seconds refuses what a Duration cannot hold before it could wrap around.
func (p *termsParser) seconds(s string) time.Duration {
	return time.Duration(p.number(s, 32)) * time.Second
}

func (p *termsParser) hash(s string) (h [32]byte) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		p.fail(errors.New("want 64 hexadecimal digits"))
		return h
	}
	copy(h[:], b)
	return h
}

// pairs returns the values of "name value" pairs.
func (p *termsParser) pairs(f []string, names ...string) []string {
	out := make([]string, len(names))
	if len(f) != 2*len(names) {
		p.fail(fmt.Errorf("want %s, each with a value", strings.Join(names, ", ")))
		return out
	}
	for i, n := range names {
		if f[2*i] != n {
			p.fail(fmt.Errorf("want %q", n))
		}
		out[i] = f[2*i+1]
	}
	return out
}

func (p *termsParser) member(f []string) {
	if len(f) < 3 {
		p.fail(errors.New("want a party, the hash of its root and its languages"))
		return
	}
	p.t.Members = append(p.t.Members, Member{line.Party(f[0]), p.hash(f[1]), f[2:]})
}

func (p *termsParser) precedence(f []string) {
	prec, err := line.ParsePrecedence(f[0])
	if err != nil {
		p.fail(err)
		return
	}
	v := p.pairs(f[1:], "answer", "releasers", "roles", "words", "burst", "hourly")
	x := PrecedenceTerms{
		Answer: p.seconds(v[0]), Releasers: int(p.number(v[1], 8)),
		Words: uint32(p.number(v[3], 32)), Burst: uint32(p.number(v[4], 32)), PerHour: uint32(p.number(v[5], 32)),
	}
	if v[2] != "none" {
		for _, s := range strings.Split(v[2], ",") {
			r, err := keys.ParseRole(s)
			if err != nil {
				p.fail(err)
			}
			x.Roles = append(x.Roles, r)
		}
	}
	p.t.Precedences[prec] = x
}

// checkWitness checks a note verifier key: NAME+HASH+KEY with an Ed25519 key
// of type 1 or, as witnesses publish it, 4 (cosignature/v1).
func checkWitness(vkey string) error {
	f := strings.SplitN(vkey, "+", 3)
	bad := fmt.Errorf("witness %q: want a note verifier key, name+hash+key, of an Ed25519 witness", vkey)
	if len(f) != 3 || f[0] == "" || strings.Contains(f[0], " ") || len(vkey) > 300 || keys.CheckLabel(vkey, 300) != nil {
		return bad
	}
	key, err := base64.StdEncoding.Strict().DecodeString(f[2])
	if err != nil || len(key) != 33 || key[0] != 1 && key[0] != 4 {
		return bad
	}
	sum := sha256.Sum256(append([]byte(f[0]+"\n"), key...))
	if fmt.Sprintf("%08x", binary.BigEndian.Uint32(sum[:])) != f[1] {
		return bad
	}
	return nil
}
