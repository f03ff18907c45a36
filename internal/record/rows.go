package record

import (
	"herald/internal/line"
	"herald/internal/wire"
)

// These are the values in which a line's state meets its store. A store keeps
// them and gives them back; it understands none of them.

// Entry is an entry as it is held.
type Entry struct {
	wire.SignedEntry
	LeafHash line.Hash
	Received int64  // when this station took it, Unix milliseconds, own clock
	Via      string // bearer and peer that brought the first copy; "" for own entries
	Urgent   bool   // the frame's urgent bit, so that it is forwarded as such
	Rank     uint64 // causal rank from 1; 0 while predecessors are missing
}

// Body is an entry's opened content, or why there is none.
type Body struct {
	Pos        line.Pos
	Kind       wire.Kind
	Precedence line.Precedence
	Marking    line.Marking
	Number     uint64
	Segment    uint64 // archive segment whose key opens Box
	Box        []byte // archived wire.Archived, encrypted
	Defect     string // why the content cannot be taken at its word; "" when sound
	Pending    bool   // not opened yet: the epoch or its key is missing
}

// Log is the state of one log's contiguous prefix.
type Log struct {
	Log      line.Log
	Tree     []byte // tlog.Tree in its own encoding; its size is the prefix
	Size     uint64
	Ranked   uint64 // entries below have a rank
	LastRank uint64 // rank of entry Ranked-1
	Opened   uint64 // every entry below was opened, or given as unreadable
}

// Head is a signed head with the time at which this station took it.
type Head struct {
	wire.Head
	Received int64 // Unix milliseconds
}

// Cosig is a cosignature with the time at which this station took it.
type Cosig struct {
	wire.Cosig
	Received int64 // Unix milliseconds
}

// Step is a rung of the receipt ladder.
type Step uint8

// The ladder. Delivered is proved by cosignature or got; the rest by entries.
const (
	Accepted Step = iota + 1
	Delivered
	Alerted
	Read
	Understood
	Holding
	Answered
	Declined
	Queried
	BlobHeld
	Unreadable
)

var stepNames = [...]string{"", "accepted", "delivered", "alerted", "read", "understood", "holding", "answered", "declined", "queried", "attachment held", "unreadable"}

// String returns the step's word.
func (s Step) String() string {
	if int(s) < len(stepNames) {
		return stepNames[s]
	}
	return "unknown step"
}

// Receipt is one party's step on one entry, with the entry that proves it.
type Receipt struct {
	Target  line.Pos
	Party   int // whose step
	Step    Step
	Source  line.Pos // the entry that says so
	Time    uint64   // claimed by its author, Unix seconds
	Officer uint16   // who, where the step names one
	Good    bool     // the evidence was verified (officer's signature where one is needed)
}

// Epoch is what is kept of one epoch. Secret is empty once erased.
type Epoch struct {
	Log    line.Log
	Base   uint64
	Leaves []byte // leaf hashes of the message keys, not secret
	Secret []byte // the epoch secret under the station's working key
	End    uint64 // no entry at or past this seq uses the epoch; 0 while open
}

// ReceiveKey is one of this party's receive keys on the line.
type ReceiveKey struct {
	Log   line.Log // own log that published it
	Index uint32
	Seq   uint64 // epoch entry that published it; 0 for the card's key
	Seed  []byte // under the station's working key; empty once erased
	Made  int64  // Unix seconds
}

// Segment is the key of one stretch of the archive, wrapped twice.
type Segment struct {
	ID      uint64
	Working []byte // under the station's working key; empty once retention ended
	Offline []byte // sealed to the party's offline archive key; empty without one
	Made    int64  // Unix seconds
}

// Queued is accepted words that wait for a sequence number.
type Queued struct {
	ID         uint64
	Precedence line.Precedence
	Time       uint64 // claimed time that the releases bind, Unix seconds
	Segment    uint64
	Box        []byte // the encoded inner, encrypted
	Token      string
	Accepted   int64 // Unix milliseconds
}

// Token binds a client's idempotency token to what became of it.
type Token struct {
	Token  string
	Queued uint64   // queue ID, 0 once sequenced
	Pos    line.Pos // valid once sequenced
	Number uint64
}

// Proof is transferable evidence of two histories, or a note of an unproven
// inconsistency.
type Proof struct {
	Log    line.Log
	Found  int64 // Unix seconds
	Proven bool
	Text   string // what was seen, in words
	Bytes  []byte // tlog.Evidence; empty when unproven
}

// Batch is everything that one turn of a line wants durable: all of it or
// none. Rows that exist already are left as they are unless said otherwise.
type Batch struct {
	Line line.ID

	Entries  []Entry // inserted
	Ranks    []Rank  // set on entries held before
	Bodies   []Body  // replaced
	Logs     []Log   // replaced
	Heads    []Head
	Cosigs   []Cosig
	Receipts []Receipt
	Epochs   []Epoch      // replaced, so that an erased secret is gone
	Keys     []ReceiveKey // replaced, likewise
	Segments []Segment    // replaced, likewise
	Queue    []Queued     // inserted
	Unqueue  []uint64     // removed
	Tokens   []Token      // replaced
	Proofs   []Proof
	Meta     map[string][]byte // small named values of the line, replaced; nil value removes

	// Move, when set, moves the own log's head: the commit fails with
	// ErrHeadMoved unless the stored size of Move.Log is still Move.From.
	Move *Move
}

// Rank sets the causal rank of an entry.
type Rank struct {
	Pos  line.Pos
	Rank uint64
}

// Move is the compare-and-swap on the own log's size.
type Move struct {
	Log      line.Log
	From, To uint64
}

// Empty reports whether there is nothing to commit.
func (b *Batch) Empty() bool {
	return len(b.Entries)+len(b.Ranks)+len(b.Bodies)+len(b.Logs)+len(b.Heads)+len(b.Cosigs)+
		len(b.Receipts)+len(b.Epochs)+len(b.Keys)+len(b.Segments)+len(b.Queue)+len(b.Unqueue)+
		len(b.Tokens)+len(b.Proofs)+len(b.Meta) == 0 && b.Move == nil
}

// Snapshot is what a line starts from: all that it keeps in memory.
type Snapshot struct {
	Logs     []Log
	Ahead    []Entry    // held beyond the prefix of their log
	Waiting  []Entry    // in the prefix, rank 0, in order per log
	Pending  []line.Pos // bodies not opened yet
	Heads    []Head     // greatest per log
	Cosigs   []Cosig    // greatest per log and signer
	Epochs   []Epoch    // whose secret is not erased
	Keys     []ReceiveKey
	Segments []Segment // the newest one
	Queue    []Queued  // most urgent first, then oldest
	Meta     map[string][]byte
}
