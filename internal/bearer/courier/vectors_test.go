package courier

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	a, err := txtar.ParseFile("../../../spec/vectors/09-courier.txtar")
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]string{}
	for _, f := range a.Files {
		members[f.Name] = string(f.Data)
	}
	for _, name := range []string{"one", "two", "empty"} {
		b := unhex(t, members[name+".hex"])
		p, frames := readAll(t, b)
		var want [][]byte
		for _, line := range strings.Fields(members[name+".frames"]) {
			want = append(want, unhex(t, line))
		}
		if !slices.EqualFunc(frames, want, bytes.Equal) {
			t.Errorf("%s: frames %x", name, frames)
		}
		said := fmt.Sprintf("%v %d last=%t meta=%q\n", p.Bundle, p.Number, p.Last, p.Meta)
		if said != members[name+".header"] {
			t.Errorf("%s: header %s", name, said)
		}
		if p.Number == 1 && p.Last {
			m := newMedium()
			if _, err := Write(m.create, p.Bundle, p.Meta, 0, slices.Values(frames)); err != nil || !bytes.Equal(m.pieces[1].Bytes(), b) {
				t.Errorf("%s: is written as %x, %v", name, m.pieces[1].Bytes(), err)
			}
		}
	}
	refused := strings.Split(strings.TrimSpace(members["refused.hex"]), "\n")
	if len(refused) < 8 {
		t.Fatalf("%d pieces to refuse", len(refused))
	}
	for _, line := range refused {
		piece, why, _ := strings.Cut(line, "#")
		if _, err := Open(bytes.NewReader(unhex(t, piece))); err == nil {
			t.Errorf("taken:%s", why)
		}
	}
}
