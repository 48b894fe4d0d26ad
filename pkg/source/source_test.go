package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"logtools/pkg/stream"
)

// line is a line as a caller of Next sees it.
type line struct {
	text string
	long bool
	open bool // without '\n'
}

// split is the slow twin of all cutting: the lines of a whole content.
func split(content []byte, max int) []line {
	content = bytes.TrimPrefix(content, bom)
	var lines []line
	for len(content) > 0 {
		text, rest, found := bytes.Cut(content, []byte("\n"))
		l := line{text: string(text), long: len(text) > max}
		l.open = !found && !l.long // pieces do not tell
		lines = append(lines, l)
		content = rest
	}
	return lines
}

// linesOf is split in the midst of an input.
func linesOf(data []byte) []line {
	var lines []line
	for l := range bytes.Lines(data) {
		text, found := bytes.CutSuffix(l, []byte("\n"))
		lines = append(lines, line{text: string(text), open: !found})
	}
	return lines
}

// got is what came out of one operand.
type got struct {
	name   string
	firsts int
	lasts  int
	blocks int64
	lines  []line
	err    error
}

// blockCopy outlives its Block's next use.
func blockCopy(b *stream.Block) stream.Block {
	c := *b
	c.Data, c.Buf = bytes.Clone(b.Data), nil
	return c
}

// drain reads r with several goroutines, puts the blocks in order, and checks
// every promise that stream.Blocks makes.
func drain(t testing.TB, r *Reader, workers int) []got {
	t.Helper()
	var mu sync.Mutex
	var blocks []stream.Block
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var b stream.Block
			for {
				err := r.Next(context.Background(), &b)
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Errorf("Next: %v", err)
					return
				}
				c := blockCopy(&b)
				mu.Lock()
				blocks = append(blocks, c)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(blocks, func(a, b stream.Block) int { return int(a.Seq - b.Seq) })
	return assemble(t, blocks, r)
}

func assemble(t testing.TB, blocks []stream.Block, r *Reader) []got {
	t.Helper()
	out := make([]got, len(r.operands))
	var long []byte
	inLong := false
	last := 0
	for i, b := range blocks {
		if b.Seq != int64(i) {
			t.Fatalf("block %d has Seq %d", i, b.Seq)
		}
		if b.Input < last || b.Input >= len(out) {
			t.Fatalf("block %d: Input %d after %d", i, b.Input, last)
		}
		last = b.Input
		g := &out[b.Input]
		if g.err != nil {
			t.Fatalf("block %d follows the input's error", i)
		}
		if b.Err == nil && b.First != (g.name == "") {
			t.Fatalf("block %d: First is %v", i, b.First)
		}
		if b.First {
			g.firsts++
		}
		if b.Err == nil && b.SeqInInput != g.blocks {
			t.Fatalf("block %d: SeqInInput %d, want %d", i, b.SeqInInput, g.blocks)
		}
		g.blocks++
		if g.lasts > 0 && b.Err == nil {
			t.Fatalf("block %d follows the last one", i)
		}
		if b.Last {
			if g.lasts++; len(b.Data) > 0 || b.Long || b.Err != nil {
				t.Fatalf("block %d is the last one, but not empty", i)
			}
		}
		g.name = b.Name
		if inLong && !b.Long {
			t.Fatalf("block %d: the overlong line before it has no end", i)
		}
		switch {
		case b.Err != nil:
			if len(b.Data) > 0 {
				t.Fatalf("block %d has Data and Err", i)
			}
			g.err = b.Err
		case b.Long:
			if bytes.IndexByte(b.Data, '\n') >= 0 {
				t.Fatalf("block %d: line end in a piece", i)
			}
			long = append(long, b.Data...)
			inLong = !b.LongEnd
			if b.LongEnd {
				g.lines = append(g.lines, line{text: string(long), long: true})
				long = nil
			}
		default:
			if n := len(g.lines); n > 0 && g.lines[n-1].open && len(b.Data) > 0 {
				t.Fatalf("block %d follows an unterminated line", i)
			}
			if len(b.Data) > max(r.block, r.max+1) {
				t.Fatalf("block %d has %d bytes", i, len(b.Data))
			}
			g.lines = append(g.lines, linesOf(b.Data)...)
		}
	}
	if inLong {
		t.Fatal("overlong line without end")
	}
	for i, g := range out {
		if g.firsts != g.lasts { // none if it could not be opened
			t.Fatalf("input %d has %d first and %d last blocks", i, g.firsts, g.lasts)
		}
	}
	return out
}

func sameLines(t testing.TB, what string, have, want []line) {
	t.Helper()
	for i := range min(len(have), len(want)) {
		if have[i] != want[i] {
			t.Fatalf("%s: line %d is %.80v, want %.80v", what, i, have[i], want[i])
		}
	}
	if len(have) != len(want) {
		t.Fatalf("%s: %d lines, want %d", what, len(have), len(want))
	}
}

// memFile is a file in memory that may fail.
type memFile struct {
	name   string
	data   []byte
	size   int64 // what Stat says, if not len(data)
	mode   fs.FileMode
	bad    int64 // bytes from here on give EIO, if > 0
	shrunk int64 // Stat says this once the file was opened, if > 0
	garble int32 // from this ReadAt on there is other content, if > 0
	at     int64
	reads  int32
	stats  int32
	closed int32
}

func (f *memFile) limit() (int64, error) {
	if f.bad > 0 {
		return f.bad, &fs.PathError{Op: "read", Path: "/dev/sda", Err: syscall.EIO}
	}
	return int64(len(f.data)), io.EOF
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	end, err := f.limit()
	if off >= end {
		return 0, err
	}
	n := copy(p, f.data[off:end])
	if k := atomic.AddInt32(&f.reads, 1); f.garble > 0 && k >= f.garble {
		for i := range p[:n] {
			p[i] = 'y'
		}
	}
	if n < len(p) {
		return n, err
	}
	return n, nil
}

func (f *memFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memFile) Close() error { atomic.AddInt32(&f.closed, 1); return nil }

func (f *memFile) Stat() (fs.FileInfo, error) {
	stats := atomic.AddInt32(&f.stats, 1)
	size := int64(len(f.data))
	if f.size > 0 {
		size = f.size
	}
	if f.shrunk > 0 && stats > 3 {
		size = f.shrunk
	}
	return info{f.name, size, f.mode}, nil
}

type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

func memFS(files ...*memFile) fsys {
	find := func(op, name string) (*memFile, error) {
		for _, f := range files {
			if f.name == name {
				return f, nil
			}
		}
		return nil, &fs.PathError{Op: op, Path: name, Err: syscall.ENOENT}
	}
	return fsys{
		stat: func(name string) (fs.FileInfo, error) {
			f, err := find("stat", name)
			if err != nil {
				return nil, err
			}
			return f.Stat()
		},
		open: func(name string) (file, error) {
			f, err := find("open", name)
			if err != nil {
				return nil, err
			}
			return f, nil
		},
	}
}

func fromFile(data []byte, o Options) *Reader {
	return open([]string{"f"}, o, memFS(&memFile{name: "f", data: data}))
}

func fromStdin(rd io.Reader, o Options) *Reader {
	o.Stdin = rd
	return Open(nil, o)
}

// atOnce gives as much as fits, and io.EOF together with the last of it.
type atOnce struct{ rest []byte }

func (a *atOnce) Read(p []byte) (int, error) {
	n := copy(p, a.rest)
	if a.rest = a.rest[n:]; len(a.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// ways are all ways that a content can come in.
var ways = []struct {
	name string
	open func(data []byte, o Options) *Reader
}{
	{"file", fromFile},
	{"whole", func(d []byte, o Options) *Reader { return fromStdin(bytes.NewReader(d), o) }},
	{"bytewise", func(d []byte, o Options) *Reader { return fromStdin(iotest.OneByteReader(bytes.NewReader(d)), o) }},
	{"halves", func(d []byte, o Options) *Reader { return fromStdin(iotest.HalfReader(bytes.NewReader(d)), o) }},
	{"dataerr", func(d []byte, o Options) *Reader { return fromStdin(iotest.DataErrReader(bytes.NewReader(d)), o) }},
	{"atonce", func(d []byte, o Options) *Reader { return fromStdin(&atOnce{d}, o) }},
	{"gzip", func(d []byte, o Options) *Reader { return fromFile(gzipped(d), o) }},
	{"livezstd", func(d []byte, o Options) *Reader { return fromStdin(iotest.HalfReader(bytes.NewReader(zstded(d))), o) }},
}

func randomContent(rnd *rand.Rand) []byte {
	var b []byte
	if rnd.IntN(4) == 0 {
		b = append(b, bom[:1+rnd.IntN(3)]...)
	}
	longest := []int{1, 5, 40, 300}[rnd.IntN(4)]
	for range rnd.IntN(60) {
		n := rnd.IntN(longest)
		if rnd.IntN(20) == 0 {
			n = rnd.IntN(2000)
		}
		for range n {
			b = append(b, 'a'+byte(rnd.IntN(26)))
		}
		b = append(b, '\n')
	}
	if rnd.IntN(2) == 0 && len(b) > 0 {
		b = b[:len(b)-1]
	}
	return b
}

func TestAgreesWithSplit(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 60
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range rounds {
		data := randomContent(rnd)
		o := Options{
			BlockSize: []int{1, 2, 3, 7, 64, 100, 1000, 5000}[rnd.IntN(8)],
			MaxLine:   []int{1, 2, 5, 64, 299, 300, 5000, 20000}[rnd.IntN(8)],
		}
		want := split(data, o.MaxLine)
		for _, w := range ways {
			r := w.open(data, o)
			have := drain(t, r, 1+rnd.IntN(3))[0]
			r.Close()
			what := fmt.Sprintf("round %d, %s, block %d, max %d, content %.60q", i, w.name, o.BlockSize, o.MaxLine, data)
			sameLines(t, what, have.lines, want)
			if have.firsts != 1 || have.err != nil {
				t.Fatalf("%s: %d firsts, error %v", what, have.firsts, have.err)
			}
		}
	}
}

// All contents of up to 6 bytes over a line end and a letter.
func TestAgreesWithSplitExhaustive(t *testing.T) {
	longest := 6
	if testing.Short() {
		longest = 4
	}
	for n := range longest + 1 {
		for bits := range 1 << n {
			data := bytes.Repeat([]byte("x"), n)
			for i := range n {
				if bits>>i&1 == 1 {
					data[i] = '\n'
				}
			}
			for block := 1; block <= 4; block++ {
				for max := 1; max <= 4; max++ {
					o := Options{BlockSize: block, MaxLine: max}
					want := split(data, max)
					for _, w := range ways[:5] {
						r := w.open(data, o)
						have := drain(t, r, 1)[0].lines
						r.Close()
						sameLines(t, fmt.Sprintf("%s, block %d, max %d, %q", w.name, block, max, data), have, want)
					}
				}
			}
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("a\nbb\n\nccc"), uint16(3), uint16(2))
	f.Add([]byte("\xef\xbb\xbfa\r\n"), uint16(1), uint16(100))
	f.Add(bytes.Repeat([]byte("x"), 300), uint16(64), uint16(299))
	f.Fuzz(func(t *testing.T, data []byte, block, max uint16) {
		o := Options{BlockSize: int(block), MaxLine: int(max)}
		if m, _ := detect(data[:min(len(data), longestMagic)]); m != nil {
			t.Skip("compressed")
		}
		if max == 0 {
			max, o.MaxLine = 1, 1
		}
		want := split(data, o.MaxLine)
		for _, w := range ways[:4] {
			r := w.open(data, o)
			sameLines(t, w.name, drain(t, r, 2)[0].lines, want)
			r.Close()
		}
	})
}

func TestOperands(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ops := []string{
		write("a", "1\n2\n"), write("empty", ""), filepath.Join(dir, "nosuch.log"), "-",
		dir, write("bom", "\ufeff"), write("z.xz", "\xfd7zXZ\x00rest"), write("b", "\ufeff3"), "-",
	}
	r := Open(ops, Options{Stdin: strings.NewReader("in\n")})
	defer r.Close()
	var have []string
	for i, g := range drain(t, r, 2) {
		var text []string
		for _, l := range g.lines {
			text = append(text, l.text)
		}
		s := fmt.Sprint(i, " ", g.firsts, " ", text)
		if g.name != ops[i] {
			t.Errorf("input %d is called %q, want %q", i, g.name, ops[i])
		}
		if g.err != nil {
			s += " " + strings.ReplaceAll(g.err.Error(), dir, "DIR")
		}
		have = append(have, s)
	}
	want := []string{
		"0 1 [1 2]", "1 1 []", "2 0 [] open DIR/nosuch.log: no such file or directory", "3 1 [in]",
		"4 0 [] read DIR: is a directory", "5 1 []",
		"6 1 [] read DIR/z.xz: xz input is not supported", "7 1 [3]", "8 1 []",
	}
	if runtime.GOOS == "windows" {
		want[2] = have[2]
	}
	if !slices.Equal(have, want) {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// Blocks of a regular file say when it was changed, others do not.
func TestModTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	when := time.Unix(1e9, 0)
	for _, data := range [][]byte{[]byte("a\n"), gzipped([]byte("a\n")), nil} {
		os.WriteFile(path, data, 0o666)
		os.Chtimes(path, when, when)
		r := Open([]string{path, "-"}, Options{Stdin: strings.NewReader("b\n")})
		var b stream.Block
		for r.Next(context.Background(), &b) == nil {
			if want := when; b.Input == 0 && !b.ModTime.Equal(want) || b.Input == 1 && !b.ModTime.IsZero() {
				t.Errorf("input %d: %v", b.Input, b.ModTime)
			}
		}
		r.Close()
	}
}

func TestManyFiles(t *testing.T) {
	var files []*memFile
	var ops []string
	for i := range 500 {
		f := &memFile{name: fmt.Sprint(i), data: bytes.Repeat(fmt.Appendf(nil, "%d\n", i), i%7+1)}
		files, ops = append(files, f), append(ops, f.name)
	}
	r := open(ops, Options{BlockSize: 8}, memFS(files...))
	defer r.Close()
	for i, g := range drain(t, r, 4) {
		sameLines(t, g.name, g.lines, split(files[i].data, 1<<20))
	}
	for _, f := range files {
		if n := atomic.LoadInt32(&f.closed); n != 1 {
			t.Fatalf("file %s was closed %d times", f.name, n)
		}
	}
}

func TestStdinFileKeepsItsPlace(t *testing.T) {
	for _, z := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "f")
		content := []byte("a\nb\n")
		if z {
			content = gzipped(content)
		}
		os.WriteFile(path, append([]byte("skip\n"), content...), 0o666)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.Seek(5, io.SeekStart)
		r := Open([]string{"-", "-"}, Options{Stdin: f})
		if _, total := r.Progress(); total != 2*int64(len(content)) {
			t.Errorf("total %d", total)
		}
		g := drain(t, r, 2)
		sameLines(t, "stdin", g[0].lines, split([]byte("a\nb\n"), 10))
		sameLines(t, "stdin again", g[1].lines, nil)
		r.Close()
		if rest, err := io.ReadAll(f); err != nil || len(rest) > 0 {
			t.Errorf("left on stdin: %q, %v", rest, err)
		}
	}
}

func TestClosedStdin(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	r := Open(nil, Options{Stdin: f})
	defer r.Close()
	if g := drain(t, r, 1)[0]; g.err == nil || !strings.HasPrefix(g.err.Error(), "read -: ") {
		t.Errorf("error %v", g.err)
	}
}

func TestProgress(t *testing.T) {
	plain := &memFile{name: "plain", data: bytes.Repeat([]byte("x\n"), 5000)}
	packed := &memFile{name: "packed", data: gzipped(plain.data)}
	bomFile := &memFile{name: "bom", data: []byte("\ufeffa\n")}
	fifo := &memFile{name: "fifo", data: []byte("a\n"), mode: fs.ModeNamedPipe}
	want := int64(len(plain.data) + len(packed.data) + len(bomFile.data))
	r := open([]string{"plain", "packed", "nosuch", "bom"}, Options{BlockSize: 100}, memFS(plain, packed, bomFile))
	if done, total := r.Progress(); done != 0 || total != want {
		t.Errorf("at first %d of %d, want %d", done, total, want)
	}
	drain(t, r, 2)
	r.Close()
	if done, total := r.Progress(); done != want || total != want {
		t.Errorf("in the end %d of %d, want %d", done, total, want)
	}
	r = open([]string{"plain", "fifo"}, Options{}, memFS(plain, fifo))
	defer r.Close()
	if _, total := r.Progress(); total != -1 {
		t.Errorf("with a pipe: total %d, want -1", total)
	}
}

// endless is one line of n bytes.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.n))
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.n -= int64(n)
	return n, nil
}

// hugeFile is that line as a file.
type hugeFile struct {
	memFile
	n int64
}

func (f *hugeFile) Stat() (fs.FileInfo, error) { return info{"f", f.n, 0}, nil }

func (f *hugeFile) ReadAt(p []byte, off int64) (int, error) {
	e := endless{max(0, f.n-off)}
	return io.ReadFull(&e, p)
}

func TestHugeLineInBoundedMemory(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 128 << 20
	}
	huge := &hugeFile{n: size}
	sys := fsys{
		stat: func(string) (fs.FileInfo, error) { return huge.Stat() },
		open: func(string) (file, error) { return huge, nil },
	}
	for _, r := range []*Reader{fromStdin(&endless{size}, Options{}), open([]string{"f"}, Options{}, sys)} {
		runtime.GC()
		var sum, peak int64
		var base, mem runtime.MemStats
		runtime.ReadMemStats(&base)
		var b stream.Block
		pieces, ended := 0, false
		for {
			err := r.Next(context.Background(), &b)
			if err == io.EOF {
				break
			}
			if err == nil && b.Last {
				continue
			}
			if err != nil || b.Err != nil || !b.Long {
				t.Fatal(err, b.Err, b.Long)
			}
			sum += int64(len(b.Data))
			ended = b.LongEnd
			if pieces++; pieces%64 == 0 {
				runtime.ReadMemStats(&mem)
				peak = max(peak, int64(mem.HeapAlloc)-int64(base.HeapAlloc))
			}
		}
		r.Close()
		if sum != size || !ended {
			t.Errorf("%d bytes of %d, end %v", sum, size, ended)
		}
		if peak > 64<<20 {
			t.Errorf("up to %d MiB in use", peak>>20)
		}
	}
}

func TestNoAllocationPerBlock(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	for _, w := range ways[:2] {
		o := Options{BlockSize: 1 << 10}
		r := w.open(data, o)
		var b stream.Block
		ctx := context.Background()
		for range 50 {
			r.Next(ctx, &b)
		}
		n := testing.AllocsPerRun(500, func() {
			if err := r.Next(ctx, &b); err != nil {
				t.Fatal(err)
			}
		})
		r.Close()
		if n > 0 {
			t.Errorf("%s: %v allocations per block", w.name, n)
		}
	}
}
