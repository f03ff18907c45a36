package station_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"herald/internal/charter"
	"herald/internal/config"
	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/station"
)

// party is a party made for a test, root and officers at hand.
type party struct {
	t        *testing.T
	dir      string
	code     line.Party
	root     *keys.Root
	card     *keys.Card
	note     []byte
	officers map[keys.Role]*keys.Officer
	st       *station.Station
	stop     context.CancelFunc
	done     chan struct{}
	addr     <-chan string // where it listens
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newParty(t *testing.T, code line.Party) *party {
	t.Helper()
	p := &party{t: t, dir: filepath.Join(t.TempDir(), string(code)), code: code, officers: map[keys.Role]*keys.Officer{}}
	f := config.Folder(p.dir)
	check(t, f.Create())
	var err error
	p.root, err = keys.NewRoot(rand.Reader, code)
	check(t, err)
	k, err := keys.NewStation(rand.Reader, code, "main", 1)
	check(t, err)
	from, until := time.Now().Add(-time.Hour).Truncate(time.Second), time.Now().Add(365*24*time.Hour).Truncate(time.Second)
	gen, err := k.Certify(from, until)
	check(t, err)
	p.card = &keys.Card{Party: code, Name: "Party " + string(code), Languages: []string{"en"}, Version: 1, Issued: from, Root: p.root.Public(), Generations: []keys.Generation{gen}}
	for _, r := range []keys.Role{keys.RoleWatch, keys.RoleRelease} {
		o, err := keys.NewOfficer(rand.Reader, code, r, 1)
		check(t, err)
		p.officers[r] = o
		p.card.Officers = append(p.card.Officers, o.Certify(from, until))
	}
	p.note, err = keys.SignCard(p.card, p.root)
	check(t, err)
	check(t, os.WriteFile(f.OwnCard(), p.note, 0o600))
	file, err := keys.EncryptStation(k, "pass", 10)
	check(t, err)
	check(t, os.WriteFile(f.StationKey(), file, 0o600))
	return p
}

func (p *party) open(listen string, peers map[line.Party][]string) {
	p.t.Helper()
	addr := make(chan string, 1)
	p.addr = addr
	st, err := station.Open(p.t.Context(), station.Options{Dir: p.dir, Listen: listen, Peers: peers,
		Listening:  func(a net.Addr) { addr <- a.String() },
		Passphrase: func(string) ([]byte, error) { return []byte("pass"), nil },
		Log:        slog.New(slog.NewTextHandler(testWriter{p}, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	check(p.t, err)
	p.st = st
}

type testWriter struct{ p *party }

func (w testWriter) Write(b []byte) (int, error) {
	fmt.Fprintf(os.Stderr, "%s %s: %s", w.p.t.Name(), w.p.code, b)
	return len(b), nil
}

func (p *party) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop, p.done = cancel, make(chan struct{})
	go func() {
		defer close(p.done)
		if err := p.st.Serve(ctx); err != nil {
			p.t.Error(err)
		}
	}()
}

// address waits until the station listens.
func (p *party) address() string {
	p.t.Helper()
	select {
	case a := <-p.addr:
		return a
	case <-p.done:
		p.t.Fatalf("%s ended before it listened", p.code)
		return ""
	}
}

func (p *party) close() {
	if p.stop != nil {
		p.stop()
		<-p.done
	}
	check(p.t, p.st.Close())
}

func constitute(t *testing.T, parties ...*party) line.ID {
	t.Helper()
	var members []charter.Member
	for _, p := range parties {
		members = append(members, charter.Member{Party: p.code, Root: p.root.Public().Hash(), Languages: []string{"en"}})
	}
	text, err := charter.Draft(charter.DefaultTerms("Test line", members))
	check(t, err)
	note := []byte(text)
	for _, p := range parties {
		note, err = charter.Sign(note, p.root)
		check(t, err)
	}
	var id line.ID
	for _, p := range parties {
		for _, q := range parties {
			_, err := p.st.ImportCard(t.Context(), q.note)
			check(t, err)
		}
		info, err := p.st.ImportCharter(t.Context(), note)
		check(t, err)
		id = info.ID
	}
	return id
}

// send drafts and releases words with the releasing officer.
func (p *party) send(r control.DraftRequest) control.Released {
	p.t.Helper()
	if r.Officer == "" {
		r.Officer = p.officers[keys.RoleRelease].Code()
	}
	if r.Kind == "" {
		r.Kind = "message"
	}
	if r.Precedence == "" {
		r.Precedence = "routine"
	}
	r.Marking = "test"
	d, err := p.st.Draft(p.t.Context(), r)
	check(p.t, err)
	o := p.officers[keys.RoleRelease]
	out, err := p.st.Release(p.t.Context(), control.ReleaseRequest{Draft: d.ID, Officer: o.Code(), Signature: o.Sign(d.Statement)})
	check(p.t, err)
	if !out.Accepted {
		p.t.Fatalf("not accepted: %+v", out)
	}
	return out
}

// await polls the record until ok, with the line's own change signal.
func (p *party) await(what string, ok func([]control.Item) bool) []control.Item {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	var version uint64
	for wait := false; ; wait = true {
		page, err := p.st.Record(ctx, control.RecordRequest{Wait: wait, Version: version})
		if err != nil {
			p.t.Fatalf("%s never saw %s: %v", p.code, what, err)
		}
		if ok(page.Items) {
			return page.Items
		}
		version = page.Version
	}
}

func item(items []control.Item, entry string) (control.Item, bool) {
	for _, i := range items {
		if i.Entry == entry {
			return i, true
		}
	}
	return control.Item{}, false
}

func step(items []control.Item, entry string, by line.Party, step string) bool {
	i, ok := item(items, entry)
	if !ok {
		return false
	}
	for _, r := range i.Ladder {
		if r.Party == by && r.Step == step {
			return true
		}
	}
	return false
}

func pair(t *testing.T) (us, cn *party, id line.ID) {
	us, cn = newParty(t, "US"), newParty(t, "CN")
	us.open("127.0.0.1:0", nil)
	us.serve()
	cn.open("", map[line.Party][]string{"US": {us.address()}})
	id = constitute(t, us, cn)
	cn.serve()
	t.Cleanup(func() { us.close(); cn.close() })
	return us, cn, id
}

func TestTwoStationsKeepOneRecord(t *testing.T) {
	us, cn, _ := pair(t)
	out := us.send(control.DraftRequest{Text: "Request to talk about the object over Montana.", Precedence: "flash"})
	items := us.await("delivery", func(is []control.Item) bool {
		for _, i := range is {
			if i.Number == 1 && step(is, i.Entry, "CN", "delivered") {
				return true
			}
		}
		return false
	})
	t.Log(out.Entry, len(items))
	name := "US 0001"
	got := cn.await("the message", func(is []control.Item) bool { _, ok := item(is, name); return ok })
	if i, _ := item(got, name); !i.Unopened || i.Text != "" || i.Precedence != "FLASH" || i.Defect != "" {
		t.Fatalf("before it is opened: %+v", i)
	}
	read, err := cn.st.Read(t.Context(), control.ReadRequest{Entry: name, Officer: cn.officers[keys.RoleWatch].Code()})
	check(t, err)
	if read.Text != "Request to talk about the object over Montana." {
		t.Fatalf("read %q", read.Text)
	}
	cn.send(control.DraftRequest{Kind: "answer", Refs: []string{name}, Text: "Agreed.", Precedence: "flash"})
	us.await("the answer", func(is []control.Item) bool { return step(is, name, "CN", "read") && step(is, name, "CN", "answered") })
	same(t, us, cn)
}

// same waits until both records are identical.
func same(t *testing.T, ps ...*party) {
	t.Helper()
	want := ""
	for i, p := range ps {
		p.await("the same record", func([]control.Item) bool {
			st, err := p.st.Status(t.Context())
			check(t, err)
			s := ""
			for _, l := range st.Lines[0].Logs {
				s += fmt.Sprintf("%s/%d %d %s\n", l.Party, l.Gen, l.Size, l.Root)
			}
			if i == 0 {
				want = s
			}
			return s == want
		})
	}
}
