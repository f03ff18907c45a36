package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"herald/internal/line"
)

// Client speaks to a running station through its socket. It may be used from
// several goroutines.
type Client struct{ http *http.Client }

var _ Service = (*Client)(nil)

// Dial finds the station that serves at path. The error is ErrNotServing when
// none does: there is no socket, or only one that a dead station left.
func Dial(path string) (*Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := connect(ctx, path)
	if err != nil {
		return nil, err
	}
	c.Close()
	return &Client{&http.Client{Transport: &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return connect(ctx, path)
		},
	}}}, nil
}

// Close ends idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// post sends a body and returns a good answer's response, whose body the
// caller closes.
func (c *Client) post(ctx context.Context, path string, query url.Values, body io.Reader) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "station", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // its text is about a URL that means nothing to people
			err = ue.Err
		}
		return nil, fmt.Errorf("the station does not answer on its socket: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var f failure
	b, err := io.ReadAll(io.LimitReader(res.Body, maxSummary))
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil || f.Error == "" {
		return nil, fmt.Errorf("the station answers %s: it and this herald may be of different releases", res.Status)
	}
	return nil, &Error{f.Error}
}

// call asks a plain method.
func call[Q, A any](ctx context.Context, c *Client, path string, q Q) (a A, err error) {
	b, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	res, err := c.post(ctx, path, nil, bytes.NewReader(b))
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	return readAnswer[A](res.Body)
}

func readAnswer[A any](r io.Reader) (a A, err error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil {
		return a, fmt.Errorf("the station's answer was cut short: %w", err)
	}
	if len(b) > maxAnswer {
		return a, fmt.Errorf("the station's answer is longer than %d bytes: ask for less", maxAnswer)
	}
	if err = json.Unmarshal(b, &a); err != nil {
		err = fmt.Errorf("the station's answer cannot be read: %w", err)
	}
	return a, err
}

// Status tells how the station and its lines are.
func (c *Client) Status(ctx context.Context) (Status, error) {
	s, err := call[none, Status](ctx, c, pathStatus, none{})
	for i := range s.Lines {
		err = errors.Join(err, s.Lines[i].fillLine())
	}
	return s, err
}

// Draft stores words without sending them.
func (c *Client) Draft(ctx context.Context, r DraftRequest) (Draft, error) {
	if err := checkUTF8(append(r.Refs, r.Text, r.Subject, r.Lang, r.Token)...); err != nil {
		return Draft{}, err
	}
	if err := r.fillLine(); err != nil {
		return Draft{}, err
	}
	d, err := call[DraftRequest, Draft](ctx, c, pathDraft, r)
	return d, errors.Join(err, d.fillLine())
}

// GetDraft returns a draft with the statement that a releaser signs.
func (c *Client) GetDraft(ctx context.Context, id uint64) (Draft, error) {
	d, err := call[draftID, Draft](ctx, c, pathGetDraft, draftID{id})
	return d, errors.Join(err, d.fillLine())
}

// Drafts lists a line's drafts, the oldest first.
func (c *Client) Drafts(ctx context.Context, l line.ID) ([]Draft, error) {
	ds, err := call[lineName, []Draft](ctx, c, pathDrafts, lineName{l.String()})
	for i := range ds {
		err = errors.Join(err, ds[i].fillLine())
	}
	return ds, err
}

// Discard removes a draft that was not sent.
func (c *Client) Discard(ctx context.Context, id uint64) error {
	_, err := call[draftID, none](ctx, c, pathDiscard, draftID{id})
	return err
}

// Release adds one officer's signature.
func (c *Client) Release(ctx context.Context, r ReleaseRequest) (Released, error) {
	d, err := call[ReleaseRequest, Released](ctx, c, pathRelease, r)
	return d, errors.Join(err, d.Draft.fillLine())
}

// Record returns entries in causal order.
func (c *Client) Record(ctx context.Context, r RecordRequest) (RecordPage, error) {
	return call[RecordRequest, RecordPage](ctx, c, pathRecord, r)
}

// Read opens an entry for an officer.
func (c *Client) Read(ctx context.Context, r ReadRequest) (Item, error) {
	return call[ReadRequest, Item](ctx, c, pathRead, r)
}

// Attend says on the record whether the watch is at the station.
func (c *Client) Attend(ctx context.Context, r AttendRequest) error {
	_, err := call[AttendRequest, none](ctx, c, pathAttend, r)
	return err
}

// ImportCard takes another party's card, or a newer own one.
func (c *Client) ImportCard(ctx context.Context, n []byte) (CardInfo, error) {
	return call[note, CardInfo](ctx, c, pathImportCard, note{n})
}

// Cards lists the cards that the station holds.
func (c *Client) Cards(ctx context.Context) ([]CardInfo, error) {
	return call[none, []CardInfo](ctx, c, pathCards, none{})
}

// ImportCharter opens a line.
func (c *Client) ImportCharter(ctx context.Context, n []byte) (LineInfo, error) {
	i, err := call[note, LineInfo](ctx, c, pathImportCharter, note{n})
	if err != nil {
		return i, err
	}
	return i, i.fillLine()
}

// Closing tells where this station's logs stand.
func (c *Client) Closing(ctx context.Context) ([]Closing, error) {
	return call[none, []Closing](ctx, c, pathClosing, none{})
}

// PutBlob seals a file to be attached to a draft.
func (c *Client) PutBlob(ctx context.Context, l line.ID, name string, r io.Reader) (Attachment, error) {
	if err := checkUTF8(name); err != nil {
		return Attachment{}, err
	}
	res, err := c.post(ctx, pathPutBlob, url.Values{"line": {l.String()}, "name": {name}}, io.NopCloser(r))
	if err != nil {
		return Attachment{}, err
	}
	defer res.Body.Close()
	return readAnswer[Attachment](res.Body)
}

// CourierImport takes one piece.
func (c *Client) CourierImport(ctx context.Context, piece io.Reader) (CourierSummary, error) {
	res, err := c.post(ctx, pathCourierImport, nil, io.NopCloser(piece))
	if err != nil {
		return CourierSummary{}, err
	}
	defer res.Body.Close()
	return readAnswer[CourierSummary](res.Body)
}

// GetBlob writes an attachment's plaintext. After an error, what was written
// is not the attachment.
func (c *Client) GetBlob(ctx context.Context, l line.ID, root string, w io.Writer) error {
	_, err := receive[none](ctx, c, pathGetBlob, url.Values{"line": {l.String()}, "root": {root}}, w)
	return err
}

// Export writes a line's record. After an error, what was written is not one.
func (c *Client) Export(ctx context.Context, l line.ID, w io.Writer) (ExportSummary, error) {
	return receive[ExportSummary](ctx, c, pathExport, url.Values{"line": {l.String()}}, w)
}

// receive copies a streamed body, then reads how it ended.
func receive[A any](ctx context.Context, c *Client, path string, q url.Values, w io.Writer) (a A, err error) {
	res, err := c.post(ctx, path, q, nil)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return a, fmt.Errorf("the station's answer was cut short: %w", err)
	}
	if e := res.Trailer.Get(trailerError); e != "" {
		return a, &Error{e}
	}
	s := res.Trailer.Get(trailerAnswer)
	if s == "" {
		return a, errors.New("the station's answer was cut short")
	}
	return a, json.Unmarshal([]byte(s), &a)
}

// CourierExport writes what the other party lacks as pieces.
func (c *Client) CourierExport(ctx context.Context, r CourierRequest, next func(int) (io.WriteCloser, error)) (CourierSummary, error) {
	var none CourierSummary
	b, err := json.Marshal(r)
	if err != nil {
		return none, err
	}
	res, err := c.post(ctx, pathCourierExport, nil, bytes.NewReader(b))
	if err != nil {
		return none, err
	}
	defer res.Body.Close()
	_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return none, fmt.Errorf("the station's answer cannot be read: %w", err)
	}
	m := multipart.NewReader(res.Body, params["boundary"])
	for {
		p, err := m.NextRawPart()
		if err != nil {
			return none, fmt.Errorf("the station's answer was cut short: %w", err)
		}
		switch kind := p.Header.Get("Herald-Part"); kind {
		case partPiece:
			n, err := strconv.Atoi(p.Header.Get("Herald-Piece"))
			if err == nil {
				err = copyPiece(p, n, next)
			}
			if err != nil {
				return none, err
			}
		case partAnswer:
			return readAnswer[CourierSummary](p)
		default:
			b, err := io.ReadAll(io.LimitReader(p, maxSummary))
			return none, errors.Join(&Error{string(b)}, err)
		}
	}
}

func copyPiece(r io.Reader, n int, next func(int) (io.WriteCloser, error)) error {
	w, err := next(n)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
