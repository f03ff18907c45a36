package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"herald/internal/audit"
	"herald/internal/audit/audittest"
	"herald/internal/charter"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// TestBasis: a record is said to rest on no more than what is in the file.
func TestBasis(t *testing.T) {
	witness := ed25519.NewKeyFromSeed(make([]byte, 32))
	name := "observer.example/1"
	w, err := audittest.New(2, func(c *charter.Terms) {
		c.Threshold, c.Witnesses = 1, []string{tlog.CosignerKey(name, witness.Public().(ed25519.PublicKey))}
	}, "US", "CN", "KR")
	ok(t, err)
	us, err := w.Open(0, nil)
	ok(t, err)
	us.Head()
	us.Cosign(1)
	ok(t, us.Say(wire.KindMessage, wire.Message{Text: []byte("Hello.")}, 0))

	r := run(t, export(t, w, nil), true)
	wantFinding(t, r, "headless")
	text := r.String()
	for _, want := range []string{
		"CN cosigned that it holds the first 2 of 3 entries. The last 1 are US's claim alone.",
		"without any cosignature of KR. Towards KR its 3 entries are US's claim alone.",
		"No neutral witness has cosigned",
		"TAKEN FROM THE FILE",
		"Safety words CN–KR",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}

	us.Head()
	us.Witness(name, witness)
	us.Witness("stranger.example/1", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)))
	r, err = audit.Run(t.Context(), bytes.NewReader(export(t, w, nil)), audit.Options{Roots: roots(w)})
	ok(t, err)
	wantFinding(t, r, "witness-unknown")
	text = r.String()
	if !r.Sound || strings.Contains(text, "No neutral witness") || strings.Contains(text, "TAKEN FROM") || !strings.Contains(text, "neutral witness observer.example/1 cosigned 3 of 3") {
		t.Errorf("a witness has cosigned, and the roots are known, but:\n%s", text)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestRoots(t *testing.T) {
	w, _, _ := small(t)
	known := roots(w)
	known["CN"] = [32]byte{1}
	r, err := audit.Run(t.Context(), bytes.NewReader(export(t, w, nil)), audit.Options{Roots: known})
	ok(t, err)
	wantFinding(t, r, "root")
}

// TestFork: proof of two histories is verified, and the log is not sound. The
// same claim without proof is a fault of the file.
func TestFork(t *testing.T) {
	w, us, cn := small(t)
	key := w.Parties[1].Stations[0].Log
	other := tlog.LeafHash([]byte("what US was told"))
	claim := tlog.Claim{Hash: other, Sig: tlog.SignEntry(key, cn.ID, 2, other)}
	held := tlog.Claim{Hash: cn.Entries[2].Hash, Sig: cn.Entries[2].Sig}
	proof, err := tlog.NewEvidence(tlog.TwoEntries, cn.ID, 2, claim, held).Marshal()
	ok(t, err)
	r := run(t, export(t, w, func(x *audit.Writer) error { return x.Evidence(cn.Log, proof) }), false)
	if f := wantFinding(t, r, "two-histories"); !strings.Contains(f.Text, "CN's log key signed two histories") {
		t.Error(f)
	}
	bad := bytes.Clone(proof)
	bad[len(bad)-1] ^= 1
	wantFinding(t, run(t, export(t, w, func(x *audit.Writer) error { return x.Evidence(cn.Log, bad) }), false), "evidence")

	// In an entry: the proof counts wherever it stands, and what proves nothing
	// is its author's defect.
	ok(t, us.Seal(wire.Inner{Kind: wire.KindEvidence, Content: wire.Marshal(wire.Notice{Party: 1, Proof: bad})}, audittest.Start))
	us.Head()
	wantFinding(t, run(t, export(t, w, nil), true), "evidence")
	ok(t, us.Seal(wire.Inner{Kind: wire.KindEvidence, Content: wire.Marshal(wire.Notice{Party: 1, Proof: proof})}, audittest.Start))
	us.Head()
	wantFinding(t, run(t, export(t, w, nil), true), "two-histories")
}

// TestRestored: a party restores from a backup and opens its second
// generation, which says where the first one closed.
func TestRestored(t *testing.T) {
	for name, test := range map[string]struct {
		closes func(*wire.Closes) *wire.Closes
		card   func(*keys.Closing)
		want   string // finding; "" for none
	}{
		"well":         {},
		"silent":       {closes: func(*wire.Closes) *wire.Closes { return nil }, want: "opening"},
		"another root": {closes: func(c *wire.Closes) *wire.Closes { return &wire.Closes{Size: c.Size, Root: make([]byte, 32)} }, want: "closing-root"},
		"card differs": {card: func(c *keys.Closing) { c.Root = line.Hash{} }, want: "closing-root"},
		"shorter":      {closes: func(c *wire.Closes) *wire.Closes { return &wire.Closes{Size: c.Size + 5, Root: c.Root} }, want: "missing-tail"},
	} {
		t.Run(name, func(t *testing.T) {
			w, us, cn := small(t)
			root := us.Tree.Root()
			closes := &wire.Closes{Size: us.Tree.Size(), Root: root[:]}
			ok(t, w.Generation(w.Parties[0]))
			closing := keys.Closing{Line: w.Line, Gen: 1, Size: closes.Size, Root: root}
			if test.card != nil {
				test.card(&closing)
			}
			ok(t, w.Issue(w.Parties[0], func(c *keys.Card) { c.Closings = append(c.Closings, closing) }))
			if test.closes != nil {
				closes = test.closes(closes)
			}
			again, err := w.Open(0, closes)
			ok(t, err)
			again.Head()
			again.Cosign(1)
			ok(t, cn.State(wire.KindGot, again, 1))
			cn.Head()
			r := run(t, export(t, w, nil), true)
			if test.want != "" {
				wantFinding(t, r, test.want)
				return
			}
			if !r.Sound || len(r.Findings) != 0 || r.Ranked != 11 || len(r.Heads) != 3 {
				t.Errorf("a good restore is not found so:\n%s", r)
			}
		})
	}
}

// TestDisowned: the closed generation's key signed on after the closing.
func TestDisowned(t *testing.T) {
	w, us, _ := small(t)
	head := us.Tree.Head()
	ok(t, us.Say(wire.KindMessage, wire.Message{Text: []byte("A thief speaks.")}, 0))
	us.Head()
	ok(t, w.Generation(w.Parties[0]))
	_, err := w.Open(0, &wire.Closes{Size: head.Size, Root: head.Root[:]})
	ok(t, err)
	r := run(t, export(t, w, nil), true)
	wantFinding(t, r, "disowned")
}

// TestGap: an urgent entry beyond a gap is checked by its own signature, and
// what depends on what is missing is unsettled.
func TestGap(t *testing.T) {
	w, us, cn := small(t)
	ok(t, us.Say(wire.KindMessage, wire.Message{Text: []byte("First.")}, 0))
	ok(t, us.Say(wire.KindMessage, wire.Message{Text: []byte("Urgent.")}, 0))
	us.Head()
	us.Cosign(1)
	ok(t, cn.State(wire.KindGot, us, 5))
	cn.Head()
	us.Entries[4].Missing = true
	r := run(t, export(t, w, nil), true)
	wantFinding(t, r, "gap")
	wantFinding(t, r, "missing-tail")
	wantFinding(t, r, "unsettled")
	if !r.Sound || r.Unsettled != 2 || len(r.Heads[0].Ahead) != 1 || r.Heads[0].Ahead[0] != [2]uint64{5, 6} || r.Heads[0].Cosigned[0].Size != 6 {
		t.Errorf("unsettled %d, head %+v:\n%s", r.Unsettled, r.Heads[0], r)
	}
	us.Entries[5].Sig[3] ^= 1
	wantFinding(t, run(t, export(t, w, nil), false), "entry-signature")
}

// TestDefects: what a party seals wrongly is told, and does not make the
// record unsound.
func TestDefects(t *testing.T) {
	text := wire.Message{Text: []byte("Hello.")}
	for name, test := range map[string]struct {
		write func(w *audittest.World, us, cn *audittest.Log) error
		want  string // in the text of a defect
	}{
		"no release":   {func(_ *audittest.World, us, _ *audittest.Log) error { return us.Say(wire.KindMessage, text) }, "released by 0 officers"},
		"a stranger":   {strangerReleases, "who is not on US's card"},
		"another text": {wrongRelease, "does not verify"},
		"repeated":     {repeats, "repeats words"},
		"no content": {func(_ *audittest.World, us, _ *audittest.Log) error {
			return us.Seal(wire.Inner{Kind: wire.KindGot, Content: []byte{0}}, audittest.Start)
		}, "got"},
		"not UTF-8": {func(_ *audittest.World, us, _ *audittest.Log) error {
			return us.Say(wire.KindMessage, wire.Message{Text: []byte{0xff}}, 0)
		}, "UTF-8"},
		"bidi": {func(_ *audittest.World, us, _ *audittest.Log) error {
			return us.Say(wire.KindMessage, wire.Message{Text: []byte("a\u202eb")}, 0)
		}, "U+202E"},
		"another leaf": {func(_ *audittest.World, us, cn *audittest.Log) error {
			cn.Entries[2].Hash[0] ^= 1
			return us.State(wire.KindGot, cn, 2)
		}, "unproven inconsistency"},
		"no such party": {func(_ *audittest.World, us, cn *audittest.Log) error {
			return us.Seal(wire.Inner{Kind: wire.KindGot, Content: wire.Marshal(wire.Statement{Refs: []wire.Ref{{Party: 9, Gen: 1, Leaf: make([]byte, 32)}}})}, audittest.Start)
		}, "a log that the line does not have"},
		"spoilt seal":     {spoilt, "does not open"},
		"revoked officer": {revoked, "revoked or had expired"},
		"a wrong role":    {interprets, "whose role may not release"},
	} {
		t.Run(name, func(t *testing.T) {
			w, us, cn := small(t)
			ok(t, test.write(w, us, cn))
			us.Head()
			us.Cosign(1)
			r := run(t, export(t, w, nil), true)
			if !r.Sound || len(r.Findings) != 1 || r.Findings[0].Level != audit.Defect || !strings.Contains(r.Findings[0].Text, test.want) {
				t.Errorf("want one defect that says %q:\n%s", test.want, r)
			}
		})
	}
}

func strangerReleases(w *audittest.World, us, _ *audittest.Log) error {
	o, err := keys.NewOfficer(w.Rand, "US", keys.RoleWatch, 3)
	us.Party.Officers = append(us.Party.Officers, o)
	return errors.Join(err, us.Say(wire.KindMessage, wire.Message{Text: []byte("Hello.")}, 2))
}

func wrongRelease(w *audittest.World, us, _ *audittest.Log) error {
	in := wire.Inner{Kind: wire.KindMessage, Content: wire.Marshal(wire.Message{Text: []byte("Hello.")})}
	in.Releases = keys.AppendRelease(nil, 1, us.Party.Officers[0].Sign([]byte("something else")))
	return us.Seal(in, audittest.Start)
}

func repeats(w *audittest.World, us, _ *audittest.Log) error {
	in := wire.Inner{Kind: wire.KindMessage, Content: wire.Marshal(wire.Message{Text: []byte("Hello.")})}
	stmt := keys.ReleaseStatement(w.Line, 1, "US", audittest.Start, line.Routine, line.Real, sha256.Sum256(in.SignedPart()))
	in.Releases = keys.AppendRelease(nil, 1, us.Party.Officers[0].Sign(stmt))
	return errors.Join(us.Seal(in, audittest.Start), us.Seal(in, audittest.Start))
}

func spoilt(w *audittest.World, us, _ *audittest.Log) error {
	if err := us.Say(wire.KindMessage, wire.Message{Text: []byte("Hello.")}, 0); err != nil {
		return err
	}
	last := us.Entries[len(us.Entries)-1]
	e, err := wire.ParseEntry(last.Leaf, 2)
	if err != nil {
		return err
	}
	// The same place, but a leaf whose body is another one: signed all the same.
	us.Entries = us.Entries[:len(us.Entries)-1]
	us.Tree, err = tlog.TreeOf(func(i uint64) (line.Hash, error) { return us.Entries[i].Hash, nil }, uint64(len(us.Entries)))
	e.Body[0] ^= 1
	us.Append(wire.Marshal(e))
	us.Entries[len(us.Entries)-1].Key = last.Key
	return err
}

func revoked(w *audittest.World, us, _ *audittest.Log) error {
	err := w.Issue(us.Party, func(c *keys.Card) { c.Officers[0].Revoked = c.Officers[0].From })
	return errors.Join(err, us.Card(), us.Say(wire.KindMessage, wire.Message{Text: []byte("Hello.")}, 0))
}

func interprets(w *audittest.World, us, _ *audittest.Log) error {
	o, err := keys.NewOfficer(w.Rand, "US", keys.RoleInterpreter, 3)
	us.Party.Officers = append(us.Party.Officers, o)
	return errors.Join(err, w.Issue(us.Party, nil), us.Card(), us.Say(wire.KindMessage, wire.Message{Text: []byte("Hello.")}, 2))
}

// TestFaults: what breaks the rules where everybody can see it.
func TestFaults(t *testing.T) {
	mark := func(n uint64) []wire.Mark { return []wire.Mark{{Gen: 1, Size: n}} }
	for name, test := range map[string]struct {
		write func(w *audittest.World, us, cn *audittest.Log)
		want  string
	}{
		"marks shrink": {func(_ *audittest.World, us, _ *audittest.Log) {
			us.Append(wire.Marshal(wire.Entry{Body: wire.Marshal(wire.Epoch{}), After: mark(3)}))
		}, "marks-shrink"},
		"a circle": {func(_ *audittest.World, us, cn *audittest.Log) {
			us.Append(wire.Marshal(wire.Entry{Body: wire.Marshal(wire.Epoch{}), After: mark(5)}))
			cn.Append(wire.Marshal(wire.Entry{Body: wire.Marshal(wire.Epoch{}), After: mark(5)}))
		}, "order-circle"},
		"no entry": {func(_ *audittest.World, us, _ *audittest.Log) { us.Append([]byte("nonsense")) }, "entry-form"},
		"before the log": {func(_ *audittest.World, us, _ *audittest.Log) {
			us.Append(wire.Marshal(wire.Entry{Key: 9, After: mark(4)}))
		}, "entry-form"},
		"closing inside": {func(_ *audittest.World, us, _ *audittest.Log) {
			us.Append(wire.Marshal(wire.Entry{Body: wire.Marshal(wire.Epoch{Closes: &wire.Closes{Root: make([]byte, 32)}}), After: mark(4)}))
		}, "closing-place"},
		"two histories of a head": {func(_ *audittest.World, us, _ *audittest.Log) {
			us.Entries[2] = us.Entries[3] // what the exporter shows instead
		}, "head-root"},
		"a forged cosignature": {func(_ *audittest.World, us, _ *audittest.Log) { us.Signed.Cosigs[0].Time++ }, "cosignature"},
		"a forged head":        {func(_ *audittest.World, us, _ *audittest.Log) { us.Signed.Heads[0].Sig[0] ^= 1 }, "head-signature"},
		"another's key":        {func(_ *audittest.World, us, _ *audittest.Log) { us.Entries[2].Key = us.Entries[3].Key }, "message-key"},
		"other epoch keys":     {func(_ *audittest.World, us, cn *audittest.Log) { us.Entries[0].EpochKeys = cn.Entries[0].EpochKeys }, "epoch-keys"},
		"an unsigned charter":  {func(w *audittest.World, us, cn *audittest.Log) { w.Charter = unsign(t, w.Charter) }, "charter"},
		"no card":              {func(w *audittest.World, _, _ *audittest.Log) { w.Parties[1].Notes = nil }, "card-none"},
		"a false successor": {func(w *audittest.World, us, _ *audittest.Log) {
			ok(t, w.Issue(us.Party, func(c *keys.Card) { c.Officers = nil }))
		}, "card-succession"},
	} {
		t.Run(name, func(t *testing.T) {
			w, us, cn := small(t)
			test.write(w, us, cn)
			us.Head()
			cn.Head()
			if f := wantFinding(t, run(t, export(t, w, nil), true), test.want); f.Level != audit.Fault {
				t.Error(f)
			}
		})
	}
}

// unsign takes away the last party's signatures.
func unsign(t *testing.T, note []byte) []byte {
	lines := strings.SplitAfter(strings.TrimSuffix(string(note), "\n"), "\n")
	return []byte(strings.Join(lines[:len(lines)-2], ""))
}

// TestSealed: without message keys the record is as sound, and nothing is
// opened.
func TestSealed(t *testing.T) {
	w, _, _ := small(t)
	var b bytes.Buffer
	ok(t, w.Export(&b, false, nil))
	r := run(t, b.Bytes(), true)
	if !r.Sound || r.Disclosed || len(r.Counts) != 0 || r.Heads[0].Sealed != 3 || r.Heads[0].Epochs != 1 {
		t.Errorf("%+v\n%s", r.Heads[0], r)
	}
	text := r.String()
	if !strings.Contains(text, "discloses no message keys") {
		t.Error(text)
	}
}

// TestUnjudged: while the entry that names the card is not disclosed, or the
// card is not in the file, nobody is accused.
func TestUnjudged(t *testing.T) {
	w, us, _ := small(t)
	us.Entries[1].Key = nil
	if r := run(t, export(t, w, nil), true); !r.Sound || wantFinding(t, r, "unjudged").Level != audit.Note {
		t.Error(r)
	}
	w, us, _ = small(t)
	ok(t, w.Issue(us.Party, nil))
	ok(t, us.Card())
	ok(t, us.Say(wire.KindMessage, wire.Message{Text: []byte("Hello.")}, 0))
	us.Head()
	us.Party.Notes = us.Party.Notes[:1]
	r := run(t, export(t, w, nil), true)
	wantFinding(t, r, "card-missing")
	wantFinding(t, r, "unjudged")
}

// TestSpelling: the last characters of a signature's base64 have bits that say
// nothing. They must be as the signer wrote them.
func TestSpelling(t *testing.T) {
	w, _, _ := small(t)
	for want, note := range map[string][]byte{"charter": w.Charter, "card": w.Parties[0].Notes[0]} {
		at := bytes.LastIndex(note, []byte("=\n"))
		for note[at-1] == '=' {
			at--
		}
		old := note[at-1]
		note[at-1] = old + 1 // ends in zero bits, so the next letter has one
		wantFinding(t, run(t, export(t, w, nil), false), want)
		note[at-1] = old
	}
}

// TestNoLineOfItsOwn: what the file says cannot write lines into the report.
func TestNoLineOfItsOwn(t *testing.T) {
	w, us, _ := small(t)
	r := run(t, export(t, w, func(x *audit.Writer) error {
		return x.Inconsistency(us.Log, 0, "nothing\n\nSound as of these heads.")
	}), false)
	if f := wantFinding(t, r, "inconsistency"); strings.ContainsRune(f.Text, '\n') {
		t.Error(f)
	}
}

// TestManyEpochs: keys are found across epochs and chunks.
func TestManyEpochs(t *testing.T) {
	w, us, _ := small(t)
	for range 690 {
		ok(t, us.Say(wire.KindService, wire.Message{Text: []byte("Line test.")}, 0))
	}
	ok(t, us.Epoch(nil))
	us.Return()
	for range 50 { // the former epoch's last keys, past the new one's entry
		ok(t, us.Say(wire.KindService, wire.Message{Text: []byte("Line test.")}, 0))
	}
	us.Head()
	r := run(t, export(t, w, nil), true)
	if !r.Sound || len(r.Findings) != 0 || r.Heads[0].Opened != 743 || r.Heads[0].Epochs != 4 {
		t.Errorf("%+v\n%s", r.Heads[0], r)
	}
}

func TestCancelled(t *testing.T) {
	w, _, _ := small(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := audit.Run(ctx, bytes.NewReader(export(t, w, nil)), audit.Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
