package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked means that another process serves the folder.
var ErrLocked = errors.New("another herald serves this folder")

// Lock is the right to serve one folder. It ends with Close or with the
// process, however the process ends; a stale lock cannot exist. Keep it
// reachable for as long as it is meant to hold.
type Lock struct{ f *os.File }

// LockDir takes the lock on dir, an existing folder, in the file dir/lock. The
// error wraps ErrLocked and names the other process if the folder is taken.
func LockDir(dir string) (*Lock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w%s; two would sign two histories. Stop that one first", dir, ErrLocked, holder(f))
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	// The process id is for people: the lock works without it.
	_, err = f.WriteAt([]byte(fmt.Sprintf("%-20d\n", os.Getpid())), 0)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, errors.Join(err, f.Close()))
	}
	return &Lock{f}, nil
}

// holder reads who holds the lock, as far as the file tells.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

// Close gives the folder up. The file stays: removing it could let two
// processes hold locks on two files of one name.
func (l *Lock) Close() error { return l.f.Close() }
