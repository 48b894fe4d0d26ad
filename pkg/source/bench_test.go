package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"logtools/pkg/stream"
)

var benchSink atomic.Uint64

// touch counts lines and looks at every byte once more, as a scanner would.
func touch(d []byte) int {
	n := bytes.Count(d, []byte{'\n'})
	var s uint64
	for ; len(d) >= 8; d = d[8:] {
		w := binary.LittleEndian.Uint64(d) ^ 0x2222222222222222
		s += (w - 0x0101010101010101) &^ w & 0x8080808080808080
	}
	benchSink.Add(s)
	return n
}

func readAll(b *testing.B, r *Reader) {
	b.Helper()
	defer r.Close()
	var wg sync.WaitGroup
	var lines atomic.Int64
	for range 2 {
		wg.Go(func() {
			var bl stream.Block
			for {
				err := r.Next(context.Background(), &bl)
				if err == io.EOF {
					return
				}
				if err != nil || bl.Err != nil {
					b.Error(err, bl.Err)
					return
				}
				lines.Add(int64(touch(bl.Data)))
			}
		})
	}
	wg.Wait()
	if lines.Load() == 0 {
		b.Error("no lines")
	}
}

// BenchmarkRead reads 64 MiB (or $LOGTOOLS_BENCH_FILE) with two workers.
func BenchmarkRead(b *testing.B) {
	path := os.Getenv("LOGTOOLS_BENCH_FILE")
	if path == "" {
		path = filepath.Join(b.TempDir(), "plain")
		content := bytes.Repeat(numbered(40000), 64)
		if err := os.WriteFile(path, content, 0o666); err != nil {
			b.Fatal(err)
		}
	}
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name string
		size int
	}{{"128K", 128 << 10}, {"256K", 256 << 10}, {"512K", 512 << 10}, {"1M", 1 << 20}} {
		b.Run("file/"+bb.name, func(b *testing.B) {
			b.SetBytes(st.Size())
			for b.Loop() {
				readAll(b, Open([]string{path}, Options{BlockSize: bb.size}))
			}
		})
	}
	b.Run("pipe", func(b *testing.B) {
		b.SetBytes(st.Size())
		for b.Loop() {
			rd, wr, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			go func() {
				f, _ := os.Open(path)
				buf := make([]byte, 256<<10)
				// Not io.Copy, which would splice the pages.
				for {
					n, err := f.Read(buf)
					wr.Write(buf[:n])
					if err != nil {
						break
					}
				}
				f.Close()
				wr.Close()
			}()
			readAll(b, Open(nil, Options{Stdin: rd}))
			rd.Close()
		}
	})
}

// BenchmarkUnpack gives the rate of unpacked bytes.
func BenchmarkUnpack(b *testing.B) {
	content := bytes.Repeat(numbered(40000), 16)
	for name, data := range map[string][]byte{"gzip": gzipped(content), "zstd": zstded(content)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				readAll(b, fromFile(data, Options{}))
			}
		})
	}
}
