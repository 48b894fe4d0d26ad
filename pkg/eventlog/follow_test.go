package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// follower collects what a followed partition gives.
type follower struct {
	r    *Reader
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	events []told
	when   []time.Time
	live   int // events before the Live block; -1: it has not come
	errs   []error
	ended  error
}

func follow(t testing.TB, l *Log, o ReadOptions) *follower {
	t.Helper()
	o.Follow = true
	r, err := l.Read(0, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{r: r, stop: stop, done: make(chan struct{}), live: -1}
	go func() {
		defer close(f.done)
		var b stream.Block
		for {
			err := r.Next(ctx, &b)
			f.mu.Lock()
			switch {
			case err != nil:
				f.ended = err
				f.mu.Unlock()
				return
			case b.Live:
				f.live = len(f.events)
			case b.Err != nil:
				f.errs = append(f.errs, b.Err)
			default:
				for _, e := range blockEvents(&b) {
					f.events = append(f.events, e)
					f.when = append(f.when, time.Now())
				}
			}
			f.mu.Unlock()
		}
	}()
	return f
}

func (f *follower) wait(t testing.TB, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		f.mu.Lock()
		have := len(f.events)
		f.mu.Unlock()
		if have >= n {
			return
		}
		if time.Now().After(end) {
			f.close()
			t.Fatalf("%d events came, not %d; errors %v, ended by %v", have, n, f.errs, f.ended)
		}
	}
}

func (f *follower) close() {
	f.stop()
	<-f.done
	f.r.Close()
}

// check says whether the offsets from first on came without gaps, and the events of
// each writer in their order.
func (f *follower) check(t testing.TB, first int64) {
	t.Helper()
	last := map[string]int{}
	for i, e := range f.events {
		if e.offset != first+int64(i) {
			t.Fatalf("event %d has the offset %d", i, e.offset)
		}
		var w string
		var n int
		if _, err := fmt.Sscanf(e.line, `{"w":%q,"n":%d}`, &w, &n); err != nil {
			t.Fatalf("%s: %v", e.line, err)
		}
		if n != last[w] {
			t.Fatalf("event %d of %s came after %d others", n, w, last[w])
		}
		last[w]++
	}
	if len(f.errs) > 0 {
		t.Fatal(f.errs)
	}
}

// write appends batches of a few events each.
func writeSome(t testing.TB, l *Log, name string, batches int, o AppendOptions, pause time.Duration) {
	n := 0
	for b := range batches {
		var lines []string
		for range b%3 + 1 {
			lines = append(lines, fmt.Sprintf(`{"w":%q,"n":%d}`, name, n))
			n++
		}
		if _, err := appendAll(t, l, o, batch(lines...)); err != nil {
			t.Error(err)
			return
		}
		time.Sleep(pause)
	}
}

func testFollow(t *testing.T, fs func() vfs.FS, path string) {
	l := tinySegments(mustCreate(t, fs(), path, Change{}))
	writeSome(t, l, "before", 9, AppendOptions{}, 0)
	early := follow(t, l, ReadOptions{})
	end := follow(t, l, ReadOptions{From: AtEnd()})
	later := follow(t, l, ReadOptions{From: AtOffset(30)})
	back := follow(t, l, ReadOptions{Tail: 5})
	to := AtOffset(40)
	some := follow(t, l, ReadOptions{To: &to})
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			mine := l
			if w > 0 {
				var err error
				if mine, err = Open(path, Options{FS: fs()}); err != nil {
					t.Error(err)
					return
				}
				tinySegments(mine)
			}
			writeSome(t, mine, fmt.Sprint("w", w), 30, AppendOptions{}, time.Millisecond)
		})
	}
	wg.Wait()
	const all = 18 + 3*60
	early.wait(t, all)
	end.wait(t, all-18)
	later.wait(t, all-30)
	back.wait(t, all-13)
	<-some.done
	for _, f := range []*follower{early, end, later, back, some} {
		f.close()
	}
	early.check(t, 0)
	if early.live != 18 || end.live != 0 || back.live != 5 || later.live != 0 {
		t.Errorf("Live after %d, %d, %d, %d events", early.live, end.live, back.live, later.live)
	}
	if some.ended != io.EOF || len(some.events) != 40 {
		t.Errorf("up to 40: %d events, %v", len(some.events), some.ended)
	}
	for i, f := range []*follower{end, later, back} {
		first := []int64{18, 30, 13}[i]
		if len(f.errs) > 0 || len(f.events) != int(all-first) || f.events[0].offset != first {
			t.Errorf("%d: %d events from %d, %v", i, len(f.events), f.events[0].offset, f.errs)
		}
	}
}

func TestFollow(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		m := vfstest.New()
		testFollow(t, func() vfs.FS { return m.Process() }, "log")
	})
	t.Run("os", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		testFollow(t, func() vfs.FS { return vfs.OS{} }, path)
	})
}

// TestFollowHeadless follows a writer that never says what is durable.
func TestFollowHeadless(t *testing.T) {
	m := vfstest.New()
	l := tinySegments(mustCreate(t, m.Process(), "log", Change{}))
	f := follow(t, l, ReadOptions{})
	defer f.close()
	writeSome(t, l, "w", 20, AppendOptions{NoSync: true}, time.Millisecond)
	f.wait(t, 39)
	f.close()
	f.check(t, 0)
	survives(t, m, f.events)
}

// survives checks that a power cut leaves what was given out.
func survives(t testing.TB, m *vfstest.Mem, events []told) {
	t.Helper()
	after := m.Crash(len(m.Log()), vfstest.LoseAll())
	l, err := Open("log", Options{FS: after})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Read(0, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	g := readAll(t, context.Background(), r, 1)
	if len(g.events) < len(events) || !same(g.events[:len(events)], events) {
		t.Errorf("%d events were given out, %d are left", len(events), len(g.events))
	}
}

// TestReadHeadless reads what a writer has not made durable.
func TestReadHeadless(t *testing.T) {
	m := vfstest.New()
	l := mustCreate(t, m.Process(), "log", Change{})
	for i := range 3 {
		if _, err := appendAll(t, l, AppendOptions{NoSync: true}, batch(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		r, err := l.Read(0, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		g := readAll(t, context.Background(), r, 1)
		r.Close()
		if len(g.events) != i+1 {
			t.Errorf("%d events, not %d", len(g.events), i+1)
		}
		survives(t, m, g.events)
	}
}

// TestFollowTorn gives out nothing of a unit that is not finished, and what a
// recovery puts in its place.
func TestFollowTorn(t *testing.T) {
	m := vfstest.New()
	l := mustCreate(t, m.Process(), "log", Change{})
	writeSome(t, l, "a", 3, AppendOptions{}, 0)
	name := filepath.Join(l.dir(0), segmentName(0))
	data, err := m.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f := follow(t, l, ReadOptions{})
	defer f.close()
	f.wait(t, 6)
	for n := range 3 { // the start of a unit, as a killed writer leaves it
		m.WriteFile(name, append(data[:len(data):len(data)], data[145:145+40*(n+1)]...))
		time.Sleep(150 * time.Millisecond)
	}
	if _, err := appendAll(t, l, AppendOptions{}, batch(`{"w":"b","n":0}`)); err != nil {
		t.Fatal(err)
	}
	f.wait(t, 7)
	f.close()
	f.check(t, 0)
}

// TestFollowSoon measures how long after its ack an event is there.
func TestFollowSoon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := mustCreate(t, vfs.OS{}, path, Change{})
	f := follow(t, l, ReadOptions{})
	defer f.close()
	a, err := l.Appender(AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var worst time.Duration
	for i := range 30 {
		var acked time.Time
		if err := a.Append(context.Background(), batch(fmt.Sprintf(`{"w":"a","n":%d}`, i)), func(stream.Ack, error) { acked = time.Now() }); err != nil {
			t.Fatal(err)
		}
		if err := a.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.wait(t, i+1)
		f.mu.Lock()
		worst = max(worst, f.when[i].Sub(acked))
		f.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("the slowest came %v after its ack", worst)
	if worst > 200*time.Millisecond {
		t.Errorf("an event came %v after its ack", worst)
	}
}

// TestReadWhile reads to the end again and again while others append and roll.
func TestReadWhile(t *testing.T) {
	m := vfstest.New()
	l := tinySegments(mustCreate(t, m.Process(), "log", Change{}))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		defer close(stop)
		writeSome(t, l, "w", 60, AppendOptions{}, 0)
	})
	reader, err := Open("log", Options{FS: m.Process()})
	if err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		select {
		case <-stop:
			done = true
		default:
		}
		r, err := reader.Read(0, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, to := r.Range()
		g := readAll(t, context.Background(), r, 2)
		r.Close()
		if int64(len(g.events)) != to || len(g.errs)+len(g.damages) > 0 {
			t.Fatalf("%d events of %d, %v %v", len(g.events), to, g.errs, g.damages)
		}
	}
	wg.Wait()
}

// TestReadFails lets each operation of a reader fail: that is never the end.
func TestReadFails(t *testing.T) {
	m := newModel(t, 5, false)
	boom := errors.New("boom")
	for n := 1; ; n++ {
		m.fs.Fail(n, boom, false)
		r, err := m.log.Read(0, ReadOptions{})
		var g got
		if err == nil {
			g = readAll(t, context.Background(), r, 1)
			r.Close()
		} else {
			g.errs = append(g.errs, err)
		}
		if !m.fs.Fired() {
			m.fs.Fail(0, nil, false)
			if !same(g.events, m.events) {
				t.Fatal("without an error events are missing")
			}
			return
		}
		if len(g.errs) != 1 || !errors.Is(g.errs[0], boom) || len(g.damages) > 0 {
			t.Fatalf("operation %d fails: %v, %v; %d of %d events", n, g.errs, g.damages, len(g.events), len(m.events))
		}
		if len(g.events) > len(m.events) || !same(g.events, m.events[:len(g.events)]) {
			t.Fatalf("operation %d fails: %v", n, g.events)
		}
	}
}

// TestReadRetention deletes segments from the old end while a Reader is on its way.
func TestReadRetention(t *testing.T) {
	for _, o := range []ReadOptions{{}, {From: AtOffset(1)}} {
		for blocks := 1; blocks <= 2; blocks++ { // First alone, or an event too
			m := vfstest.New()
			l := tinySegments(mustCreate(t, m, "log", Change{}))
			for i := range 8 {
				line := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", 200<<10))
				if _, err := appendAll(t, l, AppendOptions{}, batch(line), batch(line)); err != nil {
					t.Fatal(err)
				}
			}
			bases, err := l.list(0)
			if err != nil || len(bases) < 6 {
				t.Fatal(bases, err)
			}
			r, err := l.Read(0, o)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var b stream.Block
			for range blocks {
				if err := r.Next(context.Background(), &b); err != nil {
					t.Fatal(err)
				}
			}
			for _, base := range bases[:4] {
				if err := m.Remove(filepath.Join(l.dir(0), segmentName(base))); err != nil {
					t.Fatal(err)
				}
			}
			g := readAllMore(t, r)
			first := bases[4]
			var gone *event.GoneError
			switch silent := blocks == 1 && o.From == (Position{}); {
			case silent && len(g.errs) > 0, !silent && (len(g.errs) != 1 || !errors.As(g.errs[0], &gone)):
				t.Errorf("%v, %d: %v", o.From, blocks, g.errs)
			}
			for i, e := range g.events {
				// What was open when it was deleted is still there.
				if e.offset >= first && e.offset != g.events[len(g.events)-1].offset-int64(len(g.events)-1-i) {
					t.Errorf("%v, %d: %d of %d is offset %d", o.From, blocks, i, len(g.events), e.offset)
				}
			}
			if n := len(g.events); n < int(16-first) || g.events[n-1].offset != 15 {
				t.Errorf("%v, %d: %d events", o.From, blocks, n)
			}
		}
	}
}

// readAllMore reads the rest.
func readAllMore(t testing.TB, r *Reader) (g got) {
	t.Helper()
	var b stream.Block
	for {
		err := r.Next(context.Background(), &b)
		if err == io.EOF {
			return g
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.Err != nil {
			g.errs = append(g.errs, b.Err)
		}
		g.events = append(g.events, blockEvents(&b)...)
	}
}
