// Package reader is what all commands that read events have in common: it turns
// the shared flags into a query, opens the operands, and runs an operator over
// them while bad lines, failed inputs and progress go where they belong.
package reader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"logtools/pkg/cli"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/expr"
	"logtools/pkg/parse"
	"logtools/pkg/scan"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// Reader is one run over the operands. Compile the command's own programs with
// Compile before Run.
type Reader struct {
	Query scan.Query
	// Follow: go on at the end, until the context is done.
	Follow bool
	// Merge: give out the events of all operands in the order of their times.
	Merge bool
	// ByTime: give out the events of the partitions of each log in the order of
	// their times, and not one partition after the other.
	ByTime bool
	// Apart is scan.MergeOptions.Apart.
	Apart bool
	// Into is where the events go to, if that is a log: bad lines are not kept in it.
	Into string
	// Workers is scan.Options.Workers.
	Workers int
	// Inputs, if not nil, are read instead of the operands, as if they were the
	// partitions of one log.
	Inputs []stream.Blocks
	// Commits: what becomes of events is remembered beyond the run. Results of logs
	// have their Spans, an input that fails ends the run, and who uses
	// scan.Result.TellBad finds bad lines kept when it returns.
	Commits bool

	flags   *cli.ReaderFlags
	streams *cli.Streams
	format  *parse.Format // nil: auto
	files   []string
	// operands are files, or "-", and logs.
	operands []operand
	from, to *eventlog.Position // nil: not given
	tail     int64
	// readsTime: some program has $time in it.
	readsTime bool
}

// New checks the shared flags and compiles their programs. Its errors are
// usage errors.
func New(s *cli.Streams, flags *cli.ReaderFlags, operands []string) (*Reader, error) {
	if slices.Contains(operands, "") {
		e := cli.Usagef("an operand is empty")
		e.Hint = "a shell variable that is not set leaves that behind; - is standard input"
		return nil, e
	}
	r := &Reader{flags: flags, streams: s, files: operands, operands: resolve(operands)}
	var err error
	if r.format, err = parse.ByName(flags.Input); err != nil {
		return nil, usage("--input", err)
	}
	if flags.Prefix {
		if r.format = parse.Prefix(r.format); r.format == nil {
			return nil, cli.Usagef("--prefix is for JSON, not for -i %s", flags.Input)
		}
	}
	if r.format.New == nil { // auto
		r.format = nil
	}
	if flags.Lossy && flags.Input != "text" {
		return nil, cli.Usagef("--lossy needs -i text")
	}
	q := &r.Query
	if q.Zone, err = when.ParseZone(flags.TZ); err != nil {
		return nil, usage("--tz", err)
	}
	now := time.Now()
	for _, t := range []struct {
		flag, text string
		to         **when.Time
	}{{"--since", flags.Since, &q.Since}, {"--until", flags.Until, &q.Until}} {
		if t.text == "" {
			continue
		}
		at, err := when.ParsePoint(t.text, now, q.Zone)
		if err != nil {
			return nil, usage(t.flag, err)
		}
		*t.to = &at
	}
	for _, p := range []struct {
		flag, text string
		to         **expr.Program
	}{{"--time", flags.Time, &q.Time}, {"--key", flags.Key, &q.Key}, {"--where", flags.Where, &q.Where}} {
		if p.text == "" {
			continue
		}
		if *p.to, err = r.Compile(p.flag, p.text); err != nil {
			return nil, err
		}
	}
	if q.Where != nil && q.Where.Assigns() {
		e := cli.Usagef("--where: %s assigns, and that is true of every event", flags.Where)
		e.Hint = "== compares"
		return nil, e
	}
	return r, nil
}

func usage(flag string, err error) error {
	var re *parse.RegexpError
	if errors.As(err, &re) {
		return &cli.Error{Exit: cli.Usage, Err: fmt.Errorf("%s: %s", flag, re.Msg), Detail: re.Caret(), Hint: re.Hint()}
	}
	e := cli.Usagef("%s: %w", flag, err)
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		e.Hint = h.Hint()
	}
	return e
}

// Compile compiles a program of the command; flag is what messages name.
func (r *Reader) Compile(flag, src string) (*expr.Program, error) {
	p, err := expr.Compile(src, &r.Query.Fields)
	if err != nil {
		return nil, SyntaxError(flag, err)
	}
	if p.UsesTime() {
		r.Query.NeedTime = true
		r.readsTime = r.readsTime || strings.Contains(src, "$time") // and not only $event
	}
	return p, nil
}

// SyntaxError makes a usage error of a program's error, with a caret under the
// place.
func SyntaxError(flag string, err error) error {
	var syntax *expr.SyntaxError
	if errors.As(err, &syntax) {
		return &cli.Error{Exit: cli.Usage, Err: fmt.Errorf("%s: %s", flag, syntax.Msg), Detail: syntax.Caret(), Hint: hintFor(syntax)}
	}
	return usage(flag, err)
}

// hintFor knows the mistakes that everybody makes.
func hintFor(e *expr.SyntaxError) string {
	at := e.Src[min(e.Offset, len(e.Src)):]
	name, ok := strings.CutPrefix(e.Msg, "function not defined: ")
	if word := oddName(e.Src, min(e.Offset, len(e.Src))); word != "" {
		return fmt.Sprintf("a name that is no plain word is written .[\"%s\"]", word)
	}
	switch {
	case ok && strings.HasSuffix(name, "/0"):
		name = strings.TrimSuffix(name, "/0")
		return fmt.Sprintf("a member is .%s, a string is \"%s\"", name, name)
	case strings.HasPrefix(at, "&") || strings.HasPrefix(at, "||") || strings.HasPrefix(at, "|") && strings.HasSuffix(e.Src[:e.Offset], "|"):
		return "jq has the words and, or, not"
	case strings.HasPrefix(at, "'"):
		return `strings are in double quotes: "error"`
	}
	return ""
}

// oddName returns the name of the member that a path at that place of a program
// seems to mean, if jq does not read it without quotes: .é, .@version, .5xx,
// .user-agent; else "".
func oddName(src string, at int) string {
	const ends = " \t\r\n.,:;|/*+=<>!?%&()[]{}\"\\'$#"
	end := func(from int) int {
		if n := strings.IndexAny(src[from:], ends); n >= 0 {
			return from + n
		}
		return len(src)
	}
	if strings.HasPrefix(src[at:], ".") { // .5xx
		at++
	}
	start := at
	if at > 0 && src[at-1] == '-' { // .user-agent, of which agent is the place
		start = strings.LastIndexAny(src[:at], ends) + 1
	}
	if start == 0 || at == len(src) || src[start-1] != '.' || start == end(start) {
		return ""
	}
	word := src[start:end(at)]
	if strings.HasPrefix(word, "-") || !utf8.ValidString(word) {
		return ""
	}
	return word
}

// Report takes a bad line: see scan.Sink. Its error, if any, ends the run.
type Report func(name string, line int64, reason error, raw []byte) error

// Run reads the operands. block takes each block's result in the order of the
// input; scan.ErrStop from it ends the reading early. end, if not nil, is called
// after the last block, if all went well, and may report bad lines. Run returns an error
// only if the run as a whole failed; what was wrong with lines and inputs has
// been reported, and stopped says whether a bad line ended the run
// (--bad=fail).
func (r *Reader) Run(ctx context.Context, newOperator func() scan.Operator, block func(*scan.Result, Report) error, end func(Report) error) (stopped bool, err error) {
	bad, err := r.streams.NewBadLines(r.flags.Bad, r.flags.Rejects, append(slices.Clip(r.files), r.Into)...)
	if err != nil {
		return false, err
	}
	k := &sink{block: block, bad: bad, streams: r.streams, follow: r.Follow, looks: 5, stop: r.flags.Bad == "fail", commits: r.Commits}
	k.foreign.asked = r.format != nil && !r.flags.Prefix && r.format.Name == "json"
	if !r.flags.Prefix {
		format, err := parse.ByName(r.flags.Input)
		if err != nil {
			return false, usage("--input", err)
		}
		if with := parse.Prefix(format); with != nil {
			k.prefix = with.New(parse.Options{})
		}
	}
	o := scan.Options{
		Format:    r.format,
		MaxLine:   r.flags.MaxLine,
		StopAtBad: r.flags.Bad == "fail",
		Lossy:     r.flags.Lossy,
		Workers:   r.Workers,
		Spans:     r.Commits,
	}
	var nulls nulls
	if r.Query.Key != nil || r.Query.Time != nil {
		newOperator = nulls.watch(newOperator)
	}
	err = r.read(ctx, o, newOperator, k)
	if stopped = errors.Is(err, cli.ErrStop); stopped {
		err = nil
	}
	if end != nil && (err == nil || r.Follow && ctx.Err() != nil) {
		if endErr := end(k.report); errors.Is(endErr, cli.ErrStop) {
			stopped = true
		} else if endErr != nil {
			err = endErr
		}
	}
	err = errors.Join(err, bad.Close())
	// With these an event without time is bad, which has its own hint.
	needed := r.Query.Since != nil || r.Query.Until != nil || r.Merge
	if r.readsTime && !needed && r.Query.Time == nil && r.Query.NoTime() {
		k.hints = append(k.hints, "$time is null in every event; say where the time is, for example -t .time")
	}
	k.hints = append(k.hints, nulls.hints(r.flags)...)
	if hint := k.foreign.hint(); hint != "" && len(k.hints) == 0 {
		k.hints = append(k.hints, hint)
	}
	for _, hint := range k.hints {
		r.streams.Hint("%s", hint)
	}
	return stopped, err
}

// sink passes on what the engine hands out.
type sink struct {
	block   func(*scan.Result, Report) error
	bad     *cli.BadLines
	streams *cli.Streams
	follow  bool
	prefix  parse.Parser // nil: lines with a prefix are not looked for
	looks   int          // how many lines are still looked at
	hints   []string     // of bad lines, each once
	stop    bool         // damage ends the run (--bad=fail)
	stopped bool         // the command wants no more
	commits bool         // Reader.Commits
	foreign foreign
}

func (k *sink) Block(r *scan.Result) error {
	k.foreign.good = k.foreign.good || len(r.Out) > 0 || len(r.Ends) > 0
	err := k.block(r, k.report)
	k.stopped = k.stopped || err == scan.ErrStop
	return err
}

func (k *sink) Unsorted(name string, line int64) {
	k.streams.Warn("%s:%d: earlier than the line before: the file is not sorted by time", name, line)
}

func (k *sink) Bad(name string, line int64, reason error, raw []byte) error {
	if raw == nil { // a long line, whose parts were kept as they came
		k.bad.RejectEnd()
	}
	return k.report(name, line, reason, raw)
}

// report names a bad line, and remembers its hint.
func (k *sink) report(name string, line int64, reason error, raw []byte) error {
	if b, ok := reason.(*event.BadError); ok {
		hint := b.Hint
		if k.prefixed(raw) {
			hint = "--prefix reads the JSON that stands behind other text in a line"
		}
		if hint == "" && strings.HasPrefix(b.Reason, "expected an object but got: ") {
			hint = "a path that ends in ?, such as .level?, passes over values that are no objects"
		}
		if hint != "" && !slices.Contains(k.hints, hint) {
			k.hints = append(k.hints, hint)
		}
	}
	k.foreign.bad(name, line, raw)
	if k.commits {
		defer k.bad.Flush()
	}
	return k.bad.Add(name, line, reason, raw)
}

// prefixed says whether a bad line is one for --prefix. Only the first lines are
// looked at.
func (k *sink) prefixed(line []byte) bool {
	if k.prefix == nil || k.looks == 0 || len(line) == 0 || strings.IndexByte("{[\"", line[0]) >= 0 {
		return false
	}
	k.looks--
	var ev event.Event
	ev.Reset(0)
	return k.prefix.Parse(line, &ev) == nil && ev.IsObject()
}

func (k *sink) LongPart(p []byte) error {
	k.bad.RejectPart(p)
	return nil
}

func (k *sink) Failed(name string, err error) error {
	if k.follow && errors.Is(err, fs.ErrNotExist) {
		k.streams.Warn("%v; waiting for it", err) // it is not too late
		return nil
	}
	err = WithStatus(err)
	k.streams.Report(err, cli.Failed)
	if k.commits || k.stop && cli.ExitOf(err, cli.Failed) == cli.Damaged {
		return cli.ErrStop
	}
	return nil
}
