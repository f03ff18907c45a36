// Package durable keeps files safe across crashes and power cuts, and does
// nothing else: it replaces whole files atomically, lets one process at a time
// serve a folder, and keeps the anchor, the small file outside the database
// that remembers the last head each log has revealed.
//
// Everything here returns only after the storage device was asked to make the
// bytes permanent. What a device then does with them is its own promise.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces the file at path by data, so that after a crash at any
// moment path holds either the former content or all of data. The file ends
// with exactly the permissions perm. A leftover temporary file from a crash is
// named ".NAME.tmp-*" in the same folder and may be deleted.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	dir := filepath.Dir(path)
	tmp, err := writeTemp(dir, filepath.Base(path), data, perm)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		if tmp != "" {
			os.Remove(tmp)
		}
		return fmt.Errorf("write %s: nothing was replaced: %w", path, err)
	}
	// The name itself is data of the folder: without this a crash could bring
	// the former file back after we said that it was replaced.
	if err := SyncDir(dir); err != nil {
		return fmt.Errorf("write %s: the new file is in place, but may not survive a power cut: %w", path, err)
	}
	return nil
}

// writeTemp writes data to a new file beside the one to be replaced, makes it
// permanent and returns its path, also when it failed half way.
func writeTemp(dir, name string, data []byte, perm fs.FileMode) (string, error) {
	f, err := os.CreateTemp(dir, "."+name+".tmp-*")
	if err != nil {
		return "", err
	}
	return f.Name(), errors.Join(fill(f, data, perm), f.Close())
}

// fill writes data to f and makes it permanent.
func fill(f *os.File, data []byte, perm fs.FileMode) error {
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// SyncDir makes the names in a folder permanent: files made, renamed or removed.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
