package eventlog

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/stream"
)

// manySegments makes a log of n segments on the disk, each of a batch.
func manySegments(b *testing.B, n, lines int) *Log {
	b.Helper()
	at := time.Unix(1_700_000_000, 0)
	l, err := OpenOrCreate(context.Background(), filepath.Join(b.TempDir(), "log"), Change{}, Options{
		FS: vfs.OS{}, Now: func() time.Time { at = at.Add(time.Second); return at },
	})
	if err != nil {
		b.Fatal(err)
	}
	tinySegments(l)
	var data []string
	for i := range lines {
		data = append(data, fmt.Sprintf(`{"value":{"n":%d,"user":"u%d","path":"/a/%x"}}`, i, i*7919%1000, i*104729))
	}
	a, err := l.Appender(AppendOptions{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	for range n {
		if err := a.Append(context.Background(), batch(data...), func(_ stream.Ack, err error) {
			if err != nil {
				b.Error(err)
			}
		}); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	return l
}

func first(b *testing.B, l *Log, o ReadOptions) {
	r, err := l.Read(0, o)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	var block stream.Block
	for {
		if err := r.Next(context.Background(), &block); err != nil {
			b.Fatal(err)
		}
		if len(block.Data) > 0 {
			return
		}
	}
}

// BenchmarkSeek finds the first event in a log of 1,000 segments.
func BenchmarkSeek(b *testing.B) {
	l := manySegments(b, 1000, 50)
	since := stream.Instant{Sec: 1_700_000_000 + 995}
	for _, c := range []struct {
		name string
		o    ReadOptions
	}{
		{"start", ReadOptions{}},
		{"offset", ReadOptions{From: AtOffset(49_000)}},
		{"tail", ReadOptions{Tail: 100}},
		{"back", ReadOptions{From: BeforeEnd(25_000)}},
		{"time", ReadOptions{From: AtTime(since)}},
		{"since", ReadOptions{Since: &since}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				first(b, l, c.o)
			}
		})
	}
}

// BenchmarkRead reads all of a log. It allocates nothing per block.
func BenchmarkRead(b *testing.B) {
	for _, lines := range []int{1, 20_000} {
		b.Run(fmt.Sprint(lines), func(b *testing.B) {
			l := manySegments(b, 1, 1) // a segment of its own for the settings
			l.settings.SegmentBytes = DefaultSegmentBytes
			var data []string
			size := 0
			for i := range lines {
				data = append(data, fmt.Sprintf(`{"value":{"n":%d,"user":"u%d","path":"/a/%x"}}`, i, i*7919%1000, i*104729))
				size += len(data[i]) + 1
			}
			batches := make([]*stream.Batch, 20_000/lines+40)
			for i := range batches {
				batches[i] = batch(data...)
			}
			if _, err := appendAll(b, l, AppendOptions{NoSync: true}, batches...); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size * len(batches)))
			b.ReportAllocs()
			var block stream.Block
			for b.Loop() {
				r, err := l.Read(0, ReadOptions{})
				if err != nil {
					b.Fatal(err)
				}
				for err = nil; err == nil; {
					err = r.Next(context.Background(), &block)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}
