package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"logtools/pkg/stream"
)

func TestReadFault(t *testing.T) {
	var data []byte
	for i := range 2000 {
		data = fmt.Appendf(data, "line %d\n", i)
	}
	data = append(data, bytes.Repeat([]byte("x"), 5000)...) // an overlong one
	data = append(data, "\nend\n"...)
	other := &memFile{name: "other", data: []byte("more\n")}
	for bad := int64(1); bad < int64(len(data)); bad += 97 {
		f := &memFile{name: "f", data: data, bad: bad}
		pipe := &memFile{name: "-", data: data, bad: bad, mode: fs.ModeCharDevice}
		for _, r := range []*Reader{
			open([]string{"f", "other"}, Options{BlockSize: 512, MaxLine: 4000}, memFS(f, other)),
			open([]string{"-", "other"}, Options{BlockSize: 512, MaxLine: 4000, Stdin: pipe}, memFS(other)),
		} {
			g := drain(t, r, 1)
			r.Close()
			whole := data[:bytes.LastIndexByte(data[:bad], '\n')+1]
			have := g[0].lines
			if n := len(have); n > 0 && have[n-1].long && len(whole) < len(data)-6 {
				have = have[:n-1] // what there was of the overlong line
			}
			sameLines(t, fmt.Sprint("fault at ", bad), have, split(whole, 4000))
			if !errors.Is(g[0].err, syscall.EIO) || g[0].err.Error() != "read "+g[0].name+": input/output error" {
				t.Fatalf("fault at %d: error %v", bad, g[0].err)
			}
			if g[0].firsts != 1 || len(g[1].lines) != 1 {
				t.Fatalf("fault at %d: firsts %d, other input %v", bad, g[0].firsts, g[1].lines)
			}
		}
		// Several workers may be past the fault when it is noticed, but each
		// line is a real one and the error comes before the next input.
		r := open([]string{"f", "other"}, Options{BlockSize: 512, MaxLine: 4000}, memFS(f, other))
		g := drain(t, r, 3)
		r.Close()
		if !errors.Is(g[0].err, syscall.EIO) || len(g[1].lines) != 1 {
			t.Fatalf("fault at %d: error %v, other input %v", bad, g[0].err, g[1].lines)
		}
	}
}

func TestSizeChanges(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcde\n"), 100)
	for _, tt := range []struct {
		name string
		f    memFile
		err  error
		want int // bytes
	}{
		{"grown", memFile{size: 800}, nil, 800},
		{"grown within a line", memFile{size: 805}, nil, 805},
		{"shrunk", memFile{size: 3205, shrunk: 1600}, errShrunk, 1600},
		{"sysfs", memFile{size: 4096}, nil, 1600},
	} {
		for _, block := range []int{64, 1000, 1 << 20} {
			f := tt.f
			f.name, f.data = "f", data
			r := open([]string{"f"}, Options{BlockSize: block}, memFS(&f))
			g := drain(t, r, 1)[0]
			r.Close()
			sameLines(t, tt.name, g.lines, split(data[:tt.want], 1<<20))
			if !errors.Is(g.err, tt.err) {
				t.Errorf("%s, block %d: error %v, want %v", tt.name, block, g.err, tt.err)
			}
		}
	}
}

// Content that was replaced after a cut was looked up is not run together with
// what follows.
func TestRewritten(t *testing.T) {
	f := &memFile{name: "f", data: bytes.Repeat([]byte("0123456789abcde\n"), 100), garble: 5}
	r := open([]string{"f"}, Options{BlockSize: 160}, memFS(f)) // head, cut, read, cut, read
	defer r.Close()
	g := drain(t, r, 1)[0]
	if len(g.lines) != 10 || g.err == nil || g.err.Error() != "read f: file changed while it was read" {
		t.Errorf("%d lines, error %v", len(g.lines), g.err)
	}
}

// The last bytes of an overlong line together with io.EOF.
func TestOverlongAtEOF(t *testing.T) {
	for n := 19999; n <= 20002; n++ {
		data := bytes.Repeat([]byte("x"), n)
		o := Options{MaxLine: 20000}
		for _, w := range ways {
			r := w.open(data, o)
			sameLines(t, fmt.Sprint(w.name, n), drain(t, r, 1)[0].lines, split(data, 20000))
			r.Close()
		}
	}
}

func TestLargeBufferIsNotKept(t *testing.T) {
	data := append(bytes.Repeat([]byte("x"), 100000), '\n')
	data = append(data, bytes.Repeat([]byte("0123456789abcde\n"), 50000)...)
	for _, w := range ways {
		if w.name != "file" && w.name != "gzip" {
			continue // sizes depend on who is faster
		}
		r := w.open(data, Options{BlockSize: 4096})
		var b stream.Block
		var sizes []int
		for r.Next(context.Background(), &b) == nil {
			sizes = append(sizes, cap(b.Buf))
		}
		r.Close()
		late := slices.Max(sizes[len(sizes)-50:])
		if largest := slices.Max(sizes); largest < 100000 || late > 4*4096 {
			t.Errorf("%s: %d bytes at most, %d later", w.name, largest, late)
		}
	}
}

// Files of procfs say that they are empty.
func TestProcfs(t *testing.T) {
	want, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Skip(err)
	}
	r := Open([]string{"/proc/version"}, Options{})
	defer r.Close()
	sameLines(t, "/proc/version", drain(t, r, 2)[0].lines, split(want, 1<<20))
}

// A file that is written and cut all the time: no invented bytes, no hang.
func TestFileInMotion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	row := []byte("0123456789abcde\n")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			f.Write(bytes.Repeat(row, 1000))
			if i%10 == 9 {
				f.Truncate(0)
			}
		}
	})
	for range 200 {
		r := Open([]string{path}, Options{BlockSize: 4096})
		for _, l := range drain(t, r, 2)[0].lines {
			if l.text != string(row[:15]) {
				t.Errorf("line %q", l.text)
			}
		}
		r.Close()
	}
	close(stop)
	wg.Wait()
}
