// Package scan is the parallel engine for bounded and live input: blocks of
// lines go in, an operator sees the events, and what it makes of them comes
// out in the order of the input.
//
// A worker per core takes a block, parses its lines, and runs the whole chain
// (filters, programs, the operator) on each event while the block is warm in
// its cache; nothing is handed from core to core but whole blocks. Results are
// put in order again by their block's number, so output, messages and line
// numbers are the same however many workers there are. Operators that only
// count keep a partial state per worker and merge them at the end.
//
// Memory: a fixed number of blocks is in flight (two more than workers),
// whatever the size of the input, each with no more than 4 MiB of output and that
// of one event: a block that makes more of its lines hands it on in parts.
package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/stream"
)

// ErrStop is returned by a Sink to end the run early without an error.
var ErrStop = errors.New("stop")

// Operator is one worker's part of what a command does with events.
type Operator interface {
	// Event is called for each event that passed the Query. Everything in it
	// is valid until Event returns, except that what lies in the block (not
	// built by a program or a lazy format) is valid until EndBlock. r is the
	// worker's runner: results of programs are valid until Event returns.
	// A *event.BadError makes the line a bad line; any other error ends the
	// run. What was appended to out before an error is taken back.
	Event(it *Item, r *expr.Runner, out *Result) error
	// EndBlock is called after the last event of each block, and for every
	// block, also those without events.
	EndBlock(out *Result)
}

// Result is what an operator made of one block, or of a part of one.
type Result struct {
	// Out is output, and Ends where each event's part of it ends, if the
	// operator notes it.
	Out  []byte
	Ends []int
	// Seq is the block's number: the blocks of a run are numbered from 0
	// without gaps. Parts of a block have the same.
	Seq int64
	// Name is what messages call the block's input, and FirstLine the number
	// of the block's first line there, from 1; both are only for the Sink.
	// Item.LineInBlock counts from that line. In a log lines have their offsets for
	// numbers, and Name is that of the partition.
	Name      string
	FirstLine int64
	// Live: all that followed inputs held when reading began has come before
	// (see stream.Block); only for the Sink.
	Live bool
	// Input is the number of the block's input, and Pos says where its lines lie if
	// it is one of a log; both are only for the Sink of Run, and Pos is valid until
	// Block returns.
	Input int
	Pos   *stream.Positions
	// Spans say which lines of a log Out is made of, in their order, if
	// Options.Spans asks for that.
	Spans []Span

	lines int64
	bad   []badLine
}

// Take says that only the first n events (by Ends) of the result were wanted:
// lines after them are as if they had not been read.
func (r *Result) Take(n int) {
	for k, b := range r.bad {
		if b.events >= n {
			r.bad = r.bad[:k]
			return
		}
	}
}

func (r *Result) empty() {
	r.Out, r.Ends, r.Spans, r.bad = r.Out[:0], r.Ends[:0], r.Spans[:0], r.bad[:0]
}

type badLine struct {
	line   int64 // in the block, from 0; before it (see input.carry) less than 0
	events int   // in Ends before it
	reason error
	raw    []byte // in the block
}

// Sink takes the results in the order of the input, one call at a time.
type Sink interface {
	// Block takes a block's result, before the bad lines in it; that of one with
	// much output in parts, each with its bad lines, one after the other. It must
	// not keep it. ErrStop ends the run, after the bad lines.
	Block(r *Result) error
	// Bad takes a bad line: the operand's name, the line's number from 1, the
	// reason and its bytes. ErrStop ends the run. It is called after Block for
	// the block that the line is in (see Options.StopAtBad).
	Bad(name string, line int64, reason error, raw []byte) error
	// LongPart takes a piece of a line over the limit, of which Bad is called
	// (with no bytes) after the last piece.
	LongPart(p []byte) error
	// Failed takes the error of one input; the others go on, and what follows of
	// this one, unless it returns an error, which ends the run.
	Failed(name string, err error) error
}

// Options say how to read.
type Options struct {
	Format *parse.Format // nil: detect it for each input
	// MaxLine is only for the message about longer lines.
	MaxLine int64
	// StopAtBad: the run ends at the first bad line.
	StopAtBad bool
	// Workers is the number of workers; 0 means one per core.
	Workers int
	// Lossy is parse.Options.Lossy.
	Lossy bool
	// Spans: results of lines of logs have their Spans. It is for Run only.
	Spans bool

	part int // partSize, or less for tests
}

// partSize is how many bytes of output make a part of a block's result. Output
// is seldom longer than the block; but short records with long names may be.
const partSize = 4 << 20

// partBad is how many bad lines make a part: each takes some 100 bytes.
const partBad = 16 << 10

// Run reads all blocks. newOperator is called once per worker, before reading
// begins. It returns nil if the input was read to its end or the sink stopped
// the run.
func Run(ctx context.Context, o Options, q *Query, in stream.Blocks, newOperator func() Operator, sink Sink) error {
	n := o.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	q.prepare()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := &engine{o: o, q: q, in: in, inputs: make(map[int]*input), cancel: cancel, free: make(chan *job, n+2)}
	if e.o.part == 0 {
		e.o.part = partSize
	}
	e.moved, e.turned = sync.NewCond(&e.mu), sync.NewCond(&e.collecting)
	defer context.AfterFunc(ctx, func() {
		e.collecting.Lock() // nobody is between looking at ctx and waiting
		defer e.collecting.Unlock()
		e.turned.Broadcast()
	})()
	e.collector = collector{sink: sink, waiting: make(map[int64]*job), lines: make(map[int]int64), maxLine: o.MaxLine}
	for range n + 2 {
		e.free <- &job{}
	}
	var wg sync.WaitGroup
	var workers []*worker
	for range n {
		w := e.newWorker(newOperator())
		w.part = func(j *job) error { return e.collectPart(ctx, j) }
		workers = append(workers, w)
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
	for _, w := range workers {
		q.note(&w.stage)
	}
	switch err := e.err.(type) {
	case *panicError:
		panic(err)
	default:
		if errors.Is(err, ErrStop) {
			return nil
		}
		return err
	}
}

// job is a block and its result on their way round.
type job struct {
	block  stream.Block
	joined []byte // what was carried over from the block before, and the block's data
	result Result
	failed error // of the block's input
	fatal  error
}

// shrink gives up what an uncommonly long event or record has made large.
func (j *job) shrink() {
	const most = 2 * partSize
	if cap(j.result.Out) > most {
		j.result.Out = nil
	}
	if cap(j.joined) > most {
		j.joined = nil
	}
}

type engine struct {
	o      Options
	q      *Query
	in     stream.Blocks
	cancel context.CancelFunc
	free   chan *job

	mu     sync.Mutex
	moved  *sync.Cond // some input's turn was passed on, or its gate opened
	inputs map[int]*input
	err    error

	// Whoever has finished a block puts it into the collector and hands out
	// what is next in order: waking up a goroutine for that would cost more
	// than doing it.
	collecting sync.Mutex
	turned     *sync.Cond // another block is next, or the run has ended
	collector  collector
}

// fail ends the run with its first error.
func (e *engine) fail(err error) {
	e.mu.Lock()
	if e.err == nil {
		e.err = err
	}
	e.moved.Broadcast()
	e.mu.Unlock()
	e.cancel()
}

type worker struct {
	e  *engine
	op Operator
	// part hands on what there is of a result that has grown large, and empties
	// it; nil: results are to be whole. Its error ends the run.
	part    func(*job) error
	stage   stage
	event   event.Event
	clean   event.Clean
	parsers map[*parse.Format]parse.Parser
	slots   int
	passing passing

	// own is the parser of the input that was last read in a format whose
	// parsers serve one input only.
	own     parse.Parser
	owner   *input
	modTime time.Time // of the owner when its parser was made: more may be appended
	logs    *logLines // nil: not needed yet
}

func (e *engine) newWorker(op Operator) *worker {
	w := &worker{e: e, op: op, parsers: make(map[*parse.Format]parse.Parser), slots: e.q.Fields.Len(), passing: passingOf(op, e.q)}
	w.stage = stage{q: e.q, runner: expr.NewRunner()}
	w.stage.item.Event = &w.event
	return w
}

func (w *worker) run(ctx context.Context) {
	// A panic goes on in Run's caller, where there is somebody to tell the user.
	defer func() {
		if v := recover(); v != nil {
			w.e.fail(&panicError{v, debug.Stack()})
		}
	}()
	for {
		var j *job
		select {
		case j = <-w.e.free:
		case <-ctx.Done():
			w.e.fail(ctx.Err())
			return
		}
		err := w.e.in.Next(ctx, &j.block)
		if err == io.EOF {
			w.e.free <- j // the others need it no more, but may wait for one
			return
		}
		if err == nil {
			w.block(j)
			err = w.e.collect(ctx, j)
		}
		if err != nil {
			w.e.fail(err)
			return
		}
	}
}

// collect hands a finished job to the collector.
func (e *engine) collect(ctx context.Context, j *job) error {
	e.collecting.Lock()
	defer e.collecting.Unlock()
	if ctx.Err() != nil {
		return ctx.Err() // nothing comes after what ended the run
	}
	if err := e.collector.add(j, e.free); err != nil {
		e.fail(err) // while nobody else can collect
		return err
	}
	e.turned.Broadcast()
	return nil
}

// collectPart hands a part of an unfinished job's result to the collector when
// its block is next. Waiting for that cannot last: the block that is next is with
// a worker that does not wait here.
func (e *engine) collectPart(ctx context.Context, j *job) error {
	e.collecting.Lock()
	defer e.collecting.Unlock()
	for ctx.Err() == nil && e.collector.next != j.block.Seq {
		e.turned.Wait()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := e.collector.results(j); err != nil {
		e.fail(err)
		return err
	}
	j.result.empty()
	return nil
}

type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

// block runs the chain on every record of a block.
func (w *worker) block(j *job) {
	b, out := &j.block, &j.result
	out.empty()
	out.lines, out.Seq, j.failed, j.fatal = 0, b.Seq, nil, nil
	defer w.op.EndBlock(out)
	if b.Pos.InLog && b.Err == nil && !b.Live {
		w.logBlock(j)
		return
	}
	t := w.e.enter(j)
	// Where the records are the lines of the block, they are counted on the way.
	counted := t.records == 0 && t.line == 0 && len(t.data) == len(b.Data)
	if !counted && !b.Long && b.Err == nil {
		out.lines = countLines(b.Data)
	}
	if j.failed = t.err; t.err != nil || len(t.data) == 0 || t.in.format == nil {
		return
	}
	p := w.parser(t.in, b.ModTime)
	w.clean.Inspect(t.data)
	p.Block(w.clean)
	r := &w.stage.item
	r.Seq, r.line = uint64(b.Seq)<<32, t.line
	for data, records := t.data, t.records; len(data) > 0; {
		var record []byte
		lines, empty := int64(1), false
		switch {
		case records > 0:
			n := t.in.format.Next(data)
			record, data = dropEnd(data[:n]), data[n:]
			records -= n
			lines = 1 + int64(bytes.Count(record, newline))
			// Tabs alone are a record of tsv.
			empty = len(record) == 0 || len(record) == 1 && record[0] == '\r'
		default:
			if k := bytes.IndexByte(data, '\n'); k >= 0 {
				record, data = data[:k], data[k+1:]
			} else {
				record, data = data, nil
			}
			empty = blank(record)
		}
		if !empty && !w.record(j, t.in, p, record) {
			return
		}
		r.Seq++
		r.line += lines
	}
	if counted {
		out.lines = r.line
	}
}

// record runs the chain on one record; in is nil if it is of a log. It returns
// false if that ends the run.
func (w *worker) record(j *job, in *input, p parse.Parser, record []byte) bool {
	out, ev := &j.result, &w.event
	ev.Reset(w.slots)
	err := p.Parse(record, ev)
	if err == nil {
		var pass bool
		if pass, err = w.stage.apply(ev, p); pass && err == nil {
			n, ends := len(out.Out), len(out.Ends)
			if err = w.op.Event(&w.stage.item, w.stage.runner, out); err != nil {
				out.Out, out.Ends = out.Out[:n], out.Ends[:ends]
			} else if w.e.o.Spans && in == nil && (len(out.Out) > n || len(out.Ends) > ends) {
				out.Spans = append(out.Spans, Span{len(out.Out), w.stage.item.line, 1, max(1, len(out.Ends)-ends)})
			}
		}
	}
	if err == nil {
		return len(out.Out) < w.e.o.part || w.handOn(j)
	}
	bad, ok := err.(*event.BadError)
	if !ok {
		j.fatal = err
		return false
	}
	if guessed := w.e.o.Format == nil && in != nil; guessed && in.format.Name == "text" && bad.Hint == "" {
		err = &event.BadError{Reason: bad.Reason, Column: bad.Column, Hint: textHint}
	}
	out.bad = append(out.bad, badLine{w.stage.item.line, len(out.Ends), err, record})
	return !w.e.o.StopAtBad && (len(out.bad) < partBad || w.handOn(j))
}

// handOn hands on a part of the result. It returns false if the run has ended.
func (w *worker) handOn(j *job) bool { return w.part == nil || w.part(j) == nil }

// parser returns the worker's parser for an input that was last changed then.
func (w *worker) parser(in *input, modTime time.Time) parse.Parser {
	f := in.format
	o := parse.Options{Fields: &w.e.q.Fields, Zone: w.e.q.zone(), Lossy: w.e.o.Lossy}
	if f.PerInput {
		if w.owner != in || !w.modTime.Equal(modTime) {
			o.ModTime, o.Head = modTime, in.head
			w.own, w.owner, w.modTime = f.New(o), in, modTime
		}
		return w.own
	}
	p := w.parsers[f]
	if p == nil {
		p = f.New(o)
		w.parsers[f] = p
	}
	return p
}

// countLines counts the lines of data, of which the last may lack its end.
func countLines(data []byte) int64 {
	n := int64(bytes.Count(data, newline))
	if len(data) > 0 && data[len(data)-1] != '\n' {
		n++
	}
	return n
}

var newline = []byte{'\n'}

// dropEnd cuts off a record's line end.
func dropEnd(record []byte) []byte {
	if n := len(record); n > 0 && record[n-1] == '\n' {
		return record[:n-1]
	}
	return record
}

// textHint is for lines with which a program does not get along because they
// are strings.
const textHint = "the first lines are in no known format, so each line is a string; -i json and so on read it as what it should be (JSON over several lines: jq -c . first)"

// blank lines are skipped everywhere.
func blank(line []byte) bool {
	return len(line) == 0 || line[0] <= ' ' && len(bytes.TrimSpace(line)) == 0
}

// collector puts results in order.
type collector struct {
	sink    Sink
	maxLine int64
	waiting map[int64]*job
	next    int64         // number of the block that comes next
	lines   map[int]int64 // lines of each input that is not at its end, so far
}

func (c *collector) add(j *job, free chan<- *job) error {
	c.waiting[j.block.Seq] = j
	for {
		j := c.waiting[c.next]
		if j == nil {
			return nil
		}
		delete(c.waiting, c.next)
		c.next++
		if err := c.deliver(j); err != nil {
			return err
		}
		j.shrink()
		free <- j
	}
}

func (c *collector) deliver(j *job) error {
	b := &j.block
	if b.Last {
		defer delete(c.lines, b.Input)
	}
	if b.Err != nil {
		return c.sink.Failed(b.Name, b.Err)
	}
	if j.failed != nil {
		if err := c.sink.Failed(b.Name, j.failed); err != nil {
			return err
		}
	}
	if b.Long {
		if err := c.sink.LongPart(b.Data); err != nil {
			return err
		}
		if !b.LongEnd {
			return nil
		}
		lines := c.before(b) + 1
		c.lines[b.Input] = lines
		return c.sink.Bad(b.Name, lines, event.Bad("line is longer than %d bytes", c.maxLine), nil)
	}
	if err := c.results(j); err != nil {
		return err
	}
	c.lines[b.Input] += j.result.lines
	return j.fatal
}

// before returns how many lines of the block's input come before the block,
// which is next.
func (c *collector) before(b *stream.Block) int64 {
	if b.First {
		c.lines[b.Input] = 0
	}
	return c.lines[b.Input]
}

// results hands on what there is of the result of the block that is next.
func (c *collector) results(j *job) error {
	b, r := &j.block, &j.result
	lines := c.before(b)
	r.Name, r.FirstLine, r.Live, r.Input, r.Pos = b.Name, lines+1, b.Live, b.Input, &b.Pos
	if b.Pos.InLog {
		r.FirstLine = b.Pos.Base
	}
	stop := c.sink.Block(r)
	if stop != nil && stop != ErrStop {
		return stop
	}
	for _, bad := range r.bad {
		if err := c.sink.Bad(b.Name, numberOf(b, lines, bad.line), bad.reason, bad.raw); err != nil {
			return err
		}
	}
	return stop
}

// numberOf returns what messages call a line of a block, counted from 0, of an
// input of which that many lines came before: its number from 1, in a log its
// offset.
func numberOf(b *stream.Block, before, line int64) int64 {
	if b.Pos.InLog {
		return b.Pos.Offset(line)
	}
	return before + line + 1
}
