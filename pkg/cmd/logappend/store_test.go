package logappend

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"logtools/pkg/cli"
)

// onDisk runs the command with a real log.
func onDisk(t *testing.T, input string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	exit := cli.Exec(t.Context(), New(), args, &cli.Streams{In: strings.NewReader(input), Out: &out, Err: &errs})
	return result{exit, out.String(), errs.String()}
}

func TestLogOnDisk(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	onDisk(t, "", log).want(t, cli.OK)
	if _, err := os.Stat(filepath.Join(log, "00000")); err != nil {
		t.Errorf("empty input makes no log: %v", err)
	}
	for _, step := range []struct {
		input, args string
		exit        cli.Exit
		out, err    string
	}{
		{"1\n2\n3\n", "--acks", cli.OK, `{"partition":0,"offset":0,"count":3}` + "\n", ""},
		{"4\n", "--acks --sync=none", cli.OK, `{"partition":0,"offset":3,"count":1,"durable":false}` + "\n", ""},
		{"5\n6\n", "--acks --expect 3", cli.Unmet, "", "the next offset is 4, not 3"},
		{"5\n6\n", "--acks --expect 4", cli.OK, `{"partition":0,"offset":4,"count":2}` + "\n", ""},
		{"7\n", "--partitions 3", cli.Usage, "", "3"},
		{"7\n", "--partitions 1 --acks", cli.OK, `{"partition":0,"offset":6,"count":1}` + "\n", ""},
		{"8\n", "--cleanup compact", cli.BadInput, "", "no key, but the log is compacted"},
		{"8\n", "-k . --tee -t 1700000000", cli.OK, `{"partition":0,"offset":7,"time":"2023-11-14T22:13:20Z","key":8,"value":8}` + "\n", ""},
		{"9\n", "", cli.BadInput, "", "no key, but the log is compacted"},
		{"9\n", "--cleanup none --acks", cli.OK, `{"partition":0,"offset":8,"count":1}` + "\n", ""},
	} {
		r := onDisk(t, step.input, append(strings.Fields(step.args), log)...)
		if r.exit != step.exit || r.out != step.out || !strings.Contains(r.err, step.err) || step.err == "" && r.err != "" {
			t.Errorf("%s: exit %d, want %d\n%s%swant\n%s%s", step.args, r.exit, step.exit, r.out, r.err, step.out, step.err)
		}
	}
}

func TestNoLog(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "app.log")
	full := filepath.Join(dir, "full")
	damaged := filepath.Join(dir, "damaged")
	onDisk(t, "", damaged).want(t, cli.OK)
	for _, err := range []error{
		os.WriteFile(file, nil, 0o666),
		os.Mkdir(full, 0o777),
		os.WriteFile(filepath.Join(full, "x"), nil, 0o666),
		os.WriteFile(filepath.Join(damaged, "log.json"), []byte("{}\n"), 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	onDisk(t, "1\n", file).want(t, cli.Failed, "is a file, not a log", "logappend LOG < "+file)
	onDisk(t, "1\n", full).want(t, cli.Failed, "not a log")
	onDisk(t, "1\n", damaged).want(t, cli.Damaged, "log.json")
	onDisk(t, "1\n", filepath.Join(dir, "no", "such")).want(t, cli.Failed, "no such file or directory", "mkdir -p "+filepath.Join(dir, "no"))
}

// Several at once: each batch is whole and each offset is given once.
func TestSeveralOnOneLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	const writers, events = 3, 2000
	var wg sync.WaitGroup
	outs := make([]result, writers)
	for i := range writers {
		wg.Go(func() {
			outs[i] = onDisk(t, numbered(events), "--partitions", "2", "-k", ".user", "--tee", "--batch-bytes", "8K", log)
		})
	}
	wg.Wait()
	next := make(map[string]bool)
	for _, r := range outs {
		r.want(t, cli.OK)
		n := 0
		for line := range strings.Lines(r.out) {
			place, _, _ := strings.Cut(line, `,"time"`)
			if next[place] {
				t.Fatalf("%s} is given twice", place)
			}
			next[place] = true
			n++
		}
		if n != events {
			t.Errorf("%d events of %d", n, events)
		}
	}
	for p := range 2 {
		for i := 0; ; i++ {
			if place := fmt.Sprintf(`{"partition":%d,"offset":%d`, p, i); !next[place] {
				break
			} else {
				delete(next, place)
			}
		}
	}
	if len(next) > 0 {
		t.Errorf("%d offsets lie behind a gap", len(next))
	}
}
