// Package logcat is the command that reads logs as events.
package logcat

import (
	"context"
	"io"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/expr"
	"logtools/pkg/render"
	"logtools/pkg/scan"
)

type options struct {
	cli.ReaderFlags
	mapping       string
	tail, count   int64
	follow, merge bool
	logs          reader.Selection
	describe      bool
	group         groupOptions
}

// New returns the command.
func New() *cli.Command {
	o := &options{tail: -1, count: -1, group: groupOptions{batch: -1}}
	return &cli.Command{
		Name:    "logcat",
		Summary: "read logs as events: filter, reshape, convert",
		Synopsis: []string{
			"logcat [-f | --merge] [-n N | -c N] [-i FORMAT] [-S TIME] [-U TIME]",
			"       [--from POS] [--to POS] [-p N,... | --only-key KEY]",
			"       [-w EXPR] [-m EXPR] [-o FORMAT] [LOG | FILE ...]",
			"logcat -G GROUP [--batch N] [--batch-wait D] [-f] LOG -- CMD [ARG ...]",
			"logcat --describe [-o FORMAT] LOG ...",
		},
		Examples: `logcat -w '.status>=500' app.ndjson | jq .path
logcat -i combined -S -1h -m '{path,status}' access.log access.log.1.gz
logcat -o csv -m '{time,level,msg}' app.ndjson > app.csv
logcat -f -w '.status>=500' app.ndjson
logcat -S -1h --only-key u7 app
logcat --from @today -f app
logcat -G mailer app --batch 100 -- ./send-mails.sh`,
		AddFlags: o.addFlags,
		Run:      o.run,
	}
}

func (o *options) addFlags(f *cli.Flags) {
	f.String(&o.mapping, cli.FlagDoc{Name: "map", Short: "m", Value: "EXPR",
		Once:  "one after the other: -m 'A | B'",
		Usage: "what the value becomes; each result is an event"})
	f.Count(&o.tail, cli.FlagDoc{Name: "tail", Short: "n", Value: "N",
		Usage: "only the last N events"})
	f.Count(&o.count, cli.FlagDoc{Name: "count", Short: "c", Value: "N",
		Usage: "only the first N events"})
	f.Bool(&o.follow, cli.FlagDoc{Name: "follow", Short: "f",
		Usage: "go on at the end: wait for what is appended, through rotation"})
	f.Bool(&o.merge, cli.FlagDoc{Name: "merge",
		Usage: "all files and logs at once, in the order of the events' times"})
	f.String(&o.logs.From, cli.FlagDoc{Name: "from", Value: "POS",
		Once:  "one position is for each partition that is read; -p N reads one alone",
		Usage: "of logs: begin here: start, end, an offset, -N (before the end), @TIME"})
	f.String(&o.logs.To, cli.FlagDoc{Name: "to", Value: "POS",
		Once:  "one position is for each partition that is read; -p N reads one alone",
		Usage: "of logs: end before this position"})
	f.String(&o.logs.Partitions, cli.FlagDoc{Name: "partition", Short: "p", Value: "N,...",
		Once:  "several in one: -p 0,2",
		Usage: "of logs: only these partitions"})
	f.String(&o.logs.OnlyKey, cli.FlagDoc{Name: "only-key", Value: "KEY",
		Once:  "for several keys: -w '$key==\"a\" or $key==\"b\"'",
		Usage: "of logs: only events with this key: JSON, or a plain string"})
	o.group.addFlags(f)
	f.Bool(&o.describe, cli.FlagDoc{Name: "describe",
		Usage: "say of each partition of a log what it holds"})
	o.ReaderFlags.Add(f, reader.Inputs(), reader.Outputs("logcat"))
	const first, not, view = "-c N is the first N events", "-w 'A | not'", "logview groups and counts"
	f.Instead(map[string]string{
		"--head": first, "--limit": first, "--first": first, "--top": first,
		"-v": not, "--invert-match": not,
		"-g": view, "-a": view, "--agg": view,
		"--sort":   "--merge orders the events of sorted files by time",
		"-F":       "-f follows files by name, through rotation",
		"-e":       `-w 'test("RE")' on lines of text, -w '.msg|test("RE")' on a member`,
		"--grep":   `-w 'test("RE")' on lines of text, -w '.msg|test("RE")' on a member`,
		"--filter": "-w keeps the events for which it is true", "--select": "-m makes values of others",
		"--format": "-i is the format of the input, -o of the output",
	})
}

func (o *options) run(ctx context.Context, s *cli.Streams, operands []string) error {
	switch {
	case o.tail >= 0 && o.count >= 0:
		return cli.Usagef("--tail and --count exclude each other")
	case o.follow && o.merge:
		return cli.Usagef("--follow and --merge exclude each other")
	}
	operands, words, err := o.checkGroup(s, operands)
	if err != nil {
		return err
	}
	r, err := reader.New(s, &o.ReaderFlags, operands)
	if err != nil {
		return err
	}
	if o.describe {
		return o.describeLogs(ctx, s, r)
	}
	selected := o.logs
	if o.mapping == "" { // which makes many events of one, or none
		selected.Tail = o.tail
	}
	if err := r.Select(selected); err != nil {
		return err
	}
	r.Follow, r.Merge, r.ByTime = o.follow && words == nil, o.merge, true
	out := output{format: o.format(s), logNames: r.SeveralLogs()}
	if words != nil && o.Output == "" {
		out.format = "event"
	}
	out.color = (out.format == "event" || out.format == "value") && s.UseColor(o.Color) && words == nil
	if o.mapping != "" {
		if out.mapping, err = r.Compile("--map", o.mapping); err != nil {
			return err
		}
	}
	if out.format == "pretty" {
		out.pretty = &render.Pretty{Zone: time.Local, Assume: r.Query.Zone, Color: s.UseColor(o.Color)}
		r.Query.NeedTime = true
	}
	w := &writing{out: s.Out}
	out.noteEnds = o.tail >= 0 || o.count >= 0 || words != nil && o.mapping != ""
	if dialect, ok := dialects[out.format]; ok {
		if words == nil && (out.format == "table" || o.tail >= 0 || r.Merges()) {
			look := func() render.Look { return look(s, o.Color) }
			w.rows = &rows{out: s.Out, dialect: dialect, asked: out.format == "table", look: look}
			out.format, out.noteEnds, r.Apart = "line", true, true
		} else {
			out.header = newHeader(dialect)
			w.header = out.header
		}
	}
	switch {
	case words != nil:
		return o.runCommand(ctx, s, r, &out, words)
	case o.group.name != "":
		return o.handOver(ctx, s, r, &out, w)
	case o.count == 0:
		return nil // and wait for nothing
	case o.count > 0:
		w.head = &head{left: o.count, pass: w.pass}
	case o.tail >= 0:
		w.tail = &tail{n: o.tail}
	}
	_, err = r.Run(ctx, out.operator, w.block, w.end)
	return err
}

// look is how tables look. Only on a terminal is there a width to fit into: that of
// the one that messages go to is none of theirs.
func look(s *cli.Streams, color string) render.Look {
	l := render.Look{Color: s.UseColor(color), ASCII: !s.UTF8()}
	if s.OutTerminal {
		l.Width = s.Width()
	}
	return l
}

// format is what -o says, or what is usual.
func (o *options) format(s *cli.Streams) string {
	switch {
	case o.Output != "":
		return o.Output
	case s.OutTerminal:
		return "pretty"
	}
	return "event"
}

// dialects are the formats with columns. (That of a table does not matter.)
var dialects = map[string]render.Dialect{"csv": render.CSV, "tsv": render.TSV, "table": render.TSV}

// writing is what becomes of the blocks' output: at most one of head and tail,
// at most one of header and rows.
type writing struct {
	out    io.Writer
	head   *head
	tail   *tail
	header *header
	rows   *rows
}

func (w *writing) block(res *scan.Result, bad reader.Report) error {
	if w.rows != nil {
		w.rows.bad = bad
	}
	switch {
	case w.head != nil:
		return w.head.block(res)
	case w.tail == nil:
		return w.pass(chunkOf(res))
	case !res.Live:
		w.tail.block(res)
		return nil
	}
	// What was there has been read: from now on everything passes.
	t := w.tail
	w.tail = nil
	return t.each(w.pass)
}

func (w *writing) end(bad reader.Report) error {
	var err error
	if w.tail != nil {
		err = w.tail.each(w.pass)
	}
	if w.rows != nil && err == nil {
		err = w.rows.close()
	}
	return err
}

func (w *writing) pass(c chunk) error {
	if w.rows != nil {
		return w.rows.pass(c)
	}
	p := c.bytes()
	if len(p) == 0 {
		return nil
	}
	if w.header != nil {
		if err := w.header.writeOnce(w.out); err != nil {
			return err
		}
	}
	_, err := w.out.Write(p)
	return err
}

// output says how events are written. It is shared by the workers.
type output struct {
	format   string
	mapping  *expr.Program // nil: values stay
	header   *header       // of csv and tsv, else nil
	color    bool          // JSON for a terminal
	pretty   *render.Pretty
	noteEnds bool
	logNames bool // several logs are read: events say which they are of
}

// log is the member log of an event that is written.
func (o *output) log(it *scan.Item) event.Value {
	if it.InLog && !o.logNames {
		return event.Value{}
	}
	return it.Log
}

func (o *output) operator() scan.Operator { return &writer{output: o} }

// writer is the operator: it writes each event.
type writer struct {
	*output
	plain []byte // scratch
}

// PassLog implements scan.Passer.
func (w *writer) PassLog() (values, named, ok bool) {
	values = w.format == "value"
	return values, w.logNames, (values || w.format == "event") && w.mapping == nil && !w.color && !w.noteEnds
}

func (w *writer) Event(it *scan.Item, r *expr.Runner, out *scan.Result) error {
	// No mapping turns a tombstone into something else.
	if w.mapping == nil || it.Tombstone() {
		if w.whole(it, out) {
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

// whole writes the event, with the value that it has, where that takes no look
// at the value; false if it does.
func (w *writer) whole(it *scan.Item, out *scan.Result) bool {
	start := len(out.Out)
	switch {
	case w.format == "event" && it.InLog:
		var ok bool
		if out.Out, ok = it.AppendPlaced(out.Out, w.logNames); !ok {
			return false
		}
	case w.format == "event" && it.AsIs && !it.Changed:
		out.Out = append(out.Out, it.Line...)
	case w.format == "event" && it.OnlyValue() && !it.OwnTime, w.format == "value":
		out.Out = it.AppendValue(out.Out)
	case w.format == "none":
		w.end(out)
		return true
	default:
		return false
	}
	w.endLine(out, start)
	return true
}

// value writes the event with v as its value.
func (w *writer) value(it *scan.Item, v event.Value, out *scan.Result) error {
	start := len(out.Out)
	switch w.format {
	case "event":
		o := render.Out{Log: w.log(it), Partition: it.Partition, Offset: it.Offset, Key: it.Key, Headers: it.Headers, Src: it.Src, Value: v}
		if it.OwnTime {
			o.Time = it.Time
		}
		out.Out = render.AppendEvent(out.Out, &o)
	case "pretty":
		o := render.Out{Log: w.log(it), Partition: it.Partition, Offset: it.Offset, Time: it.Time, Key: it.Key, Headers: it.Headers, Src: it.Src, Value: v}
		out.Out = w.pretty.Append(out.Out, &o)
	case "value":
		out.Out = v.AppendJSON(out.Out)
	case "raw":
		out.Out = render.AppendRaw(out.Out, v)
	case "none":
		w.end(out)
		return nil
	case "line":
		out.Out = appendRow(out.Out, it, v)
	default: // csv, tsv
		h, err := w.header.decide(v, out.Seq)
		if err != nil {
			return err
		}
		if out.Out, err = h.AppendRow(out.Out, v); err != nil {
			return misfit(err, firstNames)
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
