package logcat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/render"
	"logtools/pkg/scan"
)

// head passes on the first events and then stops the run (-c).
type head struct {
	left  int64
	write func([]byte) error
}

func (h *head) block(r *scan.Result) error {
	if int64(len(r.Ends)) < h.left {
		h.left -= int64(len(r.Ends))
		return h.write(r.Out)
	}
	r.Take(int(h.left))
	if err := h.write(r.Out[:r.Ends[h.left-1]]); err != nil {
		return err
	}
	return scan.ErrStop
}

// tail keeps the last events (-n). Its memory is that of n events and of one
// block.
type tail struct {
	n      int64
	chunks []chunk
	events int64 // in chunks
}

// chunk is a block's output; the events before first are let go.
type chunk struct {
	out   []byte
	ends  []int
	first int
	// Where the block lies: see scan.Result.
	name string
	line int64
}

func (t *tail) block(r *scan.Result) error {
	ends := r.Ends
	if skip := int64(len(ends)) - t.n; skip > 0 {
		ends = ends[skip:]
	}
	if len(ends) == 0 {
		return nil
	}
	start := 0
	if k := len(r.Ends) - len(ends); k > 0 {
		start = r.Ends[k-1]
	}
	c := chunk{out: bytes.Clone(r.Out[start:]), name: r.Name, line: r.FirstLine}
	for _, e := range ends {
		c.ends = append(c.ends, e-start)
	}
	t.chunks = append(t.chunks, c)
	t.events += int64(len(c.ends))
	for over := t.events - t.n; over > 0; over = t.events - t.n {
		c := &t.chunks[0]
		k := min(over, int64(len(c.ends)-c.first))
		c.first += int(k)
		t.events -= k
		if c.first == len(c.ends) {
			t.chunks[0] = chunk{}
			t.chunks = t.chunks[1:]
		}
	}
	return nil
}

// each passes on what was kept.
func (t *tail) each(write func([]byte) error) error {
	for _, c := range t.chunks {
		start := 0
		if c.first > 0 {
			start = c.ends[c.first-1]
		}
		if err := write(c.out[start:]); err != nil {
			return err
		}
	}
	return nil
}

// tailRows writes what tail kept as csv or tsv. The values were kept as they
// are, each with its line, so that one that does not fit the header can be
// named and rejected: the line's number in the block and its length (4 bytes
// each), the line, the value.
type tailRows struct {
	dialect render.Dialect
	out     io.Writer
}

func appendTailRow(dst []byte, it *scan.Item, v event.Value) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(it.LineInBlock()))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(it.Line)))
	dst = append(dst, it.Line...)
	return v.AppendJSON(dst)
}

func (t *tailRows) write(kept *tail, bad reader.Report) error {
	var header *render.Header
	var buf []byte
	for _, c := range kept.chunks {
		for i := c.first; i < len(c.ends); {
			// The rows of one line stand or fall together.
			line, raw, _ := c.tailRow(i)
			mark, h := len(buf), header
			var err error
			for ; i < len(c.ends); i++ {
				next, _, v := c.tailRow(i)
				if next != line {
					break
				}
				if h == nil && err == nil {
					if h, err = render.NewHeader(t.dialect, v); err == nil {
						buf = append(h.AppendHeader(buf), '\n')
					}
				}
				if err == nil {
					if buf, err = h.AppendRow(buf, v); err == nil {
						buf = append(buf, '\n')
					}
				}
			}
			if err == nil {
				header = h
				continue
			}
			buf = buf[:mark]
			if err := bad(c.name, line, err, raw); err != nil {
				return errors.Join(t.flush(buf), err)
			}
		}
	}
	return t.flush(buf)
}

func (t *tailRows) flush(buf []byte) error {
	if len(buf) == 0 {
		return nil
	}
	_, err := t.out.Write(buf)
	return err
}

// tailRow takes apart what appendTailRow wrote for event i.
func (c *chunk) tailRow(i int) (line int64, raw []byte, v event.Value) {
	start := 0
	if i > 0 {
		start = c.ends[i-1]
	}
	row := c.out[start : c.ends[i]-1] // without the '\n'
	n := 8 + binary.LittleEndian.Uint32(row[4:])
	return c.line + int64(int32(binary.LittleEndian.Uint32(row))), row[8:n], event.RawValue(row[n:])
}
