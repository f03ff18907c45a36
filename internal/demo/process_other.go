//go:build unix && !linux

package demo

import "syscall"

// attributes let a process not hear the terminal's Ctrl-C, which is for the
// demo to handle.
func attributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
