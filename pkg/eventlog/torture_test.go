package eventlog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/stream"
)

// The tests named TestTorture run for a second or two. If LOGTOOLS_TORTURE is a
// duration, that is how long all of them run together: make torture TIME=10m.
const tortureEnv = "LOGTOOLS_TORTURE"

// tortures is how many of them go on for as long as they may.
const tortures = 5

// torture calls round with 0, 1, 2… until the time is over, but at least least
// times. seed is new in each run, and told when a round fails.
func torture(t *testing.T, least int, round func(t *testing.T, n int, rng *rand.Rand)) {
	t.Helper()
	var long time.Duration
	if text := os.Getenv(tortureEnv); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("%s: %v", tortureEnv, err)
		}
		long = d / tortures
	}
	for n, begin := 0, time.Now(); n < least || time.Since(begin) < long; n++ {
		seed := rand.Uint64()
		round(t, n, rand.New(rand.NewPCG(seed, uint64(n))))
		if t.Failed() {
			t.Fatalf("in round %d, seed %d", n, seed)
		}
	}
}

// deed names a batch: of a writer, in its run-th life, the batch-th in that
// partition. Its lines follow from that.
type deed struct{ Writer, Run, Partition, Batch int }

type deedLine struct {
	Value struct {
		deed
		Line, Of int
	}
}

// lines returns the lines of a batch: mostly a few short ones, sometimes so much
// that it fills a segment.
func (d deed) lines() []string {
	rng := rand.New(rand.NewPCG(uint64(d.Writer)<<32|uint64(d.Run), uint64(d.Partition)<<32|uint64(d.Batch)))
	n, most := 1+rng.IntN(6), 200
	switch rng.IntN(20) {
	case 0, 1:
		n, most = 1+rng.IntN(30), 3000
	case 2:
		n, most = 50+rng.IntN(200), 3000
	}
	lines := make([]string, n)
	for i := range lines {
		pad := make([]byte, rng.IntN(most))
		for k := range pad {
			pad[k] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-"[rng.IntN(64)]
		}
		lines[i] = fmt.Sprintf(`{"value":{"writer":%d,"run":%d,"partition":%d,"batch":%d,"line":%d,"of":%d,"pad":"%s"},"key":1}`,
			d.Writer, d.Run, d.Partition, d.Batch, i, n, pad)
	}
	return lines
}

func (d deed) batch() *stream.Batch {
	b := batch(d.lines()...)
	b.Partition = d.Partition
	return b
}

// deeds is what was acknowledged to writers.
type deeds struct {
	mu    sync.Mutex
	acked map[deed]int64 // its offset
	// lossy: writes failed, so that there are gaps, and a writer's last batches may
	// be missing.
	lossy bool
}

func newDeeds() *deeds { return &deeds{acked: map[deed]int64{}} }

func (k *deeds) ack(d deed, offset int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.acked[d] = offset
}

func (k *deeds) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.acked)
}

// clone returns what was acknowledged by now.
func (k *deeds) clone() *deeds {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := newDeeds()
	c.lossy = k.lossy
	for d, o := range k.acked {
		c.acked[d] = o
	}
	return c
}

// check reads the log in two ways and compares it with what was acknowledged: that
// lies where it was said, the offsets are dense, each batch is there wholly or not
// at all, and those of a writer in their order, without one missing in between.
func (k *deeds) check(t *testing.T, fs vfs.FS, path string, partitions int) {
	t.Helper()
	left := k.clone()
	for p := range partitions {
		got := content(t, fs, path, p)
		read, err := readPartition(fs, path, p)
		if err != nil {
			t.Errorf("partition %d: read: %v", p, err)
			return
		}
		if len(read) != len(got) {
			t.Errorf("partition %d: the Reader finds %d events, a plain search %d", p, len(read), len(got))
			return
		}
		next := map[[2]int]int{} // by writer and run
		var d deed
		var lines []string // of d that are still to come
		last := int64(-1)
		for i, e := range read {
			if got[e.offset] != e.line {
				t.Errorf("partition %d: offset %d is read as %.100s, and is %.100s", p, e.offset, e.line, got[e.offset])
				return
			}
			if len(lines) == 0 {
				var l deedLine
				if err := json.Unmarshal([]byte(e.line), &l); err != nil {
					t.Errorf("partition %d, offset %d: %v", p, e.offset, err)
					return
				}
				d = l.Value.deed
				lines = d.lines()
				who := [2]int{d.Writer, d.Run}
				if d.Partition != p || d.Batch != next[who] {
					t.Errorf("partition %d, offset %d: batch %+v, the next of that writer is %d", p, e.offset, d, next[who])
					return
				}
				next[who]++
				if o, ok := left.acked[d]; ok && o != e.offset {
					t.Errorf("%+v was acknowledged at %d and lies at %d", d, o, e.offset)
				}
				delete(left.acked, d)
			} else if e.offset != last+1 {
				t.Errorf("partition %d, offset %d: a gap in a batch", p, e.offset)
			}
			if e.line != lines[0] {
				t.Errorf("partition %d, offset %d: %.100s, want %.100s", p, e.offset, e.line, lines[0])
				return
			}
			if !k.lossy && e.offset != int64(i) || e.offset <= last {
				t.Errorf("partition %d: event %d has the offset %d, that before it %d", p, i, e.offset, last)
				return
			}
			last, lines = e.offset, lines[1:]
		}
		if len(lines) > 0 {
			t.Errorf("partition %d: the last batch lacks %d lines", p, len(lines))
		}
	}
	for d, o := range left.acked {
		t.Errorf("%+v, acknowledged at %d, is lost", d, o)
	}
}

type readEvent struct {
	offset int64
	line   string
}

// readPartition reads a partition with a Reader, which must find nothing wrong.
func readPartition(fs vfs.FS, path string, partition int) ([]readEvent, error) {
	l, err := Open(path, Options{FS: fs})
	if err != nil {
		return nil, err
	}
	r, err := l.Read(partition, ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []readEvent
	var b stream.Block
	for {
		if err := r.Next(context.Background(), &b); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		if b.Err != nil {
			return nil, b.Err
		}
		out = append(out, events(&b)...)
	}
}

// events returns the events of a block.
func events(b *stream.Block) []readEvent {
	var out []readEvent
	i := 0
	for line := range strings.Lines(string(b.Data)) {
		e := readEvent{b.Pos.Base + int64(i), strings.TrimSuffix(line, "\n")}
		if len(b.Pos.Offsets) > 0 {
			e.offset = b.Pos.Offsets[i]
		}
		out = append(out, e)
		i++
	}
	return out
}

// memoryDir returns a directory in memory if there is such a thing, where a sync
// costs nothing.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "eventlog-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// smallSegments are so small that a log has many.
func smallSegments(partitions int) Change {
	bytes := int64(MinSegmentBytes)
	return Change{Partitions: &partitions, SegmentBytes: &bytes}
}

// writeDeeds appends batches to partitions at random until it is told to stop or
// one fails, and says each ack. With probability patience it waits for all acks
// before it goes on.
func writeDeeds(l *Log, o AppendOptions, writer, run int, patience float64, more func(n int) bool, ack func(deed, stream.Ack)) error {
	a, err := l.Appender(o)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = err
		}
	}
	rng := rand.New(rand.NewPCG(uint64(writer), uint64(run)))
	next := make([]int, l.settings.Partitions)
	last := make([]int, l.settings.Partitions)
	for i := range last {
		last[i] = -1
	}
	for n := 0; more(n); n++ {
		p := rng.IntN(len(next))
		d := deed{writer, run, p, next[p]}
		next[p]++
		if err := a.Append(context.Background(), d.batch(), func(k stream.Ack, err error) {
			if err != nil {
				fail(err)
				return
			}
			if last[p]++; last[p] != d.Batch { // one goroutine at a time for each partition
				fail(fmt.Errorf("%+v is acknowledged as number %d", d, last[p]))
			}
			ack(d, k)
		}); err != nil {
			fail(err)
		}
		if rng.Float64() < patience {
			a.Flush(context.Background())
		}
		mu.Lock()
		stop := failed != nil
		mu.Unlock()
		if stop {
			break
		}
	}
	if err := a.Close(); err != nil {
		fail(err)
	}
	return failed
}

// TestTortureMemory lets several processes append through all of the Appender while
// syncs and writes of theirs fail and some of them are killed, and then cuts the
// power, at the end and at points in between.
func TestTortureMemory(t *testing.T) {
	torture(t, 2, tortureMemory)
}
