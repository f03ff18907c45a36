package keys

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"herald/internal/line"
)

const vectorFile = "../../spec/vectors/01-identity.txtar"

// vectors reads the chapter's vectors; with HERALD_WRITE_VECTORS set they are
// first written anew from this code.
func vectors(t *testing.T) map[string]string {
	t.Helper()
	if os.Getenv("HERALD_WRITE_VECTORS") != "" {
		if err := os.WriteFile(vectorFile, writeVectors(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := txtar.ParseFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]string)
	for _, f := range a.Files {
		m[f.Name] = string(f.Data)
	}
	return m
}

// secretOf reads the content of a key file, given in clear.
func secretOf(t *testing.T, text string) ([]string, *rows) {
	t.Helper()
	r := newRows(text)
	f := strings.Split(r.line(), " ")
	return f[1:], r
}

func TestVectorCard(t *testing.T) {
	v := vectors(t)
	us := must[*Root](t)(readRoot(secretOf(t, v["root-us.secret"])))
	cn := must[*Root](t)(readRoot(secretOf(t, v["root-cn.secret"])))
	st := must[*Station](t)(readStation(secretOf(t, v["station-us-1.secret"])))
	of := must[*Officer](t)(readOfficer(secretOf(t, v["officer-us-watch-1.secret"])))

	hash := us.Public().Hash()
	if got := hex.EncodeToString(hash[:]) + "\n"; got != v["root-us.hash"] {
		t.Errorf("root hash %s", got)
	}
	if got := strings.Join(SafetyWords(us.Public(), cn.Public()), " ") + "\n"; got != v["safety-words"] {
		t.Errorf("safety words %s", got)
	}
	c := must[*Card](t)(ParseCardText(v["card.text"]))
	if c.Root != us.Public() || !c.Generations[0].Log.Equal(st.Log.Public()) || !c.Officers[0].Key.Equal(of.Key.Public()) {
		t.Error("the card does not hold these keys")
	}
	g := must[Generation](t)(st.Certify(c.Generations[0].From, c.Generations[0].Until))
	if !g.equal(c.Generations[0]) {
		t.Error("the station's public keys are others")
	}
	if got := string(must[[]byte](t)(SignCard(c, us))); got != v["card.note"] {
		t.Error("the signed card is another one")
	}
	must[*Card](t)(ParseCard([]byte(v["card.note"])))
	hash = c.Hash()
	if got := hex.EncodeToString(hash[:]) + "\n"; got != v["card.hash"] {
		t.Errorf("card hash %s", got)
	}
}

// Each line "OLD => NEW" changes the card into one that must be refused.
func TestVectorBadCards(t *testing.T) {
	v := vectors(t)
	lines := strings.Split(strings.TrimSpace(v["card.refused"]), "\n")
	if len(lines) < 10 {
		t.Fatalf("only %d cases", len(lines))
	}
	for _, l := range lines {
		old, repl, ok := strings.Cut(l, " => ")
		old, repl = unescape(old), unescape(repl)
		if !ok || !strings.Contains(v["card.text"], old) {
			t.Fatalf("case %q does not apply", l)
		}
		if _, err := ParseCardText(strings.Replace(v["card.text"], old, repl, 1)); err == nil {
			t.Errorf("accepted: %s", l)
		}
	}
}

func unescape(s string) string {
	return strings.NewReplacer(`\n`, "\n", `\u202e`, "\u202e", `\s`, " ").Replace(s)
}

func TestVectorKeyFile(t *testing.T) {
	v := vectors(t)
	of := must[*Officer](t)(DecryptOfficer([]byte(v["officer-us-watch-1.key"]), strings.TrimSuffix(v["passphrase"], "\n")))
	want := must[*Officer](t)(readOfficer(secretOf(t, v["officer-us-watch-1.secret"])))
	if of.Code() != want.Code() || !of.Key.Equal(want.Key) {
		t.Error("another officer")
	}
}

func TestVectorRelease(t *testing.T) {
	v := vectors(t)
	of := must[*Officer](t)(readOfficer(secretOf(t, v["officer-us-watch-1.secret"])))
	st := vectorStatement(t)
	if got := hex.EncodeToString(st) + "\n"; got != v["release.statement"] {
		t.Errorf("statement %s", got)
	}
	b := AppendRelease(nil, of.Number, of.Sign(st))
	if got := hex.EncodeToString(b) + "\n"; got != v["release.block"] {
		t.Errorf("block %s", got)
	}
}

// vectorStatement is the statement that the vector file describes in words.
func vectorStatement(t *testing.T) []byte {
	l := must[line.ID](t)(line.ParseID(strings.Repeat("11", 32)))
	var content [32]byte
	for i := range content {
		content[i] = 0x22
	}
	return ReleaseStatement(l, 1, "US", 1767225600, line.Flash, line.Exercise, content)
}

func writeVectors(t *testing.T) []byte {
	c, us := testCard(t)
	cn, st := testRoot(t, "CN"), testStation(t, "US", 1)
	of := testOfficer(t, "US", RoleWatch, 1)
	var a txtar.Archive
	a.Comment = []byte(vectorComment)
	add := func(name, data string) {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(strings.TrimSuffix(data, "\n") + "\n")})
	}
	hash, cardHash := us.Public().Hash(), c.Hash()
	rootText := func(r *Root) string {
		return "herald-root/1 " + string(r.Party) + "\ned25519 " + b64(r.ed[:]) + "\nml-dsa-65 " + b64(r.ml.Bytes())
	}
	add("root-us.secret", rootText(us))
	add("root-us.hash", hex.EncodeToString(hash[:]))
	add("root-cn.secret", rootText(cn))
	add("safety-words", strings.Join(SafetyWords(us.Public(), cn.Public()), " "))
	add("station-us-1.secret", "herald-station/1 US nmcc 1\nlog "+b64(st.Log.Seed())+"\ndelivery "+b64(st.Delivery.Seed())+
		"\ntls "+b64(st.TLS.Seed())+"\nreceive "+b64(st.Receive[:])+"\narchive "+b64(st.Archive[:]))
	add("officer-us-watch-1.secret", "herald-officer/1 US us-watch-1\ned25519 "+b64(of.Key.Seed()))
	add("passphrase", "a long winter")
	add("officer-us-watch-1.key", string(must[[]byte](t)(EncryptOfficer(of, "a long winter", MinWorkFactor))))
	add("card.text", c.Text())
	add("card.hash", hex.EncodeToString(cardHash[:]))
	add("card.note", string(must[[]byte](t)(SignCard(c, us))))
	add("card.refused", strings.Join(refusedCards, "\n"))
	st2 := vectorStatement(t)
	add("release.statement", hex.EncodeToString(st2))
	add("release.block", hex.EncodeToString(AppendRelease(nil, of.Number, of.Sign(st2))))
	return txtar.Format(&a)
}

const vectorComment = `Vectors for chapter 01. Secrets are the contents of key files (section 10);
all hashes and the release are in hexadecimal. card.note is card.text signed by
the root of US. Each line "OLD => NEW" of card.refused, applied once to
card.text, gives a card that must be refused (\n is a line feed, \s a space,
\u202e that character). The release statement is for line 0x11 × 32, charter
version 1, party US, time 1767225600, FLASH, EXERCISE, content hash 0x22 × 32;
release.block is the signature on it by us-watch-1.
`

// refusedCards break one rule each.
var refusedCards = []string{
	`herald-card/1 => herald-card/2`,
	`party US => party us`,
	`party US => party\s\sUS`,
	`name United => name\s\sUnited`,
	`name United => name \u202eUnited`,
	`languages en es => languages en en`,
	`languages en es => languages`,
	`languages en es => languages en es\s`,
	`version 3 => version 03`,
	`version 3 => version 0`,
	`version 3 => version 4294967296`,
	`T00:00:00Z => T00:00:00+00:00`,
	`T00:00:00Z => T00:00:00.0Z`,
	`generation 1 => generation 3`,
	`generation 1 => generation 0`,
	`generation 1 nmcc => generation 1 NMCC`,
	`us-watch-1 => us-watch-9`,
	`us-watch-1 => cn-watch-1`,
	`us-watch-1 => us-chief-1`,
	`officer us-watch-1 2026-01-01 => officer us-watch-1 2027-01-01`,
	`= revoked 2026 => = withdrawn 2026`,
	`\s1\s598 => \s7\s598`,
	`officer us-watch-1 => note unknown\nofficer us-watch-1`,
}
