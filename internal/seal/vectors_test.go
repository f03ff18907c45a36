package seal

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write spec/vectors from what this code computes")

// vectors is one file of test vectors: what the code computes must be what
// the file says, section by section.
type vectors struct {
	t    *testing.T
	path string
	file map[string][]byte
	got  txtar.Archive
}

func openVectors(t *testing.T, name, about string) *vectors {
	t.Helper()
	v := &vectors{t: t, path: filepath.Join("..", "..", "spec", "vectors", name), file: map[string][]byte{}}
	v.got.Comment = []byte(about)
	b, err := os.ReadFile(v.path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for _, f := range txtar.Parse(b).Files {
		v.file[f.Name] = f.Data
	}
	return v
}

func (v *vectors) text(name, s string) {
	v.got.Files = append(v.got.Files, txtar.File{Name: name, Data: []byte(s)})
}

// hex adds a section in hexadecimal, one line for each value.
func (v *vectors) hex(name string, values ...[]byte) {
	var b strings.Builder
	for _, x := range values {
		b.WriteString(hex.EncodeToString(x) + "\n")
	}
	v.text(name+".hex", b.String())
}

// once adds a section that nobody can compute again, since it hides fresh
// randomness: it is made when the file lacks it, and returned to be opened.
func (v *vectors) once(name string, make func() ([]byte, error)) []byte {
	v.t.Helper()
	b, err := hex.DecodeString(strings.TrimSpace(string(v.file[name+".hex"])))
	if len(b) == 0 && *update {
		b, err = make()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	v.hex(name, b)
	return b
}

// done compares, or with -update writes.
func (v *vectors) done() {
	v.t.Helper()
	if *update {
		if err := os.WriteFile(v.path, txtar.Format(&v.got), 0o644); err != nil {
			v.t.Fatal(err)
		}
		return
	}
	for _, f := range v.got.Files {
		want, ok := v.file[f.Name]
		if !ok || !bytes.Equal(want, f.Data) {
			v.t.Errorf("%s, %s: computed %q, the file has %q", v.path, f.Name, f.Data, want)
		}
		delete(v.file, f.Name)
	}
	for name := range v.file {
		v.t.Errorf("%s: %s is in the file and not computed", v.path, name)
	}
}
