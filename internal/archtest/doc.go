// Package archtest holds the rules that keep Herald readable, as tests: which
// package may import which, what the lower levels may not touch, and that
// every citation of the specification leads somewhere. It has no code of its
// own outside its tests. The rules' data, with a reason for each, are in
// levels_test.go.
package archtest
