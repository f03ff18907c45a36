package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is the longest path that every system takes in a unix socket's
// address.
const maxSocketPath = 100

// ErrNotServing means that no station answers at the socket.
var ErrNotServing = errors.New("no station serves this folder")

// Listen opens the control socket at path, for its owner alone, and replaces
// one that a dead station left. The caller holds the folder's lock: that is
// what says that the other is dead. Close removes the socket.
func Listen(path string) (net.Listener, error) {
	// The socket is made in a folder that nobody else can enter and moved to
	// its place once its mode is set, so that it is never open to others.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".control-")
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	short, free, err := shorten(made)
	if err != nil {
		return nil, err
	}
	defer free()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // it moves
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, errors.Join(err, l.Close()))
	}
	return &listener{l, path}, nil
}

// listener removes its socket when it closes.
type listener struct {
	*net.UnixListener
	path string
}

func (l *listener) Close() error {
	err := l.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	if rm := os.Remove(l.path); !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

// connect opens a connection to the socket at path.
func connect(ctx context.Context, path string) (net.Conn, error) {
	short, free, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer free()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", short)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%s: %w", path, ErrNotServing)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return c, nil
}

// shorten returns a name for path that fits a unix socket's address, which has
// about 108 bytes, whatever the path's length. It is good until free is called.
func shorten(path string) (name string, free func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("%s: %w", path, ErrNotServing)
	}
	if err != nil {
		return "", nil, fmt.Errorf("control socket: %w", err)
	}
	name = fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	if _, err := os.Stat(name); err == nil {
		return filepath.Join(name, filepath.Base(path)), func() { dir.Close() }, nil
	}
	dir.Close() // no /proc: a relative name may do
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && len(rel) <= maxSocketPath {
			return rel, func() {}, nil
		}
	}
	return "", nil, fmt.Errorf("control socket %s: the name is too long for this system: use a folder with a shorter name, or start herald inside it", path)
}
