package logappend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/stream"
)

func TestStoredLines(t *testing.T) {
	tests := []struct {
		name, in string
		args     []string
		want     string
	}{
		{"a bare value", `{"a":1}`, nil, `{"a":1}`},
		{"bytes that stay", "{ \"a\" : 1.50 , \"b\":\"\\u0041\" }\r", nil, "{ \"a\" : 1.50 , \"b\":\"\\u0041\" }\r"},
		{"an event as it is", `{"value":1,"time":"2026-01-02T03:04:05+01:00","key":"k"}`, nil, `{"value":1,"time":"2026-01-02T03:04:05+01:00","key":"k"}`},
		{"places are left out", `{"log":"x","partition":3,"offset":7,"time":"2026-01-02T03:04:05Z","key":"k","value":{"a":1}}`, nil,
			`{"time":"2026-01-02T03:04:05Z","key":"k","value":{"a":1}}`},
		{"and then it may be bare", `{"partition":3,"offset":7,"value":{"a":1}}`, nil, `{"a":1}`},
		{"unless that would be read differently", `{"offset":7,"value":{"value":1}}`, nil, `{"value":{"value":1}}`},
		{"headers and src stay", `{"offset":7,"headers":{"h":"1"},"src":{"o@1f3a9c02/0":8},"value":null}`, nil,
			`{"headers":{"h":"1"},"src":{"o@1f3a9c02/0":8},"value":null}`},
		{"-k", `{"user":"u1", "b":1e2}`, []string{"-k", ".user"}, `{"key":"u1","value":{"user":"u1", "b":1e2}}`},
		{"-k null", `{"key":"k","value":1}`, []string{"-k", "null"}, `1`},
		{"-t", `{"at":1767323045}`, []string{"-t", ".at"}, `{"time":"2026-01-02T03:04:05Z","value":{"at":1767323045}}`},
		{"a time that is only found is not stored", `{"time":"2026-01-02T03:04:05Z"}`, []string{"-S", "2026-01-01"}, `{"time":"2026-01-02T03:04:05Z"}`},
		{"a foreign format", "a=1 b=x", []string{"-i", "logfmt"}, `{"a":1,"b":"x"}`},
		{"text", "hello", []string{"-i", "text"}, `"hello"`},
		{"-i value", `{"value":1}`, []string{"-i", "value"}, `{"value":{"value":1}}`},
		{"-w", "{\"a\":1}\n{\"a\":2}", []string{"-w", ".a==2"}, `{"a":2}`},
		{"a tombstone", `{"key":"k","value":null}`, nil, `{"key":"k","value":null}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f fake
			f.run(t, tt.in+"\n", append(tt.args, "LOG")...).want(t, cli.OK)
			if got := f.text(0); got != tt.want+"\n" {
				t.Errorf("got  %swant %s", got, tt.want)
			}
		})
	}
}

func TestAllInOrder(t *testing.T) {
	input := numbered(50_000)
	for _, size := range []string{"1", "100", "70K", "1M"} {
		if size == "1" {
			input = numbered(500)
		} else if size == "100" {
			input = numbered(5000)
		}
		f := fake{room: 3}
		f.run(t, input, "--batch-bytes", size, "LOG").want(t, cli.OK)
		if f.text(0) != input {
			t.Errorf("--batch-bytes %s: what was stored is not what was read", size)
		}
		n, _ := cli.ParseSize(size)
		f.check(t, int(n))
		input = numbered(50_000)
	}
}

func TestPartitions(t *testing.T) {
	const n = 5
	var f fake
	input := numbered(20_000)
	f.run(t, input, "-k", ".user", "--partitions", "5", "--batch-bytes", "10K", "LOG").want(t, cli.OK)
	f.check(t, 10<<10)
	var want [n]strings.Builder
	for i, line := range strings.SplitAfter(strings.TrimSuffix(input, "\n"), "\n") {
		user := fmt.Sprintf("u%d", i%17)
		p := event.PartitionOf(event.TextValue([]byte(user)), n)
		fmt.Fprintf(&want[p], `{"key":"%s","value":%s}`+"\n", user, strings.TrimSuffix(line, "\n"))
	}
	for p := range n {
		if f.text(p) != want[p].String() {
			t.Errorf("partition %d is not as it should be", p)
		}
	}
}

func TestWithoutKeyARandomPartitionPerBatch(t *testing.T) {
	f := fake{partitions: 4}
	input := numbered(20_000)
	f.run(t, input, "--batch-bytes", "4K", "LOG").want(t, cli.OK)
	f.check(t, 4<<10)
	var all strings.Builder
	used := make(map[int]bool)
	for p := range 4 {
		all.WriteString(f.text(p))
	}
	for _, b := range f.batches {
		used[b.Partition] = true
	}
	if n := len(input) / (4 << 10); len(f.batches) > 2*n {
		t.Errorf("%d batches where %d would do: events without key fill one after the other", len(f.batches), n)
	}
	if len(used) != 4 {
		t.Errorf("%d of 4 partitions were used", len(used))
	}
	if a, b := sorted(all.String()), sorted(input); strings.Join(a, "") != strings.Join(b, "") {
		t.Error("what was stored is not what was read")
	}
}

func TestTimesOfBatches(t *testing.T) {
	var f fake
	input := `{"t":1700000300.5}
{"t":null}
{"t":1700000100}
{"t":1700000200}
{"t":null}
`
	f.run(t, input, "-t", ".t", "LOG").want(t, cli.OK)
	if len(f.batches) != 1 {
		t.Fatalf("%d batches", len(f.batches))
	}
	b := f.batches[0]
	if b.Timed != 3 || b.Count != 5 || b.MinTime != (stream.Instant{Sec: 1700000100}) || b.MaxTime != (stream.Instant{Sec: 1700000300, Nsec: 5e8}) {
		t.Errorf("got %d of %d from %v to %v", b.Timed, b.Count, b.MinTime, b.MaxTime)
	}
}

func TestAnswers(t *testing.T) {
	const input = `{"a":1}
{"time":"2026-01-02T03:04:05.50+01:00","key":"k","value":2}
`
	at := time.Date(2026, 3, 14, 9, 0, 0, 120_000_000, time.UTC).UnixMicro()
	f := fake{now: at}
	r := f.run(t, input, "--tee", "LOG")
	r.want(t, cli.OK)
	if want := `{"partition":0,"offset":0,"time":"2026-03-14T09:00:00.12Z","value":{"a":1}}
{"partition":0,"offset":1,"time":"2026-01-02T02:04:05.50Z","key":"k","value":2}
`; r.out != want {
		t.Errorf("--tee:\n%swant\n%s", r.out, want)
	}
	f = fake{}
	if r = f.run(t, input, "--acks", "LOG"); r.out != `{"partition":0,"offset":0,"count":2}`+"\n" {
		t.Errorf("--acks: %s", r.out)
	}
	f = fake{unsafe: true}
	if r = f.run(t, input, "--acks", "--sync=none", "LOG"); r.out != `{"partition":0,"offset":0,"count":2,"durable":false}`+"\n" || !f.wanted.noSync {
		t.Errorf("--acks --sync=none: %s", r.out)
	}
	f = fake{}
	if r = f.run(t, input, "LOG"); r.out != "" {
		t.Errorf("without either: %s", r.out)
	}
}

func TestTeeOfManyPartitions(t *testing.T) {
	f := fake{partitions: 3}
	r := f.run(t, numbered(10_000), "-k", ".user", "--tee", "--batch-bytes", "2K", "LOG")
	r.want(t, cli.OK)
	next := make(map[int]int)
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	for _, line := range lines {
		var p, offset int
		if _, err := fmt.Sscanf(line, `{"partition":%d,"offset":%d,"time":`, &p, &offset); err != nil || next[p] != offset {
			t.Fatalf("%s: %v; want offset %d", line, err, next[p])
		}
		next[p]++
	}
	if len(lines) != 10_000 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestExpect(t *testing.T) {
	var f fake
	f.run(t, numbered(30_000), "--expect", "0", "--batch-bytes", "1K", "LOG").want(t, cli.OK)
	if len(f.batches) != 1 || f.batches[0].Count != 30_000 {
		t.Errorf("%d batches", len(f.batches))
	}
	f.closed = false
	f.run(t, numbered(3), "--expect", "7", "LOG").want(t, cli.Unmet, "the next offset is 30000, not 7")
	f.closed = false
	f.run(t, "", "--expect", "7", "LOG").want(t, cli.Unmet, "the next offset is 30000, not 7")
	if len(f.batches) != 1 {
		t.Error("something was stored")
	}
	f.closed = false
	f.run(t, "", "--expect", "30000", "LOG").want(t, cli.OK)

	f = fake{}
	f.run(t, "{\"a\":1}\nno\n{\"a\":2}\n", "--expect", "0", "LOG").want(t, cli.BadInput, "-:2: ")
	if f.text(0) != "{\"a\":1}\n{\"a\":2}\n" {
		t.Errorf("the good lines are stored, got %s", f.text(0))
	}
	f = fake{}
	f.run(t, "{\"a\":1}\nno\n{\"a\":2}\n", "--expect", "0", "--bad=fail", "LOG").want(t, cli.BadInput, "-:2: ")
	if len(f.batches) != 0 {
		t.Error("--bad=fail: half of a batch was stored")
	}
	f = fake{partitions: 2}
	f.run(t, "1\n", "--expect", "0", "LOG").want(t, cli.Usage, "one partition")
}

func TestExpectTakesSoMuch(t *testing.T) {
	var f fake
	f.start()
	g := newGatherer(&f, 1, &new(lines).begun)
	g.whole = true
	part := make([]byte, headerSize, headerSize+64<<20)
	r := run{bytes: 64 << 20, count: 1}
	r.put(part)
	part = part[:cap(part)]
	for i := range 4 {
		if err := g.block(int64(i), part); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.block(4, part); err == nil || !strings.Contains(err.Error(), "more than 256 MiB") {
		t.Errorf("got %v", err)
	}
	g.close(true)
	if f.Close(); len(f.batches) != 0 {
		t.Error("it was stored")
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"", "no log is named"},
		{"a b", "cat FILES | logappend LOG"},
		{"-", "a log is a directory"},
		{"--tee --acks LOG", "exclude each other"},
		{"--expect 1 --partitions 2 LOG", "--expect needs a log with one partition"},
		{"--partitions 0 LOG", "at least 1"},
		{"--linger 5 LOG", "--linger"},
		{"--lock-timeout x LOG", "--lock-timeout"},
		{"--retain-age x LOG", "--retain-age"},
		{"--retain-bytes x LOG", "--retain-bytes"},
		{"--segment-bytes x LOG", "--segment-bytes"},
		{"--sync=always LOG", "try --sync=batch"},
		{"--cleanup=delete,compact LOG", "try --cleanup=compact,delete"},
		{"-k .[ LOG", "--key"},
		{"-m .a LOG", "logcat -m EXPR | logappend LOG"},
	} {
		var f fake
		f.run(t, "", strings.Fields(tt.args)...).want(t, cli.Usage, tt.want)
		if f.wanted != nil && tt.args != "" {
			t.Errorf("%s: the log was opened", tt.args)
		}
	}
}

func TestSettings(t *testing.T) {
	var f fake
	f.run(t, "", "LOG").want(t, cli.OK)
	if w := f.wanted; w.settings != (change{}) || w.path != "LOG" || w.linger != 5*time.Millisecond || w.lockTimeout != 30*time.Second || w.noSync {
		t.Errorf("without flags: %+v", f.wanted)
	}
	f = fake{}
	f.run(t, "", strings.Fields("--partitions 4 --cleanup compact,delete --retain-age 7d --retain-bytes 0 --segment-bytes 1M --lock-timeout 1s --linger 1ms LOG")...).want(t, cli.OK)
	w := f.wanted
	if s := w.settings; *s.Partitions != 4 || *s.Cleanup != "compact,delete" || *s.RetainAge != 7*24*time.Hour || *s.RetainBytes != 0 || *s.SegmentBytes != 1<<20 ||
		w.lockTimeout != time.Second || w.linger != time.Millisecond {
		t.Errorf("got %+v", w)
	}
}

func TestCompactedNeedsKeys(t *testing.T) {
	f := fake{compacted: true}
	f.run(t, `{"key":"k","value":1}
{"a":1}
{"key":"k","value":null}
`, "LOG").want(t, cli.BadInput, "-:2: no key, but the log is compacted", "-k .id")
	if want := "{\"key\":\"k\",\"value\":1}\n{\"key\":\"k\",\"value\":null}\n"; f.text(0) != want {
		t.Errorf("got %s", f.text(0))
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("write 00000.zst: no space left on device")
	for _, at := range []int{1, 3, 10} {
		f := fake{failAt: at, err: broken}
		r := f.run(t, numbered(20_000), "--batch-bytes", "10K", "--acks", "LOG")
		r.want(t, cli.Failed, "no space left")
		stored := 0
		for i := range f.batches {
			stored += f.batches[i].Count
		}
		says := fmt.Sprintf("no space left on device\nlogappend: %d events were stored before that\n", stored)
		if stored == 0 {
			says = "\nlogappend: nothing was stored before that\n"
		}
		if !strings.HasSuffix(r.err, says) {
			t.Errorf("%d events were stored, and it says %q", stored, r.err)
		}
		if n := strings.Count(r.err, "no space left"); n != 1 {
			t.Errorf("it is said %d times", n)
		}
		if acks := strings.Count(r.out, "\n"); acks != at-1 || len(f.batches) != at-1 {
			t.Errorf("%d acks of %d batches, want %d", acks, len(f.batches), at-1)
		}
	}
	// In several partitions it is the sum; the hint comes last.
	f := fake{partitions: 3, failAt: 6, err: &eventlog.LockError{Path: "LOG"}}
	r := f.run(t, numbered(20_000), "--batch-bytes", "10K", "LOG", "-k", ".user")
	r.want(t, cli.Locked, "has been locked")
	stored := 0
	for i := range f.batches {
		stored += f.batches[i].Count
	}
	if lines := strings.Split(r.err, "\n"); len(lines) != 4 || lines[1] != fmt.Sprintf("logappend: %d events were stored before that", stored) || !strings.HasPrefix(lines[2], "logappend: hint: ") {
		t.Errorf("%d events were stored, and it says %q", stored, r.err)
	}
	f = fake{openErr: fmt.Errorf("open LOG: %w", os.ErrPermission)}
	f.run(t, "1\n", "LOG").want(t, cli.Failed, "permission denied")
}

// An error ends the command even if its input says nothing more.
func TestErrorWhileInputPauses(t *testing.T) {
	in, w := io.Pipe()
	defer w.Close()
	f := fake{failAt: 1, err: errors.New("broken")}
	var errs bytes.Buffer
	exit := make(chan cli.Exit)
	go func() {
		exit <- cli.Exec(t.Context(), command(f.open), []string{"LOG"}, &cli.Streams{In: in, Err: &errs})
	}()
	w.Write([]byte("1\n"))
	select {
	case got := <-exit:
		if got != cli.Failed || !strings.Contains(errs.String(), "broken") || strings.Contains(errs.String(), "canceled") {
			t.Errorf("exit %d, %s", got, &errs)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on")
	}
}

func TestBadLines(t *testing.T) {
	rejects := filepath.Join(t.TempDir(), "rejects")
	var f fake
	f.run(t, "1\n{\"a\":\n2\n", "--rejects", rejects, "LOG").want(t, cli.BadInput, "-:2: ")
	if kept, _ := os.ReadFile(rejects); f.text(0) != "1\n2\n" || string(kept) != "{\"a\":\n" {
		t.Errorf("stored %q, kept %q", f.text(0), kept)
	}
	f = fake{}
	f.run(t, "1\n{\"a\":\n2\n", "--bad=fail", "LOG").want(t, cli.BadInput, "-:2: ")
	if f.text(0) != "1\n" {
		t.Errorf("--bad=fail: stored %q", f.text(0))
	}
	f = fake{}
	f.run(t, "1\n{\"a\":\n2\n", "--bad=ok", "LOG").want(t, cli.OK, "-:2: ")
}

// writer that goes away after so many bytes
type closing struct{ left int }

func (c *closing) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestOutputClosed(t *testing.T) {
	run := func(input io.Reader) (cli.Exit, string, *fake) {
		var f fake
		var errs bytes.Buffer
		s := &cli.Streams{In: input, Out: &closing{100}, Err: &errs}
		exit := cli.Exec(t.Context(), command(f.open), []string{"--acks", "--batch-bytes", "1K", "LOG"}, s)
		return exit, errs.String(), &f
	}
	// More comes than was read when the output closed.
	in, w := io.Pipe()
	go func() {
		for {
			if _, err := w.Write([]byte(numbered(1000))); err != nil {
				return
			}
		}
	}()
	exit, msg, f := run(in)
	in.Close()
	if exit != cli.Failed || !strings.Contains(msg, "the rest of the input was not appended") || f.count() == 0 {
		t.Errorf("exit %d, %s, %d batches", exit, msg, f.count())
	}
}

func TestInterrupt(t *testing.T) {
	in, w := io.Pipe()
	defer w.Close()
	f := fake{hold: make(chan struct{}, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	var errs bytes.Buffer
	exit := make(chan cli.Exit)
	go func() {
		exit <- cli.Exec(ctx, command(f.open), []string{"LOG"}, &cli.Streams{In: in, Err: &errs})
	}()
	w.Write([]byte("1\n")) // is being stored from here on
	time.Sleep(20 * time.Millisecond)
	w.Write([]byte("2\n3\n")) // and this is gathered
	time.Sleep(20 * time.Millisecond)
	cancel()
	time.Sleep(20 * time.Millisecond)
	close(f.hold)
	if got := <-exit; got != cli.Interrupted || errs.Len() > 0 {
		t.Errorf("exit %d, %s", got, &errs)
	}
	if f.text(0) != "1\n2\n3\n" || len(f.batches) != 2 {
		t.Errorf("stored %q in %d batches", f.text(0), len(f.batches))
	}
}
