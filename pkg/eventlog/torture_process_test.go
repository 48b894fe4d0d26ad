//go:build linux || darwin

package eventlog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/stream"
)

// order is what a writing process is told, by an environment variable.
type order struct {
	Path                    string
	Writer, Run, Partitions int
	Patience                float64
	Batches                 int    // 0: until its standard input ends
	StopAt                  int32  // it stops itself before that write to a segment, with the lock
	MaxFile                 uint64 // RLIMIT_FSIZE
}

const orderEnv = "LOGTOOLS_TORTURE_WRITER"

// report is what it says, a line of JSON each.
type report struct {
	Deed    deed
	Offset  int64
	Stopped bool   // it is about to stop itself
	Warning string // of the log
	Error   string
	Errno   int // of Error
}

// TestTortureWriter is the writing process: the test binary runs itself with an
// order.
func TestTortureWriter(t *testing.T) {
	text := os.Getenv(orderEnv)
	if text == "" {
		t.Skip("it is run by other tests")
	}
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	pipe := os.NewFile(3, "reports")
	var mu sync.Mutex
	say := func(r report) {
		b, err := json.Marshal(r)
		if err != nil {
			panic(err)
		}
		mu.Lock()
		defer mu.Unlock()
		pipe.Write(append(b, '\n')) // in one piece
	}
	if o.MaxFile > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: o.MaxFile, Max: o.MaxFile}); err != nil {
			t.Fatal(err)
		}
	}
	var ended atomic.Bool
	go func() {
		io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	err := func() error {
		l, err := OpenOrCreate(context.Background(), o.Path, smallSegments(o.Partitions), Options{
			FS: &stopFS{say: say, left: o.StopAt}, Warn: func(m string) { say(report{Warning: m}) },
		})
		if err != nil {
			return err
		}
		more := func(n int) bool { return !ended.Load() && (o.Batches == 0 || n < o.Batches) }
		return writeDeeds(l, AppendOptions{LockTimeout: time.Minute}, o.Writer, o.Run, o.Patience, more, func(d deed, a stream.Ack) {
			say(report{Deed: d, Offset: a.Offset})
		})
	}()
	if err != nil {
		r := report{Error: err.Error()}
		var no syscall.Errno
		if errors.As(err, &no) {
			r.Errno = int(no)
		}
		say(r)
		os.Exit(1)
	}
}

// stopFS stops its own process once, when it is about to write to a segment.
type stopFS struct {
	vfs.OS
	say  func(report)
	left int32
}

type stopFile struct {
	vfs.File
	fs *stopFS
}

func (s *stopFS) Open(name string, flag vfs.Flag) (vfs.File, error) {
	f, err := s.OS.Open(name, flag)
	if err == nil && flag == vfs.ReadWrite && strings.HasSuffix(name, segmentExt) {
		f = &stopFile{f, s}
	}
	return f, err
}

func (f *stopFile) WriteAt(b []byte, at int64) (int, error) {
	if atomic.AddInt32(&f.fs.left, -1) == 0 {
		again := make(chan os.Signal, 1)
		signal.Notify(again, syscall.SIGCONT)
		f.fs.say(report{Stopped: true})
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-again
	}
	return f.File.WriteAt(b, at)
}

// writerProcess is a running one.
type writerProcess struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	stopped chan struct{} // closed when it says so
	done    chan struct{} // closed when it has ended and all it has said was read
	err     error         // how it ended
	failure report        // what it said of an error
}

// start starts a writing process, whose acks go into k.
func start(t *testing.T, k *deeds, o order) *writerProcess {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "-test.run=^TestTortureWriter$", "-test.timeout=1h")
	c.Env = append(os.Environ(), orderEnv+"="+string(text))
	c.Stderr = os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.ExtraFiles = []*os.File{w}
	p := &writerProcess{cmd: c, stopped: make(chan struct{}), done: make(chan struct{})}
	if p.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		defer close(p.done)
		defer r.Close()
		s := bufio.NewScanner(r)
		for s.Scan() {
			var said report
			if err := json.Unmarshal(s.Bytes(), &said); err != nil {
				t.Errorf("a writer says %q", s.Text())
				continue
			}
			switch {
			case said.Stopped:
				close(p.stopped)
			case said.Warning != "":
				t.Errorf("writer %d, run %d warns: %s", o.Writer, o.Run, said.Warning)
			case said.Error != "":
				p.failure = said
			default:
				k.ack(said.Deed, said.Offset)
			}
		}
		p.err = c.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *writerProcess) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// end lets it finish what it is doing. It must go well.
func (p *writerProcess) end(t *testing.T) {
	t.Helper()
	p.stdin.Close()
	<-p.done
	if p.err != nil {
		t.Errorf("a writer ended with %v: %s", p.err, p.failure.Error)
	}
}

// TestTortureKill has processes append to one log, which all of them want to create,
// and kills one after the other at any moment. No write fails, so nothing that was
// given an offset may be missing.
func TestTortureKill(t *testing.T) {
	torture(t, 2, func(t *testing.T, n int, rng *rand.Rand) {
		const writers = 4
		partitions := 1 + n%2*2
		parent := memoryDir(t)
		if n%4 > 1 {
			parent = t.TempDir()
		}
		path := filepath.Join(parent, "log")
		k := newDeeds()
		var runs [writers]int
		var at [writers]*writerProcess
		next := func(w int) {
			at[w] = start(t, k, order{
				Path: path, Writer: w, Run: runs[w], Partitions: partitions, Patience: []float64{0, 0.1, 1}[rng.IntN(3)],
			})
			runs[w]++
		}
		for w := range at {
			next(w)
		}
		kills := 0
		for begin := time.Now(); time.Since(begin) < time.Second; kills++ {
			time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
			w := rng.IntN(writers)
			at[w].kill()
			if at[w].failure.Error != "" {
				t.Errorf("writer %d, run %d: %s", w, runs[w]-1, at[w].failure.Error)
			}
			next(w)
		}
		for _, p := range at {
			p.end(t)
		}
		k.check(t, vfs.OS{}, path, partitions)
		if n == 0 {
			bases, _ := os.ReadDir(filepath.Join(path, PartitionName(0)))
			t.Logf("%d processes were killed, %d batches acknowledged, %d files", kills, k.count(), len(bases))
		}
	})
}

// TestTortureStop stops a process that has the lock. The others give up when they
// have waited for as long as they want, and all go on when it does.
func TestTortureStop(t *testing.T) {
	path := filepath.Join(memoryDir(t), "log")
	k := newDeeds()
	p := start(t, k, order{Path: path, Partitions: 1, Patience: 1, Batches: 40, StopAt: 20})
	select {
	case <-p.stopped:
	case <-p.done:
		t.Fatal("it did not stop: ", p.err, p.failure.Error)
	}
	l, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	one := func(int) bool { return true }
	begin := time.Now()
	err = writeDeeds(l, AppendOptions{LockTimeout: 100 * time.Millisecond}, 1, 0, 1, one, func(d deed, _ stream.Ack) {
		t.Errorf("%+v is acknowledged while another process has the lock", d)
	})
	var locked *LockError
	if took := time.Since(begin); !errors.As(err, &locked) || took < 100*time.Millisecond || took > 10*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	// A reader needs no lock.
	before, err := readPartition(vfs.OS{}, path, 0)
	if err != nil {
		t.Error(err)
	}
	waits := start(t, k, order{Path: path, Writer: 2, Partitions: 1, Batches: 10})
	time.Sleep(50 * time.Millisecond)
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*writerProcess{p, waits} {
		<-w.done
		if w.err != nil {
			t.Errorf("a writer ended with %v: %s", w.err, w.failure.Error)
		}
	}
	k.check(t, vfs.OS{}, path, 1)
	after, err := readPartition(vfs.OS{}, path, 0)
	if err != nil || len(before) == 0 || len(after) <= len(before) {
		t.Errorf("%d events, then %d; %v", len(before), len(after), err)
	}
	if k.count() != 50 {
		t.Errorf("%d batches are acknowledged", k.count())
	}
}

// TestTortureLargeFile lets a process run into the limit of a file's size: the batch
// fails, the log is whole, and others, without that limit, go on.
func TestTortureLargeFile(t *testing.T) {
	for _, patience := range []float64{0, 1} {
		path := filepath.Join(memoryDir(t), fmt.Sprint("log", patience))
		k := newDeeds()
		p := start(t, k, order{Path: path, Partitions: 1, Patience: patience, Batches: 1000, MaxFile: 30_000})
		<-p.done
		if p.err == nil || syscall.Errno(p.failure.Errno) != syscall.EFBIG || !strings.Contains(p.failure.Error, "file too large") {
			t.Errorf("it ended with %v: %+v", p.err, p.failure)
		}
		k.check(t, vfs.OS{}, path, 1)
		before := k.count()
		q := start(t, k, order{Path: path, Run: 1, Partitions: 1, Batches: 30})
		<-q.done
		if q.err != nil || k.count() != before+30 || before == 0 {
			t.Errorf("%d batches, then %d: %v: %s", before, k.count(), q.err, q.failure.Error)
		}
		k.check(t, vfs.OS{}, path, 1)
	}
}
