package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/durable"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/store/folder"
)

type generationCmd struct {
	Open  generationOpen  `cmd:"" help:"Open a new generation with fresh station keys; needs the root key."`
	Spare generationSpare `cmd:"" help:"Sign a spare generation beforehand, for the day when the root is out of reach."`
	Use   generationUse   `cmd:"" help:"Open the generation that was signed beforehand; needs no root key."`
}

type generationOpen struct {
	Lost bool `help:"The database is lost: name no closings, for nobody here knows them. The other parties hold the record."`
	stationTerms
	rootFlag
	costFlag
}

// stationTerms are what a card says about a new generation of station keys.
type stationTerms struct {
	Station string `placeholder:"NAME" help:"The station's name on the card (default: as before)."`
	Days    int    `default:"730" help:"How long the keys are certified, in days (default ${default})."`
}

func (generationOpen) Help() string {
	return `A generation is the one way to restore from a backup, to rotate keys and to shut out a stolen one: a new log with fresh keys, opened by a card that names where the old logs closed. The old keys never sign again. Stop serving first.

Example:
  herald generation open --dir us --root /media/safe/root.key`
}

func (c *generationOpen) Run(ctx context.Context, a *app) error {
	if err := a.notServing(); err != nil {
		return err
	}
	if err := a.finishGeneration(); err != nil {
		return err
	}
	var closings []keys.Closing
	if !c.Lost {
		var err error
		if closings, err = a.closings(ctx); err != nil {
			return err
		}
	}
	own, err := folder.Own(a.Dir)
	if err != nil {
		return err
	}
	root, err := c.rootFlag.open(a)
	if err != nil {
		return err
	}
	gen, err := a.spareGeneration(own.Card, c.stationTerms, c.ScryptCost)
	if err != nil {
		return err
	}
	note, next, err := signNext(own.Card, root, a.now(), func(card *keys.Card) error {
		card.Generations = append(card.Generations, gen)
		card.Closings = append(card.Closings, closings...)
		return nil
	})
	if err != nil {
		return err
	}
	if err := a.install(note); err != nil {
		return err
	}
	a.opened(next, closings)
	return nil
}

// opened reports a new generation.
func (a *app) opened(card *keys.Card, closings []keys.Closing) {
	g, _ := card.Current() // it was just put there
	a.printf("Generation %d of %s is open, by card version %d.\n", g.Gen, card.Party, card.Version)
	rows := [][]string{}
	for _, x := range closings {
		rows = append(rows, []string{"line " + x.Line.Short(), fmt.Sprintf("generation %d closed at %s", x.Gen, plural(int(x.Size), "entry", "entries"))})
	}
	table(a.out, rows)
	a.printf("Now hand the new card to the other parties: a station that lacks it refuses the new keys.\n  herald card export --dir %s\nThen serve again.\n", a.Dir)
}

// notServing refuses while a station runs: its keys would change under it.
func (a *app) notServing() error {
	if err := a.Dir.Check(); err != nil {
		return err
	}
	c, err := control.Dial(a.Dir.Socket())
	if err == nil {
		c.Close()
		return errors.New("a station serves this folder and its keys would change under it: stop it first; what it accepted stays")
	}
	if errors.Is(err, control.ErrNotServing) {
		return nil
	}
	return err
}

// closings asks the folder's station where its logs stand.
func (a *app) closings(ctx context.Context) ([]keys.Closing, error) {
	var out []keys.Closing
	err := a.with(ctx, func(s control.Service) error {
		list, err := s.Closing(ctx)
		if err != nil {
			return err
		}
		for _, x := range list {
			id, err := line.ParseID(x.Line)
			if err != nil {
				return err
			}
			k := keys.Closing{Line: id, Gen: line.Generation(x.Gen), Size: x.Size}
			if n, err := hex.Decode(k.Root[:], []byte(x.Root)); err != nil || n != len(k.Root) || len(x.Root) != 2*n {
				return fmt.Errorf("the station names the root %q for line %s", x.Root, id.Short())
			}
			out = append(out, k)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("where the old logs end is not known: %w (if the database is lost, say --lost)", err)
	}
	return out, nil
}

type generationSpare struct {
	stationTerms
	rootFlag
	costFlag
}

func (generationSpare) Help() string {
	return `Makes the keys of the next generation and the card that opens it, and keeps both here, unused. An officer can then open it at once ("herald generation use") when the station must start anew and the root key is out of reach.

Example:
  herald generation spare --dir us --root /media/safe/root.key`
}

func (c *generationSpare) Run(a *app) error {
	own, err := folder.Own(a.Dir)
	if err != nil {
		return err
	}
	if err := a.finishGeneration(); err != nil {
		return err
	}
	root, err := c.open(a)
	if err != nil {
		return err
	}
	gen, err := a.spareGeneration(own.Card, c.stationTerms, c.ScryptCost)
	if err != nil {
		return err
	}
	note, _, err := signNext(own.Card, root, a.now(), func(card *keys.Card) error {
		card.Generations = append(card.Generations, gen)
		return nil
	})
	if err != nil {
		return err
	}
	if err := durable.WriteFile(a.Dir.SpareCard(), note, config.FileMode); err != nil {
		return err
	}
	a.printf("Generation %d is signed beforehand, until %s.\n", gen.Gen, day(gen.Until))
	table(a.out, [][]string{{"keys", a.Dir.SpareKey()}, {"card", a.Dir.SpareCard(), "nobody else has it until it is used"}})
	return nil
}

type generationUse struct{}

func (generationUse) Help() string {
	return `Opens what "herald generation spare" signed. It names no closings, for they were not known then. Stop serving first.

Example:
  herald generation use --dir us`
}

func (c *generationUse) Run(a *app) error {
	if err := a.notServing(); err != nil {
		return err
	}
	note, err := config.ReadFile(a.Dir.SpareCard(), keys.MaxCard)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("no generation was signed beforehand (herald generation spare); open one with the root key: herald generation open")
	}
	if err != nil {
		return err
	}
	card, err := keys.ParseCard(note)
	if err != nil {
		return fmt.Errorf("%s: %w", a.Dir.SpareCard(), err)
	}
	if err := a.install(note); err != nil {
		return err
	}
	a.opened(card, nil)
	return nil
}

// spareGeneration returns what the card will say about the spare keys, which
// it makes unless they are there already.
func (a *app) spareGeneration(own *keys.Card, terms stationTerms, cost int) (keys.Generation, error) {
	var none keys.Generation
	pass, err := a.passphrase(stationSecret(), false)
	if err != nil {
		return none, err
	}
	cur, _ := own.Current()
	spare, err := readStation(a.Dir.SpareKey(), pass)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && spare.Gen <= cur.Gen:
		if spare, err = a.makeSpare(cur, terms.Station, pass, cost); err != nil {
			return none, err
		}
	case err != nil:
		return none, err
	}
	now := a.now().UTC().Truncate(time.Second)
	return spare.Certify(now, now.AddDate(0, 0, terms.Days))
}

func (a *app) makeSpare(cur keys.Generation, name, pass string, cost int) (*keys.Station, error) {
	old, err := readStation(a.Dir.StationKey(), pass)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = cur.Station
	}
	spare, err := keys.NewStation(a.rand, old.Party, name, cur.Gen+1)
	if err != nil {
		return nil, err
	}
	spare.Archive = old.Archive // what is at rest stays readable
	b, err := keys.EncryptStation(spare, pass, cost)
	if err != nil {
		return nil, err
	}
	return spare, durable.WriteFile(a.Dir.SpareKey(), b, config.FileMode)
}

func readStation(path, pass string) (*keys.Station, error) {
	b, err := config.ReadFile(path, keys.MaxKeyFile)
	if err != nil {
		return nil, err
	}
	s, err := keys.DecryptStation(b, pass)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// renewSpare signs the spare's card again so that it follows next, and returns
// what writes it once next is taken.
func (a *app) renewSpare(next *keys.Card, root *keys.Root) (write func() error, err error) {
	nothing := func() error { return nil }
	b, err := config.ReadFile(a.Dir.SpareCard(), keys.MaxCard)
	if errors.Is(err, fs.ErrNotExist) {
		return nothing, nil
	}
	if err != nil {
		return nil, err
	}
	old, err := keys.ParseCard(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Dir.SpareCard(), err)
	}
	gen, _ := old.Current()
	if _, used := next.Generation(gen.Gen); used {
		return nothing, nil
	}
	note, _, err := signNext(next, root, next.Issued, func(card *keys.Card) error {
		card.Generations = append(card.Generations, gen)
		return nil
	})
	return func() error { return durable.WriteFile(a.Dir.SpareCard(), note, config.FileMode) }, err
}

// install takes the card that opens the spare's generation, then puts the
// spare's keys in their place.
func (a *app) install(note []byte) error {
	err := a.locked(func() error {
		_, err := folder.ImportCard(a.Dir, note)
		return err
	})
	if err != nil {
		return err
	}
	return a.finishGeneration()
}

// finishGeneration puts the spare's keys in place if the own card has opened
// their generation: the second half of install, also after a crash between.
func (a *app) finishGeneration() error {
	spare, err := config.ReadFile(a.Dir.SpareKey(), keys.MaxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	own, err := folder.Own(a.Dir)
	if err != nil {
		return err
	}
	if cur, _ := own.Card.Current(); stationGeneration(spare) != cur.Gen {
		return nil
	}
	return a.locked(func() error {
		if err := durable.WriteFile(a.Dir.StationKey(), spare, config.FileMode); err != nil {
			return err
		}
		for _, p := range []string{a.Dir.SpareCard(), a.Dir.SpareKey()} {
			if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// stationGeneration reads the generation on a station key file's clear line.
func stationGeneration(file []byte) line.Generation {
	kind, owner, ok := keys.FileOwner(file)
	f := strings.Fields(owner)
	if !ok || kind != "station" || len(f) != 3 {
		return 0
	}
	n, err := strconv.ParseUint(f[2], 10, 32)
	if err != nil {
		return 0
	}
	return line.Generation(n)
}
