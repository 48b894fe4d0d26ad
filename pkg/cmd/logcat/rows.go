package logcat

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/render"
	"logtools/pkg/scan"
)

// rows writes csv, tsv and tables where that cannot be left to the workers:
// because the first row, which names the columns, is known only when counts or
// the merging are done, or because all rows must be seen to be aligned. Workers
// then hand on each value as it is, with its line, so that one that does not fit
// the columns can be named and rejected: the line's number in the block (8 bytes) and
// its length (4), the line, the value.
type rows struct {
	out     io.Writer
	bad     reader.Report
	dialect render.Dialect // of csv and tsv
	look    func() render.Look

	mu     sync.Mutex // held by whoever uses what follows
	header *render.Header
	table  *render.Table // nil: csv or tsv
	asked  bool          // for a table
	wait   *time.Timer   // flushes a table whose input pauses
	buf    []byte
	err    error
}

// pause is how long a table waits for more rows that may decide its widths.
const pause = 200 * time.Millisecond

func appendRow(dst []byte, it *scan.Item, v event.Value) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(it.LineInBlock()))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(it.Line)))
	dst = append(dst, it.Line...)
	return v.AppendJSON(dst)
}

// row takes apart what appendRow wrote for event i.
func (c *chunk) row(i int) (line int64, raw []byte, v event.Value) {
	start := 0
	if i > 0 {
		start = c.ends[i-1]
	}
	row := c.out[start : c.ends[i]-1] // without the '\n'
	n := 12 + binary.LittleEndian.Uint32(row[8:])
	return c.line + int64(binary.LittleEndian.Uint64(row)), row[12:n], event.RawValue(row[n:])
}

func (t *rows) pass(c chunk) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	for i := c.first; i < len(c.ends); {
		line, raw, _ := c.row(i)
		n := i
		for n < len(c.ends) {
			if next, _, _ := c.row(n); next != line {
				break
			}
			n++
		}
		if err := t.line(&c, i, n); err != nil {
			if err = t.bad(c.name, line, err, raw); err != nil {
				return errors.Join(t.flush(), err)
			}
		}
		i = n
	}
	if t.table == nil || t.table.Full() {
		return t.flush()
	}
	if t.wait == nil {
		t.wait = time.AfterFunc(pause, t.flushLate)
	} else {
		t.wait.Reset(pause)
	}
	return nil
}

// line adds the rows of one line, the events from i to n: they stand or fall
// together.
func (t *rows) line(c *chunk, i, n int) error {
	mark, h := len(t.buf), t.header
	var err error
	if h == nil {
		_, _, v := c.row(i)
		if h, err = render.NewHeader(t.dialect, v); err != nil {
			return err
		}
		if !t.asked {
			t.buf = append(h.AppendHeader(t.buf), '\n')
		}
	}
	if !t.asked {
		for k := i; k < n; k++ {
			_, _, v := c.row(k)
			if t.buf, err = h.AppendRow(t.buf, v); err != nil {
				t.buf = t.buf[:mark]
				return misfit(err, firstNames)
			}
			t.buf = append(t.buf, '\n')
		}
		t.header = h
		return nil
	}
	table := t.table
	if table == nil {
		table = render.NewTable(h)
	}
	// A table refuses a row by itself, but of several the first would be in it by
	// then.
	for k := i; k < n && n > i+1; k++ {
		_, _, v := c.row(k)
		if err := table.Check(v); err != nil {
			return misfit(err, tableNames)
		}
	}
	t.header, t.table = h, table
	for k := i; k < n; k++ {
		_, _, v := c.row(k)
		if err := t.table.Add(v); err != nil {
			return misfit(err, tableNames)
		}
	}
	return nil
}

// flush writes what is there.
func (t *rows) flush() error {
	if t.table != nil {
		t.buf = t.table.AppendTo(t.buf, t.look())
	}
	if len(t.buf) == 0 {
		return nil
	}
	_, err := t.out.Write(t.buf)
	t.buf = t.buf[:0]
	return err
}

func (t *rows) flushLate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil && t.wait != nil {
		t.err = t.flush()
	}
}

// close writes the rest. A table of no rows is nothing.
func (t *rows) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wait != nil {
		t.wait.Stop()
		t.wait = nil
	}
	if t.err != nil {
		return t.err
	}
	return t.flush()
}
