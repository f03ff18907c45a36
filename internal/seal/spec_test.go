package seal

import (
	"bytes"
	"testing"

	"herald/internal/line"
)

// specLog is the log of all vectors: US, generation 1, on the line 00..1f.
func specLog() line.LogID {
	var l line.ID
	for i := range l {
		l[i] = byte(i)
	}
	return line.NewLogID(l, "US", 1)
}

// fill is randomness for vectors: n times the byte b.
func fill(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func TestVectorsEpoch(t *testing.T) {
	v := openVectors(t, "06-epoch.txtar", `Vectors for spec 06, sections 1 to 4 and 6, in the log of 04-log.txtar.
The epoch is at base 100, its secret 32 bytes of e5. The receive key's seed is
32 bytes of 5e; it is number 3 of party CN. The two boxes hide the sender's
randomness: they can be opened, not made again. The body is that of entry 107,
under message key 7; associated data and inner part are given as they are.

`)
	id := specLog()
	e, err := NewEpoch(id, 100, bytes.NewReader(fill(0xe5, 32)))
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewReceiveKey(bytes.NewReader(fill(0x5e, 32)))
	if err != nil {
		t.Fatal(err)
	}
	es, root := e.Secret(), e.Root()
	mk1, mk7, mk255 := mustKey(t, e, 1), mustKey(t, e, 7), mustKey(t, e, 255)
	v.hex("log-id", id[:])
	v.hex("epoch-secret", es[:])
	v.hex("message-keys-1-7-255", mk1[:], mk7[:], mk255[:])
	v.hex("commitment", root[:])
	for _, i := range []int{7, 255} {
		path, err := e.Path(i)
		if err != nil {
			t.Fatal(err)
		}
		name := map[int]string{7: "path-of-7", 255: "path-of-255"}[i]
		v.hex(name, JoinPath(path))
	}
	v.hex("receive-seed", k.Seed())
	v.hex("receive-key", k.Public())
	v.hex("info-of-epoch", keyInfo(labelEpoch, id, 100, "CN", 3, k.Public()))
	box := v.once("sealed-epoch-secret", func() ([]byte, error) { return SealSecret(k.Public(), id, 100, "CN", 3, es) })
	if got, err := OpenSecret(k, id, 100, "CN", 3, box); err != nil || got != es {
		t.Errorf("the sealed epoch secret: %v", err)
	}
	v.hex("info-of-reseal", keyInfo(labelReseal, id, 107, "CN", 3, k.Public()))
	box = v.once("resealed-message-key-7", func() ([]byte, error) { return SealKey(k.Public(), id, 107, "CN", 3, mk7) })
	if got, err := OpenKey(k, id, 107, "CN", 3, box); err != nil || got != mk7 {
		t.Errorf("the resealed message key: %v", err)
	}
	ad, inner := []byte("associated data"), []byte("inner part")
	v.hex("associated-data", ad)
	v.hex("inner", inner)
	v.hex("body", SealBody(mk7, ad, inner))
	v.done()
}

func TestVectorsArchive(t *testing.T) {
	v := openVectors(t, "06-archive.txtar", `Vectors for spec 06, section 5. Segment 12: its key is 32 bytes of a1, the
nonce of its wrap 12 bytes of a2, the working key 32 bytes of a3. The offline
key's seed is 32 bytes of a4. The box has a nonce of 12 bytes of a5; context and
plaintext are given. The local secret uses the same nonce, context, plaintext,
under the working key.

`)
	working := [32]byte(fill(0xa3, 32))
	offline, err := ReceiveKeyFromSeed(fill(0xa4, 32))
	if err != nil {
		t.Fatal(err)
	}
	segmentRandom := func() *bytes.Reader { return bytes.NewReader(append(fill(0xa1, 32), fill(0xa2, 12)...)) }
	s, err := NewSegment(segmentRandom(), 12, working, nil)
	if err != nil {
		t.Fatal(err)
	}
	v.hex("wrapped", s.Wrapped())
	v.hex("offline-key", offline.Public())
	sealed := v.once("offline", func() ([]byte, error) {
		s, err := NewSegment(segmentRandom(), 12, working, offline.Public())
		if err != nil {
			return nil, err
		}
		return s.Offline(), nil
	})
	ctx, words := []byte("context"), []byte("archived words")
	box, err := s.Seal(bytes.NewReader(fill(0xa5, 12)), ctx, words)
	if err != nil {
		t.Fatal(err)
	}
	v.hex("context", ctx)
	v.hex("plaintext", words)
	v.hex("box", box)
	o, err := OpenSegmentOffline(sealed, offline)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := o.Open(ctx, box); err != nil || !bytes.Equal(got, words) {
		t.Errorf("the box, by the offline key: %q, %v", got, err)
	}
	local, err := SealLocal(bytes.NewReader(fill(0xa5, 12)), working, ctx, words)
	if err != nil {
		t.Fatal(err)
	}
	v.hex("local-secret", local)
	v.done()
}

func TestVectorsBlob(t *testing.T) {
	v := openVectors(t, "06-blob.txtar", `Vectors for spec 06, section 7. The key is 32 bytes of b1. The attachments
have the bytes 0, 1, .. 250, 0, 1, ..: of length 0, of 16384, and of 33000. Of
each: the chunks' leaf hashes, the root, the plaintext's SHA-256; and the last
chunk, where it is short.

`)
	for _, n := range []struct {
		name   string
		length int
	}{{"0", 0}, {"16384", ChunkSize}, {"33000", 33000}} {
		var hashes [][]byte
		var last []byte
		info, err := SealBlob(bytes.NewReader(fill(0xb1, 32)), bytes.NewReader(text(n.length)), func(_ uint64, chunk []byte) error {
			h := chunkLeaf(chunk)
			hashes, last = append(hashes, h[:]), bytes.Clone(chunk)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		v.hex(n.name+"/leaf-hashes", hashes...)
		v.hex(n.name+"/root", info.Root[:])
		v.hex(n.name+"/sha256", info.Hash[:])
		if len(last) < MaxChunk {
			v.hex(n.name+"/last-chunk", last)
		}
	}
	v.done()
}

// chunkLeaf is the root over one chunk alone, which is its leaf hash.
func chunkLeaf(chunk []byte) line.Hash {
	r := NewChunkRoot()
	r.Add(chunk)
	return r.Root()
}
