package session_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herald/internal/charter"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/record"
	"herald/internal/seal"
	"herald/internal/session"
	"herald/internal/store/storetest"
	"herald/internal/tlog"
	"herald/internal/wire"
)

// These tests run whole lines in one bubble of fake time: settle lets
// everything that is under way come to rest, so that nothing waits for a clock
// and nothing is timed.

// world is a line's parties, all on one machine and one fake clock.
type world struct {
	t     *testing.T
	ch    *charter.Charter
	nodes []*node
}

// node is one station of one party.
type node struct {
	w        *world
	name     string
	self     int
	root     *keys.Root
	keys     *keys.Station
	officers map[keys.Role]*keys.Officer
	cards    *cards
	store    *journal
	over     session.Store // what the line is given; the journal unless a test wraps it
	blobs    *memoryBlobs
	anchor   *fakeAnchor
	rang     *calls
	full     atomic.Bool // the disk, for others' entries
	line     *session.Line
	stop     context.CancelFunc
	stopped  chan struct{}
}

// calls counts how often the watch was called.
type calls struct {
	mu sync.Mutex
	n  int
}

func (c *calls) call(*session.Line, session.Arrival) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *calls) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

// newWorld makes a line of so many parties; change may amend its terms, and
// prepare each node before it is opened.
func newWorld(t *testing.T, parties int, change func(*charter.Terms), prepare func(*node)) *world {
	t.Helper()
	w := &world{t: t}
	var members []charter.Member
	for i := range parties {
		n := w.newNode(i, line.Party(fmt.Sprintf("P%02d", i)))
		w.nodes = append(w.nodes, n)
		members = append(members, charter.Member{Party: n.root.Party, Root: n.root.Public().Hash(), Languages: []string{"en"}})
	}
	terms := charter.DefaultTerms("Test line", members)
	if change != nil {
		change(&terms)
	}
	text, err := charter.Draft(terms)
	must(t, err)
	w.ch, err = charter.Parse(text)
	must(t, err)
	for _, n := range w.nodes {
		for _, m := range w.nodes {
			n.cards.add(m.cards.note(m.root.Party))
		}
	}
	for _, n := range w.nodes {
		if prepare != nil {
			prepare(n)
		}
		n.open()
	}
	return w
}

func (w *world) newNode(self int, code line.Party) *node {
	n := &node{w: w, name: string(code), self: self, officers: map[keys.Role]*keys.Officer{}, blobs: newMemoryBlobs(), anchor: newFakeAnchor(), store: newJournal(), rang: &calls{}}
	n.over = n.store
	var err error
	n.root, err = keys.NewRoot(rand.Reader, code)
	must(w.t, err)
	n.keys, err = keys.NewStation(rand.Reader, code, "main", 1)
	must(w.t, err)
	from, until := time.Now(), time.Now().Add(3650*24*time.Hour)
	gen, err := n.keys.Certify(from, until)
	must(w.t, err)
	card := &keys.Card{Party: code, Name: "Party", Languages: []string{"en"}, Version: 1, Issued: from, Root: n.root.Public(), Generations: []keys.Generation{gen}}
	for _, r := range []keys.Role{keys.RoleWatch, keys.RoleRelease, keys.RolePrincipal, keys.RoleAuditor} {
		o, err := keys.NewOfficer(rand.Reader, code, r, 1)
		must(w.t, err)
		n.officers[r] = o
		card.Officers = append(card.Officers, o.Certify(from, until))
	}
	slices.SortFunc(card.Officers, func(a, b keys.OfficerCert) int { return int(a.Number) - int(b.Number) })
	n.cards = newCards(w.t, n)
	n.cards.add(n.sign(card))
	return n
}

// sign returns a card's note.
func (n *node) sign(c *keys.Card) []byte {
	n.w.t.Helper()
	note, err := keys.SignCard(c, n.root)
	must(n.w.t, err)
	return note
}

// open starts the node's line over what its store holds.
func (n *node) open() {
	t := n.w.t
	t.Helper()
	must(t, n.tryOpen())
}

func (n *node) tryOpen() error {
	receive, err := seal.ReceiveKeyFromSeed(n.keys.Receive[:])
	must(n.w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	n.line, err = session.Open(ctx, session.Config{
		Line:    record.Line{ID: n.w.ch.Line(), Members: n.w.ch.Parties(), Self: n.self},
		Charter: n.w.ch,
		Own:     session.Own{Gen: n.keys.Gen, Log: n.keys.Log, Delivery: n.keys.Delivery, Receive: receive, Working: n.keys.Archive},
		Cards:   n.cards, Store: n.over, Blobs: n.blobs, Anchor: n.anchor, Now: time.Now, Rand: rand.Reader,
		Log:   slog.New(slog.NewTextHandler(logWriter{n}, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Alert: n.rang.call,
		Room:  func() bool { return !n.full.Load() },
	})
	if err != nil {
		cancel()
		return err
	}
	n.stop, n.stopped = cancel, make(chan struct{})
	l, stopped := n.line, n.stopped
	go func() { defer close(stopped); l.Run(ctx) }()
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				l.Tick(time.Now())
			}
		}
	}()
	return nil
}

// close stops the node's line, as a station that is stopped does.
func (n *node) close() {
	n.stop()
	<-n.stopped
	n.anchor.restart()
}

func (w *world) close() {
	for _, n := range w.nodes {
		n.close()
	}
	synctest.Wait()
}

// settle lets everything come to rest, with so much fake time going by.
func (w *world) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

type logWriter struct{ n *node }

func (w logWriter) Write(b []byte) (int, error) {
	if os.Getenv("HERALD_TEST_LOG") != "" {
		fmt.Fprintf(os.Stderr, "%s: %s", w.n.name, b)
	}
	return len(b), nil
}

// wireTap sees each frame between two nodes; it may change it, or return nil
// to lose it.
type wireTap func(from *node, f []byte) []byte

// join connects two nodes until the returned function is called.
func (w *world) join(a, b *node, tap wireTap) (part func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	ends := [2]*session.Conn{}
	for i, n := range []*node{a, b} {
		other := [2]*node{b, a}[i]
		l := n.line
		ends[i] = session.Attach(ctx, "pump", other.root.Party, []*session.Line{l}, func(id line.ID) (*session.Line, bool) { return l, id == l.ID() })
	}
	pump := func(n *node, from, to *session.Conn) {
		for {
			f, _ := from.Next(wire.MaxFrame, true)
			if f == nil {
				select {
				case <-ctx.Done():
					return
				case <-from.Ready():
					continue
				}
			}
			if f = bytes.Clone(f); tap != nil {
				f = tap(n, f)
			}
			if f == nil {
				continue
			}
			if err := to.Receive(f); err != nil && ctx.Err() == nil {
				w.t.Errorf("%s broke the protocol: %v", n.name, err)
			}
		}
	}
	g.Go(func() { pump(a, ends[0], ends[1]) })
	g.Go(func() { pump(b, ends[1], ends[0]) })
	return func() {
		cancel()
		g.Wait()
		ends[0].Detach()
		ends[1].Detach()
		synctest.Wait()
	}
}

// words are what a test submits.
type words struct {
	kind     wire.Kind
	prec     line.Precedence
	text     string
	refs     []wire.Ref
	action   line.Parties
	token    string
	officers []keys.Role // RoleRelease where nil
}

// submit releases words and hands them to the line.
func (n *node) submit(x words) (session.Accepted, error) {
	n.w.t.Helper()
	return n.line.Submit(context.Background(), n.submission(x))
}

// say is submit where nothing may fail.
func (n *node) say(x words) session.Accepted {
	n.w.t.Helper()
	a, err := n.submit(x)
	must(n.w.t, err)
	return a
}

func (n *node) submission(x words) session.Submission {
	if x.kind == 0 {
		x.kind = wire.KindMessage
	}
	if x.officers == nil {
		x.officers = []keys.Role{keys.RoleRelease}
	}
	in := wire.Inner{Kind: x.kind, Flags: wire.NewFlags(x.prec, line.Test, 0),
		Content: wire.Marshal(wire.Message{Text: []byte(x.text), Refs: x.refs, Action: uint32(x.action)})}
	at := uint64(time.Now().Unix())
	stmt := session.Statement(n.line.Members(), n.w.ch.Version, n.self, at, in)
	for _, r := range x.officers {
		in.Releases = keys.AppendRelease(in.Releases, n.officers[r].Number, n.officers[r].Sign(stmt))
	}
	return session.Submission{Inner: in, Time: at, Numbered: x.kind != wire.KindUnderstood, Action: x.action, Token: x.token}
}

func (n *node) view() session.View {
	n.w.t.Helper()
	v, err := n.line.View(context.Background())
	if err != nil { // it shared a turn with a commit that a test let fail
		v, err = n.line.View(context.Background())
	}
	must(n.w.t, err)
	return v
}

func (n *node) log() line.Log { return line.Log{Party: n.self, Gen: n.keys.Gen} }

// entries returns everything held of a log.
func (n *node) entries(g line.Log) []record.Entry {
	n.w.t.Helper()
	es, err := n.store.Entries(context.Background(), n.line.ID(), g, 0, 1<<20)
	must(n.w.t, err)
	return es
}

// said is an opened spoken entry.
type said struct {
	pos    line.Pos
	number uint64
	prec   line.Precedence
	text   string
	defect string
}

// read returns the spoken entries of a log that could be opened, in order.
func (n *node) read(g line.Log) (out []said) {
	n.w.t.Helper()
	for _, e := range n.entries(g) {
		in, b, ok := n.inner(e.Pos)
		if !ok || !in.Kind.Spoken() {
			continue
		}
		m, err := wire.ParseMessage(in)
		must(n.w.t, err)
		text, err := session.Text(in, m)
		must(n.w.t, err)
		out = append(out, said{e.Pos, in.Number, in.Flags.Precedence(), text, b.Defect})
	}
	return out
}

// inner returns an entry's sealed part, when it was opened.
func (n *node) inner(p line.Pos) (wire.Inner, record.Body, bool) {
	n.w.t.Helper()
	ctx := context.Background()
	bs, err := n.store.Bodies(ctx, n.line.ID(), []line.Pos{p})
	must(n.w.t, err)
	if len(bs) == 0 || len(bs[0].Box) == 0 {
		return wire.Inner{}, record.Body{}, false
	}
	as, err := n.line.Unarchive(ctx, bs)
	if err != nil {
		as, err = n.line.Unarchive(ctx, bs)
	}
	must(n.w.t, err)
	in, err := wire.ParseInner(as[0].Inner)
	must(n.w.t, err)
	return in, bs[0], true
}

// kinds counts a log's opened entries of a kind.
func (n *node) kinds(g line.Log, k wire.Kind) (count int) {
	n.w.t.Helper()
	for _, e := range n.entries(g) {
		if in, _, ok := n.inner(e.Pos); ok && in.Kind == k {
			count++
		}
	}
	return count
}

func (n *node) texts(g line.Log) (out []string) {
	n.w.t.Helper()
	for _, s := range n.read(g) {
		out = append(out, s.text)
	}
	return out
}

func (n *node) ref(p line.Pos) wire.Ref {
	n.w.t.Helper()
	for _, e := range n.entries(p.Log) {
		if e.Pos == p {
			return wire.NewRef(p, e.LeafHash)
		}
	}
	n.w.t.Fatalf("%s does not hold %v", n.name, p)
	return wire.Ref{}
}

// delivered reports whether party's word that it holds the entry is durable
// here, by cosignature or by got.
func (n *node) delivered(p line.Pos, party int) bool {
	n.w.t.Helper()
	for _, lv := range n.view().Logs {
		if lv.Log == p.Log && lv.Delivered[party] > p.Seq {
			return true
		}
	}
	return n.step(p, party, record.Delivered)
}

// step reports whether a receipt is durable here.
func (n *node) step(p line.Pos, party int, s record.Step) bool {
	return slices.ContainsFunc(n.store.receipts(), func(r record.Receipt) bool {
		return r.Target == p && r.Party == party && r.Step == s && r.Good
	})
}

// same fails unless all nodes hold one record: the same entries, each with the
// same rank, and nothing ahead of a gap.
func (w *world) same(nodes ...*node) {
	w.t.Helper()
	if nodes == nil {
		nodes = w.nodes
	}
	want := ""
	for i, n := range nodes {
		got := ""
		for _, lv := range n.view().Logs {
			if lv.Ahead > 0 {
				w.t.Errorf("%s holds %d entries of %v ahead of a gap", n.name, lv.Ahead, lv.Log)
			}
			for _, e := range n.entries(lv.Log) {
				got += fmt.Sprintf("%v %x rank %d\n", e.Pos, e.LeafHash[:4], e.Rank)
			}
		}
		if i == 0 {
			want = got
		} else if got != want {
			w.t.Errorf("%s and %s hold different records:\n%s--- and\n%s", nodes[0].name, n.name, want, got)
		}
	}
}

// cards is a directory of cards in memory.
type cards struct {
	t      *testing.T
	n      *node
	mu     sync.Mutex
	newest map[line.Party]*keys.Card
	notes  map[[32]byte][]byte
	byHash map[[32]byte]*keys.Card
}

func newCards(t *testing.T, n *node) *cards {
	return &cards{t: t, n: n, newest: map[line.Party]*keys.Card{}, notes: map[[32]byte][]byte{}, byHash: map[[32]byte]*keys.Card{}}
}

func (c *cards) add(note []byte) {
	c.t.Helper()
	card, err := keys.ParseCard(note)
	must(c.t, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes[card.Hash()], c.byHash[card.Hash()], c.newest[card.Party] = note, card, card
}

func (c *cards) note(p line.Party) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notes[c.newest[p].Hash()]
}

func (c *cards) Card(p line.Party) (*keys.Card, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	card, ok := c.newest[p]
	return card, ok
}

func (c *cards) CardByHash(h [32]byte) ([]byte, *keys.Card, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	card, ok := c.byHash[h]
	return c.notes[h], card, ok
}

func (c *cards) generation(p line.Party, g line.Generation) (keys.Generation, bool) {
	card, ok := c.Card(p)
	if !ok {
		return keys.Generation{}, false
	}
	return card.Generation(g)
}

func (c *cards) LogKey(p line.Party, g line.Generation) (ed25519.PublicKey, bool) {
	x, ok := c.generation(p, g)
	return x.Log, ok
}

func (c *cards) DeliveryKey(p line.Party, g line.Generation) (ed25519.PublicKey, bool) {
	x, ok := c.generation(p, g)
	return x.Delivery, ok
}

func (c *cards) ReceiveKey(p line.Party) ([]byte, bool) {
	card, ok := c.Card(p)
	if !ok {
		return nil, false
	}
	g, ok := card.Current()
	return g.Receive, ok
}

func (c *cards) Take(_ context.Context, note []byte) error {
	card, err := keys.ParseCard(note)
	if err != nil {
		return err
	}
	if old, ok := c.Card(card.Party); !ok {
		return fmt.Errorf("a card of %s, which is not known", card.Party)
	} else if old.Hash() == card.Hash() {
		return nil
	} else if err := keys.CheckSuccessor(old, card); err != nil {
		return err
	}
	c.add(note)
	c.n.line.CardTaken(card.Party)
	return nil
}

// journal is a store in memory that remembers its batches, so that it can be
// copied as it was at an earlier moment.
type journal struct {
	session.Store
	mu      sync.Mutex
	batches []*record.Batch
}

func newJournal() *journal { return &journal{Store: storetest.NewMemory()} }

func (j *journal) Commit(ctx context.Context, b *record.Batch) error {
	err := j.Store.Commit(ctx, b)
	if err == nil && !b.Empty() {
		j.mu.Lock()
		j.batches = append(j.batches, b)
		j.mu.Unlock()
	}
	return err
}

// now counts the commits so far, for a later copy.
func (j *journal) now() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.batches)
}

// copy returns the store as it was after so many commits.
func (j *journal) copy(t *testing.T, commits int) *journal {
	t.Helper()
	out := newJournal()
	for _, b := range j.batches[:commits] {
		must(t, out.Commit(context.Background(), b))
	}
	return out
}

func (j *journal) receipts() (out []record.Receipt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range j.batches {
		out = append(out, b.Receipts...)
	}
	return out
}

func (j *journal) proofs() (out []record.Proof) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range j.batches {
		out = append(out, b.Proofs...)
	}
	return out
}

// fakeAnchor is an anchor in memory. What a line reads from it is what it said
// when the line was started.
type fakeAnchor struct {
	mu    sync.Mutex
	heads map[line.LogID]tlog.Head
	start map[line.LogID]tlog.Head
	lost  bool
}

func newFakeAnchor() *fakeAnchor {
	return &fakeAnchor{heads: map[line.LogID]tlog.Head{}, start: map[line.LogID]tlog.Head{}}
}

func (a *fakeAnchor) Moved(id line.LogID, size uint64, root line.Hash) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if size >= a.heads[id].Size {
		a.heads[id] = tlog.Head{Size: size, Root: root}
	}
}

func (a *fakeAnchor) Last(id line.LogID) (tlog.Head, bool, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, ok := a.start[id]
	return h, ok, a.lost
}

func (a *fakeAnchor) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost, a.start = false, map[line.LogID]tlog.Head{}
	for id, h := range a.heads {
		a.start[id] = h
	}
}

// lose is an anchor file that is gone.
func (a *fakeAnchor) lose() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost, a.start, a.heads = true, map[line.LogID]tlog.Head{}, map[line.LogID]tlog.Head{}
}

// memoryBlobs keeps attachments in memory.
type memoryBlobs struct {
	mu     sync.Mutex
	length map[line.Hash]uint64
	chunks map[line.Hash]map[uint64][]byte
}

func newMemoryBlobs() *memoryBlobs {
	return &memoryBlobs{length: map[line.Hash]uint64{}, chunks: map[line.Hash]map[uint64][]byte{}}
}

func (m *memoryBlobs) Want(_ context.Context, root line.Hash, length uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.length[root] = length
	if m.chunks[root] == nil {
		m.chunks[root] = map[uint64][]byte{}
	}
	return nil
}

func (m *memoryBlobs) Missing(_ context.Context, root line.Hash, from uint64, most int) (out []uint64, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := from; n < (seal.BlobInfo{Length: m.length[root]}).Chunks() && len(out) < most; n++ {
		if _, ok := m.chunks[root][n]; !ok {
			out = append(out, n)
		}
	}
	return out, nil
}

func (m *memoryBlobs) Chunk(_ context.Context, root line.Hash, i uint64) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.chunks[root][i]
	return b, ok, nil
}

func (m *memoryBlobs) PutChunk(_ context.Context, root line.Hash, i uint64, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chunks[root][i] = bytes.Clone(b)
	return nil
}

func (m *memoryBlobs) Sync(context.Context, line.Hash) error { return nil }
