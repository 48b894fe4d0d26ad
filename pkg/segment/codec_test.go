package segment

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func encode(t testing.TB, lines string) (Header, []byte) {
	t.Helper()
	h := Header{Len: HeaderLen}
	body, err := NewEncoder().Encode(nil, []byte(lines), &h)
	if err != nil {
		t.Fatal(err)
	}
	return h, body
}

func TestBodies(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	defer d.Close()
	noise := make([]byte, 300_000)
	x := uint32(1)
	for i := range noise {
		x = x*1664525 + 1013904223
		noise[i] = ' ' + byte(x>>24)%90
	}
	for _, lines := range []string{
		"", "1\n", "{}\n{}\n", strings.Repeat("x", 254) + "\n", strings.Repeat("x", 255) + "\n", strings.Repeat("x", 1023) + "\n",
		many(10, 1), many(1000, 2), many(30000, 3), strings.Repeat("a", 1<<20) + "\n", string(noise) + "\n",
		many(100000, 4), strings.Repeat("ab", encodeWindow) + "\n", // beyond the window
	} {
		h := Header{Len: HeaderLen}
		out, err := e.Encode([]byte("before"), []byte(lines), &h)
		if err != nil {
			t.Fatal(err)
		}
		body := out[len("before"):]
		if int(h.BodyLen) != len(body) || int(h.RawLen) != len(lines) || int(h.Count) != strings.Count(lines, "\n") || h.Kind != KindBatch {
			t.Errorf("%+v for %d bytes", h, len(lines))
		}
		got, err := d.Decode([]byte("before"), 0, &h, body)
		if err != nil || string(got) != "before"+lines {
			t.Errorf("%d bytes: %d decoded, %v", len(lines), len(got), err)
		}
	}
	for _, lines := range []string{"\n", "1", "1\n2", "1\n\n2\n", "\n1\n"} {
		if _, err := e.Encode(nil, []byte(lines), new(Header)); err == nil {
			t.Errorf("%q is encoded", lines)
		}
	}
}

// Frames whose checksums are right, and that are not what a unit may have.
func TestHostileBodies(t *testing.T) {
	frame := func(lines string, o ...zstd.EOption) []byte {
		z, err := zstd.NewWriter(nil, append([]zstd.EOption{zstd.WithEncoderConcurrency(1)}, o...)...)
		if err != nil {
			t.Fatal(err)
		}
		return z.EncodeAll([]byte(lines), nil)
	}
	unknown := func(lines string) []byte { // without the length of its content
		var b bytes.Buffer
		z, _ := zstd.NewWriter(&b)
		for _, line := range strings.SplitAfter(lines, "\n") {
			_, _ = z.Write([]byte(line))
			_ = z.Flush()
		}
		_ = z.Close()
		return b.Bytes()
	}
	single := zstd.WithSingleSegment(true)
	// A frame that says 1 GiB and has one block of 1 byte.
	lie := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x60, 0, 0, 0, 0x40, 0x09, 0, 0, '\n'}
	for name, c := range map[string]struct {
		body   []byte
		raw    int
		count  uint32
		reason string
	}{
		"right":     {frame("1\n2\n", single), 4, 2, ""},
		"checksum":  {frame("1\n2\n", single, zstd.WithEncoderCRC(true)), 4, 2, ""},
		"two":       {append(frame("1\n", single), frame("2\n", single)...), 4, 2, "the frame is not of the length that the header says"},
		"two, half": {append(frame("1\n", single), frame("2\n", single)...), 2, 1, "the body is not one frame of zstd"},
		"more":      {append(frame("1\n", single), 0), 2, 1, "the body is not one frame of zstd"},
		"less":      {frame("1\n", single)[:8], 2, 1, "the body is not one frame of zstd"},
		"skippable": {append([]byte(magic), 1, 0, 0, 0, 'x'), 2, 1, "the body is not one frame of zstd"},
		"longer":    {frame(strings.Repeat("1\n", 1000), single), 4, 2, "the frame is not of the length that the header says"},
		"shorter":   {frame("1\n", single), 4, 2, "the frame is not of the length that the header says"},
		"unknown":   {unknown("1\n2\n"), 4, 2, "the frame is not of the length that the header says"},
		"window":    {frame(strings.Repeat("1\n", 5<<20), single), 10 << 20, 5 << 20, "the window of the frame is too large"},
		"count":     {frame("1\n2\n", single), 4, 1, "not as many lines as the header says"},
		"no end":    {frame("1\n2", single), 3, 1, "the last line has no end"},
		"empty":     {frame("12\n\n", single), 4, 2, "an empty line"},
		"empty 1st": {frame("\n12\n", single), 4, 2, "an empty line"},
		"lie":       {lie, 1 << 30, 1, "the frame is too short for the length that it says"},
	} {
		h := Header{Kind: KindBatch, Len: HeaderLen, RawLen: uint32(c.raw), Count: c.count, BodyLen: uint32(len(c.body)), BodyCRC: Checksum(c.body)}
		d := NewDecoder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := d.Decode([]byte("x"), 40, &h, c.body)
		runtime.ReadMemStats(&after)
		d.Close()
		got := ""
		var invalid *InvalidError
		if errors.As(err, &invalid) {
			if got = invalid.Reason; invalid.At != 136 || string(out) != "x" {
				t.Errorf("%s: at %d, %q", name, invalid.At, out)
			}
		}
		if got != c.reason {
			t.Errorf("%s: %v, want %s", name, err, c.reason)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
			t.Errorf("%s: %d bytes of memory", name, used)
		}
	}
}

// Neither side allocates per unit.
func TestNoAllocation(t *testing.T) {
	h, body := encode(t, many(2000, 1))
	lines := []byte(many(2000, 1))
	e, d := NewEncoder(), NewDecoder()
	defer d.Close()
	var enc, dec []byte
	var err error
	if n := testing.AllocsPerRun(20, func() {
		if enc, err = e.Encode(enc[:0], lines, &h); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("encode: %v allocations", n)
	}
	if n := testing.AllocsPerRun(20, func() {
		if dec, err = d.Decode(dec[:0], 0, &h, body); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("decode: %v allocations", n)
	}
	f := build(t, true, strings.SplitAfter(strings.TrimSuffix(many(2000, 2), "\n"), "\n")[:1999]...)
	r := bytes.NewReader(f.data)
	var b Batch
	if n := testing.AllocsPerRun(5, func() {
		s := NewScanner(r, int64(len(f.data)), 0, Link{})
		var h Header
		for {
			at, err := s.Next(&h)
			if err != nil {
				break
			}
			body, err := s.Body(&h)
			if err != nil {
				t.Fatal(err)
			}
			if dec, err = d.Decode(dec[:0], at, &h, body); err != nil {
				t.Fatal(err)
			}
			if h.Kind == KindBatch && b.Parse(at, &h) != nil {
				t.Fatal(at)
			}
		}
	}); n > 20 {
		t.Errorf("scan: %v allocations for 2000 units", n)
	}
}

// zstd alone prints the lines.
func TestZstdReadsSegments(t *testing.T) {
	tool, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("zstd is not installed")
	}
	f := build(t, true, "1\n", "", many(3000, 1), many(120000, 2), "{}\n")
	name := filepath.Join(t.TempDir(), "00000000000000001000.zst")
	if err := os.WriteFile(name, f.data, 0o600); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, u := range f.units {
		want.WriteString(u.lines)
	}
	got, err := exec.Command(tool, "-dcq", name).Output()
	if err != nil || string(got) != want.String() {
		t.Errorf("%d bytes, want %d; %v", len(got), want.Len(), err)
	}
}

// FuzzBody: whatever a body is, it gives lines or an InvalidError, and takes memory
// only for what it says truly.
func FuzzBody(f *testing.F) {
	for _, lines := range []string{"1\n", "{}\n[]\n", many(20, 1), strings.Repeat("a", 3000) + "\n"} {
		h, body := encode(f, lines)
		f.Add(body, h.RawLen, h.Count)
	}
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, body []byte, raw, count uint32) {
		h := Header{Kind: KindBatch, Len: HeaderLen, RawLen: raw % (64 << 20), Count: count, BodyLen: uint32(len(body)), BodyCRC: Checksum(body)}
		out, err := d.Decode(nil, 0, &h, body)
		if err != nil {
			var invalid *InvalidError
			if !errors.As(err, &invalid) {
				t.Fatal(err)
			}
			return
		}
		if len(body) > 0 && (len(out) != int(h.RawLen) || bytes.Count(out, newline) != int(count) || bytes.Contains(out, emptyLine)) {
			t.Fatalf("%d bytes", len(out))
		}
		if len(out) > maxBlock*(len(body)/4+1) {
			t.Fatalf("%d bytes of %d", len(out), len(body))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	lines := []byte(many(20000, 1))
	e := NewEncoder()
	var h Header
	var dst []byte
	b.SetBytes(int64(len(lines)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = e.Encode(dst[:0], lines, &h)
	}
}

func BenchmarkDecode(b *testing.B) {
	h, body := encode(b, many(20000, 1))
	d := NewDecoder()
	var dst []byte
	b.SetBytes(int64(h.RawLen))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = d.Decode(dst[:0], 0, &h, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanTinyUnits(b *testing.B) {
	batches := make([]string, 10000)
	for i := range batches {
		batches[i] = `{"path":"/cart","user":"u17","status":200}` + "\n"
	}
	f := build(b, false, batches...)
	b.SetBytes(int64(len(f.data)))
	b.ReportAllocs()
	for b.Loop() {
		s := NewScanner(bytes.NewReader(f.data), int64(len(f.data)), 0, Link{})
		var h Header
		for {
			if _, err := s.Next(&h); err != nil {
				break
			}
		}
	}
}
