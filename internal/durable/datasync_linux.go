package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes written bytes, and a grown length, permanent.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
