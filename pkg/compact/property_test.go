package compact

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs/vfstest"
)

// spellings are keys, each in all the ways in which it can be written.
var spellings = [][]string{
	{`1`, `1.0`, `1e0`, `10e-1`}, {`"1"`, `"\u0031"`}, {`"a"`, `"\u0061"`}, {`{"a":1,"b":"x"}`, `{"b":"x","a":1.0}`, `{ "b":"\u0078", "a":1 }`},
	{`[1,2]`, `[1.0, 2]`}, {`true`}, {`-0`, `0`, `0.0`}, {`"\u00e9"`, `"é"`}, {`{}`, `{ }`},
}

// fact is an event of a history.
type fact struct {
	readEvent
	key       int // less than 0: none
	tombstone bool
}

// pastRun is a run, which covered what lies before the offset next.
type pastRun struct {
	next, at int64
	whole    bool // it was not cut short
}

// history is a log, and all that was ever done to it.
type history struct {
	*fixture
	r     *rand.Rand
	facts []fact
	there []bool // by fact
	runs  []pastRun
	// slack is how much longer a tombstone may stay, in microseconds.
	slack int64
	// unsure: the clock has jumped back, or a note was lost: tombstones may stay
	// longer than can be said.
	unsure   bool
	large    bool // values are
	deleting bool // retention is tried, too
	values   int
	// floor is the first offset that retention has left, and old what was appended
	// before that may go by retention.
	floor, old int64
}

func (h *history) fact() (f fact) {
	r := h.r
	f.key = r.IntN(len(spellings)+2) - 2
	h.values++
	value := strconv.Itoa(h.values)
	switch n := r.IntN(10); {
	case n < 2:
		value = fmt.Sprintf(`{"n":%d,"of":{"key":1,"value":null}}`, h.values)
	case n == 2 && h.large:
		b := make([]byte, 1+r.IntN(30_000))
		for i := range b {
			b[i] = byte('a' + r.IntN(26))
		}
		value = fmt.Sprintf(`"%d%s"`, h.values, b)
	case n >= 8:
		value, f.tombstone = "null", f.key >= 0
	}
	var members []string
	if r.IntN(4) == 0 && f.key != -2 { // with a key that is null all of it is a value
		at := h.now().Add(time.Duration(r.IntN(1000)-500) * time.Hour).UTC().Truncate(time.Second)
		members = append(members, `"time":"`+at.Format(time.RFC3339)+`"`)
	}
	switch {
	case f.key >= 0:
		all := spellings[f.key]
		members = append(members, `"key":`+all[r.IntN(len(all))])
	case f.key == -2:
		members = append(members, `"key":null`)
	}
	f.line = "{" + strings.Join(append(members, `"value":`+value), ",") + "}"
	return f
}

// append appends some events, as a new process, whose disk may fail it if it may fail.
func (h *history) append(mayFail bool) {
	batch := make([]fact, 1+h.r.IntN(8))
	lines := make([]string, len(batch))
	for i := range batch {
		batch[i] = h.fact()
		lines[i] = batch[i].line
	}
	if mayFail && h.r.IntN(15) == 0 {
		h.m.FailIf(1, func(o vfstest.Op) bool { return o.Kind == vfstest.Sync && strings.HasSuffix(o.Name, ".zst") }, syscall.EIO, false)
	}
	add, done := h.appender()
	ack, err := add(lines...)
	done()
	h.m.FailIf(0, nil, nil, false)
	if err != nil && !errors.Is(err, syscall.EIO) {
		h.t.Fatal(err)
	}
	// What was not acknowledged is there wholly or not at all.
	for i, s := range h.seen() {
		if n := len(h.facts); n > 0 && s.offset <= h.facts[n-1].offset {
			continue
		}
		if i = slices.Index(lines, s.line); i < 0 {
			h.t.Fatalf("%s: nobody appended it", s.line)
		}
		if err == nil && (s.offset != ack.Offset+int64(i) || s.appended != ack.Appended) {
			h.t.Fatalf("%+v: acknowledged as %+v", s, ack)
		}
		lines, batch[i].readEvent = slices.Replace(lines, i, i+1, ""), s
		h.facts, h.there = append(h.facts, batch[i]), append(h.there, true)
	}
	if left := strings.Join(lines, ""); err == nil && left != "" {
		h.t.Fatalf("%s: is not there", left)
	}
}

func (h *history) seen() []readEvent {
	h.t.Helper()
	all, err := h.read(eventlog.ReadOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// look reads the log, of which each event must be one that was there, and returns
// which are. A reader from the start must have the latest of each key in the end, and
// none of a key that was deleted.
func (h *history) look() []bool {
	h.t.Helper()
	h.floor = h.segments()[0].Base
	there := make([]bool, len(h.facts))
	i := 0
	latest := map[int]readEvent{}
	for _, s := range h.seen() {
		for i < len(h.facts) && h.facts[i].offset < s.offset {
			i++
		}
		if i == len(h.facts) || h.facts[i].readEvent != s {
			h.t.Fatalf("%+v was never appended", s)
		}
		if !h.there[i] {
			h.t.Fatalf("%+v is there again", s)
		}
		there[i] = true
		latest[h.facts[i].key] = s
	}
	want := map[int]fact{}
	for _, f := range h.facts {
		if f.key >= 0 && f.offset >= h.floor {
			want[f.key] = f
		}
	}
	for key, f := range want {
		if got := latest[key]; got != f.readEvent && !(f.tombstone && got == (readEvent{})) {
			h.t.Fatalf("the latest of key %d is %+v, not %+v", key, got, f)
		}
	}
	return there
}

// fate is what becomes of an event.
type fate int

const (
	goes fate = iota
	may       // stay or go
	stays
)

// fates say what becomes of each event in a run, of which the first n are looked
// at.
func (h *history) fates(o Options) (all []fate, n int) {
	now := h.clock.Load()
	h.old = 0
	if o.Delete {
		h.old = now - o.RetainAge.Microseconds()
	}
	for n < len(h.facts) && (o.MinLag == 0 || h.facts[n].appended <= now-o.MinLag.Microseconds()) {
		n++
	}
	all = make([]fate, len(h.facts))
	of := map[int][]int{}
	for i, f := range h.facts {
		switch {
		case !h.there[i]:
		case i >= n || f.key < 0:
			all[i] = stays
		default:
			of[f.key] = append(of[f.key], i)
		}
	}
	for _, ns := range of {
		newest := 0
		for j, n := range ns {
			if h.facts[n].tombstone {
				newest = j
			}
		}
		for j, n := range ns {
			if j < newest || len(ns)-j > o.Keep {
				continue
			}
			all[n] = stays
			if h.facts[n].tombstone {
				all[n] = h.tombstone(n, now-o.Tombstones.Microseconds())
			}
		}
	}
	return all, n
}

// tombstone says what becomes of a tombstone if those go that were first covered at
// the time since or before.
func (h *history) tombstone(n int, since int64) fate {
	is := stays
	seen := false
	for _, run := range h.runs {
		covers := run.next > h.facts[n].offset
		// Once it was covered a clock that is set back counts, whatever a run covers.
		if seen = seen || covers; seen && run.at <= since {
			is = may
		}
		if covers && run.whole {
			if run.at+h.slack <= since && !h.unsure {
				return goes
			}
			if !h.unsure {
				break
			}
		}
	}
	return is
}

func (h *history) somehow() Options {
	r := h.r
	o := Options{
		Compact: true, Keep: 1 + r.IntN(3)*r.IntN(2),
		Tombstones: []time.Duration{0, 30 * time.Second, time.Hour}[r.IntN(3)],
		MinLag:     []time.Duration{0, 0, 0, 5 * time.Second, 2 * time.Minute}[r.IntN(5)],
		Memory:     []int64{0, 1 << 20}[r.IntN(2)],
	}
	if h.deleting && r.IntN(3) == 0 {
		o.Delete, o.RetainAge = true, time.Duration(1+r.IntN(600))*10*time.Second
	}
	return o
}

// settle compares what is there with what is to become of it.
func (h *history) settle(fates []fate, whole bool) []bool {
	h.t.Helper()
	there := h.look()
	for i, is := range there {
		f := h.facts[i]
		switch {
		case !is && fates[i] == stays && !(f.offset < h.floor && f.appended < h.old):
			h.t.Fatalf("%+v is gone", f)
		case is && fates[i] == goes && whole:
			h.t.Fatalf("%+v is still there", f)
		}
	}
	return there
}

func (h *history) cover(o Options, n int, whole bool) {
	next := int64(0)
	if n > 0 {
		next = h.facts[n-1].offset + 1
	}
	h.runs = append(h.runs, pastRun{next, h.clock.Load(), whole})
	h.slack = max(h.slack, o.Tombstones.Microseconds()/64)
}

// compact runs to the end, and says beforehand what it does.
func (h *history) compact(o Options) {
	h.t.Helper()
	fates, n := h.fates(o)
	files := h.files()
	o.DryRun = true
	dry := h.run(o)
	if c := changed(files, h.files()); len(c) > 0 {
		h.t.Fatalf("%v: changed by a dry run", c)
	}
	o.DryRun = false
	was := h.there
	report := h.run(o)
	if report != dry {
		h.t.Fatalf("%+v\nsaid %+v\ndid  %+v", o, dry, report)
	}
	h.there = h.settle(fates, true)
	h.cover(o, n, true)
	want := report
	want.EventsBefore, want.EventsAfter, want.Tombstones = 0, 0, 0
	looked, all := map[int]bool{}, map[int]bool{}
	for i, f := range h.facts {
		if was[i] {
			want.EventsBefore++
			if h.there[i] {
				want.EventsAfter++
			} else if f.tombstone && f.offset >= h.floor {
				want.Tombstones++
			}
		}
		if h.there[i] && f.key >= 0 {
			all[f.key] = true
			looked[f.key] = looked[f.key] || i < n
		}
	}
	maps.DeleteFunc(looked, func(_ int, is bool) bool { return !is })
	// A run with nothing to do knows them from one that may have looked at more.
	if report != want || report.Keys < int64(len(looked)) || report.Keys > int64(len(all)) {
		h.t.Fatalf("%+v\ntold %+v\nwant %+v with %d to %d keys", o, report, want, len(looked), len(all))
	}
	// Once more there is nothing to do, unless what is left of a segment is too old now.
	if files = h.files(); o.Tombstones > 0 && !o.Delete {
		h.run(o)
		if c := changed(files, h.files()); len(c) > 0 {
			h.t.Fatalf("%v: changed by a second run", c)
		}
	}
}

// crash cuts runs short, in several ways, each of which is mended by another run. It
// goes on behind one of them.
func (h *history) crash(o Options) {
	h.t.Helper()
	fates, n := h.fates(o)
	from := len(h.m.Log())
	h.run(o)
	to := len(h.m.Log())
	var left *history
	for k := range 5 {
		how := []vfstest.Loss{vfstest.KeepAll(), vfstest.KeepTorn(), vfstest.LoseAll(), vfstest.Ordered(h.r.Uint64()), vfstest.Random(h.r.Uint64())}[k]
		at := from + h.r.IntN(to-from+1)
		c := *h
		c.fixture = h.on(h.m.Crash(at, how))
		c.runs = slices.Clone(h.runs)
		c.there = c.settle(fates, false)
		c.tidy()
		c.there = c.settle(fates, false)
		c.cover(o, n, false)
		c.facts = slices.Clip(c.facts)
		c.append(false) // who appends next ends what a writer has begun
		if left == nil || h.r.IntN(2) == 0 {
			l := c
			l.fixture = c.killed()
			left = &l
		}
		c.compact(c.somehow())
	}
	*h = *left
}

// tidy removes what a run that was cut short has left. A dry run cannot, and so says
// something else before.
func (h *history) tidy() {
	h.t.Helper()
	o := h.somehow()
	o.DryRun = true
	files := h.files()
	h.run(o)
	if c := changed(files, h.files()); len(c) > 0 {
		h.t.Fatalf("%v: changed by a dry run", c)
	}
	m, err := h.open().Maintain(context.Background(), 0, eventlog.MaintainOptions{})
	if err == nil {
		_, err = m.Segments()
		m.Close()
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) step() {
	switch n := h.r.IntN(20); {
	case n < 9:
		h.append(true)
	case n < 12:
		h.seal()
	case n < 14:
		h.pass(time.Duration(h.r.IntN(20_000)) * time.Millisecond)
	case n < 15:
		switch h.r.IntN(4) {
		case 0:
			h.pass(-time.Duration(h.r.IntN(3000)) * time.Second)
			h.unsure = true
		case 1:
			h.m.WriteFile(noteFile, []byte("{}\n"))
			h.unsure = true
		default:
			h.pass(time.Duration(h.r.IntN(5000)) * time.Second)
		}
	case n < 19:
		h.compact(h.somehow())
	default:
		h.crash(h.somehow())
	}
}

// After each run exactly those events are there that must be, whatever has happened
// before; a run that is cut short has done a part of that. The state that a reader
// gets is always that of all that was ever appended, and what was deleted stays so.
func TestRunHistories(t *testing.T) {
	first, n, steps := uint64(0), 12, 40
	if s := os.Getenv("COMPACT_HISTORY"); s != "" { // the one that has failed
		first, _ = strconv.ParseUint(s, 10, 64)
		n = 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		h := &history{fixture: newFixture(t), r: rand.New(rand.NewPCG(seed, 6)), large: seed%4 == 0, deleting: seed%3 == 0}
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("history %d", seed)
				}
			}()
			for range steps {
				h.step()
				h.fixture = h.killed()
			}
			h.mustVerify()
		}()
	}
}

// mustVerify checks that the log is sound.
func (h *history) mustVerify() {
	h.t.Helper()
	v, err := h.open().Verify(context.Background(), 0, eventlog.VerifyOptions{Damaged: func(d *event.DamagedError) { h.t.Error(d) }})
	if err != nil || v.LostEvents != 0 {
		h.t.Fatalf("%+v, %v", v, err)
	}
}
