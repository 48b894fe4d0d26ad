package reader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/source"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// operand is what the command line names: a log, what cannot be read (err), or
// else a file or "-".
type operand struct {
	name       string
	log        *eventlog.Log
	err        error
	partitions []int // of the log: those to be read
}

// resolve tells logs from files. A path that is not there is left to be opened as a
// file: it may come, if it is followed.
func resolve(names []string) []operand {
	if len(names) == 0 {
		names = []string{"-"}
	}
	var all []operand
	for _, name := range names {
		o := operand{name: name}
		if st, err := os.Stat(name); name != "-" && err == nil && st.IsDir() {
			o.log, o.err = eventlog.Open(name, eventlog.Options{})
			if errors.Is(o.err, fs.ErrNotExist) {
				o.err = nil // it has just been removed
			}
		}
		if o.log != nil {
			for p := range o.log.Settings().Partitions {
				o.partitions = append(o.partitions, p)
			}
		}
		all = append(all, o)
	}
	return all
}

// Selection says which part of logs is read, as the flags have it; "" is all.
type Selection struct {
	From, To   string // --from, --to: see eventlog.ParsePosition
	Partitions string // --partition: numbers with commas between them
	OnlyKey    string // --only-key: JSON, or a plain string
	// Tail, if more than 0: only the last Tail events of all will be used.
	Tail int64
}

// Select takes a Selection. Its errors are usage errors, and so are operands that
// are no logs if anything is selected that only logs have.
func (r *Reader) Select(s Selection) error {
	r.tail = s.Tail
	now := time.Now()
	for _, p := range []struct {
		flag, text string
		to         **eventlog.Position
	}{{"--from", s.From, &r.from}, {"--to", s.To, &r.to}} {
		if p.text == "" {
			continue
		}
		if err := r.needLogs(p.flag, "a place in a file is -S TIME, -n N or -c N"); err != nil {
			return err
		}
		at, err := eventlog.ParsePosition(p.text, now, r.Query.Zone)
		if err != nil {
			return usage(p.flag, err)
		}
		*p.to = &at
	}
	switch {
	case s.Partitions != "" && s.OnlyKey != "":
		return cli.Usagef("--partition and --only-key exclude each other: a key is in one partition")
	case s.Partitions != "":
		return r.selectPartitions(s.Partitions)
	case s.OnlyKey != "":
		return r.selectKey(s.OnlyKey)
	}
	return nil
}

func (r *Reader) needLogs(flag, hint string) error {
	for i := range r.operands {
		o := &r.operands[i]
		if o.log != nil || o.err != nil {
			continue
		}
		if _, err := os.Stat(o.name); o.name != "-" && err != nil {
			continue // is named as an operand that is missing
		}
		what := o.name + " is a file"
		if o.name == "-" {
			what = "standard input is none"
		}
		e := cli.Usagef("%s is for logs, and %s", flag, what)
		e.Hint = hint
		return e
	}
	return nil
}

func (r *Reader) selectPartitions(text string) error {
	if err := r.needLogs("--partition", "a log is made by logappend"); err != nil {
		return err
	}
	var list []int
	wanted := make(map[int]bool)
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 31)
		if err != nil {
			e := cli.Usagef("--partition: %q is not a number of a partition", part)
			e.Hint = "for example -p 0,2"
			return e
		}
		if !wanted[int(n)] {
			wanted[int(n)] = true
			list = append(list, int(n))
		}
	}
	for i := range r.operands {
		o := &r.operands[i]
		if o.log == nil {
			continue
		}
		for _, p := range list {
			if n := len(o.partitions); p >= n {
				return noPartition(o.name, p, n)
			}
		}
	}
	for i := range r.operands {
		if o := &r.operands[i]; o.log != nil {
			o.keep(func(p int) bool { return wanted[p] })
		}
	}
	return nil
}

func noPartition(log string, p, n int) error {
	if n == 1 {
		return cli.Usagef("%s has no partition %d: it has only partition 0", log, p)
	}
	return cli.Usagef("%s has no partition %d: it has %d, from 0 to %d", log, p, n, n-1)
}

func (o *operand) keep(wanted func(p int) bool) {
	var list []int
	for _, p := range o.partitions {
		if wanted(p) {
			list = append(list, p)
		}
	}
	o.partitions = list
}

func (r *Reader) selectKey(text string) error {
	if err := r.needLogs("--only-key", `-w '$key=="u7"' is for files, too`); err != nil {
		return err
	}
	key, err := parseKey(text)
	if err != nil {
		return err
	}
	r.Query.OnlyKey = key.AppendCanonical(nil)
	for i := range r.operands {
		if o := &r.operands[i]; o.log != nil {
			only := event.PartitionOf(key, len(o.partitions))
			o.keep(func(p int) bool { return p == only })
		}
	}
	return nil
}

// parseKey reads a key: JSON, or else a plain string.
func parseKey(text string) (event.Value, error) {
	var ev event.Event
	ev.Reset(0)
	if event.NewReader(new(event.Fields), event.ValuesOnly).Read([]byte(text), &ev) == nil {
		if v := ev.Value(); !v.IsNull() {
			return v, nil
		}
		return event.Value{}, cli.Usagef("--only-key: null is no key")
	}
	quoted := event.AppendString(nil, []byte(text))
	if event.NewReader(new(event.Fields), event.ValuesOnly).Read(quoted, &ev) != nil || !strings.Contains(string(quoted), `"`) {
		return event.Value{}, cli.Usagef("--only-key: %q is no text", text)
	}
	return event.RawValue(quoted), nil
}

// Logs returns the operands that are logs. The error joins those of the others,
// with their exit statuses.
func (r *Reader) Logs() ([]*eventlog.Log, error) {
	var logs []*eventlog.Log
	var errs []error
	for i := range r.operands {
		switch o := &r.operands[i]; {
		case o.log != nil:
			logs = append(logs, o.log)
		case o.err != nil:
			errs = append(errs, WithStatus(o.err))
		case o.name == "-":
			e := cli.Usagef("no log is named")
			e.Hint = r.streams.Name + " --describe LOG"
			errs = append(errs, e)
		default:
			errs = append(errs, noLog(o.name))
		}
	}
	return logs, errors.Join(errs...)
}

func noLog(name string) error {
	_, err := os.Stat(name)
	if err == nil {
		err = fmt.Errorf("%s: is a file, not a log", name)
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		at.Op = "open" // as others say it
	}
	return cli.WithExit(err, cli.Failed)
}

// SeveralLogs says whether events need the name of their log to be told apart.
func (r *Reader) SeveralLogs() bool {
	n := 0
	for i := range r.operands {
		if r.operands[i].log != nil {
			n++
		}
	}
	return n > 1
}

// Merges says whether Run gives out events in the order of their times, of some
// operands at least: Result.Seq then orders nothing.
func (r *Reader) Merges() bool { return r.Merge || r.ByTime && r.manyPartitions() }

func (r *Reader) manyPartitions() bool {
	for i := range r.operands {
		if len(r.operands[i].partitions) > 1 {
			return true
		}
	}
	return false
}

// open opens the partitions of a log, the i-th operand.
func (r *Reader) open(i int) []input {
	o := &r.operands[i]
	if o.err != nil {
		return []input{{part: source.Part{Blocks: source.Failed(o.name, o.err), Input: i}}}
	}
	how := r.ReadOptions(o.log)
	q := &r.Query
	if q.Time == nil && q.Key == nil && q.Where == nil && q.OnlyKey == nil && q.Since == nil && q.Until == nil {
		how.Tail = r.tail
	}
	var all []input
	told := new(told)
	for _, p := range o.partitions {
		how.Name = PartitionName(o.log, p)
		in := input{part: source.Part{Input: i}}
		rd, err := o.log.Read(p, how)
		if err != nil {
			in.part.Blocks = source.Failed(how.Name, err)
		} else {
			in.part.Blocks, in.meter, in.close = rd, rd, func() { rd.Close() }
		}
		if len(o.partitions) > 1 {
			in.part.Blocks = &goneOnce{in.part.Blocks, told}
		}
		all = append(all, in)
	}
	return all
}

// ReadOptions say how a log is read, as the flags have it, but for Tail.
func (r *Reader) ReadOptions(l *eventlog.Log) eventlog.ReadOptions {
	how := eventlog.ReadOptions{Follow: r.Follow, To: r.to, LogName: l.Name()}
	if r.from != nil {
		how.From = *r.from
	}
	if r.Query.Time == nil {
		how.Since, how.Until = instant(r.Query.Since), instant(r.Query.Until)
	}
	return how
}

// From returns the position of --from, nil if it was not given.
func (r *Reader) From() *eventlog.Position { return r.from }

// PartitionName is what messages call a partition.
func PartitionName(l *eventlog.Log, p int) string { return l.Path() + "/" + strconv.Itoa(p) }

// goneOnce are the blocks of one of a log's partitions. That the log is gone each of
// them says, but only the first one is heard.
type goneOnce struct {
	stream.Blocks
	told *told
}

type told struct {
	mu    sync.Mutex
	texts map[string]bool
}

// Next is stream.Blocks's.
func (g *goneOnce) Next(ctx context.Context, b *stream.Block) error {
	err := g.Blocks.Next(ctx, b)
	var gone *event.GoneError
	if err == nil && errors.As(b.Err, &gone) && !g.told.first(gone.Error()) {
		b.Err = nil
	}
	return err
}

func (t *told) first(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.texts[text] {
		return false
	}
	if t.texts == nil {
		t.texts = make(map[string]bool)
	}
	t.texts[text] = true
	return true
}

func instant(t *when.Time) *stream.Instant {
	if t == nil {
		return nil
	}
	return &stream.Instant{Sec: t.Sec, Nsec: t.Nsec}
}

// WithStatus gives the errors of logs their exit status (see StatusOf) and their
// hint.
func WithStatus(err error) error {
	var hint interface{ Hint() string }
	if errors.As(err, &hint) && hint.Hint() != "" {
		err = cli.WithHint(err, hint.Hint())
	}
	if exit, ok := StatusOf(err); ok {
		return cli.WithExit(err, exit)
	}
	return err
}

// StatusOf returns the exit status of an error of a log; false if it is what the
// caller takes for usual.
func StatusOf(err error) (exit cli.Exit, ok bool) {
	var (
		damaged *event.DamagedError
		gone    *event.GoneError
		locked  *eventlog.LockError
		setting *eventlog.SettingError
		group   *eventlog.GroupNameError
	)
	switch {
	case errors.As(err, &group):
		return cli.Usage, true
	case errors.As(err, &setting):
		return cli.Usage, true
	case errors.As(err, &locked):
		return cli.Locked, true
	case errors.As(err, &damaged):
		return cli.Damaged, true
	case errors.As(err, &gone):
		return cli.Gone, true
	}
	return 0, false
}
