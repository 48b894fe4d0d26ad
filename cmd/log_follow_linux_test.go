package cmd_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// appendLog appends lines to a log.
func appendLog(t *testing.T, log, text string, args ...string) {
	t.Helper()
	c := exec.Command("logappend", append(args, log)...)
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("logappend %s: %v\n%s", log, err, out)
	}
}

// numbers are lines from a number up to another.
func numbers(from, to int) string {
	var s strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintln(&s, i)
	}
	return s.String()
}

// A log that is followed gives what is there and then each event as it comes, once,
// from wherever reading began.
func TestFollowLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "app")
	appendLog(t, log, numbers(0, 4))
	all := start(t, "logcat", "-f", "-o", "value", log)
	last := start(t, "logcat", "-f", "-n", "2", "-o", "value", log)
	later := start(t, "logcat", "-f", "--from", "7", "-o", "value", log)
	some := start(t, "logcat", "-f", "--to", "6", "-o", "value", log)
	count := start(t, "logview", "-f", "-o", "value", log)
	all.wantLines("0", "1", "2", "3", "4")
	last.wantLines("3", "4")
	some.wantLines("0", "1", "2", "3", "4")
	count.wantLines(`{"count":5}`)
	for i := 5; i < 9; i++ {
		appendLog(t, log, numbers(i, i))
		want := fmt.Sprint(i)
		all.wantLines(want)
		last.wantLines(want)
		count.wantLines(fmt.Sprintf(`{"count":%d}`, i+1))
		if i == 5 {
			some.wantLines("5")
			some.wantEnd(0)
		}
		if i >= 7 {
			later.wantLines(want)
		}
	}
	for _, p := range []*process{all, last, later, count} {
		p.Process.Signal(syscall.SIGTERM)
		p.wantEnd(143)
	}
}

// Partitions are merged as far as they are there at first, and then come as they do,
// beside other logs and files.
func TestFollowPartitions(t *testing.T) {
	dir := t.TempDir()
	log, other, file := filepath.Join(dir, "app"), filepath.Join(dir, "other"), filepath.Join(dir, "file")
	event := func(i int) string {
		return fmt.Sprintf("{\"time\":\"2026-01-01T00:00:%02dZ\",\"key\":\"k%d\",\"value\":%d}\n", i, i, i)
	}
	for i := range 10 {
		appendLog(t, log, event(i), "--partitions", "3")
	}
	appendLog(t, other, numbers(100, 101))
	appendTo(t, file, numbers(200, 201))
	p := start(t, "logcat", "-f", "-m", "[$log,.]", "-o", "value", file, log, other)
	for i := range 10 {
		p.wantLines(fmt.Sprintf(`["app",%d]`, i))
	}
	p.wantLines(`["other",100]`, `["other",101]`, `[null,200]`, `[null,201]`)
	for i := 10; i < 16; i++ {
		appendLog(t, log, event(i))
		p.wantLines(fmt.Sprintf(`["app",%d]`, i))
	}
	appendTo(t, file, "202\n")
	p.wantLines(`[null,202]`)
	appendLog(t, other, "102\n")
	p.wantLines(`["other",102]`)
	p.wantNoMessage()
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)

	// Without partitions to merge, each operand has its turn.
	p = start(t, "logcat", "-f", "-c", "6", "-o", "value", file, other)
	p.wantLines("200", "201", "202", "100", "101", "102")
	p.wantEnd(0)
}
