// Package logcat is the command that reads logs as events.
package logcat

import (
	"context"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/render"
	"logtools/pkg/scan"
)

type options struct {
	cli.ReaderFlags
	mapping     string
	tail, count int64
}

// New returns the command.
func New() *cli.Command {
	o := &options{tail: -1, count: -1}
	o.Output = "event"
	return &cli.Command{
		Name:     "logcat",
		Summary:  "read logs as events: filter, reshape, convert",
		Synopsis: []string{"logcat [-n N | -c N] [-i FORMAT] [-w EXPR] [-m EXPR] [-o FORMAT] [FILE ...]"},
		Examples: `logcat -w '.status>=500' app.ndjson | jq .path
logcat -i combined -S -1h -m '{path,status}' access.log access.log.1.gz
logcat -o csv -m '{time,level,msg}' app.ndjson > app.csv`,
		AddFlags: o.addFlags,
		Run:      o.run,
	}
}

func (o *options) addFlags(f *cli.Flags) {
	f.String(&o.mapping, cli.FlagDoc{Name: "map", Short: "m", Value: "EXPR",
		Usage: "what the value becomes; each result is an event"})
	f.Count(&o.tail, cli.FlagDoc{Name: "tail", Short: "n", Value: "N",
		Usage: "only the last N events"})
	f.Count(&o.count, cli.FlagDoc{Name: "count", Short: "c", Value: "N",
		Usage: "only the first N events"})
	o.ReaderFlags.Add(f, reader.Inputs(), reader.Outputs("logcat"))
}

func (o *options) run(ctx context.Context, s *cli.Streams, operands []string) error {
	if o.tail >= 0 && o.count >= 0 {
		return cli.Usagef("--tail and --count exclude each other")
	}
	r, err := reader.New(s, &o.ReaderFlags, operands)
	if err != nil {
		return err
	}
	out := output{format: o.Output, color: (o.Output == "event" || o.Output == "value") && s.UseColor(o.Color)}
	if o.mapping != "" {
		if out.mapping, err = r.Compile("--map", o.mapping); err != nil {
			return err
		}
	}
	switch o.Output {
	case "csv":
		out.header = newHeader(render.CSV)
	case "tsv":
		out.header = newHeader(render.TSV)
	}
	out.noteEnds = o.tail >= 0 || o.count >= 0
	write := func(p []byte) error {
		if len(p) == 0 {
			return nil
		}
		if out.header != nil {
			if err := out.header.writeOnce(s.Out); err != nil {
				return err
			}
		}
		_, err := s.Out.Write(p)
		return err
	}
	block := func(res *scan.Result) error { return write(res.Out) }
	var end func(reader.Report) error
	switch {
	case o.count == 0:
		return nil // and wait for nothing
	case o.count > 0:
		block = (&head{left: o.count, write: write}).block
	case o.tail >= 0:
		t := &tail{n: o.tail}
		block, end = t.block, func(reader.Report) error { return t.each(write) }
		if out.header != nil {
			// Counts come before formats: the first value that is written
			// names the columns.
			rows := &tailRows{dialect: out.header.dialect, out: s.Out}
			out.format, out.header = "line", nil
			end = func(bad reader.Report) error { return rows.write(t, bad) }
		}
	}
	_, err = r.Run(ctx, out.operator, block, end)
	return err
}

// output says how events are written. It is shared by the workers.
type output struct {
	format   string
	mapping  *expr.Program // nil: values stay
	header   *header       // of csv and tsv, else nil
	color    bool          // JSON for a terminal
	noteEnds bool
}

func (o *output) operator() scan.Operator { return &writer{output: o} }

// writer is the operator: it writes each event.
type writer struct {
	*output
	plain []byte // scratch
}

func (w *writer) Event(it *scan.Item, r *expr.Runner, out *scan.Result) error {
	if w.mapping == nil || tombstone(it) {
		if w.format == "event" && it.AsIs && !it.Changed {
			start := len(out.Out)
			out.Out = append(out.Out, it.Line...)
			w.endLine(out, start)
			return nil
		}
		return w.value(it, it.Value(), out)
	}
	values, err := w.mapping.Run(r, it.Event)
	if err != nil {
		return err
	}
	for _, v := range values {
		if err := w.value(it, v, out); err != nil {
			return err
		}
	}
	return nil
}

// A tombstone says that its key is gone. No mapping turns it into something
// else.
func tombstone(it *scan.Item) bool {
	return it.Key.Kind != event.Missing && !it.IsObject() && it.Value().IsNull()
}

// value writes the event with v as its value.
func (w *writer) value(it *scan.Item, v event.Value, out *scan.Result) error {
	start := len(out.Out)
	switch w.format {
	case "event":
		o := render.Out{Log: it.Log, Partition: it.Partition, Offset: it.Offset, Key: it.Key, Headers: it.Headers, Src: it.Src, Value: v}
		if it.OwnTime {
			o.Time = it.Time
		}
		out.Out = render.AppendEvent(out.Out, &o)
	case "value":
		out.Out = v.AppendJSON(out.Out)
	case "raw":
		out.Out = render.AppendRaw(out.Out, v)
	case "none":
		w.end(out)
		return nil
	case "line":
		out.Out = appendTailRow(out.Out, it, v)
	default: // csv, tsv
		h, err := w.header.decide(v, out.Seq)
		if err != nil {
			return err
		}
		if out.Out, err = h.AppendRow(out.Out, v); err != nil {
			return err
		}
	}
	w.endLine(out, start)
	return nil
}

// endLine ends the line that begins at start.
func (w *writer) endLine(out *scan.Result, start int) {
	if w.color {
		w.plain = append(w.plain[:0], out.Out[start:]...)
		out.Out = render.AppendColor(out.Out[:start], w.plain)
	}
	out.Out = append(out.Out, '\n')
	w.end(out)
}

func (w *writer) end(out *scan.Result) {
	if w.noteEnds {
		out.Ends = append(out.Ends, len(out.Out))
	}
}

func (w *writer) EndBlock(out *scan.Result) {
	if w.header != nil {
		w.header.endBlock(out.Seq)
	}
}
