package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow is the largest zstd window that is unpacked, in bytes: the limit
// of the zstd command, too. A window needs that much memory.
const maxWindow = 128 << 20

// UnsupportedError says that an input is in a format that is recognised but
// not read.
type UnsupportedError struct {
	Format string // such as "xz"
	Tool   string // the command that writes its content to standard output, such as "xz -dc"
}

func (e *UnsupportedError) Error() string { return e.Format + " input is not supported" }

// Hint says what to do instead.
func (e *UnsupportedError) Hint() string {
	return fmt.Sprintf("unpack it with %s and read from the pipe", e.Tool)
}

// magic tells a format by its first bytes.
type magic struct {
	prefix string
	// wild bytes of prefix stand for a range: '?' for a decimal digit but 0,
	// '*' for 0x50 to 0x5F.
	wild string
	name string
	tool string                                 // for formats that are not read
	open func(*bufio.Reader) (io.Reader, error) // nil for those
}

const longestMagic = 10

// The prefixes have no byte '\n' and each differs from text within the first
// line, so recognising never holds back a line of a live input.
var magics = []magic{
	{prefix: "\x1f\x8b\x08", name: "gzip", open: openGzip},
	{prefix: "\x28\xb5\x2f\xfd", name: "zstd", open: openZstd},
	{prefix: "*\x2a\x4d\x18", wild: "*   ", name: "zstd", open: openZstd}, // a skippable frame first
	{prefix: "BZh?1AY&SY", wild: "   ?      ", name: "bzip2", open: openBzip2},
	{prefix: "BZh?\x17rE8P\x90", wild: "   ?      ", name: "bzip2", open: openBzip2}, // of nothing
	{prefix: "\xfd7zXZ\x00", name: "xz", tool: "xz -dc"},
	{prefix: "\x04\x22\x4d\x18", name: "lz4", tool: "lz4 -dc"},
	{prefix: "PK\x03\x04", name: "zip", tool: "unzip -p"},
	{prefix: "7z\xbc\xaf\x27\x1c", name: "7z", tool: "7z x -so"},
	{prefix: "\x1f\x9d", name: "compress (.Z)", tool: "zcat"},
}

// begins says how many bytes of head agree with the prefix.
func (m *magic) begins(head []byte) int {
	for i := range min(len(head), len(m.prefix)) {
		c, ok := head[i], false
		switch {
		case m.wild != "" && m.wild[i] == '?':
			ok = '1' <= c && c <= '9'
		case m.wild != "" && m.wild[i] == '*':
			ok = 0x50 <= c && c <= 0x5f
		default:
			ok = c == m.prefix[i]
		}
		if !ok {
			return i
		}
	}
	return min(len(head), len(m.prefix))
}

// detect returns the format that head begins with, nil for plain data; more
// says that further bytes could still change that.
func detect(head []byte) (m *magic, more bool) {
	for i := range magics {
		n := magics[i].begins(head)
		if n == len(magics[i].prefix) {
			return &magics[i], false
		}
		if n == len(head) {
			more = true
		}
	}
	return nil, more
}

// counted counts the bytes that are read and remembers how it ended: so that a
// disk's error is not taken for damaged data, and that nobody reads on behind
// the end (a terminal would ask for a second one).
type counted struct {
	r   io.Reader
	n   *atomic.Int64
	err error
}

func (c *counted) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	c.err = err
	return n, err
}

// decoded is the content of an input, without its byte order mark.
type decoded struct {
	io.Reader
	src    *counted
	format string // "" if it is plain
	small  *bufio.Reader
	inner  io.Reader
}

// ready says that there is more which the next Read returns at once.
func (d *decoded) ready() bool { return d.format == "" && d.small.Buffered() > 0 }

// decode recognises and unpacks what src reads. It waits for bytes only as
// long as they look like the start of a format.
func decode(src *counted) (*decoded, error) {
	small := bufio.NewReaderSize(src, 4096) // large reads bypass it
	m, err := sniff(small)
	if err != nil {
		return nil, err
	}
	d := &decoded{src: src, small: small, inner: small}
	if m != nil {
		d.format = m.name
		if m.open == nil {
			return nil, &UnsupportedError{Format: m.name, Tool: m.tool}
		}
		if d.inner, err = m.open(bufio.NewReaderSize(small, 128<<10)); err != nil {
			return nil, d.explain(err)
		}
	}
	d.Reader = skipBOM(d.inner)
	return d, nil
}

func sniff(br *bufio.Reader) (*magic, error) {
	for n := 1; ; n++ {
		head, err := br.Peek(max(n, min(br.Buffered(), longestMagic)))
		m, more := detect(head)
		if m != nil || !more {
			return m, nil
		}
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		n = len(head)
	}
}

func (d *decoded) close() {
	if z, ok := d.inner.(*zstd.Decoder); ok {
		z.Close()
	}
}

// explain turns a decoder's error into one that says what happened.
func (d *decoded) explain(err error) error {
	switch {
	case d.src.err != nil && d.src.err != io.EOF:
		return d.src.err
	case d.format == "":
		return err
	case errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF:
		return &damage{"unexpected end of compressed data", io.ErrUnexpectedEOF}
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return &damage{fmt.Sprintf("zstd window is larger than %d MiB", maxWindow>>20), err}
	case errors.Is(err, errTrailing), errors.Is(err, zstd.ErrMagicMismatch):
		return &damage{"trailing garbage after " + d.format + " data", err}
	}
	reason := err.Error()
	for _, p := range []string{"gzip: ", "flate: ", "bzip2 data invalid: ", "zstd: "} {
		reason = strings.TrimPrefix(reason, p)
	}
	return &damage{"damaged " + d.format + " data: " + reason, err}
}

// damage is compressed data that cannot be unpacked to its end.
type damage struct {
	text string
	err  error
}

func (e *damage) Error() string { return e.text }
func (e *damage) Unwrap() error { return e.err }

func openZstd(br *bufio.Reader) (io.Reader, error) {
	// One goroutine: the workers need the other cores.
	return zstd.NewReader(br, zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

func openBzip2(br *bufio.Reader) (io.Reader, error) { return bzip2.NewReader(br), nil }

func openGzip(br *bufio.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(br)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &gzipMembers{z: z, br: br}, nil
}

var errTrailing = errors.New("trailing garbage")

// gzipMembers reads one member after the other. Zero bytes between and behind
// them are skipped, as gzip does: tapes and some tools pad with them.
type gzipMembers struct {
	z  *gzip.Reader
	br *bufio.Reader
}

func (g *gzipMembers) Read(p []byte) (int, error) {
	for {
		n, err := g.z.Read(p)
		if n > 0 && err == io.EOF {
			return n, nil // the next call gets it again
		}
		if n > 0 || err != io.EOF {
			return n, err
		}
		c := byte(0)
		for c == 0 {
			if c, err = g.br.ReadByte(); err != nil {
				return 0, err // io.EOF: all was read
			}
		}
		g.br.UnreadByte()
		if c != 0x1f {
			return 0, errTrailing
		}
		if err := g.z.Reset(g.br); err != nil {
			return 0, err
		}
		g.z.Multistream(false)
	}
}

var bom = []byte("\ufeff")

// skipBOM leaves out a byte order mark at the start of r.
func skipBOM(r io.Reader) io.Reader {
	head := make([]byte, 0, len(bom))
	for empty := 0; len(head) < len(bom) && bytes.HasPrefix(bom, head); {
		n, err := r.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if empty++; err == nil && empty > 100 {
			err = io.ErrNoProgress
		}
		if err != nil && !bytes.Equal(head, bom) {
			return io.MultiReader(bytes.NewReader(head), broken{err})
		}
		if err != nil {
			return broken{err}
		}
	}
	if bytes.Equal(head, bom) {
		return r
	}
	return io.MultiReader(bytes.NewReader(head), r)
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
