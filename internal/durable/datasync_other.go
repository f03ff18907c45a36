//go:build !linux

package durable

import "os"

// datasync makes written bytes, and a grown length, permanent.
func datasync(f *os.File) error { return f.Sync() }
