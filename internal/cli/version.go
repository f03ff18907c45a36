package cli

import "runtime/debug"

type versionCmd struct{}

func (versionCmd) Help() string { return "Example:\n  herald version" }

func (versionCmd) Run(a *app) error {
	v := "(not built from a release)"
	if b, ok := debug.ReadBuildInfo(); ok {
		if b.Main.Version != "" && b.Main.Version != "(devel)" {
			v = b.Main.Version
		}
		a.printf("herald %s %s\n", v, b.GoVersion)
	}
	return nil
}
