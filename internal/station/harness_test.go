package station_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
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
	listen   string
	peers    map[line.Party][]string
	options  func(*station.Options) // may change what the station is opened with
	failures chan string            // what the station logs as an error
	stop     context.CancelFunc
	done     chan struct{}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newParty(t *testing.T, code line.Party) *party {
	t.Helper()
	p := &party{t: t, dir: filepath.Join(t.TempDir(), string(code)), code: code, officers: map[keys.Role]*keys.Officer{}, listen: freeAddr(t), failures: make(chan string, 1000)}
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

// freeAddr is an address that nobody listens on, and that stays the station's
// over its restarts.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

// open opens the station; from then on it listens and dials peers.
func (p *party) open() {
	p.t.Helper()
	o := station.Options{Dir: p.dir, Listen: p.listen, Peers: p.peers,
		Passphrase: func(string) ([]byte, error) { return []byte("pass"), nil },
		Log:        slog.New(slog.NewTextHandler(testWriter{p}, &slog.HandlerOptions{Level: slog.LevelError}))}
	if p.options != nil {
		p.options(&o)
	}
	st, err := station.Open(p.t.Context(), o)
	check(p.t, err)
	p.st = st
}

// dials says where to find another party.
func (p *party) dials(q *party) { p.peers = map[line.Party][]string{q.code: {q.listen}} }

type testWriter struct{ p *party }

func (w testWriter) Write(b []byte) (int, error) {
	w.p.failures <- string(b)
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

// close stops the station, if it is open.
func (p *party) close() {
	if p.st == nil {
		return
	}
	if p.stop != nil {
		p.stop()
		<-p.done
	}
	check(p.t, p.st.Close())
	p.st, p.stop = nil, nil
}

// restart closes the station and opens it from its folder.
func (p *party) restart() {
	p.close()
	p.open()
	p.serve()
}

func constitute(t *testing.T, change func(*charter.Terms), parties ...*party) line.ID {
	t.Helper()
	var members []charter.Member
	for _, p := range parties {
		members = append(members, charter.Member{Party: p.code, Root: p.root.Public().Hash(), Languages: []string{"en"}})
	}
	terms := charter.DefaultTerms("Test line", members)
	if change != nil {
		change(&terms)
	}
	text, err := charter.Draft(terms)
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

// pair is two stations that are connected; change may amend the charter.
func pair(t *testing.T, change func(*charter.Terms)) (us, cn *party, id line.ID) {
	us, cn = newParty(t, "US"), newParty(t, "CN")
	cn.dials(us)
	us.open()
	cn.open()
	id = constitute(t, change, us, cn)
	us.serve()
	cn.serve()
	t.Cleanup(func() { us.close(); cn.close() })
	return us, cn, id
}

// logs maps each log that the station holds to its size and root.
func (p *party) logs() map[string]control.LogInfo {
	p.t.Helper()
	st, err := p.st.Status(p.t.Context())
	check(p.t, err)
	out := map[string]control.LogInfo{}
	for _, l := range st.Lines[0].Logs {
		out[fmt.Sprintf("%s/%d", l.Party, l.Gen)] = l
	}
	return out
}

// same waits until all records are identical. The logs may still grow
// meanwhile, so what each has to catch up with is looked at again each time.
func same(t *testing.T, ps ...*party) {
	t.Helper()
	for range 100 {
		equal := true
		var all []map[string]control.LogInfo
		for _, p := range ps {
			all = append(all, p.logs())
			equal = equal && maps.EqualFunc(all[0], all[len(all)-1], sameLog)
		}
		if equal {
			return
		}
		for _, p := range ps {
			for _, logs := range all {
				p.catchUp(logs)
			}
		}
	}
	t.Fatalf("two histories, or a talk without end: %v and %v", ps[0].logs(), ps[1].logs())
}

func sameLog(a, b control.LogInfo) bool { return a.Size == b.Size && a.Root == b.Root }

// catchUp waits until the station holds at least these logs.
func (p *party) catchUp(logs map[string]control.LogInfo) {
	p.t.Helper()
	p.await("what the other one holds", func([]control.Item) bool {
		mine := p.logs()
		for name, l := range logs {
			if mine[name].Size < l.Size {
				return false
			}
		}
		return true
	})
}
