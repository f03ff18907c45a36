package archtest

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// dependencyRow is a line of docs/dependencies.md: "| `module` | why | …".
var dependencyRow = regexp.MustCompile("(?m)^\\| *`([^`]+)` *\\|")

// unexplained returns the imports from outside the module and the standard
// library that no line of docs/dependencies.md covers, and the lines that no
// import needs.
func unexplained(module fs.FS) (missing, stale []string, err error) {
	text, err := fs.ReadFile(module, "docs/dependencies.md")
	if err != nil {
		return nil, nil, err
	}
	pkgs, err := load(module)
	if err != nil {
		return nil, nil, err
	}
	used := map[string]bool{}
	for _, m := range dependencyRow.FindAllStringSubmatch(string(text), -1) {
		used[m[1]] = false
	}
	for _, p := range sorted(pkgs) {
		for _, f := range p.files {
			for _, i := range f.imports {
				first, _, _ := strings.Cut(i, "/")
				if strings.Contains(first, ".") && !cover(used, i) {
					missing = append(missing, f.name+" imports "+i)
				}
			}
		}
	}
	for m, is := range used {
		if !is {
			stale = append(stale, m)
		}
	}
	return missing, stale, nil
}

// cover marks the module that holds the package, and reports whether there is
// one.
func cover(modules map[string]bool, pkg string) bool {
	for m := range modules {
		if pkg == m || strings.HasPrefix(pkg, m+"/") {
			modules[m] = true
			return true
		}
	}
	return false
}

func TestDependenciesAreExplained(t *testing.T) {
	missing, stale, err := unexplained(root())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range missing {
		t.Errorf("%s: add a line to docs/dependencies.md: why this module, its licence, what it replaces", m)
	}
	for _, m := range stale {
		t.Errorf("docs/dependencies.md explains %s, which nothing imports: remove the line", m)
	}
}

func TestDependenciesFind(t *testing.T) {
	missing, stale, err := unexplained(fstest.MapFS{
		"docs/dependencies.md":    {Data: []byte("| module | why |\n|---|---|\n| `a.example/x` | y |\n| `b.example/z` | y |\n")},
		"internal/line/a.go":      {Data: []byte("package line\nimport (\n_ \"fmt\"\n_ \"a.example/x/sub\"\n)\n")},
		"internal/line/b_test.go": {Data: []byte("package line\nimport _ \"a.example/xy\"\n")},
	})
	if err != nil || len(missing) != 1 || !strings.HasSuffix(missing[0], "imports a.example/xy") {
		t.Errorf("missing %q, %v", missing, err)
	}
	if len(stale) != 1 || stale[0] != "b.example/z" {
		t.Errorf("stale %q", stale)
	}
}
