package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "herald"

// pkg is one directory of Go files.
type pkg struct {
	path  string // under the module, such as internal/line
	files []*file
}

// file is one Go file, read whatever its build constraints.
type file struct {
	name    string // under the module
	test    bool
	lines   int
	imports []string // under the module for the module's own, without its name
	tree    *ast.File
	at      *token.FileSet
}

// load reads every Go file of the module. It parses and does not compile, so
// that the rules can be checked while something else is broken.
func load(module fs.FS) (map[string]*pkg, error) {
	pkgs := map[string]*pkg{}
	at := token.NewFileSet()
	err := fs.WalkDir(module, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if base := e.Name(); name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := loadFile(module, at, name)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if pkgs[dir] == nil {
			pkgs[dir] = &pkg{path: dir}
		}
		pkgs[dir].files = append(pkgs[dir].files, f)
		return nil
	})
	return pkgs, err
}

func loadFile(in fs.FS, at *token.FileSet, name string) (*file, error) {
	src, err := fs.ReadFile(in, name)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseFile(at, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := &file{
		name: name, test: strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(src, []byte("\n")), tree: tree, at: at,
	}
	for _, spec := range tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		f.imports = append(f.imports, strings.TrimPrefix(p, module+"/"))
	}
	return f, nil
}

// sorted returns the packages in order of path, for steady reports.
func sorted(pkgs map[string]*pkg) []*pkg {
	var out []*pkg
	for _, p := range pkgs {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return out
}

// under reports whether path is pattern, or below it where pattern ends in /*.
func under(pattern, path string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(path, dir+"/")
	}
	return path == pattern
}

// findLevel returns the package's level; free ones have the level free. A line
// of its own goes before the suffix of test helpers.
func findLevel(path string) (int, bool) {
	for _, l := range levels {
		if l.path == path {
			return l.number, true
		}
	}
	if strings.HasSuffix(path, freeSuffix) {
		return free, true
	}
	for _, l := range levels {
		if under(l.path, path) {
			return l.number, true
		}
	}
	return 0, false
}
