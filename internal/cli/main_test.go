package cli

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary be the herald command, so that the scripts
// run what users run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"herald": func() { os.Exit(Main()) }, "readonly": readonly})
}

// readonly runs a command that sees a folder as one that cannot be written,
// which even the superuser then cannot: readonly DIR COMMAND….
func readonly() {
	script := `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`
	c := exec.Command("unshare", append([]string{"-m", "sh", "-c", script}, os.Args[1:]...)...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if c.Run() != nil {
		os.Exit(1)
	}
}
