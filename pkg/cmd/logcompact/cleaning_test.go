package logcompact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/compact"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		done compact.Report
		dry  bool
		text string
		json string
	}{
		{done: compact.Report{EventsBefore: 2500000, BytesBefore: 214e6, EventsAfter: 50000, BytesAfter: 5.1e6, Keys: 50000, Tombstones: 3, Changed: true},
			text: "users/0: 2500000 events, 214 MB -> 50000 events, 5.1 MB; 50000 keys, 3 tombstones removed",
			json: `{"log":"users","partition":0,"events_before":2500000,"events_after":50000,"bytes_before":214000000,"bytes_after":5100000,"keys":50000,"tombstones_removed":3}`},
		{done: compact.Report{Partition: 7, EventsBefore: 2, BytesBefore: 900, EventsAfter: 1, BytesAfter: 500, Keys: 1, Tombstones: 1, Changed: true}, dry: true,
			text: "would be: users/7: 2 events, 900 B -> 1 event, 500 B; 1 key, 1 tombstone removed",
			json: `{"log":"users","partition":7,"events_before":2,"events_after":1,"bytes_before":900,"bytes_after":500,"keys":1,"tombstones_removed":1}`},
		{done: compact.Report{EventsBefore: 2, BytesBefore: 900, EventsAfter: 0, BytesAfter: 300, Keys: 0, Changed: true},
			text: "users/0: 2 events, 900 B -> 0 events, 300 B; 0 keys, 0 tombstones removed",
			json: `{"log":"users","partition":0,"events_before":2,"events_after":0,"bytes_before":900,"bytes_after":300,"keys":0,"tombstones_removed":0}`},
		{done: compact.Report{EventsBefore: 20, BytesBefore: 900, EventsAfter: 10, BytesAfter: 300, Keys: -1, Changed: true},
			text: "users/0: 20 events, 900 B -> 10 events, 300 B",
			json: `{"log":"users","partition":0,"events_before":20,"events_after":10,"bytes_before":900,"bytes_after":300,"keys":null,"tombstones_removed":0}`},
		{done: compact.Report{EventsBefore: 5, BytesBefore: 900, EventsAfter: 5, BytesAfter: 900, Keys: 5}, text: "users/0: 5 events, 900 B; nothing to do",
			json: `{"log":"users","partition":0,"events_before":5,"events_after":5,"bytes_before":900,"bytes_after":900,"keys":5,"tombstones_removed":0}`},
		{done: compact.Report{EventsBefore: 5, BytesBefore: 900, EventsAfter: 5, BytesAfter: 900, Keys: -1}, dry: true, text: "would be: users/0: 5 events, 900 B; nothing to do",
			json: `{"log":"users","partition":0,"events_before":5,"events_after":5,"bytes_before":900,"bytes_after":900,"keys":null,"tombstones_removed":0}`},
	} {
		if got := textOf("users", &c.done, c.dry); got != c.text {
			t.Errorf("%s\nwant %s", got, c.text)
		}
		if got, err := json.Marshal(objectOf("users", &c.done)); string(got) != c.json || err != nil {
			t.Errorf("%s, %v\nwant %s", got, err, c.json)
		}
	}
}

// with runs the command with a compactor of the test.
func with(ctx context.Context, o *options, stdin string, args ...string) (exit cli.Exit, out, messages string) {
	var stdout, stderr bytes.Buffer
	exit = cli.Exec(ctx, command(o), args, &cli.Streams{In: strings.NewReader(stdin), Out: &stdout, Err: &stderr})
	return exit, stdout.String(), stderr.String()
}

// logs makes logs of so many partitions, with a cleanup, in a directory that it
// changes to, and returns what makes more of them.
func logs(t *testing.T, partitions int, cleanup string, names ...string) (more func(cleanup string, names ...string)) {
	t.Helper()
	t.Chdir(t.TempDir())
	more = func(cleanup string, names ...string) {
		t.Helper()
		for _, name := range names {
			change := eventlog.Change{Partitions: &partitions, Cleanup: &cleanup}
			if _, err := eventlog.OpenOrCreate(context.Background(), name, change, eventlog.Options{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	more(cleanup, names...)
	return more
}

// changed is a report of something that was done.
func changed(partition int) compact.Report {
	return compact.Report{Partition: partition, EventsBefore: 2, BytesBefore: 900, EventsAfter: 1, BytesAfter: 500, Keys: 1, Changed: true, Steps: 12, Done: 12}
}

func changedText(log string, partition int) string {
	done := changed(partition)
	return textOf(log, &done, false) + "\n"
}

// nothing is a report of a run that had nothing to do.
func nothing(partition int) compact.Report {
	return compact.Report{Partition: partition, EventsBefore: 1, BytesBefore: 500, EventsAfter: 1, BytesAfter: 500, Keys: 1}
}

func harm(file string) error {
	return fmt.Errorf("while reading: %w", &event.DamagedError{File: file, From: 1, To: 2, Reason: "wrong"})
}

// One partition that fails does not keep the others from being done.
func TestOthersAreDone(t *testing.T) {
	for _, c := range []struct {
		name     string
		failed   error
		exit     cli.Exit
		messages string
	}{
		{"locked", &eventlog.LockError{Path: "b"}, cli.Locked, "logcompact: b: has been locked by another process for too long\nlogcompact: hint: see who holds it"},
		{"damaged", harm("f"), cli.Damaged, "logcompact: while reading: f: damaged: byte"},
		{"failed", &fs.PathError{Op: "write", Path: "x", Err: errors.New("no space left on device")}, cli.Failed, "logcompact: write x: no space left on device\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			logs(t, 2, "compact", "a", "b", "d")
			o := usual(func(_ context.Context, l *eventlog.Log, p int, _ compact.Options) (compact.Report, error) {
				if l.Name() == "b" {
					return compact.Report{Partition: p}, c.failed
				}
				return changed(p), nil
			})
			exit, out, messages := with(context.Background(), o, "", "a", "b", "nosuch", "d")
			want := changedText("a", 0) + changedText("a", 1) + changedText("d", 0) + changedText("d", 1)
			if exit != c.exit || out != want || !strings.HasPrefix(messages, c.messages) || !strings.Contains(messages, "open nosuch: no such file") {
				t.Errorf("exit %d\n%s%s", exit, out, messages)
			}
			if n := strings.Count(messages, "hint: logcompact --repair b\n"); c.exit == cli.Damaged && n != 1 {
				t.Errorf("%d hints\n%s", n, messages)
			}
		})
	}
}

// What a run did before it failed is reported, too.
func TestHalfDone(t *testing.T) {
	logs(t, 1, "compact", "a")
	for _, did := range []bool{true, false} {
		o := usual(func(_ context.Context, _ *eventlog.Log, p int, _ compact.Options) (compact.Report, error) {
			done := changed(p)
			done.Changed = did
			return done, errors.New("no space left on device")
		})
		exit, out, messages := with(context.Background(), o, "", "a")
		want := ""
		if did {
			want = changedText("a", 0)
		}
		if exit != cli.Failed || out != want || messages != "logcompact: no space left on device\n" {
			t.Errorf("%v: exit %d\n%s%s", did, exit, out, messages)
		}
	}
}

func TestPartitionGone(t *testing.T) {
	logs(t, 2, "compact", "a")
	if err := os.RemoveAll(filepath.Join("a", "00001")); err != nil {
		t.Fatal(err)
	}
	o := usual(func(_ context.Context, l *eventlog.Log, p int, _ compact.Options) (compact.Report, error) {
		_, err := os.ReadDir(l.PartitionDir(p))
		return changed(p), err
	})
	exit, _, messages := with(context.Background(), o, "", "a")
	if exit != cli.Damaged || !strings.Contains(messages, "partition 1 is missing: open a/00001: no such file") || !strings.Contains(messages, "hint: ") {
		t.Errorf("exit %d\n%s", exit, messages)
	}
}

func TestInterruptedRun(t *testing.T) {
	logs(t, 2, "compact", "a", "b")
	for _, c := range []struct {
		flag     string
		done     compact.Report
		out      bool
		messages string
	}{
		{done: compact.Report{}, messages: "a/0: interrupted before any file was replaced or removed; the log is whole"},
		{done: compact.Report{Steps: 12, Done: 3, Changed: true}, out: true, messages: "a/0: interrupted after 3 of 12 files; the log is whole"},
		{done: compact.Report{Steps: 1}, messages: "a/0: interrupted before any file was replaced or removed; the log is whole"},
		{done: compact.Report{Steps: 1, Done: 1, Changed: true}, out: true, messages: "a/0: interrupted after 1 of 1 file; the log is whole"},
		{flag: "--dry-run", done: compact.Report{Steps: 12, Changed: true}, messages: "a/0: interrupted; nothing was to be changed"},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		calls := 0
		o := usual(func(ctx context.Context, _ *eventlog.Log, _ int, _ compact.Options) (compact.Report, error) {
			calls++
			cancel()
			return c.done, fmt.Errorf("wrapped: %w", ctx.Err())
		})
		args := []string{"a", "b"}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		exit, out, messages := with(ctx, o, "", args...)
		if exit != cli.Interrupted || (out != "") != c.out || messages != "logcompact: "+c.messages+"\n" || calls != 1 {
			t.Errorf("%+v: exit %d, %d calls\n%s%s", c.done, exit, calls, out, messages)
		}
	}
	// That nobody reads the reports any more is a quiet end.
	closed, end := context.WithCancelCause(context.Background())
	quiet := usual(func(ctx context.Context, _ *eventlog.Log, p int, _ compact.Options) (compact.Report, error) {
		end(cli.ErrClosed)
		return compact.Report{Partition: p, Steps: 12, Done: 3}, ctx.Err()
	})
	if _, out, messages := with(closed, quiet, "", "a"); out+messages != "" {
		t.Errorf("%s%s", out, messages)
	}
	// A run that was through by then is reported like any other.
	ctx, cancel := context.WithCancel(context.Background())
	o := usual(func(_ context.Context, _ *eventlog.Log, p int, _ compact.Options) (compact.Report, error) {
		cancel()
		return changed(p), nil
	})
	if exit, out, messages := with(ctx, o, "", "a"); exit != cli.Interrupted || out != changedText("a", 0) || messages != "" {
		t.Errorf("exit %d\n%s%s", exit, out, messages)
	}
}

// closedPipe is a standard output whose reader has gone away.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestClosedOutput(t *testing.T) {
	logs(t, 3, "compact", "a")
	calls := 0
	o := usual(func(_ context.Context, _ *eventlog.Log, p int, _ compact.Options) (compact.Report, error) {
		calls++
		return changed(p), nil
	})
	var stderr bytes.Buffer
	exit := cli.Exec(context.Background(), command(o), []string{"a"}, &cli.Streams{Out: closedPipe{}, Err: &stderr})
	if exit != cli.OK || stderr.Len() > 0 || calls != 1 {
		t.Errorf("exit %d, %d calls\n%s", exit, calls, &stderr)
	}
}

// Flags and operands that do not go together: nothing is begun.
func TestUsage(t *testing.T) {
	more := logs(t, 1, "compact", "a")
	more("none", "none")
	more("delete", "del")
	o := func() *options {
		o := usual(func(context.Context, *eventlog.Log, int, compact.Options) (compact.Report, error) {
			t.Error("it was begun")
			return compact.Report{}, nil
		})
		o.sleep = func(context.Context, time.Duration) error { return errors.New("it sleeps") }
		return o
	}
	for _, c := range []struct {
		args, message string
	}{
		{"", "no log is named\nlogcompact: hint: for standard input: ... | logcompact -k .id -"},
		{"-k .id", "no log is named"},
		{"--verify", "no log is named\nlogcompact: hint: logcompact --verify LOG"},
		{"--verify --repair a", "--verify and --repair exclude each other"},
		{"--verify --keep 1 a", "--keep and --verify exclude each other"},
		{"--repair -f a", "--follow and --repair exclude each other"},
		{"--repair --memory 1G a", "--memory and --repair exclude each other"},
		{"--verify -k .id a", "--key and --verify exclude each other"},
		{"--verify -", "--verify is for logs, and - is standard input"},
		{"-f --dry-run a", "--follow and --dry-run exclude each other"},
		{"--keep 0 a", "--keep: at least 1 event of each key stays"},
		{"--keep 0 -", "--keep: at least 1 event of each key stays"},
		{"--keep -1 a", `--keep: "-1" is not a whole number`},
		{"a -", "- is standard input, which is compacted alone"},
		{"- a", "- is standard input, which is compacted alone"},
		{"- -", "- is standard input, which is compacted alone"},
		{"--cleanup compact -", "--cleanup is for logs, and - is standard input"},
		{"--tombstones 1h -", "--tombstones is for logs"},
		{"--min-lag 1h -", "--min-lag is for logs"},
		{"--retain-age 1h -", "--retain-age is for logs"},
		{"--retain-bytes 1 -", "--retain-bytes is for logs"},
		{"--dry-run -", "--dry-run is for logs"},
		{"-f -", "--follow is for logs"},
		{"-o json -", "--output is for logs"},
		{"--lock-timeout 1s -", "--lock-timeout is for logs"},
		{"-k .id a", "--key is for standard input, not for a\nlogcompact: hint: events are stored with their keys"},
		{"-i csv a", "--input is for standard input, not for a\nlogcompact: hint: logcat a | logcompact ... -"},
		{"--bad ok a", "--bad is for standard input"},
		{"--rejects r a", "--rejects is for standard input"},
		{"--max-line 1M a", "--max-line is for standard input"},
		{"--cleanup none a", `--cleanup: "none" is not compact, delete or compact,delete` + "\nlogcompact: hint: logappend --cleanup none LOG"},
		{"--cleanup delete,compact a", `--cleanup: "delete,compact" is not`},
		{"--cleanup delete --keep 2 nosuch", "--keep belongs to cleanup compact, and --cleanup is delete"},
		{"--retain-age 1y a", "--retain-age: "},
		{"none", "none: the log's setting cleanup is none\nlogcompact: hint: logcompact --cleanup compact none for this once"},
		{"-f none", "none: the log's setting cleanup is none"},
		{"-f a none del", "none: the log's setting cleanup is none"},
		{"del", "del: cleanup is delete, but there is no limit of age or bytes"},
		{"-n a", "unknown flag -n\nlogcompact: hint: try --dry-run"},
		{"--force a", "unknown flag --force\nlogcompact: hint: nothing needs to be forced"},
		{"--retention 30d a", "unknown flag --retention\nlogcompact: hint: --cleanup delete --retain-age 30d"},
		{"-w .a -", "unknown flag -w\nlogcompact: hint: logcat has it: "},
		{"-k .a| -", "--key: "},
		{"-i apache -", `--input: "apache" is not`},
	} {
		exit, out, messages := with(context.Background(), o(), "", strings.Fields(c.args)...)
		if exit != cli.Usage || out != "" || !strings.HasPrefix(messages, "logcompact: "+c.message) {
			t.Errorf("%s: exit %d\n%s%s", c.args, exit, out, messages)
		}
	}
	if exit := cli.Exec(context.Background(), New(), []string{"a", ""}, &cli.Streams{}); exit != cli.Usage {
		t.Errorf("an empty operand: exit %d", exit)
	}
	var stderr bytes.Buffer
	cli.Exec(context.Background(), New(), nil, &cli.Streams{Err: &stderr, InTerminal: true})
	if !strings.Contains(stderr.String(), "hint: logcompact LOG") {
		t.Errorf("on a terminal: %s", &stderr)
	}
}

// Usage errors of one log leave the others alone.
func TestUsageOfOne(t *testing.T) {
	more := logs(t, 1, "compact", "a", "b")
	more("none", "none")
	o := usual(func(_ context.Context, _ *eventlog.Log, p int, _ compact.Options) (compact.Report, error) {
		return changed(p), nil
	})
	exit, out, messages := with(context.Background(), o, "", "a", "none", "b")
	if exit != cli.Usage || out != changedText("a", 0)+changedText("b", 0) || !strings.Contains(messages, "setting cleanup is none") {
		t.Errorf("exit %d\n%s%s", exit, out, messages)
	}
}

func TestProgressOfSeveral(t *testing.T) {
	path, n := filepath.Join(t.TempDir(), "log"), 3
	l, err := eventlog.OpenOrCreate(context.Background(), path, eventlog.Change{Partitions: &n}, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{}
	r.expect([]string{path, "nosuch"})
	for p := range n {
		r.next(l, p)
		r.progress(50, 100)
		r.progress(0, 0) // of nothing all is done
		r.progress(50, 100)
		if done, total := r.meter(); done*2*int64(n) != total*int64(2*p+1) {
			t.Errorf("half of partition %d: %d of %d", p, done, total)
		}
		r.progress(100, 100)
	}
	if done, total := r.meter(); done != total || total == 0 {
		t.Errorf("%d of %d", done, total)
	}
}

func TestPause(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: time.Second, 10 * time.Millisecond: time.Second, 50 * time.Millisecond: time.Second,
		time.Second: 20 * time.Second, time.Hour: 20 * time.Hour,
	} {
		if got := pause(took); got != want {
			t.Errorf("%v: %v, want %v", took, got, want)
		}
	}
}

// rounds are the options of a run with -f that ends after so many rounds. step is
// called for each partition, with the number of the round, from 0; between after each
// round.
func rounds(t *testing.T, n int, step func(round int, l *eventlog.Log, p int, o compact.Options) (compact.Report, error), between func(round int)) (context.Context, *options) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	round := 0
	o := usual(func(_ context.Context, l *eventlog.Log, p int, how compact.Options) (compact.Report, error) {
		return step(round, l, p, how)
	})
	o.sleep = func(ctx context.Context, d time.Duration) error {
		if d < time.Second {
			t.Errorf("it sleeps for %v", d)
		}
		if between != nil {
			between(round)
		}
		if round++; round == n {
			cancel()
		}
		return ctx.Err()
	}
	return ctx, o
}

// Only what was changed is reported, and an error when it comes or is another one.
func TestRounds(t *testing.T) {
	logs(t, 1, "compact", "a", "b")
	failures := []error{
		nil,
		&fs.PathError{Op: "write", Path: "new-1", Err: errors.New("no space left on device")},
		&fs.PathError{Op: "write", Path: "new-2", Err: errors.New("no space left on device")},
		&os.LinkError{Op: "rename", Old: "new-3", New: "x", Err: errors.New("input/output error")},
		&os.LinkError{Op: "rename", Old: "new-4", New: "x", Err: errors.New("input/output error")},
		nil,
		&os.LinkError{Op: "rename", Old: "new-5", New: "x", Err: errors.New("input/output error")},
		nil,
	}
	ctx, o := rounds(t, len(failures), func(round int, l *eventlog.Log, p int, _ compact.Options) (compact.Report, error) {
		if l.Name() == "b" {
			return nothing(p), failures[round]
		}
		if round%4 == 0 {
			return changed(p), nil
		}
		return nothing(p), nil
	}, nil)
	exit, out, messages := with(ctx, o, "", "-f", "a", "b")
	if exit != cli.Interrupted || out != changedText("a", 0)+changedText("a", 0) {
		t.Errorf("exit %d\n%s", exit, out)
	}
	if want := "logcompact: write new-1: no space left on device\nlogcompact: rename new-3 x: input/output error\nlogcompact: rename new-5 x: input/output error\n"; messages != want {
		t.Errorf("messages:\n%s", messages)
	}
}

// Settings are read again in each round; that they forbid it later does not end it.
func TestRoundsSettings(t *testing.T) {
	more := logs(t, 1, "compact", "a")
	var seen []string
	ctx, o := rounds(t, 6, func(round int, _ *eventlog.Log, p int, how compact.Options) (compact.Report, error) {
		seen = append(seen, fmt.Sprint(round, how.Compact, how.Delete))
		return nothing(p), nil
	}, func(round int) {
		more([]string{"none", "none", "compact,delete", "none", "compact", "compact"}[round], "a")
	})
	exit, out, messages := with(ctx, o, "", "-f", "a")
	if exit != cli.Interrupted || out != "" || strings.Count(messages, "a: the log's setting cleanup is none") != 2 {
		t.Errorf("exit %d\n%s%s", exit, out, messages)
	}
	if want := []string{"0 true false", "3 true true", "5 true false"}; !slices.Equal(seen, want) {
		t.Errorf("%q", seen)
	}
}

// It ends when no log is left, not before.
func TestRoundsGone(t *testing.T) {
	logs(t, 1, "compact", "a", "b")
	calls := 0
	ctx, o := rounds(t, 10, func(_ int, _ *eventlog.Log, p int, _ compact.Options) (compact.Report, error) {
		calls++
		return nothing(p), nil
	}, func(round int) {
		switch round {
		case 0:
			os.RemoveAll("a")
		case 2:
			os.RemoveAll("b")
		}
	})
	exit, _, messages := with(ctx, o, "", "-f", "a", "b")
	if exit != cli.Failed || calls != 4 || messages != "logcompact: open a: no such file or directory\nlogcompact: open b: no such file or directory\n" {
		t.Errorf("exit %d, %d calls\n%s", exit, calls, messages)
	}
}

// A wait can be cut short.
func TestSleep(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := sleep(ctx, time.Hour); err != context.Canceled {
		t.Error(err)
	}
	if err := sleep(context.Background(), time.Millisecond); err != nil {
		t.Error(err)
	}
}
