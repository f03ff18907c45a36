package control

import (
	"fmt"
	"strings"

	"herald/internal/line"
)

// The local interface is HTTP/1.1 over the socket. A plain method is a POST of
// its request in JSON and answers in JSON; a failure is {"error": "…"}. A
// method that moves a file has a raw body on that side, and its answer, or what
// went wrong on the way, in a trailer.
const (
	pathStatus        = "/v1/status"
	pathDraft         = "/v1/draft"
	pathGetDraft      = "/v1/get-draft"
	pathDrafts        = "/v1/drafts"
	pathDiscard       = "/v1/discard"
	pathRelease       = "/v1/release"
	pathRecord        = "/v1/record"
	pathRead          = "/v1/read"
	pathAttend        = "/v1/attend"
	pathPutBlob       = "/v1/put-blob"
	pathGetBlob       = "/v1/get-blob"
	pathImportCard    = "/v1/import-card"
	pathCards         = "/v1/cards"
	pathImportCharter = "/v1/import-charter"
	pathCourierExport = "/v1/courier-export"
	pathCourierImport = "/v1/courier-import"
	pathExport        = "/v1/export"
	pathClosing       = "/v1/closing"
)

// Limits in bytes. Texts and notes are small; a page of the record is not.
const (
	maxRequest = 4 << 20
	maxAnswer  = 256 << 20
	maxSummary = 64 << 10
)

// Trailers and parts of a streamed answer.
const (
	trailerError  = "Herald-Error"
	trailerAnswer = "Herald-Answer"
	partPiece     = "piece"
	partAnswer    = "answer"
	partError     = "error"
)

// none is the request or answer of a method that has none.
type none struct{}

type draftID struct {
	Draft uint64 `json:"draft"`
}

type lineName struct {
	Line string `json:"line"`
}

type note struct {
	Note []byte `json:"note"`
}

type failure struct {
	Error string `json:"error"`
}

// Error is what a running station answered instead of doing what was asked.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

// fillLine sets the one of a request's two names for its line that is missing.
func (r *DraftRequest) fillLine() error {
	if r.LineID == "" {
		if r.Line == (line.ID{}) {
			return nil
		}
		r.LineID = r.Line.String()
	}
	id, err := line.ParseID(r.LineID)
	r.Line = id
	return err
}

func (i *LineInfo) fillLine() error {
	id, err := line.ParseID(i.Line)
	i.ID = id
	return err
}

// checkUTF8 refuses strings that JSON would silently change.
func checkUTF8(fields ...string) error {
	for _, s := range fields {
		if strings.ToValidUTF8(s, "") != s {
			return fmt.Errorf("the words are not UTF-8, so the other side might read something else: save them as UTF-8 and try again")
		}
	}
	return nil
}
