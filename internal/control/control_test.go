package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"herald/internal/control"
	"herald/internal/line"
)

var someLine = line.ID{1, 2, 3}

// serve runs s behind a socket in dir and returns a client of it.
func serve(t *testing.T, s control.Service, dir string) *control.Client {
	t.Helper()
	path := filepath.Join(dir, "control.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, s) }()
	c, err := control.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket stays: %v", err)
		}
	})
	return c
}

// check fails unless the station was asked what was meant and its answer came
// through.
func check[A any](t *testing.T, f *fake, asked string, got A, err error, want A) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", asked, err)
	}
	if f.asked != asked {
		t.Errorf("asked %q, want %q", f.asked, asked)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", asked, got, want)
	}
}

func TestEveryMethod(t *testing.T) {
	ctx, f := t.Context(), &fake{}
	c := serve(t, f, t.TempDir())

	status, err := c.Status(ctx)
	check(t, f, "status", status, err, f.status())
	d, err := c.Draft(ctx, control.DraftRequest{Line: someLine, Text: "紧急", Token: "t"})
	check(t, f, "draft 紧急 "+someLine.Short(), d, err, someDraft())
	d, err = c.GetDraft(ctx, 7)
	check(t, f, "get-draft 7", d, err, someDraft())
	ds, err := c.Drafts(ctx, someLine)
	check(t, f, "drafts "+someLine.Short(), ds, err, []control.Draft{someDraft()})
	check(t, f, "discard 9", none{}, c.Discard(ctx, 9), none{})
	r, err := c.Release(ctx, control.ReleaseRequest{Draft: 7, Signature: []byte{1, 0, 255}})
	check(t, f, "release 7 [1 0 255]", r, err, control.Released{Draft: someDraft(), Accepted: true, Entry: "US 0598"})
	page, err := c.Record(ctx, control.RecordRequest{LineID: someLine.String(), Max: 3})
	check(t, f, "record 3", page, err, control.RecordPage{Version: 4, Items: []control.Item{{Entry: "US 0598", Text: "a\u2028b"}}})
	item, err := c.Read(ctx, control.ReadRequest{Entry: "US 0598"})
	check(t, f, "read US 0598", item, err, control.Item{Text: "words"})
	check(t, f, "attend true", none{}, c.Attend(ctx, control.AttendRequest{Attended: true}), none{})
	card, err := c.ImportCard(ctx, []byte("\xffnote"))
	check(t, f, "import-card \xffnote", card, err, control.CardInfo{Party: "CN"})
	cards, err := c.Cards(ctx)
	check(t, f, "cards", cards, err, []control.CardInfo{{Party: "CN"}})
	li, err := c.ImportCharter(ctx, []byte("text"))
	check(t, f, "import-charter text", li, err, f.status().Lines[0])
	cl, err := c.Closing(ctx)
	check(t, f, "closing", cl, err, []control.Closing{{Gen: 1, Size: 5}})
}

type none struct{}

func TestStreams(t *testing.T) {
	ctx, f := t.Context(), &fake{}
	c := serve(t, f, t.TempDir())
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

	a, err := c.PutBlob(ctx, someLine, "план & map.pdf", bytes.NewReader(big))
	check(t, f, "put-blob план & map.pdf", a, err, control.Attachment{Length: uint64(len(big))})
	if !bytes.Equal(f.got, big) {
		t.Error("the file changed on the way in")
	}
	f.body = big
	var out bytes.Buffer
	check(t, f, "get-blob abc", none{}, c.GetBlob(ctx, someLine, "abc", &out), none{})
	if !bytes.Equal(out.Bytes(), big) {
		t.Error("the file changed on the way out")
	}
	out.Reset()
	sum, err := c.Export(ctx, someLine, &out)
	check(t, f, "export", sum, err, control.ExportSummary{Entries: 3})
	if !bytes.Equal(out.Bytes(), big) {
		t.Error("the export changed on the way out")
	}
	cs, err := c.CourierImport(ctx, bytes.NewReader(big))
	check(t, f, "courier-import", cs, err, control.CourierSummary{Bytes: int64(len(big))})

	got := map[int]*closer{}
	cs, err = c.CourierExport(ctx, control.CourierRequest{To: "CN"}, func(n int) (io.WriteCloser, error) {
		got[n] = &closer{}
		return got[n], nil
	})
	check(t, f, "courier-export CN", cs, err, control.CourierSummary{Pieces: 2})
	if len(got) != 2 || got[1].String() != string(big) || got[2].String() != "two" || !got[1].closed || !got[2].closed {
		t.Errorf("%d pieces", len(got))
	}
}

func TestFailures(t *testing.T) {
	ctx, f := t.Context(), &fake{}
	c := serve(t, f, t.TempDir())
	big := bytes.Repeat([]byte("x"), 4<<20)
	cases := map[string]func() error{
		"plain":          func() error { _, err := c.Status(ctx); return err },
		"put-blob":       func() error { _, err := c.PutBlob(ctx, someLine, "x", bytes.NewReader(big)); return err },
		"courier-import": func() error { _, err := c.CourierImport(ctx, bytes.NewReader(big)); return err },
		"get-blob":       func() error { return c.GetBlob(ctx, someLine, "x", io.Discard) },
		"export":         func() error { _, err := c.Export(ctx, someLine, io.Discard); return err },
		"courier-export": func() error {
			_, err := c.CourierExport(ctx, control.CourierRequest{}, func(int) (io.WriteCloser, error) { return &closer{}, nil })
			return err
		},
	}
	for name, do := range cases {
		for _, body := range [][]byte{nil, []byte("some"), big} { // before, or in the middle of, the answer
			f.fail, f.body = errors.New("no room: free some disk"), body
			err := do()
			var e *control.Error
			if !errors.As(err, &e) || e.Text != f.fail.Error() {
				t.Errorf("%s after %d bytes: got %v", name, len(body), err)
			}
		}
	}
}

func TestWordsThatAreNotUTF8AreRefused(t *testing.T) {
	f := &fake{}
	c := serve(t, f, t.TempDir())
	if _, err := c.Draft(t.Context(), control.DraftRequest{Line: someLine, Text: "caf\xe9"}); err == nil || f.asked != "" {
		t.Errorf("sent %q, %v", f.asked, err)
	}
}

func TestLongRequestIsRefused(t *testing.T) {
	c := serve(t, &fake{}, t.TempDir())
	_, err := c.Draft(t.Context(), control.DraftRequest{Line: someLine, Text: strings.Repeat("x", 5<<20)})
	if err == nil {
		t.Error("a request without bound was taken")
	}
}

func TestWaitEndsWithServing(t *testing.T) {
	dir, f := t.TempDir(), &fake{waiting: make(chan none)}
	path := filepath.Join(dir, "control.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served, asked := make(chan error, 1), make(chan error, 1)
	go func() { served <- control.Serve(ctx, l, f) }()
	c, err := control.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		_, err := c.Record(t.Context(), control.RecordRequest{Wait: true})
		asked <- err
	}()
	<-f.waiting
	cancel()
	if err := <-asked; err == nil || !strings.Contains(err.Error(), "stopped serving") {
		t.Errorf("a wait that the station gave up ended with %v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestLongFolderName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30), strings.Repeat("name", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := &fake{}
	c := serve(t, f, dir)
	st, err := c.Status(t.Context())
	check(t, f, "status", st, err, f.status())
}

func TestDeadSocketIsRecognisedAndReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "control.sock")
	if _, err := control.Dial(path); !errors.Is(err, control.ErrNotServing) {
		t.Errorf("no socket: %v", err)
	}
	if _, err := control.Dial(filepath.Join(dir, strings.Repeat("x", 120), "control.sock")); !errors.Is(err, control.ErrNotServing) {
		t.Errorf("no folder: %v", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(path); !errors.Is(err, control.ErrNotServing) {
		t.Errorf("dead socket: %v", err)
	}
	f := &fake{}
	c := serve(t, f, dir)
	st, err := c.Status(t.Context())
	check(t, f, "status", st, err, f.status())
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket's mode: %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".control-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
