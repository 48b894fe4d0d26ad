package source

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

var zstdEncoder, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))

func zstded(data []byte) []byte {
	if len(data) == 0 {
		data = []byte{}
	}
	out := zstdEncoder.EncodeAll(data, nil)
	if len(out) == 0 { // the encoder writes no frame for nothing
		return []byte("\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00")
	}
	return out
}

func skippable(kind byte, body string) string {
	return string([]byte{kind, 0x2a, 0x4d, 0x18, byte(len(body)), 0, 0, 0}) + body
}

func unbase64(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Written by libbzip2: Go has no encoder.
var (
	bzipAB    = unbase64("QlpoOTFBWSZTWTyFQRIAAAFBAAAQMAAgADDMDHqCcXckU4UJA8hUESA=") // "a\nb\n"
	bzipEmpty = unbase64("QlpoORdyRThQkAAAAAA=")
)

func TestFormats(t *testing.T) {
	gz := func(s string) string { return string(gzipped([]byte(s))) }
	zs := func(s string) string { return string(zstded([]byte(s))) }
	zeros := strings.Repeat("\x00", 1000)
	for _, tt := range []struct {
		name, data, want, err string
	}{
		{"plain", "a\nb", "a\nb", ""},
		{"nearly gzip", "\x1f\x8b", "\x1f\x8b", ""},
		{"nearly bzip2", "BZh9 is a magic\n", "BZh9 is a magic\n", ""},
		{"nearly skippable", "S*M\n", "S*M\n", ""},
		{"gzip", gz("a\nb\n"), "a\nb\n", ""},
		{"gzip of nothing", gz(""), "", ""},
		{"gzip members", gz("a\nb") + gz("c\n") + gz("") + gz("d"), "a\nbc\nd", ""},
		{"gzip padded", gz("a\n") + zeros + gz("b\n") + zeros, "a\nb\n", ""},
		{"gzip garbage", gz("a\n") + "garbage", "a\n", "trailing garbage after gzip data"},
		{"gzip 2nd header", gz("a\n") + gz("b\n")[:5], "a\n", "unexpected end of compressed data"},
		{"gzip header", gz("a\n")[:5], "", "unexpected end of compressed data"},
		{"gzip bits", strings.Replace(gz("abcdefgh\n"), "\x1f\x8b\x08\x00", "\x1f\x8b\x08\xe0", 1), "", "damaged gzip data: invalid header"},
		{"gzip bom", gz("\ufeffa\n"), "a\n", ""},
		{"zstd", zs("a\nb\n"), "a\nb\n", ""},
		{"zstd of nothing", zs(""), "", ""},
		{"zstd frames", zs("a\nb") + zs("c\n") + zs("") + zs("d"), "a\nbc\nd", ""},
		{"zstd skippable", skippable(0x57, "head") + zs("a\n") + skippable(0x50, "") + zs("b\n") + skippable(0x5f, "tail"), "a\nb\n", ""},
		{"only skippable", skippable(0x57, "head"), "", ""},
		{"zstd garbage", zs("a\n") + "garbage", "a\n", "trailing garbage after zstd data"},
		{"zstd window", "\x28\xb5\x2f\xfd\x04\x90\x01\x00\x00", "", "zstd window is larger than 128 MiB"},
		{"bzip2", bzipAB, "a\nb\n", ""},
		{"bzip2 of nothing", bzipEmpty, "", ""},
		{"bzip2 streams", bzipAB + bzipEmpty + bzipAB, "a\nb\na\nb\n", ""},
		{"bzip2 bits", bzipAB[:30] + "\xff" + bzipAB[31:], "", "damaged bzip2 data: "},
		{"xz", "\xfd7zXZ\x00abc", "", "xz input is not supported"},
		{"lz4", "\x04\x22\x4d\x18abc", "", "lz4 input is not supported"},
		{"zip", "PK\x03\x04abc", "", "zip input is not supported"},
		{"7z", "7z\xbc\xaf\x27\x1cabc", "", "7z input is not supported"},
		{"compress", "\x1f\x9dabc", "", "compress (.Z) input is not supported"},
	} {
		for i, r := range []*Reader{
			fromFile([]byte(tt.data), Options{}),
			fromStdin(strings.NewReader(tt.data), Options{}),
			fromStdin(iotest.OneByteReader(strings.NewReader(tt.data)), Options{}),
		} {
			g := drain(t, r, 2)[0]
			r.Close()
			what := fmt.Sprintf("%s, way %d", tt.name, i)
			if tt.name != "bzip2 bits" { // its checksum comes behind the data
				sameLines(t, what, g.lines, split([]byte(tt.want), 1<<20))
			}
			if g.firsts != 1 {
				t.Errorf("%s: %d first blocks", what, g.firsts)
			}
			text := ""
			if g.err != nil {
				_, text, _ = strings.Cut(g.err.Error(), "read "+g.name+": ")
				if text == "" {
					text = g.err.Error()
				}
			}
			if (text == "") != (tt.err == "") || !strings.HasPrefix(text, tt.err) {
				t.Errorf("%s: error %q, want %q", what, text, tt.err)
			}
		}
	}
}

func TestUnsupported(t *testing.T) {
	r := fromFile([]byte("\xfd7zXZ\x00"), Options{})
	defer r.Close()
	var u *UnsupportedError
	if g := drain(t, r, 1)[0]; !errors.As(g.err, &u) || u.Hint() != "unpack it with xz -dc and read from the pipe" {
		t.Errorf("error %v", g.err)
	}
}

// numbered is enough text for several zstd blocks.
func numbered(n int) []byte {
	var b []byte
	for i := range n {
		b = fmt.Appendf(b, "%d %x\n", i, uint64(i)*0x9e3779b97f4a7c15)
	}
	return b
}

// Cut off anywhere: whole lines of the true content, then an error.
func TestTruncated(t *testing.T) {
	content := numbered(9000)
	lines := split(content, 1<<20)
	for name, data := range map[string][]byte{"gzip": gzipped(content), "zstd": zstded(content), "bzip2": []byte(bzipAB)} {
		all := lines
		if name == "bzip2" {
			all = split([]byte("a\nb\n"), 10)
		}
		step := max(1, len(data)/150)
		for n := longestMagic; n < len(data); n += step {
			r := fromFile(data[:n], Options{BlockSize: 10000})
			g := drain(t, r, 1)[0]
			r.Close()
			if g.err == nil || !errors.Is(g.err, io.ErrUnexpectedEOF) || g.err.Error() != "read f: unexpected end of compressed data" {
				t.Fatalf("%s cut at %d: error %v", name, n, g.err)
			}
			if len(g.lines) > len(all) {
				t.Fatalf("%s cut at %d: %d lines", name, n, len(g.lines))
			}
			sameLines(t, fmt.Sprintf("%s cut at %d", name, n), g.lines, all[:len(g.lines)])
			if n > len(data)*9/10 && name != "bzip2" && len(g.lines) < len(all)/4 {
				t.Fatalf("%s cut at %d: only %d lines", name, n, len(g.lines))
			}
		}
	}
}

// A disk error is not called damage.
func TestFaultInCompressed(t *testing.T) {
	for _, data := range [][]byte{gzipped(numbered(9000)), zstded(numbered(9000))} {
		f := &memFile{name: "f", data: data, bad: int64(len(data) / 2)}
		r := open([]string{"f"}, Options{}, memFS(f))
		g := drain(t, r, 2)[0]
		r.Close()
		if g.err == nil || g.err.Error() != "read f: input/output error" || g.firsts != 1 {
			t.Errorf("error %v, %d firsts", g.err, g.firsts)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "a\nb\n", strings.Repeat("hello, world\n", 100)} {
		f.Add(gzipped([]byte(s)))
		f.Add(zstded([]byte(s)))
	}
	f.Add([]byte(bzipAB))
	f.Add([]byte(skippable(0x5a, "x") + string(zstded([]byte("x")))))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options{BlockSize: 100, MaxLine: 1000}
		file := fromFile(data, o)
		a := drain(t, file, 2)[0]
		file.Close()
		live := fromStdin(iotest.HalfReader(bytes.NewReader(data)), o)
		b := drain(t, live, 2)[0]
		live.Close()
		sameLines(t, "live", b.lines, a.lines)
		if (a.err == nil) != (b.err == nil) {
			t.Errorf("errors %v and %v", a.err, b.err)
		}
	})
}

// The real logs, packed, are the same lines.
func TestRealLogs(t *testing.T) {
	paths, _ := filepath.Glob("../../../shared/data/access-logs/*.log")
	if len(paths) == 0 {
		t.Skip("no ../shared/data beside the repository")
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := split(data, 1<<20)
		for _, o := range []Options{{}, {BlockSize: 5000}} {
			for _, r := range []*Reader{Open([]string{path}, o), fromFile(gzipped(data), o), fromFile(zstded(data), o)} {
				sameLines(t, path, drain(t, r, 2)[0].lines, want)
				r.Close()
			}
		}
	}
}
