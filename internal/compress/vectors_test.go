package compress

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

const vectors = "../../spec/vectors/11-compression.txtar"

// readVectors returns the vector file's members as name and trimmed body.
func readVectors(t *testing.T) map[string]string {
	t.Helper()
	a, err := txtar.ParseFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range a.Files {
		out[f.Name] = strings.TrimSuffix(string(f.Data), "\n")
	}
	return out
}

// A dictionary that changed its bytes would make every message kept so far
// unreadable.
func TestVectorDictionaries(t *testing.T) {
	var got strings.Builder
	for d, file := range []string{latin, chinese, russian, arabic} {
		fmt.Fprintf(&got, "%d %d %x\n", d+1, len(file), sha256.Sum256([]byte(file)))
	}
	if want := readVectors(t)["dictionaries"] + "\n"; got.String() != want {
		t.Errorf("dictionaries are frozen; give a new vocabulary a new number. Got\n%swant\n%s", &got, want)
	}
}

func TestVectorTexts(t *testing.T) {
	n := 0
	for name, body := range readVectors(t) {
		if !strings.HasPrefix(name, "text ") && !strings.HasPrefix(name, "refuse ") {
			continue
		}
		n++
		fields := strings.SplitN(body, "\n", 4)
		if len(fields) != 4 {
			t.Fatalf("%s: want dictionary, limit, data and text or error", name)
		}
		dict, err1 := strconv.ParseUint(fields[0], 10, 8)
		limit, err2 := strconv.Atoi(fields[1])
		data, err3 := hex.DecodeString(fields[2])
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := Decompress(uint8(dict), data, limit)
		if strings.HasPrefix(name, "text ") {
			if err != nil || text != fields[3] {
				t.Errorf("%s: %q, %v", name, text, err)
			}
			continue
		}
		reason := map[string]error{"dictionary": ErrDictionary, "corrupt": ErrCorrupt, "too long": ErrTooLong}[fields[3]]
		if reason == nil || !errors.Is(err, reason) {
			t.Errorf("%s: %v, want %q", name, err, fields[3])
		}
	}
	if n < 10 {
		t.Errorf("%d vectors", n)
	}
}
