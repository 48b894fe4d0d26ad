package logappend

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/eventlog"
	"logtools/pkg/stream"
)

// fake is a log in memory. Batches are stored by a goroutine, one after the other.
type fake struct {
	partitions int
	compacted  bool
	rules      eventlog.Rules
	refuse     func(line string) *stream.Refusal // nil: not
	took       time.Duration                     // by each batch
	room       int                               // batches that wait; 0 is 4
	failAt     int                               // the batch, from 1, that cannot be stored
	err        error                             // why
	hold       chan struct{}                     // if not nil, each batch waits for an element
	unsafe     bool                              // acks are not durable
	openErr    error
	now        int64

	queue chan job
	all   sync.WaitGroup
	ended sync.WaitGroup

	mu      sync.Mutex
	wanted  *wanted
	batches []stream.Batch
	next    map[int]int64
	failed  map[int]error
	closed  bool
	stopped *stream.StoppedError
	calls   int // of Append at the same time
}

type job struct {
	b    *stream.Batch
	done func(stream.Ack, error)
}

func (f *fake) open(_ context.Context, w *wanted, _ func(string)) (*openedLog, error) {
	f.wanted = w
	if f.openErr != nil {
		return nil, f.openErr
	}
	n := max(f.partitions, 1)
	if p := w.settings.Partitions; p != nil {
		n = *p
	}
	if w.rules != nil && f.rules.None() {
		f.rules = *w.rules
	}
	if err := w.fits(&f.rules, n); err != nil {
		return nil, err
	}
	return &openedLog{partitions: n, compacted: f.compacted, rules: f.rules, appender: func() (stream.Appender, error) {
		f.start()
		return f, nil
	}}, nil
}

func (f *fake) start() {
	if f.next == nil {
		f.next, f.failed = make(map[int]int64), make(map[int]error)
	}
	f.queue = make(chan job, max(f.room, 1)-1)
	f.ended.Go(func() {
		for j := range f.queue {
			if f.hold != nil {
				<-f.hold
			}
			time.Sleep(f.took)
			j.done(f.store(j.b))
			f.all.Done()
		}
	})
}

func (f *fake) store(b *stream.Batch) (stream.Ack, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.failed[b.Partition]; err != nil {
		return stream.Ack{}, err
	}
	next := f.next[b.Partition]
	if b.Expect >= 0 && b.Expect != next {
		return stream.Ack{}, &stream.ExpectError{Partition: b.Partition, Expected: b.Expect, Next: next}
	}
	if f.failAt > 0 && len(f.batches)+1 >= f.failAt {
		f.failed[b.Partition] = f.err
		return stream.Ack{}, f.err
	}
	if f.stopped != nil {
		return stream.Ack{}, f.stopped
	}
	a := stream.Ack{Partition: b.Partition, Offset: next, Appended: f.now, Durable: !f.unsafe}
	c := *b
	c.Lines = bytes.Clone(b.Lines)
	if f.refuse != nil {
		c.Lines = nil
		i := -1
		for line := range bytes.Lines(b.Lines) {
			i++
			if r := f.refuse(strings.TrimSuffix(string(line), "\n")); r != nil {
				r.Index = i
				a.Refused = append(a.Refused, *r)
				if f.wanted.onReject == "stop" {
					a.Stopped, f.stopped = true, &stream.StoppedError{Partition: b.Partition}
					break
				}
				continue
			}
			c.Lines = append(c.Lines, line...)
		}
		if c.Count = bytes.Count(c.Lines, []byte("\n")); a.Stopped && b.Expect >= 0 {
			c.Count = 0
		}
	}
	a.Count = c.Count
	if c.Count > 0 || b.Count == 0 {
		f.batches = append(f.batches, c)
	}
	f.next[b.Partition] = next + int64(c.Count)
	return a, nil
}

func (f *fake) Append(_ context.Context, b *stream.Batch, done func(stream.Ack, error)) error {
	f.mu.Lock()
	f.calls++
	if f.calls > 1 {
		panic("two calls of Append at the same time")
	}
	f.mu.Unlock()
	f.all.Add(1)
	f.queue <- job{b, done}
	f.mu.Lock()
	f.calls--
	f.mu.Unlock()
	return nil
}

func (f *fake) Flush(context.Context) error {
	f.all.Wait()
	return nil
}

func (f *fake) Close() error {
	f.all.Wait()
	close(f.queue)
	f.ended.Wait()
	f.closed = true
	return nil
}

// text is what lies in a partition.
func (f *fake) text(p int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for i := range f.batches {
		if f.batches[i].Partition == p {
			b.Write(f.batches[i].Lines)
		}
	}
	return b.String()
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.batches)
}

// check says what no batch may be.
func (f *fake) check(t *testing.T, batchBytes int) {
	t.Helper()
	for i, b := range f.batches {
		if n := bytes.Count(b.Lines, []byte("\n")); n != b.Count || n == 0 || !bytes.HasSuffix(b.Lines, []byte("\n")) {
			t.Errorf("batch %d of %d bytes has %d lines, and says %d", i, len(b.Lines), n, b.Count)
		}
		if len(b.Lines) > batchBytes && b.Count > 1 {
			t.Errorf("batch %d has %d lines in %d bytes, more than %d", i, b.Count, len(b.Lines), batchBytes)
		}
	}
}

type result struct {
	exit     cli.Exit
	out, err string
}

// run runs the command on an input.
func (f *fake) run(t *testing.T, input string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	s := &cli.Streams{In: strings.NewReader(input), Out: &out, Err: &errs}
	exit := cli.Exec(t.Context(), command(f.open), args, s)
	if f.queue != nil && !f.closed {
		t.Error("the appender was not closed")
	}
	return result{exit, out.String(), errs.String()}
}

func (r result) want(t *testing.T, exit cli.Exit, messages ...string) {
	t.Helper()
	if r.exit != exit {
		t.Errorf("exit %d, want %d; stderr: %s", r.exit, exit, r.err)
	}
	for _, m := range messages {
		if !strings.Contains(r.err, m) {
			t.Errorf("stderr is %q, want %q in it", r.err, m)
		}
	}
	if len(messages) == 0 && r.err != "" {
		t.Errorf("stderr is %q, want nothing", r.err)
	}
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"n":%d,"user":"u%d"}`+"\n", i, i%17)
	}
	return b.String()
}

func sorted(lines string) []string {
	all := strings.SplitAfter(lines, "\n")
	slices.Sort(all)
	return all
}
