package demo

import "syscall"

// attributes let a process not hear the terminal's Ctrl-C, which is for the
// demo to handle, and let it end when the demo is killed, unless it is to
// outlive it.
func attributes(orphan bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if !orphan {
		a.Pdeathsig = syscall.SIGTERM
	}
	return a
}
