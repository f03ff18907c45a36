package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/tools/txtar"

	"herald/internal/compress"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/tlog"
	"herald/internal/wire"
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

func (v *vectors) hex(name string, b []byte) { v.text(name+".hex", hex.EncodeToString(b)+"\n") }

// cbor adds the bytes, and what they say in diagnostic notation (RFC 8949 §8).
func (v *vectors) cbor(name string, b []byte) {
	v.t.Helper()
	diag, err := cbor.Diagnose(b)
	if err != nil {
		v.t.Fatal(err)
	}
	v.hex(name, b)
	v.text(name+".diag", diag+"\n")
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

func TestVectorsMessages(t *testing.T) {
	v := openVectors(t, "05-messages.txtar", `Vectors for spec 05. NAME.hex is the deterministic encoding, NAME.diag the same
in diagnostic notation. Lengths and hashes are of the right size and otherwise
made up, but for the released message: it is entry 107 of the log of
04-log.txtar, sealed in the epoch of 06-epoch.txtar, released by officers 7 and
300, whose Ed25519 seeds are 32 bytes of 07 and of 2c. Its marks say that US had
300 entries of CN's log. The charter's version is 1.

refused.txt: a structure of the samples' name, what is wrong with it, and bytes
that a decoder must refuse. texts.txt: a text as a JSON string, and whether it
may stand in a message.

`)
	all := samples()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != "have" && name != "have-nothing" && name != "hello" && name != "want-blob" && name != "chunk" {
			v.cbor(name, all[name])
		}
	}
	s := speak(t, wire.Inner{
		Kind: wire.KindMessage, Flags: wire.NewFlags(line.Flash, line.Exercise, 0), Number: 598,
		Content: wire.Marshal(wire.Message{Text: []byte("Is your vessel at anchor?")}),
	}, 107, []wire.Mark{{Gen: 1, Size: 300}}, 7, 300)
	v.cbor("released-inner", wire.Marshal(s.inner))
	v.cbor("released-signed-part", s.inner.SignedPart())
	v.hex("released-statement", s.statement)
	v.hex("released-releases", s.inner.Releases)
	v.cbor("released-context", s.entry.Context())
	v.cbor("released-entry", s.signed.Leaf)
	leaf := tlog.LeafHash(s.signed.Leaf)
	v.hex("released-leaf-hash", leaf[:])
	v.hex("released-signature", s.signed.Sig[:])
	v.text("refused.txt", refusedVectors(t))
	v.text("texts.txt", textVectors(t))
	v.done()
}

// The released message holds together: officers, leaf and signature.
func TestReleasedVectorVerifies(t *testing.T) {
	s := speak(t, wire.Inner{Kind: wire.KindMessage, Content: wire.Marshal(wire.Message{Text: []byte("x")})}, 107, []wire.Mark{{Gen: 1}}, 7, 300)
	rel, err := keys.ParseReleases(s.inner.Releases)
	if err != nil || len(rel) != 2 {
		t.Fatal(rel, err)
	}
	for _, r := range rel {
		pub := ed25519.NewKeyFromSeed(fill(byte(r.Officer), 32)).Public().(ed25519.PublicKey)
		if !ed25519.Verify(pub, s.statement, r.Sig) {
			t.Errorf("officer %d", r.Officer)
		}
	}
	sum := sha256.Sum256(s.inner.SignedPart())
	if !bytes.HasSuffix(s.statement, sum[:]) {
		t.Error("the statement does not end with the content's hash")
	}
}

func refusedVectors(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	all := samples()
	for _, name := range []string{"entry", "epoch-that-closes", "inner", "message", "got", "attendance"} {
		other := loosen(all[name])
		delete(other, "nothing")
		for _, what := range slices.Sorted(maps.Keys(other)) {
			if err := parsers[name](other[what]); err == nil {
				t.Errorf("%s with %s is taken", name, what)
			}
			fmt.Fprintf(&b, "%s: %s: %x\n", name, what, other[what])
		}
	}
	fmt.Fprintf(&b, "entry: generation 1 in the long form: %s\n", "8407004178818201"+"05")
	fmt.Fprintf(&b, "entry: marks for two other parties: %s\n", "840700417882"+"0505")
	fmt.Fprintf(&b, "message: text alone, in the long form: %s\n", "a1004178")
	fmt.Fprintf(&b, "message: an empty field: %s\n", "a20162656e0560")
	for row := range strings.Lines(b.String()) {
		f := strings.Split(strings.TrimSuffix(row, "\n"), ": ")
		raw, err := hex.DecodeString(f[2])
		if err != nil || parsers[f[0]](raw) == nil {
			t.Errorf("not refused: %s", row)
		}
	}
	return b.String()
}

func textVectors(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, s := range []string{
		"", "Is your vessel at anchor?", "two\nlines, one\ttab", "你的船在锚地吗？", "هل سفينتكم راسية؟", "судно ⚓ 🚢",
		"zero width joiner \u200d stays", "left-to-right mark \u200e stays",
		"carriage return\r\n", "bell\a", "escape \x1b[31m", "delete \x7f", "next line \u0085", "line separator \u2028",
		"override \u202e", "embedding \u202a", "isolate \u2066", "tag \U000e0041",
	} {
		word := "taken"
		if wire.CheckText(s, wire.MaxText) != nil {
			word = "refused"
		}
		fmt.Fprintf(&b, "%s %s\n", word, inASCII(t, s))
	}
	return b.String()
}

// inASCII writes a JSON string whose every character can be seen.
func inASCII(t *testing.T, s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		if u < 0x20 || u > 0x7e || u == '"' || u == '\\' {
			fmt.Fprintf(&b, "\\u%04x", u)
		} else {
			b.WriteByte(byte(u))
		}
	}
	quoted := `"` + b.String() + `"`
	var back string
	if err := json.Unmarshal([]byte(quoted), &back); err != nil || back != s {
		t.Errorf("%q became %s", s, quoted)
	}
	return quoted
}

func TestVectorsSession(t *testing.T) {
	v := openVectors(t, "08-session.txtar", `Vectors for spec 08: every frame, with its type, urgent bit and channel. For
payloads in CBOR, NAME.diag has the payload in diagnostic notation. Hashes and
signatures are made up, but for the entry's, which is that of 05-messages.txtar.
refused.txt: frames that a decoder must refuse, and why.

`)
	all := samples()
	frame := func(name string, typ wire.FrameType, urgent bool, channel uint64, payload []byte) []byte {
		b := wire.Frame{Type: typ, Urgent: urgent, Channel: channel, Payload: payload}.Append(nil)
		if f, err := wire.ParseFrame(b); err != nil || f.Type != typ || f.Urgent != urgent || f.Channel != channel {
			t.Fatalf("%s: %+v, %v", name, f, err)
		}
		v.hex(name, b)
		return b
	}
	inCBOR := func(name string, typ wire.FrameType, urgent bool, channel uint64, payload []byte) {
		frame(name, typ, urgent, channel, payload)
		diag, err := cbor.Diagnose(payload)
		if err != nil {
			t.Fatal(err)
		}
		v.text(name+".diag", diag+"\n")
	}
	inCBOR("1-hello", wire.FrameHello, true, 1, all["hello"])
	inCBOR("2-have", wire.FrameHave, true, 1, all["have-nothing"])
	s := speak(t, wire.Inner{
		Kind: wire.KindMessage, Flags: wire.NewFlags(line.Flash, line.Exercise, 0), Number: 598,
		Content: wire.Marshal(wire.Message{Text: []byte("Is your vessel at anchor?")}),
	}, 107, []wire.Mark{{Gen: 1, Size: 300}}, 7, 300)
	frame("3-entry", wire.FrameEntry, true, 1, s.signed.Append(nil))
	sig := [64]byte(fill(0x51, 64))
	far := line.Log{Party: 11, Gen: 20}
	frame("3-entry-of-generation-20-on-channel-300", wire.FrameEntry, false, 300,
		wire.SignedEntry{Pos: line.Pos{Log: far, Seq: 400}, Sig: sig, Leaf: all["entry"]}.Append(nil))
	frame("4-head", wire.FrameHead, true, 1, wire.Head{Log: line.Log{Gen: 1}, Size: 108, Root: line.Hash(fill(0x70, 32)), Sig: sig}.Append(nil))
	frame("5-cosignature", wire.FrameCosig, true, 1,
		wire.Cosig{Log: line.Log{Gen: 1}, Size: 108, Signer: line.Log{Party: 1, Gen: 2}, Time: 1_686_000_000, Sig: sig}.Append(nil))
	frame("6-want-card", wire.FrameWantCard, false, 1, fill(0xca, 32))
	frame("7-card", wire.FrameCard, false, 1, []byte("herald-card/1\n(the signed note)"))
	inCBOR("8-want-chunks", wire.FrameWantBlob, false, 1, all["want-blob"])
	inCBOR("9-chunk", wire.FrameChunk, false, 1, all["chunk"])
	frame("11-refuse", wire.FrameRefuse, true, 1, []byte("the charters differ"))
	have := wire.Frame{Type: wire.FrameHave, Urgent: true, Channel: 1, Payload: all["have"]}.Append(nil)
	v.hex("frame-to-be-cut", have)
	for i, from := range []int{0, 40} {
		to := min(from+40, len(have))
		p := []byte{5}
		p = append(appendUvarint(appendUvarint(p, uint64(from)), uint64(len(have))), have[from:to]...)
		frame(fmt.Sprintf("12-part-%d-of-2", i+1), wire.FramePart, true, 0, p)
		if id, off, total, data, err := wire.ParsePart(p); err != nil || id != 5 || off != uint64(from) || total != uint64(len(have)) || !bytes.Equal(data, have[from:to]) {
			t.Errorf("part %d: %v", i+1, err)
		}
	}
	v.text("refused.txt", refusedFrames(t))
	v.done()
}

func appendUvarint(b []byte, n uint64) []byte {
	for ; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

func refusedFrames(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	sig, root := hex.EncodeToString(fill(0x51, 64)), hex.EncodeToString(fill(0x70, 32))
	for _, row := range []string{
		"a type alone: 03",
		"the channel in a long form: 038100" + "11056c",
		"an entry without leaf: 83011105" + sig,
		"an entry of generation 0: 83011005" + sig + "6c",
		"an entry of generation 14 in the long form: 83011f0e05" + sig + "6c",
		"an entry with its seq in a long form: 8301118500" + sig + "6c",
		"a head with a byte behind: 84010105" + root + sig + "00",
		"a cosignature without its time: 8501010511" + sig,
		"a part of nothing: 8c00010005",
		"a part beyond the frame's end: 8c00010305616263",
		"a part of a frame of 65537 bytes: 8c000100818004" + "61",
		"a summary that is null: 8201f6",
		"a summary with a range that touches the prefix: 8201a1018186000105818205060480",
	} {
		b, err := hex.DecodeString(row[strings.LastIndex(row, " ")+1:])
		if err != nil {
			t.Fatal(row, err)
		}
		if parseWhole(b) == nil {
			t.Errorf("not refused: %s", row)
		}
		out.WriteString(row + "\n")
	}
	return out.String()
}

// parseWhole reads a frame and its payload.
func parseWhole(b []byte) error {
	f, err := wire.ParseFrame(b)
	if err != nil {
		return err
	}
	switch f.Type {
	case wire.FrameHello:
		_, err = wire.ParseHello(f.Payload)
	case wire.FrameHave:
		_, err = wire.ParseHave(f.Payload)
	case wire.FrameEntry:
		_, err = wire.ParseSignedEntry(f.Payload)
	case wire.FrameHead:
		_, err = wire.ParseHead(f.Payload)
	case wire.FrameCosig:
		_, err = wire.ParseCosig(f.Payload)
	case wire.FramePart:
		_, _, _, _, err = wire.ParsePart(f.Payload)
	}
	return err
}

// The limits of spec 03 §2 are those of the code.
func TestVectorsLimits(t *testing.T) {
	a, err := txtar.ParseFile("../../spec/vectors/03-names.txtar")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{
		"parties": line.MaxParties, "entry": wire.MaxEntry, "frame": wire.MaxFrame, "text": wire.MaxText,
		"references": wire.MaxRefs, "attachments": wire.MaxBlobs, "attachment": wire.MaxBlob, "subject": wire.MaxSubject,
		"name": wire.MaxName, "stated": wire.MaxStated, "ranges": wire.MaxRanges, "logs": wire.MaxLogs,
		"log": tlog.MaxSize, "evidence": tlog.MaxEvidence, "card": keys.MaxCard, "note": keys.MaxNote, "releases": keys.MaxReleases,
		"dictionaries": uint64(compress.Arabic),
	}
	for _, f := range a.Files {
		if f.Name != "limits.txt" {
			continue
		}
		for row := range strings.Lines(string(f.Data)) {
			var name string
			var n uint64
			if _, err := fmt.Sscan(row, &name, &n); err != nil || want[name] != n {
				t.Errorf("%s: the code has %d", strings.TrimSpace(row), want[name])
			}
			delete(want, name)
		}
	}
	for name := range want {
		t.Errorf("%s is not in the file", name)
	}
}
