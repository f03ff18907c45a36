package charter

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"herald/internal/line"
)

// The prose of the terms in each built-in language, one file each: lines
// "@name value" with the words for units and lists, and then the articles.
// {names} are filled in from the terms; a line with {precedence} is repeated
// for each precedence.
//
//go:embed prose/*.txt
var proseFiles embed.FS

// noProse stands where this release speaks no language of the party. It is
// marked so that nobody signs it unawares: RenderedExactly is then false.
const noProse = "This release of Herald has no text in the language %s. The parties write the agreement here in that language before they sign. Until they do, the terms at the top of this charter are the agreement.\n"

// Rendered reports whether a language has a built-in text. A region makes no
// difference: en-GB is rendered as en.
func Rendered(lang string) bool {
	_, err := proseFile(lang)
	return err == nil
}

func proseFile(lang string) (string, error) {
	if i := strings.LastIndexByte(lang, '-'); i > 0 && len(lang)-i == 3 {
		lang = lang[:i]
	}
	b, err := proseFiles.ReadFile("prose/" + lang + ".txt")
	return string(b), err
}

// render returns the prose of the terms in one language.
func render(t Terms, lang string) (string, error) {
	text, err := proseFile(lang)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf(noProse, lang), nil
	}
	if err != nil {
		return "", err
	}
	words := map[string]string{}
	var b strings.Builder
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if rest, ok := strings.CutPrefix(l, "@"); ok {
			name, value, _ := strings.Cut(rest, " ")
			words[name] = strings.ReplaceAll(value, "_", " ")
			continue
		}
		for _, x := range expand(t, l, words) {
			b.WriteString(x + "\n")
		}
	}
	return b.String(), nil
}

// expand fills in one line of prose.
func expand(t Terms, l string, words map[string]string) []string {
	if !strings.Contains(l, "{precedence}") {
		return []string{values(t, words).Replace(l)}
	}
	var out []string
	for _, p := range line.Precedences() {
		x := t.Precedences[p]
		out = append(out, strings.NewReplacer(
			"{precedence}", p.String(),
			"{answer}", duration(x.Answer, words),
			"{releasers}", strconv.Itoa(x.Releasers),
			"{roles}", list(rolesOf(x), words),
			"{words}", number(uint64(x.Words), words),
			"{burst}", strconv.FormatUint(uint64(x.Burst), 10),
			"{hourly}", strconv.FormatUint(uint64(x.PerHour), 10),
		).Replace(l))
	}
	return out
}

func values(t Terms, words map[string]string) *strings.Replacer {
	var members, forms, witnesses []string
	for _, m := range t.Members {
		members = append(members, string(m.Party))
	}
	for _, f := range t.Forms {
		forms = append(forms, f.Name)
	}
	for _, w := range t.Witnesses {
		name, _, _ := strings.Cut(w, "+")
		witnesses = append(witnesses, name)
	}
	return strings.NewReplacer(
		"{title}", t.Title,
		"{version}", strconv.FormatUint(uint64(t.Version), 10),
		"{members}", list(members, words),
		"{languages}", list(t.Languages(), words),
		"{tiers}", list(t.Tiers, words),
		"{test}", duration(t.TestEvery, words),
		"{offset}", duration(t.TestOffset, words),
		"{epoch}", duration(t.Epoch, words),
		"{retention}", strconv.FormatUint(uint64(t.RetentionDays), 10),
		"{entry}", strconv.FormatUint(uint64(t.EntryBytes), 10),
		"{quota}", strconv.FormatUint(t.QuotaBytes, 10),
		"{blob}", strconv.FormatUint(t.BlobBytes, 10),
		"{forms}", list(forms, words),
		"{threshold}", strconv.FormatUint(uint64(t.Threshold), 10),
		"{witnesses}", list(witnesses, words),
		"{cadence}", duration(t.HeadCadence, words),
	)
}

func rolesOf(x PrecedenceTerms) []string {
	if len(x.Roles) == 0 {
		return nil
	}
	return strings.Split(rolesText(x.Roles), ",")
}

func list(s []string, words map[string]string) string {
	if len(s) == 0 {
		return words["none"]
	}
	return strings.Join(s, words["comma"])
}

func number(n uint64, words map[string]string) string {
	if n == 0 {
		return words["nolimit"]
	}
	return strconv.FormatUint(n, 10)
}

// duration uses the greatest unit that leaves a whole number, and abbreviated
// units, which need no plural.
func duration(d time.Duration, words map[string]string) string {
	for _, u := range []struct {
		name string
		d    time.Duration
	}{{"h", time.Hour}, {"min", time.Minute}} {
		if d > 0 && d%u.d == 0 {
			return fmt.Sprintf("%d%s", d/u.d, words[u.name])
		}
	}
	return fmt.Sprintf("%d%s", secs(d), words["s"])
}
