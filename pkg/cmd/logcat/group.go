package logcat

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/eventlog"
	"logtools/pkg/scan"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// groupOptions are the flags of consumer groups.
type groupOptions struct {
	name  string
	batch int64
	wait  string
}

func (o *groupOptions) addFlags(f *cli.Flags) {
	f.String(&o.name, cli.FlagDoc{Name: "group", Short: "G", Value: "NAME",
		Usage: "of a log: what this group has not had yet, shared among its processes"})
	f.Count(&o.batch, cli.FlagDoc{Name: "batch", Value: "N",
		Usage: "with -G: at most N events for each run of the command"})
	f.String(&o.wait, cli.FlagDoc{Name: "batch-wait", Value: "DURATION",
		Usage: "with -G -f: how long an event may wait for others, such as 5s"})
}

// check refuses what does not go together, and takes the words of the command off the
// operands.
func (o *options) checkGroup(s *cli.Streams, operands []string) (logs, words []string, err error) {
	g := &o.group
	if g.name == "" {
		for _, f := range []struct {
			name  string
			given bool
		}{{"batch", g.batch >= 0}, {"batch-wait", g.wait != ""}} {
			if f.given {
				return nil, nil, usageHint("logcat -G GROUP LOG -- COMMAND", "--%s needs --group", f.name)
			}
		}
		return operands, nil, nil
	}
	for _, f := range []struct {
		name  string
		given bool
		hint  string
	}{
		{"describe", o.describe, "logcat --describe LOG tells of its groups, too"},
		{"tail", o.tail >= 0, "--batch N gives a command N events at a time"},
		{"count", o.count >= 0, "--batch N gives a command N events at a time"},
		{"partition", o.logs.Partitions != "", "the processes of a group share the partitions by themselves"},
		{"only-key", o.logs.OnlyKey != "", `-w '$key=="u7"' passes over the others, which then count as done`},
		{"merge", o.merge, "a group reads one log, whose partitions it shares"},
	} {
		if f.given {
			return nil, nil, usageHint(f.hint, "--group and --%s exclude each other", f.name)
		}
	}
	if strings.HasPrefix(g.name, ".") { // which is an expression
		return nil, nil, usageHint("logview groups and counts; here a group is one of consumers", "--group: %s is no name of a group", g.name)
	}
	const command = "logcat -G GROUP LOG -- COMMAND"
	logs = operands
	if dash := s.Dash(); dash >= 0 {
		if logs, words = operands[:dash], operands[dash:]; len(words) == 0 || words[0] == "" {
			return nil, nil, usageHint(command, "no command stands behind --")
		}
	}
	switch {
	case len(logs) == 0 || logs[0] == "-":
		return nil, nil, usageHint("logcat -G GROUP LOG", "--group reads a log, and none is named")
	case len(logs) > 1:
		return nil, nil, usageHint("a command stands behind --: "+command, "--group reads one log, not %d", len(logs))
	case words == nil && o.follow:
		return nil, nil, usageHint(command+" commits what the command has done", "--group with --follow needs a command")
	case words == nil && g.batch >= 0:
		return nil, nil, usageHint(command, "--batch needs a command")
	case words == nil && g.wait != "":
		return nil, nil, usageHint(command, "--batch-wait needs a command")
	case g.batch == 0:
		return nil, nil, cli.Usagef("--batch: a batch has at least 1 event")
	}
	if words != nil {
		switch o.Output {
		case "table", "pretty", "none":
			return nil, nil, usageHint("-o event, value, raw, csv and tsv are for commands", "-o %s is not for a command", o.Output)
		}
	}
	return logs, words, nil
}

func usageHint(hint, format string, args ...any) error {
	e := cli.Usagef(format, args...)
	e.Hint = hint
	return e
}

const (
	// lookEvery is how often a process looks whether its share has changed.
	lookEvery = 250 * time.Millisecond
	// resetWait is how long --from waits for those who read for the group: one that
	// was told to end gives its command 7 s.
	resetWait = 10 * time.Second
	// batchRoom is how much of a batch is held in memory, in bytes.
	batchRoom = 8 << 20
)

// join joins the group.
func (o *options) join(ctx context.Context, r *reader.Reader) (*eventlog.Log, *eventlog.Group, error) {
	logs, err := r.Logs()
	if err != nil {
		return nil, nil, err
	}
	g, err := logs[0].OpenGroup(ctx, o.group.name, eventlog.GroupOptions{From: r.From(), LockTimeout: resetWait})
	if err != nil {
		return nil, nil, reader.WithStatus(err)
	}
	return logs[0], g, nil
}

// sharing reads the partitions of a group that are this process's share.
type sharing struct {
	group consumer
	feed  feed
	batch *batcher
	// open opens a partition, of which the events from an offset on are wanted.
	open func(partition int, from int64) (partitionReader, error)
	// endless: partitions of which all has been read are followed.
	endless bool

	inputs []*input // open now
	next   int      // number of the next input
}

// balance makes its share what it is to be. Partitions are given up between two
// batches only: the events of a batch can be committed as long as they are held.
func (s *sharing) balance() error {
	owned, err := s.group.Owned()
	if err != nil {
		return err
	}
	held := s.group.Held()
	foreign := func(p int) bool { return !slices.Contains(owned, p) }
	if slices.ContainsFunc(held, foreign) && s.batch.events > 0 {
		if err := s.batch.end(); err != nil {
			return err
		}
	}
	if !slices.Equal(owned, held) {
		if err := s.batch.settle(); err != nil { // none is given up that is committed now
			return err
		}
		if _, err := s.group.Balance(owned); err != nil {
			return err
		}
		held = s.group.Held()
		for _, p := range held {
			owned = slices.DeleteFunc(owned, func(o int) bool { return o == p })
		}
	} else {
		owned = nil
	}
	return s.adopt(held, len(owned) > 0)
}

// adopt reads the partitions that are held, and no others. more: others of its own are
// to come.
func (s *sharing) adopt(held []int, more bool) error {
	s.inputs = slices.DeleteFunc(s.inputs, func(in *input) bool {
		gone := !slices.Contains(held, in.partition)
		if gone {
			s.batch.remove(in.number)
			s.feed.remove(in)
		}
		return gone
	})
	for _, p := range held {
		if slices.ContainsFunc(s.inputs, func(in *input) bool { return in.partition == p }) {
			continue
		}
		from := s.group.Committed(p)
		r, err := s.open(p, from)
		if err != nil {
			return err
		}
		in := &input{partitionReader: r, partition: p, number: s.next}
		s.next++
		s.inputs = append(s.inputs, in)
		s.batch.add(in.number, p, from)
		s.feed.add(in)
	}
	s.feed.expect(more || s.endless)
	return nil
}

// look is what is done every now and then while events are read.
func (s *sharing) look() error {
	s.batch.mu.Lock()
	defer s.batch.mu.Unlock()
	if s.batch.ctx.Err() != nil || s.batch.err != nil {
		return nil
	}
	if err := s.balance(); err != nil {
		return err
	}
	return s.batch.idle()
}

// watch calls look until the context of the batches is done, or look fails, which
// ends the run.
func (s *sharing) watch(every time.Duration) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := s.look(); err != nil {
				s.batch.stop(err)
				return reader.WithStatus(err)
			}
		case <-s.batch.ctx.Done():
			return nil
		}
	}
}

// runCommand hands the events that the group has not had to a command.
func (o *options) runCommand(ctx context.Context, s *cli.Streams, r *reader.Reader, out *output, words []string) (err error) {
	wait := time.Duration(0)
	if o.group.wait != "" {
		if wait, err = when.ParseDuration(o.group.wait); err != nil {
			return cli.Usagef("--batch-wait: %w", err)
		}
	}
	cmd := newCommand(s, words)
	if err := cmd.find(); err != nil {
		return err
	}
	if o.Progress == "auto" { // what the command prints is worth more
		o.Progress = "never"
	}
	log, group, err := o.join(ctx, r)
	if err != nil {
		return err
	}
	defer group.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := &batcher{
		group: group, start: cmd.start, ctx: ctx, stop: cancel, note: s.Warn, name: words[0],
		single: log.Settings().Partitions == 1,
		limit:  max(o.group.batch, 0), wait: wait, room: batchRoom, places: make(map[int]*place),
	}
	if out.header != nil {
		b.header = out.header.line
	}
	how := r.ReadOptions(log)
	how.From, how.Follow = eventlog.Position{}, o.follow
	x := &sharing{group: group, feed: newArriving(), batch: b, endless: o.follow && how.To == nil, open: partitionsOf(log, how)}
	if !o.follow {
		ends, err := endsOf(log, how)
		if err != nil {
			return reader.WithStatus(err)
		}
		x.feed, x.open = newInTurn(), partitionsUpTo(log, how, ends)
	}
	if err := x.balance(); err != nil {
		x.close()
		return reader.WithStatus(err)
	}
	if owned, err := group.Owned(); err == nil && len(owned) == 0 && !o.follow && len(x.inputs) == 0 {
		s.Warn("other processes of group %s have all partitions of %s", o.group.name, log.Path())
		x.close()
		return nil
	}
	watched := make(chan error, 1)
	go func() { watched <- x.watch(lookEvery) }()
	r.Inputs, r.Commits = []stream.Blocks{x.feed}, true
	_, err = r.Run(ctx, out.operator, b.block, nil)
	last := b.close()
	cancel(nil)
	late := <-watched
	x.close()
	switch {
	case last != nil: // which is why the run has ended, if anything is
		return last
	case late != nil:
		return late
	}
	return err
}

func (s *sharing) close() {
	s.feed.close()
	for _, in := range s.inputs {
		in.Close()
	}
}

// partitionsOf returns what opens the partitions of a log.
func partitionsOf(l *eventlog.Log, how eventlog.ReadOptions) func(int, int64) (partitionReader, error) {
	return func(p int, from int64) (partitionReader, error) {
		how := how
		how.Name = reader.PartitionName(l, p)
		how.From = eventlog.AtOffset(from)
		return l.Read(p, how)
	}
}

// partitionsUpTo is partitionsOf for reading up to an offset of each.
func partitionsUpTo(l *eventlog.Log, how eventlog.ReadOptions, ends []int64) func(int, int64) (partitionReader, error) {
	return func(p int, from int64) (partitionReader, error) {
		how := how
		to := eventlog.AtOffset(ends[p])
		how.To = &to
		return partitionsOf(l, how)(p, from)
	}
}

// endsOf returns the offsets before which reading ends, of each partition of a log, be
// it of one that others read now.
func endsOf(l *eventlog.Log, how eventlog.ReadOptions) ([]int64, error) {
	var ends []int64
	for p := range l.Settings().Partitions {
		how.Name = reader.PartitionName(l, p)
		r, err := l.Read(p, how)
		if err != nil {
			return nil, err
		}
		_, to := r.Range()
		r.Close()
		ends = append(ends, to)
	}
	return ends, nil
}

// handOver writes the events that the group has not had to standard output, and
// commits them when all of them have been taken.
func (o *options) handOver(ctx context.Context, s *cli.Streams, r *reader.Reader, out *output, w *writing) error {
	log, group, err := o.join(ctx, r)
	if err != nil {
		return err
	}
	defer group.Close()
	how := r.ReadOptions(log)
	how.From = eventlog.Position{}
	ends, err := endsOf(log, how)
	if err != nil {
		return reader.WithStatus(err)
	}
	held, err := allOf(ctx, group, lookEvery)
	if err != nil {
		return reader.WithStatus(err)
	}
	if len(held) == 0 {
		s.Warn("other processes of group %s have all partitions of %s", o.group.name, log.Path())
		return nil
	}
	open := partitionsUpTo(log, how, ends)
	var parts []*counted
	for _, p := range held {
		rd, err := open(p, group.Committed(p))
		if err != nil {
			return reader.WithStatus(err)
		}
		defer rd.Close()
		c := &counted{partitionReader: rd, partition: p, next: group.Committed(p), merged: len(held) > 1}
		parts = append(parts, c)
		r.Inputs = append(r.Inputs, c)
	}
	// The results of one partition say how far it has come, wherever they end.
	one, block := len(parts) == 1, w.block
	if r.Commits = one; one {
		block = parts[0].watch(w.block)
	}
	stopped, err := r.Run(ctx, out.operator, block, w.end)
	if err != nil || ctx.Err() != nil || stopped && !one {
		return err
	}
	if err := s.CloseOut(); err != nil {
		return err
	}
	for _, c := range parts {
		if c.next > group.Committed(c.partition) {
			if err := group.Commit(c.partition, c.next); err != nil {
				return reader.WithStatus(err)
			}
		}
	}
	return nil
}

// allOf returns the partitions that are a process's share once it has them all.
func allOf(ctx context.Context, g consumer, every time.Duration) ([]int, error) {
	for {
		owned, err := g.Owned()
		if err != nil {
			return nil, err
		}
		if _, err := g.Balance(owned); err != nil {
			return nil, err
		}
		if held := g.Held(); slices.Equal(owned, held) {
			return held, nil
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// counted is a partition of which it is known how far it has been read.
type counted struct {
	partitionReader
	partition int
	// next is the offset behind what was read: behind what was given out, if that goes
	// into a merge, and else behind what came out of the engine.
	next   int64
	merged bool

	mu   sync.Mutex
	over bool // it has failed, and what follows is left
}

// Next implements stream.Blocks. What is merged ends where it cannot be read: the
// others go on, and all that comes out of the merge can be committed.
func (c *counted) Next(ctx context.Context, b *stream.Block) error {
	if !c.merged {
		err := c.partitionReader.Next(ctx, b)
		if err == nil && b.Last {
			_, b.Pos.Base = c.Range()
		}
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return io.EOF
	}
	err := c.partitionReader.Next(ctx, b)
	if err != nil {
		return err
	}
	switch n := bytes.Count(b.Data, newline); {
	case b.Err != nil:
		c.over = true
	case n > 0:
		c.next = max(c.next, b.Pos.Offset(int64(n)-1)+1)
	case b.Last:
		_, to := c.Range()
		c.next = max(c.next, to)
	}
	return nil
}

// Progress implements stream.Meter.
func (c *counted) Progress() (done, total int64) {
	if m, ok := c.partitionReader.(stream.Meter); ok {
		return m.Progress()
	}
	return 0, -1
}

// watch notes how far results have come, those that block takes.
func (c *counted) watch(block func(*scan.Result, reader.Report) error) func(*scan.Result, reader.Report) error {
	return func(r *scan.Result, bad reader.Report) error {
		if err := block(r, bad); err != nil {
			return err
		}
		c.next = max(c.next, reached(r))
		return nil
	}
}

// reached is the offset behind what a result is of, as far as that is known.
func reached(r *scan.Result) int64 {
	if n := r.Lines(); n > 0 {
		return r.Pos.Offset(n-1) + 1
	}
	if k := len(r.Spans); k > 0 {
		s := &r.Spans[k-1]
		return r.Pos.Offset(s.Line+int64(s.Lines)-1) + 1
	}
	return r.Pos.Base // see input.adopt
}
