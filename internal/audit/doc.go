// Package audit writes a line's record to a file, and checks such a file on any
// machine, offline, trusting nothing but the parties' root keys (spec 10).
//
// A distrusting party can read all that it must trust: this package rests on
// the specification's own packages (wire, keys, seal, charter, tlog) and on
// nothing of a running station. It reads the file once, as a stream: a reader
// splits it into pieces, workers hash and verify chunks of one log on all
// cores, and a collector takes the chunks in the file's order, grows each
// log's tree, and compares it with every signed head.
package audit
