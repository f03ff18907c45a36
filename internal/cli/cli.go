// Package cli is the herald command: one file per verb. A verb works through
// the socket of a station that serves the folder, or else opens the folder
// itself. Officers' keys and the root key are opened here and used here only;
// no station ever sees them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"herald/internal/config"
)

// commands is everything that herald understands.
type commands struct {
	globals

	Demo  demoCmd `cmd:"" help:"Replay an episode between two stations on this machine."`
	Party struct {
		New partyNew `cmd:"" help:"Make a party: its root key, its station's keys and its first card."`
	} `cmd:"" help:"Make a party."`
	Officer struct {
		New    officerNew    `cmd:"" help:"Make an officer's key and certify it on a new version of the card."`
		List   officerList   `cmd:"" help:"List the party's officers."`
		Renew  officerRenew  `cmd:"" help:"Extend an officer's certificate."`
		Revoke officerRevoke `cmd:"" help:"Say that an officer's key no longer counts."`
	} `cmd:"" help:"Make, renew and revoke officers' keys."`
	Card struct {
		Export cardExport `cmd:"" help:"Print a party's signed card, to hand over."`
		Import cardImport `cmd:"" help:"Take another party's card, or a newer own one."`
		Words  cardWords  `cmd:"" help:"Show the safety words to compare by voice."`
		Show   cardShow   `cmd:"" help:"Show what a card says."`
	} `cmd:"" help:"Exchange and compare party cards."`

	Charter struct {
		Draft  charterDraft  `cmd:"" help:"Print a charter to negotiate."`
		Sign   charterSign   `cmd:"" help:"Sign a charter with the party's root."`
		Import charterImport `cmd:"" help:"Open the line of a charter that all have signed."`
		Show   charterShow   `cmd:"" help:"Show a charter and who has signed it."`
	} `cmd:"" help:"Draft, sign and import the charter of a line."`
	Generation generationCmd `cmd:"" help:"Start the station's logs anew with fresh keys: restore, rotation, revocation."`

	Serve  serveCmd  `cmd:"" help:"Run the station: listen, dial, receive and send."`
	Status statusCmd `cmd:"" help:"The station and its lines at a glance."`
	Watch  watchCmd  `cmd:"" help:"Sign the watch on or off."`

	Draft   draftCmd   `cmd:"" help:"Keep words for release."`
	Drafts  draftsCmd  `cmd:"" help:"List drafts, or discard one."`
	Release releaseCmd `cmd:"" help:"Sign a draft; with the last signature needed it is sent."`
	Send    sendCmd    `cmd:"" help:"Draft and release in one."`
	Record  recordCmd  `cmd:"" help:"Show the record, every message with its receipts."`
	Read    readCmd    `cmd:"" help:"Open an entry as an officer."`
	Save    saveCmd    `cmd:"" help:"Write an attachment to a file."`

	Understood understoodCmd `cmd:"" help:"Sign that an entry was understood."`
	Hold       holdCmd       `cmd:"" help:"Send a holding reply."`
	Answer     answerCmd     `cmd:"" help:"Answer an entry."`
	Decline    declineCmd    `cmd:"" help:"Decline to answer an entry."`
	Correct    correctCmd    `cmd:"" help:"Correct one's own message."`
	Query      queryCmd      `cmd:"" help:"Ask what an entry means."`
	Cancel     cancelCmd     `cmd:"" help:"Take back one's own message."`
	Service    serviceCmd    `cmd:"" help:"Talk about the line itself."`

	Courier struct {
		Export courierExport `cmd:"" help:"Write what the other side lacks to files."`
		Import courierImport `cmd:"" help:"Take what a courier brought."`
	} `cmd:"" help:"Carry the record on a medium."`
	Export exportCmd `cmd:"" help:"Write a line's record for an audit."`

	Audit auditCmd `cmd:"" help:"Verify an exported record, on any machine."`

	Bench benchCmd `cmd:"" help:"Measure this release on this machine."`

	Version versionCmd `cmd:"" help:"Print the release of this program."`
}

// globals are the flags that every verb takes.
type globals struct {
	Dir config.Folder `default:"." env:"HERALD_DIR" placeholder:"DIR" help:"The party's folder (default: the current one)."`

	Passphrases           string `env:"HERALD_PASSPHRASES" placeholder:"DIR" group:"Passphrases, otherwise asked for:" help:"Folder with a file for each key's passphrase: root, station, us-watch-1, …. A systemd credential of the same name serves too."`
	PassphraseFile        string `placeholder:"FILE" group:"Passphrases, otherwise asked for:" help:"File with the passphrase of the one key that the command uses."`
	RootPassphraseFile    string `placeholder:"FILE" group:"Passphrases, otherwise asked for:" help:"File with the root key's passphrase."`
	StationPassphraseFile string `placeholder:"FILE" group:"Passphrases, otherwise asked for:" help:"File with the station key's passphrase."`
	OfficerPassphraseFile string `placeholder:"FILE" group:"Passphrases, otherwise asked for:" help:"File with the officer key's passphrase."`
}

// exitError ends the command with a status of its own.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// Main runs the command line of this process and returns its exit status: 0,
// 1 when it failed, 2 when it was not understood.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		// A station's live memory is small and what it discards is much: with
		// the default it would collect garbage for a sixth of its time.
		debug.SetGCPercent(400)
	}
	return run(ctx, newApp(), os.Args[1:])
}

// parser reads a command line into c.
func parser(ctx context.Context, c *commands, a *app) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("herald"),
		kong.Description("A line of communication that stays open between parties that do not trust each other."),
		kong.Writers(a.out, a.errs),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(a),
	)
}

func run(ctx context.Context, a *app, args []string) int {
	var c commands
	k, err := parser(ctx, &c, a)
	if err != nil {
		return a.fail(err, 2)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := k.Parse(flagsFirst(k.Model.Node, args))
	if err != nil {
		return a.fail(fmt.Errorf("%s; see \"herald%s --help\"", plainly(err), verb(kctx, err)), 2)
	}
	a.globals = c.globals
	err = kctx.Run()
	var e *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return a.fail(e.err, e.status)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 130
	}
	return a.fail(err, 1)
}

// verb names the verb at which parsing stopped, for a hint.
func verb(kctx *kong.Context, err error) string {
	var pe *kong.ParseError
	if kctx == nil && errors.As(err, &pe) {
		kctx = pe.Context
	}
	s := ""
	if kctx != nil {
		for _, p := range kctx.Path {
			if p.Command != nil {
				s += " " + p.Command.Name
			}
		}
	}
	return s
}

// plainly puts into plain words what the parser says in its own.
func plainly(err error) string {
	return strings.Replace(err.Error(), `expected string value but got "EOL" (<EOL>)`, "its value is missing", 1)
}

// fail prints an error as one line.
func (a *app) fail(err error, status int) int {
	if err != nil {
		fmt.Fprintln(a.errs, "herald: "+strings.Join(strings.Fields(safe(err.Error())), " "))
	}
	return status
}
