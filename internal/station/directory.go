package station

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/subtle"
	"fmt"
	"sort"
	"sync"

	"herald/internal/config"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/store/folder"
)

// directory is the cards that this station holds, every version of them, in
// memory and as files in the folder. It implements session.Directory.
type directory struct {
	folder config.Folder
	self   line.Party
	taken  func(line.Party) // told after a newer card was kept

	mu     sync.RWMutex
	newest map[line.Party]*keys.Card
	byHash map[[32]byte]folder.Held
}

// openDirectory reads every card in the folder. The own card must be there.
func openDirectory(f config.Folder) (*directory, error) {
	d := &directory{folder: f, newest: map[line.Party]*keys.Card{}, byHash: map[[32]byte]folder.Held{}}
	cards, err := folder.Cards(f)
	if err != nil {
		return nil, fmt.Errorf("the cards in this folder: %w", err)
	}
	d.self = cards[0].Card.Party
	for _, c := range cards {
		d.add(c)
		versions, err := folder.Versions(f, c.Card.Party)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			d.add(v)
		}
	}
	return d, nil
}

func (d *directory) add(h folder.Held) {
	d.byHash[h.Card.Hash()] = h
	if old, ok := d.newest[h.Card.Party]; !ok || old.Version < h.Card.Version {
		d.newest[h.Card.Party] = h.Card
	}
}

// Take keeps a newer card of a party that is known, as a peer or the owner
// brings it. A first card comes only by introduce.
func (d *directory) Take(_ context.Context, note []byte) error {
	card, err := keys.ParseCard(note)
	if err != nil {
		return err
	}
	return d.take(card, note, false)
}

// introduce keeps a card that the owner brings, also of a party not known yet.
func (d *directory) introduce(note []byte) (*keys.Card, error) {
	card, err := keys.ParseCard(note)
	if err != nil {
		return nil, err
	}
	return card, d.take(card, note, true)
}

func (d *directory) take(card *keys.Card, note []byte, first bool) error {
	d.mu.Lock()
	old, known := d.newest[card.Party]
	if !known && !first {
		d.mu.Unlock()
		return fmt.Errorf("a card of %s, which is not known here: import it by hand, and compare its safety words", card.Party)
	}
	if known && old.Hash() == card.Hash() {
		d.mu.Unlock()
		return nil
	}
	if known {
		if err := keys.CheckSuccessor(old, card); err != nil {
			d.mu.Unlock()
			return err
		}
	}
	h := folder.Held{Card: card, Note: bytes.Clone(note)}
	if err := folder.SaveCard(d.folder, h, card.Party == d.self); err != nil {
		d.mu.Unlock()
		return err
	}
	d.add(h)
	d.mu.Unlock()
	if d.taken != nil {
		d.taken(card.Party)
	}
	return nil
}

// Card gives a party's newest card.
func (d *directory) Card(p line.Party) (*keys.Card, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c, ok := d.newest[p]
	return c, ok
}

// CardByHash gives a card by the hash of its text.
func (d *directory) CardByHash(h [32]byte) ([]byte, *keys.Card, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	x, ok := d.byHash[h]
	return x.Note, x.Card, ok
}

func (d *directory) generation(p line.Party, g line.Generation) (keys.Generation, bool) {
	c, ok := d.Card(p)
	if !ok {
		return keys.Generation{}, false
	}
	return c.Generation(g)
}

// LogKey gives the key of a party's log in a generation.
func (d *directory) LogKey(p line.Party, g line.Generation) (ed25519.PublicKey, bool) {
	x, ok := d.generation(p, g)
	return x.Log, ok
}

// DeliveryKey gives the key with which a party's generation cosigns.
func (d *directory) DeliveryKey(p line.Party, g line.Generation) (ed25519.PublicKey, bool) {
	x, ok := d.generation(p, g)
	return x.Delivery, ok
}

// ReceiveKey gives the receive key on a party's newest card.
func (d *directory) ReceiveKey(p line.Party) ([]byte, bool) {
	c, ok := d.Card(p)
	if !ok {
		return nil, false
	}
	g, ok := c.Current()
	return g.Receive, ok
}

// byTLS names the party whose current generation has this TLS key.
func (d *directory) byTLS(pub ed25519.PublicKey) (string, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for p, c := range d.newest {
		g, ok := c.Current()
		if ok && p != d.self && subtle.ConstantTimeCompare(g.TLS, pub) == 1 {
			return string(p), true
		}
	}
	return "", false
}

// all lists the newest cards by party; history lists every version of a
// party's card, oldest first.
func (d *directory) all() []*keys.Card {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := make([]*keys.Card, 0, len(d.newest))
	for _, c := range d.newest {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Party < out[j].Party })
	return out
}

func (d *directory) history(p line.Party) [][]byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var hs []folder.Held
	for _, h := range d.byHash {
		if h.Card.Party == p {
			hs = append(hs, h)
		}
	}
	sort.Slice(hs, func(i, j int) bool { return hs[i].Card.Version < hs[j].Card.Version })
	out := make([][]byte, len(hs))
	for i, h := range hs {
		out[i] = h.Note
	}
	return out
}
