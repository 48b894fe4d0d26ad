//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the command that these tests run: with this variable
// set it is Main of testProcess.
const testProcessEnv = "LOGTOOLS_TEST_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(testProcessEnv) != "" {
		os.Exit(Main(testProcess))
	}
	os.Exit(m.Run())
}

// testProcess does what its operand says.
var testProcess = &Command{Name: "logcat", Run: func(ctx context.Context, s *Streams, operands []string) error {
	ready := func() { fmt.Fprintln(s.Out, "ready") }
	switch operands[0] {
	case "wait": // for a signal
		ready()
		<-ctx.Done()
		s.Fail(BadInput)
		return fmt.Errorf("read: %w", ctx.Err())
	case "hang": // whatever comes
		ready()
		<-ctx.Done()
		ready()
		select {}
	case "pause": // until stdin ends
		defer s.StartProgress("auto", func() (int64, int64) { return 50, 100 })()
		ready()
		_, err := io.Copy(io.Discard, s.In)
		return err
	case "follow": // an input that says nothing
		defer s.WatchOutput()()
		ready()
		<-ctx.Done()
		return ctx.Err()
	case "yes": // until nobody reads
		for {
			if _, err := s.Out.Write(bytes.Repeat([]byte("y\n"), 4096)); err != nil {
				return err
			}
		}
	case "child": // of ours dies of SIGPIPE as it should
		cmd := exec.Command("sh", "-c", "kill -PIPE $$; echo survived")
		out, err := cmd.CombinedOutput()
		if len(out) > 0 {
			return fmt.Errorf("the child %s", out)
		}
		if status := err.(*exec.ExitError).Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE {
			return fmt.Errorf("the child: %w", err)
		}
		return nil
	case "terminals":
		_, err := fmt.Fprintln(s.Out, s.InTerminal, s.OutTerminal, s.ErrTerminal, s.Width(), s.UseColor("auto"))
		return err
	case "panic":
		panic("ouch")
	}
	return Usagef("%q is no test", operands[0])
}}

// process is a running test command.
type process struct {
	*exec.Cmd
	t      *testing.T
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: cmd, t: t}
	p.Env = append(os.Environ(), testProcessEnv+"=1")
	p.Stderr = &p.stderr
	var err error
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(20*time.Second, func() { p.Process.Kill() })
	t.Cleanup(func() { timeout.Stop(); p.Process.Kill() })
	return p
}

func (p *process) awaitReady() {
	p.t.Helper()
	if line, err := p.stdout.ReadString('\n'); line != "ready\n" || err != nil {
		p.t.Fatalf("got %q, %v; stderr: %s", line, err, p.stderr.String())
	}
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the process and checks how it ended; a negative exit is minus
// the signal that killed it.
func (p *process) end(exit int, stderr string) {
	p.t.Helper()
	p.Wait()
	status := p.ProcessState.Sys().(syscall.WaitStatus)
	got := status.ExitStatus()
	if status.Signaled() {
		got = -int(status.Signal())
	}
	if got != exit || p.stderr.String() != stderr {
		p.t.Errorf("exit %d, stderr %q; want %d, %q", got, p.stderr.String(), exit, stderr)
	}
}

func self(operand string) *exec.Cmd { return exec.Command(os.Args[0], operand) }

func TestSignals(t *testing.T) {
	for sig, exit := range map[os.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		t.Run(sig.String(), func(t *testing.T) {
			p := start(t, self("wait"))
			p.awaitReady()
			p.signal(sig)
			p.end(exit, "")

			p = start(t, self("hang"))
			p.awaitReady()
			p.signal(sig)
			p.awaitReady()
			p.signal(sig)
			p.end(-int(sig.(syscall.Signal)), "")
		})
	}
}

// A background job of a script is started with SIGINT ignored.
func TestIgnoredSignal(t *testing.T) {
	p := start(t, exec.Command("sh", "-c", `trap "" INT; exec "$0" wait`, os.Args[0]))
	p.awaitReady()
	p.signal(syscall.SIGINT)
	time.Sleep(100 * time.Millisecond)
	p.signal(syscall.SIGTERM)
	p.end(143, "")
}

func TestStatusSignal(t *testing.T) {
	p := start(t, self("pause"))
	p.awaitReady()
	p.signal(syscall.SIGUSR1)
	time.Sleep(100 * time.Millisecond)
	p.stdin.Close()
	p.Wait()
	if got := p.stderr.String(); !strings.HasPrefix(got, "logcat: 50 B of 100 B  50%") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
	if p.ProcessState.ExitCode() != 0 {
		t.Errorf("exit %d", p.ProcessState.ExitCode())
	}
}

func TestReaderGoesAway(t *testing.T) {
	p := start(t, exec.Command("sh", "-c", `{ "$0" yes; echo "exit $?" >&2; } | head -n 1`, os.Args[0]))
	line, err := p.stdout.ReadString('\n')
	if line != "y\n" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
	p.end(0, "exit 0\n")
}

func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full here")
	}
	p := start(t, exec.Command("sh", "-c", `exec "$0" yes > /dev/full`, os.Args[0]))
	p.end(1, "logcat: write stdout: no space left on device\n")
}

func TestClosedStderr(t *testing.T) {
	p := start(t, exec.Command("sh", "-c", `{ "$0" --foo 2>&1 >/dev/null; echo "exit $?" >&2; } | true`, os.Args[0]))
	p.end(0, "exit 2\n")
}

func TestChildSignals(t *testing.T) {
	if signal.Ignored(syscall.SIGPIPE) {
		t.Skip("SIGPIPE is ignored here")
	}
	start(t, self("child")).end(0, "")
}

func TestPanicInProcess(t *testing.T) {
	p := start(t, self("panic"))
	p.Wait()
	if got := p.stderr.String(); p.ProcessState.ExitCode() != 1 || !strings.HasPrefix(got, "logcat: internal error: ouch\nlogcat: hint: ") {
		t.Errorf("exit %d, %q", p.ProcessState.ExitCode(), got)
	}
}

func TestNoTerminals(t *testing.T) {
	p := start(t, self("terminals"))
	if line, err := p.stdout.ReadString('\n'); line != "false false false 0 false\n" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
	p.end(0, "")
	for _, path := range []string{os.DevNull, os.Args[0]} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if cols, _ := terminalSize(f); isTerminal(f) || cols != 0 {
			t.Errorf("%s is taken for a terminal", path)
		}
		f.Close()
		if isTerminal(f) {
			t.Error("a closed file is taken for a terminal")
		}
	}
}

func TestIsClosedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	if _, err := w.Write([]byte("x")); !IsClosedPipe(err) {
		t.Errorf("%v is not taken for a closed pipe", err)
	}
	if IsClosedPipe(errors.New("x")) || IsClosedPipe(syscall.ENOSPC) {
		t.Error("any error is taken for a closed pipe")
	}
}
