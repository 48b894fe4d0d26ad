package eventlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/stream"
)

// namesRule is a rule, as text, for logs whose guard is names.
var namesRule = Rules{Key: ".n", Unique: ".n"}

// shelf is what the keepers of a log have stored, as if on a disk: by partition.
type shelf struct {
	mu     sync.Mutex
	places map[int]place
	stores int
}

type place struct {
	mark  Mark
	taken map[string]int64
}

func newShelf() *shelf { return &shelf{places: map[int]place{}} }

func (s *shelf) clone() *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &shelf{places: maps.Clone(s.places)}
}

// names is a naive Guard: the member n of an event is a name, which may be taken
// once. due is after how many names a keeper wants to store; 0 is never. again makes
// every so-manieth Judge lose all it knew.
type names struct {
	t     testing.TB
	shelf *shelf
	due   int
	again int
}

type nameKeeper struct {
	g         *names
	partition int
	holds     func(Mark) (bool, error)
	taken     map[string]int64
	stored    map[string]int64
	known     int64
	storedTo  int64
	judged    int
	closed    bool
}

func (g *names) Keeper(partition int, holds func(Mark) (bool, error)) (Keeper, error) {
	k := &nameKeeper{g: g, partition: partition, holds: holds, stored: map[string]int64{}}
	g.shelf.mu.Lock()
	p, ok := g.shelf.places[partition]
	g.shelf.mu.Unlock()
	if ok {
		var err error
		if ok, err = holds(p.mark); err != nil {
			return nil, err
		}
	}
	if ok {
		k.stored, k.storedTo = p.taken, p.mark.Next
	}
	return k, k.Forget()
}

func (g *names) Prepare(b *stream.Batch) (any, error) { return b, nil }

func nameOf(line string) string {
	_, rest, _ := strings.Cut(line, `"n":"`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

func (k *nameKeeper) Known() int64 { return k.known }

func (k *nameKeeper) Learn(b *stream.Block) error {
	for i, line := range strings.Split(strings.TrimSuffix(string(b.Data), "\n"), "\n") {
		o := b.Pos.Offset(int64(i))
		if o < k.known {
			k.g.t.Errorf("offset %d is learned, known is %d", o, k.known)
		}
		if name := nameOf(line); name != "" {
			if _, ok := k.taken[name]; !ok {
				k.taken[name] = o
			}
		}
		k.known = o + 1
	}
	return nil
}

func (k *nameKeeper) Reach(next int64) { k.known = max(k.known, next) }

func (k *nameKeeper) Judge(prepared any, b *stream.Batch, base int64, stop bool) ([]stream.Refusal, error) {
	if k.closed || prepared != any(b) || base != k.known {
		k.g.t.Errorf("judged at %d, known is %d; closed %v", base, k.known, k.closed)
	}
	if k.judged++; k.g.again > 0 && k.judged%k.g.again == 0 {
		k.stored, k.storedTo = map[string]int64{}, 0
		k.Forget()
		return nil, ErrAgain
	}
	var refused []stream.Refusal
	next := base
	for i, line := range strings.Split(strings.TrimSuffix(string(b.Lines), "\n"), "\n") {
		name := nameOf(line)
		if by, ok := k.taken[name]; ok && name != "" {
			refused = append(refused, stream.Refusal{Index: i, Reason: name + " is taken", TakenBy: by})
			if stop {
				break
			}
			continue
		}
		if name != "" {
			k.taken[name] = next
		}
		next++
	}
	k.known = next
	return refused, nil
}

func (k *nameKeeper) Forget() error {
	k.taken, k.known = maps.Clone(k.stored), k.storedTo
	return nil
}

func (k *nameKeeper) Due(closing bool) bool {
	n := len(k.taken) - len(k.stored)
	return k.g.due > 0 && (n >= k.g.due || closing && n > 0)
}

func (k *nameKeeper) Store(m Mark) error {
	ok, err := k.holds(m)
	if err != nil {
		return err
	}
	if !ok || m.Next != k.known {
		k.g.t.Errorf("stored at %+v, which holds: %v; known is %d", m, ok, k.known)
	}
	k.stored, k.storedTo = maps.Clone(k.taken), m.Next
	k.g.shelf.mu.Lock()
	defer k.g.shelf.mu.Unlock()
	k.g.shelf.stores++
	k.g.shelf.places[k.partition] = place{m, k.stored}
	return nil
}

func (k *nameKeeper) Close() error {
	k.closed = true
	return nil
}

func named(names ...string) *stream.Batch {
	var lines []string
	for _, n := range names {
		lines = append(lines, fmt.Sprintf(`{"n":"%s"}`, n))
	}
	return batch(lines...)
}

func expecting(b *stream.Batch, offset int64) *stream.Batch {
	b.Expect = offset
	return b
}

// guardedLog is a log with namesRule.
func guardedLog(t testing.TB, fs vfs.FS, partitions int) *Log {
	t.Helper()
	return mustCreate(t, fs, "log", Change{Rules: &namesRule, Partitions: &partitions})
}

// outcome is what was told of a batch.
type outcome struct {
	ack stream.Ack
	err error
}

// appendEach appends batches and returns what was told of each, in the order in
// which they were handed over.
func appendEach(t testing.TB, l *Log, o AppendOptions, batches ...*stream.Batch) []outcome {
	t.Helper()
	a, err := l.Appender(o)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]outcome, len(batches))
	var mu sync.Mutex
	last := map[int]int{}
	for i, b := range batches {
		if err := a.Append(context.Background(), b, func(ack stream.Ack, err error) {
			mu.Lock()
			defer mu.Unlock()
			if before, ok := last[b.Partition]; ok && before > i {
				t.Errorf("batch %d is done after batch %d", i, before)
			}
			last[b.Partition] = i
			out[i] = outcome{ack, err}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	return out
}

func refusedOf(a stream.Ack) string {
	var s []string
	for _, r := range a.Refused {
		s = append(s, fmt.Sprintf("%d by %d", r.Index, r.TakenBy))
	}
	return strings.Join(s, ", ")
}

// What is refused is left out and told, whichever way a batch takes, and whether it
// comes from this process or another one, or from before the log had rules.
func TestGuard(t *testing.T) {
	for _, big := range []bool{false, true} {
		m := vfstest.New()
		if _, err := appendAll(t, mustCreate(t, m, "log", Change{}), AppendOptions{}, named("old", "old", "older")); err != nil {
			t.Fatal(err)
		}
		l := guardedLog(t, m.Process(), 1)
		g := &names{t: t, shelf: newShelf()}
		batches := []*stream.Batch{named("a", "old", "b", "a"), named("older"), named("", "", "b", "c"), named("d")}
		if big { // the pipeline
			for _, b := range batches {
				b.Lines = append(b.Lines, `{"pad":"`+strings.Repeat("x", direct)+"\"}\n"...)
				b.Count++
			}
		}
		out := appendEach(t, l, AppendOptions{Guard: g}, batches...)
		got := ""
		for _, o := range out {
			if o.err != nil || o.ack.Stopped || !o.ack.Durable {
				t.Errorf("%+v", o)
			}
			got += fmt.Sprintf("%d+%d (%s); ", o.ack.Offset, o.ack.Count, refusedOf(o.ack))
		}
		want := "3+2 (1 by 0, 3 by 3); 5+0 (0 by 2); 5+3 (2 by 4); 8+1 (); "
		if big {
			want = "3+3 (1 by 0, 3 by 3); 6+1 (0 by 2); 7+4 (2 by 4); 11+2 (); "
		}
		if got != want {
			t.Errorf("big %v: got %s\nwant %s", big, got, want)
		}
		last := out[3].ack.Offset
		other := appendEach(t, guardedLog(t, m.Process(), 1), AppendOptions{Guard: g}, named("d", "e"))[0]
		if other.err != nil || refusedOf(other.ack) != fmt.Sprintf("0 by %d", last) || other.ack.Count != 1 {
			t.Errorf("%+v", other)
		}
		wantOnce(t, m, 1, 3)
	}
}

// wantOnce checks that each name is at most once in a log, not counting the first
// events, which were there before the rules. It returns where names are.
func wantOnce(t testing.TB, m *vfstest.Mem, partitions int, before int64) []map[string]int64 {
	t.Helper()
	var all []map[string]int64
	for p := range partitions {
		at := map[string]int64{}
		for o, line := range content(t, m, "log", p) {
			n := nameOf(line)
			if old, ok := at[n]; ok && n != "" && o >= before && old >= before {
				t.Errorf("partition %d: %s is at %d and %d", p, n, old, o)
			}
			if old, ok := at[n]; !ok || o < old {
				at[n] = o
			}
		}
		all = append(all, at)
	}
	return all
}

func TestGuardExpectAndStop(t *testing.T) {
	type told struct {
		offset  int64
		count   int
		refused string
		err     error
	}
	expect, stopped := &stream.ExpectError{}, &stream.StoppedError{}
	for _, c := range []struct {
		name    string
		stop    bool
		batches []*stream.Batch
		want    []told
		left    int // events
	}{
		{"expect holds for what is left", false, []*stream.Batch{expecting(named("a", "b"), 1), expecting(named("c", "a"), 2)},
			[]told{{1, 1, "0 by 0", nil}, {2, 1, "1 by 0", nil}}, 3},
		{"expect, and all refused", false, []*stream.Batch{expecting(named("a"), 1), expecting(named("b"), 1)},
			[]told{{1, 0, "0 by 0", nil}, {1, 1, "", nil}}, 2},
		{"expect fails before anything is judged", false, []*stream.Batch{expecting(named("b"), 0), named("b")},
			[]told{{err: expect}, {1, 1, "", nil}}, 2},
		{"stop", true, []*stream.Batch{named("b", "c"), named("d", "a", "e"), named("f")},
			[]told{{1, 2, "", nil}, {3, 1, "1 by 0", nil}, {err: stopped}}, 4},
		{"stop at the first", true, []*stream.Batch{named("a", "e"), named("f"), expecting(&stream.Batch{}, 1)},
			[]told{{1, 0, "0 by 0", nil}, {err: stopped}, {err: stopped}}, 1},
		{"stop and expect", true, []*stream.Batch{expecting(named("b", "a"), 1), named("b")},
			[]told{{1, 0, "1 by 0", nil}, {err: stopped}}, 1},
		{"stop, and expect fails", true, []*stream.Batch{expecting(named("a"), 7), expecting(named("b"), 1), named("c", "b")},
			[]told{{err: expect}, {1, 1, "", nil}, {2, 1, "1 by 1", nil}}, 3},
		{"nothing refused", true, []*stream.Batch{expecting(named("b"), 1), expecting(&stream.Batch{}, 2), named("c")},
			[]told{{1, 1, "", nil}, {2, 0, "", nil}, {2, 1, "", nil}}, 3},
	} {
		for _, partitions := range []int{1, 2} { // directly, and through the pipeline
			m := vfstest.New()
			g := &names{t: t, shelf: newShelf(), due: 1}
			l := guardedLog(t, m, partitions)
			appendEach(t, l, AppendOptions{Guard: g}, named("a"))
			out := appendEach(t, l, AppendOptions{Guard: g, StopAtRefused: c.stop, Workers: 1}, c.batches...)
			for i, w := range c.want {
				o := out[i]
				ok := o.err == nil && w.err == nil && o.ack.Offset == w.offset && o.ack.Count == w.count &&
					refusedOf(o.ack) == w.refused && o.ack.Stopped == (c.stop && w.refused != "")
				switch w.err {
				case expect:
					ok = isExpect(o.err)
				case stopped:
					ok = isStopped(o.err)
				}
				if !ok {
					t.Errorf("%s, %d partitions: batch %d: %+v", c.name, partitions, i, o)
				}
			}
			if n := len(content(t, m, "log", 0)); n != c.left {
				t.Errorf("%s: %d events, want %d", c.name, n, c.left)
			}
			// And what is known now is right.
			last := appendEach(t, l, AppendOptions{Guard: g}, named("a", "b", "c", "d", "e", "f"))[0]
			if last.err != nil || last.ack.Count+len(last.ack.Refused) != 6 {
				t.Errorf("%s: %+v", c.name, last)
			}
			wantOnce(t, m, 1, 0)
		}
	}
}

// StopAtRefused ends the other partitions, too.
func TestGuardStopsAllPartitions(t *testing.T) {
	m := vfstest.New()
	l := guardedLog(t, m, 2)
	g := &names{t: t, shelf: newShelf()}
	a, err := l.Appender(AppendOptions{Guard: g, StopAtRefused: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	add := func(partition int, b *stream.Batch) (o outcome) {
		b.Partition = partition
		if err := a.Append(context.Background(), b, func(ack stream.Ack, err error) { o = outcome{ack, err} }); err != nil {
			t.Fatal(err)
		}
		a.Flush(context.Background())
		return o
	}
	for _, b := range []int{0, 1} {
		if o := add(b, named("a")); o.err != nil || o.ack.Refused != nil {
			t.Fatalf("%+v", o)
		}
	}
	if o := add(1, named("a")); o.err != nil || !o.ack.Stopped {
		t.Errorf("%+v", o)
	}
	if o := add(0, named("b")); !isStopped(o.err) || !strings.Contains(o.err.Error(), "partition 1") {
		t.Errorf("%+v", o)
	}
}

// The bounds of the times are those of the events that are left.
func TestGuardTimes(t *testing.T) {
	at := func(hour int, name string) string {
		return fmt.Sprintf(`{"time":"2026-01-02T%02d:00:00Z","value":{"n":"%s"}}`, hour, name)
	}
	b := func(lines ...string) *stream.Batch {
		b := batch(lines...)
		for _, line := range lines {
			var h int
			if _, err := fmt.Sscanf(line, `{"time":"2026-01-02T%d`, &h); err == nil {
				when := stream.Instant{Sec: 1767312000 + int64(h)*3600}
				if b.Timed++; b.Timed == 1 || when.Before(b.MinTime) {
					b.MinTime = when
				}
				if b.Timed == 1 || b.MaxTime.Before(when) {
					b.MaxTime = when
				}
			}
		}
		return b
	}
	for _, c := range []struct {
		b        *stream.Batch
		min, max int
	}{
		{b(at(5, "x"), at(1, "a"), at(9, "a"), at(7, "y")), 5, 7},
		{b(at(5, "x"), at(1, "a"), at(9, "y")), 5, 9},
		{b(at(1, "x"), `{"n":"a"}`, at(9, "a"), at(3, "y")), 1, 3},
	} {
		m := vfstest.New()
		l := guardedLog(t, m, 1)
		g := &names{t: t, shelf: newShelf()}
		first := b(at(6, "a"))
		out := appendEach(t, l, AppendOptions{Guard: g}, first, c.b)
		if out[1].err != nil || len(out[1].ack.Refused) == 0 {
			t.Fatalf("%+v", out[1])
		}
		d, err := l.Describe(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		lo, hi := (d[0].MinTime.Sec-1767312000)/3600, (d[0].MaxTime.Sec-1767312000)/3600
		if int(lo) != min(6, c.min) || int(hi) != max(6, c.max) {
			t.Errorf("times from %d to %d, want %d to %d", lo, hi, c.min, c.max)
		}
	}
	// What has no time of its own counts with that of its append.
	m := vfstest.New()
	l := guardedLog(t, m, 1)
	g := &names{t: t, shelf: newShelf()}
	appendEach(t, l, AppendOptions{Guard: g}, b(at(6, "a")), b(at(7, "a"), `{"n":"b"}`))
	if d, err := l.Describe(context.Background()); err != nil || d[0].MaxTime.Sec < 1767312000+86400 {
		t.Errorf("%+v: %v", d, err)
	}
}

// A keeper that loses what it knew learns again, and stores on the way if it must.
func TestGuardAgain(t *testing.T) {
	m := vfstest.New()
	l := tinySegments(guardedLog(t, m, 1))
	for round := range 3 {
		g := &names{t: t, shelf: newShelf(), due: 7 * round, again: 3}
		for i := range 40 {
			b := named(fmt.Sprint("n", i), fmt.Sprint("m", round, "-", i), fmt.Sprint("m", round, "-", i))
			o := appendEach(t, l, AppendOptions{Guard: g}, b, named("last"))
			if o[0].err != nil || o[1].err != nil {
				t.Fatalf("%+v", o)
			}
		}
		if (g.shelf.stores > 0) != (round > 0) {
			t.Errorf("stored %d times", g.shelf.stores)
		}
	}
	if at := wantOnce(t, m, 1, 0)[0]; len(at) != 40+3*40+1 {
		t.Errorf("%d names", len(at))
	}
	// One that always does ends with an error, and nothing is stored.
	g := &names{t: t, shelf: newShelf(), again: 1}
	o := appendEach(t, l, AppendOptions{Guard: g}, named("new"), named("newer"))
	if !errors.Is(o[0].err, ErrAgain) || o[1].err == nil || len(content(t, m, "log", 0)) != 161 {
		t.Errorf("%+v", o)
	}
}

// What a guard says of lines that are not there is an error, and harms nothing.
func TestGuardNonsense(t *testing.T) {
	for _, index := range [][]int{{2}, {-1}, {1, 0}, {0, 0}} {
		for _, stop := range []bool{false, true} {
			if stop && index[0] >= 0 && index[0] < 2 {
				continue
			}
			m := vfstest.New()
			l := guardedLog(t, m, 1)
			o := appendEach(t, l, AppendOptions{Guard: &nonsense{names{t: t, shelf: newShelf()}, index}, StopAtRefused: stop}, named("a", "b"))
			if o[0].err == nil || len(content(t, m, "log", 0)) != 0 {
				t.Errorf("%v: %+v", index, o)
			}
		}
	}
}

type nonsense struct {
	names
	index []int
}

type nonsenseKeeper struct {
	Keeper
	index []int
}

func (g *nonsense) Keeper(p int, holds func(Mark) (bool, error)) (Keeper, error) {
	k, err := g.names.Keeper(p, holds)
	return &nonsenseKeeper{k, g.index}, err
}

func (k *nonsenseKeeper) Judge(any, *stream.Batch, int64, bool) (r []stream.Refusal, err error) {
	for _, i := range k.index {
		r = append(r, stream.Refusal{Index: i})
	}
	return r, nil
}
