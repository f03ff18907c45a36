package cli

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary be the herald command, so that the scripts
// run what users run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"herald": func() { os.Exit(Main()) }})
}
