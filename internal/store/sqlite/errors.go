package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"herald/internal/session"
)

// Errors that a station can act on. Every error of this package says what
// happened, what it means for the line and what to do.
var (
	ErrClosed   = errors.New("the store is closed")
	ErrNewer    = errors.New("the store was written by a later release of Herald: nothing was changed. Run that release or a later one")
	ErrForeign  = errors.New("the file is a database, but not Herald's: nothing was changed. Point Herald at its own folder")
	ErrFull     = errors.New("the disk is full: nothing of this was accepted, and what was accepted before is safe. Free some space, then try again")
	ErrReadOnly = errors.New("the folder or the file cannot be written: nothing of this was accepted. Give Herald's user write access to the folder, or mount the disk for writing")
	ErrDamaged  = errors.New("the database file is damaged: nothing more is accepted. Keep a copy of the folder, bring back a backup, and let the other parties confirm your heads before anything is signed")
	ErrBusy     = errors.New("another process holds the database: nothing of this was accepted. Stop that process")
	ErrBroken   = errors.New("the disk failed to make data permanent: nothing of this was accepted for certain, and nothing more is until Herald is restarted. Check the disk")
	ErrRange    = errors.New("a number is too large to be stored")
)

// explain adds to an error what it means for the line and what to do.
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if kind := reason(err); kind != nil {
		return fmt.Errorf("%s: %w (%w)", doing, kind, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// reason finds the sentinel for an error that does not carry one yet.
func reason(err error) error {
	for _, known := range []error{
		ErrClosed, ErrNewer, ErrForeign, ErrFull, ErrReadOnly, ErrDamaged, ErrBusy, ErrBroken,
		ErrRange, session.ErrHeadMoved, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, known) {
			return nil
		}
	}
	switch {
	case errors.Is(err, sqlite3.FULL), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrFull
	case syncFailed(err):
		return ErrBroken
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.NOTADB):
		return ErrDamaged
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		return ErrBusy
	case errors.Is(err, sqlite3.READONLY), errors.Is(err, sqlite3.PERM), errors.Is(err, sqlite3.CANTOPEN),
		errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		return ErrReadOnly
	}
	return nil
}

// syncFailed reports whether the kernel may have dropped pages that it was
// asked to make permanent, so that no later sync can be believed.
func syncFailed(err error) bool {
	return errors.Is(err, sqlite3.IOERR_FSYNC) || errors.Is(err, sqlite3.IOERR_DIR_FSYNC)
}

// diagnose adds to a failed write what the system says about writing in the
// folder: SQLite's layer forgets why a write failed.
func diagnose(dir string, err error) error {
	if !errors.Is(err, sqlite3.IOERR) || syncFailed(err) {
		return err
	}
	probe, perr := os.CreateTemp(dir, ".probe-*")
	if perr == nil {
		_, perr = probe.Write(make([]byte, 1<<16))
		perr = errors.Join(perr, probe.Close(), os.Remove(probe.Name()))
	}
	if perr == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, perr)
}

// interrupted turns SQLite's word for a cancelled context into the context's.
func interrupted(ctx context.Context, err error) error {
	if errors.Is(err, sqlite3.INTERRUPT) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
