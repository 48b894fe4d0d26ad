package logappend

import (
	"encoding/binary"
	"sync/atomic"

	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/render"
	"logtools/pkg/scan"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// maxEvent is the longest event that a log takes, in bytes, with its '\n'.
const maxEvent = 1 << 30

// maxRun is how long a run of lines becomes (see run). It is small beside a batch,
// which is made of whole runs.
const maxRun = 64 << 10

// anyPartition is the partition of an event without key.
const anyPartition = -1

// run is a stretch of lines on the way from the workers to the batches: of one
// partition, and either all or none with a time of their own. It has a header of
// headerSize bytes before the lines.
type run struct {
	bytes     int // of the lines
	count     int
	partition int // or anyPartition
	timed     bool
	min, max  stream.Instant // of the times, if timed
}

const headerSize = 40

func (r *run) put(b []byte) {
	timed := uint32(0)
	if r.timed {
		timed = 1
	}
	binary.LittleEndian.PutUint32(b[0:], uint32(r.bytes))
	binary.LittleEndian.PutUint32(b[4:], uint32(r.count))
	binary.LittleEndian.PutUint32(b[8:], uint32(int32(r.partition)))
	binary.LittleEndian.PutUint32(b[12:], timed)
	binary.LittleEndian.PutUint64(b[16:], uint64(r.min.Sec))
	binary.LittleEndian.PutUint64(b[24:], uint64(r.max.Sec))
	binary.LittleEndian.PutUint32(b[32:], uint32(r.min.Nsec))
	binary.LittleEndian.PutUint32(b[36:], uint32(r.max.Nsec))
}

// nextRun takes the first run off b.
func nextRun(b []byte) (r run, lines, rest []byte) {
	r = run{
		bytes:     int(binary.LittleEndian.Uint32(b[0:])),
		count:     int(binary.LittleEndian.Uint32(b[4:])),
		partition: int(int32(binary.LittleEndian.Uint32(b[8:]))),
		timed:     binary.LittleEndian.Uint32(b[12:]) == 1,
	}
	r.min = stream.Instant{Sec: int64(binary.LittleEndian.Uint64(b[16:])), Nsec: int32(binary.LittleEndian.Uint32(b[32:]))}
	r.max = stream.Instant{Sec: int64(binary.LittleEndian.Uint64(b[24:])), Nsec: int32(binary.LittleEndian.Uint32(b[36:]))}
	end := headerSize + r.bytes
	return r, b[headerSize:end], b[end:]
}

// add takes the next line in.
func (r *run) add(n int, at stream.Instant) {
	if r.timed {
		if r.count == 0 || at.Before(r.min) {
			r.min = at
		}
		if r.count == 0 || r.max.Before(at) {
			r.max = at
		}
	}
	r.bytes += n
	r.count++
}

// lines says how events become the lines of a log. It is shared by the workers.
type lines struct {
	partitions int
	noKey      *event.BadError // of an event without key; nil: it needs none
	unique     *expr.Program   // what events claim; nil: nothing, or their key
	maxRun     int             // in bytes
	begun      atomic.Int64    // the last block that has events and that a worker has taken
}

func (l *lines) operator() scan.Operator { return &writer{lines: l, seq: -1} }

// writer is the operator: it writes each event as the line that is stored, in
// runs.
type writer struct {
	*lines
	seq int64 // of the block
	at  int   // where the header of the run lies
	run run
}

func (w *writer) Event(it *scan.Item, runner *expr.Runner, out *scan.Result) error {
	key := it.Key.Kind > event.Null
	if w.noKey != nil && !key {
		return w.noKey
	}
	if w.unique != nil {
		if err := w.claims(it, runner); err != nil {
			return err
		}
	}
	if out.Seq != w.seq {
		w.begin(out.Seq)
	}
	next := run{timed: it.OwnTime}
	if w.partitions > 1 {
		next.partition = anyPartition
		if key {
			next.partition = event.PartitionOf(it.Key, w.partitions)
		}
	}
	var at stream.Instant
	if it.OwnTime {
		at = instantOf(it.Time)
	}
	// Out is emptied when a part of a block's result is handed on, and a new run
	// begins then.
	if len(out.Out) == 0 || w.run.partition != next.partition || w.run.timed != next.timed {
		w.beginRun(next, out)
	}
	start := len(out.Out)
	out.Out = append(appendStored(out.Out, it), '\n')
	n := len(out.Out) - start
	if n > maxEvent {
		return event.Bad("event of %d bytes is longer than a log takes (%d)", n, maxEvent)
	}
	if w.run.count > 0 && w.run.bytes+n > w.maxRun {
		// It is too much for this run: make room for the header of the next.
		out.Out = append(out.Out, make([]byte, headerSize)...)
		copy(out.Out[start+headerSize:], out.Out[start:start+n])
		w.run, w.at = next, start
	}
	w.run.add(n, at)
	w.run.put(out.Out[w.at:])
	return nil
}

func (w *writer) begin(seq int64) {
	w.seq = seq
	for {
		last := w.begun.Load()
		if last >= seq || w.begun.CompareAndSwap(last, seq) {
			return
		}
	}
}

func (w *writer) beginRun(r run, out *scan.Result) {
	w.run, w.at = r, len(out.Out)
	out.Out = append(out.Out, make([]byte, headerSize)...)
}

func (w *writer) EndBlock(*scan.Result) {}

// appendStored appends the event as it is stored: without log, partition and
// offset, which are those that it had elsewhere, and with a time only if that is
// its own. What needs no change is stored byte for byte.
func appendStored(dst []byte, it *scan.Item) []byte {
	placed := it.Log.Kind|it.Partition.Kind|it.Offset.Kind > event.Null
	switch {
	case it.AsIs && !it.Changed && !placed:
		return append(dst, it.Line...)
	case !it.OwnTime && it.OnlyValue():
		return it.AppendValue(dst)
	}
	o := render.Out{Key: it.Key, Headers: it.Headers, Src: it.Src, Value: it.Value()}
	if it.OwnTime {
		o.Time = it.Time
	}
	return render.AppendEvent(dst, &o)
}

// instantOf returns an event's own time, which the engine has checked.
func instantOf(v event.Value) stream.Instant {
	t, _ := when.Parse(v.B, nil)
	return stream.Instant{Sec: t.Sec, Nsec: t.Nsec}
}
