package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// appendTo appends text to a file in one write, as a logger does.
func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// wantLines reads lines and compares them.
func (p *process) wantLines(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if got := p.line(); got != w {
			p.t.Fatalf("%s %q gave %s, want %s\n%s", p.Args[0], p.Args[1:], got, w, p.errors)
		}
	}
}

// wantEnd waits for the end, before which no more output may come.
func (p *process) wantEnd(want int) {
	p.t.Helper()
	if code, rest := p.status(); code != want || rest != nil {
		p.t.Errorf("%s %q: exit %d, want %d; %q\n%s", p.Args[0], p.Args[1:], code, want, rest, p.errors)
	}
}

// wantNoMessage fails if there is a message.
func (p *process) wantNoMessage() {
	p.t.Helper()
	if got := p.errors.String(); got != "" {
		p.t.Errorf("%s %q says: %s", p.Args[0], p.Args[1:], got)
	}
}

// A line that was written is on standard output within 20 ms, in half of the
// cases at least: the machine may be busy.
func TestFollowLatency(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for _, args := range [][]string{
		{"-f", "-i", "json"},
		{"-f", "-i", "json", "-w", ".n>0", "-m", "{n}"},
		{"-f", "-i", "json", "-o", "csv"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			os.Remove(log)
			appendTo(t, log, "{\"n\":1}\n")
			p := start(t, "logcat", append(args, log)...)
			suffix := "{\"n\":%d}"
			if slices.Contains(args, "csv") {
				suffix = "%d"
				p.wantLines("n")
			}
			p.wantLines(fmt.Sprintf(suffix, 1))
			time.Sleep(50 * time.Millisecond)
			var took []time.Duration
			for i := 2; i < 42; i++ {
				time.Sleep(10 * time.Millisecond)
				begin := time.Now()
				appendTo(t, log, fmt.Sprintf("{\"n\":%d}\n", i))
				p.wantLines(fmt.Sprintf(suffix, i))
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			if median := took[len(took)/2]; median > 20*time.Millisecond {
				t.Errorf("a line takes %v", median)
			} else {
				t.Logf("a line takes %v", median)
			}
			p.Process.Signal(syscall.SIGINT)
			p.wantEnd(130)
			p.wantNoMessage()
		})
	}
}

// By name through rename and create: no line is lost or given twice.
func TestFollowRotation(t *testing.T) {
	for _, extra := range [][]string{nil, {"-o", "csv"}, {"-i", "json", "-w", "."}} {
		dir := t.TempDir()
		log := filepath.Join(dir, "log")
		appendTo(t, log, "1\n2\n")
		p := start(t, "logcat", append([]string{"-f", log}, extra...)...)
		if slices.Contains(extra, "csv") {
			p.wantLines("value")
		}
		p.wantLines("1", "2")
		n := 2
		for file := range 5 {
			n++
			appendTo(t, log, fmt.Sprintf("%d\n", n))
			rename(t, log, fmt.Sprintf("%s.%d", log, file))
			n++
			appendTo(t, fmt.Sprintf("%s.%d", log, file), fmt.Sprintf("%d\n", n)) // the writer has not noticed yet
			n++
			appendTo(t, log, fmt.Sprintf("%d\n", n))
			for i := n - 2; i <= n; i++ {
				p.wantLines(strconv.Itoa(i))
			}
		}
		p.Process.Signal(syscall.SIGTERM)
		p.wantEnd(143)
		p.wantNoMessage()
	}
}

// A file that was truncated is read anew, with a warning; so is csv, of which the
// first line names the fields again.
func TestFollowTruncated(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	appendTo(t, log, "a,b\n1,2\n3,4\n")
	p := start(t, "logcat", "-f", "-i", "csv", log)
	p.wantLines(`{"a":1,"b":2}`, `{"a":3,"b":4}`)
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	before := p.message("")
	if !strings.HasPrefix(before, "logcat: "+log+": ") || !strings.Contains(before, "truncated") {
		t.Errorf("message %q", before)
	}
	appendTo(t, log, "c\n5\n\"x\ny\"\n")
	p.wantLines(`{"c":5}`, `{"c":"x\ny"}`)
	// A bad line has its number in the new file.
	appendTo(t, log, "6,7\n")
	if got := strings.TrimPrefix(p.message(before), before); got != "logcat: "+log+":5: 2 fields, but the first line names 1 at column 3\n" {
		t.Errorf("message %q", got)
	}
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)
}

// Several files of different formats, one of them late, and half a line.
func TestFollowSeveral(t *testing.T) {
	dir := t.TempDir()
	a, b, late := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "late")
	appendTo(t, a, "{\"n\":1}\n")
	appendTo(t, b, "n=2 file=b\nn=3 file=b\n")
	p := start(t, "logcat", "-f", "-m", ".n", a, b, late)
	p.wantLines("1", "2", "3")
	if got := p.message(""); !strings.HasPrefix(got, "logcat: open "+late+": no such file") {
		t.Errorf("message %q", got)
	}
	appendTo(t, b, "n=4 file=b\n")
	p.wantLines("4")
	appendTo(t, a, "{\"n\":5}\n{\"n\"")
	p.wantLines("5")
	appendTo(t, late, "{\"n\":6}\n")
	p.wantLines("6")
	appendTo(t, a, ":7}\n")
	p.wantLines("7")
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)
}

// What has been read is written when a signal comes, also where output waits for
// more: all bytes and whole lines.
func TestFollowInterrupted(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	var text bytes.Buffer
	for i := range 200_000 {
		fmt.Fprintf(&text, "{\"n\":%d}\n", i)
	}
	appendTo(t, log, text.String())
	p := start(t, "logcat", "-f", log)
	for i := range 200_000 {
		if got, want := p.line(), fmt.Sprintf("{\"n\":%d}", i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	appendTo(t, log, "{\"n\":-1}\n")
	p.wantLines(`{"n":-1}`)
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)

	// A table holds rows back for a moment: they come out at the end. -n too,
	// whose last events come when what is there was read.
	for _, args := range [][]string{{"-o", "table"}, {"-n", "1"}, {"-o", "tsv", "-n", "1"}} {
		os.Remove(log)
		appendTo(t, log, "{\"n\":1}\n")
		p := start(t, "logcat", append([]string{"-f", log}, args...)...)
		if slices.Contains(args, "-o") {
			p.wantLines("n")
		}
		if got := strings.Trim(p.line(), " "); got != "1" && got != `{"n":1}` {
			t.Errorf("%q: got %q", args, got)
		}
		appendTo(t, log, "{\"n\":2}\n")
		time.Sleep(50 * time.Millisecond) // it has read that
		p.Process.Signal(syscall.SIGINT)
		code, rest := p.status()
		if code != 130 || len(rest) != 1 || !strings.Contains(rest[0], "2") {
			t.Errorf("%q: exit %d, %q", args, code, rest)
		}
	}
}

// -n N with -f: the last N that were there, then all; -c N ends it.
func TestFollowCounts(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	appendTo(t, log, "1\n2\n3\n")
	p := start(t, "logcat", "-n", "2", "-f", log)
	p.wantLines("2", "3")
	for i := 4; i < 9; i++ {
		appendTo(t, log, fmt.Sprintf("%d\n", i))
		p.wantLines(strconv.Itoa(i))
	}
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)

	os.WriteFile(log, []byte("1\n2\n"), 0o666)
	p = start(t, "logcat", "-c", "3", "-f", log)
	p.wantLines("1", "2")
	appendTo(t, log, "3\n4\n")
	p.wantLines("3")
	p.wantEnd(0)
	p = start(t, "logcat", "-n", "0", "-f", log)
	time.Sleep(200 * time.Millisecond)
	appendTo(t, log, "5\n")
	p.wantLines("5")
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)
}

// A reader that goes away ends it quietly at the next line.
func TestFollowClosedPipe(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	appendTo(t, log, "{\"p\":1}\n")
	for _, command := range []string{"logcat -f " + log, "logview -f -g .p " + log} {
		p := start(t, "bash", "-c", "("+command+"; echo $? >&2) | head -1")
		p.line()
		p.wantNoMessage()
		for begin := time.Now(); p.errors.String() == "" && time.Since(begin) < long; time.Sleep(20 * time.Millisecond) {
			appendTo(t, log, "{\"p\":1}\n")
		}
		if got := p.message(""); got != "0\n" {
			t.Errorf("%s: %q", command, got)
		}
		p.wantEnd(0)
	}
}

// It costs next to nothing while nothing happens.
func TestFollowIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	t.Parallel()
	dir := t.TempDir()
	files := []string{"-f"}
	for i := range 20 {
		files = append(files, filepath.Join(dir, strconv.Itoa(i)))
		appendTo(t, files[i+1], "1\n")
	}
	for _, name := range []string{"logcat", "logview"} {
		p := start(t, name, files...)
		p.line()
		time.Sleep(300 * time.Millisecond)
		before := ticks(t, p.Process.Pid)
		const wait = 2 * time.Second
		time.Sleep(wait)
		// A tick is 10 ms: one or two are what a look at 20 files may be.
		if used := ticks(t, p.Process.Pid) - before; used > 2 {
			t.Errorf("%s used %d ms of processor time in %v", name, used*10, wait)
		}
	}
}

// ticks returns the processor time that a process has used, in hundredths of a
// second.
func ticks(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}

// SIGUSR1 tells how far it is, and it goes on.
func TestFollowStatus(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	appendTo(t, log, "1\n")
	p := start(t, "logcat", "-f", log)
	p.wantLines("1")
	p.Process.Signal(syscall.SIGUSR1)
	if got := p.message(""); !strings.HasPrefix(got, "logcat: 2 B") || strings.Count(got, "\n") != 1 {
		t.Errorf("status %q", got)
	}
	appendTo(t, log, "2\n")
	p.wantLines("2")
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)
}

// logview -f into a pipe: the rows, then each one that has changed.
func TestFollowView(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	appendTo(t, log, "{\"p\":\"a\"}\n{\"p\":\"b\"}\n{\"p\":\"a\"}\n")
	row := func(p string, n int) string {
		return fmt.Sprintf(`{"key":"%s","value":{"p":"%s","count":%d}}`, p, p, n)
	}
	p := start(t, "logview", "-f", "-g", ".p", log)
	p.wantLines(row("a", 2), row("b", 1))
	appendTo(t, log, "{\"p\":\"b\"}\n")
	p.wantLines(row("b", 2))
	appendTo(t, log, "{\"p\":\"c\"}\n{\"p\":\"a\"}\n")
	p.wantLines(row("a", 3), row("c", 1))
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)
	p.wantNoMessage()

	// The first two only: who is not among them any more is deleted.
	p = start(t, "logview", "-f", "-g", ".p", "--top", "2", log)
	p.wantLines(row("a", 3), row("b", 2))
	appendTo(t, log, "{\"p\":\"c\"}\n{\"p\":\"c\"}\n")
	p.wantLines(row("c", 3), `{"key":"b","value":null}`)
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)

	// Folded by key, that is the view.
	p = start(t, "bash", "-c", "timeout 10 logview -f -o value -g .p --top 1 "+log+" | logcat -m .count") // ending bash does not end them
	p.wantLines("3")
	appendTo(t, log, "{\"p\":\"a\"}\n")
	p.wantLines("4")
}

// On a terminal the view is drawn again.
func TestFollowViewOnTerminal(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	appendTo(t, log, "{\"p\":\"a\"}\n")
	for _, args := range []string{"", " -o chart"} {
		p := start(t, "script", "-qefc", "stty rows 24 cols 80; TERM=xterm logview -f --color=never -g .p"+args+" "+log, "/dev/null")
		drawn := func(n int) {
			t.Helper()
			for {
				line := strings.TrimSpace(p.line())
				if f := strings.Fields(line); len(f) > 1 && f[0] == "a" && f[1] == strconv.Itoa(n) {
					return
				}
			}
		}
		if line := p.line(); !strings.HasPrefix(line, "\x1b[H\x1b[J") || !strings.Contains(line, "count") {
			t.Errorf("first line %q", line)
		}
		n := 1 + strings.Count(readFile(t, log), "\n") - 1
		drawn(n)
		appendTo(t, log, "{\"p\":\"a\"}\n")
		drawn(n + 1)
		p.write("\x03") // ^C
		if code, _ := p.status(); code != 130 {
			t.Errorf("exit %d", code)
		}
	}
	// logcat is pretty there.
	p := start(t, "script", "-qefc", "TERM=xterm NO_COLOR=1 logcat "+log, "/dev/null")
	if got := strings.TrimSpace(p.line()); got != "p=a" {
		t.Errorf("got %q", got)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
