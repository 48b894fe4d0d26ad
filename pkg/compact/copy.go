package compact

import (
	"bytes"
	"sync"

	"logtools/pkg/eventlog"
	"logtools/pkg/stream"
)

// replace carries out a run of the plan.
func (r *runner) replace(run run) error {
	segments := r.sealed()[run.first : run.first+run.n]
	superseded := int64(0)
	if r.alive != nil && !r.copied {
		superseded = r.next
	}
	_, err := r.m.Replace(segments, superseded, func(w *eventlog.SegmentWriter) error {
		c := newCopier(w, workers(r.o.Memory))
		defer c.close()
		if r.alive != nil && (!r.copied || r.o.DryRun) {
			// Most often a new event has come for each old one: nothing of the old segments is
			// to be read then.
			starts := r.starts[run.first : run.first+run.n+1]
			n := 0
			for n < run.n && starts[n+1] < r.alive.events && r.alive.count(starts[n], starts[n+1]) == 0 {
				n++
			}
			r.passed(segments[:n])
			if n == run.n {
				return nil
			}
			c.alive, c.n, segments = r.alive, starts[n], segments[n:]
		}
		err := r.read(segments, func(blocks stream.Blocks) error {
			return inOrder(r.ctx, workers(r.o.Memory), blocks, func() func(*stream.Block, *int) error { return countLines }, c.take)
		})
		if err != nil {
			return err
		}
		return c.flush()
	})
	return err
}

// countLines counts the lines of a block.
func countLines(b *stream.Block, n *int) error {
	*n = bytes.Count(b.Data, newline)
	return nil
}

var newline = []byte{'\n'}

// copier puts the events that stay into units, which are compressed several at a time.
type copier struct {
	w       *eventlog.SegmentWriter
	alive   *alive // nil: all events stay
	n       int64  // of the next event
	unit    *job
	pending []*job // that are being compressed, in their order
	free    []*job
	jobs    chan *job
	running sync.WaitGroup
}

// job is a unit that is compressed.
type job struct {
	eventlog.Unit
	done chan error
}

func newCopier(w *eventlog.SegmentWriter, workers int) *copier {
	c := &copier{w: w, jobs: make(chan *job, workers+1)}
	for range workers {
		c.running.Go(func() {
			var e *eventlog.UnitEncoder
			for j := range c.jobs {
				if e == nil { // it is large, and most segments have little
					e = eventlog.NewUnitEncoder()
				}
				j.done <- e.Encode(&j.Unit)
			}
		})
	}
	for range cap(c.jobs) {
		c.free = append(c.free, &job{done: make(chan error, 1)})
	}
	return c
}

func (c *copier) close() {
	close(c.jobs)
	c.running.Wait()
}

// take copies what stays of a block of so many lines.
func (c *copier) take(b *stream.Block, lines *int) error {
	from := c.n
	c.n += int64(*lines)
	if c.alive != nil && c.n <= c.alive.events && c.alive.count(from, c.n) == 0 {
		return nil
	}
	times := runs{b: b}
	rest := b.Data
	for i := range int64(*lines) {
		n := bytes.IndexByte(rest, '\n') + 1
		line := rest[:n]
		rest = rest[n:]
		appended := times.next()
		if c.alive != nil && from+i < c.alive.events && !c.alive.stays(from+i) {
			continue
		}
		if c.unit == nil {
			if err := c.next(); err != nil {
				return err
			}
		}
		c.unit.Add(line, b.Pos.Offset(i), appended)
		if c.unit.Full() {
			c.send()
		}
	}
	return nil
}

// next gets an empty unit.
func (c *copier) next() error {
	if len(c.free) == 0 {
		if err := c.write(); err != nil {
			return err
		}
	}
	c.unit = c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.unit.Reset()
	return nil
}

func (c *copier) send() {
	c.jobs <- c.unit
	c.pending = append(c.pending, c.unit)
	c.unit = nil
}

// write writes the first unit that is being compressed.
func (c *copier) write() error {
	j := c.pending[0]
	c.pending = c.pending[1:]
	c.free = append(c.free, j)
	if err := <-j.done; err != nil {
		return err
	}
	return c.w.Write(&j.Unit)
}

// flush writes all that is left.
func (c *copier) flush() error {
	if c.unit != nil {
		c.send()
	}
	for len(c.pending) > 0 {
		if err := c.write(); err != nil {
			return err
		}
	}
	return nil
}
