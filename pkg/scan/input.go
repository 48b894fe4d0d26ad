package scan

import (
	"bytes"
	"errors"
	"fmt"

	"logtools/pkg/event"
	"logtools/pkg/parse"
	"logtools/pkg/stream"
)

// input is what is known of one file, or other operand. Its blocks pass a gate
// one after the other, in their order, for what cannot be done side by side:
// telling the format, reading the head, and finding where records end that may
// span lines. Where nothing of that is left to do the gate is open.
type input struct {
	prev  *input // the file that was followed under this name before
	first int64  // SeqInInput of the first block
	next  int64  // SeqInInput of the block whose turn it is
	open  bool

	format   *parse.Format // nil: not decided yet
	headRead bool
	head     any
	lines    int64 // of the blocks that passed before the head was read
	err      error // the head is no good
	// carry is the unfinished record at the end of the blocks so far, if its
	// format has records that span lines.
	carry []byte
}

// turn is what is to be done with a block.
type turn struct {
	in *input
	// data are the records; the first records bytes of it as Format.Next cuts
	// them, the rest by lines.
	data    []byte
	records int
	// line is the line of the block at which data begins, from 0. It is less
	// than 0 if data begins in an earlier block.
	line int64
	err  error // of the input
}

// enter waits for the block's turn at the gate of its input and passes it.
func (e *engine) enter(j *job) turn {
	b := &j.block
	if b.Err != nil || b.Live {
		return turn{in: &input{}}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if b.First {
		e.begin(b)
		e.moved.Broadcast()
	}
	in := e.inputOf(b)
	for in == nil || !in.open && in.next != b.SeqInInput {
		if e.err != nil {
			return turn{in: &input{}} // nobody wants to know any more
		}
		e.moved.Wait()
		in = e.inputOf(b)
	}
	if in.open {
		t := turn{in: in, data: b.Data}
		if b.Long {
			t.data = nil
		}
		return t
	}
	t := in.pass(j, e.o.MaxLine)
	in.next++
	e.moved.Broadcast()
	if b.Last && e.inputs[b.Input] == in {
		delete(e.inputs, b.Input)
	}
	return t
}

// begin notes a new file. Workers may come here with the first blocks of several
// files of one name in any order: the chain has the youngest first.
func (e *engine) begin(b *stream.Block) {
	in := &input{first: b.SeqInInput, next: b.SeqInInput, format: e.o.Format}
	in.tryOpen()
	younger := (*input)(nil)
	older := e.inputs[b.Input]
	for older != nil && older.first > in.first {
		younger, older = older, older.prev
	}
	in.prev = older
	if younger == nil {
		e.inputs[b.Input] = in
	} else {
		younger.prev = in
	}
	// Blocks of older files may still be on their way to a worker, but there are
	// only so many blocks.
	last := e.inputs[b.Input]
	for range 2 * cap(e.free) {
		if last.prev == nil {
			break
		}
		last = last.prev
	}
	last.prev = nil
}

// inputOf returns the input of a block; nil if its first block is still on its
// way to a worker.
func (e *engine) inputOf(b *stream.Block) *input {
	in := e.inputs[b.Input]
	for in != nil && in.first > b.SeqInInput {
		in = in.prev
	}
	return in
}

// tryOpen opens the gate if nothing has to be done in order any more.
func (in *input) tryOpen() {
	f := in.format
	in.open = f != nil && f.Whole == nil && (f.Head == nil || in.headRead)
}

// pass does what has to be done in the order of the blocks.
func (in *input) pass(j *job, maxLine int64) turn {
	b := &j.block
	t := turn{in: in, data: b.Data}
	if b.Long {
		t.data = nil
		if len(in.carry) > 0 {
			in.carry = nil
			in.err = fmt.Errorf("%s: a record has a line that is longer than %d bytes", b.Name, maxLine)
			t.err = in.err
		}
		return t
	}
	if in.format == nil {
		if len(bytes.TrimSpace(b.Data)) == 0 {
			t.data = nil
			return t
		}
		in.format = parse.Detect(b.Data)
	}
	in.tryOpen()
	if in.open {
		return t
	}
	f := in.format
	carried := len(in.carry) > 0
	if carried { // the job takes over the memory, which may be much
		t.line = -countLines(in.carry)
		j.joined, in.carry = append(in.carry, b.Data...), j.joined[:0]
		t.data = j.joined
	}
	n := len(t.data)
	if f.Whole != nil {
		if n = f.Whole(t.data); n < len(t.data) && b.Last {
			n = in.endRecord(j, &t)
		}
	}
	t.records = n
	if rest := t.data[n:]; len(rest) > 0 {
		switch {
		case b.Last, int64(len(rest)) > maxLine && maxLine > 0:
			// It does not end: then it is no record. Its first line is bad, and
			// those after it are taken as they are.
			n = len(t.data)
		case n == 0 && carried: // it goes on growing where it is
			j.joined, in.carry = in.carry, j.joined
		default:
			in.carry = append(in.carry, rest...)
		}
	}
	t.data = t.data[:n]
	if f.Head != nil && !in.headRead {
		in.readHead(b.Name, &t)
		in.lines += countLines(b.Data)
	}
	if in.err != nil {
		t.data, in.carry = nil, nil
	}
	return t
}

// endRecord gives the last record of an input the line end that it lacks, and
// returns how many bytes are whole records then.
func (in *input) endRecord(j *job, t *turn) int {
	if t.data[len(t.data)-1] != '\n' {
		j.joined = append(append(j.joined[:0], t.data...), '\n')
		t.data = j.joined
	}
	return in.format.Whole(t.data)
}

// readHead cuts off the head of an input, which messages call name.
func (in *input) readHead(name string, t *turn) {
	for len(t.data) > 0 { // blank lines
		k := bytes.IndexByte(t.data, '\n')
		if k < 0 || !blank(t.data[:k]) {
			break
		}
		t.skip(k + 1)
	}
	if len(t.data) == 0 {
		return
	}
	in.headRead = true
	n, head, err := in.format.Head(t.data)
	if err != nil {
		var bad *event.BadError
		if errors.As(err, &bad) {
			err = fmt.Errorf("%s:%d: %w", name, in.lines+t.line+1, err)
		} else {
			err = fmt.Errorf("%s: %w", name, err)
		}
		in.err, t.err = err, err
		return
	}
	in.head = head
	t.skip(n)
	in.tryOpen()
}

// skip leaves out the first n bytes of the data.
func (t *turn) skip(n int) {
	t.line += int64(bytes.Count(t.data[:n], newline))
	t.data = t.data[n:]
	t.records = max(0, t.records-n)
}
