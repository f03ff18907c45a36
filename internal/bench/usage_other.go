//go:build !linux

package bench

import (
	"syscall"
	"time"
)

// resident returns 0: the system is not asked.
func resident() uint64 { return 0 }

// processorTime returns 0: the system is not asked.
func processorTime() time.Duration { return 0 }

// ownGroup asks for nothing: an interrupt ends both processes.
func ownGroup() *syscall.SysProcAttr { return nil }
