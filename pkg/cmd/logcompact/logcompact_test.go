package logcompact

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"logtools/pkg/cli"
	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs"
)

func TestLostText(t *testing.T) {
	for _, c := range []struct {
		lost []eventlog.Offsets
		want string
	}{
		{nil, "no event is lost"},
		{[]eventlog.Offsets{{First: 7, Next: 8}}, "offset 7 is lost"},
		{[]eventlog.Offsets{{First: 7, Next: 9}}, "offsets 7 to 8 are lost"},
		{[]eventlog.Offsets{{First: 7, Next: 8}, {First: 10, Next: 20}}, "offsets 7, 10 to 19 are lost"},
		{[]eventlog.Offsets{{First: 0, Next: 1}, {First: 2, Next: 3}, {First: 4, Next: 5}, {First: 6, Next: 7}, {First: 8, Next: 9}, {First: 10, Next: 11}, {First: 12, Next: 13}},
			"offsets 0, 2, 4, 6, 8, 2 more ranges are lost"},
	} {
		if got := lostText(c.lost); got != c.want {
			t.Errorf("%v: %s, want %s", c.lost, got, c.want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 9949: "9.9 kB", 10_000: "10 kB", 893_000_000: "893 MB", 999_600: "1.0 MB", 5e15: "5000 TB",
	} {
		if got := cli.Humane(float64(n)); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func execute(ctx context.Context, args ...string) (exit cli.Exit, out, messages string) {
	var stdout, stderr bytes.Buffer
	exit = cli.Exec(ctx, New(), args, &cli.Streams{Out: &stdout, Err: &stderr})
	return exit, stdout.String(), stderr.String()
}

func newLog(t *testing.T, partitions int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app")
	if _, err := eventlog.OpenOrCreate(context.Background(), path, eventlog.Change{Partitions: &partitions}, eventlog.Options{}); err != nil {
		t.Fatal(err)
	}
	return path
}

// A partition that is missing is damage, and the others are still looked at.
func TestMissingPartition(t *testing.T) {
	for _, what := range []string{"--verify", "--repair"} {
		path := newLog(t, 3)
		if err := os.RemoveAll(filepath.Join(path, "00001")); err != nil {
			t.Fatal(err)
		}
		exit, out, messages := execute(context.Background(), what, path)
		if exit != cli.Damaged || strings.Count(out, "whole") != 2 || !strings.Contains(messages, "partition 1 is missing") {
			t.Errorf("%s: exit %d\n%s%s", what, exit, out, messages)
		}
		if _, err := os.Stat(filepath.Join(path, "00001")); err == nil {
			t.Errorf("%s: it was made", what)
		}
	}
}

func TestLocked(t *testing.T) {
	path := newLog(t, 1)
	for _, name := range []string{"lock", "maint.lock"} {
		lock, err := vfs.OS{}.Lock(filepath.Join(path, "00000", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Lock(context.Background()); err != nil {
			t.Fatal(err)
		}
		exit, out, messages := execute(context.Background(), "--repair", "--lock-timeout", "10ms", path)
		if exit != cli.Locked || out != "" || !strings.Contains(messages, "locked") {
			t.Errorf("%s: exit %d\n%s%s", name, exit, out, messages)
		}
		// Verifying needs no lock.
		if exit, _, messages := execute(context.Background(), "--verify", path); exit != cli.OK {
			t.Errorf("%s: exit %d\n%s", name, exit, messages)
		}
		lock.Close()
	}
}

func TestInterrupted(t *testing.T) {
	path := newLog(t, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, what := range []string{"--verify", "--repair"} {
		if exit, out, _ := execute(ctx, what, path); exit != cli.Interrupted || out != "" {
			t.Errorf("%s: exit %d\n%s", what, exit, out)
		}
	}
}
