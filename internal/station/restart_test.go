package station_test

import (
	"bytes"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
)

// delivered reports whether each of the texts is on the record once, and
// delivered by the other party's word.
func delivered(items []control.Item, by line.Party, texts ...string) bool {
	seen := map[string]int{}
	for _, i := range items {
		if slices.Contains(texts, i.Text) && step(items, i.Entry, by, "delivered") {
			seen[i.Text]++
		}
	}
	return len(seen) == len(texts)
}

// once fails if a text is on the record twice.
func once(t *testing.T, items []control.Item) {
	t.Helper()
	seen := map[string]string{}
	for _, i := range items {
		if i.Text == "" {
			continue
		}
		if other, ok := seen[i.Text]; ok {
			t.Errorf("%q is on the record as %s and as %s", i.Text, other, i.Entry)
		}
		seen[i.Text] = i.Entry
	}
}

// What was accepted with no peer in reach survives a restart, goes out most
// urgent first when the peer comes up, and a retry does not send it twice.
func TestQueueOverARestart(t *testing.T) {
	us, cn, _ := pair(t, nil)
	cn.close()
	var texts []string
	var last control.Released
	for _, prec := range []string{"routine", "priority", "immediate", "flash", "routine"} {
		texts = append(texts, fmt.Sprintf("%d %s", len(texts), prec))
		last = us.send(control.DraftRequest{Text: texts[len(texts)-1], Precedence: prec, Token: texts[len(texts)-1]})
	}
	us.restart()
	o := us.officers[keys.RoleRelease]
	d, err := us.st.Draft(t.Context(), control.DraftRequest{Text: texts[4], Precedence: "routine", Marking: "test", Kind: "message", Officer: o.Code(), Token: texts[4]})
	check(t, err)
	if d.ID != last.Draft.ID {
		t.Fatalf("the same token made draft %d, then %d", last.Draft.ID, d.ID)
	}
	again, err := us.st.Release(t.Context(), control.ReleaseRequest{Draft: d.ID, Officer: o.Code(), Signature: o.Sign(d.Statement)})
	check(t, err)
	if !again.Accepted {
		t.Fatalf("%+v", again)
	}
	cn.open()
	cn.serve()
	items := us.await("all delivered", func(is []control.Item) bool { return delivered(is, "CN", texts...) })
	once(t, items)
	var order []string
	for _, i := range items {
		if i.Party == "US" && i.Text != "" {
			order = append(order, i.Text)
		}
	}
	if want := []string{texts[3], texts[2], texts[1], texts[0], texts[4]}; !slices.Equal(order, want) {
		t.Errorf("sent in the order %q", order)
	}
	same(t, us, cn)
}

// Stations are restarted at any time. Nothing is lost and nothing is twice.
func TestRestartsAtRandom(t *testing.T) {
	us, cn, _ := pair(t, nil)
	rng := mrand.New(mrand.NewPCG(1, 2))
	said := map[*party][]string{}
	for i := range 40 {
		p := []*party{us, cn}[rng.IntN(2)]
		if rng.IntN(6) == 0 {
			p.restart()
			continue
		}
		text := fmt.Sprintf("%s %d", p.code, i)
		p.send(control.DraftRequest{Text: text, Precedence: []string{"routine", "flash"}[rng.IntN(2)]})
		said[p] = append(said[p], text)
	}
	for p, by := range map[*party]*party{us: cn, cn: us} {
		once(t, p.await("everything delivered", func(is []control.Item) bool { return delivered(is, by.code, said[p]...) }))
	}
	same(t, us, cn)
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, b, 0o600))
}

// A backup of the database is put back. The station says that it does not
// sign, gets its words from the other side, and goes on.
func TestRestoredDatabase(t *testing.T) {
	for _, anchor := range []string{"newer", "gone"} {
		t.Run(anchor, func(t *testing.T) {
			us, cn, _ := pair(t, nil)
			us.send(control.DraftRequest{Text: "kept"})
			us.await("kept", func(is []control.Item) bool { return delivered(is, "CN", "kept") })
			us.close()
			db, backup := filepath.Join(us.dir, "herald.db"), filepath.Join(t.TempDir(), "backup")
			copyFile(t, backup, db)
			us.open()
			us.serve()
			us.send(control.DraftRequest{Text: "lost", Precedence: "flash"})
			us.await("lost", func(is []control.Item) bool { return delivered(is, "CN", "lost") })
			us.close()
			cn.close()
			copyFile(t, db, backup)
			if anchor == "gone" {
				check(t, os.Remove(filepath.Join(us.dir, "anchor")))
			}
			us.open()
			us.serve()
			st, err := us.st.Status(t.Context())
			check(t, err)
			if l := st.Lines[0]; l.Signing || l.Held == "" || !strings.Contains(l.Why, "does not sign") {
				t.Fatalf("%+v", l)
			}
			if out := us.send(control.DraftRequest{Text: "meanwhile"}); !out.Queued || out.Held == "" {
				t.Fatalf("%+v", out)
			}
			cn.open()
			cn.serve()
			once(t, us.await("its own words again", func(is []control.Item) bool { return delivered(is, "CN", "kept", "lost", "meanwhile") }))
			st, err = us.st.Status(t.Context())
			check(t, err)
			if l := st.Lines[0]; !l.Signing || l.Held != "" || len(l.Proofs) != 0 {
				t.Fatalf("%+v", l)
			}
			same(t, us, cn)
			us.restart()
			us.send(control.DraftRequest{Text: "afterwards"})
			us.await("what was said afterwards", func(is []control.Item) bool { return delivered(is, "CN", "afterwards") })
		})
	}
}

// piece collects one courier's piece.
type piece struct{ bytes.Buffer }

func (*piece) Close() error { return nil }

func (p *party) carries(to *party) (pieces []*piece) {
	p.t.Helper()
	_, err := p.st.CourierExport(p.t.Context(), control.CourierRequest{To: to.code, PieceSize: 128 << 10}, func(int) (io.WriteCloser, error) {
		pieces = append(pieces, &piece{})
		return pieces[len(pieces)-1], nil
	})
	check(p.t, err)
	return pieces
}

// With no network at all, messages and receipts go by courier, through pieces
// in any order and twice over; when the network is back nothing is repeated.
func TestCourierBetweenStations(t *testing.T) {
	us, cn, id := pair(t, nil)
	us.close()
	cn.close()
	us.open()
	cn.open()
	chart := bytes.Repeat([]byte("chart"), 100<<10)
	a, err := us.st.PutBlob(t.Context(), id, "chart.png", bytes.NewReader(chart))
	check(t, err)
	us.send(control.DraftRequest{Text: "by courier", Precedence: "flash", Blobs: []control.Attachment{a}})
	pieces := us.carries(cn)
	if len(pieces) < 3 {
		t.Fatalf("%d pieces", len(pieces))
	}
	slices.Reverse(pieces)
	for _, p := range append(pieces, pieces...) {
		_, err := cn.st.CourierImport(t.Context(), bytes.NewReader(p.Bytes()))
		check(t, err)
	}
	var got bytes.Buffer
	check(t, cn.st.GetBlob(t.Context(), id, a.Root, &got))
	if !bytes.Equal(got.Bytes(), chart) {
		t.Errorf("an attachment of %d bytes came", got.Len())
	}
	cn.send(control.DraftRequest{Text: "back by courier"})
	for _, p := range cn.carries(us) {
		_, err := us.st.CourierImport(t.Context(), bytes.NewReader(p.Bytes()))
		check(t, err)
	}
	us.await("the receipt", func(is []control.Item) bool { return delivered(is, "CN", "by courier") })
	us.serve()
	cn.serve()
	once(t, cn.await("its own receipt", func(is []control.Item) bool { return delivered(is, "US", "back by courier") }))
	same(t, us, cn)
}
