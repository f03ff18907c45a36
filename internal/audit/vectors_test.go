package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"herald/internal/audit"
	"herald/internal/line"
	"herald/internal/tlog"
)

var update = flag.Bool("update", false, "write spec/vectors from what this code computes")

const vectorsAbout = `Vectors for spec 10. good.base64 is an export of a line of two parties.
pieces.txt has one line for each of its pieces: offset of the kind, kind, length
of the content. heads.txt has party, generation, size and root of its heads; a
deep audit finds nothing amiss. changes.txt has changes of single bytes of the
file, offset and new value, each in hexadecimal; by "repaired" the hash in the
end piece is computed anew; and what comes of it: "unreadable", or the code of
one of the faults. evidence.hex is the content of a piece of kind 11: with that
piece before the end, and an end that fits, the file has the one finding in
evidence.txt, by level, code and place.

`

// TestVectors runs spec/vectors/10-audit.txtar. The exports in it are read
// from there, not made anew, so that they stay what others check against.
func TestVectors(t *testing.T) {
	path := filepath.Join("..", "..", "spec", "vectors", "10-audit.txtar")
	if *update {
		ok(t, os.WriteFile(path, newVectors(t), 0o644))
	}
	b, err := os.ReadFile(path)
	ok(t, err)
	want := txtar.Parse(b)
	got := &txtar.Archive{Comment: []byte(vectorsAbout)}
	files := map[string][]byte{}
	for _, f := range want.Files {
		files[f.Name] = f.Data
	}
	file, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(files["good.base64"]), "\n", ""))
	ok(t, err)
	proof, err := hex.DecodeString(strings.TrimSpace(string(files["evidence.hex"])))
	ok(t, err)
	got.Files = described(t, file, proof, string(files["changes.txt"]))
	if have := txtar.Format(got); !bytes.Equal(have, b) {
		t.Errorf("%s says otherwise. Computed:\n%s", path, have)
	}
}

func wrap(file []byte) []byte {
	var b bytes.Buffer
	for s := base64.StdEncoding.EncodeToString(file); len(s) > 0; {
		n := min(len(s), 100)
		b.WriteString(s[:n] + "\n")
		s = s[n:]
	}
	return b.Bytes()
}

// described computes all that the vectors say about an export.
func described(t *testing.T, file, proof []byte, changes string) []txtar.File {
	var kinds, heads, found strings.Builder
	for _, p := range pieces(t, file) {
		fmt.Fprintf(&kinds, "%d %d %d\n", p.head, p.kind, p.end-p.body)
	}
	r := run(t, file, true)
	if len(r.Findings) > 0 {
		t.Errorf("the good file has findings:\n%s", r)
	}
	for _, h := range r.Heads {
		fmt.Fprintf(&heads, "%s %d %d %s\n", h.Party, h.Generation, h.Size, h.Root)
	}
	all := pieces(t, file)
	last := all[len(all)-2]
	fork := rebuild(t, file, func(p piece) [][]byte {
		out := [][]byte{file[p.head:p.end]}
		if p == last {
			out = append(out, append(binary.AppendUvarint([]byte{11}, uint64(len(proof))), proof...))
		}
		return out
	})
	for _, f := range run(t, fork, true).Findings {
		fmt.Fprintf(&found, "%s %s %s\n", f.Level, f.Code, f.Place)
	}
	return []txtar.File{
		{Name: "good.base64", Data: wrap(file)},
		{Name: "pieces.txt", Data: []byte(kinds.String())},
		{Name: "heads.txt", Data: []byte(heads.String())},
		{Name: "changes.txt", Data: changed(t, changes, file)},
		{Name: "evidence.hex", Data: []byte(hex.EncodeToString(proof) + "\n")},
		{Name: "evidence.txt", Data: []byte(found.String())},
	}
}

// changed computes what comes of each change in the list.
func changed(t *testing.T, list string, file []byte) []byte {
	known := map[line.Party][32]byte{}
	for _, p := range run(t, file, false).Parties {
		h, err := hex.DecodeString(p.Root)
		ok(t, err)
		known[p.Code] = [32]byte(h)
	}
	var out strings.Builder
	for _, l := range strings.Split(strings.TrimSpace(list), "\n") {
		var at int
		var to byte
		var how string
		if _, err := fmt.Sscanf(l, "%x %x %s", &at, &to, &how); err != nil || at >= len(file) {
			t.Fatalf("change %q: %v", l, err)
		}
		bad := bytes.Clone(file)
		bad[at] = to
		if how == "repaired" {
			repair(bad)
		}
		r, err := audit.Run(t.Context(), bytes.NewReader(bad), audit.Options{Deep: true, Roots: known})
		what := "unreadable"
		if err == nil {
			what = "sound"
			for _, f := range r.Findings {
				if f.Level == audit.Fault && f.Code != "changed" || what == "sound" {
					what = f.Code
					break
				}
			}
		}
		fmt.Fprintf(&out, "%x %02x %s %s\n", at, to, how, what)
	}
	return []byte(out.String())
}

// newVectors makes the exports, and a list of changes: one in every piece, and
// one of the end's hash.
func newVectors(t *testing.T) []byte {
	w, _, cn := small(t)
	good := export(t, w, nil)
	other := tlog.LeafHash([]byte("what US was told"))
	proof, err := tlog.NewEvidence(tlog.TwoEntries, cn.ID, 2,
		tlog.Claim{Hash: other, Sig: tlog.SignEntry(w.Parties[1].Stations[0].Log, cn.ID, 2, other)},
		tlog.Claim{Hash: cn.Entries[2].Hash, Sig: cn.Entries[2].Sig}).Marshal()
	ok(t, err)
	proof = append([]byte{1, 0, 0, 0, 1}, proof...)
	var list strings.Builder
	for _, p := range pieces(t, good) {
		if at := (p.body + p.end) / 2; p.kind != 13 {
			fmt.Fprintf(&list, "%x %02x repaired ?\n", at, good[at]^1)
		}
	}
	fmt.Fprintf(&list, "%x %02x as-is ?\n", len(good)-1, good[len(good)-1]^1)
	return txtar.Format(&txtar.Archive{Comment: []byte(vectorsAbout), Files: described(t, good, proof, list.String())})
}
