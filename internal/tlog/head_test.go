package tlog

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"herald/internal/line"
)

func testKey(b byte) (ed25519.PrivateKey, ed25519.PublicKey) {
	priv := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32))
	return priv, priv.Public().(ed25519.PublicKey)
}

var (
	testLine = line.ID{1, 2, 3}
	testLog  = line.NewLogID(testLine, "US", 1)
	testTime = uint64(1_800_000_000)
)

func TestEntrySignatureBindsEverything(t *testing.T) {
	priv, pub := testKey(1)
	_, stranger := testKey(2)
	leaf := LeafHash([]byte("entry"))
	sig := SignEntry(priv, testLog, 7, leaf)
	if !VerifyEntry(pub, testLog, 7, leaf, sig) {
		t.Fatal("a good signature was refused")
	}
	bad := sig
	bad[10] ^= 1
	for what, ok := range map[string]bool{
		"another log":         VerifyEntry(pub, line.NewLogID(testLine, "US", 2), 7, leaf, sig),
		"another seq":         VerifyEntry(pub, testLog, 8, leaf, sig),
		"another leaf":        VerifyEntry(pub, testLog, 7, LeafHash(nil), sig),
		"another key":         VerifyEntry(stranger, testLog, 7, leaf, sig),
		"a short key":         VerifyEntry(pub[:31], testLog, 7, leaf, sig),
		"no key":              VerifyEntry(nil, testLog, 7, leaf, sig),
		"a changed signature": VerifyEntry(pub, testLog, 7, leaf, bad),
	} {
		if ok {
			t.Errorf("verified with %s", what)
		}
	}
}

func TestHeadAndCosignatureBindEverything(t *testing.T) {
	priv, pub := testKey(1)
	head := headOf(leafHashes(5, 0))
	other := Head{head.Size + 1, head.Root}
	sig, cosig := SignHead(priv, testLog, head), Cosign(priv, testLog, head, testTime)
	if !VerifyHead(pub, testLog, head, sig) || !VerifyCosign(pub, testLog, head, testTime, cosig) {
		t.Fatal("a good signature was refused")
	}
	for what, ok := range map[string]bool{
		"head: another size":           VerifyHead(pub, testLog, other, sig),
		"head: another root":           VerifyHead(pub, testLog, Head{head.Size, EmptyRoot()}, sig),
		"head: another log":            VerifyHead(pub, line.LogID{}, head, sig),
		"head: signed as cosignature":  VerifyHead(pub, testLog, head, cosig),
		"cosig: another size":          VerifyCosign(pub, testLog, other, testTime, cosig),
		"cosig: another time":          VerifyCosign(pub, testLog, head, testTime+1, cosig),
		"cosig: another log":           VerifyCosign(pub, line.LogID{}, head, testTime, cosig),
		"cosig: signed as head":        VerifyCosign(pub, testLog, head, testTime, sig),
		"cosig: a key of wrong length": VerifyCosign(pub[1:], testLog, head, testTime, cosig),
	} {
		if ok {
			t.Error("verified", what)
		}
	}
}

func TestCosignerNamesDiffer(t *testing.T) {
	names := map[string]string{}
	for what, name := range map[string]string{
		"base":       CosignerName(testLine, "US", 1),
		"line":       CosignerName(line.ID{}, "US", 1),
		"party":      CosignerName(testLine, "USA", 1),
		"generation": CosignerName(testLine, "US", 2),
		"log":        Origin(testLog),
	} {
		if names[name] != "" {
			t.Errorf("%s and %s have one name", what, names[name])
		}
		names[name] = what
	}
}

// testNote has the log's signature, the peer's cosignature and a witness's.
func testNote(t *testing.T) (msg []byte, head Head, cosigs []NoteCosig) {
	t.Helper()
	logPriv, logPub := testKey(1)
	head = headOf(leafHashes(5, 0))
	for i, name := range []string{CosignerName(testLine, "CN", 1), "witness.example/neutral"} {
		priv, pub := testKey(byte(10 + i))
		at := testTime + uint64(i)
		cosigs = append(cosigs, NoteCosig{name, pub, at, Cosign(priv, testLog, head, at)})
	}
	msg, err := FormatNote(testLog, head, logPub, SignHead(logPriv, testLog, head), cosigs)
	if err != nil {
		t.Fatal(err)
	}
	return msg, head, cosigs
}

func TestForeignToolsAcceptOurNotes(t *testing.T) {
	msg, head, cosigs := testNote(t)
	_, logPub := testKey(1)
	v, err := note.NewVerifier(LogKey(testLog, logPub))
	if err != nil {
		t.Fatal(err)
	}
	verifiers := []note.Verifier{v}
	for _, c := range cosigs {
		v, err := fnote.NewVerifierForCosignatureV1(CosignerKey(c.Name, c.Pub))
		if err != nil {
			t.Fatal(err)
		}
		verifiers = append(verifiers, v)
	}
	n, err := note.Open(msg, note.VerifierList(verifiers...))
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Sigs) != 3 || len(n.UnverifiedSigs) != 0 || n.Text != CheckpointText(testLog, head) {
		t.Fatalf("%d verified, %d not, text %q", len(n.Sigs), len(n.UnverifiedSigs), n.Text)
	}
	at, err := fnote.CoSigV1Timestamp(n.Sigs[1])
	if err != nil || !at.Equal(time.Unix(int64(testTime), 0)) {
		t.Fatalf("their time of our cosignature: %v, %v", at, err)
	}
}

// A witness runs other software: its cosignature must be good here.
func TestForeignCosignatureIsAccepted(t *testing.T) {
	skey, vkey, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{9}, 64)), "witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	if vkey, err = fnote.VKeyToCosignatureV1(vkey); err != nil {
		t.Fatal(err)
	}
	head := headOf(leafHashes(3, 0))
	msg, err := note.Sign(&note.Note{Text: CheckpointText(testLog, head)}, signer)
	if err != nil {
		t.Fatal(err)
	}
	n, err := ParseNote(msg)
	if err != nil || n.Log != testLog || n.Head != head {
		t.Fatalf("%+v, %v", n, err)
	}
	name, pub, err := ParseCosignerKey(vkey)
	if err != nil || name != "witness.example/w1" {
		t.Fatalf("witness key %s: %q, %v", vkey, name, err)
	}
	c, ok := n.Cosig(name, pub)
	if !ok || !VerifyCosign(pub, testLog, head, c.Time, c.Sig) {
		t.Fatal("a foreign witness's cosignature was refused")
	}
}

func TestParseNoteFindsOnlyGoodSignatures(t *testing.T) {
	msg, head, cosigs := testNote(t)
	_, logPub := testKey(1)
	_, stranger := testKey(3)
	n, err := ParseNote(msg)
	if err != nil || n.Log != testLog || n.Head != head || len(n.Sigs) != 3 {
		t.Fatalf("%+v, %v", n, err)
	}
	if sig, ok := n.LogSig(logPub); !ok || !VerifyHead(logPub, testLog, head, sig) {
		t.Error("the log's signature was not found")
	}
	for _, c := range cosigs {
		if got, ok := n.Cosig(c.Name, c.Pub); !ok || got.Time != c.Time || got.Sig != c.Sig {
			t.Errorf("cosignature by %s: %+v, %v", c.Name, got, ok)
		}
	}
	if _, ok := n.LogSig(stranger); ok {
		t.Error("found a stranger's log signature")
	}
	if _, ok := n.Cosig(cosigs[0].Name, cosigs[1].Pub); ok {
		t.Error("found one cosigner's signature under another's name")
	}
	n.Head.Size++
	if _, ok := n.LogSig(logPub); ok {
		t.Error("the log's signature held for another head")
	}
	if _, ok := n.Cosig(cosigs[0].Name, cosigs[0].Pub); ok {
		t.Error("a cosignature held for another head")
	}
}

func TestCosigTakesTheLatestGoodOne(t *testing.T) {
	priv, pub := testKey(5)
	_, logPub := testKey(1)
	head := headOf(leafHashes(2, 0))
	forged := NoteCosig{"w", pub, testTime + 99, [64]byte{1}}
	old := NoteCosig{"w", pub, testTime, Cosign(priv, testLog, head, testTime)}
	late := NoteCosig{"w", pub, testTime + 5, Cosign(priv, testLog, head, testTime+5)}
	msg, err := FormatNote(testLog, head, logPub, [64]byte{}, []NoteCosig{old, late, forged})
	if err != nil {
		t.Fatal(err)
	}
	n, err := ParseNote(msg)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := n.Cosig("w", pub); !ok || c.Time != testTime+5 {
		t.Errorf("got time %d, %v", c.Time, ok)
	}
}

func TestCheckpointTextHasOneSpelling(t *testing.T) {
	good := CheckpointText(testLog, Head{12, EmptyRoot()})
	if _, _, err := ParseCheckpointText(good); err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]string{
		"extension line":  good + "more\n",
		"no last newline": strings.TrimSuffix(good, "\n"),
		"leading zero":    strings.Replace(good, "\n12\n", "\n012\n", 1),
		"plus sign":       strings.Replace(good, "\n12\n", "\n+12\n", 1),
		"negative":        strings.Replace(good, "\n12\n", "\n-12\n", 1),
		"too large":       strings.Replace(good, "\n12\n", "\n9007199254740993\n", 1),
		"upper case":      "herald/" + strings.ToUpper(good[7:71]) + good[71:],
		"other origin":    strings.Replace(good, "herald/", "example/", 1),
		"short origin":    strings.Replace(good, testLog.String(), testLog.String()[2:], 1),
		"base64 bits":     strings.Replace(good, "U=\n", "V=\n", 1),
		"carriage return": strings.Replace(good, "\n12", "\r\n12", 1),
	} {
		if bad == good {
			t.Fatalf("%s: the test changes nothing", what)
		}
		if _, _, err := ParseCheckpointText(bad); err == nil {
			t.Errorf("accepted with %s", what)
		}
	}
}

func TestFormatNoteRefusesNamesThatBreakNotes(t *testing.T) {
	_, pub := testKey(1)
	for _, name := range []string{"", "a b", "a\nb", "a+b", "a\u00a0b", "a\x00b", "\xff"} {
		if _, err := FormatNote(testLog, Head{}, pub, [64]byte{}, []NoteCosig{{Name: name, Pub: pub}}); err == nil {
			t.Errorf("accepted the name %q", name)
		}
	}
}

func TestParseCosignerKeyRefusesDamage(t *testing.T) {
	_, pub := testKey(1)
	good := CosignerKey("witness.example/w", pub)
	if _, _, err := ParseCosignerKey(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		b := []byte(good)
		b[i] ^= 1
		if _, _, err := ParseCosignerKey(string(b)); err == nil {
			t.Errorf("accepted %q", b)
		}
	}
	if _, _, err := ParseCosignerKey(LogKey(testLog, pub)); err == nil {
		t.Error("accepted a log's key as a witness's")
	}
}

func FuzzParseNote(f *testing.F) {
	priv, pub := testKey(1)
	head := headOf(leafHashes(5, 0))
	msg, err := FormatNote(testLog, head, pub, SignHead(priv, testLog, head),
		[]NoteCosig{{"w", pub, testTime, Cosign(priv, testLog, head, testTime)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Add([]byte("herald/\n1\n\n\n\n— a AAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseNote(b)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, []byte(CheckpointText(n.Log, n.Head)+"\n")) {
			t.Fatalf("read %+v from %q", n.Head, b)
		}
		// The key never signed any other head in this test.
		if _, ok := n.LogSig(pub); ok && (n.Head != head || n.Log != testLog) {
			t.Fatalf("forged %+v", n)
		}
		n.Cosig("w", pub)
	})
}
