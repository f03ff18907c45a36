package keys

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"herald/internal/line"
)

// ReleaseStatement returns what a releasing officer signs (spec 01 §8). The
// time is in Unix seconds; content is the hash of the message's content.
func ReleaseStatement(l line.ID, charterVersion uint32, p line.Party, t uint64, prec line.Precedence, mark line.Marking, content [32]byte) []byte {
	b := append([]byte("herald/release/1\x00"), l[:]...)
	b = binary.BigEndian.AppendUint32(b, charterVersion)
	b = append(b, byte(len(p)))
	b = append(b, p...)
	b = binary.BigEndian.AppendUint64(b, t)
	b = append(b, byte(prec), byte(mark))
	return append(b, content[:]...)
}

// Scheme says how an officer signed.
type Scheme uint8

// SchemeEd25519 is a plain Ed25519 signature of 64 bytes.
const SchemeEd25519 Scheme = 0

// MaxReleases is how many officers may release one message.
const MaxReleases = 8

// Errors of ParseReleases.
var (
	ErrUnknownScheme = errors.New("a release is signed in a way that this version does not know")
	ErrReleases      = errors.New("the releases are not in the specified form")
)

// Release is one officer's signature over a release statement.
type Release struct {
	Officer uint16
	Scheme  Scheme
	Sig     []byte
}

// Verify reports whether the officer's key made the block over statement.
// Whether the certificate counted at that time is asked of the certificate.
func (r Release) Verify(o OfficerCert, statement []byte) bool {
	return r.Officer == o.Number && r.Scheme == SchemeEd25519 && len(o.Key) == ed25519.PublicKeySize &&
		ed25519.Verify(o.Key, statement, r.Sig)
}

// AppendRelease adds an officer's Ed25519 signature of 64 bytes to releases b
// (spec 01 §8).
func AppendRelease(b []byte, officer uint16, sig []byte) []byte {
	b = binary.AppendUvarint(b, uint64(officer)<<2|uint64(SchemeEd25519))
	return append(b, sig...)
}

// ParseReleases splits releases into blocks. An unknown scheme hides where its
// block ends, so everything is then refused with ErrUnknownScheme; the caller
// shows the entry as defective and keeps it.
func ParseReleases(b []byte) ([]Release, error) {
	var out []Release
	for len(b) > 0 {
		if len(out) == MaxReleases {
			return nil, fmt.Errorf("%w: more than %d", ErrReleases, MaxReleases)
		}
		n, size := binary.Uvarint(b)
		if size <= 0 || len(binary.AppendUvarint(nil, n)) != size || n>>2 == 0 || n>>2 > 0xffff {
			return nil, fmt.Errorf("%w: bad officer number", ErrReleases)
		}
		r := Release{Officer: uint16(n >> 2), Scheme: Scheme(n & 3)}
		if r.Scheme != SchemeEd25519 {
			return nil, fmt.Errorf("officer %d, scheme %d: %w", r.Officer, r.Scheme, ErrUnknownScheme)
		}
		if len(b)-size < ed25519.SignatureSize {
			return nil, fmt.Errorf("%w: a signature is cut short", ErrReleases)
		}
		for _, o := range out {
			if o.Officer == r.Officer {
				return nil, fmt.Errorf("%w: officer %d signed twice", ErrReleases, r.Officer)
			}
		}
		r.Sig, b = b[size:size+ed25519.SignatureSize:size+ed25519.SignatureSize], b[size+ed25519.SignatureSize:]
		out = append(out, r)
	}
	return out, nil
}
