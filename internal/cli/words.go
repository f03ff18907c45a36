package cli

import (
	"strings"

	"github.com/alecthomas/kong"
)

// flagsFirst moves flags before words, for the parser ends a list of words at
// the first flag after it: "answer US 1 --lang en text" is what people type.
// What it does not know it leaves to the parser, which says so.
func flagsFirst(node *kong.Node, args []string) []string {
	var verbs, flags, words []string
	ended := false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			words, ended = append(words, args[i+1:]...), true
			i = len(args)
		case len(a) > 1 && a[0] == '-':
			flags = append(flags, a)
			value, known := wantsValue(node, a)
			if !known || value && i+1 == len(args) { // a word must not become its value
				return args
			}
			if value {
				i++
				flags = append(flags, args[i])
			}
		default:
			if next := child(node, a); next != nil && len(words) == 0 {
				node, verbs = next, append(verbs, a)
				continue
			}
			words = append(words, a)
		}
	}
	if ended {
		flags = append(flags, "--")
	}
	return append(append(verbs, flags...), words...)
}

func child(node *kong.Node, name string) *kong.Node {
	for _, c := range node.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// wantsValue reports whether the next argument belongs to a flag, and whether
// the flag is known.
func wantsValue(node *kong.Node, arg string) (value, known bool) {
	name, _, given := strings.Cut(arg, "=")
	long, isLong := strings.CutPrefix(name, "--")
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			switch {
			case isLong && f.Name == long:
				return !given && !f.IsBool(), true
			case !isLong && f.Short != 0 && strings.HasPrefix(arg[1:], string(f.Short)):
				return len(arg) == 2 && !f.IsBool(), true
			}
		}
	}
	return false, false
}
