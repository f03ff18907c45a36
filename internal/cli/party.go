package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"herald/internal/config"
	"herald/internal/durable"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/store/folder"
)

type partyNew struct {
	Code    string   `required:"" placeholder:"CODE" help:"The party's code: 2 to 8 capital letters and digits."`
	Name    string   `required:"" placeholder:"TEXT" help:"The party's full name, as it stands on its card."`
	Lang    []string `default:"en" placeholder:"TAG" help:"The party's languages, the preferred first, such as en or zh-Hans (default: en)."`
	Station string   `default:"main" help:"The station's name on the card."`
	Days    int      `default:"730" help:"How long the station's keys are certified, in days (default ${default})."`
	rootFlag
	costFlag
}

func (partyNew) Help() string {
	return `The root key is written outside the folder. Move it to a medium that you can lock away: whoever holds it speaks for the party. It is needed only to sign cards and charters.

Example:
  herald party new --dir us --code US --name "United States of America" --lang en`
}

func (c *partyNew) Run(a *app) error {
	p, err := line.ParseParty(c.Code)
	if err != nil {
		return err
	}
	rootPath := c.path(a.Dir)
	if err := checkOutside(a.Dir, rootPath); err != nil {
		return err
	}
	if err := checkNew(rootPath); err != nil {
		return err
	}
	root, err := keys.NewRoot(a.rand, p)
	if err != nil {
		return err
	}
	st, err := keys.NewStation(a.rand, p, c.Station, 1)
	if err != nil {
		return err
	}
	now := a.now().UTC().Truncate(time.Second)
	gen, err := st.Certify(now, now.AddDate(0, 0, c.Days))
	if err != nil {
		return err
	}
	card := &keys.Card{Party: p, Name: c.Name, Languages: c.Lang, Version: 1, Issued: now, Root: root.Public(), Generations: []keys.Generation{gen}}
	note, err := keys.SignCard(card, root)
	if err != nil {
		return err
	}
	rootFile, stationFile, err := c.encrypt(a, root, st)
	if err != nil {
		return err
	}
	if err := a.Dir.Create(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(rootPath), config.DirMode); err != nil {
		return fmt.Errorf("root key: %w", err)
	}
	for _, f := range []struct {
		path string
		data []byte
	}{{rootPath, rootFile}, {a.Dir.StationKey(), stationFile}, {a.Dir.SettingsFile(), config.Template}} {
		if err := durable.WriteFile(f.path, f.data, config.FileMode); err != nil {
			return err
		}
	}
	// The card comes last: it is what makes the folder a party's.
	if err := folder.SaveCard(a.Dir, folder.Held{Card: card, Note: note}, true); err != nil {
		return err
	}
	c.report(a, card, rootPath)
	return nil
}

func (c *partyNew) encrypt(a *app, root *keys.Root, st *keys.Station) (rootFile, stationFile []byte, err error) {
	pass, err := a.passphrase(rootSecret(), true)
	if err != nil {
		return nil, nil, err
	}
	if rootFile, err = keys.EncryptRoot(root, pass, c.ScryptCost); err != nil {
		return nil, nil, err
	}
	if pass, err = a.passphrase(stationSecret(), true); err != nil {
		return nil, nil, err
	}
	stationFile, err = keys.EncryptStation(st, pass, c.ScryptCost)
	return rootFile, stationFile, err
}

func (c *partyNew) report(a *app, card *keys.Card, rootPath string) {
	a.printf("Party %s, %s\n\n", card.Party, card.Name)
	table(a.out, [][]string{
		{"root key", rootPath, "speaks for the party: move it to a medium that you lock away"},
		{"station key", a.Dir.StationKey(), "generation 1, until " + day(card.Generations[0].Until)},
		{"card", a.Dir.OwnCard(), "version 1: hand it to the other parties"},
		{"settings", a.Dir.SettingsFile(), "listening, peers, alarm"},
	})
	a.printf("\nThe root key is outside the folder because the station runs in it: a station that\nis broken into must not be able to speak for the party. herald serve refuses to run\non a folder that holds a root key.\n")
	a.printf("\nNext: herald officer new --dir %s --role watch\n", a.Dir)
}
