package logcompact

import (
	"bytes"
	"context"
	"encoding/binary"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/compact"
	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/render"
	"logtools/pkg/scan"
	"logtools/pkg/spill"
)

// filter prints the newest events of each key of standard input.
func (o *options) filter(ctx context.Context, s *cli.Streams) error {
	r, err := reader.New(s, &cli.ReaderFlags{
		Input: o.input, Key: o.key, Bad: o.bad, Rejects: o.reject, MaxLine: o.maxLine,
		TZ: "UTC", Progress: o.progress,
	}, []string{"-"})
	if err != nil {
		return err
	}
	dir := spill.New("")
	defer dir.Close()
	// The rest is for reading, and for what is garbage for a while.
	latest, err := compact.NewLatest(dir, int(min(max(o.keep, 1), 1<<30)), o.memory-o.memory/4)
	if err != nil {
		return err
	}
	defer latest.Close()
	events, keyed := false, false
	block := func(res *scan.Result, _ reader.Report) error {
		for rest := res.Out; len(rest) > 0; {
			var l line
			l, rest = nextLine(rest)
			events, keyed = true, keyed || len(l.key) > 0
			if err := latest.Add(l.key, l.line, l.tombstone); err != nil {
				return err
			}
		}
		return nil
	}
	stopped, err := r.Run(ctx, func() scan.Operator { return lineWriter{} }, block, nil)
	if err != nil || stopped {
		return err // what is newest in a part of the input need not be that in all
	}
	if events && !keyed && o.key == "" {
		s.Hint("no event has a key; say what it is with -k .id")
	}
	return printLines(ctx, s, latest)
}

// printLines writes the lines that stay, unless the run is to end.
func printLines(ctx context.Context, s *cli.Streams, latest *compact.Latest) error {
	const piece = 256 << 10
	var buf bytes.Buffer
	flush := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := buf.WriteTo(s.Out)
		return err
	}
	err := latest.Each(func(line []byte) error {
		buf.Write(line)
		buf.WriteByte('\n')
		if buf.Len() < piece {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// lineWriter is the operator: it writes each event as a line, with its key.
type lineWriter struct{}

// line is an event on its way from the workers.
type line struct {
	key       []byte // canonical; empty: none
	line      []byte // without its end
	tombstone bool
}

// lineHead is how long the numbers before the bytes of a line are: twice the length of
// the key, and one more for a tombstone; the length of the line.
const lineHead = 16

var noHead [lineHead]byte // is filled in when the line is there

func (lineWriter) Event(it *scan.Item, _ *expr.Runner, out *scan.Result) error {
	start := len(out.Out)
	out.Out = append(out.Out, noHead[:]...)
	if it.Key.Kind > event.Null {
		out.Out = it.Key.AppendCanonical(out.Out)
	}
	key := len(out.Out)
	out.Out = appendLine(out.Out, it)
	head := uint64(key-start-lineHead) << 1
	if it.Tombstone() {
		head |= 1
	}
	binary.LittleEndian.PutUint64(out.Out[start:], head)
	binary.LittleEndian.PutUint64(out.Out[start+8:], uint64(len(out.Out)-key))
	return nil
}

func (lineWriter) EndBlock(*scan.Result) {}

// nextLine takes the first line off b.
func nextLine(b []byte) (l line, rest []byte) {
	head := binary.LittleEndian.Uint64(b)
	n := binary.LittleEndian.Uint64(b[8:])
	b = b[lineHead:]
	l.tombstone = head&1 == 1
	l.key, b = b[:head>>1], b[head>>1:]
	l.line, rest = b[:n], b[n:]
	return l, rest
}

// appendLine appends an event as logcat prints it: byte for byte if nothing of it has
// changed.
func appendLine(dst []byte, it *scan.Item) []byte {
	switch {
	case it.AsIs && !it.Changed:
		return append(dst, it.Line...)
	case it.OnlyValue() && !it.OwnTime:
		return it.AppendValue(dst)
	}
	o := render.Out{
		Log: it.Log, Partition: it.Partition, Offset: it.Offset,
		Key: it.Key, Headers: it.Headers, Src: it.Src, Value: it.Value(),
	}
	if it.OwnTime {
		o.Time = it.Time
	}
	return render.AppendEvent(dst, &o)
}
