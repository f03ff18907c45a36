package seal

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
)

// Segment is the key of one stretch of the archive. What it encrypts is
// stored once; the key is stored twice, wrapped under the station's working
// key and, if the party has an offline archive key, sealed to that. When the
// working wrap is dropped, the running station can no longer read the
// segment, and the party still can, with the key in its safe (spec 06 §5).
//
// A segment is safe for 2^32 boxes, far more than a day's entries.
type Segment struct {
	id      uint64
	key     [KeySize]byte
	aead    cipher.AEAD
	wrapped []byte
	offline []byte
}

// NewSegment draws a segment's key and wraps it. The offline key is a receive
// key's public half, or empty if the party has none. The id must be new under
// this working key, or old boxes could pass for new ones.
func NewSegment(rand io.Reader, id uint64, working [KeySize]byte, offline []byte) (*Segment, error) {
	key, err := newKey(rand)
	if err != nil {
		return nil, err
	}
	s := &Segment{id: id, key: key, aead: aead(key)}
	b, err := box(rand, aead(working), segmentContext(id), key[:])
	if err != nil {
		return nil, err
	}
	s.wrapped = append(binary.BigEndian.AppendUint64(nil, id), b...)
	if len(offline) > 0 {
		sealed, err := hpkeSeal(offline, offlineInfo(id, offline), key)
		if err != nil {
			return nil, fmt.Errorf("offline archive key: %w", err)
		}
		s.offline = append(binary.BigEndian.AppendUint64(nil, id), sealed...)
	}
	return s, nil
}

// OpenSegment opens what Wrapped gave with the station's working key.
func OpenSegment(wrapped []byte, working [KeySize]byte) (*Segment, error) {
	if len(wrapped) != wrappedSegment {
		return nil, fmt.Errorf("archive segment: a wrapped key of %d bytes, want %d", len(wrapped), wrappedSegment)
	}
	id := binary.BigEndian.Uint64(wrapped)
	key, err := unbox(aead(working), segmentContext(id), wrapped[segmentIDSize:])
	if err != nil {
		return nil, fmt.Errorf("archive segment %d: %w; was the station's working key replaced?", id, err)
	}
	return segment(id, [KeySize]byte(key)), nil
}

// OpenSegmentOffline opens what Offline gave with the party's offline archive
// key.
func OpenSegmentOffline(sealed []byte, key ReceiveKey) (*Segment, error) {
	if len(sealed) != offlineSegment {
		return nil, fmt.Errorf("archive segment: a sealed key of %d bytes, want %d", len(sealed), offlineSegment)
	}
	id := binary.BigEndian.Uint64(sealed)
	k, err := hpkeOpen(key, offlineInfo(id, key.public), sealed[segmentIDSize:])
	if err != nil {
		return nil, fmt.Errorf("archive segment %d, by the offline key: %w", id, err)
	}
	return segment(id, k), nil
}

func segment(id uint64, key [KeySize]byte) *Segment {
	return &Segment{id: id, key: key, aead: aead(key)}
}

// ID returns the number that the caller gave the segment.
func (s *Segment) ID() uint64 { return s.id }

// Wrapped returns the key under the working key, 68 bytes; nil for a segment
// that was opened.
func (s *Segment) Wrapped() []byte { return s.wrapped }

// Offline returns the key sealed to the offline archive key, 1176 bytes; nil
// without one, and for a segment that was opened.
func (s *Segment) Offline() []byte { return s.offline }

// Seal encrypts plaintext for the archive. The context names its place, and
// must be given again to open it. The box is LocalOverhead bytes longer. It
// must not be called after Erase.
func (s *Segment) Seal(rand io.Reader, context, plaintext []byte) ([]byte, error) {
	if s.aead == nil {
		return nil, fmt.Errorf("archive segment %d: its key was erased", s.id)
	}
	return box(rand, s.aead, context, plaintext)
}

// Open decrypts what Seal encrypted in the same context.
func (s *Segment) Open(context, boxed []byte) ([]byte, error) {
	if s.aead == nil {
		return nil, fmt.Errorf("archive segment %d: its key was erased", s.id)
	}
	plaintext, err := unbox(s.aead, context, boxed)
	if err != nil {
		return nil, fmt.Errorf("archived body in segment %d: %w", s.id, err)
	}
	return plaintext, nil
}

// Erase overwrites the key; the wraps are the caller's to drop.
func (s *Segment) Erase() {
	clear(s.key[:])
	s.aead = nil
}

// segmentContext is "herald/segment/1" ‖ u64(id).
func segmentContext(id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(labelSegment), id)
}

// offlineInfo adds SHA-256(public key).
func offlineInfo(id uint64, pub []byte) []byte {
	h := sha256.Sum256(pub)
	return append(segmentContext(id), h[:]...)
}
