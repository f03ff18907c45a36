package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"herald/internal/charter"
	"herald/internal/config"
	"herald/internal/keys"
	"herald/internal/line"
)

// precedenceFlags change the terms of one precedence.
type precedenceFlags struct {
	Answer  time.Duration `placeholder:"DURATION" help:"Answer within."`
	Release *int          `placeholder:"N" help:"Officers who must release, 0 to 3."`
	Roles   []keys.Role   `placeholder:"ROLE" help:"Who may release."`
	Words   *uint32       `placeholder:"N" help:"Greatest number of words, 0 for no limit."`
	Burst   uint32        `placeholder:"N" help:"Messages at once."`
	PerHour uint32        `placeholder:"N" help:"Messages per hour after."`
}

func (f precedenceFlags) apply(t *charter.PrecedenceTerms) {
	set(&t.Answer, f.Answer)
	set(&t.Burst, f.Burst)
	set(&t.PerHour, f.PerHour)
	if f.Words != nil {
		t.Words = *f.Words
	}
	if f.Release != nil {
		if t.Releasers = *f.Release; t.Releasers == 0 {
			t.Roles = nil
		}
	}
	if len(f.Roles) > 0 {
		t.Roles = f.Roles
	}
}

// set changes a term if the flag was given.
func set[A comparable](term *A, flag A) {
	var zero A
	if flag != zero {
		*term = flag
	}
}

// termFlags change the terms that a draft starts from.
type termFlags struct {
	Flash     precedenceFlags `embed:"" prefix:"flash-" group:"FLASH:"`
	Immediate precedenceFlags `embed:"" prefix:"immediate-" group:"IMMEDIATE:"`
	Priority  precedenceFlags `embed:"" prefix:"priority-" group:"PRIORITY:"`
	Routine   precedenceFlags `embed:"" prefix:"routine-" group:"ROUTINE:"`

	Tier          []string      `placeholder:"NAME" group:"Other terms:" help:"Tiers of counterparts, the lowest first (default: watch, middle, principal)."`
	TestEvery     time.Duration `placeholder:"DURATION" group:"Other terms:" help:"How often the line is tested (default: 12h)."`
	TestOffset    time.Duration `placeholder:"DURATION" group:"Other terms:" help:"When, counted from midnight UTC (default: 6h)."`
	Epoch         time.Duration `placeholder:"DURATION" group:"Other terms:" help:"Greatest age of an encryption epoch under traffic (default: 1h)."`
	RetentionDays uint32        `placeholder:"N" group:"Other terms:" help:"How long each party keeps the working archive, in days (default: 3650)."`
	EntryBytes    uint32        `placeholder:"N" group:"Other terms:" help:"Greatest entry, in bytes (default: 32768)."`
	QuotaBytes    uint64        `placeholder:"N" group:"Other terms:" help:"Bytes per party and day; beyond it only FLASH is pulled (default: 268435456)."`
	BlobBytes     uint64        `placeholder:"N" group:"Other terms:" help:"Greatest attachment, in bytes (default: 104857600)."`
	Form          []string      `placeholder:"NAME=FILE" group:"Other terms:" sep:"none" help:"An agreed form, by the hash of its definition."`
	Witness       []string      `placeholder:"KEY" group:"Other terms:" sep:"none" help:"A neutral witness: its note verifier key."`
	Threshold     uint32        `placeholder:"N" group:"Other terms:" help:"How many witnesses must cosign a head (default: all)."`
	HeadCadence   time.Duration `placeholder:"DURATION" group:"Other terms:" help:"How often each party has its head witnessed (default: 1h)."`
}

// maxForm bounds a form's definition, in bytes.
const maxForm = 16 << 20

func (f termFlags) apply(t *charter.Terms) error {
	f.Flash.apply(&t.Precedences[line.Flash])
	f.Immediate.apply(&t.Precedences[line.Immediate])
	f.Priority.apply(&t.Precedences[line.Priority])
	f.Routine.apply(&t.Precedences[line.Routine])
	if len(f.Tier) > 0 {
		t.Tiers = f.Tier
	}
	set(&t.TestEvery, f.TestEvery)
	set(&t.TestOffset, f.TestOffset)
	set(&t.Epoch, f.Epoch)
	set(&t.RetentionDays, f.RetentionDays)
	set(&t.EntryBytes, f.EntryBytes)
	set(&t.QuotaBytes, f.QuotaBytes)
	set(&t.BlobBytes, f.BlobBytes)
	set(&t.HeadCadence, f.HeadCadence)
	if f.TestOffset == 0 && t.TestOffset >= t.TestEvery { // the default is for a longer cadence
		t.TestOffset = 0
	}
	t.Witnesses, t.Threshold = f.Witness, uint32(len(f.Witness))
	set(&t.Threshold, f.Threshold)
	for _, x := range f.Form {
		form, err := readForm(x)
		if err != nil {
			return err
		}
		t.Forms = append(t.Forms, form)
	}
	return nil
}

// readForm takes NAME=FILE, or NAME=HASH with 64 hexadecimal digits.
func readForm(arg string) (charter.Form, error) {
	name, rest, ok := strings.Cut(arg, "=")
	if !ok {
		return charter.Form{}, fmt.Errorf("form %q: want NAME=FILE, or NAME=HASH", arg)
	}
	f := charter.Form{Name: name}
	if b, err := hex.DecodeString(rest); err == nil && len(b) == len(f.Hash) {
		copy(f.Hash[:], b)
		return f, nil
	}
	b, err := config.ReadFile(rest, maxForm)
	if err != nil {
		return f, fmt.Errorf("form %s: %w", name, err)
	}
	f.Hash = sha256.Sum256(b)
	return f, nil
}
