package station

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"

	"herald/internal/control"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/wire"
)

func (s *Station) random() io.Reader { return rand.Reader }

// ownBlob names what the station keeps of an attachment that it sealed and
// that no message carries yet.
func ownBlob(root string) string { return "own-blob/" + root }

// PutBlob seals a file to be attached to a draft.
func (s *Station) PutBlob(ctx context.Context, id line.ID, name string, r io.Reader) (control.Attachment, error) {
	l, ok := s.find(id)
	if !ok {
		return control.Attachment{}, fmt.Errorf("no line %s here", id.Short())
	}
	if err := wire.CheckText(name, 255); err != nil {
		return control.Attachment{}, fmt.Errorf("attachment's name: %w", err)
	}
	limit := &io.LimitedReader{R: r, N: int64(l.Charter().BlobBytes) + 1}
	info, err := s.db.Blobs().Add(ctx, func(put func(uint64, []byte) error) (seal.BlobInfo, error) {
		info, err := seal.SealBlob(rand.Reader, limit, put)
		if err == nil && limit.N <= 0 {
			err = fmt.Errorf("the charter allows attachments of at most %d bytes: split it, or agree on more", l.Charter().BlobBytes)
		}
		return info, err
	})
	if err != nil {
		return control.Attachment{}, fmt.Errorf("attachment %q was not kept: %w", name, err)
	}
	b := wire.Marshal(wire.Blob{Name: name, Length: info.Length, Key: info.Key[:], Hash: info.Hash[:], Root: info.Root[:]})
	root := info.Root.String()
	box, err := seal.SealLocal(rand.Reader, s.own.Working, []byte(ownBlob(root)), b)
	if err != nil {
		return control.Attachment{}, err
	}
	if err := s.db.Commit(ctx, &record.Batch{Line: id, Meta: map[string][]byte{ownBlob(root): box}}); err != nil {
		return control.Attachment{}, err
	}
	return control.Attachment{Name: name, Length: info.Length, Root: root, Held: info.Length}, nil
}

// blobOf returns what a message says of an own attachment.
func (s *Station) blobOf(ctx context.Context, id line.ID, a control.Attachment) (wire.Blob, error) {
	var b wire.Blob
	snap, err := s.db.Load(ctx, id)
	if err != nil {
		return b, err
	}
	box, ok := snap.Meta[ownBlob(a.Root)]
	if !ok {
		return b, fmt.Errorf("attachment %q was not given to this station: attach the file with herald attach first", a.Name)
	}
	plain, err := seal.OpenLocal(s.own.Working, []byte(ownBlob(a.Root)), box)
	if err != nil {
		return b, fmt.Errorf("attachment %q: %w", a.Name, err)
	}
	return b, wire.Unmarshal(plain, wire.MaxEntry, &b)
}

// heldBytes returns how much of an attachment is here.
func (s *Station) heldBytes(b wire.Blob) uint64 {
	info := seal.BlobInfo{Length: b.Length, Root: line.Hash(b.Root)}
	missing, err := s.db.Blobs().Missing(context.Background(), info.Root, 0, int(info.Chunks()))
	if err != nil {
		return 0 // none of it was asked for yet
	}
	return b.Length - min(b.Length, uint64(len(missing))*seal.ChunkSize)
}

// GetBlob writes a received attachment's plaintext to w.
func (s *Station) GetBlob(ctx context.Context, id line.ID, root string, w io.Writer) error {
	l, ok := s.find(id)
	if !ok {
		return fmt.Errorf("no line %s here", id.Short())
	}
	b, err := hex.DecodeString(root)
	if err != nil || len(b) != 32 {
		return fmt.Errorf("attachment %q: want its name of 64 hexadecimal digits, as herald record prints it", root)
	}
	info, err := l.BlobInfo(ctx, line.Hash(b))
	if err != nil {
		return err
	}
	missing, err := s.db.Blobs().Missing(ctx, info.Root, 0, 1)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("the attachment is not complete yet: chunk %d of %d is the first that is missing; it goes on by itself when the line is up", missing[0]+1, info.Chunks())
	}
	return seal.OpenBlob(info, func(i uint64) ([]byte, error) {
		c, ok, err := s.db.Blobs().Chunk(ctx, info.Root, i)
		if err == nil && !ok {
			err = fmt.Errorf("chunk %d is gone from the store", i)
		}
		return c, err
	}, w)
}
