package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// rule looks at all packages and says in sentences what is wrong.
type rule struct {
	name  string
	check func(pkgs map[string]*pkg) []string
}

var rules = []rule{
	{"levels", checkLevels},
	{"walls", checkWalls},
	{"quiet", checkQuiet},
	{"doc comments", checkDocs},
	{"init", checkInit},
	{"length", checkLength},
	{"sleep", checkSleep},
}

func checkLevels(pkgs map[string]*pkg) (bad []string) {
	for _, p := range sorted(pkgs) {
		own, known := findLevel(p.path)
		if !known {
			bad = append(bad, fmt.Sprintf("%s has no level: add a line with a reason to levels in internal/archtest/levels_test.go", p.path))
			continue
		}
		for _, f := range p.files {
			for _, i := range f.imports {
				if pkgs[i] == nil || f.test || own == free {
					continue
				}
				if its, known := findLevel(i); known && its == free {
					bad = append(bad, fmt.Sprintf("%s imports %s, which is for tests alone", f.name, i))
				} else if known && its >= own && !strings.HasPrefix(p.path, i+"/") {
					bad = append(bad, fmt.Sprintf("%s (level %d) imports %s (level %d): imports go to lower levels", f.name, own, i, its))
				}
			}
		}
	}
	return bad
}

func checkWalls(pkgs map[string]*pkg) (bad []string) {
	for _, w := range walls {
		for _, p := range sorted(pkgs) {
			if !slices.ContainsFunc(w.from, func(f string) bool { return under(f, p.path) }) || strings.HasSuffix(p.path, freeSuffix) {
				continue
			}
			for _, to := range w.to {
				if chain := reach(pkgs, p.path, to, map[string]bool{}); chain != nil {
					bad = append(bad, fmt.Sprintf("%s: %s", strings.Join(chain, " imports "), w.reason))
				}
			}
		}
	}
	return bad
}

// reach returns how from imports to, through non-test files; nil if it does
// not.
func reach(pkgs map[string]*pkg, from, to string, seen map[string]bool) []string {
	if from == to {
		return []string{to}
	}
	if seen[from] || pkgs[from] == nil {
		return nil
	}
	seen[from] = true
	for _, f := range pkgs[from].files {
		if f.test {
			continue
		}
		for _, i := range f.imports {
			if i == to {
				return []string{from, to}
			}
			if chain := reach(pkgs, i, to, seen); chain != nil {
				return append([]string{from}, chain...)
			}
		}
	}
	return nil
}

func checkQuiet(pkgs map[string]*pkg) (bad []string) {
	for _, p := range sorted(pkgs) {
		if l, known := findLevel(p.path); !known || l < quietFrom || l > quietTo {
			continue
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, i := range f.imports {
				for loud, why := range loudImports {
					if i == loud || under(loud+"/*", i) {
						bad = append(bad, fmt.Sprintf("%s imports %s: levels %d to %d: %s", f.name, i, quietFrom, quietTo, why))
					}
				}
			}
			bad = append(bad, f.clocks()...)
		}
	}
	return bad
}

// clocks finds what reads a clock or starts a goroutine.
func (f *file) clocks() (bad []string) {
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			bad = append(bad, fmt.Sprintf("%s starts a goroutine: levels %d to %d compute and return", f.at.Position(g.Pos()), quietFrom, quietTo))
		}
		return true
	})
	for _, use := range f.uses("time") {
		if loudTime[use.name] {
			bad = append(bad, fmt.Sprintf("%s uses time.%s: levels %d to %d take the time as an argument", use.at, use.name, quietFrom, quietTo))
		}
	}
	return bad
}

// use is one mention of a package's exported name.
type use struct{ name, at string }

// uses returns the mentions of names of an imported package, under whatever
// name it is imported.
func (f *file) uses(importPath string) (found []use) {
	local := ""
	for _, spec := range f.tree.Imports {
		if spec.Path.Value == `"`+importPath+`"` {
			local = importPath[strings.LastIndex(importPath, "/")+1:]
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
				found = append(found, use{s.Sel.Name, f.at.Position(s.Pos()).String()})
			}
		}
		return true
	})
	return found
}

func checkDocs(pkgs map[string]*pkg) (bad []string) {
	for _, p := range sorted(pkgs) {
		ok := false
		for _, f := range p.files {
			text := f.tree.Doc.Text()
			ok = ok || strings.HasPrefix(text, "Package "+f.tree.Name.Name+" ") ||
				f.tree.Name.Name == "main" && text != ""
		}
		if !ok {
			bad = append(bad, fmt.Sprintf("%s has no doc comment that tells a newcomer its one job", p.path))
		}
	}
	return bad
}

func checkInit(pkgs map[string]*pkg) (bad []string) {
	for _, p := range sorted(pkgs) {
		for _, f := range p.files {
			for _, d := range f.tree.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					bad = append(bad, fmt.Sprintf("%s: func init: nothing happens behind the reader's back; call it from where it is needed", f.at.Position(fn.Pos())))
				}
			}
		}
	}
	return bad
}

func checkLength(pkgs map[string]*pkg) (bad []string) {
	for _, p := range sorted(pkgs) {
		for _, f := range p.files {
			limit := maxFileLines
			if f.name == "cmd/herald/main.go" {
				limit = maxMainLines
			}
			if f.lines > limit {
				bad = append(bad, fmt.Sprintf("%s has %d lines, more than %d: split it by what its parts are for", f.name, f.lines, limit))
			}
		}
	}
	return bad
}

// checkSleep lets tests sleep only on fake time.
func checkSleep(pkgs map[string]*pkg) (bad []string) {
	for _, p := range sorted(pkgs) {
		for _, f := range p.files {
			if !f.test || slices.Contains(f.imports, "testing/synctest") {
				continue
			}
			for _, use := range f.uses("time") {
				if use.name == "Sleep" {
					bad = append(bad, fmt.Sprintf("%s: time.Sleep in a test: wait for the event itself, or use testing/synctest", use.at))
				}
			}
		}
	}
	return bad
}
