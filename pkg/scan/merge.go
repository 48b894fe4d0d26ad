package scan

import (
	"context"
	"errors"

	"logtools/pkg/event"
	"logtools/pkg/stream"
)

// MergeOptions say how to merge.
type MergeOptions struct {
	Options
	// Apart: every Result holds events of one block only, whose Name and
	// FirstLine it has. Otherwise it holds events of several inputs, and has
	// neither. It is for sinks that must know where an event comes from; they
	// are called for as little as one event.
	Apart bool
}

// MergeSink takes what Merge makes of its inputs, one call at a time.
//
// A bad line, a failed input and a disorder come at the place of the merged
// events where their input has reached them: after all that came before them in
// that input, whatever the size of the blocks.
type MergeSink interface {
	Sink
	// Unsorted says that the event that begins in a line of an input (its
	// number from 1) is earlier than the one before it there. It is called
	// once for an input, before that event comes.
	Unsorted(name string, line int64)
}

// mergeResult is how many bytes of output are gathered before the sink gets
// them: a write that is worth its call, out of memory that stays in the cache.
const mergeResult = 128 << 10

// Merge reads all inputs at the same time and hands out their events by time;
// those of equal time in the order of the inputs, and within an input always as
// they stand there. So in an input that is not sorted, an event that is too late
// comes when those before it in that input are out. The output is the same for
// any number of workers and any size of blocks.
//
// Each input is one operand. newOperator is called once per worker, before
// reading begins; the operator appends what it makes of an event before Event
// returns, and Seq orders nothing but the events of one input. An event without
// a time is a bad line. The sink is not kept waiting for events that are ready:
// what was gathered is handed on before Merge waits for an input.
//
// Merge returns nil if the inputs were read to their ends or the sink stopped
// the run.
//
// Memory: the output of one block for each input and of two per worker and two
// more, each with 32 bytes per event in it; and the blocks themselves only while
// they are read and parsed, all first ones at once in the beginning, then a few
// more than workers.
func Merge(ctx context.Context, o MergeOptions, q *Query, inputs []stream.Blocks, newOperator func() Operator, sink MergeSink) error {
	q.instant = true
	q.prepare()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := newAhead(ctx, cancel, o.Options, q, inputs, newOperator)
	m := &merger{ahead: a, o: o, sink: sink}
	err := m.runSafely()
	if failed := a.close(); errors.Is(err, errEnded) {
		err = failed
	}
	if p, ok := err.(*panicError); ok {
		panic(p)
	}
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// merger puts the events of all inputs in order. It runs in one goroutine.
type merger struct {
	ahead *ahead
	o     MergeOptions
	sink  MergeSink
	heap  []head

	// What was gathered for the sink: names are the inputs of the bad lines,
	// raw holds their bytes.
	result Result
	names  []string
	raw    []byte
}

// head is the next event of an input: its place in the order.
type head struct {
	sec  int64
	nsec int32
	in   *mergeInput
}

func (h *head) before(g *head) bool {
	switch {
	case h.sec != g.sec:
		return h.sec < g.sec
	case h.nsec != g.nsec:
		return h.nsec < g.nsec
	}
	return h.in.index < g.in.index
}

// runSafely hands a panic on to where the goroutines have ended.
func (m *merger) runSafely() (err error) {
	defer recovered(func(p *panicError) { err = p })
	return m.run()
}

func (m *merger) run() error {
	for _, in := range m.ahead.inputs {
		h, ok, err := m.next(in)
		if err != nil {
			return err
		}
		if ok {
			m.heap = append(m.heap, h)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.sift(i)
	}
	for len(m.heap) > 0 {
		in := m.heap[0].in
		m.take(in)
		if m.o.Apart || len(m.result.Out) >= mergeResult || len(m.result.Ends) >= mergeResult {
			if err := m.flush(); err != nil {
				return err
			}
		}
		h, ok, err := m.next(in)
		if err != nil {
			return err
		}
		if ok {
			m.heap[0] = h
		} else {
			last := len(m.heap) - 1
			m.heap[0] = m.heap[last]
			m.heap = m.heap[:last]
		}
		m.sift(0)
	}
	return m.flush()
}

// sift moves a head down to its place in the heap.
func (m *merger) sift(i int) {
	heap := m.heap
	for {
		k := 2*i + 1
		if k >= len(heap) {
			return
		}
		if k+1 < len(heap) && heap[k+1].before(&heap[k]) {
			k++
		}
		if heap[i].before(&heap[k]) {
			return
		}
		heap[i], heap[k] = heap[k], heap[i]
		i = k
	}
}

// take gathers the events of the first input that come before those of all
// others: its head at least, and no further than to where there is more to say
// of the input than events.
func (m *merger) take(in *mergeInput) {
	j := in.head
	marks := j.marks
	stop := len(marks)
	if in.bad < len(j.result.bad) {
		stop = min(stop, j.result.bad[in.bad].events)
	}
	if j.dip > in.at && !in.unsorted {
		stop = min(stop, j.dip)
	}
	var out, ends int // where the events begin
	if in.at > 0 {
		out, ends = marks[in.at-1].out, marks[in.at-1].ends
	}
	i := in.at + 1
	if len(m.heap) > 1 {
		second := &m.heap[1]
		if len(m.heap) > 2 && m.heap[2].before(second) {
			second = &m.heap[2]
		}
		// Up to the second's time, and with it if this is the earlier input.
		nsec := second.nsec
		if in.index < second.in.index {
			nsec++
		}
		for ; i < stop; i++ {
			if k := &marks[i]; k.sec > second.sec || k.sec == second.sec && k.nsec >= nsec || k.out-out > mergeResult {
				break
			}
		}
	} else {
		for i < stop && marks[i].out-out <= mergeResult {
			i++
		}
	}
	r, from := &m.result, &j.result
	for _, end := range from.Ends[ends:marks[i-1].ends] {
		r.Ends = append(r.Ends, len(r.Out)+end-out)
	}
	r.Out = append(r.Out, from.Out[out:marks[i-1].out]...)
	if m.o.Apart {
		r.Name, r.FirstLine = j.block.Name, in.lines+1
		if j.block.Pos.InLog {
			r.FirstLine = j.block.Pos.Base
		}
	}
	in.at = i
}

// next returns the input's next event, after having told the sink of what lies
// before it; false at the input's end.
func (m *merger) next(in *mergeInput) (head, bool, error) {
	for {
		if j := in.head; j != nil {
			if err := m.badLines(in); err != nil {
				return head{}, false, err
			}
			if in.at < len(j.marks) {
				return m.head(in)
			}
			if j.fatal != nil {
				if err := m.flush(); err != nil {
					return head{}, false, err
				}
				return head{}, false, j.fatal
			}
			in.lines += j.result.lines
			if len(j.marks) > 0 {
				in.last = j.marks[len(j.marks)-1]
				in.begun = true
			}
			m.ahead.release(in)
		}
		for !m.ahead.ready(in) {
			if len(m.result.Out) > 0 || len(m.result.Ends) > 0 || len(m.result.bad) > 0 {
				if err := m.flush(); err != nil {
					return head{}, false, err
				}
				continue
			}
			m.ahead.wait(in)
		}
		if err := m.ahead.ctx.Err(); err != nil {
			return head{}, false, errEnded
		}
		if in.head == nil {
			return head{}, false, nil
		}
		if err := m.begin(in); err != nil {
			return head{}, false, err
		}
	}
}

// head returns the event at which an input stands.
func (m *merger) head(in *mergeInput) (head, bool, error) {
	j := in.head
	k := &j.marks[in.at]
	if !in.unsorted && (in.at == 0 && in.begun && k.earlier(&in.last) || in.at > 0 && in.at == j.dip) {
		in.unsorted = true
		if err := m.flush(); err != nil {
			return head{}, false, err
		}
		m.sink.Unsorted(j.block.Name, numberOf(&j.block, in.lines, int64(k.line)))
	}
	return head{k.sec, k.nsec, in}, true, nil
}

// begin tells the sink of what is not lines in a block.
func (m *merger) begin(in *mergeInput) error {
	j := in.head
	b := &j.block
	if b.Err == nil && j.failed == nil && !b.Long {
		return nil
	}
	if err := m.flush(); err != nil {
		return err
	}
	switch {
	case b.Err != nil:
		return m.sink.Failed(b.Name, b.Err)
	case j.failed != nil:
		if err := m.sink.Failed(b.Name, j.failed); err != nil {
			return err
		}
	}
	if !b.Long {
		return nil
	}
	if err := m.sink.LongPart(b.Data); err != nil || !b.LongEnd {
		return err
	}
	in.lines++
	if err := m.sink.Bad(b.Name, in.lines, event.Bad("line is longer than %d bytes", m.o.MaxLine), nil); err != nil {
		return err
	}
	if m.o.StopAtBad {
		return ErrStop
	}
	return nil
}

// badLines gathers the bad lines before the event at which an input stands.
func (m *merger) badLines(in *mergeInput) error {
	j := in.head
	for ; in.bad < len(j.result.bad) && j.result.bad[in.bad].events <= in.at; in.bad++ {
		b := j.result.bad[in.bad]
		n := len(m.raw)
		m.raw = append(m.raw, b.raw...)
		m.result.bad = append(m.result.bad, badLine{numberOf(&j.block, in.lines, b.line), len(m.result.Ends), b.reason, m.raw[n:len(m.raw):len(m.raw)]})
		m.names = append(m.names, j.block.Name)
		if m.o.StopAtBad || len(m.raw) >= mergeResult {
			if err := m.flush(); err != nil {
				return err
			}
			if m.o.StopAtBad {
				return ErrStop
			}
		}
	}
	return nil
}

// flush hands on what was gathered.
func (m *merger) flush() error {
	if m.ahead.ctx.Err() != nil {
		return errEnded // nothing comes after what ended the run
	}
	r := &m.result
	var stop error
	if len(r.Out) > 0 || len(r.Ends) > 0 || len(r.bad) > 0 {
		if stop = m.sink.Block(r); stop != nil && stop != ErrStop {
			return stop
		}
		r.Seq++
	}
	for k, b := range r.bad { // those that Take left
		if err := m.sink.Bad(m.names[k], b.line, b.reason, b.raw); err != nil {
			return err
		}
	}
	if cap(r.Out) > 8*mergeResult { // an uncommonly long event
		r.Out = nil
	}
	r.Out, r.Ends, r.bad, r.Name, r.FirstLine = r.Out[:0], r.Ends[:0], r.bad[:0], "", 0
	m.names, m.raw = m.names[:0], m.raw[:0]
	return stop
}
