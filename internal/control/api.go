// Package control is a station's local interface: what the command line and
// the console ask of a running station, over a socket in the station's folder
// that only its owner can open.
//
// This file is the contract: plain values in, plain values out. A station
// implements Service; Client speaks to it through the socket with the same
// methods, so a command works alike with and without a running station.
package control

import (
	"context"
	"io"

	"herald/internal/line"
)

// Service is what a station does for its own people.
type Service interface {
	Status(ctx context.Context) (Status, error)

	// Draft stores words without sending them. The same token returns the
	// same draft.
	Draft(ctx context.Context, r DraftRequest) (Draft, error)
	// GetDraft returns a draft with the statement that a releaser signs.
	GetDraft(ctx context.Context, id uint64) (Draft, error)
	// Drafts lists a line's drafts, the oldest first.
	Drafts(ctx context.Context, l line.ID) ([]Draft, error)
	// Discard removes a draft that was not sent.
	Discard(ctx context.Context, id uint64) error
	// Release adds one officer's signature; with the last that the charter
	// asks for the words are accepted: durable, and sent as soon as may be.
	Release(ctx context.Context, r ReleaseRequest) (Released, error)

	// Record returns entries in causal order.
	Record(ctx context.Context, r RecordRequest) (RecordPage, error)
	// Read opens an entry for an officer and notes it on the record.
	Read(ctx context.Context, r ReadRequest) (Item, error)
	// Attend says on the record whether the watch is at the station.
	Attend(ctx context.Context, r AttendRequest) error

	// PutBlob seals a file to be attached to a draft; GetBlob writes a
	// received attachment's plaintext.
	PutBlob(ctx context.Context, l line.ID, name string, r io.Reader) (Attachment, error)
	GetBlob(ctx context.Context, l line.ID, root string, w io.Writer) error

	// ImportCard takes another party's card, or a newer own one. Trusted says
	// that its safety words were compared, or that it was handed over in
	// person.
	ImportCard(ctx context.Context, note []byte) (CardInfo, error)
	Cards(ctx context.Context) ([]CardInfo, error)
	// ImportCharter opens a line, once every member has signed.
	ImportCharter(ctx context.Context, note []byte) (LineInfo, error)

	// CourierExport writes what the other party lacks as pieces for a medium;
	// next gives the writer for each piece.
	CourierExport(ctx context.Context, r CourierRequest, next func(piece int) (io.WriteCloser, error)) (CourierSummary, error)
	// CourierImport takes one piece, in any order, any number of times.
	CourierImport(ctx context.Context, piece io.Reader) (CourierSummary, error)

	// Export writes a line's record for herald audit.
	Export(ctx context.Context, l line.ID, w io.Writer) (ExportSummary, error)
	// Closing tells where this station's logs stand, for the card that opens
	// its next generation.
	Closing(ctx context.Context) ([]Closing, error)
}

// Status is a station at a glance.
type Status struct {
	Party    line.Party `json:"party"`
	Station  string     `json:"station"`
	Serving  bool       `json:"serving"` // a station runs, not just this command
	Now      int64      `json:"now"`     // Unix seconds, this station's clock
	Gen      uint32     `json:"generation"`
	Lines    []LineInfo `json:"lines"`
	Warnings []string   `json:"warnings,omitempty"` // expiry, clock skew, missing anchor, disk
}

// LineInfo is a line at a glance.
type LineInfo struct {
	ID      line.ID      `json:"-"`
	Line    string       `json:"line"`
	Title   string       `json:"title"`
	Parties []line.Party `json:"parties"`
	State   string       `json:"state"` // up, degraded, down, unattended, unanswered, declined
	Why     string       `json:"why"`   // one sentence: why, and what it means
	Signing bool         `json:"signing"`
	Held    string       `json:"held,omitempty"` // why the station does not sign
	Peers   []PeerInfo   `json:"peers"`
	Logs    []LogInfo    `json:"logs"`
	Queued  int          `json:"queued"`
	Drafts  int          `json:"drafts"`
	Unread  int          `json:"unread"`
	// Warnings tells what does not stop the line: a clock far off, for one.
	Warnings []string `json:"warnings,omitempty"`
	Overdue  []string `json:"overdue,omitempty"` // my own view, by the charter's deadlines
	Proofs   []string `json:"proofs,omitempty"`  // two histories, and unproven inconsistencies
}

// PeerInfo is another party on a line, as this station sees it.
type PeerInfo struct {
	Party     line.Party   `json:"party"`
	Attended  string       `json:"attended"` // its own word: attended, unattended, not said
	Bearers   []BearerInfo `json:"bearers"`
	Delivered uint64       `json:"delivered"` // own entries below are delivered to it
	Card      uint32       `json:"card"`
	Skew      int64        `json:"clock_skew_s,omitempty"` // its newest cosignature's time less our clock, seconds
}

// BearerInfo is one way to a peer.
type BearerInfo struct {
	Name      string  `json:"name"`
	Up        bool    `json:"up"`
	Since     int64   `json:"since"`      // Unix seconds
	LastFrame int64   `json:"last_frame"` // Unix seconds, 0 never
	RoundTrip float64 `json:"round_trip_ms"`
	Error     string  `json:"error,omitempty"`
}

// LogInfo is one party's log.
type LogInfo struct {
	Party    line.Party        `json:"party"`
	Gen      uint32            `json:"generation"`
	Size     uint64            `json:"size"`
	Ahead    int               `json:"ahead"` // entries held beyond a gap
	Head     uint64            `json:"head"`
	Root     string            `json:"root"`
	Cosigned map[string]uint64 `json:"cosigned"` // by party
}

// DraftRequest is words before release.
type DraftRequest struct {
	Line       line.ID      `json:"-"`
	LineID     string       `json:"line"`
	Officer    line.Officer `json:"officer"` // who drafts
	Kind       string       `json:"kind"`    // message, correct, query, cancel, service, understood, hold, answer, decline
	Precedence string       `json:"precedence"`
	Marking    string       `json:"marking"`
	Lang       string       `json:"lang,omitempty"`
	Action     []line.Party `json:"action,omitempty"`
	Info       []line.Party `json:"info,omitempty"`
	Refs       []string     `json:"refs,omitempty"` // "US 0598", "US#12"
	Subject    string       `json:"subject,omitempty"`
	Text       string       `json:"text,omitempty"`
	AnswerBy   int64        `json:"answer_by,omitempty"` // Unix seconds
	Form       string       `json:"form,omitempty"`      // SHA-256 in hexadecimal
	Blobs      []Attachment `json:"attachments,omitempty"`
	Token      string       `json:"token,omitempty"` // idempotency token
}

// Draft is stored words and what their release takes.
type Draft struct {
	ID uint64 `json:"draft"`
	DraftRequest
	Time      int64          `json:"time"` // claimed time that the statement binds, Unix seconds
	Need      int            `json:"need"` // releasing officers that the charter asks for
	Roles     []string       `json:"roles"`
	Released  []line.Officer `json:"released"`
	Statement []byte         `json:"statement"` // what a releaser signs (spec 05 §5)
	State     string         `json:"state"`     // draft, accepted
	Entry     string         `json:"entry,omitempty"`
}

// ReleaseRequest is one officer's signature over a draft's statement.
// Precedence, when it differs from the draft's, changes it first; the
// signature must then be over the changed statement (see Restate).
type ReleaseRequest struct {
	Draft      uint64       `json:"draft"`
	Officer    line.Officer `json:"officer"`
	Precedence string       `json:"precedence,omitempty"`
	Signature  []byte       `json:"signature,omitempty"` // empty: change the precedence only and return the new draft
}

// Released says what a release led to.
type Released struct {
	Draft    Draft  `json:"draft"`
	Accepted bool   `json:"accepted"`        // durable here; it will be sent
	Entry    string `json:"entry,omitempty"` // "US 0598", once sequenced
	Queued   bool   `json:"queued"`          // waits for a way out, or for the right to sign
	Held     string `json:"held,omitempty"`
}

// RecordRequest asks for a stretch of the record.
type RecordRequest struct {
	LineID  string `json:"line"`
	After   string `json:"after,omitempty"` // cursor from an earlier page
	Max     int    `json:"max,omitempty"`
	Wait    bool   `json:"wait,omitempty"` // return only when something changed since After/Version
	Version uint64 `json:"version,omitempty"`
}

// RecordPage is a stretch of the record.
type RecordPage struct {
	Items   []Item `json:"items"`
	Next    string `json:"next,omitempty"`
	Version uint64 `json:"version"` // of the line's state, for Wait
	Settled uint64 `json:"settled"` // greatest rank that can no longer change
}

// Item is one entry of the record.
type Item struct {
	Entry      string         `json:"entry"` // "US 0598" or "US#12"
	Log        string         `json:"log"`   // "US/1"
	Seq        uint64         `json:"seq"`
	Party      line.Party     `json:"party"`
	Rank       uint64         `json:"rank"` // 0: unsettled, predecessors missing
	Settled    bool           `json:"settled"`
	Leaf       string         `json:"leaf"`
	Kind       string         `json:"kind"`
	Number     uint64         `json:"number,omitempty"`
	Precedence string         `json:"precedence,omitempty"`
	Marking    string         `json:"marking,omitempty"`
	Action     []line.Party   `json:"action,omitempty"`
	Info       []line.Party   `json:"info,omitempty"`
	Lang       string         `json:"lang,omitempty"`
	Subject    string         `json:"subject,omitempty"`
	Text       string         `json:"text,omitempty"`
	Unopened   bool           `json:"unopened,omitempty"` // no officer here has opened it: Text is withheld
	Refs       []string       `json:"refs,omitempty"`
	AnswerBy   int64          `json:"answer_by,omitempty"`
	Blobs      []Attachment   `json:"attachments,omitempty"`
	Officers   []line.Officer `json:"officers,omitempty"` // who released, verified
	Claimed    int64          `json:"claimed"`            // author's time, Unix seconds
	Received   int64          `json:"received"`           // this station's, Unix milliseconds
	Via        string         `json:"via,omitempty"`
	Defect     string         `json:"defect,omitempty"`
	Note       string         `json:"note,omitempty"` // for station statements: the sentence to show
	Due        int64          `json:"due,omitempty"`  // answer deadline by the charter, Unix seconds
	Ladder     []Rung         `json:"ladder,omitempty"`
}

// Rung is one step of the receipt ladder and who attests it.
type Rung struct {
	Party  line.Party `json:"party"`
	Step   string     `json:"step"`
	Time   int64      `json:"time"`             // claimed by who attests, Unix seconds
	By     string     `json:"by"`               // who attests: "CN's delivery key, over US log size 7", "CN officer cn-watch-1"
	Source string     `json:"source,omitempty"` // entry that says so
}

// ReadRequest opens an entry.
type ReadRequest struct {
	LineID  string       `json:"line"`
	Entry   string       `json:"entry"`
	Officer line.Officer `json:"officer"`
}

// AttendRequest signs the watch on or off.
type AttendRequest struct {
	LineID   string       `json:"line"`
	Officer  line.Officer `json:"officer"`
	Attended bool         `json:"attended"`
}

// Attachment names a sealed file. The key stays in the station.
type Attachment struct {
	Name   string `json:"name"`
	Length uint64 `json:"length"`
	Root   string `json:"root"`           // names it
	Held   uint64 `json:"held,omitempty"` // bytes held here
}

// CardInfo is a card that the station holds.
type CardInfo struct {
	Party    line.Party `json:"party"`
	Name     string     `json:"name"`
	Version  uint32     `json:"version"`
	Hash     string     `json:"hash"`
	Words    []string   `json:"words"` // safety words with this party
	Own      bool       `json:"own"`
	Warnings []string   `json:"warnings,omitempty"`
}

// CourierRequest says what to carry.
type CourierRequest struct {
	LineID     string     `json:"line"`
	To         line.Party `json:"to,omitempty"` // default: whichever lacks most
	PieceSize  int64      `json:"piece_size,omitempty"`
	Everything bool       `json:"everything,omitempty"` // not only what the other lacks
}

// CourierSummary tells what was carried.
type CourierSummary struct {
	Line    string     `json:"line"`
	From    line.Party `json:"from,omitempty"`
	Pieces  int        `json:"pieces"`
	Bytes   int64      `json:"bytes"`
	Entries int        `json:"entries"`
	New     int        `json:"new"` // import: entries not held before
	Refused int        `json:"refused"`
}

// ExportSummary tells what was exported.
type ExportSummary struct {
	Line    string `json:"line"`
	Entries uint64 `json:"entries"`
	Bytes   int64  `json:"bytes"`
}

// Closing is where one of this party's logs ends.
type Closing struct {
	Line string `json:"line"`
	Gen  uint32 `json:"generation"`
	Size uint64 `json:"size"`
	Root string `json:"root"`
}
