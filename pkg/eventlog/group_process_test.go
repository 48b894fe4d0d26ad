//go:build linux || darwin

package eventlog

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"logtools/pkg/stream"
)

const memberEnv = "LOGTOOLS_TORTURE_MEMBER"

// memberReport is what a member of a group says, a line of JSON each.
type memberReport struct {
	Got   []int // partitions that it has taken
	Batch bool  // it hands out the events of P from From to before Next
	P     int
	From  int64
	Next  int64
	Error string
}

// TestTortureMember is a process that consumes a log: the test binary runs itself.
func TestTortureMember(t *testing.T) {
	path := os.Getenv(memberEnv)
	if path == "" {
		t.Skip("it is run by other tests")
	}
	pipe := os.NewFile(3, "reports")
	say := func(r memberReport) {
		b, err := json.Marshal(r)
		if err != nil {
			panic(err)
		}
		pipe.Write(append(b, '\n')) // in one piece
	}
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	if err := consume(path, say, ended); err != nil {
		say(memberReport{Error: err.Error()})
		os.Exit(1)
	}
}

// cursor is where a member is in a partition that it holds.
type cursor struct {
	r    *Reader
	left []readEvent
}

// consume hands out batch after batch of what it holds, and commits each.
func consume(path string, say func(memberReport), ended <-chan struct{}) error {
	l, err := Open(path, Options{})
	if err != nil {
		return err
	}
	g, err := l.OpenGroup(context.Background(), "g", GroupOptions{})
	if err != nil {
		return err
	}
	defer g.Close()
	at := map[int]*cursor{}
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(time.Now().UnixNano())))
	var looked time.Time
	for {
		select {
		case <-ended:
			return nil
		default:
		}
		if time.Since(looked) >= 250*time.Millisecond {
			looked = time.Now()
			changed, err := balance(g)
			if err != nil {
				return err
			}
			if changed {
				if err := reopen(l, g, at, say); err != nil {
					return err
				}
			}
		}
		for p, c := range at {
			if err := c.batch(g, p, rng, say); err != nil {
				return err
			}
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// reopen opens and closes the partitions that have changed hands.
func reopen(l *Log, g *Group, at map[int]*cursor, say func(memberReport)) error {
	held := g.Held()
	for p, c := range at {
		if !slices.Contains(held, p) {
			c.r.Close()
			delete(at, p)
		}
	}
	var got []int
	for _, p := range held {
		if at[p] != nil {
			continue
		}
		r, err := l.Read(p, ReadOptions{From: AtOffset(g.Committed(p))})
		if err != nil {
			return err
		}
		at[p] = &cursor{r: r}
		got = append(got, p)
	}
	say(memberReport{Got: got})
	return nil
}

func (c *cursor) batch(g *Group, p int, rng *rand.Rand, say func(memberReport)) error {
	for len(c.left) == 0 {
		var b stream.Block
		if err := c.r.Next(context.Background(), &b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if b.Err != nil {
			return b.Err
		}
		c.left = events(&b)
	}
	some := c.left[:min(1+rng.IntN(40), len(c.left))]
	c.left = c.left[len(some):]
	from, next := some[0].offset, some[len(some)-1].offset+1
	if from != g.Committed(p) || next != from+int64(len(some)) {
		return fmt.Errorf("partition %d: got %d to %d after %d", p, from, next-1, g.Committed(p))
	}
	say(memberReport{Batch: true, P: p, From: from, Next: next})
	time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond)
	return g.Commit(p, next)
}

// audience is what the parent knows of all members.
type audience struct {
	mu     sync.Mutex
	handed [][]bool          // by partition and offset
	holder map[int]int       // by partition, who said last that it took it
	free   map[int]time.Time // of partitions whose holder was killed: when
	took   []time.Duration   // how long they were free
	twice  int
}

func (a *audience) hear(member int, r memberReport) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range r.Got {
		a.holder[p] = member
		if since, ok := a.free[p]; ok {
			a.took = append(a.took, time.Since(since))
			delete(a.free, p)
		}
	}
	for o := r.From; o < r.Next; o++ {
		if a.handed[r.P][o] {
			a.twice++
		}
		a.handed[r.P][o] = true
	}
}

// killed notes what a member leaves behind. What another one has not taken yet it may
// take later, since the shares change.
func (a *audience) killed(member int, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, h := range a.holder {
		if h == member {
			a.free[p] = now
			delete(a.holder, p)
		}
	}
	for p := range a.free {
		a.free[p] = now
	}
}

// memberProcess is a running one.
type memberProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when all it has said was heard
	err   error
	said  string // of an error
}

func startMember(t *testing.T, a *audience, number int, path string) *memberProcess {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "-test.run=^TestTortureMember$", "-test.timeout=1h")
	c.Env = append(os.Environ(), memberEnv+"="+path)
	c.Stderr = os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.ExtraFiles = []*os.File{w}
	p := &memberProcess{cmd: c, done: make(chan struct{})}
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
			var said memberReport
			if err := json.Unmarshal(s.Bytes(), &said); err != nil {
				t.Errorf("a member says %q", s.Text())
			} else if said.Error != "" {
				p.said = said.Error
			} else {
				a.hear(number, said)
			}
		}
		p.err = c.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *memberProcess) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// watchPositions reads the positions from outside until it is told to stop: each is
// sound, and none goes back.
func watchPositions(t *testing.T, l *Log, stop <-chan struct{}) {
	last := make([]int64, l.settings.Partitions)
	for {
		select {
		case <-stop:
			return
		default:
		}
		for p, before := range last {
			next, err := l.readPosition("g", p)
			if err != nil {
				t.Error(err)
				return
			}
			if next < before {
				t.Errorf("partition %d: %d is committed after %d", p, next, before)
				return
			}
			last[p] = next
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// TestTortureGroup has three processes consume a log of four partitions, and kills one
// after the other at any moment: nothing is left out, no position goes back, and what a
// dead one held is taken within a second.
func TestTortureGroup(t *testing.T) {
	least := 1
	if os.Getenv(tortureEnv) != "" {
		least = 25 // of 20 kills
	}
	var took []time.Duration
	kills, twice := 0, 0
	torture(t, least, func(t *testing.T, n int, rng *rand.Rand) {
		const members, partitions, perPartition = 3, 4, 12_000
		parent := memoryDir(t)
		if n%2 == 1 {
			parent = t.TempDir()
		}
		path := filepath.Join(parent, "log")
		l := groupLog(t, nil, path, partitions, perPartition)
		groupAt(t, l, "g", 0, 0, 0, 0)
		a := &audience{holder: map[int]int{}, free: map[int]time.Time{}}
		for range partitions {
			a.handed = append(a.handed, make([]bool, perPartition))
		}
		var watching sync.WaitGroup
		stop := make(chan struct{})
		watching.Go(func() { watchPositions(t, l, stop) })

		var at [members]*memberProcess
		number := 0
		var numbers [members]int
		next := func(i int) {
			number++
			numbers[i] = number
			at[i] = startMember(t, a, number, path)
		}
		for i := range at {
			next(i)
		}
		for range 20 {
			time.Sleep(time.Duration(rng.IntN(80)) * time.Millisecond)
			i := rng.IntN(members)
			now := time.Now()
			at[i].kill()
			a.killed(numbers[i], now)
			if at[i].said != "" {
				t.Errorf("a member says: %s", at[i].said)
			}
			if kills++; kills%5 == 0 { // else it comes back at once and takes what it had
				time.Sleep(300 * time.Millisecond)
			}
			next(i)
		}
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			all, err := l.Groups(context.Background())
			if err != nil {
				t.Error(err)
			}
			if !slices.ContainsFunc(all, func(g GroupPosition) bool { return g.Lag > 0 }) {
				break
			}
			if time.Since(begin) > 30*time.Second {
				t.Errorf("after half a minute: %v", all)
				break
			}
		}
		for _, p := range at {
			p.stdin.Close()
			<-p.done
			if p.err != nil {
				t.Errorf("a member ended with %v: %s", p.err, p.said)
			}
		}
		close(stop)
		watching.Wait()
		for p, handed := range a.handed {
			if o := slices.Index(handed, false); o >= 0 {
				t.Errorf("offset %d of partition %d was left out", o, p)
			}
		}
		took = append(took, a.took...)
		twice += a.twice
	})
	if len(took) == 0 {
		t.Fatal("nothing was taken over")
	}
	// A busy machine may be late now and then.
	slices.Sort(took)
	if most := took[len(took)*9/10]; most > time.Second {
		t.Errorf("of %d partitions that were taken over a tenth were free for more than %v", len(took), most)
	}
	t.Logf("%d processes were killed; %d partitions were taken over, after %v (median) to %v; %d events came twice",
		kills, len(took), took[len(took)/2], took[len(took)-1], twice)
}
