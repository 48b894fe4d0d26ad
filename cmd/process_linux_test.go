package cmd_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a command that runs with pipes on all sides.
type process struct {
	*exec.Cmd
	t      *testing.T
	in     io.WriteCloser
	lines  <-chan string // standard output, by lines; closed at its end
	errors *lockedBuffer
}

// lockedBuffer is the standard error of a process that still runs.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// long is how long a loaded machine may take for anything.
const long = 60 * time.Second

func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(name, args...), t: t, errors: new(lockedBuffer)}
	p.Stderr = p.errors
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	lines := make(chan string, 1)
	p.lines = lines
	go func() {
		defer close(lines)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				if line != "" {
					lines <- line // without its end
				}
				return
			}
			lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	return p
}

func (p *process) write(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, text); err != nil {
		p.t.Fatalf("write to %s: %v\n%s", p.Args[0], err, p.errors)
	}
}

// line returns the next line of output.
func (p *process) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("%s ended\n%s", p.Args[0], p.errors)
		}
		return line
	case <-time.After(long):
		p.t.Fatalf("%s gave no line\n%s", p.Args[0], p.errors)
		return ""
	}
}

// message waits until there is more on standard error than before, and returns
// all of it.
func (p *process) message(before string) string {
	p.t.Helper()
	for begin := time.Now(); time.Since(begin) < long; time.Sleep(5 * time.Millisecond) {
		if got := p.errors.String(); got != before {
			return got
		}
	}
	p.t.Fatalf("%s says nothing more than %q", p.Args[0], before)
	return ""
}

// status waits for the end, and returns the exit status and the lines that were
// left.
func (p *process) status() (int, []string) {
	p.t.Helper()
	var rest []string
	timeout := time.After(long)
	for {
		select {
		case line, ok := <-p.lines:
			if ok {
				rest = append(rest, line)
				continue
			}
			err := p.Wait()
			if ws, ok := p.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
				p.t.Fatalf("%s was killed by %v", p.Args[0], ws.Signal())
			}
			if err != nil && p.ProcessState == nil {
				p.t.Fatal(err)
			}
			return p.ProcessState.ExitCode(), rest
		case <-timeout:
			p.t.Fatalf("%s does not end\n%s", p.Args[0], p.errors)
		}
	}
}

// What has arrived is passed on while the input waits.
func TestLive(t *testing.T) {
	for _, args := range [][]string{
		{"-i", "json"},
		{},
		{"-w", ".a>0", "-m", "{a}"},
		{"-m", "{a}|with_entries(.)"},
		{"-"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			p := start(t, "logcat", args...)
			// The first one waits for the process.
			p.write("{\"a\":1}\n")
			if got := p.line(); got != `{"a":1}` {
				t.Fatalf("got %s", got)
			}
			best := long
			for i := 0; i < 20 && best > 200*time.Millisecond; i++ {
				time.Sleep(10 * time.Millisecond)
				begin := time.Now()
				p.write("{\"a\":2}\n")
				if got := p.line(); got != `{"a":2}` {
					t.Fatalf("got %s", got)
				}
				best = min(best, time.Since(begin))
			}
			if best > 200*time.Millisecond {
				t.Errorf("a line takes %v to get through", best)
			}
			// Half a line is held back until it is whole.
			p.write("{\"a\":3}\n{\"a\"")
			if got := p.line(); got != `{"a":3}` {
				t.Fatalf("got %s", got)
			}
			p.write(":4}\n")
			if got := p.line(); got != `{"a":4}` {
				t.Fatalf("got %s", got)
			}
			p.in.Close()
			if code, rest := p.status(); code != 0 || rest != nil || p.errors.String() != "" {
				t.Errorf("exit %d, %q, %s", code, rest, p.errors)
			}
		})
	}
}

// Bad lines and rejects of a live input are told when they come, not at its end.
func TestLiveBad(t *testing.T) {
	p := start(t, "logcat", "-i", "json")
	p.write("x\n1\n")
	p.line()
	if got := p.message(""); !strings.HasPrefix(got, "logcat: -:1: ") {
		t.Errorf("messages: %q", got)
	}
	p.in.Close()
	if code, _ := p.status(); code != 3 {
		t.Errorf("exit %d", code)
	}
}

// A pipe of several commands does not stall either.
func TestLivePipe(t *testing.T) {
	p := start(t, "bash", "-c", "logcat -w .a | logcat -k .a | logcat -m .b -o raw")
	for i := range 5 {
		p.write(fmt.Sprintf("{\"a\":1,\"b\":%d}\n", i))
		if got := p.line(); got != strconv.Itoa(i) {
			t.Fatalf("got %s", got)
		}
	}
	p.in.Close()
	if code, rest := p.status(); code != 0 || rest != nil {
		t.Errorf("exit %d, %q\n%s", code, rest, p.errors)
	}
}

// The first N events of a live input end the command though the input goes on.
func TestLiveCount(t *testing.T) {
	p := start(t, "logcat", "-c", "2")
	p.write("1\n")
	if got := p.line(); got != "1" {
		t.Fatalf("got %s", got)
	}
	p.write("2\n")
	if code, rest := p.status(); code != 0 || len(rest) != 1 || rest[0] != "2" {
		t.Errorf("exit %d, %q\n%s", code, rest, p.errors)
	}
}

func TestSignals(t *testing.T) {
	for _, test := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
		// While it waits for input.
		t.Run("logcat waits "+test.signal.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, "logcat", "-i", "json")
			p.write("x\n{\"a\":1}\n")
			p.line()
			p.Process.Signal(test.signal)
			code, rest := p.status()
			if code != test.code || rest != nil {
				t.Errorf("exit %d, want %d; %q", code, test.code, rest)
			}
			if got := p.errors.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "-:1: ") {
				t.Errorf("messages: %q", got)
			}
		})
		// While it works: the output ends with a whole line.
		t.Run("logcat works "+test.signal.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, "logcat")
			go func() {
				block := bytes.Repeat([]byte("{\"a\":\"0123456789\"}\n"), 10000)
				for {
					if _, err := p.in.Write(block); err != nil {
						return
					}
				}
			}()
			p.line()
			p.Process.Signal(test.signal)
			code, rest := p.status()
			if code != test.code {
				t.Errorf("exit %d, want %d\n%s", code, test.code, p.errors)
			}
			for i, line := range rest {
				if line != `{"a":"0123456789"}` {
					t.Errorf("line %d of %d: %q", i, len(rest), line)
				}
			}
			if got := p.errors.String(); got != "" {
				t.Errorf("messages: %q", got)
			}
		})
		// Half a count is a wrong count: no rows.
		t.Run("logview "+test.signal.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, "logview", "-i", "json")
			p.write("x\n1\n")
			p.message("") // it has begun
			p.Process.Signal(test.signal)
			if code, rest := p.status(); code != test.code || rest != nil {
				t.Errorf("exit %d, want %d; %q", code, test.code, rest)
			}
		})
		// While nobody reads the output.
		t.Run("full pipe "+test.signal.String(), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("logcat", "-i", "json")
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cmd.Stdout = w
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			go func() {
				block := bytes.Repeat([]byte("{\"a\":\"0123456789\"}\n"), 10000)
				for {
					if _, err := in.Write(block); err != nil {
						return
					}
				}
			}()
			one := make([]byte, 1)
			if _, err := r.Read(one); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond) // let it fill
			cmd.Process.Signal(test.signal)
			time.Sleep(100 * time.Millisecond)
			cmd.Process.Signal(test.signal) // the second one kills
			done := make(chan struct{})
			go func() { cmd.Wait(); close(done) }()
			select {
			case <-done:
			case <-time.After(long):
				cmd.Process.Kill()
				t.Error("two signals did not end it")
			}
		})
	}
}

// SIGUSR1 gives one status line and harms nothing.
func TestStatusLine(t *testing.T) {
	for _, name := range []string{"logcat", "logview"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, name, "-i", "json")
			p.write("x\n" + strings.Repeat("{\"a\":1}\n", 1000))
			before := p.message("") // it has begun
			p.Process.Signal(syscall.SIGUSR1)
			got := strings.TrimPrefix(p.message(before), before)
			if !strings.HasPrefix(got, name+": ") || strings.Count(got, "\n") != 1 || !strings.Contains(got, "B") {
				t.Errorf("status line: %q", got)
			}
			p.in.Close()
			if code, rest := p.status(); code != 3 || len(rest) == 0 {
				t.Errorf("exit %d, %d lines\n%s", code, len(rest), p.errors)
			}
		})
	}
}

// peakMemory is the most memory that a running process has had, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Skip("no VmHWM in /proc")
	return 0
}

// pour writes block again and again, size bytes in all.
func (p *process) pour(block []byte, size int64) {
	p.t.Helper()
	for left := size; left > 0; {
		n := min(int64(len(block)), left)
		if _, err := p.in.Write(block[:n]); err != nil {
			p.t.Fatalf("%v\n%s", err, p.errors)
		}
		left -= n
	}
}

// A line without end is one bad line and takes no memory.
func TestEndlessLine(t *testing.T) {
	size := int64(200e6)
	if os.Getenv("LOGTOOLS_LONG") != "" {
		size = 1e9
	}
	if testing.Short() {
		size = 50e6
	}
	const limit = 128 << 20
	for _, command := range []string{"logcat", "logview"} {
		for _, args := range [][]string{{}, {"-i", "json"}, {"-i", "text"}, {"--rejects", ""}} {
			t.Run(command+" "+strings.Join(args, " "), func(t *testing.T) {
				rejects := ""
				if len(args) == 2 && args[0] == "--rejects" {
					rejects = t.TempDir() + "/bad"
					args = []string{"--rejects", rejects}
				}
				p := start(t, command, args...)
				p.pour(bytes.Repeat([]byte{'a'}, 1<<20), size)
				p.write("\n{\"a\":1}\n")
				if command == "logcat" {
					if got := p.line(); got != `{"a":1}` && got != `"{\"a\":1}"` {
						t.Errorf("got %.100s", got)
					}
				} else {
					time.Sleep(100 * time.Millisecond)
				}
				if got := peakMemory(t, p.Process.Pid); got > limit {
					t.Errorf("%d MiB of memory", got>>20)
				} else {
					t.Logf("%d MiB of memory", got>>20)
				}
				p.in.Close()
				code, _ := p.status()
				if code != 3 {
					t.Errorf("exit %d", code)
				}
				want := command + ": -:1: line is longer than 16777216 bytes\n"
				if got := p.errors.String(); got != want {
					t.Errorf("messages: %q", got)
				}
				if rejects != "" {
					info, err := os.Stat(rejects)
					if err != nil {
						t.Fatal(err)
					}
					if info.Size() != size+1 {
						t.Errorf("%d bytes of rejects, want %d", info.Size(), size+1)
					}
				}
			})
		}
	}
}

// A filter takes no more memory for a large input than for a small one.
func TestFilterMemory(t *testing.T) {
	size := int64(200e6)
	if testing.Short() {
		size = 50e6
	}
	const limit = 48 << 20 // the test's binary is larger than the command
	block := bytes.Repeat([]byte(`{"ts":"2026-03-14T09:00:12.203Z","status":200,"path":"/cart","ms":12.5,"user":"u1009"}`+"\n"), 10000)
	size -= size % int64(len(block))
	for _, args := range [][]string{
		{"-w", ".status>=500"},
		{"-w", ".status>=200", "-o", "none"},
		{"-m", "with_entries(.)", "-w", `.ms>50`},
		{"-S", "2026-03-15"},
		{"-n", "10"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			p := start(t, "logcat", args...)
			p.pour(block, size)
			time.Sleep(100 * time.Millisecond)
			if got := peakMemory(t, p.Process.Pid); got > limit {
				t.Errorf("%d MiB of memory", got>>20)
			} else {
				t.Logf("%d MiB of memory", got>>20)
			}
			p.in.Close()
			if code, _ := p.status(); code != 0 {
				t.Errorf("exit %d\n%s", code, p.errors)
			}
		})
	}
}

// What stands in the input does not decide how much memory it takes: quotes that
// never close, long names before short records, endless escapes and brackets.
func TestHostileMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	const limit = 640 << 20
	for _, test := range []struct {
		name, head string
		block      []byte
		size       int64
		args       []string
	}{
		{"open quote", "a,b\n\"x", bytes.Repeat([]byte("y,z\n"), 1<<18), 30e6, []string{"-i", "csv"}},
		{"long name", strings.Repeat("n", 250) + "\n", bytes.Repeat([]byte("1\n"), 1<<19), 2e6, []string{"-i", "csv"}},
		{"escapes", "a=\"", bytes.Repeat([]byte(`\n\"`), 1<<18), 60e6, []string{"-i", "logfmt"}},
		{"brackets", "", bytes.Repeat([]byte(`[`), 1<<20), 60e6, []string{"--prefix"}},
		{"elements", "<34>1 2026-03-14T09:00:00Z h a 1 i ", bytes.Repeat([]byte(`[a b="c"]`), 1<<17), 60e6, []string{"-i", "syslog"}},
		{"table", "", bytes.Repeat([]byte("{\"a\":1}\n"), 1<<17), 10e6, []string{"-o", "table"}},
		{"merge", "", bytes.Repeat([]byte("{\"ts\":1}\n"), 1<<17), 20e6, []string{"--merge"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, "bash", append([]string{"-c", `exec logcat "$@" > /dev/null`, "bash"}, test.args...)...)
			p.write(test.head)
			p.pour(test.block, test.size)
			p.in.Close()
			if code, _ := p.status(); code != 0 && code != 1 && code != 3 {
				t.Errorf("exit %d\n%s", code, p.errors)
			}
			// In KiB, of the whole life of the process.
			if got := p.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; got > limit>>10 {
				t.Errorf("%d MiB of memory", got>>10)
			} else {
				t.Logf("%d MiB of memory", got>>10)
			}
		})
	}
}
