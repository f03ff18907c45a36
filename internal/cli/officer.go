package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"herald/internal/config"
	"herald/internal/durable"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/store/folder"
)

// asFlag says who acts.
type asFlag struct {
	As string `required:"" placeholder:"OFFICER" help:"The officer who acts: a code such as us-watch-1, or a role when one officer here has it."`
}

// officerFlags say who signs, and where the key lies.
type officerFlags struct {
	asFlag
	Key string `placeholder:"FILE" help:"The officer's key file (default: in the party's folder)."`
}

// code finds the officer who is meant.
func (o asFlag) code(a *app) (line.Officer, error) {
	own, err := folder.Own(a.Dir)
	if err != nil {
		return "", err
	}
	if cert, ok := own.Card.OfficerByCode(line.Officer(o.As)); ok {
		return cert.Code, nil
	}
	var match, all []line.Officer
	for _, c := range own.Card.Officers {
		if !c.Revoked.IsZero() {
			continue
		}
		all = append(all, c.Code)
		prefix := strings.ToLower(string(own.Card.Party)) + "-"
		if string(c.Role) == strings.TrimPrefix(o.As, prefix) {
			match = append(match, c.Code)
		}
	}
	if len(match) == 1 {
		return match[0], nil
	}
	if len(all) == 0 {
		return "", fmt.Errorf("%s has no officers yet: make one with \"herald officer new\"", own.Card.Party)
	}
	return "", fmt.Errorf("no one officer is %q: the officers on the card are %s", o.As, words(all, "and"))
}

// open unlocks the officer's key. It is used in this process and nowhere else.
func (o officerFlags) open(a *app, code line.Officer) (*keys.Officer, error) {
	path := o.Key
	if path == "" {
		path = a.Dir.OfficerKey(code)
	}
	b, err := config.ReadFile(path, keys.MaxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the key of officer %s is not at %s: name it with --key FILE", code, path)
	}
	if err != nil {
		return nil, fmt.Errorf("key of officer %s: %w", code, err)
	}
	pass, err := a.passphrase(officerSecret(code), false)
	if err != nil {
		return nil, err
	}
	k, err := keys.DecryptOfficer(b, pass)
	if err != nil {
		return nil, fmt.Errorf("key of officer %s, %s: %w", code, path, err)
	}
	if k.Code() != code {
		return nil, fmt.Errorf("%s is the key of officer %s, not of %s", path, k.Code(), code)
	}
	return k, nil
}

type officerNew struct {
	Role string `required:"" placeholder:"ROLE" help:"watch (keeps the line), release (releases messages), principal (speaks for the party), interpreter or auditor."`
	Key  string `placeholder:"FILE" help:"Where to write the officer's key file, such as on a medium of their own (default: in the party's folder)."`
	Days int    `default:"730" help:"How long the key is certified, in days (default ${default})."`
	rootFlag
	costFlag
}

func (officerNew) Help() string {
	return `Officers are numbered; other parties see the code, such as us-watch-1, and never a name. The card gets a new version: hand it to the other parties, or let the line carry it.

Example:
  herald officer new --dir us --role watch`
}

func (c *officerNew) Run(a *app) error {
	role, err := keys.ParseRole(c.Role)
	if err != nil {
		return err
	}
	own, err := folder.Own(a.Dir)
	if err != nil {
		return err
	}
	serial := 1
	for _, o := range own.Card.Officers {
		if o.Role == role {
			serial = max(serial, keys.OfficerSerial(o.Number)+1)
		}
	}
	k, err := keys.NewOfficer(a.rand, own.Card.Party, role, serial)
	if err != nil {
		return err
	}
	path := c.Key
	if path == "" {
		path = a.Dir.OfficerKey(k.Code())
	}
	if err := checkNew(path); err != nil {
		return err
	}
	var cert keys.OfficerCert
	next, err := a.issue(c.rootFlag, func(card *keys.Card) error {
		if _, taken := card.Officer(k.Number); taken {
			return fmt.Errorf("officer %s was made meanwhile; try again", k.Code())
		}
		cert = k.Certify(card.Issued, card.Issued.AddDate(0, 0, c.Days))
		card.Officers = append(card.Officers, cert)
		pass, err := a.passphrase(officerSecret(k.Code()), true)
		if err != nil {
			return err
		}
		b, err := keys.EncryptOfficer(k, pass, c.ScryptCost)
		if err != nil {
			return err
		}
		// The key is durable before a card names it.
		return durable.WriteFile(path, b, config.FileMode)
	})
	if err != nil {
		return err
	}
	a.printf("Officer %s\n\n", k.Code())
	table(a.out, [][]string{
		{"key", path, "until " + day(cert.Until)},
		{"card", a.Dir.OwnCard(), fmt.Sprintf("now version %d", next.Version)},
	})
	return nil
}

type officerList struct {
	JSON bool `help:"Print JSON."`
}

func (officerList) Help() string { return "Example:\n  herald officer list --dir us" }

// officerInfo is an officer for programs.
type officerInfo struct {
	Officer line.Officer `json:"officer"`
	Role    keys.Role    `json:"role"`
	From    int64        `json:"from"`
	Until   int64        `json:"until"`
	Revoked int64        `json:"revoked,omitempty"`
	Key     bool         `json:"key_here"` // the key file lies in the party's folder
}

func (c *officerList) Run(a *app) error {
	own, err := folder.Own(a.Dir)
	if err != nil {
		return err
	}
	list := []officerInfo{}
	rows := [][]string{}
	for _, o := range own.Card.Officers {
		i := officerInfo{Officer: o.Code, Role: o.Role, From: o.From.Unix(), Until: o.Until.Unix()}
		files, err := filepath.Glob(a.Dir.OfficerKey(o.Code))
		if err != nil {
			return err
		}
		i.Key = len(files) > 0
		row := []string{string(o.Code), "until " + day(o.Until), "key kept elsewhere"}
		if i.Key {
			row[2] = "key in this folder"
		}
		if !o.Revoked.IsZero() {
			i.Revoked = o.Revoked.Unix()
			row[1] = "revoked " + stamp(i.Revoked)
		}
		list, rows = append(list, i), append(rows, row)
	}
	if c.JSON {
		return printJSON(a.out, list)
	}
	table(a.out, rows)
	return nil
}

type officerRenew struct {
	Officer string `arg:"" help:"The officer's code."`
	Days    int    `default:"730" help:"For how long from today, in days (default ${default})."`
	rootFlag
}

func (officerRenew) Help() string { return "Example:\n  herald officer renew --dir us us-watch-1" }

func (c *officerRenew) Run(a *app) error {
	var until time.Time
	next, err := a.issue(c.rootFlag, changeOfficer(c.Officer, func(o *keys.OfficerCert, now time.Time) {
		o.Until = now.AddDate(0, 0, c.Days)
		until = o.Until
	}))
	if err != nil {
		return err
	}
	a.printf("Officer %s: certified until %s by card version %d.\n", c.Officer, day(until), next.Version)
	return nil
}

type officerRevoke struct {
	Officer string `arg:"" help:"The officer's code."`
	rootFlag
}

func (officerRevoke) Help() string {
	return `What the officer signed before stays on the record; nothing signed from now on counts. A revocation cannot be taken back.

Example:
  herald officer revoke --dir us us-watch-1`
}

func (c *officerRevoke) Run(a *app) error {
	next, err := a.issue(c.rootFlag, changeOfficer(c.Officer, func(o *keys.OfficerCert, now time.Time) { o.Revoked = now }))
	if err != nil {
		return err
	}
	a.printf("Officer %s: revoked by card version %d. The other parties know once they hold that card.\n", c.Officer, next.Version)
	return nil
}

// changeOfficer changes one officer's certificate on a card, unless revoked.
func changeOfficer(code string, change func(*keys.OfficerCert, time.Time)) func(*keys.Card) error {
	return func(card *keys.Card) error {
		for i := range card.Officers {
			o := &card.Officers[i]
			if string(o.Code) != code {
				continue
			}
			if !o.Revoked.IsZero() {
				return fmt.Errorf("officer %s was revoked on %s; that stays", code, stamp(o.Revoked.Unix()))
			}
			change(o, card.Issued)
			return nil
		}
		return fmt.Errorf("no officer %q on the card of %s", code, card.Party)
	}
}
