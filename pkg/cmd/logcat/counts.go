package logcat

import (
	"bytes"

	"logtools/pkg/scan"
)

// chunk is what one block put out, or a part of that. Its output is valid until
// the sink returns.
type chunk struct {
	out   []byte
	ends  []int // where each event's part of it ends
	first int   // the events before it are left out
	// Where the block lies: see scan.Result.
	name string
	line int64
}

func chunkOf(r *scan.Result) chunk {
	return chunk{out: r.Out, ends: r.Ends, name: r.Name, line: r.FirstLine}
}

// bytes are the output of the events that are not left out.
func (c *chunk) bytes() []byte {
	if c.first > 0 {
		return c.out[c.ends[c.first-1]:]
	}
	return c.out
}

// head passes on the first events and then stops the run (-c).
type head struct {
	left int64
	pass func(chunk) error
}

func (h *head) block(r *scan.Result) error {
	c := chunkOf(r)
	if int64(len(r.Ends)) < h.left {
		h.left -= int64(len(r.Ends))
		return h.pass(c)
	}
	n := h.left
	r.Take(int(n))
	c.out, c.ends = c.out[:c.ends[n-1]], c.ends[:n]
	if err := h.pass(c); err != nil {
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

func (t *tail) block(r *scan.Result) {
	ends := r.Ends
	if skip := int64(len(ends)) - t.n; skip > 0 {
		ends = ends[skip:]
	}
	if len(ends) == 0 {
		return
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
}

// each passes on what was kept.
func (t *tail) each(pass func(chunk) error) error {
	for _, c := range t.chunks {
		if err := pass(c); err != nil {
			return err
		}
	}
	t.chunks, t.events = nil, 0
	return nil
}
