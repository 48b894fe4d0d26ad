package scan

import (
	"context"
	"errors"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"sync"

	"logtools/pkg/expr"
	"logtools/pkg/stream"
)

// ahead reads and parses the inputs of a merge ahead of the merger.
//
// Every input has one block at least at work or ready, else the merger could not
// go on. Beyond that, a few blocks may be ahead, whichever the merger needs
// soonest: those of the inputs whose last known event is the earliest. So a few
// blocks are enough, whether all inputs are used up side by side or one after
// the other.
//
// A goroutine reads each block, since a live input may take its time over it;
// parsing is left to as many workers as there are cores.
type ahead struct {
	ctx     context.Context
	engine  *engine
	inputs  []*mergeInput
	wg      sync.WaitGroup
	workers []*worker

	mu      sync.Mutex
	work    *sync.Cond  // a block waits for a worker
	parsed  *sync.Cond  // the input that the merger waits for has something
	waiting *mergeInput // that input
	closing bool
	spare   int         // blocks that may yet be ahead
	free    []*mergeJob // without buffers
	buffers []buffers   // for blocks
	keep    int         // at most so many of them
}

// buffers are what a block is read and joined into.
type buffers struct{ data, joined []byte }

// mergeInput is one input. The merger owns the fields of the first part, the
// lock protects the others.
type mergeInput struct {
	index    int
	blocks   stream.Blocks
	head     *mergeJob // the block whose events come next
	at       int       // in marks: the event that comes next
	bad      int       // in bad lines of head: the next one
	lines    int64     // before head
	last     mark      // the last event before head, if begun
	begun    bool
	unsorted bool

	queue   []*mergeJob // blocks that were read, the head included
	taken   int         // of them: given to workers
	open    int         // of them: not parsed
	reading bool
	ended   bool
	// The time of the last event that was parsed, and that of all events of a
	// block, in seconds: for guessing how far blocks will reach.
	reach, span float64
}

// mergeJob is a block of a merge on its way round.
type mergeJob struct {
	job
	marks []mark
	// dip is the first event that is earlier than the one before it in the
	// block; 0 if there is none.
	dip  int
	done bool // parsed
}

// mark is an event with output: its time, its line in the block, and where it
// ends in Out and Ends.
type mark struct {
	sec       int64
	nsec      int32
	line      int32 // a block has less than 1 GiB
	out, ends int
}

func (k *mark) earlier(g *mark) bool { return k.sec < g.sec || k.sec == g.sec && k.nsec < g.nsec }

func (k *mark) seconds() float64 { return float64(k.sec) + float64(k.nsec)/1e9 }

// errEnded says that the reason why the run ended is what ahead.close returns.
var errEnded = errors.New("ended")

func newAhead(ctx context.Context, cancel context.CancelFunc, o Options, q *Query, inputs []stream.Blocks, newOperator func() Operator) *ahead {
	n := o.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	a := &ahead{
		ctx:    ctx,
		engine: &engine{o: o, q: q, inputs: make(map[int]*input), cancel: cancel},
		spare:  2*n + 2,
		keep:   2*n + 2,
	}
	a.engine.moved = sync.NewCond(&a.engine.mu)
	a.work, a.parsed = sync.NewCond(&a.mu), sync.NewCond(&a.mu)
	for i, b := range inputs {
		a.inputs = append(a.inputs, &mergeInput{index: i, blocks: b, reach: math.Inf(-1)})
	}
	for range n { // before reading begins
		a.workers = append(a.workers, a.engine.newWorker(newOperator()))
	}
	context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.closing = true
		a.work.Broadcast()
		a.parsed.Signal()
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.workers {
		a.wg.Go(func() { a.run(w) })
	}
	a.readOn()
	return a
}

// close ends all goroutines. It returns why the run ended, if that was not the
// merger's doing.
func (a *ahead) close() error {
	err := a.ctx.Err()
	a.engine.cancel()
	a.mu.Lock()
	a.closing = true // so that nothing is begun any more
	a.mu.Unlock()
	a.wg.Wait()
	for _, w := range a.workers {
		a.engine.q.note(&w.stage)
	}
	if a.engine.err != nil {
		return a.engine.err
	}
	return err
}

// ready says whether the merger need not wait for an input's next block; it is
// then in.head, nil at the input's end or if the run has ended.
func (a *ahead) ready(in *mergeInput) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.readyLocked(in)
}

func (a *ahead) readyLocked(in *mergeInput) bool {
	switch {
	case a.closing:
		return true
	case len(in.queue) > 0:
		if in.queue[0].done {
			in.head, in.at, in.bad = in.queue[0], 0, 0
			return true
		}
		return false
	}
	return in.ended
}

// wait waits until ready would say yes.
func (a *ahead) wait(in *mergeInput) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = in
	for !a.readyLocked(in) {
		a.parsed.Wait()
	}
	a.waiting = nil
}

// release lets an input's head go.
func (a *ahead) release(in *mergeInput) {
	a.mu.Lock()
	defer a.mu.Unlock()
	j := in.head
	in.head = nil
	n := copy(in.queue, in.queue[1:])
	in.queue[n] = nil
	in.queue = in.queue[:n]
	in.taken--
	if in.held() > 0 {
		a.spare++
	}
	a.recycle(j)
	a.readOn()
}

// held is how many blocks of the input there are.
func (in *mergeInput) held() int {
	n := len(in.queue)
	if in.reading {
		n++
	}
	return n
}

// readOn begins to read what is needed next, as long as there is room.
func (a *ahead) readOn() {
	for !a.closing {
		var best *mergeInput
		var soonest float64
		for _, in := range a.inputs {
			if in.reading || in.ended {
				continue
			}
			if len(in.queue) == 0 {
				best = in // the merger cannot do without
				break
			}
			// Guessing how far the blocks reach that are not parsed yet.
			if t := in.reach + float64(in.open)*in.span; best == nil || t < soonest || t == soonest && len(in.queue) < len(best.queue) {
				best, soonest = in, t
			}
		}
		if best == nil || len(best.queue) > 0 && a.spare == 0 {
			return
		}
		if len(best.queue) > 0 {
			a.spare--
		}
		best.reading = true
		j := a.job()
		a.wg.Go(func() { a.read(best, j) })
	}
}

// read reads a block.
func (a *ahead) read(in *mergeInput, j *mergeJob) {
	defer recovered(func(p *panicError) { a.engine.fail(p) })
	err := in.blocks.Next(a.ctx, &j.block)
	if err != nil && err != io.EOF {
		a.engine.fail(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	in.reading = false
	if err == io.EOF {
		in.ended = true
		if len(in.queue) > 0 {
			a.spare++
		}
		a.recycle(j)
		if a.waiting == in {
			a.parsed.Signal()
		}
	} else {
		j.block.Input = in.index // each Blocks calls its only operand 0
		in.queue = append(in.queue, j)
		in.open++
		a.work.Signal()
	}
	a.readOn()
}

// run is a worker.
func (a *ahead) run(w *worker) {
	defer recovered(func(p *panicError) { a.engine.fail(p) })
	t := &timed{Operator: w.op, stage: &w.stage}
	w.op = t
	a.mu.Lock()
	for !a.closing {
		in := a.urgent()
		if in == nil {
			a.work.Wait()
			continue
		}
		j := in.queue[in.taken]
		in.taken++
		a.mu.Unlock() // also if parse panics
		t.parse(w, j)
		a.mu.Lock()
		a.done(in, j)
	}
	a.mu.Unlock()
}

// urgent returns the input of which a block should be parsed next; nil if there
// is none. Blocks of one input are begun in their order: they wait for each
// other at the input's gate.
func (a *ahead) urgent() (best *mergeInput) {
	var soonest float64
	for _, in := range a.inputs {
		if in.taken == len(in.queue) {
			continue
		}
		parsing := in.open - (len(in.queue) - in.taken)
		if t := in.reach + float64(parsing)*in.span; best == nil || t < soonest {
			best, soonest = in, t
		}
	}
	return best
}

// done takes note of a parsed block.
func (a *ahead) done(in *mergeInput, j *mergeJob) {
	j.done = true
	in.open--
	if n := len(j.marks); n > 0 {
		in.reach = j.marks[n-1].seconds()
		in.span = max(0, in.reach-j.marks[0].seconds())
	}
	if len(j.result.bad) == 0 && !j.block.Long {
		a.strip(j) // its lines are needed no more
	}
	if a.waiting == in {
		a.parsed.Signal()
	}
	a.readOn()
}

// job returns a job to read a block into.
func (a *ahead) job() *mergeJob {
	j := &mergeJob{}
	if n := len(a.free); n > 0 {
		j, a.free = a.free[n-1], a.free[:n-1]
	}
	if n := len(a.buffers); n > 0 { // the last one, which is still in the cache
		b := a.buffers[n-1]
		a.buffers = a.buffers[:n-1]
		j.block.Buf, j.joined = b.data, b.joined
	}
	return j
}

// mergeKeep is the largest memory for output that is kept for the next block.
const mergeKeep = 4 << 20

func (a *ahead) recycle(j *mergeJob) {
	a.strip(j)
	if cap(j.result.Out) > mergeKeep {
		j.result.Out = nil
	}
	j.done = false
	a.free = append(a.free, j)
}

// strip takes the buffers away from a job. Not many are kept: in the beginning
// all inputs are read at once.
func (a *ahead) strip(j *mergeJob) {
	b := buffers{j.block.Buf, j.joined}
	j.block.Buf, j.block.Data, j.joined = nil, nil, nil
	if b.data != nil && cap(b.joined) <= mergeKeep && len(a.buffers) < a.keep {
		a.buffers = append(a.buffers, b)
	}
}

// timed is a worker's operator in a merge: it notes each event's time and where
// its output ends.
type timed struct {
	Operator
	stage *stage
	marks []mark
}

func (t *timed) Event(it *Item, r *expr.Runner, out *Result) error {
	if !t.stage.has {
		return errNoTime
	}
	n, ends := len(out.Out), len(out.Ends)
	if err := t.Operator.Event(it, r, out); err != nil {
		return err
	}
	if len(out.Out) > n || len(out.Ends) > ends {
		at := &t.stage.at
		t.marks = append(t.marks, mark{at.Sec, at.Nsec, int32(it.line), len(out.Out), len(out.Ends)})
	}
	return nil
}

// parse runs the chain on a block and marks its events.
func (t *timed) parse(w *worker, j *mergeJob) {
	t.marks = j.marks[:0]
	if r := &j.result; cap(r.Out) == 0 { // in one piece what most blocks need
		r.Out = make([]byte, 0, len(j.block.Data)+len(j.block.Data)/8)
	}
	w.block(&j.job)
	j.marks, t.marks = t.marks, nil
	j.dip = 0
	for i := 1; i < len(j.marks); i++ {
		if j.marks[i].earlier(&j.marks[i-1]) {
			j.dip = i
			break
		}
	}
	i := 0
	for k := range j.result.bad {
		b := &j.result.bad[k]
		for i < len(j.marks) && int64(j.marks[i].line) < b.line {
			i++
		}
		b.events = i // in marks, which are there also where Ends are not noted
	}
}

// recovered is to be deferred: it passes on a panic.
func recovered(tell func(*panicError)) {
	if v := recover(); v != nil {
		tell(&panicError{v, debug.Stack()})
	}
}
