// Package compress makes short message texts shorter: DEFLATE (RFC 1951) over
// a window that already holds the usual vocabulary of the language, so that a
// hundred characters fit into a satellite terminal's single burst.
//
// It works on values alone and knows nothing of messages. It does not check
// that a text is UTF-8; whoever accepts a text does.
package compress

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math"
)

// The dictionaries (spec 11 §2). A number, once released, keeps its bytes for
// ever: a changed vocabulary takes a new number.
const (
	None    uint8 = iota // the text as it is
	Latin                // English, French, Spanish
	Chinese              // simplified Chinese
	Russian              // Russian
	Arabic               // Arabic
)

var (
	// ErrDictionary says that the data need a dictionary that this release
	// does not have. The sender runs a newer release.
	ErrDictionary = errors.New("compressed text: unknown dictionary: the sender runs a newer release; update this station to read it")
	// ErrCorrupt says that the data are not one whole DEFLATE stream.
	ErrCorrupt = errors.New("compressed text: damaged: it does not decompress; ask the sender to repeat it")
	// ErrTooLong says that the text would exceed the caller's limit.
	ErrTooLong = errors.New("compressed text: longer than allowed; ask the sender to send it in parts or as an attachment")
)

// shortText is the length in bytes up to which the exhaustive encoder is used.
// Above it a Huffman table of the text's own pays, which the standard
// library's encoder makes, and exhaustive search would cost too much.
const shortText = 1024

// Compress returns text in the smallest form found, and the number of the
// dictionary that Decompress needs. The dictionary is None, and data the
// text's own bytes, where nothing helps; data are therefore never longer than
// text. It is deterministic within one release; releases may differ, since any
// DEFLATE stream that yields the text is right.
func Compress(text string) (dict uint8, data []byte) {
	d := guess(text)
	in := text
	if d == Chinese {
		in = toUTF16(text)
	}
	var packed []byte
	if len(in) <= shortText {
		packed = encode(indexes()[d], in)
	} else {
		packed = encodeLong(dictionary(d), in)
	}
	if len(packed) < len(text) {
		return d, packed
	}
	return None, []byte(text)
}

// Decompress returns the text that Compress was given. The text is at most
// limit bytes long; no more memory than that is spent on data that would
// yield more. It refuses data that do not end where the stream ends.
// Errors are ErrDictionary, ErrCorrupt and ErrTooLong, possibly wrapped.
func Decompress(dict uint8, data []byte, limit int) (string, error) {
	if dict == None {
		if len(data) > limit {
			return "", tooLong(limit)
		}
		return string(data), nil
	}
	if dict > Arabic {
		return "", fmt.Errorf("%w (dictionary %d)", ErrDictionary, dict)
	}
	if limit < 0 {
		return "", tooLong(limit)
	}
	if dict != Chinese {
		return inflate(dict, data, limit)
	}
	// Each 16-bit unit stands for at least one byte of UTF-8.
	units, err := inflate(dict, data, 2*min(limit, math.MaxInt/4))
	if err != nil {
		return "", err
	}
	text, err := fromUTF16(units)
	if err != nil {
		return "", err
	}
	if len(text) > limit {
		return "", tooLong(limit)
	}
	return text, nil
}

// inflate returns the at most limit bytes that the stream yields.
func inflate(dict uint8, data []byte, limit int) (string, error) {
	// A bytes.Reader is an io.ByteReader, from which flate takes no byte
	// beyond the stream's end; so what is left over is trailing garbage.
	in := bytes.NewReader(data)
	text, err := io.ReadAll(io.LimitReader(flate.NewReaderDict(in, dictionary(dict)), int64(min(limit, math.MaxInt-1))+1))
	if len(text) > limit {
		return "", tooLong(limit)
	}
	if err != nil {
		return "", fmt.Errorf("%w (%v)", ErrCorrupt, err)
	}
	if in.Len() > 0 {
		return "", fmt.Errorf("%w (%d bytes after its end)", ErrCorrupt, in.Len())
	}
	return string(text), nil
}

func tooLong(limit int) error {
	return fmt.Errorf("%w (limit %d bytes)", ErrTooLong, max(limit, 0))
}

// encodeLong lets the standard library compress a long text.
func encodeLong(dict []byte, text string) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriterDict(&out, flate.BestCompression, dict)
	if err != nil {
		return []byte(text) // unreachable: the level is valid; sent plain all the same
	}
	// Writing to a bytes.Buffer cannot fail.
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return out.Bytes()
}
