//go:build linux || darwin

package logcompact

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/cmd/logappend"
	"logtools/pkg/cmd/logcat"
	"logtools/pkg/cmd/logview"
)

// The tests named TestTorture take seconds. If LOGTOOLS_TORTURE is a duration, that
// is how long all of them go on together.
const tortureEnv = "LOGTOOLS_TORTURE"

// tortures is how many of them go on for as long as they may.
const tortures = 3

// commandEnv makes the test binary the command that it names.
const commandEnv = "LOGTOOLS_COMMAND"

func TestMain(m *testing.M) {
	switch os.Getenv(commandEnv) {
	case "logappend":
		os.Exit(cli.Main(logappend.New()))
	case "logcat":
		os.Exit(cli.Main(logcat.New()))
	case "logcompact":
		os.Exit(cli.Main(New()))
	case "logview":
		os.Exit(cli.Main(logview.New()))
	}
	os.Exit(m.Run())
}

// torture calls round with 0, 1, 2… until the time is over, but at least least times.
func torture(t *testing.T, least int, round func(t *testing.T, n int, rng *rand.Rand)) {
	t.Helper()
	var span time.Duration
	if text := os.Getenv(tortureEnv); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("%s: %v", tortureEnv, err)
		}
		span = d / tortures
	}
	for n, begun := 0, time.Now(); n < least || time.Since(begun) < span; n++ {
		seed := rand.Uint64()
		round(t, n, rand.New(rand.NewPCG(seed, uint64(n))))
		if t.Failed() {
			t.Fatalf("in round %d, seed %d", n, seed)
		}
	}
}

// patience is how long a loaded machine may take for anything.
const patience = 60 * time.Second

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for begun := time.Now(); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// memoryDir returns a directory in memory if there is such a thing, where a sync costs
// nothing.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "logcompact-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// lines is a writer that calls use with each line, without its end.
type lines struct {
	use  func(line []byte)
	part []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.part = append(l.part, b...)
	for {
		line, rest, found := bytes.Cut(l.part, []byte("\n"))
		if !found {
			l.part = append(l.part[:0:0], line...)
			return len(b), nil
		}
		l.use(line)
		l.part = rest
	}
}

// process is a command that runs.
type process struct {
	*exec.Cmd
	what   string
	stderr bytes.Buffer // valid when it has ended
	done   chan struct{}
}

// start starts a command. use, if not nil, is called with each line that it prints.
func start(t *testing.T, use func(line []byte), name string, args ...string) *process {
	t.Helper()
	p := prepare(t, name, args...)
	if use != nil {
		p.Stdout = &lines{use: use}
	}
	p.launch(t)
	return p
}

func prepare(t *testing.T, name string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(exe, args...), what: name + " " + strings.Join(args, " "), done: make(chan struct{})}
	p.Env = append(os.Environ(), commandEnv+"="+name)
	p.Stderr = &p.stderr
	p.WaitDelay = time.Second // what it has started may have the other end of it, too
	return p
}

func (p *process) launch(t *testing.T) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.done)
	}()
	t.Cleanup(p.kill)
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) kill() {
	p.Process.Kill()
	<-p.done
}

// exit waits for the end and returns the status: less than 0, if a signal ended it.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	await(t, "the end of "+p.what, p.ended)
	return p.ProcessState.ExitCode()
}

// quiet checks that it ends with a status, and has nothing to say.
func (p *process) quiet(t *testing.T, status int) {
	t.Helper()
	if got := p.exit(t); got != status || p.stderr.Len() > 0 {
		t.Errorf("%s: exit %d: %s", p.what, got, &p.stderr)
	}
}

// interrupt ends one that would go on for ever.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	p.Process.Signal(syscall.SIGINT)
	// One that compacts just then says how far it came.
	if got, said := p.exit(t), p.stderr.String(); got != 130 || said != "" && (strings.Count(said, "\n") != 1 || !strings.Contains(said, ": interrupted ")) {
		t.Errorf("%s: exit %d: %s", p.what, got, said)
	}
}

// output runs a command, which must work and say nothing, and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	p := prepare(t, name, args...)
	p.Stdout = &out
	p.launch(t)
	p.quiet(t, 0)
	return out.String()
}

// fails runs a command, which must end with a status and so many lines on standard
// error, and returns these.
func fails(t *testing.T, status, messages int, name string, args ...string) string {
	t.Helper()
	p := start(t, nil, name, args...)
	got, said := p.exit(t), p.stderr.String()
	if got != status || strings.Count(said, "\n") != messages {
		t.Errorf("%s: exit %d, want %d: %s", p.what, got, status, said)
	}
	return said
}

// TestTortureKillCompact kills compacting and appending processes at any moment, and
// interrupts the first. The newest events that were acknowledged stay, what was deleted
// stays so, and nothing of what was half done is left.
func TestTortureKillCompact(t *testing.T) {
	var kills, interrupts, acks int
	torture(t, 2, func(t *testing.T, n int, rng *rand.Rand) {
		parent := memoryDir(t)
		if n%4 == 3 {
			parent = t.TempDir()
		}
		k := newLedger(t, parent, 1+n%2)
		compact := func() *process {
			args := []string{"--tombstones", []string{"0", "20ms", "1h"}[rng.IntN(3)]}
			if rng.IntN(4) == 0 {
				args = append(args, "--keep", "2")
			}
			if rng.IntN(4) == 0 {
				args = append(args, "--min-lag", "50ms")
			}
			return start(t, nil, "logcompact", append(args, k.path)...)
		}
		c := compact()
		var w [2]*writer
		for i := range w {
			w[i] = k.write(t, rng.Uint64())
		}
		for begun := time.Now(); time.Since(begun) < time.Second && !t.Failed(); {
			time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
			switch rng.IntN(5) {
			case 0:
				i := rng.IntN(len(w))
				w[i].kill()
				<-w[i].fed
				kills++
				w[i] = k.write(t, rng.Uint64())
			case 1:
				c.Process.Signal(syscall.SIGINT)
				switch c.exit(t) {
				case 0: // it was done
				case 130:
					interrupts++
					// Between two partitions there is nothing to say.
					if said := c.stderr.String(); said != "" && (strings.Count(said, "\n") != 1 || !strings.Contains(said, ": interrupted ")) {
						t.Errorf("interrupted: %s", said)
					}
					output(t, "logcompact", "--verify", k.path)
				case -1: // it did not even listen yet
					kills++
				default:
					t.Errorf("%s: exit %d: %s", c.what, c.ProcessState.ExitCode(), &c.stderr)
				}
				c = compact()
			default:
				if c.ended() {
					c.quiet(t, 0)
				} else {
					c.kill()
					if c.stderr.Len() > 0 {
						t.Errorf("%s: %s", c.what, &c.stderr)
					}
					kills++
				}
				c = compact()
			}
		}
		for i := range w {
			w[i].end(t)
		}
		c.quiet(t, 0)
		output(t, "logcompact", "--tombstones", "1h", k.path)
		k.check(t, some)
		for range 2 { // the first may be the first that covers a tombstone
			output(t, "logcompact", "--tombstones", "0", k.path)
			time.Sleep(time.Millisecond)
		}
		k.check(t, none)
		acks += k.acks
	})
	t.Logf("%d processes were killed, %d interrupted, %d events acknowledged", kills, interrupts, acks)
}

// locked says whether a process has the lock of that file.
func locked(t *testing.T, name string) bool {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return false // it was not made yet
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Fatal(err)
	}
	return err != nil
}

// TestTortureStopCompact stops a process that compacts. Another one gives up when it has
// waited for as long as it wants; writers and readers do not wait at all.
func TestTortureStopCompact(t *testing.T) {
	k := newLedger(t, memoryDir(t), 1)
	rng := rand.New(rand.NewPCG(1, 2))
	maint, lock := filepath.Join(k.path, "00000", "maint.lock"), filepath.Join(k.path, "00000", "lock")
	var c *process
	for try := 0; ; try++ {
		k.fill(t, rng, 20_000)
		c = start(t, nil, "logcompact", k.path)
		await(t, "the lock", func() bool { return c.ended() || locked(t, maint) })
		c.Process.Signal(syscall.SIGSTOP)
		time.Sleep(10 * time.Millisecond)
		if locked(t, maint) && !locked(t, lock) {
			break
		}
		if try == 20 {
			t.Skip("it is never stopped in time")
		}
		c.Process.Signal(syscall.SIGCONT)
		c.quiet(t, 0)
	}

	begun := time.Now()
	other := start(t, nil, "logcompact", "--lock-timeout", "1s", k.path)
	// They would wait for half a minute, and then fail.
	w := k.write(t, 1)
	time.Sleep(200 * time.Millisecond)
	w.end(t)
	at := time.Now()
	k.read(t).missesNone(at, time.Now())
	output(t, "logcat", "--describe", k.path)
	output(t, "logcompact", "--verify", k.path)
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("writing and reading took %v", took)
	}
	if status, said := other.exit(t), other.stderr.String(); status != 75 || time.Since(begun) < time.Second ||
		!strings.Contains(said, "has been locked by another process for too long\nlogcompact: hint: ") {
		t.Errorf("the other one: exit %d after %v: %s", status, time.Since(begun), said)
	}
	if !locked(t, maint) {
		t.Error("the lock is no longer held")
	}
	c.Process.Signal(syscall.SIGCONT)
	c.quiet(t, 0)
	output(t, "logcompact", k.path)
	k.check(t, all)
}
