package compact

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// fixture is a log with one partition in memory, and a clock that only tests move.
type fixture struct {
	t     testing.TB
	m     *vfstest.Mem
	clock *atomic.Int64 // microseconds since 1970
}

// begun is when the clock of a fixture begins.
var begun = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func newFixture(t testing.TB) *fixture { return newFixtureOf(t, eventlog.MinSegmentBytes) }

func newFixtureOf(t testing.TB, size int64) *fixture {
	f := &fixture{t: t, m: vfstest.New(), clock: new(atomic.Int64)}
	f.clock.Store(begun.UnixMicro())
	if _, err := eventlog.OpenOrCreate(context.Background(), "log", eventlog.Change{SegmentBytes: &size}, f.options(f.m)); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) now() time.Time { return time.UnixMicro(f.clock.Load()) }

func (f *fixture) pass(d time.Duration) { f.clock.Add(d.Microseconds()) }

func (f *fixture) options(fs vfs.FS) eventlog.Options {
	return eventlog.Options{FS: fs, Now: f.now}
}

// on is the same log on another disk.
func (f *fixture) on(m *vfstest.Mem) *fixture {
	g := *f
	g.m = m
	return &g
}

// killed is what is left when all processes are killed. It knows no history, so
// that is quick.
func (f *fixture) killed() *fixture { return f.on(f.m.Crash(len(f.m.Log()), vfstest.KeepAll())) }

func (f *fixture) open() *eventlog.Log {
	f.t.Helper()
	l, err := eventlog.Open("log", f.options(f.m))
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

// appender returns a function that appends a batch.
func (f *fixture) appender() (add func(lines ...string) (stream.Ack, error), done func()) {
	f.t.Helper()
	a, err := f.open().Appender(eventlog.AppendOptions{Workers: 1})
	if err != nil {
		f.t.Fatal(err)
	}
	reader := event.NewReader(new(event.Fields), event.Auto)
	add = func(lines ...string) (got stream.Ack, result error) {
		b := stream.Batch{Lines: []byte(strings.Join(lines, "\n") + "\n"), Count: len(lines), Expect: -1}
		for _, line := range lines {
			var e event.Event
			e.Reset(0)
			if err := reader.Read([]byte(line), &e); err != nil {
				f.t.Fatal(line, err)
			}
			if at, ok := ownTime(line); ok {
				if b.Timed == 0 || at.Before(b.MinTime) {
					b.MinTime = at
				}
				if b.Timed == 0 || b.MaxTime.Before(at) {
					b.MaxTime = at
				}
				b.Timed++
			}
		}
		if err := a.Append(context.Background(), &b, func(ack stream.Ack, err error) { got, result = ack, err }); err != nil {
			return got, err
		}
		err := a.Flush(context.Background())
		if result == nil {
			result = err
		}
		return got, result
	}
	return add, func() { a.Close() }
}

const timeMember = `{"time":"`

// ownTime returns the time of a line that begins with one in whole seconds.
func ownTime(line string) (stream.Instant, bool) {
	if !strings.HasPrefix(line, timeMember) {
		return stream.Instant{}, false
	}
	at, err := time.Parse(time.RFC3339, line[len(timeMember):len(timeMember)+len("2026-01-02T03:04:05Z")])
	if err != nil {
		panic(err)
	}
	return stream.Instant{Sec: at.Unix()}, true
}

// add appends a batch, as a process of its own.
func (f *fixture) add(lines ...string) stream.Ack {
	f.t.Helper()
	add, done := f.appender()
	defer done()
	ack, err := add(lines...)
	if err != nil {
		f.t.Fatal(err)
	}
	return ack
}

// seal begins a new segment.
func (f *fixture) seal() {
	f.t.Helper()
	m, err := f.open().Maintain(context.Background(), 0, eventlog.MaintainOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	defer m.Close()
	if err := m.Seal(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) segments() []eventlog.Segment {
	f.t.Helper()
	m, err := f.open().Maintain(context.Background(), 0, eventlog.MaintainOptions{DryRun: true})
	if err != nil {
		f.t.Fatal(err)
	}
	defer m.Close()
	all, err := m.Segments()
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}

// compacting are options of a run that compacts.
func compacting() Options {
	return Options{Compact: true, Keep: 1, Tombstones: 24 * time.Hour}
}

func (f *fixture) try(ctx context.Context, o Options) (Report, error) {
	f.t.Helper()
	o.Now = f.now
	if o.Memory == 0 {
		o.Memory = 64 << 20
	}
	l, err := eventlog.Open("log", f.options(f.m))
	if err != nil {
		return Report{}, err
	}
	return Run(ctx, l, 0, o)
}

func (f *fixture) run(o Options) Report {
	f.t.Helper()
	r, err := f.try(context.Background(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	if r.Done != r.Steps {
		f.t.Fatalf("%d steps of %d were done", r.Done, r.Steps)
	}
	return r
}

// readEvent is an event as a reader sees it.
type readEvent struct {
	offset, appended int64
	line             string
}

// read returns all events, and the first error.
func (f *fixture) read(o eventlog.ReadOptions) (all []readEvent, err error) {
	f.t.Helper()
	r, err := f.open().Read(0, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	last := int64(-1)
	for {
		var b stream.Block
		if end := r.Next(context.Background(), &b); end == io.EOF {
			return all, err
		} else if end != nil {
			f.t.Fatal(end)
		}
		if b.Err != nil && err == nil {
			err = b.Err
		}
		times := runs{b: &b}
		for i, line := range bytes.Split(b.Data, newline) {
			if len(line) == 0 {
				continue
			}
			s := readEvent{b.Pos.Offset(int64(i)), times.next(), string(line)}
			if s.offset <= last {
				f.t.Fatalf("offset %d is read after %d", s.offset, last)
			}
			last = s.offset
			all = append(all, s)
		}
	}
}

// lines returns the lines that are there.
func (f *fixture) lines() []string {
	f.t.Helper()
	all, err := f.read(eventlog.ReadOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	var lines []string
	for _, s := range all {
		lines = append(lines, s.line)
	}
	return lines
}

// files returns all that is on the disk.
func (f *fixture) files() map[string]string {
	all := map[string]string{}
	for _, name := range f.m.Names() {
		b, _ := f.m.ReadFile(name)
		all[name] = string(b)
	}
	return all
}

// changed says which files differ.
func changed(before, after map[string]string) (names []string) {
	for name, b := range before {
		if a, ok := after[name]; !ok || a != b {
			names = append(names, name)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// put returns an event of a key.
func put(key, value int) string { return fmt.Sprintf(`{"key":%d,"value":{"n":%d}}`, key, value) }

// del returns a tombstone.
func del(key int) string { return fmt.Sprintf(`{"key":%d,"value":null}`, key) }

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("there is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
