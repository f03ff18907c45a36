package session_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"herald/internal/charter"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/session"
	"herald/internal/wire"
)

// twoForFlash asks for two officers at FLASH, none of them of the watch.
func twoForFlash(x *charter.Terms) {
	x.Precedences[line.Flash].Releasers = 2
	x.Precedences[line.Flash].Roles = []keys.Role{keys.RoleRelease, keys.RolePrincipal}
}

// last returns what a node made of the newest words of a log.
func (n *node) last(g line.Log) said {
	n.w.t.Helper()
	all := n.read(g)
	if len(all) == 0 {
		n.w.t.Fatalf("%s reads nothing", n.name)
	}
	return all[len(all)-1]
}

// A station that is compromised or careless can put anything on its own log.
// The peer shows what is not released as the charter asks, and goes on.
func TestPeerJudgesReleases(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, twoForFlash, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		w.settle(5 * time.Second)
		for _, c := range []struct {
			name   string
			words  words
			change func(*session.Submission)
			defect string // part of it; "" for sound
		}{
			{"two who may", words{prec: line.Flash, officers: []keys.Role{keys.RoleRelease, keys.RolePrincipal}}, nil, ""},
			{"one who may", words{prec: line.Flash}, nil, "asks for 2"},
			{"one of two may not", words{prec: line.Flash, officers: []keys.Role{keys.RoleRelease, keys.RoleWatch}}, nil, "may not release"},
			{"nobody", words{prec: line.Immediate, officers: []keys.Role{}}, nil, "asks for 1"},
			{"an auditor", words{officers: []keys.Role{keys.RoleAuditor}}, nil, "may not release"},
			{"unknown officer", words{}, func(s *session.Submission) {
				s.Inner.Releases = keys.AppendRelease(nil, 4321, make([]byte, 64))
			}, "not on"},
			{"signed for another precedence", words{}, func(s *session.Submission) {
				s.Inner.Flags = wire.NewFlags(line.Priority, line.Test, 0)
			}, "does not verify"},
			{"signed as a test, sent as real", words{}, func(s *session.Submission) {
				s.Inner.Flags = wire.NewFlags(line.Routine, line.Real, 0)
			}, "does not verify"},
			{"signed at another time", words{}, func(s *session.Submission) { s.Time++ }, "does not verify"},
			{"another text", words{}, func(s *session.Submission) {
				s.Inner.Content = wire.Marshal(wire.Message{Text: []byte("never agreed to")})
			}, "does not verify"},
			{"releases that are no releases", words{}, func(s *session.Submission) { s.Inner.Releases = []byte{1, 2, 3} }, "releases"},
			{"text that is no text", words{officers: []keys.Role{}}, func(s *session.Submission) {
				s.Inner.Content = wire.Marshal(wire.Message{Text: []byte("a\x00b")})
			}, "control character"},
		} {
			s := a.submission(c.words)
			if c.change != nil {
				c.change(&s)
			}
			done, err := a.line.Submit(t.Context(), s)
			must(t, err)
			w.settle(5 * time.Second)
			_, body, ok := b.inner(done.Pos)
			if !ok || (c.defect == "") != (body.Defect == "") || !strings.Contains(body.Defect, c.defect) {
				t.Errorf("%s: defect %q, want %q", c.name, body.Defect, c.defect)
			}
			if !a.delivered(done.Pos, 1) {
				t.Errorf("%s: not delivered: a defective entry must not stop the log", c.name)
			}
		}
		w.same()
	})
}

// A release is for one entry: the same words with the same release in another
// entry, in this generation or a later one, are flagged.
func TestRepeatedRelease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		s := a.submission(words{text: "Stand by."})
		_, err := a.line.Submit(t.Context(), s)
		must(t, err)
		w.settle(5 * time.Second)
		if got := b.last(a.log()); got.defect != "" {
			t.Fatalf("%+v", got)
		}
		_, err = a.line.Submit(t.Context(), s)
		must(t, err)
		w.settle(5 * time.Second)
		if got := b.last(a.log()); !strings.Contains(got.defect, "repeats the release of P00 0001") {
			t.Errorf("%+v", got)
		}
		a.say(words{text: "Stand by."})
		w.settle(5 * time.Second)
		if got := b.last(a.log()); got.defect != "" {
			t.Errorf("the same words released anew: %+v", got)
		}
	})
}

// An officer's acts prove steps only with a good signature.
func TestStepsNeedAnOfficer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		w.settle(5 * time.Second)
		asked := a.say(words{text: "Is it yours?"})
		w.settle(5 * time.Second)
		ref := []wire.Ref{b.ref(asked.Pos)}
		b.say(words{kind: wire.KindDecline, refs: ref, officers: []keys.Role{}})
		s := b.submission(words{kind: wire.KindAnswer, text: "No.", refs: ref})
		s.Inner.Releases[len(s.Inner.Releases)-1] ^= 1
		_, err := b.line.Submit(t.Context(), s)
		must(t, err)
		stranger := ref[0]
		stranger.Leaf = make([]byte, 32)
		b.say(words{kind: wire.KindUnderstood, refs: []wire.Ref{stranger}})
		w.settle(5 * time.Second)
		for _, step := range []record.Step{record.Declined, record.Answered, record.Understood} {
			if a.step(asked.Pos, 1, step) {
				t.Errorf("%s is shown without what proves it", step)
			}
		}
		b.say(words{kind: wire.KindHold, refs: ref, officers: []keys.Role{keys.RoleWatch}})
		b.say(words{kind: wire.KindAnswer, text: "No.", refs: ref})
		w.settle(5 * time.Second)
		if !a.step(asked.Pos, 1, record.Holding) || !a.step(asked.Pos, 1, record.Answered) {
			t.Error("a step with its proof is not shown")
		}
	})
}

// change issues the node's next card and lets its own station take it.
func (n *node) change(edit func(*keys.Card)) {
	n.w.t.Helper()
	old, _ := n.cards.Card(n.root.Party)
	next := *old
	next.Version, next.Issued = old.Version+1, time.Now()
	next.Officers, next.Generations = slices.Clone(old.Officers), slices.Clone(old.Generations)
	edit(&next)
	n.cards.add(n.sign(&next))
	n.line.CardTaken(n.root.Party)
}

// Whoever is revoked, or new, on a card is judged so as soon as the entries
// that follow the card on the log are read, even where they overtake the card.
func TestCardsChangeOnTheLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		defer w.join(a, b, nil)()
		a.say(words{text: "By the first card."})
		w.settle(5 * time.Second)
		successor, err := keys.NewOfficer(zeroes{}, a.root.Party, keys.RoleRelease, 2)
		must(t, err)
		a.change(func(c *keys.Card) {
			for i := range c.Officers {
				if c.Officers[i].Role == keys.RoleRelease {
					c.Officers[i].Revoked = time.Now()
				}
			}
			c.Officers = append(c.Officers, successor.Certify(time.Now(), time.Now().Add(time.Hour)))
			slices.SortFunc(c.Officers, func(x, y keys.OfficerCert) int { return int(x.Number) - int(y.Number) })
		})
		revoked := a.officers[keys.RoleRelease]
		a.officers[keys.RoleRelease] = successor
		a.say(words{prec: line.Flash, text: "By the second card."})
		w.settle(10 * time.Second)
		if got := b.last(a.log()); got.text != "By the second card." || got.defect != "" {
			t.Errorf("%+v", got)
		}
		a.officers[keys.RoleRelease] = revoked
		a.say(words{text: "By one who was revoked."})
		w.settle(10 * time.Second)
		if got := b.last(a.log()); !strings.Contains(got.defect, "revoked") {
			t.Errorf("%+v", got)
		}
		if got := b.read(a.log()); got[0].defect != "" {
			t.Errorf("what was sound before the revocation: %+v", got[0])
		}
		w.same()
	})
}

// zeroes is a source of randomness for keys that need not be secret.
type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 7
	}
	return len(b), nil
}
