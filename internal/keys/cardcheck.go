package keys

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/mldsa"

	"herald/internal/line"
)

// check holds the rules of spec 01 §6 that the form alone does not enforce.
func (c *Card) check() error {
	if _, err := line.ParseParty(string(c.Party)); err != nil {
		return err
	}
	if err := CheckLabel(c.Name, MaxName); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := CheckLanguages(c.Languages); err != nil {
		return err
	}
	if c.Version == 0 {
		return errors.New("versions count from 1")
	}
	if _, err := mldsa.NewPublicKey(mldsa.MLDSA65(), c.Root.MLDSA65[:]); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	// One key never has two duties: a signature must not be usable for another.
	seen := map[string]bool{string(c.Root.Ed25519[:]): true}
	fresh := func(what string, key []byte) error {
		if seen[string(key)] {
			return fmt.Errorf("%s: its key occurs twice on the card", what)
		}
		seen[string(key)] = true
		return nil
	}
	if err := c.checkGenerations(fresh); err != nil {
		return err
	}
	if err := c.checkOfficers(fresh); err != nil {
		return err
	}
	return c.checkClosings()
}

// CheckLanguages checks a party's list of languages: 1 to MaxLanguages tags,
// none twice.
func CheckLanguages(tags []string) error {
	if len(tags) == 0 || len(tags) > MaxLanguages {
		return fmt.Errorf("%d languages: want 1 to %d", len(tags), MaxLanguages)
	}
	for i, l := range tags {
		if err := CheckLanguage(l); err != nil {
			return err
		}
		if slices.Contains(tags[:i], l) {
			return fmt.Errorf("language %s occurs twice", l)
		}
	}
	return nil
}

func (c *Card) checkGenerations(fresh func(string, []byte) error) error {
	var last line.Generation
	for _, g := range c.Generations {
		what := fmt.Sprintf("generation %d", g.Gen)
		if g.Gen <= last {
			return fmt.Errorf("%s: want generations in rising order from 1", what)
		}
		last = g.Gen
		if err := ParseStationName(g.Station); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if !g.From.Before(g.Until) {
			return fmt.Errorf("%s: it ends before it begins", what)
		}
		for _, k := range [][]byte{g.Log, g.Delivery, g.TLS, g.Receive} {
			if err := fresh(what, k); err != nil {
				return err
			}
		}
		if _, err := hpke.MLKEM768X25519().NewPublicKey(g.Receive); err != nil {
			return fmt.Errorf("%s: receive key: %w", what, err)
		}
	}
	return nil
}

func (c *Card) checkOfficers(fresh func(string, []byte) error) error {
	var last uint16
	for _, o := range c.Officers {
		what := "officer " + string(o.Code)
		if !strings.HasPrefix(string(o.Code), strings.ToLower(string(c.Party))+"-") {
			return fmt.Errorf("%s: belongs to another party", what)
		}
		if o.Number <= last {
			return fmt.Errorf("%s: want officers in rising order of their numbers, none twice", what)
		}
		last = o.Number
		if !o.From.Before(o.Until) {
			return fmt.Errorf("%s: the certificate ends before it begins", what)
		}
		if err := fresh(what, o.Key); err != nil {
			return err
		}
	}
	return nil
}

func (c *Card) checkClosings() error {
	for i, x := range c.Closings {
		if i > 0 && byLog(c.Closings[i-1], x) >= 0 {
			return fmt.Errorf("closing %s: want closings in rising order of line and generation, none twice", x.Line.Short())
		}
		if _, ok := c.Generation(x.Gen); !ok {
			return fmt.Errorf("closing %s: generation %d is not on the card", x.Line.Short(), x.Gen)
		}
	}
	return nil
}

// CheckSuccessor reports why next may not replace old as the card of one
// party (spec 01 §7).
func CheckSuccessor(old, next *Card) error {
	switch {
	case next.Party != old.Party:
		return fmt.Errorf("card of %s cannot replace the card of %s", next.Party, old.Party)
	case next.Root != old.Root:
		return fmt.Errorf("card of %s: it has another root; a new root is a new party and needs new safety words and a new line", next.Party)
	case next.Version <= old.Version:
		return fmt.Errorf("card of %s: version %d is not newer than version %d", next.Party, next.Version, old.Version)
	case next.Issued.Before(old.Issued):
		return fmt.Errorf("card of %s: version %d was issued before version %d", next.Party, next.Version, old.Version)
	}
	for _, check := range []func(old, next *Card) error{keptGenerations, keptOfficers, keptClosings} {
		if err := check(old, next); err != nil {
			return fmt.Errorf("card of %s, version %d: %w", next.Party, next.Version, err)
		}
	}
	return nil
}

func keptGenerations(old, next *Card) error {
	for _, a := range old.Generations {
		b, ok := next.Generation(a.Gen)
		if !ok || !a.equal(b) {
			return fmt.Errorf("generation %d was removed or changed: entries signed by it could no longer be judged", a.Gen)
		}
	}
	top, ok := old.Current()
	for _, b := range next.Generations {
		if _, had := old.Generation(b.Gen); ok && !had && b.Gen < top.Gen {
			return fmt.Errorf("generation %d was added below generation %d", b.Gen, top.Gen)
		}
	}
	return nil
}

func (g Generation) equal(h Generation) bool {
	return g.Gen == h.Gen && g.Station == h.Station && g.Log.Equal(h.Log) && g.Delivery.Equal(h.Delivery) &&
		g.TLS.Equal(h.TLS) && bytes.Equal(g.Receive, h.Receive) && g.From.Equal(h.From) && g.Until.Equal(h.Until)
}

func keptOfficers(old, next *Card) error {
	for _, a := range old.Officers {
		b, ok := next.Officer(a.Number)
		switch {
		case !ok:
			return fmt.Errorf("officer %s was removed: revoke instead, so that the number is never given again", a.Code)
		case a.Code != b.Code || !a.Key.Equal(b.Key) || !a.From.Equal(b.From):
			return fmt.Errorf("officer number %d was given to another key or role", a.Number)
		case !a.Revoked.IsZero() && (b.Revoked.IsZero() || b.Revoked.After(a.Revoked)):
			return fmt.Errorf("officer %s: a revocation was taken back", a.Code)
		}
	}
	return nil
}

func keptClosings(old, next *Card) error {
	for _, a := range old.Closings {
		if b, ok := next.Closing(a.Line, a.Gen); !ok || a != b {
			return fmt.Errorf("the closing of generation %d on line %s was removed or changed", a.Gen, a.Line.Short())
		}
	}
	return nil
}

// Warnings says in plain words which keys have expired by now, or will within
// ahead: of the highest generation, and of officers not revoked.
func (c *Card) Warnings(now time.Time, ahead time.Duration) []string {
	var out []string
	warn := func(what string, until time.Time, then string) {
		switch {
		case !now.Before(until):
			out = append(out, fmt.Sprintf("%s: %s expired on %s: %s", c.Party, what, formatTime(until), then))
		case !now.Add(ahead).Before(until):
			out = append(out, fmt.Sprintf("%s: %s will expire on %s: %s", c.Party, what, formatTime(until), then))
		}
	}
	if g, ok := c.Current(); ok {
		warn(fmt.Sprintf("the keys of station %s, generation %d,", g.Station, g.Gen), g.Until,
			"sign a new card with the next generation")
	}
	for _, o := range c.Officers {
		if o.Revoked.IsZero() {
			warn("the key of officer "+string(o.Code), o.Until, "sign a new card that renews or revokes it")
		}
	}
	return out
}
