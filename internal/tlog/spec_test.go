package tlog

import (
	"fmt"
	"testing"

	"herald/internal/line"
)

// specLine is the line of all vectors: the bytes 00 to 1f.
func specLine() (id line.ID) {
	for i := range id {
		id[i] = byte(i)
	}
	return id
}

func TestVectorsLog(t *testing.T) {
	v := openVectors(t, "04-log.txtar", `Vectors for spec 04, sections 1 and 3 to 5.
The line is 00..1f, the party US, generation 1. The log key's seed is 32 bytes
of 01, the delivery key of party CN, generation 1, has 32 bytes of 0b.
Hexadecimal; several lines are several values.

`)
	l := specLine()
	id := line.NewLogID(l, "US", 1)
	priv, pub := testKey(1)
	cnPriv, cnPub := testKey(11)
	v.hex("line", l[:])
	v.hex("log-id", id[:])
	v.hex("log-key", pub)
	v.hex("delivery-key", cnPub)

	var leaves, hashes, roots, trees [][]byte
	var all []line.Hash
	var tree Tree
	for i := range 8 {
		root := tree.Root()
		roots, trees = append(roots, root[:]), append(trees, tree.Marshal())
		if i == 7 {
			break
		}
		leaf := []byte(fmt.Sprintf("entry %d", i))
		h := LeafHash(leaf)
		leaves, hashes, all = append(leaves, leaf), append(hashes, h[:]), append(all, h)
		tree.Append(h)
	}
	v.hex("leaves", leaves...)
	v.hex("leaf-hashes", hashes...)
	v.hex("roots-of-size-0-to-7", roots...)
	v.hex("trees-of-size-0-to-7", trees...)
	inclusion, err := Inclusion(Leaves(all), 4, 7)
	if err != nil {
		t.Fatal(err)
	}
	v.hex("inclusion-of-4-in-7", raw(inclusion)...)
	consistency, err := Consistency(Leaves(all), 3, 7)
	if err != nil {
		t.Fatal(err)
	}
	v.hex("consistency-from-3-to-7", raw(consistency)...)

	v.hex("entry-context-of-4", EntryContext(id, 4))
	entrySig := SignEntry(priv, id, 4, all[4])
	v.hex("entry-signature-of-4", entrySig[:])
	head := tree.Head()
	headSig, cosig := SignHead(priv, id, head), Cosign(cnPriv, id, head, testTime)
	v.text("checkpoint.txt", CheckpointText(id, head))
	v.hex("head-signature", headSig[:])
	v.text("cosigned.txt", string(cosigned(id, head, testTime)))
	v.hex("cosignature", cosig[:])
	name := CosignerName(l, "CN", 1)
	v.text("log-verifier.txt", LogKey(id, pub)+"\n")
	v.text("cosigner-verifier.txt", CosignerKey(name, cnPub)+"\n")
	note, err := FormatNote(id, head, pub, headSig, []NoteCosig{{name, cnPub, testTime, cosig}})
	if err != nil {
		t.Fatal(err)
	}
	v.text("note.txt", string(note))
	v.done()
}

func TestVectorsEvidence(t *testing.T) {
	v := openVectors(t, "04-evidence.txtar", `Vectors for spec 04, section 6. Each file is evidence against the log key
whose seed is 32 bytes of 01, in the log of 04-log.txtar.

`)
	priv, pub := testKey(1)
	v.hex("log-key", pub)
	id := line.NewLogID(specLine(), "US", 1)
	a, b := leafHashes(6, 0), leafHashes(5, 0)
	b[3] = LeafHash([]byte("another history"))
	histories := [2][]line.Hash{a, b}
	var entries, roots, inclusions [2]Claim
	for i, h := range histories {
		entries[i] = Claim{Hash: h[3], Sig: SignEntry(priv, id, 3, h[3])}
		root := headOf(h[:5])
		roots[i] = Claim{Hash: root.Root, Sig: SignHead(priv, id, root)}
		head := headOf(h)
		path, err := Inclusion(Leaves(h), 3, head.Size)
		if err != nil {
			t.Fatal(err)
		}
		inclusions[i] = Claim{Hash: h[3], Sig: SignHead(priv, id, head), Head: head, Path: path}
	}
	for _, c := range []struct {
		name string
		e    Evidence
	}{
		{"two-entries", NewEvidence(TwoEntries, id, 3, entries[0], entries[1])},
		{"two-roots", NewEvidence(TwoRoots, id, 5, roots[0], roots[1])},
		{"two-inclusions", NewEvidence(TwoInclusions, id, 3, inclusions[0], inclusions[1])},
	} {
		if err := c.e.Verify(pub); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		b, err := c.e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		v.hex(c.name, b)
	}
	v.done()
}
