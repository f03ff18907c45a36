package keys

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"filippo.io/mldsa"

	"herald/internal/line"
)

const cardHead = "herald-card/1"

// Text returns the card's canonical text: what the root signs. Lists are
// brought into their canonical order.
func (c *Card) Text() string {
	var b strings.Builder
	row := func(f ...string) { b.WriteString(strings.Join(f, " ") + "\n") }
	row(cardHead)
	row("party", string(c.Party))
	row("name", c.Name)
	row("languages", strings.Join(c.Languages, " "))
	row("version", strconv.FormatUint(uint64(c.Version), 10))
	row("issued", formatTime(c.Issued))
	row("root-ed25519", b64(c.Root.Ed25519[:]))
	row("root-ml-dsa-65", b64(c.Root.MLDSA65[:]))
	for _, g := range slices.SortedFunc(slices.Values(c.Generations), byGen) {
		row("generation", strconv.FormatUint(uint64(g.Gen), 10), g.Station, formatTime(g.From), formatTime(g.Until))
		row("log", b64(g.Log))
		row("delivery", b64(g.Delivery))
		row("tls", b64(g.TLS))
		row("receive", b64(g.Receive))
	}
	for _, o := range slices.SortedFunc(slices.Values(c.Officers), byNumber) {
		f := []string{"officer", string(o.Code), formatTime(o.From), formatTime(o.Until), b64(o.Key)}
		if !o.Revoked.IsZero() {
			f = append(f, "revoked", formatTime(o.Revoked))
		}
		row(f...)
	}
	for _, x := range slices.SortedFunc(slices.Values(c.Closings), byLog) {
		row("closing", x.Line.String(), strconv.FormatUint(uint64(x.Gen), 10), strconv.FormatUint(x.Size, 10), x.Root.String())
	}
	return b.String()
}

func byGen(a, b Generation) int     { return cmp.Compare(a.Gen, b.Gen) }
func byNumber(a, b OfficerCert) int { return cmp.Compare(a.Number, b.Number) }
func byLog(a, b Closing) int {
	return cmp.Or(bytes.Compare(a.Line[:], b.Line[:]), cmp.Compare(a.Gen, b.Gen))
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// ParseCardText reads a card's text, unsigned, and accepts only what Text
// writes for a card that keeps the rules of spec 01 §6.
func ParseCardText(text string) (*Card, error) {
	if len(text) > MaxCard {
		return nil, tooLarge(len(text))
	}
	r := newRows(text)
	c := &Card{}
	if got := r.line(); got != cardHead {
		return nil, fmt.Errorf("not a party card: its first line is not %q", cardHead)
	}
	c.Party = line.Party(r.value("party"))
	c.Name = r.value("name")
	c.Languages = strings.Split(r.value("languages"), " ")
	c.Version = uint32(r.number(r.value("version"), 32))
	c.Issued = r.time(r.value("issued"))
	copy(c.Root.Ed25519[:], r.key(r.value("root-ed25519"), len(c.Root.Ed25519)))
	copy(c.Root.MLDSA65[:], r.key(r.value("root-ml-dsa-65"), mldsa.MLDSA65PublicKeySize))
	for r.next("generation") {
		c.Generations = append(c.Generations, r.generation())
	}
	for r.next("officer") {
		c.Officers = append(c.Officers, r.officer())
	}
	for r.next("closing") {
		c.Closings = append(c.Closings, r.closing())
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("card of %s: %w", c.Party, err)
	}
	if c.Text() != text {
		return nil, fmt.Errorf("card of %s: not in canonical form: an order, a spacing or a number is written otherwise than the specification says", c.Party)
	}
	return c, nil
}

func (r *rows) generation() Generation {
	f := r.fields("generation", 4, 4)
	g := Generation{Gen: line.Generation(r.number(f[0], 32)), Station: f[1], From: r.time(f[2]), Until: r.time(f[3])}
	g.Log = r.key(r.value("log"), 32)
	g.Delivery = r.key(r.value("delivery"), 32)
	g.TLS = r.key(r.value("tls"), 32)
	g.Receive = r.key(r.value("receive"), ReceiveSize)
	return g
}

func (r *rows) officer() OfficerCert {
	f := r.fields("officer", 4, 6)
	o := OfficerCert{Code: line.Officer(f[0]), From: r.time(f[1]), Until: r.time(f[2]), Key: r.key(f[3], 32)}
	var err error
	if _, o.Role, o.Number, err = ParseOfficer(o.Code); err != nil {
		r.fail(err)
	}
	if len(f) > 4 {
		if len(f) != 6 || f[4] != "revoked" {
			r.fail(fmt.Errorf("want \"revoked\" and a time"))
		} else {
			o.Revoked = r.time(f[5])
		}
	}
	return o
}

func (r *rows) closing() Closing {
	f := r.fields("closing", 4, 4)
	x := Closing{Gen: line.Generation(r.number(f[1], 32)), Size: r.number(f[2], 64)}
	l, err := hex.DecodeString(f[0])
	root, err2 := hex.DecodeString(f[3])
	if err != nil || err2 != nil || len(l) != 32 || len(root) != 32 {
		r.fail(fmt.Errorf("want a line and a root of 64 hexadecimal digits"))
	}
	copy(x.Line[:], l)
	copy(x.Root[:], root)
	return x
}
