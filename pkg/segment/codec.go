package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is how far back a frame of a body may refer, and so what a reader
// of any kind must keep.
const maxWindow = 8 << 20

// maxBlock is the most bytes that a block of a frame decodes to.
const maxBlock = 128 << 10

// encodeWindow is how far back a frame refers as it is written.
const encodeWindow = 4 << 20

// Encoder makes bodies. It is for one goroutine at a time.
type Encoder struct {
	// whole makes frames whose window is their content, up to encodeWindow: only
	// these always say how long their content is. large, made when it is needed,
	// does the others.
	whole, large *zstd.Encoder
}

// NewEncoder returns an Encoder.
func NewEncoder() *Encoder { return &Encoder{whole: newEncoder(true)} }

func newEncoder(single bool) *zstd.Encoder {
	z, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(encodeWindow),
		zstd.WithSingleSegment(single),
		zstd.WithEncoderCRC(false)) // body_crc is enough
	if err != nil {
		panic(err) // the options are constants
	}
	return z
}

// Encode appends the body for lines to dst and fills in h: Kind, Count, RawLen,
// BodyLen and BodyCRC. Each line ends in '\n', none is empty, and together they
// have at most MaxRaw bytes.
func (e *Encoder) Encode(dst, lines []byte, h *Header) ([]byte, error) {
	if len(lines) > MaxRaw {
		return dst, fmt.Errorf("batch of %d bytes: at most %d fit in a unit", len(lines), MaxRaw)
	}
	at := len(dst)
	if len(lines) > 0 && lines[len(lines)-1] != '\n' || hasEmptyLine(lines) {
		return dst, errors.New("batch with an empty line, or one without an end")
	}
	z := e.whole
	if len(lines) > encodeWindow {
		if e.large == nil {
			e.large = newEncoder(false)
		}
		z = e.large
	}
	if len(lines) > 0 { // else there is no frame
		dst = z.EncodeAll(lines, dst)
	}
	body := dst[at:]
	if len(body) > MaxBody { // never: frames grow by 3 bytes for each 128 KiB
		return dst[:at], fmt.Errorf("batch of %d bytes: it does not fit in a unit", len(lines))
	}
	h.Kind = KindBatch
	h.Count = uint32(bytes.Count(lines, newline))
	h.RawLen = uint32(len(lines))
	h.BodyLen = uint32(len(body))
	h.BodyCRC = Checksum(body)
	return dst, nil
}

var newline = []byte{'\n'}

// Decoder reads bodies. It is for one goroutine at a time.
type Decoder struct {
	z    *zstd.Decoder
	body []byte
}

// NewDecoder returns a Decoder; Close frees it.
func NewDecoder() *Decoder {
	z, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(MaxRaw),
		zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		panic(err) // the options are constants
	}
	return &Decoder{z: z}
}

// Close frees what the Decoder holds.
func (d *Decoder) Close() { d.z.Close() }

// ReadBody reads the body of the unit that begins at byte at and has the header
// h, and appends its lines to dst after all checks: see Decode.
func (d *Decoder) ReadBody(r io.ReaderAt, at int64, h *Header, dst []byte) ([]byte, error) {
	body, err := readBody(r, at, h, d.body)
	d.body = body
	if err != nil {
		return dst, err
	}
	return d.decode(dst, at, h, body)
}

// Decode appends to dst the lines of the body of the unit at byte at of the file.
// It checks the body's checksum first, then that it is one frame for RawLen bytes,
// and when it is decoded that it is Count lines. An *InvalidError says what is
// wrong; dst is then as long as it was. Beyond growing dst nothing is allocated,
// and dst grows only for lengths that the frame can have.
func (d *Decoder) Decode(dst []byte, at int64, h *Header, body []byte) ([]byte, error) {
	if err := checkBody(at, h, body); err != nil {
		return dst, err
	}
	return d.decode(dst, at, h, body)
}

func (d *Decoder) decode(dst []byte, at int64, h *Header, body []byte) ([]byte, error) {
	if len(body) == 0 {
		return dst, nil
	}
	wrong := func(reason string) error { return &InvalidError{At: at + h.BodyAt(), Reason: reason} }
	if reason := checkFrame(body, int64(h.RawLen)); reason != "" {
		return dst, wrong(reason)
	}
	from := len(dst)
	// The decoder copies in steps and is faster where it may write a little
	// beyond the end.
	const over = 64
	if n := int(h.RawLen) + over; cap(dst)-from < n {
		dst = append(make([]byte, 0, from+n), dst...)
	}
	out, err := d.z.DecodeAll(body, dst)
	if err != nil {
		return dst[:from], wrong("the body cannot be decoded: " + err.Error())
	}
	if reason := checkLines(out[from:], h); reason != "" {
		return dst[:from], wrong(reason)
	}
	return out, nil
}

// readBody reads a body into buf, or into a larger one, and checks it.
func readBody(r io.ReaderAt, at int64, h *Header, buf []byte) ([]byte, error) {
	n := int(h.BodyLen)
	if cap(buf) < n {
		buf = make([]byte, n+n/4)
	}
	buf = buf[:n]
	if err := ReadFull(r, buf, at+h.BodyAt()); err != nil {
		return buf, err
	}
	return buf, checkBody(at, h, buf)
}

func checkBody(at int64, h *Header, body []byte) error {
	switch {
	case len(body) != int(h.BodyLen):
		return &InvalidError{At: at + h.BodyAt(), Reason: "the body is cut off", Incomplete: true}
	case len(body) > 0 && Checksum(body) != h.BodyCRC:
		return &InvalidError{At: at + h.BodyAt(), Reason: "checksum of the body is wrong"}
	}
	return nil
}

// checkFrame says why a body is not exactly one frame that may decode to raw
// bytes. The decoder alone would decode any number of frames and skip others, and
// ask for any amount of memory that a frame names.
func checkFrame(body []byte, raw int64) string {
	const notOne = "the body is not one frame of zstd"
	var f zstd.Header
	if err := f.Decode(body); err != nil || f.Skippable {
		return notOne
	}
	switch {
	case !f.HasFCS || f.FrameContentSize != uint64(raw):
		return "the frame is not of the length that the header says"
	case f.DictionaryID != 0:
		return "the frame needs a dictionary"
	case !f.SingleSegment && f.WindowSize > maxWindow || f.SingleSegment && raw > maxWindow:
		return "the window of the frame is too large"
	}
	room := int64(0) // what the blocks can decode to
	for at := f.HeaderSize; ; {
		if len(body)-at < 3 {
			return notOne
		}
		block := uint32(body[at]) | uint32(binary.LittleEndian.Uint16(body[at+1:]))<<8
		last, kind, size := block&1 != 0, block>>1&3, int(block>>3)
		at += 3
		switch kind {
		case 0: // as it is
			room += int64(min(size, maxBlock))
		case 1: // one byte, repeated
			room += int64(min(size, maxBlock))
			size = 1
		case 2: // compressed
			room += maxBlock
		default:
			return notOne
		}
		if size > len(body)-at {
			return notOne
		}
		at += size
		if !last {
			continue
		}
		if f.HasCheckSum {
			at += 4
		}
		switch {
		case at != len(body):
			return notOne
		case room < raw:
			return "the frame is too short for the length that it says"
		}
		return ""
	}
}

// checkLines says why data is not the lines of a unit with h.
func checkLines(data []byte, h *Header) string {
	switch {
	case len(data) != int(h.RawLen):
		return "the lines are not of the length that the header says"
	case len(data) == 0:
		return ""
	case data[len(data)-1] != '\n':
		return "the last line has no end"
	case bytes.Count(data, newline) != int(h.Count):
		return "not as many lines as the header says"
	case hasEmptyLine(data):
		return "an empty line"
	}
	return ""
}

func hasEmptyLine(data []byte) bool {
	return len(data) > 0 && data[0] == '\n' || bytes.Contains(data, emptyLine)
}

var emptyLine = []byte("\n\n")

// ReadFull fills p from byte at of r. A file that ends before is an error: it was
// longer when its size was asked for.
func ReadFull(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}
