package sqlite

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"herald/internal/durable"
	"herald/internal/line"
	"herald/internal/seal"
)

const (
	pageChunks = 4096                     // chunks whose bits one row holds
	pageBytes  = pageChunks / 8           // of that row
	syncEvery  = 8 << 20 / seal.ChunkSize // chunks put before they are made durable unasked
)

// ErrNoBlob means that nothing was said of an attachment before.
var ErrNoBlob = errors.New("the attachment is not known here")

// Blobs keeps attachments' chunks, as carried, in one sparse file for each
// attachment. A chunk counts as held durably only once the file was synced and
// then its bit was committed; after a crash the others are fetched again.
// It implements session.Blobs.
type Blobs struct {
	db  *DB
	dir string

	mu   sync.Mutex
	open map[line.Hash]*blobFile // with chunks not synced yet
}

// blobFile is an attachment that is being written.
type blobFile struct {
	mu      sync.Mutex
	id      int64
	info    seal.BlobInfo
	f       *os.File            // nil once let go
	pending map[uint64]struct{} // written, not synced
}

// Blobs returns the attachments.
func (db *DB) Blobs() *Blobs { return db.blobs }

func (b *Blobs) path(root line.Hash) string { return filepath.Join(b.dir, hex.EncodeToString(root[:])) }

func blobName(root line.Hash) string { return "attachment " + hex.EncodeToString(root[:4]) }

// Want makes an attachment known, with the length of its plaintext in bytes.
// To say it again is nothing; to say another length is an error.
func (b *Blobs) Want(ctx context.Context, root line.Hash, length uint64) error {
	if length > seal.MaxBlob {
		return fmt.Errorf("%s: %d bytes is more than the %d allowed", blobName(root), length, int64(seal.MaxBlob))
	}
	if _, info, err := b.find(ctx, root); err == nil {
		return sameLength(root, info, length)
	} else if !errors.Is(err, ErrNoBlob) {
		return err
	}
	err := b.db.submit(ctx, "expect "+blobName(root), false, func(w *writer) error {
		return w.do(`INSERT INTO blobs (root, length) VALUES (?, ?) ON CONFLICT DO NOTHING`).blob(root[:]).uint(length).exec()
	})
	if err != nil {
		return err
	}
	_, info, err := b.find(ctx, root)
	return errors.Join(err, sameLength(root, info, length))
}

func sameLength(root line.Hash, info seal.BlobInfo, length uint64) error {
	if info.Length != length {
		return fmt.Errorf("%s: %d bytes, but it was announced with %d: one of the two messages is wrong", blobName(root), length, info.Length)
	}
	return nil
}

func (b *Blobs) find(ctx context.Context, root line.Hash) (id int64, info seal.BlobInfo, err error) {
	err = b.db.read(ctx, "look up "+blobName(root), func(c *conn) error {
		ok, err := c.do(`SELECT id, length FROM blobs WHERE root = ?`).blob(root[:]).
			one(func(s *stmt) { id, info.Length = s.ColumnInt64(0), s.uintAt(1) })
		if err == nil && !ok {
			return ErrNoBlob
		}
		return err
	})
	return id, info, err
}

// Missing returns up to most chunks from a number on that were neither held
// nor put since the store was opened, in order.
func (b *Blobs) Missing(ctx context.Context, root line.Hash, from uint64, most int) (out []uint64, err error) {
	id, info, err := b.find(ctx, root)
	if err != nil {
		return nil, err
	}
	pending := b.pendingOf(root)
	err = b.db.read(ctx, "list chunks of "+blobName(root), func(c *conn) error {
		for n := from; n < info.Chunks() && len(out) < most; {
			bits, err := chunkBits(c, id, n/pageChunks)
			if err != nil {
				return err
			}
			end := min(info.Chunks(), (n/pageChunks+1)*pageChunks)
			for ; n < end && len(out) < most; n++ {
				if _, put := pending[n]; !put && !bits.has(n) {
					out = append(out, n)
				}
			}
		}
		return nil
	})
	return out, err
}

// pendingOf returns the chunks that are written and not synced yet. A reader
// asks for it before it looks at the bits, so that a chunk on its way from
// here to there is seen in at least one of the two.
func (b *Blobs) pendingOf(root line.Hash) map[uint64]struct{} {
	f := b.opened(root)
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.pending)
}

func (b *Blobs) opened(root line.Hash) *blobFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open[root]
}

// Chunk returns a chunk that is held or was put; ok is false for any other.
func (b *Blobs) Chunk(ctx context.Context, root line.Hash, index uint64) (data []byte, ok bool, err error) {
	id, info, err := b.find(ctx, root)
	if errors.Is(err, ErrNoBlob) {
		return nil, false, nil
	}
	if err != nil || index >= info.Chunks() {
		return nil, false, err
	}
	_, put := b.pendingOf(root)[index]
	var bits pageBits
	if err = b.db.read(ctx, "look up a chunk of "+blobName(root), func(c *conn) (err error) {
		bits, err = chunkBits(c, id, index/pageChunks)
		return err
	}); err != nil {
		return nil, false, err
	}
	if !put && !bits.has(index) {
		return nil, false, nil
	}
	data = make([]byte, info.ChunkLength(index))
	f, err := os.Open(b.path(root))
	if err == nil {
		_, err = f.ReadAt(data, offset(index))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return nil, false, fmt.Errorf("chunk %d of %s cannot be read; its file may have been damaged or removed. Drop it and fetch it again: %w", index, blobName(root), err)
	}
	return data, true, nil
}

func offset(index uint64) int64 { return int64(index) * seal.MaxChunk }

// PutChunk writes one chunk of an attachment that is wanted. It is durable
// after the next Sync; a long attachment is synced by itself now and then.
func (b *Blobs) PutChunk(ctx context.Context, root line.Hash, index uint64, data []byte) error {
	id, info, err := b.find(ctx, root)
	if err != nil {
		return err
	}
	if n := info.ChunkLength(index); n == 0 || n != len(data) {
		return fmt.Errorf("%s: chunk %d has %d bytes, its length says %d", blobName(root), index, len(data), n)
	}
	f, err := b.acquire(root, id, info)
	if err != nil {
		return explain("write "+blobName(root), err)
	}
	defer f.mu.Unlock()
	if _, err := f.f.WriteAt(data, offset(index)); err != nil {
		return explain("write "+blobName(root), err)
	}
	f.pending[index] = struct{}{}
	if len(f.pending) >= syncEvery {
		return b.sync(ctx, root, f)
	}
	return nil
}

// acquire returns the attachment's open file, locked.
func (b *Blobs) acquire(root line.Hash, id int64, info seal.BlobInfo) (*blobFile, error) {
	for {
		b.mu.Lock()
		f := b.open[root]
		if f == nil {
			file, err := os.OpenFile(b.path(root), os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				b.mu.Unlock()
				return nil, err
			}
			f = &blobFile{id: id, info: info, f: file, pending: map[uint64]struct{}{}}
			b.open[root] = f
		}
		b.mu.Unlock()
		if f.mu.Lock(); f.f != nil {
			return f, nil
		}
		f.mu.Unlock() // let go meanwhile
	}
}

// Sync makes the chunks put so far durable.
func (b *Blobs) Sync(ctx context.Context, root line.Hash) error {
	f := b.opened(root)
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil {
		return nil // synced by another call meanwhile
	}
	return errors.Join(b.sync(ctx, root, f), b.release(root, f))
}

// sync syncs the file and then commits the bits. After a failed sync the
// kernel may have dropped what was written, and a second one would say that
// all is well: the chunks count as never put.
func (b *Blobs) sync(ctx context.Context, root line.Hash, f *blobFile) error {
	err := f.f.Sync()
	if err == nil {
		err = durable.SyncDir(b.dir)
	}
	if err != nil {
		clear(f.pending)
		return explain("make "+blobName(root)+" permanent; its last chunks must be fetched again", errors.Join(err, b.release(root, f)))
	}
	err = b.db.submit(ctx, "mark chunks of "+blobName(root), false, func(w *writer) error { return w.markHeld(f.id, f.pending) })
	if err == nil {
		clear(f.pending)
	}
	return err
}

// release closes the file; f is locked.
func (b *Blobs) release(root line.Hash, f *blobFile) error {
	if f.f == nil {
		return nil
	}
	b.mu.Lock()
	delete(b.open, root)
	b.mu.Unlock()
	err := f.f.Close()
	f.f = nil
	return err
}

// Drop forgets an attachment and removes its file.
func (b *Blobs) Drop(ctx context.Context, root line.Hash) error {
	id, _, err := b.find(ctx, root)
	if errors.Is(err, ErrNoBlob) {
		return nil
	}
	if err != nil {
		return err
	}
	err = b.db.submit(ctx, "forget "+blobName(root), false, func(w *writer) error {
		return errors.Join(
			w.do(`DELETE FROM held_chunks WHERE blob = ?`).int(id).exec(),
			w.do(`DELETE FROM blobs WHERE id = ?`).int(id).exec(),
		)
	})
	if err != nil {
		return err
	}
	if f := b.opened(root); f != nil {
		f.mu.Lock()
		clear(f.pending)
		err = b.release(root, f)
		f.mu.Unlock()
	}
	if rerr := os.Remove(b.path(root)); !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// Add keeps an own attachment whole: write is given a place for the chunks and
// returns what the message will say of them, as seal.SealBlob does. When Add
// returns, all of it is durable.
func (b *Blobs) Add(ctx context.Context, write func(put func(index uint64, chunk []byte) error) (seal.BlobInfo, error)) (seal.BlobInfo, error) {
	tmp, err := os.CreateTemp(b.dir, ".new-*")
	if err != nil {
		return seal.BlobInfo{}, explain("keep an attachment", err)
	}
	defer os.Remove(tmp.Name()) // fails once it has its own name
	info, err := write(func(index uint64, chunk []byte) error {
		_, err := tmp.WriteAt(chunk, offset(index))
		return err
	})
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), b.path(info.Root))
	}
	if err == nil {
		err = durable.SyncDir(b.dir)
	}
	if err != nil {
		return seal.BlobInfo{}, explain("keep an attachment", err)
	}
	return info, b.db.submit(ctx, "keep "+blobName(info.Root), false, func(w *writer) error {
		return w.addBlob(info)
	})
}

func (w *writer) addBlob(info seal.BlobInfo) error {
	var id int64
	_, err := w.do(`INSERT INTO blobs (root, length) VALUES (?, ?) ON CONFLICT DO UPDATE SET length = excluded.length RETURNING id`).
		blob(info.Root[:]).uint(info.Length).one(func(s *stmt) { id = s.ColumnInt64(0) })
	if err != nil {
		return err
	}
	for page := uint64(0); page*pageChunks < info.Chunks(); page++ {
		bits := make(pageBits, pageBytes)
		for n := page * pageChunks; n < min(info.Chunks(), (page+1)*pageChunks); n++ {
			bits.set(n)
		}
		if err := w.putBits(id, page, bits); err != nil {
			return err
		}
	}
	return nil
}

// close lets all files go; what was not synced is not held.
func (b *Blobs) close() error {
	b.mu.Lock()
	files := maps.Clone(b.open)
	b.mu.Unlock()
	var errs []error
	for root, f := range files {
		f.mu.Lock()
		errs = append(errs, b.release(root, f))
		f.mu.Unlock()
	}
	return errors.Join(errs...)
}

// pageBits says which chunks of one page are held.
type pageBits []byte

func (p pageBits) has(n uint64) bool {
	i := n % pageChunks
	return i/8 < uint64(len(p)) && p[i/8]&(1<<(i%8)) != 0
}

func (p pageBits) set(n uint64) { p[n%pageChunks/8] |= 1 << (n % 8) }

func chunkBits(c *conn, id int64, page uint64) (bits pageBits, err error) {
	_, err = c.do(`SELECT bits FROM held_chunks WHERE blob = ? AND page = ?`).int(id).uint(page).
		one(func(s *stmt) { bits = s.bytesAt(0) })
	return bits, err
}

func (w *writer) putBits(id int64, page uint64, bits pageBits) error {
	return w.do(`REPLACE INTO held_chunks (blob, page, bits) VALUES (?, ?, ?)`).int(id).uint(page).blob(bits).exec()
}

// markHeld sets the bits of chunks that were synced.
func (w *writer) markHeld(id int64, chunks map[uint64]struct{}) error {
	pages := map[uint64]pageBits{}
	for n := range chunks {
		page := n / pageChunks
		bits, ok := pages[page]
		if !ok {
			old, err := chunkBits(w.conn, id, page)
			if err != nil {
				return err
			}
			bits = make(pageBits, pageBytes)
			copy(bits, old)
			pages[page] = bits
		}
		bits.set(n)
	}
	for page, bits := range pages {
		if err := w.putBits(id, page, bits); err != nil {
			return err
		}
	}
	return nil
}
