package station_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"herald/internal/bearer/linksim"
	"herald/internal/charter"
	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/station"
)

// A–B and B–C are up, A–C is cut, over real connections.
func TestThreeStationsInARow(t *testing.T) {
	a, b, c := newParty(t, "AA"), newParty(t, "BB"), newParty(t, "CC")
	a.dials(b)
	c.dials(b)
	for _, p := range []*party{a, b, c} {
		p.open()
	}
	constitute(t, nil, a, b, c)
	for _, p := range []*party{a, b, c} {
		p.serve()
		t.Cleanup(p.close)
	}
	for _, prec := range []string{"flash", "routine"} {
		text := "By way of BB, " + prec
		a.send(control.DraftRequest{Text: text, Precedence: prec})
		for _, p := range []*party{b, c} {
			a.await("delivery to "+string(p.code), func(is []control.Item) bool { return delivered(is, p.code, text) })
		}
	}
	same(t, a, b, c)
	read, err := c.st.Read(t.Context(), control.ReadRequest{Entry: "AA 0002", Officer: c.officers[keys.RoleWatch].Code()})
	check(t, err)
	if read.Text != "By way of BB, routine" {
		t.Errorf("CC reads %q", read.Text)
	}
	a.await("that CC read it", func(is []control.Item) bool { return step(is, "AA 0002", "CC", "read") })
}

// An attachment is pulled in the background, goes on after a restart in its
// midst, and is acknowledged once all of it is held.
func TestAttachmentOverARestart(t *testing.T) {
	us, cn := newParty(t, "US"), newParty(t, "CN")
	us.open()
	slow, err := linksim.Start("127.0.0.1:0", us.listen, linksim.Config{Rate: 4 << 20})
	check(t, err)
	defer slow.Close()
	cn.peers = map[line.Party][]string{"US": {slow.Addr()}}
	cn.open()
	id := constitute(t, nil, us, cn)
	us.serve()
	cn.serve()
	t.Cleanup(func() { us.close(); cn.close() })

	plain := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(plain)
	a, err := us.st.PutBlob(t.Context(), id, "chart.png", bytes.NewReader(plain))
	check(t, err)
	us.send(control.DraftRequest{Text: "With a chart.", Blobs: []control.Attachment{a}})
	cn.await("the message", func(is []control.Item) bool { _, ok := item(is, "US 0001"); return ok })
	if err := cn.st.GetBlob(t.Context(), id, a.Root, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "not complete") {
		t.Fatalf("an attachment on its way: %v", err)
	}
	cn.close()
	slow.Set(linksim.Config{})
	cn.open()
	cn.serve()
	us.await("that the attachment is held", func(is []control.Item) bool { return step(is, "US 0001", "CN", "attachment held") })
	var got bytes.Buffer
	check(t, cn.st.GetBlob(t.Context(), id, a.Root, &got))
	if !bytes.Equal(got.Bytes(), plain) {
		t.Errorf("%d bytes came, and not those that were sent", got.Len())
	}
}

// The watch counts as alerted only once the alarm's program says so.
func TestAlarmProgram(t *testing.T) {
	for name, script := range map[string]string{"rings": "exit 0", "fails": "exit 1"} {
		t.Run(name, func(t *testing.T) {
			us, cn, _ := pair(t, nil)
			told := filepath.Join(t.TempDir(), "told")
			program := filepath.Join(t.TempDir(), "alarm.sh")
			check(t, os.WriteFile(program, []byte("#!/bin/sh\necho $HERALD_ENTRY $HERALD_PRECEDENCE $HERALD_MARKING $HERALD_PARTY >>"+told+"\n"+script+"\n"), 0o700))
			cn.options = func(o *station.Options) { o.Alert = []string{program} }
			cn.restart()
			us.send(control.DraftRequest{Text: "No call for this.", Precedence: "routine"})
			us.await("ordinary words", func(is []control.Item) bool { return delivered(is, "CN", "No call for this.") })
			us.send(control.DraftRequest{Text: "Wake up.", Precedence: "flash"})
			if name == "rings" {
				us.await("that the watch was alerted", func(is []control.Item) bool { return step(is, "US 0002", "CN", "alerted") })
			} else {
				if why := <-cn.failures; !strings.Contains(why, "alarm's program failed") {
					t.Fatal(why)
				}
				us.send(control.DraftRequest{Text: "Later."})
				is := us.await("later words", func(is []control.Item) bool { return delivered(is, "CN", "Later.") })
				if step(is, "US 0002", "CN", "alerted") {
					t.Error("alerted, though the alarm's program failed")
				}
			}
			b, err := os.ReadFile(told)
			check(t, err)
			if string(b) != "US 0002 FLASH TEST US\n" {
				t.Errorf("the program was told %q", b)
			}
		})
	}
}

// Drafts are released by as many officers as the charter asks for, each over
// what the draft says now.
func TestReleaseRules(t *testing.T) {
	us, cn, _ := pair(t, func(x *charter.Terms) {
		x.Precedences[line.Flash].Releasers = 2
		x.Precedences[line.Immediate].Roles = []keys.Role{keys.RoleRelease}
	})
	ctx := t.Context()
	watch, release := us.officers[keys.RoleWatch], us.officers[keys.RoleRelease]
	draft := func(prec string) control.Draft {
		t.Helper()
		d, err := us.st.Draft(ctx, control.DraftRequest{Kind: "message", Officer: watch.Code(), Text: "Hold fire.", Precedence: prec, Marking: "real"})
		check(t, err)
		return d
	}
	sign := func(d control.Draft, o *keys.Officer) (control.Released, error) {
		return us.st.Release(ctx, control.ReleaseRequest{Draft: d.ID, Officer: o.Code(), Signature: o.Sign(d.Statement)})
	}
	refused := func(what string, err error, part string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want something about %q", what, err, part)
		}
	}

	d := draft("flash")
	for range 2 { // twice the same officer is one officer
		out, err := sign(d, watch)
		check(t, err)
		if out.Accepted {
			t.Fatal("accepted with one officer of two")
		}
	}
	stranger, err := keys.NewOfficer(chacha(), "US", keys.RolePrincipal, 9)
	check(t, err)
	_, err = sign(d, stranger)
	refused("an officer who is not on the card", err, "no officer")
	forged, err := keys.NewOfficer(chacha(), "US", keys.RoleRelease, 1)
	check(t, err)
	_, err = sign(d, forged)
	refused("another key", err, "signature is not")
	out, err := sign(d, release)
	check(t, err)
	if !out.Accepted {
		t.Fatalf("%+v", out)
	}

	d = draft("immediate")
	_, err = sign(d, watch)
	refused("a role that may not", err, "role")

	d = draft("flash")
	_, err = sign(d, watch)
	check(t, err)
	changed, err := us.st.Release(ctx, control.ReleaseRequest{Draft: d.ID, Officer: release.Code(), Precedence: "routine"})
	check(t, err)
	if changed.Accepted || len(changed.Draft.Released) != 0 {
		t.Fatalf("the former signature still counts: %+v", changed)
	}
	_, err = sign(d, release)
	refused("a signature over the former precedence", err, "signature is not")
	out, err = sign(changed.Draft, release)
	check(t, err)
	if !out.Accepted || out.Draft.Precedence != "routine" {
		t.Fatalf("%+v", out)
	}
	items := cn.await("both messages", func(is []control.Item) bool { _, ok := item(is, "US 0002"); return ok })
	for _, i := range items {
		if i.Defect != "" {
			t.Errorf("%s is shown as defective: %s", i.Entry, i.Defect)
		}
	}
	first, _ := item(items, "US 0001")
	if len(first.Officers) != 2 {
		t.Errorf("released by %v", first.Officers)
	}
}

func chacha() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{9}) }
