//go:build linux || darwin

package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// syncedFS knows up to which offset each partition is durable, as far as syncs say.
type syncedFS struct {
	vfs.OS
	mu      sync.Mutex
	written map[string]int64 // offset that was reached, by file
	durable map[string]int64 // by directory
}

func newSyncedFS() *syncedFS {
	return &syncedFS{written: map[string]int64{}, durable: map[string]int64{}}
}

type syncedFile struct {
	vfs.File
	fs   *syncedFS
	name string
}

func (s *syncedFS) Open(name string, flag vfs.Flag) (vfs.File, error) {
	f, err := s.OS.Open(name, flag)
	if err == nil && strings.HasSuffix(name, segmentExt) {
		f = &syncedFile{f, s, name}
	}
	return f, err
}

func (f *syncedFile) WriteAt(b []byte, at int64) (int, error) {
	// Who sees some of it and syncs waits until it is noted.
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.File.WriteAt(b, at)
	var h segment.Header
	var buf []byte
	if err == nil && segment.ReadHeader(f.File, at, at+int64(len(b)), &h, &buf) == nil {
		f.fs.written[f.name] = max(f.fs.written[f.name], h.Next)
	}
	return n, err
}

func (f *syncedFile) Sync() error {
	f.fs.mu.Lock()
	reached := f.fs.written[f.name]
	f.fs.mu.Unlock()
	err := f.File.Sync()
	if err == nil {
		f.fs.mu.Lock()
		defer f.fs.mu.Unlock()
		dir := filepath.Dir(f.name)
		f.fs.durable[dir] = max(f.fs.durable[dir], reached)
	}
	return err
}

func (s *syncedFS) upTo(dir string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable[dir]
}

// large returns a batch of 8 MiB, half of which can be compressed away.
func large(d deed, seed []byte) *stream.Batch {
	var b strings.Builder
	n := 0
	for ; b.Len() < 8<<20; n++ {
		at := (n*7919 + d.Batch*104729 + d.Writer*1299709) % (len(seed) - 4000)
		fmt.Fprintf(&b, `{"writer":%d,"batch":%d,"line":%d,"pad":"%s"}`+"\n", d.Writer, d.Batch, n, seed[at:at+4000])
	}
	return &stream.Batch{Lines: []byte(b.String()), Count: n, Expect: -1, Partition: d.Partition}
}

// TestTortureRead reads and follows a log while others append to it, batches of all
// sizes up to 8 MiB, and segments come and go. A reader gets each event once, in
// order, and none that is not durable.
func TestTortureRead(t *testing.T) {
	noise := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = "0123456789abcdef"[rng.IntN(16)]
	}
	torture(t, 2, func(t *testing.T, n int, rng *rand.Rand) {
		const writers = 2
		disk := newSyncedFS()
		path := filepath.Join(memoryDir(t), "log")
		change := smallSegments(1)
		isLarge := n%2 == 1
		batches := 250
		if isLarge {
			bytes := int64(20 << 20)
			change.SegmentBytes, batches = &bytes, 6
		}
		open := func() *Log {
			l, err := OpenOrCreate(t.Context(), path, change, Options{FS: disk, Warn: func(m string) { t.Error("warning: ", m) }})
			if err != nil {
				t.Error(err)
				t.FailNow()
			}
			return l
		}
		l := open()
		var over atomic.Bool
		var wrote, readers sync.WaitGroup
		follow := make([][]readEvent, 2)
		begun := make(chan struct{}, len(follow))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var acked atomic.Int64 // the end of what was acknowledged
		for i := range follow {
			readers.Go(func() {
				var err error
				follow[i], err = followDeeds(ctx, l, disk, begun)
				if err != nil {
					t.Errorf("follower %d: %v", i, err)
				}
			})
		}
		for range follow {
			<-begun
		}
		readers.Go(func() { // reads all of it again and again
			last := 0
			for !over.Load() {
				before := acked.Load()
				got, err := readPartition(disk, path, 0)
				if err != nil {
					t.Errorf("reader: %v", err)
					return
				}
				durable := disk.upTo(l.dir(0))
				for i, e := range got {
					if e.offset != int64(i) {
						t.Errorf("reader: event %d has the offset %d", i, e.offset)
						return
					}
				}
				if len(got) < last || int64(len(got)) < before || int64(len(got)) > durable {
					t.Errorf("reader: %d events, %d before, %d acknowledged, %d durable", len(got), last, before, durable)
				}
				last = len(got)
			}
		})
		k := newDeeds()
		note := func(d deed, a stream.Ack) {
			if !isLarge {
				k.ack(d, a.Offset)
			}
			for end := a.Offset + int64(a.Count); ; {
				old := acked.Load()
				if old >= end || acked.CompareAndSwap(old, end) {
					return
				}
			}
		}
		for w := range writers {
			patience := []float64{0, 0.2}[rng.IntN(2)]
			wrote.Go(func() {
				l := open()
				if !isLarge {
					if err := writeDeeds(l, AppendOptions{}, w, 0, patience, func(n int) bool { return n < batches }, note); err != nil {
						t.Error(err)
					}
					return
				}
				a, err := l.Appender(AppendOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				defer a.Close()
				for b := range batches {
					d := deed{Writer: w, Batch: b}
					if err := a.Append(ctx, large(d, noise), func(k stream.Ack, err error) {
						if err != nil {
							t.Error(err)
							return
						}
						note(d, k)
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wrote.Wait()
		over.Store(true)
		if acks, err := appendAll(t, l, AppendOptions{}, deed{Writer: lastWriter}.batch()); err != nil {
			t.Error(err)
			cancel()
		} else {
			note(deed{Writer: lastWriter}, acks[0])
		}
		readers.Wait()
		if t.Failed() {
			return
		}
		want, err := readPartition(vfs.OS{}, path, 0)
		if err != nil || int64(len(want)) != acked.Load() {
			t.Fatalf("%d events of %d: %v", len(want), acked.Load(), err)
		}
		for i, got := range follow {
			if len(got) != len(want) {
				t.Fatalf("follower %d got %d events of %d", i, len(got), len(want))
			}
			for o := range got {
				if got[o] != want[o] {
					t.Fatalf("follower %d: event %d has offset %d: %.100s, want %.100s", i, o, got[o].offset, got[o].line, want[o].line)
				}
			}
		}
		if !isLarge {
			k.check(t, vfs.OS{}, path, 1)
		}
	})
}

// lastWriter is the one whose batch is the last.
const lastWriter = 9

// followDeeds follows a partition from its start until it gets the batch of
// lastWriter. It tells begun when it follows.
func followDeeds(ctx context.Context, l *Log, disk *syncedFS, begun chan<- struct{}) ([]readEvent, error) {
	r, err := l.Read(0, ReadOptions{Follow: true})
	if err != nil {
		begun <- struct{}{}
		return nil, err
	}
	defer r.Close()
	var out []readEvent
	var b stream.Block
	next := int64(0)
	last := deed{Writer: lastWriter}.lines()
	for {
		err := r.Next(ctx, &b)
		if err == io.EOF || errors.Is(err, context.Canceled) {
			return out, fmt.Errorf("it ends at offset %d: %w", next, err)
		}
		if err == nil {
			err = b.Err
		}
		if err != nil {
			return out, err
		}
		if b.Live {
			begun <- struct{}{}
		}
		for _, e := range events(&b) {
			if e.offset != next {
				return out, fmt.Errorf("offset %d after %d", e.offset, next-1)
			}
			next++
			out = append(out, e)
		}
		if durable := disk.upTo(l.dir(0)); next > durable {
			return out, fmt.Errorf("offset %d is given out, and only those before %d are durable", next-1, durable)
		}
		if n := len(out); n >= len(last) && out[n-1].line == last[len(last)-1] {
			return out, nil
		}
	}
}
