// Package logcompact is the command that looks after logs: it keeps the newest events
// of each key, applies retention, checks and repairs. As a filter it keeps the newest
// events of each key of standard input.
package logcompact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/reader"
	"logtools/pkg/compact"
	"logtools/pkg/eventlog"
)

// options are the flags. What has no default is "" or less than 0 if it is not given.
type options struct {
	verify, repair bool

	// What is done to logs.
	cleanup                 string
	keep                    int64
	tombstones, minLag      string
	retainAge, retainBytes  string
	memory                  int64
	dryRun, follow          bool
	output                  string
	lockTimeout             string
	progress                string
	input, key, bad, reject string // of the filter
	maxLine                 int64

	compact compactor
	sleep   func(context.Context, time.Duration) error // between the rounds of -f
}

// compactor is compact.Run.
type compactor func(context.Context, *eventlog.Log, int, compact.Options) (compact.Report, error)

// Defaults that flags are compared with, to know whether they were given.
const (
	usualMemory      = 256 << 20
	usualMaxLine     = 16 << 20
	usualInput       = "auto"
	usualOutput      = "text"
	usualLockTimeout = "30s"
)

// New returns the command.
func New() *cli.Command { return command(usual(compact.Run)) }

// usual are the options if nothing is given.
func usual(c compactor) *options {
	return &options{
		keep: -1, memory: usualMemory, output: usualOutput, lockTimeout: usualLockTimeout, progress: "auto",
		input: usualInput, bad: cli.PolicySkip, maxLine: usualMaxLine,
		compact: c, sleep: sleep,
	}
}

func command(o *options) *cli.Command {
	return &cli.Command{
		Name:    "logcompact",
		Summary: "keep the newest events of each key, apply retention, check and repair logs",
		Synopsis: []string{
			"logcompact [--cleanup WHAT] [--keep N] [--tombstones DURATION]",
			"           [--min-lag DURATION] [--retain-age DURATION]",
			"           [--retain-bytes SIZE] [--dry-run | -f] [-o FORMAT] LOG ...",
			"logcompact [-i FORMAT] [-k EXPR] [--keep N] -",
			"logcompact --verify | --repair [-o FORMAT] LOG ...",
		},
		Examples: `logcompact --dry-run --cleanup compact users
logcompact users
logcompact --cleanup delete --retain-age 30d audit
logcompact -f --min-lag 1h users
cat changes.ndjson | logcompact -k .id -
logcompact --verify app
logcompact --repair app`,
		AddFlags: o.addFlags,
		Run:      o.run,
	}
}

func (o *options) addFlags(f *cli.Flags) {
	f.String(&o.cleanup, cli.FlagDoc{Name: "cleanup", Value: "WHAT", Choices: cleanups(),
		Instead: map[string]string{
			"delete,compact": "try --cleanup=compact,delete",
			"none":           "logappend --cleanup none LOG makes that the log's setting",
		},
		Usage: "what is done, instead of what the log's setting says"})
	f.Count(&o.keep, cli.FlagDoc{Name: "keep", Value: "N",
		Usage: "how many of the newest events of each key stay, usually 1"})
	f.String(&o.tombstones, cli.FlagDoc{Name: "tombstones", Value: "DURATION",
		Usage: "how long a tombstone stays after the run that first covered it, usually 24h"})
	f.String(&o.minLag, cli.FlagDoc{Name: "min-lag", Value: "DURATION",
		Usage: "leave events alone that were appended less than this ago, usually 0"})
	f.String(&o.retainAge, cli.FlagDoc{Name: "retain-age", Value: "DURATION",
		Usage: "delete files whose events are all older, 0 for none; else the log's setting"})
	f.String(&o.retainBytes, cli.FlagDoc{Name: "retain-bytes", Value: "SIZE",
		Usage: "delete the oldest files of a partition that has more, 0 for none; else the log's setting"})
	f.Bool(&o.dryRun, cli.FlagDoc{Name: "dry-run",
		Usage: "say what would be done; nothing is changed"})
	f.Bool(&o.follow, cli.FlagDoc{Name: "follow", Short: "f",
		Usage: "for ever: begin anew after a pause, and report only what was changed"})
	f.Size(&o.memory, 1<<20, 1<<50, cli.FlagDoc{Name: "memory", Value: "SIZE",
		Usage: "memory for keys; beyond it they go to temporary files"})
	f.String(&o.output, cli.FlagDoc{Name: "output", Short: "o", Value: "FORMAT", Choices: []string{"text", "json"},
		Usage: "of logs: a line of text for each partition, or a JSON object"})
	f.String(&o.lockTimeout, cli.FlagDoc{Name: "lock-timeout", Value: "DURATION",
		Usage: "how long to wait for another process's lock"})
	inputs := reader.Inputs()
	f.String(&o.input, cli.FlagDoc{Name: "input", Short: "i", Value: "FORMAT", Choices: inputs.Names, Instead: inputs.Instead,
		Usage: "of standard input: its format"})
	f.String(&o.key, cli.FlagDoc{Name: "key", Short: "k", Value: "EXPR",
		Once:  "a key of several members is an array: -k '[.a,.b]'",
		Usage: "of standard input: event key"})
	f.String(&o.bad, cli.FlagDoc{Name: "bad", Value: "WHAT", Choices: []string{cli.PolicySkip, cli.PolicyOK, cli.PolicyFail},
		Usage: "of standard input: skip bad lines (exit 3), skip them (exit 0), or stop at the first"})
	f.String(&o.reject, cli.FlagDoc{Name: "rejects", Value: "FILE", File: true,
		Usage: "of standard input: keep bad lines here, byte for byte"})
	f.Size(&o.maxLine, 1, 1<<30, cli.FlagDoc{Name: "max-line", Value: "SIZE",
		Usage: "of standard input: longest line; a longer one is bad"})
	f.Bool(&o.verify, cli.FlagDoc{Name: "verify",
		Usage: "read everything and name what is damaged; nothing is changed"})
	f.Bool(&o.repair, cli.FlagDoc{Name: "repair",
		Usage: "put what is damaged right: keep what is whole, record the gaps"})
	f.String(&o.progress, cli.FlagDoc{Name: "progress", Value: "WHEN", Choices: []string{"auto", "always", "never"},
		Usage: "show progress on standard error"})
	f.Instead(insteads())
}

// cleanups are the values of --cleanup.
func cleanups() []string {
	return slices.DeleteFunc(slices.Clone(eventlog.Cleanups), func(c string) bool { return c == "none" })
}

// insteads say what to type instead of flags that others have.
func insteads() map[string]string {
	const (
		age   = "--cleanup delete --retain-age 30d"
		size  = "--cleanup delete --retain-bytes 10G"
		first = "logcat has it: logcat ... | logcompact -k .id -"
		all   = "all partitions of a log are compacted, each by itself"
	)
	return map[string]string{
		"--check": "try --verify", "--fsck": "try --verify", "--test": "try --verify", "-t": "try --verify",
		"--fix": "try --repair", "--recover": "try --repair",
		"--json": "try -o json",
		"-n":     "try --dry-run", "--dryrun": "try --dry-run", "--noop": "try --dry-run", "--simulate": "try --dry-run",
		"--compact": "try --cleanup compact", "--delete": "try --cleanup delete",
		"--cleanup-policy": "try --cleanup", "--policy": "try --cleanup",
		"--retention": age, "--max-age": age, "--age": age, "--older-than": age, "--retention-ms": age, "--ttl": age,
		"--max-bytes": size, "--max-size": size, "--size": size, "--retention-bytes": size,
		"--delete-retention": "try --tombstones", "--tombstone": "try --tombstones",
		"--versions": "try --keep N", "--last": "try --keep N", "--latest": "--keep 1 is usual",
		"--lag": "try --min-lag", "--min-age": "try --min-lag", "--min-compaction-lag": "try --min-lag",
		"--watch": "try -f", "--daemon": "try -f", "-d": "try -f", "--interval": "-f pauses 20 times as long as it works",
		"--force": "nothing needs to be forced; -f is for ever",
		"-p":      all, "--partition": all, "--partitions": all,
		"-w": first, "--where": first, "-m": first, "--map": first, "-S": first, "--since": first, "-U": first, "--until": first,
		"--time": first, "--prefix": first, "--lossy": first, "--tz": first,
		"--by": "try -k", "-g": "try -k", "--group": "try -k",
	}
}

func (o *options) run(ctx context.Context, s *cli.Streams, operands []string) error {
	if err := o.check(s, operands); err != nil {
		return err
	}
	if operands[0] == "-" {
		return o.filter(ctx, s)
	}
	p, err := o.policy()
	if err != nil {
		return err
	}
	r := &run{ctx: ctx, s: s, json: o.output == "json", wait: p.lockTimeout}
	if o.verify || o.repair {
		defer s.StartProgress(o.progress, r.meter)()
		return (&checking{run: r, repair: o.repair}).logs(operands)
	}
	c := &cleaning{run: r, policy: p, compact: o.compact}
	if o.follow {
		return c.follow(o.progress, o.sleep, operands)
	}
	defer s.StartProgress(o.progress, r.meter)()
	return c.logs(operands)
}

// flag is one that may be given.
type flag struct {
	name  string
	given bool
}

// given returns the names of those that are.
func given(flags ...flag) (names []string) {
	for _, f := range flags {
		if f.given {
			names = append(names, f.name)
		}
	}
	return names
}

// ofRuns are the flags given that say what is done to logs.
func (o *options) ofRuns() []string {
	return given(flag{"--cleanup", o.cleanup != ""}, flag{"--tombstones", o.tombstones != ""}, flag{"--min-lag", o.minLag != ""},
		flag{"--retain-age", o.retainAge != ""}, flag{"--retain-bytes", o.retainBytes != ""},
		flag{"--dry-run", o.dryRun}, flag{"--follow", o.follow})
}

// ofBoth are those that logs and standard input have in common.
func (o *options) ofBoth() []string {
	return given(flag{"--keep", o.keep >= 0}, flag{"--memory", o.memory != usualMemory})
}

// ofLogs are those that are for whatever is done with logs.
func (o *options) ofLogs() []string {
	return given(flag{"--output", o.output != usualOutput}, flag{"--lock-timeout", o.lockTimeout != usualLockTimeout})
}

// ofInput are those that are for standard input.
func (o *options) ofInput() []string {
	return given(flag{"--input", o.input != usualInput}, flag{"--key", o.key != ""}, flag{"--bad", o.bad != cli.PolicySkip},
		flag{"--rejects", o.reject != ""}, flag{"--max-line", o.maxLine != usualMaxLine})
}

// check returns a usage error if flags and operands do not go together.
func (o *options) check(s *cli.Streams, operands []string) error {
	what := ""
	switch {
	case o.verify && o.repair:
		return cli.Usagef("--verify and --repair exclude each other")
	case o.verify:
		what = "--verify"
	case o.repair:
		what = "--repair"
	}
	stdin := slices.Contains(operands, "-")
	if what != "" {
		if others := slices.Concat(o.ofRuns(), o.ofBoth(), o.ofInput()); len(others) > 0 {
			return cli.Usagef("%s and %s exclude each other", others[0], what)
		}
		if stdin {
			return cli.Usagef("%s is for logs, and - is standard input", what)
		}
	}
	switch {
	case len(operands) == 0:
		return noLog(s, what)
	case slices.Contains(operands, ""):
		return &cli.Error{Exit: cli.Usage, Err: errors.New("an operand is empty"),
			Hint: "a shell variable that is not set leaves that behind"}
	case o.keep == 0:
		return cli.Usagef("--keep: at least 1 event of each key stays")
	case o.follow && o.dryRun:
		return cli.Usagef("--follow and --dry-run exclude each other")
	case stdin && len(operands) > 1:
		e := cli.Usagef("- is standard input, which is compacted alone")
		e.Hint = "cat FILE ... | logcompact -k .id -"
		return e
	case stdin:
		if logs := slices.Concat(o.ofRuns(), o.ofLogs()); len(logs) > 0 {
			return cli.Usagef("%s is for logs, and - is standard input", logs[0])
		}
	default:
		if input := o.ofInput(); len(input) > 0 {
			e := cli.Usagef("%s is for standard input, not for %s", input[0], operands[0])
			switch {
			case !eventlog.IsLog(operands[0]):
				e.Hint = "cat " + operands[0] + " | logcompact ... -"
			case input[0] == "--key":
				e.Hint = "events are stored with their keys: logappend -k EXPR LOG"
			default:
				e.Hint = "logcat " + operands[0] + " | logcompact ... -"
			}
			return e
		}
	}
	return nil
}

// noLog returns the error that there is no operand.
func noLog(s *cli.Streams, what string) error {
	e := &cli.Error{Exit: cli.Usage, Err: errors.New("no log is named"), Hint: "logcompact LOG, or --dry-run first"}
	switch {
	case what != "":
		e.Hint = "logcompact " + what + " LOG"
	case !s.InTerminal:
		e.Hint = "for standard input: ... | logcompact -k .id -"
	}
	return e
}

// run is one run over some logs.
type run struct {
	ctx  context.Context
	s    *cli.Streams
	json bool
	wait time.Duration // for locks

	// Bytes of the files of the partitions before the present one, of that, and of all.
	before, present int64
	done, total     atomic.Int64
}

// meter is for StartProgress: it counts the files of all partitions once, however often
// they are read.
func (r *run) meter() (done, total int64) { return r.done.Load(), r.total.Load() }

// progress says how far the present partition is, by whatever is counted there.
func (r *run) progress(done, total int64) {
	part := 1.0
	if total > 0 {
		part = min(float64(done)/float64(total), 1)
	}
	r.done.Store(r.before + int64(part*float64(r.present)))
}

// expect counts what there is to do in logs.
func (r *run) expect(paths []string) {
	for _, path := range paths {
		if l, err := eventlog.Open(path, eventlog.Options{}); err == nil {
			for p := range l.Settings().Partitions {
				r.total.Add(filesOf(l, p))
			}
		}
	}
}

// next begins with another partition.
func (r *run) next(l *eventlog.Log, partition int) {
	r.before += r.present
	r.present = filesOf(l, partition)
	r.done.Store(r.before)
	r.total.Store(max(r.total.Load(), r.before+r.present))
}

// filesOf returns how many bytes the files of a partition have, as far as that can be
// seen.
func filesOf(l *eventlog.Log, partition int) (bytes int64) {
	files, _ := os.ReadDir(l.PartitionDir(partition))
	for _, f := range files {
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
	}
	return bytes
}

func (r *run) line(text string) error {
	_, err := fmt.Fprintln(r.s.Out, text)
	return err
}

func (r *run) object(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = r.s.Out.Write(append(b, '\n'))
	return err
}

// directory returns an error if there is no directory at path.
func directory(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return asOpen(err)
	case !info.IsDir():
		return cli.WithHint(fmt.Errorf("%s: is a file, not a log", path), "a log is a directory that logappend has made")
	}
	return nil
}

// missingPartition returns what to say of a partition whose directory is not there;
// nil if it is.
func missingPartition(l *eventlog.Log, partition int) error {
	_, err := os.Stat(l.PartitionDir(partition))
	if !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("partition %d is missing: %w", partition, asOpen(err))
}

// asOpen makes an error of os.Stat one that the other commands say, too.
func asOpen(err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return &fs.PathError{Op: "open", Path: cause.Path, Err: cause.Err}
	}
	return err
}

func name(path string) string { return filepath.Base(filepath.Clean(path)) }

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
