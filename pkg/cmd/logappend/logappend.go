// Package logappend is the command that appends events to a log.
package logappend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/scan"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

type options struct {
	cli.ReaderFlags
	ruleFlags
	partitions  int64
	expect      int64
	batchBytes  int64
	sync        string
	linger      string
	cleanup     string
	retainAge   string
	retainBytes string
	segment     string
	lockTimeout string
	tee, acks   bool

	open opener // where the log comes from
}

// New returns the command.
func New() *cli.Command { return command(openLog) }

func command(open opener) *cli.Command {
	o := &options{
		partitions: -1, expect: -1, batchBytes: 1 << 20,
		sync: "batch", linger: "5ms", lockTimeout: "30s", open: open,
		ruleFlags: ruleFlags{memory: 256 << 20},
	}
	return &cli.Command{
		Name:    "logappend",
		Summary: "append events to a log, which is made when it is first used",
		Synopsis: []string{"logappend [-k EXPR] [-t EXPR] [-i FORMAT] [--partitions N] [--tee | --acks]",
			"          [--unique EXPR] [--fold EXPR --init JSON --check EXPR]",
			"          [--on-reject=skip|stop] [--refused FILE] LOG"},
		Examples: `logappend -k .user app < app.ndjson
logcat -f app.ndjson | logappend -k .user app
logappend -i combined -t '$time' web < access.log
logcat -w '.status>=500' app.ndjson | logappend --tee errors
echo '{"username":"ann"}' | logappend --unique .username claims
echo '{"account":"ann","amount":5}' | logappend -k .account --fold '. + $e.amount' --init 0 --check '. >= 0' ledger`,
		AddFlags: o.addFlags,
		Run:      o.run,
	}
}

const maxBatchBytes = 256 << 20

func (o *options) addFlags(f *cli.Flags) {
	o.Input = "json"
	o.ReaderFlags.Add(f, reader.Inputs(), cli.Formats{})
	f.Describe("key", "event key; it decides the partition")
	f.Describe("time", "event time, stored with it; without one it is that of its append")
	f.Describe("input", "format of standard input")
	f.Count(&o.partitions, cli.FlagDoc{Name: "partitions", Value: "N",
		Usage: "partitions of a new log, else 1; fixed from then on"})
	f.Bool(&o.tee, cli.FlagDoc{Name: "tee",
		Usage: "pass each event on with its partition and offset, once it is stored"})
	f.Bool(&o.acks, cli.FlagDoc{Name: "acks",
		Usage: "print partition, offset and count of each batch, once it is stored"})
	f.String(&o.sync, cli.FlagDoc{Name: "sync", Value: "WHEN", Choices: []string{"batch", "none"},
		Instead: map[string]string{"always": "try --sync=batch", "never": "try --sync=none", "off": "try --sync=none"},
		Usage:   "fsync each batch, or leave that to the system"})
	f.String(&o.linger, cli.FlagDoc{Name: "linger", Value: "DURATION",
		Usage: "how long a batch waits for more while more is coming"})
	f.Size(&o.batchBytes, 1, maxBatchBytes, cli.FlagDoc{Name: "batch-bytes", Value: "SIZE",
		Usage: "largest batch; only one longer event makes a larger one"})
	f.Count(&o.expect, cli.FlagDoc{Name: "expect", Value: "N",
		Usage: "store the whole input as one batch, only if N is the next offset"})
	o.ruleFlags.add(f)
	f.String(&o.cleanup, cli.FlagDoc{Name: "cleanup", Value: "WHAT", Choices: eventlog.Cleanups,
		Instead: map[string]string{"delete,compact": "try --cleanup=compact,delete"},
		Usage:   "setting of the log: what logcompact does about old events"})
	f.String(&o.retainAge, cli.FlagDoc{Name: "retain-age", Value: "DURATION",
		Usage: "setting of the log: how long logcompact keeps events, 0 for ever"})
	f.String(&o.retainBytes, cli.FlagDoc{Name: "retain-bytes", Value: "SIZE",
		Usage: "setting of the log: how much of a partition logcompact keeps, 0 all"})
	f.String(&o.segment, cli.FlagDoc{Name: "segment-bytes", Value: "SIZE",
		Usage: "setting of the log: how large a file becomes, usually 128M"})
	f.String(&o.lockTimeout, cli.FlagDoc{Name: "lock-timeout", Value: "DURATION",
		Usage: "how long to wait for another process's lock"})
	const shape = "logcat -m EXPR | logappend LOG"
	instead := map[string]string{
		"-m": shape, "--map": shape,
		"-o": "--tee prints the events, --acks where the batches lie", "--output": "--tee prints the events, --acks where the batches lie",
		"-f": "tail -n 0 -F FILE | logappend LOG", "--follow": "tail -n 0 -F FILE | logappend LOG",
		"-a": "logappend always appends", "--append": "logappend always appends",
		"-p": "--partitions N of a new log; the key decides which one an event goes to", "--partition": "the key decides which partition an event goes to",
		"--fsync": "try --sync=batch, which is usual", "--no-sync": "try --sync=none",
	}
	insteadOfRules(instead)
	f.Instead(instead)
}

// wanted is what the flags say besides what is read.
type wanted struct {
	path        string
	settings    change
	linger      time.Duration
	lockTimeout time.Duration
	noSync      bool
	ruleFlags
	key   string          // of -k; "": not given
	rules *eventlog.Rules // nil: none are named
}

// want checks the flags and the operand.
func (o *options) want(operands []string) (*wanted, error) {
	w := &wanted{noSync: o.sync == "none", ruleFlags: o.ruleFlags, key: o.Key}
	switch {
	case len(operands) == 0:
		return nil, &cli.Error{Exit: cli.Usage, Err: errors.New("no log is named"), Hint: "logappend LOG < FILE"}
	case len(operands) > 1:
		return nil, &cli.Error{Exit: cli.Usage, Err: fmt.Errorf("one log is named, not %d", len(operands)),
			Hint: "events come from standard input: cat FILES | logappend LOG"}
	case operands[0] == "-" || operands[0] == "":
		return nil, &cli.Error{Exit: cli.Usage, Err: fmt.Errorf("a log is a directory, not %q", operands[0]), Hint: "logappend LOG < FILE"}
	case o.tee && o.acks:
		return nil, cli.Usagef("--tee and --acks exclude each other")
	case o.expect >= 0 && o.partitions > 1:
		return nil, errExpect(int(o.partitions))
	case o.partitions == 0:
		return nil, cli.Usagef("--partitions: a log has at least 1")
	}
	if err := apart("--rejects", o.Rejects, "--refused", o.refused); err != nil {
		return nil, err
	}
	w.path = operands[0]
	if o.partitions > 0 {
		n := int(min(o.partitions, 1<<30)) // what is too much is for the log to say
		w.settings.Partitions = &n
	}
	if o.cleanup != "" {
		w.settings.Cleanup = &o.cleanup
	}
	for _, d := range []struct {
		flag, text string
		to         *time.Duration
		given      **time.Duration
	}{
		{"--linger", o.linger, &w.linger, nil},
		{"--lock-timeout", o.lockTimeout, &w.lockTimeout, nil},
		{"--retain-age", o.retainAge, new(time.Duration), &w.settings.RetainAge},
	} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.to, err = when.ParseDuration(d.text); err != nil {
			return nil, cli.Usagef("%s: %w", d.flag, err)
		}
		if d.given != nil {
			*d.given = d.to
		}
	}
	for _, n := range []struct {
		flag, text string
		given      **int64
	}{
		{"--retain-bytes", o.retainBytes, &w.settings.RetainBytes},
		{"--segment-bytes", o.segment, &w.settings.SegmentBytes},
	} {
		if n.text == "" {
			continue
		}
		size, err := cli.ParseSize(n.text)
		if err != nil {
			return nil, cli.Usagef("%s: %w", n.flag, err)
		}
		*n.given = &size
	}
	return w, nil
}

func errExpect(partitions int) error {
	return cli.Usagef("--expect needs a log with one partition, not %d", partitions)
}

func (o *options) run(ctx context.Context, s *cli.Streams, operands []string) error {
	w, err := o.want(operands)
	if err != nil {
		return err
	}
	r, err := reader.New(s, &o.ReaderFlags, nil)
	if err != nil {
		return err
	}
	if w.rules, err = o.named(); err != nil {
		return err
	}
	log, err := o.open(ctx, w, func(msg string) { s.Warn("%s", msg) })
	if err != nil {
		return explain(err, unknown)
	}
	if o.expect >= 0 && log.partitions > 1 {
		return errExpect(log.partitions)
	}
	r.Into = w.path
	l := &lines{partitions: log.partitions, maxRun: int(min(maxRun, o.batchBytes))}
	if log.compacted {
		l.noKey = &event.BadError{Reason: "no key, but the log is compacted by key", Hint: "say what the key is, for example -k .id"}
	}
	if err := l.apply(r, o, &log.rules); err != nil {
		return err
	}
	to, err := log.appender()
	if err != nil {
		return explain(err, unknown)
	}
	refused, err := newRefusals(s, o.refused, w.path, log.rules.Unique, log.partitions)
	if err == nil {
		err = errors.Join(o.append(ctx, s, r, w, l, to, refused), refused.to.Close())
	}
	if closeErr := to.Close(); err == nil {
		err = explain(closeErr, unknown)
	}
	return err
}

// append reads all events and stores them.
func (o *options) append(parent context.Context, s *cli.Streams, r *reader.Reader, w *wanted, l *lines, to stream.Appender, refused *refusals) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	g := newGatherer(to, l.partitions, &l.begun)
	g.batchBytes, g.linger = int(o.batchBytes), w.linger
	g.whole, g.expect = o.expect >= 0, o.expect
	g.refused = refused.take
	g.failed = func(error) { cancel() } // the input may be one that pauses
	switch {
	case o.tee:
		g.answer = newTee(s.Out).answer
	case o.acks:
		g.answer = (&acks{out: s.Out}).answer
	}
	if g.answer != nil {
		defer s.WatchOutput()()
	}
	all := false
	block := func(res *scan.Result, _ reader.Report) error { return g.block(res.Seq, res.Out) }
	end := func(reader.Report) error { all = true; return nil }
	stopped, err := r.Run(ctx, l.operator, block, end)
	storeErr := g.close(g.whole && (stopped || err != nil || !all))
	switch {
	case storeErr != nil:
		return explain(storeErr, g.stored) // the rest follows from that
	case err != nil && errors.Is(context.Cause(parent), cli.ErrClosed):
		// Elsewhere this is a quiet end. But exit 0 says that all was stored.
		if ended(s.In) {
			return nil
		}
		return errors.Join(errors.New("standard output was closed: the rest of the input was not appended"), soFar(g.stored))
	}
	return err
}

// ended says whether the input is at its end: whoever wrote it may have closed both
// ends at once.
func ended(in io.Reader) bool {
	end := make(chan bool, 1)
	go func() {
		n, err := in.Read(make([]byte, 1))
		end <- n == 0 && err == io.EOF
	}()
	select {
	case e := <-end:
		return e
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

// unknown is no number of events.
const unknown = -1

// explain gives an error of the log the status and the hint that it has, and says
// how many events were stored before it, if that is known.
func explain(err error, stored int64) error {
	if err == nil {
		return nil
	}
	var expect *stream.ExpectError
	if errors.As(err, &expect) { // which says that nothing was stored
		return cli.WithExit(err, cli.Unmet)
	}
	exit, ok := reader.StatusOf(err)
	var stopped *stoppedError
	switch {
	case errors.As(err, &stopped):
		exit = cli.Unmet
	case !ok:
		exit = cli.Failed
	}
	hint := ""
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		hint = h.Hint()
	}
	if stored == unknown {
		return &cli.Error{Exit: exit, Err: err, Hint: hint}
	}
	return errors.Join(cli.WithExit(err, exit), cli.WithExit(cli.WithHint(soFar(stored), hint), exit))
}

// soFar says how many events were stored before something went wrong.
func soFar(stored int64) error {
	switch stored {
	case 0:
		return errors.New("nothing was stored before that")
	case 1:
		return errors.New("1 event was stored before that")
	}
	return fmt.Errorf("%d events were stored before that", stored)
}
