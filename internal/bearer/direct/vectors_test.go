package direct

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// describe reads a stream to its end and says what is in it, as the vectors do.
func describe(stream []byte) (said string, err error) {
	r := bufio.NewReader(bytes.NewReader(stream))
	var out strings.Builder
	for {
		n, isControl, err := readHeader(r)
		if err == io.EOF {
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return out.String(), io.ErrUnexpectedEOF
		}
		if !isControl {
			said := fmt.Sprintf("%x", body)
			if same := bytes.Count(body, body[:1]); same == n && n > 8 {
				said = fmt.Sprintf("%x*%d", body[:1], n)
			}
			fmt.Fprintf(&out, "frame %s\n", said)
			continue
		}
		c, err := parseControl(body)
		switch {
		case err != nil:
			return out.String(), err
		case c.kind == kindPing:
			fmt.Fprintf(&out, "ping %d\n", c.number)
		case c.kind == kindPong:
			fmt.Fprintf(&out, "pong %d %d\n", c.number, c.clock/time.Microsecond)
		default:
			fmt.Fprintf(&out, "unknown %d\n", c.kind)
		}
	}
}

// unhex reads hexadecimal in which "xx*N" stands for a byte N times.
func unhex(t *testing.T, s string) (b []byte) {
	t.Helper()
	for _, word := range strings.Fields(s) {
		digits, count, repeated := strings.Cut(word, "*")
		part, err := hex.DecodeString(digits)
		n := 1
		if err == nil && repeated {
			_, err = fmt.Sscan(count, &n)
		}
		if err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		b = append(b, bytes.Repeat(part, n)...)
	}
	return b
}

func TestVectors(t *testing.T) {
	a, err := txtar.ParseFile("../../../spec/vectors/09-direct.txtar")
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]string{}
	for _, f := range a.Files {
		members[f.Name] = string(f.Data)
	}
	stream := unhex(t, members["stream.hex"])
	said, err := describe(stream)
	if err != nil || said != members["stream.frames"] {
		t.Errorf("the stream was read as\n%s%v", said, err)
	}
	var again []byte
	for line := range strings.Lines(members["stream.frames"]) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var n, us int64
		switch word {
		case "frame":
			again = appendFrame(again, unhex(t, rest))
			continue
		case "ping", "pong":
			if k, _ := fmt.Sscan(rest, &n, &us); k == 0 {
				t.Fatalf("%q has no number", line)
			}
			kind := map[string]uint8{"ping": kindPing, "pong": kindPong}[word]
			again = appendControl(again, control{kind: kind, number: uint64(n), clock: time.Duration(us) * time.Microsecond})
		default:
			again = append(again, unhex(t, members["unknown.hex"])...)
		}
	}
	if !bytes.Equal(again, stream) {
		t.Errorf("the frames were written as\n%.200x…", again)
	}
	refused := strings.Split(strings.TrimSpace(members["refused.hex"]), "\n")
	if len(refused) < 10 {
		t.Fatalf("%d streams to refuse", len(refused))
	}
	for _, line := range refused {
		bytes, _, _ := strings.Cut(line, "#")
		if said, err := describe(unhex(t, bytes)); err == nil {
			t.Errorf("%s: was read as\n%s", line, said)
		}
	}
}
