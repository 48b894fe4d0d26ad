package logappend

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"logtools/pkg/stream"
)

// runOf is a run of one line.
func runOf(partition int, line string) []byte {
	r := run{bytes: len(line) + 1, count: 1, partition: partition}
	b := make([]byte, headerSize)
	r.put(b)
	return append(append(b, line...), '\n')
}

func gathererFor(t *testing.T, f *fake) (*gatherer, *lines) {
	f.start()
	l := new(lines)
	g := newGatherer(f, max(f.partitions, 1), &l.begun)
	g.batchBytes, g.linger = 1000, time.Hour
	t.Cleanup(func() {
		if !f.closed {
			g.close(true)
			f.Close()
		}
	})
	return g, l
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so after 5 s: " + what)
		}
	}
}

func TestRunRoundTrip(t *testing.T) {
	for _, r := range []run{
		{},
		{bytes: 70_000, count: 1 << 20, partition: anyPartition},
		{bytes: 5, count: 3, partition: 1023, timed: true, min: stream.Instant{Sec: -62167219200}, max: stream.Instant{Sec: 253402300799, Nsec: 999_999_999}},
	} {
		b := make([]byte, headerSize)
		r.put(b)
		got, text, rest := nextRun(append(b, make([]byte, r.bytes+7)...))
		if got != r || len(text) != r.bytes || len(rest) != 7 {
			t.Errorf("got %+v, want %+v", got, r)
		}
	}
}

// What comes while nothing is being stored, and with nothing behind it, is handed
// over at once; what comes while something is, together afterwards.
func TestGroupCommit(t *testing.T) {
	f := &fake{hold: make(chan struct{}, 10), room: 5}
	g, _ := gathererFor(t, f)
	for i := range 10 {
		if err := g.block(int64(i), runOf(0, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	f.hold <- struct{}{}
	eventually(t, "the first line alone is stored", func() bool { return f.count() == 1 && f.text(0) == "0\n" })
	f.hold <- struct{}{}
	eventually(t, "the others are stored together", func() bool { return f.count() == 2 })
	if f.batches[1].Count != 9 {
		t.Errorf("the second batch has %d lines", f.batches[1].Count)
	}
}

// While a worker has a later block, a batch waits for it, but not for long.
func TestLinger(t *testing.T) {
	f := new(fake)
	g, l := gathererFor(t, f)
	l.begun.Store(1)
	g.block(0, runOf(0, "a"))
	time.Sleep(20 * time.Millisecond)
	if f.count() > 0 {
		t.Fatal("it was stored although more was coming")
	}
	g.block(1, runOf(0, "b"))
	eventually(t, "both are stored", func() bool { return f.count() == 1 && f.text(0) == "a\nb\n" })

	f = new(fake)
	g, l = gathererFor(t, f)
	g.linger = 30 * time.Millisecond
	l.begun.Store(9)
	start := time.Now()
	g.block(2, runOf(0, "c"))
	g.block(3, runOf(0, "d"))
	eventually(t, "the linger ends", func() bool { return f.count() == 1 })
	if d := time.Since(start); d < 30*time.Millisecond {
		t.Errorf("stored after %v", d)
	}
	// The timer works again and again.
	g.block(4, runOf(0, "e"))
	eventually(t, "the linger ends again", func() bool { return f.count() == 2 })
	if f.text(0) != "c\nd\ne\n" {
		t.Errorf("got %q", f.text(0))
	}
}

// The linger holds also for what was gathered while something was being stored.
func TestLingerAfterStoring(t *testing.T) {
	f := &fake{hold: make(chan struct{}, 10)}
	g, l := gathererFor(t, f)
	g.linger = 20 * time.Millisecond
	g.block(0, runOf(0, "a")) // handed over
	l.begun.Store(9)
	g.block(1, runOf(0, "b"))
	f.hold <- struct{}{}
	f.hold <- struct{}{}
	eventually(t, "both are stored", func() bool { return f.count() == 2 })
}

// An error that comes while a full batch waits to be handed over ends the waiting.
func TestErrorWhileFull(t *testing.T) {
	g, _ := gathererFor(t, &fake{})
	g.begun.Store(1 << 30) // more is to come
	runs := append(runOf(0, strings.Repeat("a", 600)), runOf(0, strings.Repeat("b", 600))...)
	g.sending.Lock()
	ended := make(chan error)
	go func() { ended <- g.block(0, runs) }()
	eventually(t, "the batch is full", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.parts[0].Count == 1
	})
	no := errors.New("no")
	g.fail(no)
	g.sending.Unlock()
	select {
	case err := <-ended:
		if err != no {
			t.Errorf("%v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it is still waiting")
	}
}

// The batches of many partitions together take a limited memory.
func TestGatheredIsBounded(t *testing.T) {
	f := &fake{partitions: 64}
	g, l := gathererFor(t, f)
	g.batchBytes = 1 << 20
	l.begun.Store(1 << 40)
	line := strings.Repeat("x", 50_000)
	for i := range 2000 {
		g.block(int64(i), runOf(i%64, line))
		g.mu.Lock()
		sum := 0
		for k := range g.parts {
			sum += len(g.parts[k].Lines)
		}
		if sum != g.gathered || sum > maxGathered || g.buffers.kept > maxKept {
			t.Fatalf("%d bytes are gathered, it says %d; %d are kept", sum, g.gathered, g.buffers.kept)
		}
		g.mu.Unlock()
	}
	if err := g.close(false); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for p := range 64 {
		if n := strings.Count(f.text(p), "\n"); n < 31 || n > 32 {
			t.Errorf("partition %d has %d lines", p, n)
		}
	}
}

func TestBuffers(t *testing.T) {
	var f buffers
	var b []byte
	want := bytes.Repeat([]byte("0123456789"), 3000)
	for i := 0; i < len(want); i += 10 {
		b = f.append(b, want[i:i+10])
	}
	if !bytes.Equal(b, want) {
		t.Error("append lost something")
	}
	f.put(b)
	if c := f.get(len(want)); cap(c) != cap(b) || len(c) != 0 {
		t.Errorf("it was not given out again")
	}
	for range 10 {
		f.put(make([]byte, 0, 4<<20))
	}
	if f.kept > maxKept {
		t.Errorf("%d bytes are kept", f.kept)
	}
	for range 10 {
		f.get(4 << 20)
	}
	if f.kept < 0 {
		t.Errorf("%d bytes are kept", f.kept)
	}
}
