package archtest

import (
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	chapterName = regexp.MustCompile(`^(\d\d)-[a-z0-9-]+\.md$`)
	heading     = regexp.MustCompile(`(?m)^##(?: (\d+)\.|# (\d+\.\d+)\.?) `)
	citation    = regexp.MustCompile(`\b(\d\d) (§\d+(?:\.\d+)?(?:(?:, | and |–)§?\d+(?:\.\d+)?)*)`)
	section     = regexp.MustCompile(`\d+(?:\.\d+)?`)
	bareChapter = regexp.MustCompile(`\bspec (\d\d)\b`)
	space       = regexp.MustCompile(`\s+`)
)

// chapters returns the sections of each chapter of the specification, as
// "04" → {"1", "2", "2.1"}.
func chapters(module fs.FS) (map[string]map[string]bool, error) {
	out := map[string]map[string]bool{}
	names, err := fs.Glob(module, "spec/*.md")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		m := chapterName.FindStringSubmatch(path.Base(name))
		if m == nil {
			continue
		}
		text, err := fs.ReadFile(module, name)
		if err != nil {
			return nil, err
		}
		out[m[1]] = map[string]bool{}
		for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
			out[m[1]][h[1]+h[2]] = true
		}
	}
	return out, nil
}

// wrongCitations returns what a text cites, as in (spec 04 §2, §3.1), and what
// the chapters do not have.
func wrongCitations(chapters map[string]map[string]bool, text string) (bad []string) {
	text = space.ReplaceAllString(text, " ")
	for _, m := range bareChapter.FindAllStringSubmatch(text, -1) {
		if chapters[m[1]] == nil {
			bad = append(bad, "spec "+m[1]+": no such chapter")
		}
	}
	for _, m := range citation.FindAllStringSubmatch(text, -1) {
		if chapters[m[1]] == nil {
			if !strings.Contains(text, "spec "+m[1]) {
				bad = append(bad, m[1]+": no such chapter")
			}
			continue
		}
		for _, s := range section.FindAllString(m[2], -1) {
			if !chapters[m[1]][s] {
				bad = append(bad, "spec "+m[1]+" §"+s+": no such section")
			}
		}
	}
	return bad
}

func TestCitations(t *testing.T) {
	known, err := chapters(root())
	if err != nil {
		t.Fatal(err)
	}
	pkgs, err := load(root())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range sorted(pkgs) {
		if p.path == "internal/archtest" {
			continue // cites chapters that do not exist, to test the test
		}
		for _, f := range p.files {
			for _, c := range f.tree.Comments {
				for _, b := range wrongCitations(known, c.Text()) {
					t.Errorf("%s: %s", f.at.Position(c.Pos()), b)
				}
			}
		}
	}
	for _, dir := range []string{"spec", "docs"} {
		names, _ := fs.Glob(root(), dir+"/*.md")
		for _, name := range names {
			text, err := fs.ReadFile(root(), name)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range wrongCitations(known, string(text)) {
				t.Errorf("%s: %s", name, b)
			}
		}
	}
}

func TestCitationsFind(t *testing.T) {
	known, err := chapters(fstest.MapFS{
		"spec/README.md": {Data: []byte("## 9. No chapter\n")},
		"spec/04-log.md": {Data: []byte("# 4. Log\n\n## 1. Names\n\n### 1.2 Short\n\n### 1.3. Long\n\n## 12. Last\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"(spec 04 §1), (spec 04 §1.2, §1.3 and §12)": "",
		"(RFC 6962 §7), section 4, chapter 05":       "",
		"(spec 04\n§2)":                              "spec 04 §2: no such section",
		"(spec 04 §1, §13)":                          "spec 04 §13: no such section",
		"(spec 04 §1.4)":                             "spec 04 §1.4: no such section",
		"(04 §1–2)":                                  "spec 04 §2: no such section",
		"(spec 05 §1)":                               "spec 05: no such chapter",
		"(06 §1)":                                    "06: no such chapter",
	} {
		if got := strings.Join(wrongCitations(known, text), "; "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// A vector that no test runs says nothing about the code.
func TestVectorsAreRun(t *testing.T) {
	known, err := chapters(root())
	if err != nil {
		t.Fatal(err)
	}
	pkgs, err := load(root())
	if err != nil {
		t.Fatal(err)
	}
	mentioned := map[string]bool{}
	for _, p := range pkgs {
		for _, f := range p.files {
			if !f.test {
				continue
			}
			ast.Inspect(f.tree, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok {
					if s, err := strconv.Unquote(l.Value); err == nil {
						mentioned[strings.TrimSuffix(path.Base(s), ".txtar")] = true
					}
				}
				return true
			})
		}
	}
	names, err := fs.Glob(root(), "spec/vectors/*")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, name := range names {
		base, isVector := strings.CutSuffix(path.Base(name), ".txtar")
		if !isVector || len(base) < 4 || known[base[:2]] == nil {
			t.Errorf("%s: want NN-name.txtar, NN an existing chapter", name)
		} else if !mentioned[base] {
			t.Errorf("%s: no test names it; a vector that no test runs says nothing", name)
		}
	}
}
