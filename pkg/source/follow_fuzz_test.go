package source

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"logtools/pkg/stream"
)

// However a content is cut into writes, what comes out are its whole lines.
func FuzzFollow(f *testing.F) {
	f.Add([]byte("a\nbb\n\nccc\n"), uint16(3), uint16(2), uint16(1))
	f.Add([]byte("\xef\xbb\xbfa\r\nb"), uint16(1), uint16(100), uint16(2))
	f.Add(append(bytes.Repeat([]byte("x"), 300), "\ny\nz"...), uint16(64), uint16(299), uint16(50))
	f.Add([]byte("\n\n\n"), uint16(1), uint16(1), uint16(1))
	never := pace{fast: time.Hour, slow: time.Hour, settle: time.Hour, keep: time.Hour}
	f.Fuzz(func(t *testing.T, data []byte, block, max, write uint16) {
		if m, _ := detect(data[:min(len(data), longestMagic)]); m != nil {
			t.Skip("compressed")
		}
		o := Options{BlockSize: int(block), MaxLine: 1 + int(max)}
		size := 1 + int(write)%(1+len(data))
		if len(data)/size > 200 {
			t.Skip("too many writes")
		}
		path := filepath.Join(t.TempDir(), "f")
		w, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		w.Write(data[:size/2]) // at first
		r := follow([]string{path}, o, osFS, never)
		defer r.Close()
		var lines []line
		var long []byte
		add := func(b *stream.Block) {
			if b.Err != nil {
				t.Fatal(b.Err)
			}
			if b.Long {
				if long = append(long, b.Data...); b.LongEnd {
					lines = append(lines, line{text: string(long), long: true})
					long = nil
				}
				return
			}
			lines = append(lines, linesOf(b.Data)...)
		}
		var b stream.Block
		for !b.Live {
			if err := r.Next(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			add(&b)
		}
		for at := min(len(data), size/2); at < len(data); {
			n := min(size, len(data)-at)
			w.Write(data[at : at+n])
			at += n
			r.mu.Lock()
			r.touch(r.tails[0])
			r.mu.Unlock()
			for {
				ok, err := r.take(&b)
				if err != nil && err != io.EOF {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				add(&b)
			}
			whole := data[:bytes.LastIndexByte(data[:at], '\n')+1]
			sameLines(t, "", lines, split(whole, o.MaxLine))
		}
	})
}
