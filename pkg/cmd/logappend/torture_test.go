//go:build linux || darwin

package logappend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/eventlog"
	"logtools/pkg/stream"
)

// The tests named TestTorture take seconds. If LOGTOOLS_TORTURE is a duration, that
// is how long both of them go on together.
const tortureEnv = "LOGTOOLS_TORTURE"

const tortures = 2

// commandEnv makes the test binary the command.
const commandEnv = "LOGTOOLS_LOGAPPEND"

func TestMain(m *testing.M) {
	if os.Getenv(commandEnv) != "" {
		os.Exit(cli.Main(New()))
	}
	os.Exit(m.Run())
}

// torture calls round with 0, 1, 2… until the time is over, but twice at least.
func torture(t *testing.T, round func(t *testing.T, n int, rng *rand.Rand)) {
	t.Helper()
	var long time.Duration
	if text := os.Getenv(tortureEnv); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("%s: %v", tortureEnv, err)
		}
		long = d / tortures
	}
	for n, begin := 0, time.Now(); n < 2 || time.Since(begin) < long; n++ {
		seed := rand.Uint64()
		round(t, n, rand.New(rand.NewPCG(seed, uint64(n))))
		if t.Failed() {
			t.Fatalf("in round %d, seed %d", n, seed)
		}
	}
}

// deed is an event: the n-th of what a process reads in one of its lives.
type deed struct {
	Run     string `json:"run"`
	N       int    `json:"n"`
	ID      string `json:"id"`
	Account string `json:"account,omitempty"`
	Amount  int64  `json:"amount,omitempty"`
}

// place is where one lies in the log.
type place struct {
	partition int
	offset    int64
	deed
}

// life is one of a process.
type life struct {
	run    string
	files  string // what their names begin with
	count  int    // of the events in its input
	cmd    *exec.Cmd
	stderr bytes.Buffer
	done   chan struct{} // closed when it has ended
	killed bool
}

// begin starts a process that appends these events, and gives it one after the other
// unless rng is nil.
func begin(t *testing.T, rng *rand.Rand, dir, run string, deeds []deed, args ...string) *life {
	t.Helper()
	l := &life{run: run, files: filepath.Join(dir, run), count: len(deeds), done: make(chan struct{})}
	var in bytes.Buffer
	var ends []int
	for i, d := range deeds {
		d.Run, d.N = run, i
		line, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
		if rng == nil || rng.IntN(10) == 0 {
			ends = append(ends, in.Len())
		}
	}
	stdout, err := os.Create(l.files + ".acks")
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l.cmd = exec.Command(exe, append([]string{"--acks", "--refused", l.files + ".refused"}, args...)...)
	l.cmd.Env = append(os.Environ(), commandEnv+"=1")
	l.cmd.Stdout, l.cmd.Stderr = stdout, &l.stderr
	stdin, err := l.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		from := 0
		for _, end := range append(ends, in.Len()) {
			if _, err := stdin.Write(in.Bytes()[from:end]); err != nil {
				break // it was killed
			}
			if from = end; rng != nil {
				time.Sleep(time.Millisecond)
			}
		}
		stdin.Close()
		l.cmd.Wait()
		close(l.done)
	}()
	t.Cleanup(l.kill)
	return l
}

func (l *life) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (l *life) kill() {
	l.killed = l.killed || !l.ended()
	l.cmd.Process.Kill()
	<-l.done
}

// wholeLines returns the lines of a file, without one that was not written to its end.
func wholeLines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if strings.HasSuffix(line, "\n") {
			lines = append(lines, line)
		}
	}
	return lines
}

// stored is what a log holds.
type stored struct {
	log  []place                // by partition and offset
	at   map[string]place       // by id
	runs map[[2]any][]place     // by run and partition
	all  map[int]map[int64]deed // by partition and offset
}

// readAll reads a log. No id may be there twice, and what a process appended must be
// in its order.
func readAll(t *testing.T, path string) *stored {
	t.Helper()
	l, err := eventlog.Open(path, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stored{at: make(map[string]place), runs: make(map[[2]any][]place), all: make(map[int]map[int64]deed)}
	for p := range l.Settings().Partitions {
		s.all[p] = make(map[int64]deed)
		r, err := l.Read(p, eventlog.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var b stream.Block
		for {
			if err := r.Next(context.Background(), &b); err == io.EOF {
				break
			} else if err != nil || b.Err != nil {
				t.Fatal(err, b.Err)
			}
			offset := b.Pos.Base
			for line := range bytes.Lines(b.Data) {
				var e struct{ Value deed }
				if err := json.Unmarshal(line, &e); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				at := place{p, offset, e.Value}
				offset++
				if first, ok := s.at[at.ID]; ok {
					t.Errorf("%s is at %+v and at %+v", at.ID, first, at)
				}
				s.at[at.ID] = at
				s.all[p][at.offset] = at.deed
				of := [2]any{at.Run, p}
				if before := s.runs[of]; len(before) > 0 && before[len(before)-1].N >= at.N {
					t.Errorf("%+v comes before %+v", before[len(before)-1], at)
				}
				s.runs[of] = append(s.runs[of], at)
				s.log = append(s.log, at)
			}
		}
		r.Close()
	}
	return s
}

// window returns between which offsets an event was judged that was refused: it could
// have got any from low to high. That is what its process's own events that are there
// say.
func (s *stored) window(run string, n, partition int) (low, high int64) {
	high = int64(len(s.all[partition]))
	for _, at := range s.runs[[2]any{run, partition}] {
		if at.N > n {
			return low, at.offset
		}
		low = at.offset + 1
	}
	return low, high
}

// check compares what a process was told with what is there. checkState is asked about
// an event that was refused for what it would have done to its account.
func (l *life) check(t *testing.T, s *stored, several bool, checkState func(d deed, state, low, high int64)) {
	t.Helper()
	if code := l.cmd.ProcessState.ExitCode(); !l.killed && code != 0 && code != 3 {
		t.Errorf("%s: exit %d, %s", l.run, code, &l.stderr)
		return
	}
	for _, line := range wholeLines(t, l.files+".acks") {
		var a struct {
			Partition     int
			Offset, Count int64
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Errorf("%s: %s: %v", l.run, line, err)
		}
		for o := a.Offset; o < a.Offset+a.Count; o++ {
			if got := s.all[a.Partition][o]; got.Run != l.run {
				t.Errorf("%s: offset %d of partition %d was acknowledged, and there is %+v", l.run, o, a.Partition, got)
			}
		}
	}
	refused := wholeLines(t, l.files+".refused")
	for _, line := range refused {
		var e struct {
			Partition int
			Headers   struct{ Reason, Taken_by string }
			Value     deed
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%s: %s: %v", l.run, line, err)
			continue
		}
		d := e.Value
		if d.Run != l.run || several != strings.Contains(line, `{"partition":`) {
			t.Errorf("%s: %s is not one of its refused events", l.run, line)
		}
		if at, ok := s.at[d.ID]; ok && at.deed == d {
			t.Errorf("%s: %s is refused, and there at %d", l.run, line, at.offset)
		}
		low, high := s.window(d.Run, d.N, e.Partition)
		var taken, state int64
		if e.Headers.Taken_by != "" {
			fmt.Sscan(e.Headers.Taken_by, &taken)
			if got := s.all[e.Partition][taken]; got.ID != d.ID || taken >= high || e.Headers.Reason != ".id is taken" {
				t.Errorf("%s: %s is refused, and at %d is %+v (it was judged before %d)", l.run, line, taken, got, high)
			}
		} else if n, err := fmt.Sscanf(e.Headers.Reason, "check fails: . >= 0, state %d", &state); n == 1 && checkState != nil {
			checkState(d, state, low, high)
		} else {
			t.Errorf("%s: %s: %v", l.run, line, err)
		}
	}
	if !l.killed {
		n := len(refused)
		for p := range s.all {
			n += len(s.runs[[2]any{l.run, p}])
		}
		if n != l.count {
			t.Errorf("%s: of %d events %d were stored or refused", l.run, l.count, n)
		}
	}
}

// harm does something to what is known about the rules: that can be built again.
func harm(t *testing.T, path string, rng *rand.Rand) {
	t.Helper()
	dir := filepath.Join(path, "guard")
	if rng.IntN(2) == 0 {
		os.RemoveAll(dir) // some process may be writing there
		return
	}
	var files []string
	filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, name)
		}
		return nil
	})
	if len(files) == 0 {
		return
	}
	f, err := os.OpenFile(files[rng.IntN(len(files))], os.O_RDWR, 0)
	if err != nil {
		return // it has just been removed
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		var b [1]byte
		at := rng.Int64N(info.Size())
		f.ReadAt(b[:], at)
		b[0] ^= 1 << rng.IntN(8)
		f.WriteAt(b[:], at)
	}
}

// race has four processes append to a log, which they make, and kills one after the
// other at any moment. deeds says what a process appends, the same in each life. All
// that were begun are returned when each process has come to its end once.
func race(t *testing.T, path string, rng *rand.Rand, harmful bool, deeds func(process int) []deed, args ...string) []*life {
	t.Helper()
	const processes = 4
	dir := t.TempDir()
	var all []*life
	var at [processes]*life
	next := func(p int, pace *rand.Rand) {
		size := []string{"200", "1K", "16K"}[rng.IntN(3)]
		at[p] = begin(t, pace, dir, fmt.Sprintf("%d.%d", p, len(all)), deeds(p), append(args, "--batch-bytes", size, path)...)
		all = append(all, at[p])
	}
	for p := range at {
		next(p, rng)
	}
	for begun := time.Now(); time.Since(begun) < time.Second; {
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		p := rng.IntN(processes)
		at[p].kill()
		if harmful && rng.IntN(3) == 0 {
			harm(t, path, rng)
		}
		next(p, rng)
	}
	for _, l := range at {
		<-l.done
	}
	if harmful {
		harm(t, path, rng)
	}
	for p := range at {
		next(p, nil)
		<-at[p].done
	}
	return all
}

// TestTortureNames has processes claim the same names. Each name is there once, and
// who was refused it was told where it is.
func TestTortureNames(t *testing.T) {
	torture(t, func(t *testing.T, n int, rng *rand.Rand) {
		path := filepath.Join(memoryDir(t), "log")
		args := []string{"--unique", ".id", "--segment-bytes", "64K"}
		partitions := 1 + n%4/2*2
		args = append(args, "--partitions", fmt.Sprint(partitions))
		// There is so much that it is kept beside the log.
		var old []deed
		for i := range 3000 {
			old = append(old, deed{ID: fmt.Sprint("old", i)})
		}
		first := begin(t, nil, t.TempDir(), "first", old, append(args, path)...)
		<-first.done
		names := make([]deed, 0, 440)
		for i := range 400 {
			names = append(names, deed{ID: fmt.Sprint("name", i)})
		}
		for range 40 {
			names = append(names, old[rng.IntN(len(old))])
		}
		all := race(t, path, rng, n%2 == 1, func(int) []deed {
			rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			return names
		}, args...)
		s := readAll(t, path)
		for _, l := range append(all, first) {
			l.check(t, s, partitions > 1, nil)
		}
		if len(s.log) != 3400 {
			t.Errorf("there are %d names", len(s.log))
		}
		report(t, n, all)
	})
}

// TestTortureLedger has processes spend the same money. A transfer is there once, and
// no balance was ever below zero. A transfer that was refused would have brought it
// there: for some of the states that the log had, between the transfers of the same
// process before and after it, the result is the one that it was told.
func TestTortureLedger(t *testing.T) {
	torture(t, func(t *testing.T, n int, rng *rand.Rand) {
		path := filepath.Join(memoryDir(t), "log")
		args := []string{"-k", ".account", "--unique", ".id", "--init", "0", "--fold", ". + $e.amount", "--check", ". >= 0", "--segment-bytes", "64K"}
		accounts := []string{"one"}
		if n%4 > 1 {
			accounts = []string{"one", "two", "three"}
		}
		var transfers [4][]deed
		for p := range transfers {
			for i := range 500 {
				transfers[p] = append(transfers[p], deed{
					ID: fmt.Sprintf("%d-%d", p, i), Account: accounts[rng.IntN(len(accounts))], Amount: rng.Int64N(200) - 110,
				})
			}
		}
		all := race(t, path, rng, n%2 == 1, func(p int) []deed { return transfers[p] }, args...)
		s := readAll(t, path)
		balance := make(map[string]int64)
		after := make(map[string][]int64) // by account: the balance before each offset
		for _, a := range accounts {
			after[a] = []int64{0}
		}
		for _, at := range s.log {
			if balance[at.Account] += at.Amount; balance[at.Account] < 0 {
				t.Errorf("%+v brings the balance to %d", at, balance[at.Account])
			}
			for _, a := range accounts {
				after[a] = append(after[a], balance[a])
			}
		}
		for _, l := range all {
			l.check(t, s, false, func(d deed, state, low, high int64) {
				if state >= 0 {
					t.Errorf("%+v is refused with state %d", d, state)
				}
				for _, b := range after[d.Account][low : high+1] {
					if b+d.Amount == state {
						return
					}
				}
				t.Errorf("%+v is refused with state %d, which it never had between offsets %d and %d", d, state, low, high)
			})
		}
		report(t, n, all)
	})
}

func report(t *testing.T, n int, all []*life) {
	if n > 1 {
		return
	}
	killed := 0
	for _, l := range all {
		if l.killed {
			killed++
		}
	}
	t.Logf("%d processes, %d of them killed", len(all), killed)
}

// memoryDir returns a directory in memory if there is such a thing, where a sync costs
// nothing.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "logappend-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
