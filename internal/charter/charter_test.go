package charter

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"herald/internal/keys"
	"herald/internal/line"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func root(t testing.TB, p line.Party) *keys.Root {
	a, b := sha256.Sum256([]byte("ed "+p)), sha256.Sum256([]byte("ml "+p))
	return must[*keys.Root](t)(keys.NewRoot(bytes.NewReader(append(a[:], b[:]...)), p))
}

// testTerms is an agreement of US, CN and RU that uses every term.
func testTerms(t testing.TB) Terms {
	var m []Member
	for _, x := range []struct {
		p line.Party
		l []string
	}{{"US", []string{"en"}}, {"CN", []string{"zh-Hans", "en"}}, {"RU", []string{"ru"}}} {
		m = append(m, Member{x.p, root(t, x.p).Public().Hash(), x.l})
	}
	terms := DefaultTerms("US–CN–RU line", m)
	terms.Precedences[line.Routine].Releasers, terms.Precedences[line.Routine].Roles = 0, nil
	terms.Forms = []Form{{"sea-encounter", [32]byte{1}}, {"launch", [32]byte{2}}}
	w := must[string](t)(note.NewEd25519VerifierKey("witness.example/w1", make([]byte, 32)))
	terms.Witnesses, terms.Threshold = []string{w}, 1
	return terms
}

func draft(t testing.TB, terms Terms) *Charter {
	t.Helper()
	return must[*Charter](t)(Parse(must[string](t)(Draft(terms))))
}

func roots(t testing.TB, ps ...line.Party) map[line.Party]keys.RootPublic {
	m := map[line.Party]keys.RootPublic{}
	for _, p := range ps {
		m[p] = root(t, p).Public()
	}
	return m
}

func TestDraftRoundTrip(t *testing.T) {
	terms := testTerms(t)
	c := draft(t, terms)
	if c.Terms.text() != terms.text() || !c.RenderedExactly() {
		t.Error("the terms changed on the way")
	}
	if got := c.Languages(); !slices.Equal(got, []string{"en", "zh-Hans", "ru"}) || len(c.Sections()) != 3 {
		t.Errorf("languages %v", got)
	}
	if c.Line() != line.ID(sha256.Sum256([]byte(c.Text()))) {
		t.Error("the line is not the hash of the text")
	}
	if c.Index("CN") != 1 || c.Index("FR") != -1 || !slices.Equal(c.Parties(), []line.Party{"US", "CN", "RU"}) {
		t.Error("members are in another order")
	}
	if c.Precedence(line.Flash).Answer != 10*time.Minute || c.Precedence(99).Answer != 6*time.Hour {
		t.Error("precedences are confused")
	}
}

// Each built-in language says the same: every term's value stands in each.
func TestProseIsComplete(t *testing.T) {
	terms := testTerms(t)
	terms.Members[0].Languages = []string{"en", "zh-Hans", "ru", "fr", "es", "ar"}
	terms.TestEvery, terms.TestOffset = 7*time.Hour, 11*time.Minute
	terms.Epoch, terms.HeadCadence = 37*time.Minute, 43*time.Second+time.Minute
	terms.RetentionDays, terms.EntryBytes, terms.QuotaBytes, terms.BlobBytes = 1234, 23456, 7654321, 987654
	c := draft(t, terms)
	if !c.RenderedExactly() {
		t.Error("a built-in language is not rendered")
	}
	want := []string{terms.Title, "US", "CN", "RU", "FLASH", "IMMEDIATE", "PRIORITY", "ROUTINE", "REAL", "EXERCISE", "TEST",
		"watch", "middle", "principal", "release", "7", "11", "37", "103", "1234", "23456", "7654321", "987654",
		"sea-encounter", "launch", "witness.example/w1", "200", "120", "300"}
	lines := len(c.Sections()[0].Lines)
	for _, s := range c.Sections() {
		text := strings.Join(s.Lines, "\n")
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is missing", s.Language, w)
			}
		}
		if strings.ContainsAny(text, "{}@_") || len(s.Lines) != lines || lines != 18 {
			t.Errorf("%s: %d lines, or something was not filled in", s.Language, len(s.Lines))
		}
	}
}

func TestUnknownLanguageIsNotRenderedExactly(t *testing.T) {
	terms := testTerms(t)
	terms.Members[1].Languages = []string{"ko"}
	c := draft(t, terms)
	if c.RenderedExactly() || !strings.Contains(c.Text(), "no text in the language ko") {
		t.Error("a missing language goes unnoticed")
	}
	terms.Members[1].Languages = []string{"en-GB"}
	if !draft(t, terms).RenderedExactly() {
		t.Error("a region is taken for another language")
	}
}

func TestChangedProseIsParsedButNotRendered(t *testing.T) {
	c := draft(t, testTerms(t))
	text := strings.Replace(c.Text(), "no hostile act", "an act of courtesy", 1)
	d := must[*Charter](t)(Parse(text))
	if d.RenderedExactly() || d.Line() == c.Line() {
		t.Error("changed prose goes unnoticed")
	}
}

func TestDraftRefusesBadTerms(t *testing.T) {
	for name, change := range map[string]func(*Terms){
		"one member":        func(x *Terms) { x.Members = x.Members[:1] },
		"member twice":      func(x *Terms) { x.Members[1].Party = "US" },
		"root twice":        func(x *Terms) { x.Members[1].Root = x.Members[0].Root },
		"no language":       func(x *Terms) { x.Members[0].Languages = nil },
		"empty title":       func(x *Terms) { x.Title = "" },
		"title of two":      func(x *Terms) { x.Title = "a\nversion 2" },
		"version 0":         func(x *Terms) { x.Version = 0 },
		"version 2 alone":   func(x *Terms) { x.Version = 2 },
		"version 1 amended": func(x *Terms) { x.Base = [32]byte{1} },
		"answer 0":          func(x *Terms) { x.Precedences[0].Answer = 0 },
		"half seconds":      func(x *Terms) { x.Epoch += time.Second / 2 },
		"four releasers":    func(x *Terms) { x.Precedences[3].Releasers = 4 },
		"no roles":          func(x *Terms) { x.Precedences[3].Roles = nil },
		"role twice": func(x *Terms) {
			x.Precedences[3].Roles = []keys.Role{keys.RoleWatch, keys.RoleWatch}
		},
		"no burst":       func(x *Terms) { x.Precedences[3].Burst = 0 },
		"no tiers":       func(x *Terms) { x.Tiers = nil },
		"tier twice":     func(x *Terms) { x.Tiers = []string{"a", "a"} },
		"form twice":     func(x *Terms) { x.Forms = append(x.Forms, x.Forms[0]) },
		"form name":      func(x *Terms) { x.Forms[0].Name = "a b" },
		"witness":        func(x *Terms) { x.Witnesses[0] += "A" },
		"witness hash":   func(x *Terms) { x.Witnesses[0] = strings.Replace(x.Witnesses[0], "w1", "w2", 1) },
		"witness twice":  func(x *Terms) { x.Witnesses = append(x.Witnesses, x.Witnesses[0]) },
		"threshold 0":    func(x *Terms) { x.Threshold = 0 },
		"threshold 2":    func(x *Terms) { x.Threshold = 2 },
		"offset":         func(x *Terms) { x.TestOffset = x.TestEvery },
		"retention":      func(x *Terms) { x.RetentionDays = 0 },
		"small entries":  func(x *Terms) { x.EntryBytes = 20479 },
		"large entries":  func(x *Terms) { x.EntryBytes = 32769 },
		"no quota":       func(x *Terms) { x.QuotaBytes = 0 },
		"huge blobs":     func(x *Terms) { x.BlobBytes = 1<<40 + 1 },
		"rare witnesses": func(x *Terms) { x.HeadCadence = 8 * day },
	} {
		terms := testTerms(t)
		change(&terms)
		if _, err := Draft(terms); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func signAll(t *testing.T, text string, ps ...line.Party) []byte {
	t.Helper()
	msg := []byte(text)
	for _, p := range ps {
		msg = must[[]byte](t)(Sign(msg, root(t, p)))
	}
	return msg
}

func TestSignAndVerify(t *testing.T) {
	c := draft(t, testTerms(t))
	all := roots(t, "US", "CN", "RU")
	full := signAll(t, c.Text(), "US", "CN", "RU")
	if got := must[*Charter](t)(Verify(full, all)); got.Line() != c.Line() {
		t.Error("another line")
	}
	if other := signAll(t, c.Text(), "RU", "US", "CN", "US"); !bytes.Equal(other, full) {
		t.Error("the note depends on the order of signing")
	}
	_, err := Verify(signAll(t, c.Text(), "US"), all)
	if !errors.Is(err, ErrUnsigned) || !strings.HasSuffix(err.Error(), ": CN, RU") {
		t.Errorf("two missing: %v", err)
	}
	delete(all, "RU")
	if _, err := Verify(full, all); !errors.Is(err, ErrUnsigned) || !strings.Contains(err.Error(), "RU (its card") {
		t.Errorf("an unknown root: %v", err)
	}
	_, who, err := Signed(signAll(t, c.Text(), "CN"), nil)
	if err != nil || who != nil {
		t.Errorf("no roots: %v, %v", who, err)
	}
	if _, err := Verify([]byte(c.Text()), all); err == nil {
		t.Error("a text without signatures was accepted")
	}
}

func TestVerifyRefuses(t *testing.T) {
	c := draft(t, testTerms(t))
	all := roots(t, "US", "CN", "RU")
	full := signAll(t, c.Text(), "US", "CN", "RU")

	_, sigs, err := keys.SplitNote(full)
	if err != nil {
		t.Fatal(err)
	}
	stranger := must[[]byte](t)(keys.SignNote(c.Text(), sigs, root(t, "FR")))
	if _, err := Verify(stranger, all); !errors.Is(err, ErrStranger) {
		t.Errorf("stranger: %v", err)
	}
	lines := strings.SplitAfter(string(full), "\n")
	half := strings.Join(slices.Delete(slices.Clone(lines), len(lines)-2, len(lines)-1), "")
	if _, err := Verify([]byte(half), all); !errors.Is(err, ErrUnsigned) || !strings.HasSuffix(err.Error(), ": RU") {
		t.Errorf("one of two signatures: %v", err)
	}
	changed := bytes.Replace(full, []byte("version 1"), []byte("version 1 "), 1)
	if _, err := Verify(changed, all); err == nil {
		t.Error("a changed text was accepted")
	}
	prose := bytes.Replace(full, []byte("no hostile"), []byte("an hostile"), 1)
	if _, err := Verify(prose, all); err == nil {
		t.Error("changed prose was accepted")
	}
	all["CN"] = root(t, "FR").Public()
	if _, err := Verify(full, all); !errors.Is(err, ErrRoot) {
		t.Errorf("another root: %v", err)
	}
}

func TestSignRefuses(t *testing.T) {
	c := draft(t, testTerms(t))
	if _, err := Sign([]byte(c.Text()), root(t, "FR")); !errors.Is(err, ErrStranger) {
		t.Errorf("stranger: %v", err)
	}
	other := must[*keys.Root](t)(keys.NewRoot(bytes.NewReader(make([]byte, 64)), "US"))
	if _, err := Sign([]byte(c.Text()), other); !errors.Is(err, ErrRoot) {
		t.Errorf("another root of US: %v", err)
	}
}

func TestMerge(t *testing.T) {
	c := draft(t, testTerms(t))
	us, cn, ru := signAll(t, c.Text(), "US"), signAll(t, c.Text(), "CN"), signAll(t, c.Text(), "RU")
	msg := must[[]byte](t)(Merge(ru, us, []byte(c.Text()), cn, us))
	must[*Charter](t)(Verify(msg, roots(t, "US", "CN", "RU")))

	terms := testTerms(t)
	terms.Title = "another line"
	if _, err := Merge(us, signAll(t, draft(t, terms).Text(), "CN")); !errors.Is(err, ErrDifferent) {
		t.Errorf("different texts: %v", err)
	}
	if _, err := Merge([]byte(c.Text())); !errors.Is(err, ErrUnsigned) {
		t.Errorf("no signatures: %v", err)
	}
	damaged := bytes.Clone(us)
	damaged[len(damaged)-40] ^= 1
	if _, err := Merge(us, damaged); err == nil {
		t.Error("two signatures by one key were joined")
	}
}

func TestCheckAmendment(t *testing.T) {
	base := draft(t, testTerms(t))
	for name, x := range map[string]struct {
		change func(*Terms)
		ok     bool
	}{
		"new title":     {func(x *Terms) { x.Title = "new" }, true},
		"skips":         {func(x *Terms) { x.Version = 7 }, true},
		"new languages": {func(x *Terms) { x.Members[0].Languages = []string{"es"} }, true},
		"other line":    {func(x *Terms) { x.Line[0] ^= 1 }, false},
		"other base":    {func(x *Terms) { x.Base[0] ^= 1 }, false},
		"other order":   {func(x *Terms) { x.Members[0], x.Members[1] = x.Members[1], x.Members[0] }, false},
		"member gone":   {func(x *Terms) { x.Members = x.Members[:2] }, false},
		"other root":    {func(x *Terms) { x.Members[0].Root[0] ^= 1 }, false},
		"first again":   {func(x *Terms) { *x = testTerms(t) }, false},
	} {
		terms := base.Amend()
		terms.Members = slices.Clone(terms.Members)
		x.change(&terms)
		next := draft(t, terms)
		if err := CheckAmendment(base, next); (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
		if x.ok && next.Line() != base.Line() {
			t.Errorf("%s: an amendment changed the line's name", name)
		}
	}
}

func amended(t testing.TB, base *Charter, version uint32, title string) *Charter {
	terms := base.Amend()
	terms.Version, terms.Title = version, title
	return draft(t, terms)
}

func TestVersionsNeedsAll(t *testing.T) {
	first := draft(t, testTerms(t))
	two := amended(t, first, 2, "two")
	texts := []*Charter{two}
	act := func(p int, enact bool) Act { return Act{p, enact, 2, two.Hash()} }
	for i, x := range []struct {
		acts []Act
		want int
	}{
		{nil, 1},
		{[]Act{act(1, false), act(2, false)}, 1},
		{[]Act{act(0, true), act(2, false)}, 1},
		{[]Act{act(0, false), act(1, false), act(2, false)}, 1},
		{[]Act{act(1, false), act(2, false), act(0, true)}, 2},
		{[]Act{act(0, true), act(1, true), act(2, true)}, 2},
		{[]Act{act(1, false), {2, false, 3, [32]byte{9}}, act(2, false), act(0, true)}, 1},
		{[]Act{act(1, false), {2, false, 2, [32]byte{9}}, act(2, false), act(0, true)}, 1},
	} {
		if got := Versions(first, texts, x.acts); len(got) != x.want {
			t.Errorf("case %d: %d versions, want %d", i, len(got), x.want)
		}
	}
}

// Whatever the parties write, what was in force for a smaller causal past is
// in force, in the same place, for every larger one.
func TestVersionsNeverTakesBack(t *testing.T) {
	first := draft(t, testTerms(t))
	a2, b2, c3 := amended(t, first, 2, "a2"), amended(t, first, 2, "b2"), amended(t, first, 3, "c3")
	texts := []*Charter{a2, b2, c3, amended(t, a2, 3, "a3"), amended(t, b2, 4, "b4"), amended(t, c3, 4, "c4")}
	rng := rand.New(rand.NewPCG(1, 2))
	lengths := map[int]int{}
	for range 3000 {
		var logs [3][]Act
		for p := range logs {
			for range rng.IntN(8) {
				x := texts[rng.IntN(len(texts))]
				logs[p] = append(logs[p], Act{p, rng.IntN(2) == 0, x.Version, x.Hash()})
			}
		}
		var small, large []Act
		for _, l := range logs {
			n := rng.IntN(len(l) + 1)
			m := n + rng.IntN(len(l)-n+1)
			small, large = append(small, l[:n]...), append(large, l[:m]...)
		}
		before, after := Versions(first, texts, small), Versions(first, texts, large)
		if len(after) < len(before) || !slices.Equal(after[:len(before)], before) {
			t.Fatalf("taken back:\n%v\n%v", small, large)
		}
		lengths[len(before)]++
	}
	if lengths[2] == 0 || lengths[1] == 0 {
		t.Errorf("the worlds are too dull: %v", lengths)
	}
}

func FuzzParse(f *testing.F) {
	// Small seeds: a fuzzer minimizes what it finds byte by byte.
	terms := testTerms(f)
	for i := range terms.Members {
		terms.Members[i].Languages = []string{"ko"}
	}
	c := draft(f, terms)
	f.Add(c.Text())
	f.Add(amended(f, c, 2, "two").Text())
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Parse(s)
		if err != nil {
			return
		}
		if c.Text() != s || !strings.HasPrefix(s, c.Terms.text()+sectionMark) || strings.Contains(s, "\n\n") {
			t.Fatal("accepted what is not in the specified form")
		}
		if c.check() != nil {
			t.Fatal("accepted terms out of bounds")
		}
	})
}
