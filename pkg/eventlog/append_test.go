package eventlog

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// appendAll appends batches and returns their acks; err is the first error of any.
func appendAll(t testing.TB, l *Log, o AppendOptions, batches ...*stream.Batch) (acks []stream.Ack, err error) {
	t.Helper()
	a, e := l.Appender(o)
	if e != nil {
		return nil, e
	}
	var mu sync.Mutex
	for _, b := range batches {
		if e := a.Append(context.Background(), b, func(ack stream.Ack, e error) {
			mu.Lock()
			defer mu.Unlock()
			if e == nil {
				acks = append(acks, ack)
			} else if err == nil {
				err = e
			}
		}); e != nil && err == nil {
			err = e
		}
	}
	if e := a.Close(); e != nil && err == nil {
		err = e
	}
	return acks, err
}

func batch(lines ...string) *stream.Batch {
	return &stream.Batch{Lines: []byte(strings.Join(lines, "\n") + "\n"), Count: len(lines), Expect: -1}
}

// content is what naive reading of a partition finds: all lines of sound units with
// their offsets, up to where each segment's successor says it ends.
func content(t testing.TB, fs vfs.FS, path string, p int) map[int64]string {
	t.Helper()
	l, err := Open(path, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	bases, err := l.segments(l.dir(p))
	if err != nil {
		t.Fatal(err)
	}
	out := map[int64]string{}
	dec := segment.NewDecoder()
	defer dec.Close()
	for i, b := range bases {
		end := int64(1) << 62
		if i+1 < len(bases) {
			if open, err := l.readOpen(p, bases[i+1]); err == nil && open.HasPrevious {
				end = open.PreviousEnd
			}
		}
		f, err := fs.Open(filepath.Join(l.dir(p), segmentName(b)), vfs.ReadOnly)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		var h segment.Header
		var buf []byte
		for at := int64(0); at < size; {
			if segment.ReadHeader(f, at, size, &h, &buf) != nil {
				at++
				continue
			}
			if h.Kind == segment.KindBatch {
				if lines, err := dec.ReadBody(f, at, &h, nil); err == nil {
					for k, line := range strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n") {
						if o := h.Base + int64(k); o < end {
							if old, ok := out[o]; ok {
								t.Fatalf("offset %d is twice there: %s and %s", o, old, line)
							}
							out[o] = line
						}
					}
				}
			}
			at += h.Size()
		}
		f.Close()
	}
	return out
}

func mustCreate(t testing.TB, fs vfs.FS, path string, c Change) *Log {
	t.Helper()
	l, err := OpenOrCreate(context.Background(), path, c, Options{FS: fs, Warn: func(m string) { t.Log("warning: " + m) }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAppend(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "app")
	small := int64(MinSegmentBytes)
	l := mustCreate(t, vfs.OS{}, dir, Change{SegmentBytes: &small})
	var want []string
	for round := range 3 {
		var batches []*stream.Batch
		for i := range 200 {
			var lines []string
			for k := range i%7 + 1 {
				lines = append(lines, fmt.Sprintf(`{"round":%d,"i":%d,"k":%d,"x":"%x"}`, round, i, k, i*7919*(k+1)*7919*7919))
			}
			want = append(want, lines...)
			batches = append(batches, batch(lines...))
		}
		acks, err := appendAll(t, l, AppendOptions{}, batches...)
		if err != nil || len(acks) != len(batches) {
			t.Fatal(len(acks), err)
		}
	}
	got := content(t, vfs.OS{}, dir, 0)
	if len(got) != len(want) {
		t.Fatalf("%d lines of %d", len(got), len(want))
	}
	for i, w := range want {
		if got[int64(i)] != w {
			t.Fatalf("offset %d: %s, want %s", i, got[int64(i)], w)
		}
	}
	bases, _ := l.segments(l.dir(0))
	if len(bases) < 2 {
		t.Errorf("%d segments", len(bases))
	}
	if zstd, err := exec.LookPath("zstd"); err == nil {
		out, err := exec.Command("sh", "-c", zstd+" -dc "+dir+"/00000/*.zst").Output()
		if err != nil || string(out) != strings.Join(want, "\n")+"\n" {
			t.Errorf("zstd -dc prints %d bytes, error %v", len(out), err)
		}
	}
}

func TestExpect(t *testing.T) {
	m := vfstest.New()
	l := mustCreate(t, m, "log", Change{})
	b := batch("1", "2")
	b.Expect = 0
	if _, err := appendAll(t, l, AppendOptions{}, b); err != nil {
		t.Fatal(err)
	}
	if _, err := appendAll(t, l, AppendOptions{}, b); !isExpect(err) {
		t.Fatal(err)
	}
	none := &stream.Batch{Expect: 1}
	if _, err := appendAll(t, l, AppendOptions{}, none); !isExpect(err) {
		t.Fatal(err)
	}
	none.Expect = 2
	if acks, err := appendAll(t, l, AppendOptions{}, none); err != nil || acks[0].Offset != 2 || acks[0].Count != 0 {
		t.Fatal(acks, err)
	}
	b.Expect = 2
	acks, err := appendAll(t, l, AppendOptions{}, b)
	if err != nil || acks[0].Offset != 2 {
		t.Fatal(acks, err)
	}
}

// TestWriters appends with several Logs at once, as several processes do.
func TestWriters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "app")
	small := int64(MinSegmentBytes)
	var wg sync.WaitGroup
	acked := make([]map[int64]string, 4)
	for w := range acked {
		acked[w] = map[int64]string{}
		wg.Go(func() {
			l := mustCreate(t, vfs.OS{}, dir, Change{SegmentBytes: &small})
			a, err := l.Appender(AppendOptions{LockTimeout: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			defer a.Close()
			for i := range 150 {
				line := fmt.Sprintf(`{"w":%d,"i":%d,"pad":"%0*d"}`, w, i, 500+i%300, i*i)
				if err := a.Append(context.Background(), batch(line), func(ack stream.Ack, err error) {
					if err != nil {
						t.Error(err)
					}
					acked[w][ack.Offset] = line
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := content(t, vfs.OS{}, dir, 0)
	n := 0
	for _, m := range acked {
		for o, line := range m {
			if n++; got[o] != line {
				t.Fatalf("offset %d: %s, acknowledged as %s", o, got[o], line)
			}
		}
	}
	if n != 600 || len(got) != 600 {
		t.Errorf("%d acknowledged, %d there", n, len(got))
	}
}

// Nothing is acknowledged into a log that is no more, or that another one has taken
// the place of.
func TestAppendToNothing(t *testing.T) {
	for what, do := range map[string]func(dir string) error{
		"removed": os.RemoveAll,
		"moved":   func(dir string) error { return os.Rename(dir, dir+"2") },
		"a segment removed": func(dir string) error {
			return os.Remove(filepath.Join(dir, "00000", segmentName(0)))
		},
		"made anew": func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			_, err := OpenOrCreate(context.Background(), dir, Change{}, Options{})
			return err
		},
	} {
		for _, o := range []AppendOptions{{}, {NoSync: true}} {
			dir := filepath.Join(t.TempDir(), "app")
			a, err := mustCreate(t, vfs.OS{}, dir, Change{}).Appender(o)
			if err != nil {
				t.Fatal(err)
			}
			var results []error
			add := func() {
				if err := a.Append(context.Background(), batch("1"), func(_ stream.Ack, err error) { results = append(results, err) }); err != nil {
					t.Fatal(err)
				}
			}
			add()
			if err := do(dir); err != nil {
				t.Fatal(err)
			}
			add()
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if len(results) != 2 || results[0] != nil || results[1] == nil {
				t.Errorf("%s, %+v: %v", what, o, results)
			}
		}
	}
}
