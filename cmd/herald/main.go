// Command herald is a line of communication between parties that do not trust
// each other.
package main

import (
	"os"

	"herald/internal/cli"
)

func main() { os.Exit(cli.Main()) }
