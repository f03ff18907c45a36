package archtest

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// root is the module, seen from this package.
func root() fs.FS { return os.DirFS("../..") }

func TestRules(t *testing.T) {
	pkgs, err := load(root())
	if err != nil {
		t.Fatal(err)
	}
	if pkgs["internal/line"] == nil || pkgs["internal/archtest"] == nil {
		t.Fatal("did not find the module")
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, b := range r.check(pkgs) {
				t.Error(b)
			}
		})
	}
}

// Each rule must find what it forbids, and must let its neighbour pass.
func TestRulesFind(t *testing.T) {
	const good = "// Package x is good.\npackage x\n"
	for _, v := range []struct {
		rule, want string // want "": nothing may be found
		files      map[string]string
	}{
		{"levels", "has no level", map[string]string{"internal/stray/a.go": good}},
		{"levels", "(level 1) imports internal/keys (level 2)", map[string]string{
			"internal/wire/a.go": "package wire\nimport _ \"herald/internal/keys\"\n", "internal/keys/a.go": good}},
		{"levels", "(level 2) imports internal/seal (level 2)", map[string]string{
			"internal/keys/a.go": "package keys\nimport _ \"herald/internal/seal\"\n", "internal/seal/a.go": good}},
		{"levels", "for tests alone", map[string]string{
			"internal/session/a.go": "package session\nimport _ \"herald/internal/bearer/bearertest\"\n", "internal/bearer/bearertest/a.go": good}},
		{"levels", "", map[string]string{
			"internal/session/a_test.go": "package session\nimport _ \"herald/internal/bearer/bearertest\"\n", "internal/bearer/bearertest/a.go": good}},
		{"levels", "", map[string]string{
			"internal/bearer/direct/a.go": "package direct\nimport _ \"herald/internal/bearer\"\n", "internal/bearer/a.go": good}},
		{"levels", "(level 5) imports internal/bearer/courier (level 5)", map[string]string{
			"internal/bearer/direct/a.go": "package direct\nimport _ \"herald/internal/bearer/courier\"\n", "internal/bearer/courier/a.go": good}},
		{"levels", "", map[string]string{
			"internal/seal/a.go": "package seal\nimport _ \"herald/internal/line\"\n", "internal/line/a.go": good}},
		{"walls", "internal/bearer/direct imports internal/config imports internal/seal", map[string]string{
			"internal/bearer/direct/a.go": "package direct\nimport _ \"herald/internal/config\"\n",
			"internal/config/a.go":        "package config\nimport _ \"herald/internal/seal\"\n", "internal/seal/a.go": good}},
		{"walls", "", map[string]string{
			"internal/session/a.go": "package session\nimport _ \"herald/internal/seal\"\n", "internal/seal/a.go": good}},
		{"quiet", "imports os", map[string]string{"internal/keys/a.go": "package keys\nimport _ \"os\"\n"}},
		{"quiet", "imports net/http", map[string]string{"internal/tlog/a.go": "package tlog\nimport _ \"net/http\"\n"}},
		{"quiet", "imports crypto/rand", map[string]string{"internal/seal/a.go": "package seal\nimport _ \"crypto/rand\"\n"}},
		{"quiet", "uses time.Now", map[string]string{"internal/record/a.go": "package record\nimport clock \"time\"\nvar now = clock.Now\n"}},
		{"quiet", "starts a goroutine", map[string]string{"internal/record/a.go": "package record\nfunc f() { go f() }\n"}},
		{"quiet", "", map[string]string{
			"internal/record/a.go":      "package record\nimport \"time\"\nvar now time.Time\n",
			"internal/record/a_test.go": "package record\nimport _ \"os\"\n",
			"internal/wire/a.go":        "package wire\nimport _ \"os\"\n"}},
		{"doc comments", "has no doc comment", map[string]string{"internal/line/a.go": "package line\n"}},
		{"doc comments", "has no doc comment", map[string]string{"internal/line/a.go": "// Stuff.\npackage line\n"}},
		{"doc comments", "", map[string]string{"internal/x/a.go": good, "internal/x/b.go": "package x\n"}},
		{"init", "func init", map[string]string{"internal/line/a.go": "package line\nfunc init() {}\n"}},
		{"init", "", map[string]string{"internal/line/a.go": "package line\ntype t int\nfunc (t) init() {}\n"}},
		{"length", "has 701 lines", map[string]string{"internal/line/a.go": "package line\n" + strings.Repeat("\n", 700)}},
		{"length", "", map[string]string{"internal/line/a.go": "package line\n" + strings.Repeat("\n", 699)}},
		{"length", "more than 49", map[string]string{"cmd/herald/main.go": "package main\n" + strings.Repeat("\n", 49)}},
		{"sleep", "time.Sleep in a test", map[string]string{"internal/line/a_test.go": "package line\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"}},
		{"sleep", "", map[string]string{
			"internal/line/a_test.go": "package line\nimport (\n\"testing/synctest\"\n\"time\"\n)\nvar _ = synctest.Test\nfunc f() { time.Sleep(1) }\n",
			"internal/line/b.go":      "package line\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"}},
	} {
		module := fstest.MapFS{}
		for name, src := range v.files {
			module[name] = &fstest.MapFile{Data: []byte(src)}
		}
		pkgs, err := load(module)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			if r.name != v.rule {
				continue
			}
			got := strings.Join(r.check(pkgs), "\n")
			if v.want == "" && got != "" || !strings.Contains(got, v.want) {
				t.Errorf("%s on %v: found %q, want %q", v.rule, v.files, got, v.want)
			}
		}
	}
}
