package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// told is an event as a Reader should give it out.
type told struct {
	offset   int64
	line     string
	appended int64
	time     stream.Instant
}

// model is a log that was made for a test, and what is in it.
type model struct {
	fs     *vfstest.Mem
	log    *Log
	events []told // in the order of their offsets
	bases  []int64
	next   int64
	units  []segment.Header // BATCHes
	ats    []int64          // their places
	voids  []told           // what was given up
	given  map[string]bool  // segments that were
	head   head             // as it should be
}

// builder makes segments.
type builder struct {
	t     testing.TB
	m     *model
	r     *rand.Rand
	enc   *segment.Encoder
	clock int64

	base  int64
	link  segment.Link
	file  []byte
	idx   []byte
	tally segment.Tally
}

func (b *builder) unit(h *segment.Header, body []byte, times segment.Bounds) {
	h.Epoch, h.PrevCRC = b.link.Epoch, b.link.HeadCRC
	h.SegmentID = b.link.SegmentID
	h.SyncedTo = int64(b.r.IntN(len(b.file) + 1))
	var err error
	if b.file, err = h.AppendTo(b.file); err != nil {
		b.t.Fatal(err)
	}
	b.file = append(b.file, body...)
	b.link = h.Link()
	if h.Kind != segment.KindSeal {
		if e, due := b.tally.Add(h, times); due {
			b.idx = e.AppendTo(b.idx, h.SegmentID)
		}
	}
}

func (b *builder) open(base int64, prev segment.Open) {
	b.base, b.file, b.idx, b.tally = base, nil, nil, segment.Tally{}
	b.link = segment.Link{SegmentID: b.r.Uint64() | 1}
	prev.LogID = b.m.log.id
	h := segment.Header{Kind: segment.KindOpen, Base: base, Next: base, First: b.clock, Last: b.clock, Ext: prev.AppendTo(nil)}
	b.unit(&h, nil, segment.NoBounds())
	b.m.bases = append(b.m.bases, base)
}

// batch appends a unit of n events, perhaps sparse, perhaps with runs.
func (b *builder) batch(n int, sparse bool) {
	h := segment.Header{Base: b.link.Next, First: b.clock}
	x := segment.Batch{Times: segment.NoBounds()}
	var lines []byte
	next := h.Base
	runs := b.r.IntN(3) == 0
	for range n {
		if sparse {
			next += int64(b.r.IntN(3))
		}
		if runs && b.r.IntN(2) == 0 {
			b.clock += int64(b.r.IntN(2_000_000))
		}
		e := told{offset: next, appended: b.clock}
		pad := bytes.Repeat([]byte{'x'}, b.r.IntN(30))
		switch b.r.IntN(3) {
		case 0:
			e.time = instant(b.clock)
			e.line = fmt.Sprintf(`{"n":%d,"pad":"%s"}`, next, pad)
		default:
			at := b.clock/1e6 - int64(b.r.IntN(100))
			e.time = stream.Instant{Sec: at}
			e.line = fmt.Sprintf(`{"time":"%s","value":"%d%s"}`, when.Time{Sec: at}, next, pad)
		}
		x.Offsets = append(x.Offsets, next)
		if k := len(x.Appended); k > 0 && x.Appended[k-1].Appended == b.clock {
			x.Appended[k-1].Lines++
		} else {
			x.Appended = append(x.Appended, stream.TimeRun{Lines: 1, Appended: b.clock})
		}
		x.Times.Add(segment.Bounds{Min: e.time, Max: e.time})
		lines = append(append(lines, e.line...), '\n')
		b.m.events = append(b.m.events, e)
		next++
	}
	if sparse {
		next += int64(b.r.IntN(3))
	} else {
		x.Offsets = nil
	}
	if !runs {
		x.Appended = nil
	}
	h.Last, h.Next = b.clock, next
	body, err := b.enc.Encode(nil, lines, &h)
	if err != nil {
		b.t.Fatal(err)
	}
	h.Ext = x.AppendTo(nil, &h)
	b.unit(&h, body, x.Times)
	b.m.units = append(b.m.units, h)
	b.m.ats = append(b.m.ats, int64(len(b.file))-h.Size())
	b.clock += int64(b.r.IntN(3)) * 500_000
}

func (b *builder) seal() {
	s := b.tally.Seal()
	h := segment.Header{Kind: segment.KindSeal, Base: b.link.Next, Next: b.link.Next, First: b.clock, Last: b.clock, Ext: s.AppendTo(nil)}
	b.unit(&h, nil, segment.NoBounds())
}

func (b *builder) write() {
	dir := b.m.log.dir(0)
	b.m.fs.WriteFile(filepath.Join(dir, segmentName(b.base)), b.file)
	if b.link.Sealed {
		return
	}
	if len(b.idx) > 0 {
		b.m.fs.WriteFile(filepath.Join(dir, indexName(b.base)), b.idx)
	}
}

// void takes back the events from an offset on.
func (b *builder) void(from int64) {
	i := sort.Search(len(b.m.events), func(i int) bool { return b.m.events[i].offset >= from })
	b.m.voids = append(b.m.voids, b.m.events[i:]...)
	b.m.events = b.m.events[:i:i]
}

// newModel makes a log with segments that were sealed, given up, compacted, and one
// that is active. big makes units large enough for indexes of several entries.
func newModel(t testing.TB, seed uint64, big bool) *model {
	t.Helper()
	m := &model{fs: vfstest.New(), given: map[string]bool{}}
	m.log = mustCreate(t, m.fs, "log", Change{})
	b := &builder{t: t, m: m, r: rand.New(rand.NewPCG(seed, 1)), enc: segment.NewEncoder(), clock: 1_700_000_000_000_000}
	dir := m.log.dir(0)
	if err := m.fs.Remove(filepath.Join(dir, segmentName(0))); err != nil {
		t.Fatal(err)
	}
	base := int64(0)
	if b.r.IntN(2) == 0 {
		base = int64(b.r.IntN(1000)) // there was retention
	}
	prev := segment.Open{}
	n := 1 + b.r.IntN(5)
	for i := range n {
		b.open(base, prev)
		sparse := b.r.IntN(3) == 0
		for range b.r.IntN(6) {
			if big {
				b.batch(20_000+b.r.IntN(20_000), sparse)
			} else {
				b.batch(1+b.r.IntN(9), sparse)
			}
		}
		if i == n-1 {
			break
		}
		end := b.link.Next
		prev = segment.Open{HasPrevious: true, PreviousBase: base, PreviousEnd: end}
		if b.r.IntN(3) == 0 && end > base+1 { // given up
			if b.r.IntN(2) == 0 {
				b.seal()
			}
			prev.PreviousEnd = base + 1 + b.r.Int64N(end-base-1)
			prev.Lost = segment.LostWrite
			b.void(prev.PreviousEnd)
			m.given[filepath.Join(dir, segmentName(base))] = true
			b.write()
			base = end + int64(b.r.IntN(3))
			continue
		}
		b.seal()
		b.write()
		if base = end; base == b.base {
			base++
			prev.Lost = segment.LostRepair
		}
	}
	b.write()
	m.next = b.link.Next
	h := head{base: base, id: b.link.SegmentID, durable: int64(len(b.file)), next: m.next, time: b.clock, lastCRC: b.link.HeadCRC}
	m.head = h
	switch b.r.IntN(3) {
	case 0: // as it should be
		m.fs.WriteFile(filepath.Join(dir, headName), h.encode())
	case 1:
		m.fs.Remove(filepath.Join(dir, headName))
	}
	return m
}

// got is what a Reader gave out.
type got struct {
	events  []told
	damages []*event.DamagedError
	errs    []error
	live    int
	last    bool
}

// lineTimes returns the events of a block.
func blockEvents(b *stream.Block) []told {
	var out []told
	data := b.Data
	run, left := -1, int64(0)
	for i := 0; len(data) > 0; i++ {
		n := bytes.IndexByte(data, '\n')
		e := told{offset: b.Pos.Base + int64(i), line: string(data[:n]), appended: b.Pos.Appended}
		if len(b.Pos.Offsets) > 0 {
			e.offset = b.Pos.Offsets[i]
		}
		if len(b.Pos.Times) > 0 {
			for left == 0 {
				run++
				left = b.Pos.Times[run].Lines
			}
			left--
			e.appended = b.Pos.Times[run].Appended
		}
		out = append(out, e)
		data = data[n+1:]
	}
	return out
}

// readAll reads with some goroutines until io.EOF, or until ctx is done.
func readAll(t testing.TB, ctx context.Context, r *Reader, workers int) got {
	t.Helper()
	type block struct {
		seq, in int64
		got
	}
	var mu sync.Mutex
	var all []block
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var b stream.Block
			for {
				if err := r.Next(ctx, &b); err == io.EOF || ctx.Err() != nil {
					return
				} else if err != nil {
					t.Errorf("Next: %v", err)
					return
				}
				x := block{seq: b.Seq, in: b.SeqInInput}
				if b.First != (b.Seq == 0) {
					t.Errorf("First in block %d", b.Seq)
				}
				var d *event.DamagedError
				switch {
				case b.Live:
					x.live++
					x.in = -1
				case errors.As(b.Err, &d):
					x.damages = append(x.damages, d)
				case b.Err != nil:
					x.errs = append(x.errs, b.Err)
				case b.Last:
					x.last = true
				default:
					x.events = blockEvents(&b)
				}
				mu.Lock()
				all = append(all, x)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	sort.Slice(all, func(i, k int) bool { return all[i].seq < all[k].seq })
	var g got
	in := int64(0)
	for i, x := range all {
		if x.seq != int64(i) {
			t.Errorf("block %d has the number %d", i, x.seq)
		}
		if x.live == 0 {
			if x.in != in {
				t.Errorf("block %d has the number %d in its input, not %d", i, x.in, in)
			}
			in++
		}
		g.events = append(g.events, x.events...)
		g.damages = append(g.damages, x.damages...)
		g.errs = append(g.errs, x.errs...)
		g.live += x.live
		g.last = g.last || x.last
	}
	return g
}

func (m *model) read(t testing.TB, o ReadOptions, workers int) got {
	t.Helper()
	r, err := m.log.Read(0, o)
	if err != nil {
		t.Fatalf("Read(%+v): %v", o, err)
	}
	defer r.Close()
	g := readAll(t, context.Background(), r, workers)
	if !g.last {
		t.Errorf("Read(%+v): no Last", o)
	}
	return g
}

// at is what a position means, found the plain way.
func (m *model) at(p Position) int64 {
	switch p.kind {
	case posOffset:
		return p.n
	case posBack:
		if p.n == 0 {
			return m.next
		}
		if p.n >= int64(len(m.events)) {
			return m.bases[0]
		}
		return m.events[int64(len(m.events))-p.n].offset
	case posTime:
		for _, e := range m.events {
			if !e.time.Before(p.at) {
				return e.offset
			}
		}
		return m.next
	}
	return m.bases[0]
}

func (m *model) want(o ReadOptions) []told {
	from, to := m.at(o.From), m.next
	if o.To != nil {
		to = m.at(*o.To)
	}
	var out []told
	for _, e := range m.events {
		if e.offset >= from && e.offset < to {
			out = append(out, e)
		}
	}
	if n := int(o.Tail); n > 0 && len(out) > n {
		out = out[len(out)-n:]
	}
	return out
}

func same(a, b []told) bool {
	return slices.EqualFunc(a, b, func(a, b told) bool {
		return a.offset == b.offset && a.line == b.line && a.appended == b.appended
	})
}

func (m *model) position(r *rand.Rand) Position {
	switch r.IntN(5) {
	case 0:
		return Position{}
	case 1:
		return BeforeEnd(int64(r.IntN(len(m.events) + 3)))
	case 2, 3:
		return AtOffset(m.bases[0] + int64(r.IntN(int(m.next-m.bases[0])+5)))
	}
	t := stream.Instant{Sec: 1_700_000_000 + int64(r.IntN(60)) - 20}
	if len(m.events) > 0 && r.IntN(2) == 0 {
		t = m.events[r.IntN(len(m.events))].time
	}
	return AtTime(t)
}

func TestRead(t *testing.T) {
	for seed := range uint64(150) {
		m := newModel(t, seed, false)
		r := rand.New(rand.NewPCG(seed, 2))
		for range 12 {
			o := ReadOptions{From: m.position(r)}
			if r.IntN(2) == 0 {
				to := m.position(r)
				o.To = &to
			}
			if r.IntN(3) == 0 {
				o.Tail = int64(1 + r.IntN(len(m.events)+2))
			}
			g := m.read(t, o, 1+r.IntN(3))
			if want := m.want(o); !same(g.events, want) || len(g.damages)+len(g.errs) > 0 {
				t.Fatalf("seed %d, from %s to %v tail %d:\n got %v\nwant %v\n%v %v", seed, o.From, o.To, o.Tail, g.events, want, g.damages, g.errs)
			}
		}
	}
}

func TestReadTimes(t *testing.T) {
	for seed := range uint64(100) {
		m := newModel(t, seed, false)
		r := rand.New(rand.NewPCG(seed, 3))
		since := stream.Instant{Sec: 1_700_000_000 + int64(r.IntN(60)) - 40}
		until := stream.Instant{Sec: since.Sec + int64(r.IntN(30))}
		g := m.read(t, ReadOptions{Since: &since, Until: &until}, 2)
		have := map[int64]bool{}
		for _, e := range g.events {
			have[e.offset] = true
		}
		for _, e := range m.events {
			if !e.time.Before(since) && e.time.Before(until) && !have[e.offset] {
				t.Fatalf("seed %d: event %d of %v is missing", seed, e.offset, e.time)
			}
		}
		if len(g.errs)+len(g.damages) > 0 {
			t.Fatal(g.errs, g.damages)
		}
	}
}

// TestReadIndexed reads a log whose segments have indexes of several entries.
func TestReadIndexed(t *testing.T) {
	m := newModel(t, 5, true)
	if len(m.events) < 100_000 {
		t.Fatal("too small")
	}
	r := rand.New(rand.NewPCG(9, 9))
	for range 10 {
		o := ReadOptions{From: m.position(r), Tail: int64(r.IntN(1000))}
		g := m.read(t, o, 2)
		if want := m.want(o); !same(g.events, want) || len(g.damages)+len(g.errs) > 0 {
			t.Fatalf("from %s tail %d: %d events, not %d", o.From, o.Tail, len(g.events), len(want))
		}
	}
	since := m.events[len(m.events)*2/3].time
	since.Sec += 50
	reads := len(m.fs.Log())
	g := m.read(t, ReadOptions{Since: &since}, 1)
	want := 0
	for _, e := range m.events {
		if !e.time.Before(since) {
			want++
		}
	}
	n := 0
	for _, e := range g.events {
		if i := sort.Search(len(m.events), func(i int) bool { return m.events[i].offset >= e.offset }); !m.events[i].time.Before(since) {
			n++
		}
	}
	if n != want || len(g.events) > len(m.events)*9/10 {
		t.Errorf("%d events since then, not %d; %d of %d were read in %d operations", n, want, len(g.events), len(m.events), len(m.fs.Log())-reads)
	}
}

func TestReadGone(t *testing.T) {
	for seed := range uint64(20) {
		m := newModel(t, seed, false)
		if m.bases[0] == 0 {
			continue
		}
		_, err := m.log.Read(0, ReadOptions{From: AtOffset(m.bases[0] - 1)})
		var g *event.GoneError
		if !errors.As(err, &g) || g.Hint() == "" {
			t.Fatalf("%v", err)
		}
		to := AtOffset(0)
		if g := m.read(t, ReadOptions{To: &to}, 1); len(g.events) > 0 {
			t.Fatal(g.events)
		}
	}
}

func TestDescribe(t *testing.T) {
	for seed := range uint64(100) {
		m := newModel(t, seed, false)
		all, err := m.log.Describe(context.Background())
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		d := all[0]
		times := segment.NoBounds()
		for _, e := range m.events {
			times.Add(segment.Bounds{Min: e.time, Max: e.time})
		}
		if d.First != m.bases[0] || d.Next != m.next || d.Events != int64(len(m.events)) || d.Segments != len(m.bases) {
			t.Fatalf("seed %d: %+v, not %d events from %d to %d", seed, d, len(m.events), m.bases[0], m.next)
		}
		if d.Events > 0 && (times.Min.Before(d.MinTime) || d.MaxTime.Before(times.Max)) {
			t.Fatalf("seed %d: %+v, not %v", seed, d, times)
		}
	}
}

func TestVerify(t *testing.T) {
	for seed := range uint64(100) {
		m := newModel(t, seed, false)
		var last int64
		v, err := m.log.Verify(context.Background(), 0, VerifyOptions{
			Damaged:  func(d *event.DamagedError) { t.Errorf("seed %d: %v", seed, d) },
			Progress: func(done, total int64) { last = total - done },
		})
		if err != nil || v.Events != int64(len(m.events)) || last != 0 || v.Next != m.next {
			t.Fatalf("seed %d: %+v, %v, %d left; %d events", seed, v, err, last, len(m.events))
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"start", "end", "0", "12", "-3", "-", "@-1h", "@2026-03-14", "@", "9223372036854775807", "99999999999999999999", "+1", "0x1", " 1"} {
		f.Add(s)
	}
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s, now, time.UTC)
		if err != nil {
			var bad *PositionError
			if !errors.As(err, &bad) || bad.Hint() == "" {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		again, err := ParsePosition(p.String(), now, time.UTC)
		if err != nil || again != p {
			t.Fatalf("%q is %s, which is %+v, %v", s, p, again, err)
		}
	})
}

// TestReadMerged reads a log in which compaction has merged the first two segments
// and not yet removed the second one, and later has.
func TestReadMerged(t *testing.T) {
	m := &model{fs: vfstest.New(), given: map[string]bool{}}
	m.log = mustCreate(t, m.fs, "log", Change{})
	dir := m.log.dir(0)
	b := &builder{t: t, m: m, r: rand.New(rand.NewPCG(7, 7)), enc: segment.NewEncoder(), clock: 1}
	prev := segment.Open{}
	for i := range 4 {
		b.open(b.link.Next, prev)
		b.batch(10, false)
		b.batch(10, false)
		if i < 3 {
			b.seal()
		}
		prev = segment.Open{HasPrevious: true, PreviousBase: b.base, PreviousEnd: b.link.Next}
		b.write()
	}
	m.next = b.link.Next
	events := slices.Clone(m.events)
	// The merged one has all of the first two, or some.
	for _, keep := range []int{40, 25} {
		r, err := m.log.Read(0, ReadOptions{}) // begins before
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var block stream.Block
		if err := r.Next(context.Background(), &block); err != nil {
			t.Fatal(err)
		}
		merged := &builder{t: t, m: &model{fs: m.fs, log: m.log}, r: b.r, enc: b.enc, clock: 1}
		merged.open(0, segment.Open{})
		h := segment.Header{Base: 0, Next: 40, First: 1, Last: events[39].appended}
		x := segment.Batch{Times: segment.NoBounds()}
		var lines []byte
		for _, e := range events[40-keep : 40] {
			x.Offsets = append(x.Offsets, e.offset)
			x.Times.Add(segment.Bounds{Min: e.time, Max: e.time})
			x.Appended = append(x.Appended, stream.TimeRun{Lines: 1, Appended: e.appended})
			lines = append(append(lines, e.line...), '\n')
		}
		body, err := b.enc.Encode(nil, lines, &h)
		if err != nil {
			t.Fatal(err)
		}
		h.Ext = x.AppendTo(nil, &h)
		merged.unit(&h, body, x.Times)
		merged.seal()
		merged.write()
		second := filepath.Join(dir, segmentName(20))
		data, err := m.fs.ReadFile(second)
		if err != nil {
			t.Fatal(err)
		}
		for _, leftover := range []bool{true, false} {
			if !leftover {
				m.fs.Remove(second)
			}
			for from := int64(0); from < 45; from++ {
				g := m.read(t, ReadOptions{From: AtOffset(from)}, 1)
				for i, e := range g.events {
					if want := events[len(events)-len(g.events)+i]; e.offset != want.offset || e.line != want.line {
						t.Fatalf("keep %d, from %d: %v, not %v", keep, from, e, want)
					}
				}
				if want := 80 - max(int(from), 40-keep); len(g.events) != want || len(g.damages)+len(g.errs) > 0 {
					t.Fatalf("keep %d, from %d: %d events, not %d; %v %v", keep, from, len(g.events), want, g.damages, g.errs)
				}
			}
			v, err := m.log.Verify(context.Background(), 0, VerifyOptions{})
			if err != nil || v.Damaged > 0 {
				t.Fatalf("%+v, %v", v, err)
			}
		}
		g := readAllMore(t, r)
		if len(g.events) != 40+keep || len(g.errs) > 0 {
			t.Fatalf("keep %d: begun before: %d events, %v", keep, len(g.events), g.errs)
		}
		m.fs.WriteFile(second, data)
	}
}
