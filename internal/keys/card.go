package keys

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"time"

	"herald/internal/line"
)

// MaxCard is the greatest size of a signed card in bytes: it fits one session
// frame (spec 01 §6).
const MaxCard = 60 << 10

// Limits on a card.
const (
	MaxName      = 200 // bytes of a party's name
	MaxLanguages = 8
)

// Card is a party's card: its root, the keys of its generations and officers,
// and where its closed logs ended (spec 01 §6).
type Card struct {
	Party       line.Party
	Name        string
	Languages   []string // the party's own, first preferred
	Version     uint32   // from 1
	Issued      time.Time
	Root        RootPublic
	Generations []Generation
	Officers    []OfficerCert
	Closings    []Closing
}

// Generation is one generation of station keys. A generation above the current
// one in use is a spare, signed beforehand.
type Generation struct {
	Gen                line.Generation
	Station            string
	Log, Delivery, TLS ed25519.PublicKey
	Receive            []byte // ReceiveSize bytes; receive key 0 of the generation
	From, Until        time.Time
}

// OfficerCert is one officer's key. Numbers are never given to another officer.
type OfficerCert struct {
	Number      uint16
	Code        line.Officer
	Role        Role
	Key         ed25519.PublicKey
	From, Until time.Time
	Revoked     time.Time // zero: not revoked
}

// ValidAt reports whether the key counts at time t.
func (o OfficerCert) ValidAt(t time.Time) bool {
	return !t.Before(o.From) && t.Before(o.Until) && (o.Revoked.IsZero() || t.Before(o.Revoked))
}

// Closing says at which size and root a generation's log on a line ended for
// good: nothing beyond it is the party's word.
type Closing struct {
	Line line.ID
	Gen  line.Generation
	Size uint64
	Root line.Hash
}

// Hash is the SHA-256 of the card's text, without signatures.
func (c *Card) Hash() [32]byte { return sha256.Sum256([]byte(c.Text())) }

// Generation returns generation g.
func (c *Card) Generation(g line.Generation) (Generation, bool) {
	for _, x := range c.Generations {
		if x.Gen == g {
			return x, true
		}
	}
	return Generation{}, false
}

// Current returns the highest generation.
func (c *Card) Current() (Generation, bool) {
	var best Generation
	for _, x := range c.Generations {
		if x.Gen > best.Gen {
			best = x
		}
	}
	return best, best.Gen > 0
}

// Officer returns the officer with a number.
func (c *Card) Officer(number uint16) (OfficerCert, bool) {
	for _, o := range c.Officers {
		if o.Number == number {
			return o, true
		}
	}
	return OfficerCert{}, false
}

// OfficerByCode returns the officer with a code.
func (c *Card) OfficerByCode(code line.Officer) (OfficerCert, bool) {
	_, _, n, err := ParseOfficer(code)
	if err != nil {
		return OfficerCert{}, false
	}
	o, ok := c.Officer(n)
	return o, ok && o.Code == code
}

// Closing returns where a generation's log on a line ended.
func (c *Card) Closing(l line.ID, g line.Generation) (Closing, bool) {
	for _, x := range c.Closings {
		if x.Line == l && x.Gen == g {
			return x, true
		}
	}
	return Closing{}, false
}

// SignCard checks the card and returns it as a note signed by its root.
func SignCard(c *Card, root *Root) ([]byte, error) {
	if c.Root != root.Public() || c.Party != root.Party {
		return nil, fmt.Errorf("card of %s: the root that signs is another one, of %s", c.Party, root.Party)
	}
	text := c.Text()
	if _, err := ParseCardText(text); err != nil {
		return nil, err
	}
	msg, err := SignNote(text, nil, root)
	if err == nil && len(msg) > MaxCard {
		err = tooLarge(len(msg))
	}
	return msg, err
}

// ParseCard reads a signed card and verifies both signatures by the root that
// the card itself names. That the root is the party's own is not thereby
// known: compare safety words.
func ParseCard(msg []byte) (*Card, error) {
	if len(msg) > MaxCard {
		return nil, tooLarge(len(msg))
	}
	text, _, err := SplitNote(msg)
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	c, err := ParseCardText(text)
	if err != nil {
		return nil, err
	}
	_, exact, err := openNote(msg, c.Root, c.Party)
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	if !exact {
		return nil, fmt.Errorf("card of %s: want the two signatures of its root, Ed25519 first, and nothing else", c.Party)
	}
	return c, nil
}

func tooLarge(n int) error {
	return fmt.Errorf("card of %d bytes: the limit is %d, so that it fits one frame", n, MaxCard)
}
