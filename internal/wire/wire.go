// Package wire turns what a line carries into canonical bytes and back, and
// holds the size limits that every untrusted byte meets before it is parsed.
//
// All structures are deterministic CBOR (RFC 8949 §4.2.1), specified in CDDL
// in spec 05 (entries and their contents) and spec 08 (session frames). A
// decoder here accepts exactly the bytes that its encoder would write.
package wire

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Limits on untrusted bytes (spec 03 §2).
const (
	MaxEntry   = 32 << 10 // bytes of one entry
	MaxFrame   = 64 << 10 // bytes of one session frame
	MaxText    = 16 << 10 // bytes of a message's text, uncompressed
	MaxRefs    = 16       // references in one message
	MaxBlobs   = 16       // attachments of one message
	MaxSubject = 200      // bytes of a subject
	MaxName    = 255      // bytes of an attachment's name, or an alarm channel's
	MaxBlob    = 1 << 40  // bytes of an attachment
	MaxStated  = 256      // references in one statement
	MaxRanges  = 64       // held ranges per log in one summary
	MaxLogs    = 256      // logs in one summary, and signers per log
)

// ErrFormat is wrapped by every decoding error: the bytes are not what the
// specification allows.
var ErrFormat = errors.New("not in the specified format")

type modes struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

var codec = sync.OnceValue(func() modes {
	opts := cbor.CoreDetEncOptions()
	opts.NilContainers = cbor.NilContainerAsEmpty // nothing has two spellings: null is refused
	enc, err := opts.EncMode()
	if err != nil {
		panic(err) // constant options
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   8,
		MaxArrayElements:  4096,
		MaxMapPairs:       256,
		UTF8:              cbor.UTF8RejectInvalid,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	if err != nil {
		panic(err) // constant options
	}
	return modes{enc, dec}
})

// Marshal returns v as deterministic CBOR. It panics on a type that CBOR
// cannot carry, which is a defect of the caller and never of input.
func Marshal(v any) []byte {
	b, err := codec().enc.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("wire: encoding %T: %v", v, err))
	}
	return b
}

// Unmarshal reads exactly one item of at most limit bytes into v and refuses
// whatever Marshal would have written otherwise.
func Unmarshal(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrFormat, len(b), limit)
	}
	if err := codec().dec.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if again, err := codec().enc.Marshal(v); err != nil || !bytes.Equal(again, b) {
		return fmt.Errorf("%w: not the deterministic encoding", ErrFormat)
	}
	return nil
}
