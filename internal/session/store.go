package session

import (
	"context"
	"errors"

	"herald/internal/line"
	"herald/internal/record"
)

// ErrHeadMoved is returned by Store.Commit when the own log's stored size is
// not what the batch expected: another process has written to it.
var ErrHeadMoved = errors.New("the log's head was moved by another process")

// Store keeps lines durably. Commit returns nil only once everything in the
// batch survives power loss; after an error the caller knows nothing and
// loads again. All methods may be called concurrently.
type Store interface {
	// Load returns what a line starts from; an unknown line is empty.
	Load(ctx context.Context, l line.ID) (record.Snapshot, error)
	// Commit makes the batch durable: all of it or none.
	Commit(ctx context.Context, b *record.Batch) error
	History
}

// History is what a line reads back from its store.
type History interface {
	// Entries returns up to max held entries of a log from seq first on, in
	// order, gaps skipped.
	Entries(ctx context.Context, l line.ID, log line.Log, first uint64, max int) ([]record.Entry, error)
	// Bodies returns the bodies of the given places; what is not held is
	// left out.
	Bodies(ctx context.Context, l line.ID, at []line.Pos) ([]record.Body, error)
	// HeadAt returns the signed head of exactly this size.
	HeadAt(ctx context.Context, l line.ID, log line.Log, size uint64) (record.Head, bool, error)
	// CosigAt returns a cosignature by signer covering size, the smallest
	// that does.
	CosigAt(ctx context.Context, l line.ID, log line.Log, signer line.Log, size uint64) (record.Cosig, bool, error)
	// Segment returns an archive segment's wrapped keys.
	Segment(ctx context.Context, l line.ID, id uint64) (record.Segment, bool, error)
	// Readable lists the archive segments made before a time, in Unix seconds,
	// whose key the running station can still open; at most max.
	Readable(ctx context.Context, l line.ID, before int64, max int) ([]record.Segment, error)
	// EpochLeaves returns the leaf hashes of an epoch's keys, kept when the
	// secret is gone.
	EpochLeaves(ctx context.Context, l line.ID, log line.Log, base uint64) ([]byte, bool, error)
	// Urgent returns up to max held entries of a log from seq first on that
	// came or went with the urgent bit.
	Urgent(ctx context.Context, l line.ID, log line.Log, first uint64, max int) ([]record.Entry, error)
	// Token returns what became of a client's idempotency token.
	Token(ctx context.Context, l line.ID, token string) (record.Token, bool, error)
}
