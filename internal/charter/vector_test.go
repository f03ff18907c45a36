package charter

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"herald/internal/keys"
	"herald/internal/line"
)

const vectorFile = "../../spec/vectors/02-charter.txtar"

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

func TestVectorCharter(t *testing.T) {
	v := vectors(t)
	c := must[*Charter](t)(Parse(v["charter.text"]))
	if got := c.Line().String() + "\n"; got != v["charter.line"] {
		t.Errorf("line %s", got)
	}
	known := map[line.Party]keys.RootPublic{}
	for _, m := range c.Members {
		known[m.Party] = root(t, m.Party).Public()
	}
	signed := must[*Charter](t)(Verify([]byte(v["charter.note"]), known))
	if signed.Text() != c.Text() {
		t.Error("the note is over another text")
	}
	two := must[*Charter](t)(Parse(v["amendment.text"]))
	if err := CheckAmendment(c, two); err != nil || two.Line() != c.Line() {
		t.Errorf("amendment: %v, line %s", err, two.Line())
	}
	if got := fmt.Sprintf("%x\n", two.Hash()); got != v["amendment.hash"] {
		t.Errorf("amendment hash %s", got)
	}
}

// The prose that this release writes is what signed charters were made of: a
// changed word would make RenderedExactly say no to them.
func TestVectorProse(t *testing.T) {
	v := vectors(t)
	c := must[*Charter](t)(Parse(v["charter-six-languages.text"]))
	if !c.RenderedExactly() || len(c.Sections()) != 6 {
		t.Error("this release renders the terms otherwise")
	}
}

// Each line "OLD => NEW" changes the charter into one that must be refused.
func TestVectorBadCharters(t *testing.T) {
	v := vectors(t)
	lines := strings.Split(strings.TrimSpace(v["charter.refused"]), "\n")
	if len(lines) < 10 {
		t.Fatalf("only %d cases", len(lines))
	}
	for _, l := range lines {
		old, repl, ok := strings.Cut(l, " => ")
		old, repl = unescape(old), unescape(repl)
		if !ok || !strings.Contains(v["charter.text"], old) {
			t.Fatalf("case %q does not apply", l)
		}
		if _, err := Parse(strings.Replace(v["charter.text"], old, repl, 1)); err == nil {
			t.Errorf("accepted: %s", l)
		}
	}
}

func unescape(s string) string {
	return strings.NewReplacer(`\n`, "\n", `\s`, " ", `\u202e`, "\u202e").Replace(s)
}

// Each line of versions: acts "PARTY:VERSION:TEXT[!]", then "=" and the
// versions in force; TEXT is a title in the list above, "!" an enactment.
func TestVectorVersions(t *testing.T) {
	v := vectors(t)
	first := must[*Charter](t)(Parse(v["charter.text"]))
	byTitle := map[string]*Charter{"two": amended(t, first, 2, "two"), "zwei": amended(t, first, 2, "zwei"), "three": amended(t, first, 3, "three")}
	byTitle["four"] = amended(t, byTitle["two"], 4, "four")
	var texts []*Charter
	for _, c := range byTitle {
		texts = append(texts, c)
	}
	for _, l := range strings.Split(strings.TrimSpace(v["versions"]), "\n") {
		left, right, _ := strings.Cut(l, " = ")
		var acts []Act
		for _, f := range strings.Fields(left) {
			title, enact := strings.CutSuffix(f[2:], "!")
			c := byTitle[title]
			acts = append(acts, Act{first.Index(line.Party(map[byte]string{'U': "US", 'C': "CN"}[f[0]])), enact, c.Version, c.Hash()})
		}
		var got []string
		for _, c := range Versions(first, texts, acts) {
			got = append(got, strconv.FormatUint(uint64(c.Version), 10))
		}
		if strings.Join(got, " ") != right {
			t.Errorf("%s: got %v", l, got)
		}
	}
}

func vectorTerms(t *testing.T) Terms {
	terms := testTerms(t)
	terms.Title = "US–CN line"
	terms.Members = terms.Members[:2]
	terms.Members[1].Languages = []string{"zh-Hans"}
	return terms
}

func writeVectors(t *testing.T) []byte {
	terms := vectorTerms(t)
	c := draft(t, terms)
	a := txtar.Archive{Comment: []byte(vectorComment)}
	add := func(name, data string) {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(strings.TrimSuffix(data, "\n") + "\n")})
	}
	add("charter.text", c.Text())
	add("charter.line", c.Line().String())
	add("charter.note", string(signAll(t, c.Text(), "CN", "US")))
	add("charter.refused", strings.Join(refused, "\n"))
	two := amended(t, c, 2, "US–CN line, amended")
	add("amendment.text", two.Text())
	add("amendment.hash", fmt.Sprintf("%x", two.Hash()))
	add("versions", strings.Join(versionCases, "\n"))
	terms.Members[0].Languages = []string{"en", "zh-Hans", "ru", "fr", "es", "ar"}
	add("charter-six-languages.text", draft(t, terms).Text())
	return txtar.Format(&a)
}

const vectorComment = `Vectors for chapter 02. charter.note is charter.text signed by US and CN,
whose roots have the Ed25519 seed SHA-256("ed US"), the ML-DSA-65 seed
SHA-256("ml US"), and so for CN. Each line "OLD => NEW" of charter.refused,
applied once to charter.text, gives a text that must be refused (\n is a line
feed, \s a space, \u202e that character). Each line of versions has acts in the
order of each party's log, "U" for US and "C" for CN, with the amendment's
name, "!" for an enactment; then the versions in force. The amendments: two and
zwei are version 2 and three is version 3, all on charter.text; four is
version 4 on two.
`

var versionCases = []string{
	"U:two = 1",
	"U:two! = 1",
	"U:two C:two = 1",
	"U:two C:two! = 1 2",
	"C:two U:two! = 1 2",
	"U:two! C:two! = 1 2",
	"U:two! C:zwei! U:zwei C:two = 1",
	"U:two! C:zwei! U:zwei C:two U:three C:three! = 1 3",
	"U:two C:three C:two! U:three = 1",
	"U:two C:three! C:two! U:three = 1 3",
	"U:two C:two! U:three C:three! = 1 2",
	"U:two C:two! U:four! C:four = 1 2 4",
	"U:four! C:four U:two C:two! = 1",
}

// refused break one rule each.
var refused = []string{
	`herald-charter/1 => herald-charter/2`,
	`version 1 => version 01`,
	`version 1 => version 2`,
	`CN line\n => CN line\s\n`,
	`title US => title \u202eUS`,
	`title => titel`,
	`member US => member us`,
	`member CN => member US`,
	`answer 600 => answer 59`,
	`answer 600 => answer 600s`,
	`releasers 1 => releasers 4`,
	`roles watch,release,principal => roles release,watch,principal`,
	`roles watch,release,principal => roles watch,watch`,
	`roles watch,release,principal => roles none`,
	`precedence IMMEDIATE => precedence FLASH`,
	`precedence IMMEDIATE => precedence immediate`,
	`burst 5 => burst 0`,
	`tiers watch middle => tiers watch watch`,
	`line-test every 43200 offset 21600 => line-test every 43200 offset 43200`,
	`entry-bytes 32768 => entry-bytes 32769`,
	`witnesses 1 => witnesses 2`,
	`witness witness.example => witness Witness.example`,
	`head-cadence 3600\n => `,
	`epoch 3600\n => epoch 3600\nepoch 3600\n`,
	`--- text en => --- text fr`,
	`--- text zh-Hans => --- text en`,
	`Article 2. => \nArticle 2.`,
	`Article 2. => —\sherald/us AAAA`,
	`Article 2. => Article\u202e 2.`,
}
