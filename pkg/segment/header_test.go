package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"logtools/pkg/stream"
)

// diagram returns the rows of a diagram in a source file: those that begin with
// the line that has first.
func diagram(t *testing.T, file, first string) string {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(src)) {
		row, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "//\t")
		switch {
		case ok && (len(rows) > 0 || strings.Contains(row, first)):
			rows = append(rows, row)
		case !ok && len(rows) > 0:
			return strings.Join(rows, "\n") + "\n"
		}
	}
	t.Fatalf("%s: no diagram", file)
	return ""
}

func page(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "man", "logsegment.5"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var row = regexp.MustCompile(`(?m)^ *(\d+)  *(u8|u16|u32|u64|i64) +(\S+)`)

// values returns the integers that a diagram says are in b, by their names.
func values(t *testing.T, diagram string, b []byte) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for _, m := range row.FindAllStringSubmatch(diagram, -1) {
		at, _ := strconv.Atoi(m[1])
		le, v := binary.LittleEndian, uint64(0)
		switch m[2] {
		case "u8":
			v = uint64(b[at])
		case "u16":
			v = uint64(le.Uint16(b[at:]))
		case "u32":
			v = uint64(le.Uint32(b[at:]))
		default:
			v = le.Uint64(b[at:])
		}
		out[m[3]] = v
	}
	return out
}

// The diagram above the encoder and that of the manual are the same, and say what
// is encoded.
func TestDiagramOfHeader(t *testing.T) {
	d := diagram(t, "header.go", "0x184D2A57")
	if !strings.Contains(page(t), "\n.Bd -literal -offset indent\n"+d+".Ed\n") {
		t.Errorf("logsegment.5 does not have this diagram:\n%s", d)
	}
	h := Header{
		Kind: KindBatch, Flags: 0x50, SegmentID: 0x0102030405060708, Base: 1 << 40, Next: 1<<40 + 99,
		Epoch: 5, Count: 6, RawLen: 70, BodyLen: 8, PrevCRC: 9, First: -10, Last: 11, SyncedTo: 12,
		BodyCRC: 13, Ext: []byte{200, 1, 0, 0, 77},
	}
	b, err := h.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	crc := Checksum(append(bytes.Clone(b[:92]), b[96:]...))
	minus := int64(-10)
	want := map[string]uint64{
		"0x184D2A57": 0x184D2A57, "frame_len": 88 + 5, "kind": 2, "flags": 0x50, "header_len": 96,
		"segment_id": 0x0102030405060708, "base_offset": 1 << 40, "next_offset": 1<<40 + 99, "epoch": 5, "0": 0,
		"count": 6, "raw_len": 70, "body_len": 8, "prev_head_crc": 9, "append_first": uint64(minus),
		"append_last": 11, "synced_to": 12, "body_crc": 13, "head_crc": uint64(crc),
	}
	if got := values(t, d, b); !reflect.DeepEqual(got, want) {
		t.Errorf("the diagram says\n%v, want\n%v", got, want)
	}
	if string(b[8:12]) != "LGF1" || !strings.Contains(d, `8  4 B  "LGF1"`) || string(b[96:]) != string(h.Ext) {
		t.Errorf("%q", b)
	}
}

func TestDiagramOfIndex(t *testing.T) {
	d := diagram(t, "index.go", "LGI1")
	if !strings.Contains(page(t), "\n.Bd -literal -offset indent\n"+d+".Ed\n") {
		t.Errorf("logsegment.5 does not have this diagram:\n%s", d)
	}
	e := Entry{From: 1, At: 2, Base: 3, Units: 4, Events: 5, Raw: 6, Span: Span{
		Bounds{stream.Instant{Sec: 7, Nsec: 8}, stream.Instant{Sec: 9, Nsec: 10}}, 11, 12}}
	b := e.AppendTo(nil, 99)
	want := map[string]uint64{
		"0": 0, "segment_id": 99, "from": 1, "at": 2, "base_offset": 3, "units": 4, "events": 5, "raw": 6,
		"time_min": 7, "time_max": 9, "min_ns": 8, "max_ns": 10, "append_first": 11, "append_last": 12, "crc": uint64(Checksum(b[:108])),
	}
	if got := values(t, d, b); !reflect.DeepEqual(got, want) || len(b) != EntryLen {
		t.Errorf("the diagram says\n%v, want\n%v", got, want)
	}
}

// The manual names the tags and limits as they are.
func TestPageHasConstants(t *testing.T) {
	p := page(t)
	for name, tag := range map[string]int{
		"TIMES": tagTimes, "OFFSETS": tagOffsets, "APPENDED": tagAppended,
		"LOG_ID": tagLogID, "PARTITION": tagPartition, "PREVIOUS": tagPrevious, "SUPERSEDED": tagSuperseded,
		"TOTALS": tagTotals, "INDEX": tagIndex, "END": tagEnd,
	} {
		if item := fmt.Sprintf("\n.It %d Ta Cm %s Ta ", tag, name); !strings.Contains(p, item) {
			t.Errorf("logsegment.5 does not have %q", item)
		}
	}
	if n := strings.Count(p, " Ta Cm "); n != 10 {
		t.Errorf("logsegment.5 has %d tags", n)
	}
	for _, text := range []string{
		fmt.Sprintf("at most %d bytes of lines", MaxRaw),
		fmt.Sprintf("at most %d bytes of ext", MaxExt),
		fmt.Sprintf("at most %d MiB back", maxWindow>>20),
	} {
		if !strings.Contains(p, text) {
			t.Errorf("logsegment.5 does not say %q", text)
		}
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	for _, u := range small(t).units {
		b, err := u.h.AppendTo([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, make([]byte, u.h.BodyLen)...)
		var h Header
		var buf []byte
		// SyncedTo must not lie behind the unit.
		file := append(make([]byte, u.at), b[len("before"):]...)
		if err := ReadHeader(bytes.NewReader(file), u.at, int64(len(file)), &h, &buf); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(h, u.h) {
			t.Errorf("%+v, want %+v", h, u.h)
		}
	}
}

// What no reader accepts is not written, and not read.
func TestImpossibleHeaders(t *testing.T) {
	batch := Header{Kind: KindBatch, SegmentID: 1, Base: 5, Next: 7, Count: 2, RawLen: 4, BodyLen: 9, First: 1, Last: 2}
	open := Header{Kind: KindOpen, SegmentID: 1, Base: 5, Next: 5}
	change := func(h Header, change func(h *Header)) Header { change(&h); return h }
	newer := map[string]Header{
		"flag":  change(batch, func(h *Header) { h.Flags = 8 }),
		"kind":  change(batch, func(h *Header) { h.Kind = 4 }),
		"kind0": change(batch, func(h *Header) { h.Kind = 0 }),
		"tag":   change(batch, func(h *Header) { h.Ext = []byte{127, 0, 0, 0} }),
	}
	invalid := map[string]Header{
		"id":       change(batch, func(h *Header) { h.SegmentID = 0 }),
		"base":     change(batch, func(h *Header) { h.Base = -1 }),
		"next":     change(batch, func(h *Header) { h.Next = 6 }),
		"next<":    change(batch, func(h *Header) { h.Next = -3 }),
		"next max": change(batch, func(h *Header) { h.Next = math.MaxInt64 }),
		"overflow": change(batch, func(h *Header) { h.Base, h.Next = math.MaxInt64-1, math.MinInt64 }),
		"raw":      change(batch, func(h *Header) { h.RawLen = MaxRaw + 1 }),
		"body":     change(batch, func(h *Header) { h.BodyLen = MaxBody + 1 }),
		"ext":      change(batch, func(h *Header) { h.Ext = make([]byte, MaxExt+1) }),
		"tlv":      change(batch, func(h *Header) { h.Ext = []byte{1, 1, 0, 0} }),
		"tlv head": change(batch, func(h *Header) { h.Ext = []byte{1, 1, 0} }),
		"count":    change(batch, func(h *Header) { h.Count = 0 }),
		"lines":    change(batch, func(h *Header) { h.RawLen = 3 }),
		"no body":  change(batch, func(h *Header) { h.BodyLen = 0 }),
		"times":    change(batch, func(h *Header) { h.First = 3 }),
		"synced":   change(batch, func(h *Header) { h.SyncedTo = -1 }),
		"open":     change(open, func(h *Header) { h.Count, h.RawLen, h.BodyLen, h.Next = 1, 2, 3, 6 }),
		"open gap": change(open, func(h *Header) { h.Next = 6 }),
		"prev":     change(open, func(h *Header) { h.PrevCRC = 1 }),
	}
	for _, h := range []Header{batch, open} {
		if _, err := h.AppendTo(nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, h := range newer {
		var e *NewerError
		if _, err := h.AppendTo(nil); !errors.As(err, &e) {
			t.Errorf("%s: written: %v", name, err)
		}
	}
	for name, h := range invalid {
		var e *InvalidError
		if _, err := h.AppendTo(nil); !errors.As(err, &e) {
			t.Errorf("%s: written: %v", name, err)
		}
	}
}

// sign makes the checksum of a header with its ext right.
func sign(b []byte) []byte {
	if len(b) >= HeaderLen {
		binary.LittleEndian.PutUint32(b[posHeadCRC:], headCRC(b))
	}
	return b
}

// A header of a later version: what it has more is stepped over, or refused.
func TestNewer(t *testing.T) {
	h := Header{Kind: KindOpen, SegmentID: 1, Base: 5, Next: 5, Ext: []byte{128, 1, 0, 0, 9}}
	b, err := h.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) (Header, error) {
		var h Header
		var buf []byte
		return h, ReadHeader(bytes.NewReader(b), 0, int64(len(b)), &h, &buf)
	}
	longer := append(bytes.Clone(b[:96]), "later..."...)
	longer = append(longer, b[96:]...)
	binary.LittleEndian.PutUint32(longer[4:], uint32(len(longer)-8))
	binary.LittleEndian.PutUint16(longer[14:], 104)
	var got Header
	var buf []byte
	err = ReadHeader(bytes.NewReader(sign(longer)), 0, int64(len(longer)), &got, &buf)
	if err != nil || got.Len != 104 || !bytes.Equal(got.Ext, h.Ext) || got.Size() != int64(len(longer)) {
		t.Errorf("a longer header: %+v, %v", got, err)
	}
	for bit := range 8 {
		c := bytes.Clone(b)
		c[posFlags] = 1 << bit
		_, err := read(sign(c))
		var newer *NewerError
		if isNewer := errors.As(err, &newer); isNewer != (bit < 4) || !isNewer && err != nil {
			t.Errorf("flag %d: %v", bit, err)
		}
	}
	c := bytes.Clone(b)
	c[96] = 127
	_, err = read(sign(c))
	if want := "byte 0: of a newer format (tag 127)"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	// Nobody goes on behind it as if it were damage.
	data := append(bytes.Repeat([]byte{1}, 50), c...)
	at, err := Resync(bytes.NewReader(data), 0, int64(len(data)), 0, 0, &got, &buf)
	var newer *NewerError
	if !errors.As(err, &newer) || newer.At != 50 || at != 50 {
		t.Errorf("resync: %d, %v", at, err)
	}
}

// FuzzHeader: whatever the bytes are, with and without a right checksum, nothing
// impossible is taken, and what is taken is what would be written.
func FuzzHeader(f *testing.F) {
	file := small(f)
	for _, u := range file.units {
		f.Add(file.data[u.at:u.at+u.h.Size()], true)
	}
	f.Add([]byte(magic), false)
	f.Fuzz(func(t *testing.T, b []byte, right bool) {
		b = bytes.Clone(b)
		if len(b) >= HeaderLen && right {
			if n, err := headerSize(b); err == nil && n <= len(b) {
				sign(b[:n])
			}
		}
		var h Header
		var buf []byte
		err := ReadHeader(bytes.NewReader(b), 0, int64(len(b)), &h, &buf)
		if err != nil && err != io.EOF {
			checkKind(t, err)
		}
		if err == nil {
			if h.Len == HeaderLen && b[44]|b[45]|b[46]|b[47] == 0 {
				again, err := h.AppendTo(nil)
				if err != nil || !bytes.Equal(again, b[:h.BodyAt()]) {
					t.Fatalf("%v: written again it differs", err)
				}
			}
			if h.Size() > int64(len(b)) || h.SyncedTo > 0 || h.Next < h.Base+int64(h.Count) || h.Base < 0 {
				t.Fatalf("%+v", h)
			}
			for _, err := range []error{new(Batch).Parse(0, &h), new(Open).Parse(0, &h), new(Seal).Parse(0, &h)} {
				if err != nil {
					checkKind(t, err)
				}
			}
		}
		if len(buf) > len(b) || cap(buf) > 2*len(b)+onePiece {
			t.Fatalf("%d bytes in memory for %d", cap(buf), len(b))
		}
		scan(t, bytes.NewReader(b), int64(len(b)))
	})
}
