package bench

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"herald/internal/bench/world"
	"herald/internal/compress"
	"herald/internal/line"
	"herald/internal/session"
	"herald/internal/station"
	"herald/internal/wire"
)

// texts holds words that no dictionary has seen, one a line: a language, a
// tab, and the text.
//
//go:embed testdata/held-out.txt
var texts embed.FS

// Frames is how many bytes frames take on the stream of the direct bearer,
// its own header included, TLS and TCP left out. Each is the greatest of
// several. Every log of the line held at least Entries entries before.
type Frames struct {
	Entries     int        `json:"entries"`
	Overhead    int        `json:"overhead"`     // above a text of 100 characters, not compressed, no release
	One         int        `json:"flash_one"`    // English FLASH of 100 characters, one releaser
	Two         int        `json:"flash_two"`    // the same, two releasers
	Twelve      int        `json:"flash_twelve"` // one releaser, on a line of twelve parties
	TwelveAfter int        `json:"twelve_held"`  // entries that each log of that line held before
	Head        int        `json:"head"`         // signed head that goes with an entry
	Receipt     int        `json:"receipt"`      // cosignature
	Languages   []Language `json:"languages"`    // one releaser, two parties
}

// Language is what a FLASH takes in a language.
type Language struct {
	Lang       string `json:"lang"`
	Texts      int    `json:"texts"`
	Characters int    `json:"characters"` // of the longest frame's text
	UTF8       int    `json:"utf8_bytes"` // of that text
	Frame      int    `json:"frame"`
}

// tap carries frames between two stations of this process and keeps the sizes
// of those that the near one sends.
type tap struct {
	mu    sync.Mutex
	sizes map[wire.FrameType]int // the newest of each type, on the bearer's stream
}

func (t *tap) note(f []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sizes[wire.FrameType(f[0]&^0x80)] = onStream(len(f))
}

func (t *tap) size(k wire.FrameType) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sizes[k]
}

// onStream is the length of a frame with the direct bearer's header
// (spec 09 §4).
func onStream(n int) int { return len(binary.AppendUvarint(nil, uint64(n)<<1)) + n }

// pump carries from one connection to the other until ctx ends.
func pump(ctx context.Context, from, to *session.Conn, seen func([]byte)) error {
	for {
		for f, _ := from.Next(wire.MaxFrame, true); f != nil; f, _ = from.Next(wire.MaxFrame, true) {
			seen(f)
			if err := to.Receive(bytes.Clone(f)); err != nil {
				return err
			}
		}
		select {
		case <-from.Ready():
		case <-ctx.Done():
			return nil
		}
	}
}

// club is stations of one process, all joined to the first.
type club struct {
	parties  []*world.Party
	stations []*station.Station
	sent     tap // by the first
	came     tap // to the first
	stop     func()
	wg       sync.WaitGroup
}

// newClub makes so many parties with lines of the given release rules.
func (r *run) newClub(ctx context.Context, name string, parties int, rules []int) (c *club, lines [][]*session.Line, err error) {
	ctx, stop := context.WithCancel(ctx)
	c = &club{stop: stop, sent: tap{sizes: map[wire.FrameType]int{}}, came: tap{sizes: map[wire.FrameType]int{}}}
	var codes []line.Party
	for i := range parties {
		codes = append(codes, line.Party([]byte{'P', byte('A' + i)}))
	}
	if c.parties, err = world.Parties(filepath.Join(r.dir, name), 2, codes...); err != nil {
		return c, nil, err
	}
	var ids []line.ID
	for i, n := range rules {
		note, err := world.Charter(world.Terms(fmt.Sprintf("line %d", i), n, c.parties...), c.parties...)
		if err != nil {
			return c, nil, err
		}
		id, err := world.Constitute(note, c.parties...)
		if err != nil {
			return c, nil, err
		}
		ids = append(ids, id)
	}
	for _, p := range c.parties {
		st, err := station.Open(ctx, options(p.Dir, "", nil, r.warnings()))
		if err != nil {
			return c, nil, err
		}
		c.stations = append(c.stations, st)
	}
	lines = make([][]*session.Line, len(ids))
	for i, id := range ids {
		for _, st := range c.stations {
			l, ok := st.Session(id)
			if !ok {
				return c, nil, fmt.Errorf("a line is gone")
			}
			lines[i] = append(lines[i], l)
		}
	}
	c.join(ctx, lines)
	return c, lines, nil
}

// join connects every station to the first.
func (c *club) join(ctx context.Context, lines [][]*session.Line) {
	side := func(i int) (all []*session.Line) {
		for _, l := range lines {
			all = append(all, l[i])
		}
		return all
	}
	for i := 1; i < len(c.stations); i++ {
		a := session.Attach(ctx, "memory", c.parties[i].Code, side(0), c.stations[0].Session)
		b := session.Attach(ctx, "memory", c.parties[0].Code, side(i), c.stations[i].Session)
		c.wg.Go(func() { _ = pump(ctx, a, b, c.sent.note) })
		c.wg.Go(func() { _ = pump(ctx, b, a, c.came.note) })
	}
}

func (c *club) close() {
	c.stop()
	c.wg.Wait()
	for _, st := range c.stations {
		st.Close()
	}
}

// say submits words by party i and waits until all others hold them.
func (c *club) say(ctx context.Context, i int, l *session.Line, in wire.Inner) error {
	rule := l.Charter().Precedences[in.Flags.Precedence()].Releasers
	a, err := l.Submit(ctx, c.parties[i].Words(l.Members(), l.Charter().Version, time.Now(), in, rule))
	if err != nil {
		return err
	}
	if a.Queued {
		return fmt.Errorf("words were queued")
	}
	_, err = l.AwaitDelivered(ctx, a.Pos.Seq+1)
	return err
}

// warm gives every log n entries that the first station holds, so that numbers
// have the size that they have in use.
func (c *club) warm(ctx context.Context, ls []*session.Line, n int) error {
	if _, err := ls[0].AwaitDelivered(ctx, 2); err != nil {
		return fmt.Errorf("the line does not come up: %w", err)
	}
	errs := make([]error, len(ls))
	var all sync.WaitGroup
	for i, l := range ls {
		all.Go(func() {
			rule := l.Charter().Precedences[line.Routine].Releasers
			for k := 0; k < n && errs[i] == nil; k++ {
				in := world.Message(line.Routine, 0, fmt.Appendf(nil, "line test %d", k))
				_, errs[i] = l.Submit(ctx, c.parties[i].Words(l.Members(), l.Charter().Version, time.Now(), in, rule))
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var own uint64
	err := untilView(ctx, ls[0], func(v session.View) bool {
		done := len(v.Logs) == len(ls)
		for _, g := range v.Logs {
			done = done && g.Size >= uint64(n)
			if g.Log == v.Own {
				own = g.Size
			}
		}
		return done
	})
	if err == nil {
		_, err = ls[0].AwaitDelivered(ctx, own) // so that nothing of it is still on its way
	}
	return err
}

// flashes returns the greatest frame that the texts take as FLASH, and which
// of them it was.
func (c *club) flashes(ctx context.Context, l *session.Line, texts []string, packed bool) (most int, which string, err error) {
	for _, text := range texts {
		dict, b := uint8(0), []byte(text)
		if packed {
			dict, b = compress.Compress(text)
		}
		if err := c.say(ctx, 0, l, world.Message(line.Flash, dict, b)); err != nil {
			return 0, "", err
		}
		if n := c.sent.size(wire.FrameEntry); n > most {
			most, which = n, text
		}
	}
	return most, which, nil
}

// heldOut returns the held-out texts by language.
func heldOut() (map[string][]string, error) {
	b, err := texts.ReadFile("testdata/held-out.txt")
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		lang, text, ok := strings.Cut(sc.Text(), "\t")
		if !ok {
			return nil, fmt.Errorf("held-out texts: no tab in %q", sc.Text())
		}
		out[lang] = append(out[lang], text)
	}
	return out, nil
}

// frames measures the sizes of real frames.
func (r *run) frames(ctx context.Context) error {
	held, err := heldOut()
	if err != nil {
		return err
	}
	r.say("frames: two parties, each log %d entries long", r.size.warm)
	f := &r.out.Frames
	f.Entries, f.TwelveAfter = r.size.warm, r.size.warmTwelve
	if err := r.framesOfTwo(ctx, f, held); err != nil {
		return err
	}
	r.say("frames: twelve parties, each log %d entries long", r.size.warmTwelve)
	c, lines, err := r.newClub(ctx, "twelve", 12, []int{1})
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.warm(ctx, lines[0], r.size.warmTwelve); err != nil {
		return err
	}
	f.Twelve, _, err = c.flashes(ctx, lines[0][0], held["en"], true)
	r.out.OverheadBytes, r.out.FlashFrameBytes, r.out.FlashTwoFrameBytes = f.Overhead, f.One, f.Two
	return err
}

func (r *run) framesOfTwo(ctx context.Context, f *Frames, held map[string][]string) error {
	c, lines, err := r.newClub(ctx, "two", 2, []int{0, 1, 2})
	if err != nil {
		return err
	}
	defer c.close()
	for _, ls := range lines {
		if err := c.warm(ctx, ls, r.size.warm); err != nil {
			return err
		}
	}
	plain, which, err := c.flashes(ctx, lines[0][0], held["en"], false)
	if err != nil {
		return err
	}
	f.Overhead = plain - len(which)
	if f.Two, _, err = c.flashes(ctx, lines[2][0], held["en"], true); err != nil {
		return err
	}
	for _, lang := range []string{"en", "zh", "ar"} {
		n, which, err := c.flashes(ctx, lines[1][0], held[lang], true)
		if err != nil {
			return err
		}
		f.Languages = append(f.Languages, Language{Lang: lang, Texts: len(held[lang]), Characters: len([]rune(which)), UTF8: len(which), Frame: n})
	}
	f.One = f.Languages[0].Frame
	f.Head, f.Receipt = c.sent.size(wire.FrameHead), c.came.size(wire.FrameCosig)
	return nil
}
