package cmd_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > long {
			t.Fatalf("it never comes to this: %s", what)
		}
	}
}

func readAll(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// A group that is followed: what was there is one batch, then what comes.
func TestGroupFollow(t *testing.T) {
	log := filepath.Join(t.TempDir(), "app")
	appendLog(t, log, numbers(0, 4))
	p := start(t, "logcat", "-f", "-G", "g", "-o", "value", log, "--", "sh", "-c", "cat; echo --")
	p.wantLines("0", "1", "2", "3", "4", "--")
	appendLog(t, log, numbers(5, 6))
	p.wantLines("5", "6", "--")
	p.Process.Signal(syscall.SIGTERM)
	p.wantEnd(143)
	appendLog(t, log, numbers(7, 7))
	p = start(t, "logcat", "-f", "-G", "g", "-o", "value", "--batch-wait", "400ms", "--batch", "3", log, "--", "sh", "-c", "cat; echo --")
	p.wantLines("7", "--")
	for i := 8; i < 12; i++ {
		appendLog(t, log, numbers(i, i))
	}
	p.wantLines("8", "9", "10", "--")
	begin := time.Now()
	p.wantLines("11", "--")
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("the last batch has waited only %v", took)
	}
	p.wantNoMessage()
	p.Process.Signal(syscall.SIGINT)
	p.wantEnd(130)
	// A command that fails ends it.
	p = start(t, "logcat", "-f", "-G", "g", log, "--", "false")
	appendLog(t, log, numbers(12, 12))
	if code, _ := p.status(); code != 1 || !strings.Contains(p.errors.String(), "false: exit status 1: 1 event (offset 12) will come again") {
		t.Errorf("exit %d\n%s", code, p.errors)
	}
	// So does the end that was asked for.
	p = start(t, "logcat", "-f", "-G", "g", "-o", "value", "--to", "14", log, "--", "cat")
	p.wantLines("12")
	appendLog(t, log, numbers(13, 15))
	p.wantLines("13")
	p.wantEnd(0)
}

// What a command has got when logcat is told to end is committed if it ends well, and
// nothing if it hangs.
func TestGroupInterrupted(t *testing.T) {
	log := filepath.Join(t.TempDir(), "app")
	appendLog(t, log, numbers(0, 9))
	for _, test := range []struct {
		name, script string
		signal       syscall.Signal
		code         int
		committed    string
	}{
		{"ends well", "read x; echo $x; cat >/dev/null; sleep 0.5", syscall.SIGINT, 130, `"committed":10,`},
		{"fails", "read x; echo $x; cat >/dev/null; sleep 0.5; exit 1", syscall.SIGTERM, 143, `"committed":0,`},
		{"hangs", "trap '' TERM; echo 0; while :; do sleep 0.1; done", syscall.SIGTERM, 143, `"committed":0,`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			group := strings.ReplaceAll(test.name, " ", "-")
			p := start(t, "logcat", "-f", "-G", group, "-o", "value", log, "--", "sh", "-c", test.script)
			p.wantLines("0")
			begin := time.Now()
			p.Process.Signal(test.signal)
			code, _ := p.status()
			if code != test.code {
				t.Errorf("exit %d, want %d\n%s", code, test.code, p.errors)
			}
			if took := time.Since(begin); test.name == "hangs" && (took < 6*time.Second || took > 20*time.Second) {
				t.Errorf("it has taken %v", took)
			}
			out, err := exec.Command("logcat", "--describe", log).CombinedOutput()
			if want := fmt.Sprintf(`{"group":"%s","partition":0,%s`, group, test.committed); err != nil || !bytes.Contains(out, []byte(want)) {
				t.Errorf("%s is not in\n%s", want, out)
			}
		})
	}
}

// Events go to a command as they come from the log, and a command that ends early
// ends the batch for what it did not read, too.
func TestGroupDeaf(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "app")
	appendLog(t, log, strings.Repeat(`"`+strings.Repeat("x", 1000)+"\"\n", 5000))
	p := start(t, "logcat", "-G", "ok", log, "--", "sh", "-c", "read x; exit 0")
	p.wantEnd(0)
	if got := p.errors.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "did not read all of its input") {
		t.Errorf("messages: %q", got)
	}
	p = start(t, "logcat", "-G", "ok", log, "--", "echo", "again")
	p.wantEnd(0)
	p = start(t, "logcat", "-G", "bad", log, "--", "sh", "-c", "read x; exit 4")
	p.wantEnd(1)
	if got := p.errors.String(); !strings.Contains(got, "sh: exit status 4: ") {
		t.Errorf("messages: %q", got)
	}
	// A child that keeps the input open does not keep logcat.
	p = start(t, "logcat", "-G", "child", log, "--", "sh", "-c", "exec 3<&0; sleep 20 <&3 >/dev/null 2>&1 & exit 0")
	p.wantEnd(0)
}

// consumers are processes of a group that write what they get to one file each, a
// batch at once, and are killed now and then.
type consumers struct {
	t    *testing.T
	log  string
	dir  string
	runs int
}

func (c *consumers) run(args ...string) *exec.Cmd {
	c.runs++
	file := filepath.Join(c.dir, fmt.Sprintf("out-%d", c.runs))
	cmd := exec.Command("logcat", append([]string{"-G", "g", "-m", "[$partition,$offset]", "-o", "value", c.log}, args...)...)
	cmd.Args = append(cmd.Args, "--", "sh", "-c", "cat >> "+file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

// got are how often each event was processed.
func (c *consumers) got() map[string]int {
	got := make(map[string]int)
	files, _ := filepath.Glob(filepath.Join(c.dir, "out-*"))
	for _, f := range files {
		for line := range strings.Lines(readAll(c.t, f)) {
			got[line]++
		}
	}
	return got
}

// Consumers killed at any moment: every event is processed, and none is skipped.
func TestGroupKilled(t *testing.T) {
	dir := t.TempDir()
	c := &consumers{t: t, log: filepath.Join(dir, "app"), dir: dir}
	const n = 3000
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "{\"k\":%d}\n", i)
	}
	appendLog(t, c.log, lines.String(), "-k", ".k", "--partitions", "4", "--batch-bytes", "2000")
	kills := 12
	if testing.Short() {
		kills = 4
	}
	var running []*exec.Cmd
	for range kills {
		running = append(running, c.run("--batch", "25"))
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		k := rand.IntN(len(running))
		if rand.IntN(3) > 0 {
			running[k].Process.Kill()
			running[k].Wait()
			running = slices.Delete(running, k, k+1)
		}
	}
	running = append(running, c.run("--batch", "500"))
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q: %v", cmd.Args, err)
		}
	}
	if got := c.got(); len(got) != n {
		t.Errorf("%d events were processed, want %d", len(got), n)
	}
	out, err := exec.Command("logcat", "--describe", c.log).CombinedOutput()
	if err != nil || bytes.Count(out, []byte(`"lag":0}`)) != 4 {
		t.Errorf("%v\n%s", err, out)
	}
}

// Two processes share four partitions; when one dies the other has them all within a
// second.
func TestGroupTakeover(t *testing.T) {
	dir := t.TempDir()
	c := &consumers{t: t, log: filepath.Join(dir, "app"), dir: dir}
	sent := 0
	send := func(n int) {
		t.Helper()
		var lines strings.Builder
		for range n {
			fmt.Fprintf(&lines, "{\"k\":%d}\n", sent)
			sent++
		}
		appendLog(t, c.log, lines.String(), "-k", ".k", "--partitions", "4")
	}
	all := func() bool { return len(c.got()) == sent }
	send(100)
	one := c.run("-f")
	eventually(t, "one has all", all)
	two := c.run("-f")
	// Both have their share.
	eventually(t, "two has some", func() bool {
		send(20)
		eventually(t, "all are processed", all)
		return len(readAll(t, filepath.Join(dir, "out-2"))) > 0
	})
	eventually(t, "all is committed", func() bool { // else the last batch comes again
		out, err := exec.Command("logcat", "--describe", c.log).Output()
		return err == nil && bytes.Count(out, []byte(`"lag":0}`)) == 4
	})
	one.Process.Kill()
	one.Wait()
	begin := time.Now()
	send(20)
	eventually(t, "two has all", all)
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("taking over has taken %v", took)
	}
	for event, times := range c.got() {
		if times > 1 {
			t.Errorf("%s was processed %d times", strings.TrimSpace(event), times)
		}
	}
	two.Process.Signal(syscall.SIGTERM)
	two.Wait()
	if code := two.ProcessState.ExitCode(); code != 143 {
		t.Errorf("exit %d", code)
	}
}

// Damage ends the run behind what came before it, which is committed.
func TestGroupDamage(t *testing.T) {
	log := filepath.Join(t.TempDir(), "app")
	for i := range 6 {
		appendLog(t, log, numbers(10*i, 10*i+9))
	}
	segments, _ := filepath.Glob(filepath.Join(log, "00000", "*.zst"))
	data := []byte(readAll(t, segments[0]))
	data[len(data)/2] ^= 4
	if err := os.WriteFile(segments[0], data, 0o666); err != nil {
		t.Fatal(err)
	}
	var first []string
	for _, group := range [][]string{{"cmd", "--", "cat"}, {"out"}} {
		args := append([]string{"-o", "value", log, "-G"}, group...)
		p := start(t, "logcat", args...)
		code, lines := p.status()
		if code != 5 || len(lines) == 0 || len(lines) >= 60 || !strings.Contains(p.errors.String(), "damaged") {
			t.Errorf("exit %d, %d lines\n%s", code, len(lines), p.errors)
		}
		if first == nil {
			first = lines
		}
		if !slices.Equal(lines, first) {
			t.Errorf("%q gives %q", args, lines)
		}
		out, _ := exec.Command("logcat", "--describe", log).Output()
		if want := fmt.Sprintf(`{"group":"%s","partition":0,"committed":%d,`, group[0], len(first)); !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s is not in\n%s", want, out)
		}
		p = start(t, "logcat", args...)
		p.wantEnd(5)
	}
}
