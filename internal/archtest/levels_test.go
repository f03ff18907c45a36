package archtest

// level places packages in the import order: a package imports only packages
// of lower levels, or its own ancestors.
type level struct {
	number int
	path   string // under the module; a final /* takes all packages below
	reason string
}

// free marks packages that may import anything and that only tests and other
// free packages may import.
const free = -1

// levels is the import order. A new package needs a line here, and a reason.
var levels = []level{
	{0, "internal/line", "names that all others speak in; knows nobody"},

	{1, "internal/wire", "bytes and limits; what they mean is decided above"},
	{1, "internal/compress", "texts in, bytes out"},
	{1, "internal/durable", "files that survive a crash; not what is in them"},
	{1, "internal/config", "settings are values; whoever uses them is above"},

	{2, "internal/keys", "identities need canonical bytes, and no agreement"},
	{2, "internal/seal", "envelopes need keys as bytes, and no identities"},

	{3, "internal/charter", "an agreement is signed by identities"},
	{3, "internal/tlog", "a log is signed bytes; whose line it is on does not matter to it"},

	{4, "internal/record", "all logs of a line together, under its charter"},

	{5, "internal/audit", "a distrusting party reads levels 0 to 4 and this, and no more"},
	{5, "internal/bearer", "what bearers share; carries frames, cannot read them"},
	{5, "internal/bearer/*", "each carrier alone: they never import one another"},
	{5, "internal/relay", "blind mailboxes: ciphertext and sizes"},

	{6, "internal/session", "brings records together over whatever bearer"},
	{6, "internal/audit/audittest", "makes records for tests, and for bench to audit"},
	{6, "internal/desk", "officers' work on the record"},
	{6, "internal/watch", "duty, deadlines and alarms over the record"},
	{6, "internal/call", "voice beside the record"},

	{7, "internal/store/*", "adapters of interfaces that their consumers declare"},
	{7, "internal/control", "the local contract; below the station, which implements it"},

	{8, "internal/station", "the one place that knows every service"},
	{8, "internal/bench/world", "parties and lines made in haste, for whoever drives stations from outside"},

	{9, "internal/console", "web pages over the local contract"},
	{9, "internal/demo", "drives stations from outside, as a user does"},
	{9, "internal/bench", "measures stations from outside"},

	{10, "internal/cli", "one file per subcommand; knows them all"},

	{11, "cmd/*", "hands over to cli"},

	{free, "internal/archtest", "these rules"},
	{free, "internal/sim", "a seeded world of stations, for tests"},
}

// freeSuffix marks conformance suites and helpers for tests: free wherever
// they are.
const freeSuffix = "test"

// wall forbids a package to reach others, directly or through anything.
type wall struct {
	from, to []string
	reason   string
}

var walls = []wall{{
	from: []string{"internal/bearer", "internal/bearer/*", "internal/relay"},
	to: []string{
		"internal/keys", "internal/seal", "internal/charter", "internal/tlog", "internal/record",
	},
	reason: "that a carrier cannot decrypt is a fact of the build, not a promise",
}}

// The quiet levels take bytes, randomness and the time as arguments, so that
// they can be tested, replayed and audited without a machine around them.
const quietFrom, quietTo = 2, 4

// loudImports are packages, with all below them, that quiet levels do without.
var loudImports = map[string]string{
	"os":           "no files and no environment",
	"net":          "no sockets",
	"syscall":      "no system calls",
	"database/sql": "no SQL",
	"crypto/rand":  "randomness comes as an io.Reader",
	"math/rand":    "randomness comes as an io.Reader",
	"math/rand/v2": "randomness comes as an io.Reader",
}

// loudTime are the functions of package time that read or wait for a clock.
var loudTime = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true,
	"AfterFunc": true, "Tick": true, "NewTimer": true, "NewTicker": true,
}

const (
	maxFileLines = 700 // more is more than one thing
	maxMainLines = 49  // cmd/herald/main.go: hands over, decides nothing
)
