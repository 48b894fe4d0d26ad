package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// The header of a unit. All integers are little-endian. The diagram stands in
// logsegment(5), too; a test compares both with what is encoded.
//
//	 0  u32  0x184D2A57      magic of a skippable frame of zstd
//	 4  u32  frame_len       what follows of that frame: 88 + length of ext
//	 8  4 B  "LGF1"
//	12  u8   kind            1 OPEN, 2 BATCH, 3 SEAL
//	13  u8   flags           0-3 must be understood, 4-7 may be ignored
//	14  u16  header_len      96; ext begins here
//	16  u64  segment_id      random, not 0; the same in all units of a file
//	24  u64  base_offset     next_offset of the unit before it
//	32  u64  next_offset     base_offset + count or more
//	40  u32  epoch           never less than in the unit before it
//	44  u32  0
//	48  u32  count           lines
//	52  u32  raw_len         bytes of the lines
//	56  u32  body_len        bytes of the body
//	60  u32  prev_head_crc   head_crc of the unit before it; 0 in an OPEN
//	64  i64  append_first    microseconds since 1970
//	72  i64  append_last     append_first or later
//	80  u64  synced_to       bytes of this file known to be durable
//	88  u32  body_crc        CRC-32C of the body
//	92  u32  head_crc        CRC-32C of bytes 0-91 and of all from 96 to the body
//	96       ext             tag u8, length u24, value; tag, length, value; ...
//	         body            one frame of zstd
const (
	posFrameLen  = 4
	posMark      = 8
	posKind      = 12
	posFlags     = 13
	posHeaderLen = 14
	posSegmentID = 16
	posBase      = 24
	posNext      = 32
	posEpoch     = 40
	posCount     = 48
	posRawLen    = 52
	posBodyLen   = 56
	posPrevCRC   = 60
	posFirst     = 64
	posLast      = 72
	posSyncedTo  = 80
	posBodyCRC   = 88
	posHeadCRC   = 92

	// HeaderLen is the length of a header as it is written, without its ext.
	HeaderLen = 96

	frameMagic = 0x184D2A57
	mark       = "LGF1"
	// frameHead is what a skippable frame begins with: its magic and length.
	frameHead = 8
	// mustKnow are the flags whose meaning a reader must know.
	mustKnow = 0x0F
)

// Limits. Whoever writes keeps to them, whoever reads relies on them.
const (
	// MaxRaw is the most bytes that the lines of a unit have: 1 GiB and one long
	// line.
	MaxRaw = 1<<30 + 1<<25
	// MaxBody is the most bytes that a body has: lines that do not compress
	// become a little longer.
	MaxBody = MaxRaw + MaxRaw>>8
	// MaxExt is the most bytes that an ext has.
	MaxExt = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is the CRC-32C of data, as all checksums of a log are.
func Checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// Kind is what a unit is.
type Kind uint8

const (
	KindOpen  Kind = 1 // begins a file; its ext is an Open
	KindBatch Kind = 2 // has lines; its ext is a Batch
	KindSeal  Kind = 3 // ends a file; its ext is a Seal
)

func (k Kind) String() string {
	switch k {
	case KindOpen:
		return "OPEN"
	case KindBatch:
		return "BATCH"
	case KindSeal:
		return "SEAL"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Header is the header of a unit.
//
// An OPEN and a SEAL have no body, and Base = Next is the offset there. A BATCH
// of no lines has no body either: it only moves the next offset on.
type Header struct {
	Kind      Kind
	Flags     uint8
	SegmentID uint64 // not 0
	// Base is the offset that the first line may have at least, Next that of
	// the next unit's. Without offsets in the ext the lines have Base, Base+1,
	// and so on.
	Base, Next int64
	Epoch      uint32
	Count      uint32 // lines
	RawLen     uint32 // bytes of the lines
	BodyLen    uint32 // bytes of the body
	PrevCRC    uint32 // HeadCRC of the unit before it in the file; 0 in an OPEN
	// First and Last are when the first and the last line were appended, in
	// microseconds since 1970.
	First, Last int64
	// SyncedTo is how many bytes of this file were durable when the unit was
	// written: not more than those before it.
	SyncedTo int64
	BodyCRC  uint32
	HeadCRC  uint32
	// Ext is tags, lengths and values. As read it lies in the reader's buffer.
	Ext []byte
	// Len is the length of the header without its ext: HeaderLen, or more if a
	// later version wrote it.
	Len int
}

// BodyAt is where the body begins in the unit.
func (h *Header) BodyAt() int64 { return int64(h.Len) + int64(len(h.Ext)) }

// Size is the length of the unit.
func (h *Header) Size() int64 { return h.BodyAt() + int64(h.BodyLen) }

// AppendTo appends the header and its ext; the body follows them as it is. It
// sets HeadCRC and Len, and complains about what no reader would accept.
func (h *Header) AppendTo(dst []byte) ([]byte, error) {
	h.Len = HeaderLen
	if err := h.check(); err != nil {
		return dst, err
	}
	at := len(dst)
	dst = append(dst, make([]byte, HeaderLen)...)
	dst = append(dst, h.Ext...)
	b := dst[at:]
	le := binary.LittleEndian
	le.PutUint32(b, frameMagic)
	le.PutUint32(b[posFrameLen:], uint32(len(b)-frameHead))
	copy(b[posMark:], mark)
	b[posKind] = uint8(h.Kind)
	b[posFlags] = h.Flags
	le.PutUint16(b[posHeaderLen:], HeaderLen)
	le.PutUint64(b[posSegmentID:], h.SegmentID)
	le.PutUint64(b[posBase:], uint64(h.Base))
	le.PutUint64(b[posNext:], uint64(h.Next))
	le.PutUint32(b[posEpoch:], h.Epoch)
	le.PutUint32(b[posCount:], h.Count)
	le.PutUint32(b[posRawLen:], h.RawLen)
	le.PutUint32(b[posBodyLen:], h.BodyLen)
	le.PutUint32(b[posPrevCRC:], h.PrevCRC)
	le.PutUint64(b[posFirst:], uint64(h.First))
	le.PutUint64(b[posLast:], uint64(h.Last))
	le.PutUint64(b[posSyncedTo:], uint64(h.SyncedTo))
	le.PutUint32(b[posBodyCRC:], h.BodyCRC)
	h.HeadCRC = headCRC(b)
	le.PutUint32(b[posHeadCRC:], h.HeadCRC)
	return dst, nil
}

// headCRC returns the checksum of a header with its ext.
func headCRC(b []byte) uint32 {
	return crc32.Update(Checksum(b[:posHeadCRC]), castagnoli, b[posHeadCRC+4:])
}

// headerSize returns the length of the header that begins with the HeaderLen
// bytes of b, with its ext.
func headerSize(b []byte) (n int, err error) {
	le := binary.LittleEndian
	if le.Uint32(b) != frameMagic || string(b[posMark:posMark+len(mark)]) != mark {
		return 0, invalid("no unit begins here")
	}
	length, frame := int64(le.Uint16(b[posHeaderLen:])), int64(le.Uint32(b[posFrameLen:]))+frameHead
	if length < HeaderLen || frame < length || frame-length > MaxExt {
		return 0, invalid("impossible length of a header")
	}
	return int(frame), nil
}

// parse fills in h from b, which is a header of headerSize bytes. Ext then points
// into b.
func (h *Header) parse(b []byte) error {
	le := binary.LittleEndian
	crc := le.Uint32(b[posHeadCRC:])
	if headCRC(b) != crc {
		return invalid("checksum of the header is wrong")
	}
	length := int(le.Uint16(b[posHeaderLen:]))
	*h = Header{
		Kind:      Kind(b[posKind]),
		Flags:     b[posFlags],
		SegmentID: le.Uint64(b[posSegmentID:]),
		Base:      int64(le.Uint64(b[posBase:])),
		Next:      int64(le.Uint64(b[posNext:])),
		Epoch:     le.Uint32(b[posEpoch:]),
		Count:     le.Uint32(b[posCount:]),
		RawLen:    le.Uint32(b[posRawLen:]),
		BodyLen:   le.Uint32(b[posBodyLen:]),
		PrevCRC:   le.Uint32(b[posPrevCRC:]),
		First:     int64(le.Uint64(b[posFirst:])),
		Last:      int64(le.Uint64(b[posLast:])),
		SyncedTo:  int64(le.Uint64(b[posSyncedTo:])),
		BodyCRC:   le.Uint32(b[posBodyCRC:]),
		HeadCRC:   crc,
		Ext:       b[length:len(b):len(b)],
		Len:       length,
	}
	return h.check()
}

// check says what is wrong with a header whose checksum is right. Whether it is
// newer comes first: of such a one the rest means nothing.
func (h *Header) check() error {
	switch {
	case h.Flags&mustKnow != 0:
		return &NewerError{What: fmt.Sprintf("flags %#02x", h.Flags)}
	case h.Kind < KindOpen || h.Kind > KindSeal:
		return &NewerError{What: h.Kind.String()}
	case h.SegmentID == 0:
		return invalid("no segment id")
	case h.Base < 0 || h.Next < h.Base || h.Next-h.Base < int64(h.Count) || h.Next == math.MaxInt64:
		return invalid("impossible offsets")
	case h.RawLen > MaxRaw || h.BodyLen > MaxBody || len(h.Ext) > MaxExt:
		return invalid("a length beyond the limit")
	case h.Kind != KindBatch && (h.Count != 0 || h.Next != h.Base):
		return invalid("lines in an " + h.Kind.String())
	case (h.Count == 0) != (h.RawLen == 0) || (h.RawLen == 0) != (h.BodyLen == 0) || h.RawLen/2 < h.Count:
		return invalid("a number of lines that does not fit their length")
	case h.First > h.Last:
		return invalid("impossible times of append")
	case h.SyncedTo < 0:
		return invalid("an impossible durable end")
	case h.Kind == KindOpen && h.PrevCRC != 0:
		return invalid("a unit before an OPEN")
	}
	return checkExt(h.Ext)
}

// Link is what a unit must fit to: what is known of the one before it. The zero
// Link is the start of a file: there an OPEN must be.
type Link struct {
	SegmentID uint64
	Next      int64
	Epoch     uint32
	HeadCRC   uint32
	// Sealed: that unit was a SEAL, which nothing follows.
	Sealed bool
}

// Link returns what the unit after h must fit to.
func (h *Header) Link() Link {
	return Link{h.SegmentID, h.Next, h.Epoch, h.HeadCRC, h.Kind == KindSeal}
}

// misfit says why a unit with h does not follow l; "" if it does.
func (l *Link) misfit(h *Header) string {
	switch {
	case l.SegmentID == 0:
		if h.Kind != KindOpen {
			return h.Kind.String() + " at the start of a file"
		}
		return ""
	case l.Sealed:
		return "a unit behind the SEAL"
	case h.Kind == KindOpen:
		return "OPEN in the middle of a file"
	case h.SegmentID != l.SegmentID:
		return "a unit of another file"
	case h.PrevCRC != l.HeadCRC:
		return "a unit that follows another one"
	case h.Base != l.Next:
		return fmt.Sprintf("offset %d follows %d", h.Base, l.Next-1)
	case h.Epoch < l.Epoch:
		return "a unit of an older epoch"
	}
	return ""
}

// InvalidError says that no sound unit begins at a place. What that means
// (damage, torn, or not yet written) only those know who know what is durable.
type InvalidError struct {
	At     int64 // byte of the file
	Reason string
	// Incomplete: what is there may be the beginning of a unit, but the file ends
	// before it does.
	Incomplete bool
}

// invalid returns an InvalidError whose place the caller fills in.
func invalid(reason string) error { return &InvalidError{Reason: reason} }

// located fills in the place of an InvalidError or a NewerError.
func located(pos int64, err error) error {
	switch err := err.(type) {
	case *InvalidError:
		err.At = pos
	case *NewerError:
		err.At = pos
	}
	return err
}

func (e *InvalidError) Error() string { return fmt.Sprintf("byte %d: %s", e.At, e.Reason) }

// NewerError says that a unit is sound but that this version does not know how
// to read it. It must be left alone.
type NewerError struct {
	At   int64
	What string
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("byte %d: of a newer format (%s)", e.At, e.What)
}
