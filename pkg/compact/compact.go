package compact

import (
	"context"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"logtools/pkg/eventlog"
)

// Options say what is done to a partition.
type Options struct {
	// Compact: of each key only the newest Keep (1 or more) events stay, and nothing
	// older than its newest tombstone; events without key stay. Tombstones is how long
	// a tombstone stays after the run that first covered it.
	Compact    bool
	Keep       int
	Tombstones time.Duration
	// MinLag: events that were appended less than this ago are left alone, by Delete, too.
	MinLag time.Duration
	// Delete: segments go, the oldest first, whose events are all older than RetainAge,
	// and those without which RetainBytes are left; 0 is no limit.
	Delete      bool
	RetainAge   time.Duration
	RetainBytes int64
	// Memory is about how much memory is used, in bytes; beyond it temporary files are.
	Memory int64
	// DryRun: nothing is changed, and the Report says what would be.
	DryRun bool
	// LockTimeout is how long to wait for another process's lock before it is an error
	// (*eventlog.LockError); 0 is for ever.
	LockTimeout time.Duration
	// TempDir is where temporary files are; "" is the system's directory for them.
	TempDir string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Progress is called now and then, by one goroutine at a time, with the bytes dealt
	// with so far, and about how many there are; nil is nobody.
	Progress func(done, total int64)
}

// Report says what was done to a partition, or with DryRun what would be.
type Report struct {
	Partition                 int
	EventsBefore, EventsAfter int64
	BytesBefore, BytesAfter   int64 // of the segments on the disk
	// Keys is how many keys have an event afterwards; less than 0 if that was not
	// asked for, since nothing was compacted.
	Keys int64
	// Tombstones is how many were removed.
	Tombstones int64
	// Changed: something was done to the partition.
	Changed bool
	// Steps is how many segments were to be removed or rewritten, Done how many were.
	// If the run ended before it knew what is to be rewritten, Steps is the most it can be.
	Steps, Done int
}

// RulesError says that a log has rules: what they rest upon must stay.
type RulesError struct{ Path string }

func (e *RulesError) Error() string {
	return e.Path + ": has rules, and so nothing of it can be removed"
}

// Hint says what can be done.
func (e *RulesError) Hint() string {
	return "logcat " + e.Path + " | logappend NEW makes a log without rules of it"
}

// Run does to a partition what o says. The error of a log with rules is a *RulesError,
// and damage an *event.DamagedError: then no event is removed of what is compacted. When
// ctx is done it ends between two steps, with its error. Whatever the error is, the log
// is correct, and the Report says what was done up to then.
func Run(ctx context.Context, l *eventlog.Log, partition int, o Options) (Report, error) {
	report := Report{Partition: partition, Keys: -1}
	if r := l.Settings().Rules; !r.None() {
		return report, &RulesError{l.Path()}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m, err := l.Maintain(ctx, partition, eventlog.MaintainOptions{LockTimeout: o.LockTimeout, DryRun: o.DryRun})
	if err != nil {
		return report, err
	}
	defer m.Close()
	r := &runner{ctx: ctx, l: l, m: m, o: o, report: report, now: o.Now().UnixMicro()}
	return r.run()
}

// runner is one run over a partition.
type runner struct {
	ctx context.Context
	l   *eventlog.Log
	m   *eventlog.Maintenance
	o   Options
	now int64 // microseconds since 1970

	report      Report
	done, total int64 // bytes, for Progress
	telling     sync.Mutex
	told        int64 // what Progress was told last

	segments []eventlog.Segment // the last one is active
	note     note               // of the last run
	// Of the pass over the keys: what stays, and the number of the first event of each
	// segment, and of the first one behind them.
	alive  *alive
	starts []int64
	copied bool // what does not stay is gone
	// next is the offset up to which was compacted, and pending when the first event
	// behind it was appended; 0: there is none in a sealed segment.
	next, pending int64
}

func (r *runner) run() (Report, error) {
	var err error
	if r.segments, err = r.m.Segments(); err != nil {
		return r.report, err
	}
	r.report.EventsBefore, r.report.BytesBefore = totals(r.segments)
	r.report.EventsAfter, r.report.BytesAfter = r.report.EventsBefore, r.report.BytesBefore
	if err := r.note.read(r.m, r.l); err != nil {
		return r.report, err
	}
	if r.idle() {
		if r.o.Compact {
			r.report.Keys = r.note.Keys
		}
		return r.report, nil
	}
	err = r.steps()
	// Also after an error: what was done is to be told.
	segments, lookErr := r.m.Segments()
	if lookErr == nil {
		r.segments = segments
		r.report.EventsAfter, r.report.BytesAfter = totals(segments)
	}
	if err == nil {
		err = lookErr
	}
	r.report.Changed = r.report.Done > 0
	if err != nil {
		return r.report, err
	}
	if !r.o.Compact {
		return r.report, nil
	}
	r.report.Keys, r.report.Tombstones = r.alive.keys, r.alive.tombstones
	return r.report, r.remember()
}

func totals(segments []eventlog.Segment) (events, bytes int64) {
	for i := range segments {
		events += segments[i].Events
		bytes += segments[i].Bytes
	}
	return events, bytes
}

// sealed are the segments that can be replaced.
func (r *runner) sealed() []eventlog.Segment { return r.segments[:len(r.segments)-1] }

func (r *runner) active() *eventlog.Segment { return &r.segments[len(r.segments)-1] }

// cutoff is the time of the last append that is compacted.
func (r *runner) cutoff() int64 {
	if r.o.MinLag <= 0 {
		return math.MaxInt64 // also what a clock that was wrong has put into the future
	}
	return r.now - r.o.MinLag.Microseconds()
}

// oldest is the time of the first append that retention does not look at; 0: none is
// too old.
func (r *runner) oldest() int64 {
	if !r.o.Delete || r.o.RetainAge <= 0 {
		return 0
	}
	return r.now - r.o.RetainAge.Microseconds()
}

// retained is how many bytes retention leaves at least; 0: all.
func (r *runner) retained() int64 {
	if !r.o.Delete {
		return 0
	}
	return r.o.RetainBytes
}

// share is the part of what is retained that a segment may span, so that what is
// retained is never much more than was asked for.
const share = 8

// due says whether a new active segment is to be begun, so that the present one can be
// dealt with.
func (r *runner) due() bool {
	a := r.active()
	switch {
	case a.Next == a.Base:
		return false
	case r.o.Compact && a.First <= r.cutoff():
		return true
	case !r.o.Delete:
		return false
	case r.o.RetainAge > 0 && a.First < r.now-r.o.RetainAge.Microseconds()/share:
		return true
	case r.o.RetainBytes > 0 && a.Bytes >= r.o.RetainBytes/share:
		return true
	}
	// One event a minute makes many units before it makes a large segment.
	return a.Units >= manyUnits && tiny(a.Units, a.Raw)
}

// manyUnits is how many tiny units the active segment may have.
const manyUnits = 1000

// idle says that there is nothing to do.
func (r *runner) idle() bool {
	if r.due() || r.tooOld() > 0 {
		return false
	}
	if !r.o.Compact {
		return len(plan(r.pieces(), r.bounds())) == 0
	}
	return r.note.holds(r.sealed()) && r.note.Keep <= r.o.Keep &&
		(r.note.Pending == 0 || r.note.Pending > r.cutoff()) && !r.expires()
}

// expiredBelow is the offset before which all tombstones have been covered for so long
// that they go, and when the run was that covered them.
func (r *runner) expiredBelow() (below, at int64) {
	for _, c := range r.note.Covered {
		if c.At <= r.now-r.o.Tombstones.Microseconds() && c.Next > below {
			below, at = c.Next, c.At
		}
	}
	return below, at
}

func (r *runner) expires() bool {
	below, _ := r.expiredBelow()
	return below > 0
}

// tooOld returns how many of the sealed segments go by retention.
func (r *runner) tooOld() int {
	if !r.o.Delete {
		return 0
	}
	ps := r.pieces()
	// What is left alone by --min-lag is left alone by retention, too.
	n := sort.Search(len(ps), func(i int) bool { return ps[i].last > r.cutoff() })
	others := int64(0)
	if r.active().Events > 0 {
		others = r.active().Bytes
	}
	for i := n; i < len(ps); i++ {
		others += ps[i].bytes
	}
	return expired(ps[:n], others, r.oldest(), r.retained())
}

// pieces are the sealed segments as the plan sees them.
func (r *runner) pieces() []piece {
	var all []piece
	for i, s := range r.sealed() {
		p := piece{
			bytes: s.Bytes, units: s.Units, raw: s.Raw, events: s.Events, stay: s.Events,
			next: s.Next, first: s.First, last: s.Last, apart: s.Apart,
		}
		if r.alive != nil && !r.copied {
			from, to := r.starts[i], r.starts[i+1]
			p.stay -= to - from - r.alive.count(from, to)
		}
		all = append(all, p)
	}
	return all
}

func (r *runner) bounds() bounds {
	b := bounds{bytes: r.l.Settings().SegmentBytes}
	if n := r.retained(); n > 0 {
		b.bytes = min(b.bytes, n/share)
	}
	if r.o.Delete {
		b.age = r.o.RetainAge.Microseconds() / share
	}
	return b
}

// steps does what there is to do, one step at a time.
func (r *runner) steps() (err error) {
	if r.due() {
		if err := r.m.Seal(); err != nil {
			return err
		}
		if r.segments, err = r.m.Segments(); err != nil {
			return err
		}
	}
	if r.o.Compact { // the most that it can be, until the plan is known
		r.report.Steps = len(r.sealed())
	}
	if err := r.retain(); err != nil {
		return err
	}
	if r.o.Compact {
		for i := range r.sealed() {
			r.total += r.segments[i].Bytes
		}
		if err := r.findKeys(); err != nil {
			return err
		}
	}
	runs := plan(r.pieces(), r.bounds())
	r.report.Steps = r.report.Done
	for len(runs) > 0 {
		if err := r.rewrite(runs); err != nil {
			return err
		}
		// How large they would become was a guess.
		if r.segments, err = r.m.Segments(); err != nil {
			return err
		}
		r.copied = true
		if r.alive != nil && r.o.DryRun { // what went is still there to be read
			for _, one := range slices.Backward(runs) {
				r.starts = slices.Delete(r.starts, one.first+1, one.first+one.n)
			}
		}
		runs = slices.DeleteFunc(plan(r.pieces(), r.bounds()), func(one run) bool { return one.n == 1 })
	}
	if r.o.Compact {
		return nil // what has become old goes with the next run: its keys were counted
	}
	return r.retain()
}

// retain removes what goes by retention.
func (r *runner) retain() error {
	old := r.tooOld()
	r.report.Steps = max(r.report.Steps, r.report.Done+old)
	for range old {
		if err := r.m.Remove(r.segments[0]); err != nil {
			return err
		}
		r.segments = r.segments[1:]
		r.report.Done++
	}
	return nil
}

// rewrite carries out a plan.
func (r *runner) rewrite(runs []run) error {
	for _, run := range runs {
		r.report.Steps += run.n
		for i := range run.n {
			r.total += r.segments[run.first+i].Bytes
		}
	}
	for _, run := range runs {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if err := r.replace(run); err != nil {
			return err
		}
		r.report.Done += run.n
	}
	return nil
}

// progress says that n of the bytes of a step were dealt with. Several goroutines call
// it, which learn of n in any order.
func (r *runner) progress(n int64) {
	if r.o.Progress == nil {
		return
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	r.told = max(r.told, r.done+n)
	r.o.Progress(r.told, max(r.total, r.told))
}
