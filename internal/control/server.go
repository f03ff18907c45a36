package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"herald/internal/line"
)

// shutdownGrace is how long requests under way may take once serving ends.
const shutdownGrace = 5 * time.Second

// Serve answers on l, which it closes, for as long as ctx lasts. It returns nil
// when ctx ended.
func Serve(ctx context.Context, l net.Listener, s Service) error {
	srv := &http.Server{
		Handler:           handler(s),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("control socket: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		srv.Close()
	}
	<-served
	return nil
}

// errStopped is the answer to what was still under way.
var errStopped = errors.New("the station stopped serving; what it accepted is kept")

func handler(s Service) http.Handler {
	mux := http.NewServeMux()
	plain(mux, pathStatus, func(ctx context.Context, _ none) (Status, error) { return s.Status(ctx) })
	plain(mux, pathDraft, func(ctx context.Context, r DraftRequest) (Draft, error) {
		if err := r.fillLine(); err != nil {
			return Draft{}, err
		}
		return s.Draft(ctx, r)
	})
	plain(mux, pathGetDraft, func(ctx context.Context, r draftID) (Draft, error) { return s.GetDraft(ctx, r.Draft) })
	plain(mux, pathDrafts, func(ctx context.Context, r lineName) ([]Draft, error) {
		return withLine(r.Line, func(l line.ID) ([]Draft, error) { return s.Drafts(ctx, l) })
	})
	plain(mux, pathDiscard, func(ctx context.Context, r draftID) (none, error) { return none{}, s.Discard(ctx, r.Draft) })
	plain(mux, pathRelease, s.Release)
	plain(mux, pathRecord, s.Record)
	plain(mux, pathRead, s.Read)
	plain(mux, pathAttend, func(ctx context.Context, r AttendRequest) (none, error) { return none{}, s.Attend(ctx, r) })
	plain(mux, pathImportCard, func(ctx context.Context, r note) (CardInfo, error) { return s.ImportCard(ctx, r.Note) })
	plain(mux, pathCards, func(ctx context.Context, _ none) ([]CardInfo, error) { return s.Cards(ctx) })
	plain(mux, pathImportCharter, func(ctx context.Context, r note) (LineInfo, error) { return s.ImportCharter(ctx, r.Note) })
	plain(mux, pathClosing, func(ctx context.Context, _ none) ([]Closing, error) { return s.Closing(ctx) })
	mux.HandleFunc("POST "+pathPutBlob, putBlob(s))
	mux.HandleFunc("POST "+pathGetBlob, getBlob(s))
	mux.HandleFunc("POST "+pathExport, export(s))
	mux.HandleFunc("POST "+pathCourierExport, courierExport(s))
	mux.HandleFunc("POST "+pathCourierImport, courierImport(s))
	return mux
}

// plain serves a method with a request and an answer in JSON.
func plain[Q, A any](mux *http.ServeMux, path string, f func(context.Context, Q) (A, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		q, err := decode[Q](http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			fail(w, http.StatusBadRequest, fmt.Errorf("the request cannot be read: %w", err))
			return
		}
		a, err := f(r.Context(), q)
		if errors.Is(err, context.Canceled) { // by the station: a client that is gone hears nothing
			err = errStopped
		}
		if err != nil {
			fail(w, http.StatusUnprocessableEntity, err)
			return
		}
		answer(w, a)
	})
}

func decode[Q any](r io.Reader) (q Q, err error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err = d.Decode(&q); err != nil {
		return q, err
	}
	if _, err = d.Token(); err != io.EOF {
		return q, errors.New("something follows it")
	}
	return q, nil
}

func answer[A any](w http.ResponseWriter, a A) {
	b, err := json.Marshal(a)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b) // the client sees a short answer as one
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(failure{err.Error()})
}

func withLine[A any](name string, f func(line.ID) (A, error)) (a A, err error) {
	id, err := line.ParseID(name)
	if err != nil {
		return a, err
	}
	return f(id)
}

func putBlob(s Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := withLine(r.URL.Query().Get("line"), func(l line.ID) (Attachment, error) {
			return s.PutBlob(r.Context(), l, r.URL.Query().Get("name"), r.Body)
		})
		if err != nil {
			drain(r)
			fail(w, http.StatusUnprocessableEntity, err)
			return
		}
		answer(w, a)
	}
}

func courierImport(s Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := s.CourierImport(r.Context(), r.Body)
		if err != nil {
			drain(r)
			fail(w, http.StatusUnprocessableEntity, err)
			return
		}
		answer(w, a)
	}
}

// drain reads the rest of a body that failed: a client that is still writing
// would otherwise see a broken pipe and not the reason.
func drain(r *http.Request) { io.Copy(io.Discard, r.Body) }

func getBlob(s Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		stream(w, func(out io.Writer) (none, error) {
			return withLine(r.URL.Query().Get("line"), func(l line.ID) (none, error) {
				return none{}, s.GetBlob(r.Context(), l, r.URL.Query().Get("root"), out)
			})
		})
	}
}

func export(s Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		stream(w, func(out io.Writer) (ExportSummary, error) {
			return withLine(r.URL.Query().Get("line"), func(l line.ID) (ExportSummary, error) {
				return s.Export(r.Context(), l, out)
			})
		})
	}
}

// counted tells whether anything was written, for until then a failure can
// still be answered as one.
type counted struct {
	http.ResponseWriter
	any bool
}

func (c *counted) Write(b []byte) (int, error) {
	c.any = true
	return c.ResponseWriter.Write(b)
}

// stream serves a raw body, then says in a trailer how it ended. A body without
// that trailer was cut short.
func stream[A any](w http.ResponseWriter, f func(io.Writer) (A, error)) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Trailer", trailerError+", "+trailerAnswer)
	out := &counted{ResponseWriter: w}
	a, err := f(out)
	if err != nil && !out.any {
		w.Header().Del("Trailer")
		fail(w, http.StatusUnprocessableEntity, err)
		return
	}
	b, jerr := json.Marshal(a)
	if err := errors.Join(err, jerr); err != nil {
		w.Header().Set(trailerError, oneLine(err.Error()))
		return
	}
	w.Header().Set(trailerAnswer, string(b))
}

// oneLine makes text fit a header.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// courierExport answers with one part for each piece, then one with the answer
// or with what went wrong.
func courierExport(s Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := decode[CourierRequest](http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			fail(w, http.StatusBadRequest, fmt.Errorf("the request cannot be read: %w", err))
			return
		}
		m := multipart.NewWriter(w)
		w.Header().Set("Content-Type", m.FormDataContentType())
		p := &pieces{m: m}
		a, err := s.CourierExport(r.Context(), q, p.next)
		kind, b := partAnswer, []byte(nil)
		if err == nil {
			b, err = json.Marshal(a)
		}
		if err != nil {
			kind, b = partError, []byte(err.Error())
		}
		// What cannot be written, the client misses.
		if part, err := p.part(kind, 0); err == nil {
			part.Write(b)
			m.Close()
		}
	}
}

// pieces hands out the parts of a multipart body, one after the other.
type pieces struct {
	m    *multipart.Writer
	open bool
}

func (p *pieces) part(kind string, n int) (io.Writer, error) {
	return p.m.CreatePart(textproto.MIMEHeader{"Herald-Part": {kind}, "Herald-Piece": {strconv.Itoa(n)}})
}

func (p *pieces) next(n int) (io.WriteCloser, error) {
	if p.open {
		return nil, errors.New("a piece was begun before the one before it was closed")
	}
	w, err := p.part(partPiece, n)
	if err != nil {
		return nil, err
	}
	p.open = true
	return &piece{w, p}, nil
}

type piece struct {
	io.Writer
	p *pieces
}

func (w *piece) Close() error { w.p.open = false; return nil }
