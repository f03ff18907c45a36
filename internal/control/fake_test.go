package control_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"herald/internal/control"
	"herald/internal/line"
)

// fake is a station that notes what it was asked and answers the same always,
// or writes body and fails.
type fake struct {
	asked   string
	got     []byte
	body    []byte
	fail    error
	waiting chan none
}

func (f *fake) did(format string, args ...any) error {
	f.asked = fmt.Sprintf(format, args...)
	return f.fail
}

func (f *fake) status() control.Status {
	return control.Status{Party: "US", Lines: []control.LineInfo{{ID: someLine, Line: someLine.String(), State: "up"}}}
}

func someDraft() control.Draft {
	return control.Draft{ID: 7, Statement: []byte{0, 1}, DraftRequest: control.DraftRequest{
		Line: someLine, LineID: someLine.String(), Marking: "EXERCISE", Action: []line.Party{"CN"}}}
}

func (f *fake) Status(context.Context) (control.Status, error) { return f.status(), f.did("status") }

func (f *fake) Draft(_ context.Context, r control.DraftRequest) (control.Draft, error) {
	return someDraft(), f.did("draft %s %s", r.Text, r.Line.Short())
}

func (f *fake) GetDraft(_ context.Context, id uint64) (control.Draft, error) {
	return someDraft(), f.did("get-draft %d", id)
}

func (f *fake) Drafts(_ context.Context, l line.ID) ([]control.Draft, error) {
	return []control.Draft{someDraft()}, f.did("drafts %s", l.Short())
}

func (f *fake) Discard(_ context.Context, id uint64) error { return f.did("discard %d", id) }

func (f *fake) Release(_ context.Context, r control.ReleaseRequest) (control.Released, error) {
	return control.Released{Draft: someDraft(), Accepted: true, Entry: "US 0598"}, f.did("release %d %v", r.Draft, r.Signature)
}

func (f *fake) Record(ctx context.Context, r control.RecordRequest) (control.RecordPage, error) {
	if r.Wait {
		close(f.waiting)
		<-ctx.Done()
		return control.RecordPage{}, ctx.Err()
	}
	return control.RecordPage{Version: 4, Items: []control.Item{{Entry: "US 0598", Text: "a\u2028b"}}}, f.did("record %d", r.Max)
}

func (f *fake) Read(_ context.Context, r control.ReadRequest) (control.Item, error) {
	return control.Item{Text: "words"}, f.did("read %s", r.Entry)
}

func (f *fake) Attend(_ context.Context, r control.AttendRequest) error {
	return f.did("attend %v", r.Attended)
}

func (f *fake) PutBlob(_ context.Context, _ line.ID, name string, r io.Reader) (a control.Attachment, err error) {
	if err := f.did("put-blob %s", name); err != nil {
		return a, err
	}
	f.got, err = io.ReadAll(r)
	return control.Attachment{Length: uint64(len(f.got))}, err
}

func (f *fake) GetBlob(_ context.Context, _ line.ID, root string, w io.Writer) error {
	w.Write(f.body)
	return f.did("get-blob %s", root)
}

func (f *fake) ImportCard(_ context.Context, n []byte) (control.CardInfo, error) {
	return control.CardInfo{Party: "CN"}, f.did("import-card %s", n)
}

func (f *fake) Cards(context.Context) ([]control.CardInfo, error) {
	return []control.CardInfo{{Party: "CN"}}, f.did("cards")
}

func (f *fake) ImportCharter(_ context.Context, n []byte) (control.LineInfo, error) {
	return f.status().Lines[0], f.did("import-charter %s", n)
}

func (f *fake) CourierExport(_ context.Context, r control.CourierRequest, next func(int) (io.WriteCloser, error)) (s control.CourierSummary, err error) {
	for n, body := range []string{string(f.body), "two"} {
		w, err := next(n + 1)
		if err != nil {
			return s, err
		}
		if _, err := next(9); err == nil {
			return s, fmt.Errorf("two pieces were open at once")
		}
		if _, err := io.WriteString(w, body); err != nil {
			return s, err
		}
		w.Close()
	}
	return control.CourierSummary{Pieces: 2}, f.did("courier-export %s", r.To)
}

func (f *fake) CourierImport(_ context.Context, r io.Reader) (s control.CourierSummary, err error) {
	if err := f.did("courier-import"); err != nil {
		return s, err
	}
	n, err := io.Copy(io.Discard, r)
	return control.CourierSummary{Bytes: n}, err
}

func (f *fake) Export(_ context.Context, _ line.ID, w io.Writer) (control.ExportSummary, error) {
	w.Write(f.body)
	return control.ExportSummary{Entries: 3}, f.did("export")
}

func (f *fake) Closing(context.Context) ([]control.Closing, error) {
	return []control.Closing{{Gen: 1, Size: 5}}, f.did("closing")
}

// closer is a piece on a medium.
type closer struct {
	bytes.Buffer
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func FuzzRequests(f *testing.F) {
	f.Add("draft", []byte(`{"line":"00","text":"x"}`))
	f.Add("release", []byte(`{"draft":1,"signature":"AA=="}`))
	f.Add("put-blob?line=%zz", []byte("body"))
	f.Add("courier-export", []byte(`{"to":"CN"}{}`))
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		req, err := http.NewRequest(http.MethodPost, "http://station/v1/"+path, bytes.NewReader(body))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		control.Handler(&fake{}).ServeHTTP(w, req)
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s: %s", path, w.Body)
		}
	})
}
