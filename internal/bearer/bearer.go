// Package bearer says what a bearer is: whatever carries opaque frames between
// two stations. A bearer never looks inside a frame, and it pulls frames only
// at the moment that it has room on the wire, so that the most urgent frame
// always goes next (spec 09 §1).
//
// The carriers themselves are in the packages below this one; bearertest holds
// the suite that each of them with a connection must pass.
package bearer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"
)

// Limits that every bearer with a connection keeps (spec 09 §2).
const (
	// MaxFrame is the greatest length of a frame, in bytes.
	MaxFrame = 64 << 10
	// MinMax is the smallest limit that a bearer ever passes to Link.Next: a
	// session must be able to cut its messages into frames of this size.
	MinMax = 256
)

// ErrProtocol marks an error by which the peer broke the bearer's rules. The
// connection is closed; a new one may be made.
var ErrProtocol = errors.New("the peer broke the bearer's protocol")

// ErrLost marks an error by which the connection ended without anyone's
// fault in protocol: the peer closed it, fell silent, or the network failed.
var ErrLost = errors.New("connection lost")

// Link is what a station's session offers to one connection.
//
// One goroutine calls Next and one calls Receive, each never concurrently with
// itself; Next and Receive may run at the same time.
type Link interface {
	// Next returns the most urgent waiting frame, of 1 to max bytes, or nil
	// when there is none; max is at least MinMax. When bulk is false, only a
	// frame that is not bulk may be returned. isBulk tells which it is: bulk
	// frames travel in a narrow window, so that one that is not never waits
	// behind more than about one of them. Next must not block. The frame may
	// be reused by the link at its next call to Next.
	Next(max int, bulk bool) (frame []byte, isBulk bool)

	// Ready is signalled, without blocking, whenever Next may have something
	// new. The channel has a buffer of one and stays the same.
	Ready() <-chan struct{}

	// Receive takes one frame, whose bytes are valid only during the call. It
	// should return within milliseconds: while it runs, nothing more is read
	// or acknowledged, and a peer whose pings stay unanswered for seconds
	// gives the connection up. An error means that the peer broke the
	// protocol; the bearer closes the connection with it.
	Receive(frame []byte) error
}

// Peer is the far side as the bearer proved it. Both fields are empty where a
// bearer proves nothing.
type Peer struct {
	Name string            // as the caller's own table of pinned keys names it
	Key  ed25519.PublicKey // the key that it proved to hold
}

// State is what is known of a connection at one moment.
type State struct {
	Bearer   string        // the kind of carrier, such as "direct"
	Remote   string        // the far side's address
	Dialled  bool          // whether this side opened it
	Since    time.Time     // when it was opened
	Heard    time.Time     // when the last whole frame, of any sort, came in
	RTT      time.Duration // round trip with the queues of the moment, smoothed; 0 until measured
	Rate     float64       // bytes per second that the path has shown; 0 until measured
	Frame    int           // the limit that Next is given at present, in bytes
	Sent     uint64        // bytes of frames written
	Unacked  uint64        // of those, not yet known to have arrived
	Received uint64        // bytes of frames received
}

// Conn is one authenticated connection to a peer.
type Conn interface {
	// Peer returns the far side's identity.
	Peer() Peer
	// Run carries frames for the link until ctx ends (then it returns nil), or
	// the connection fails (then it says why, with ErrLost or ErrProtocol or
	// the link's own error in its chain). When Run returns, the connection is
	// closed and no call to the link is in progress or will follow. Run may be
	// called once.
	Run(ctx context.Context, l Link) error
	// State may be called at any time, from any goroutine.
	State() State
}

// Handler is given each new connection, in a goroutine of its own. It calls
// Run; the connection is closed when it returns.
type Handler func(ctx context.Context, c Conn)
