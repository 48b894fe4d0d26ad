//go:build linux || darwin

package logcompact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// beside are loops that go on until the test is over.
type beside struct {
	over atomic.Bool
	wg   sync.WaitGroup
}

func (b *beside) loop(t *testing.T, f func(n int)) {
	b.wg.Go(func() {
		for n := 0; !b.over.Load() && !t.Failed(); n++ {
			f(n)
		}
	})
}

func (b *beside) end() {
	b.over.Store(true)
	b.wg.Wait()
}

// described is what logcat --describe says of the partitions, and of groups.
type described struct {
	Group                    string
	Partition                int
	First, Next, Events, Lag int64
}

func describe(t *testing.T, path string) []described {
	t.Helper()
	var all []described
	p := start(t, func(line []byte) {
		var d described
		if err := json.Unmarshal(line, &d); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		all = append(all, d)
	}, "logcat", "--describe", path)
	// It says so, too, if the position of a group is gone.
	if status, said := p.exit(t), p.stderr.String(); status != 0 && status != 6 || (status == 6) != strings.Contains(said, ", which is before the first, ") {
		t.Errorf("%s: exit %d: %s", p.what, status, said)
	}
	return all
}

// TestTortureLive compacts a log all the time while processes append to it, read it,
// follow it and consume it as a group. Each of them ends well and has nothing to say;
// each reader gets what stays, once and in order.
func TestTortureLive(t *testing.T) {
	torture(t, 1, func(t *testing.T, n int, rng *rand.Rand) {
		live(t, memoryDir(t), n, rng)
	})
}

func ended(all []*process) bool {
	return slices.ContainsFunc(all, (*process).ended)
}

func live(t *testing.T, dir string, n int, rng *rand.Rand) {
	const partitions = 2
	k := newLedger(t, dir, partitions)
	begun := time.Now()
	var b beside
	defer b.end()

	// Those who go on for as long as the log does.
	var followers [2]*audience
	var forever []*process
	for i := range followers {
		followers[i] = k.audience(fmt.Sprint("follower ", i))
		forever = append(forever, start(t, followers[i].hear, "logcat", "-f", k.path))
	}
	files := [2]string{filepath.Join(dir, "group0"), filepath.Join(dir, "group1")}
	var group []*process
	for _, file := range files {
		group = append(group, start(t, nil, "logcat", "-G", "g", "-f", "--batch", "50", k.path, "--", "sh", "-c", `cat >> "$1"`, "sh", file))
	}
	forever = append(forever, group...)
	forever = append(forever, start(t, nil, "logcompact", "-f", "--tombstones", "1h", k.path))

	var runs, reads, checked atomic.Int64
	b.loop(t, func(n int) {
		args := []string{"--tombstones", "1h", k.path}
		switch n % 4 {
		case 1:
			args = append(args, "--keep", "2")
		case 3:
			args = append(args, "--min-lag", "100ms")
		}
		output(t, "logcompact", args...)
		runs.Add(1)
	})
	b.loop(t, func(int) {
		at := time.Now()
		checked.Add(int64(k.read(t).missesNone(at, time.Now())))
		reads.Add(1)
	})
	next := make([]int64, partitions)
	b.loop(t, func(n int) {
		switch n % 7 {
		case 0:
			if a := k.read(t, "-n", "10"); len(a.got) > 10 {
				t.Errorf("-n 10 gives %d events", len(a.got))
			}
		case 1:
			out := output(t, "logview", "-g", "$key", "-a", "count", "-o", "event", k.path)
			if got := strings.Count(out, "\n"); got > keys || got < keys/2 {
				t.Errorf("logview has %d keys", got)
			}
		case 2:
			ends := k.ends()
			for _, d := range describe(t, k.path) {
				if d.Group != "" {
					continue
				}
				if d.Next <= ends[d.Partition] || d.Next < next[d.Partition] || d.Events < 1 {
					t.Errorf("%+v, and %d was acknowledged, and %d said before", d, ends[d.Partition], next[d.Partition])
				}
				next[d.Partition] = d.Next
			}
		case 3:
			if out := output(t, "logcompact", "--verify", k.path); strings.Count(out, "whole\n") != partitions {
				t.Errorf("verify: %s", out)
			}
		case 4:
			key := k.keys[n%keys]
			if a := k.read(t, "--only-key", key); len(a.table) > 1 || len(a.table) == 1 && a.table[key].Key == "" {
				t.Errorf("of %s there is %v", key, a.table)
			}
		case 5:
			k.read(t, "--from", "@"+time.Now().Add(-300*time.Millisecond).UTC().Format(time.RFC3339Nano))
		case 6:
			output(t, "logcompact", "--dry-run", k.path)
		}
	})
	var writers [2]*writer
	for i := range writers {
		writers[i] = k.write(t, rng.Uint64())
	}
	time.Sleep(2 * time.Second)
	for _, w := range writers {
		w.end(t)
	}
	b.end()

	// The newest event of a partition stays, and so comes to all of them.
	ends := k.ends()
	for _, f := range followers {
		await(t, f.what, func() bool { return f.reached(ends) || ended(forever) })
	}
	await(t, "the group", func() bool {
		if ended(forever) { // which is told below
			return true
		}
		lag := int64(-1)
		for _, d := range describe(t, k.path) {
			if d.Group == "g" {
				lag = max(lag, 0) + d.Lag
			}
		}
		return lag == 0
	})
	for _, p := range forever {
		p.interrupt(t)
	}
	output(t, "logcompact", "--tombstones", "1h", k.path)
	k.check(t, all)
	now := time.Now()
	for _, f := range followers {
		f.missesNone(now, now)
	}
	members := k.audience("the group")
	for i, file := range files {
		one := k.audience(fmt.Sprint("member ", i))
		said, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for line := range bytes.Lines(said) {
			one.hear(line)
		}
		for id := range one.got {
			if members.got[id] {
				t.Errorf("both members have got %v", k.deeds[id])
			}
			members.got[id] = true
		}
		for key, e := range one.table {
			if e.Offset >= members.table[key].Offset {
				members.table[key] = e
			}
		}
	}
	members.missesNone(now, now)
	if runs.Load() < 2 || reads.Load() < 2 || checked.Load() == 0 {
		t.Errorf("compacted %d times, read %d times, %d keys checked", runs.Load(), reads.Load(), checked.Load())
	}
	if n == 0 {
		t.Logf("%d events acknowledged, compacted %d times, read %d times, %d keys checked, %v",
			k.acks, runs.Load(), reads.Load(), checked.Load(), time.Since(begun).Round(time.Millisecond))
	}
}

// TestTortureStopFollower stops a follower that waits at the end. When it goes on, the
// file that it waits in was merged with the next one, and there is one behind that.
func TestTortureStopFollower(t *testing.T) {
	k := newLedger(t, memoryDir(t), 1)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, args := range [][]string{{"-f", k.path}, {"-G", "g", "-f", k.path, "--", "cat"}} {
		a := k.audience(fmt.Sprint("logcat ", args))
		f := start(t, a.hear, "logcat", args...)
		for range 3 {
			await(t, a.what, func() bool { return a.reached(k.ends()) || f.ended() })
			f.Process.Signal(syscall.SIGSTOP)
			for range 3 {
				k.fill(t, rng, 50)
				output(t, "logcompact", "--tombstones", "1h", k.path)
			}
			k.fill(t, rng, 50)
			f.Process.Signal(syscall.SIGCONT)
		}
		await(t, a.what, func() bool { return a.reached(k.ends()) || f.ended() })
		f.interrupt(t)
		now := time.Now()
		a.missesNone(now, now)
	}
}

// dense checks what a reader has got of a partition that is not compacted: it comes in
// order, and what is missing between two events was told.
type dense struct {
	t    *testing.T
	what string
	mu   sync.Mutex
	got  int
	next int64      // the offset that comes next; less than 0: any
	gaps [][2]int64 // what was not
}

func (d *dense) hear(line []byte) {
	var e seen
	if err := json.Unmarshal(line, &e); err != nil {
		d.t.Errorf("%s: %s: %v", d.what, line, err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next >= 0 && e.Offset < d.next {
		d.t.Errorf("%s: offset %d comes where %d was expected", d.what, e.Offset, d.next)
	}
	if d.next >= 0 && e.Offset > d.next {
		d.gaps = append(d.gaps, [2]int64{d.next, e.Offset})
	}
	d.got++
	d.next = e.Offset + 1
}

func (d *dense) reached(offset int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next > offset
}

// told checks that a reader was told of each event that it has not got, by what it said,
// and has the status for that.
func (d *dense) told(p *process) (behind bool) {
	d.t.Helper()
	status, said := p.exit(d.t), p.stderr.String()
	if len(d.gaps) == 0 && status == 0 && said == "" {
		return false
	}
	if status != 6 || said == "" || !strings.Contains(said, "hint: what was there was deleted by retention; read what is left with --from start\n") {
		d.t.Errorf("%s: exit %d, and %v are missing: %s", d.what, status, d.gaps, said)
		return true
	}
	for _, g := range d.gaps {
		if want := fmt.Sprintf(": offset %d is before the first, %d\n", g[0], g[1]); !strings.Contains(said, want) {
			d.t.Errorf("%s: %v is missing, and it says: %s", d.what, g, said)
		}
	}
	// It went on to its end, where nothing may be left.
	if n := strings.Count(said, " is before the first, "); n > len(d.gaps) && !strings.Contains(said, fmt.Sprintf(": offset %d is before the first, ", d.next)) && d.got > 0 {
		d.t.Errorf("%s: got all up to %d, and it says: %s", d.what, d.next, said)
	}
	return true
}

// TestTortureRetention removes old events all the time while processes append, read,
// follow and consume as a group. Who is too slow is told with the numbers, and those who
// are not miss nothing.
func TestTortureRetention(t *testing.T) {
	torture(t, 1, func(t *testing.T, n int, rng *rand.Rand) { retention(t, memoryDir(t), n, rng) })
}

// padded returns events that take some 750 bytes each on the disk.
func padded(rng *rand.Rand, n int) []byte {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rng.Uint32())
	}
	random := rand.NewChaCha8(seed)
	var in []byte
	pad := make([]byte, 740)
	for range n {
		random.Read(pad)
		in = base64.StdEncoding.AppendEncode(append(in, `{"value":"`...), pad)
		in = append(in, "\"}\n"...)
	}
	return in
}

func retention(t *testing.T, dir string, n int, rng *rand.Rand) {
	path := filepath.Join(dir, "log")
	add := func(n int, args ...string) {
		p := prepare(t, "logappend", append(args, path)...)
		p.Stdin = bytes.NewReader(padded(rng, n))
		p.launch(t)
		p.quiet(t, 0)
	}
	const first = 8_000 // some 6 MB
	add(10, "--segment-bytes", "64K")
	output(t, "logcat", "-G", "g", path, "--", "sh", "-c", "cat > /dev/null")
	add(first - 10)

	// A reader that is stopped behind its first event, and a group that is at work on its
	// first batch.
	slow := &dense{t: t, what: "the slow reader"}
	goOn, begun := make(chan struct{}), make(chan struct{})
	reader := start(t, func(line []byte) {
		if slow.got == 0 {
			close(begun)
			<-goOn
		}
		slow.hear(line)
	}, "logcat", path)
	letGo := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(letGo)
	<-begun
	free := filepath.Join(dir, "free")
	letCommit := func() {
		if err := os.WriteFile(free, nil, 0o666); err != nil {
			t.Error(err)
		}
	}
	taken := filepath.Join(dir, "taken")
	member := start(t, nil, "logcat", "-G", "slow", "-f", "--batch", "10", path, "--", "sh", "-c",
		`cat >> "$1"; n=0; while ! test -e "$2" && test $n -lt 3000; do n=$((n+1)); sleep 0.02; done`, "sh", taken, free)
	t.Cleanup(letCommit) // or the command would go on for ever
	await(t, "the first batch", func() bool { info, err := os.Stat(taken); return err == nil && info.Size() > 0 })

	follower := &dense{t: t, what: "the follower", next: first}
	live := start(t, follower.hear, "logcat", "-f", "--from", fmt.Sprint(first), path)
	var b beside
	defer b.end()
	var behind, reads int
	b.loop(t, func(int) {
		d := &dense{t: t, what: "a reader", next: -1}
		if d.told(start(t, d.hear, "logcat", path)) {
			behind++
		}
		reads++
		time.Sleep(20 * time.Millisecond)
	})
	b.loop(t, func(int) { output(t, "logcompact", "--cleanup", "delete", "--retain-bytes", "1M", path) })
	for range 2 {
		seed := rng.Uint64()
		b.loop(t, func(n int) {
			p := prepare(t, "logappend", path)
			p.Stdin = bytes.NewReader(padded(rand.New(rand.NewPCG(seed, uint64(n))), 50))
			p.launch(t)
			p.quiet(t, 0)
			time.Sleep(10 * time.Millisecond)
		})
	}
	was := time.Now()
	await(t, "retention", func() bool {
		return describe(t, path)[0].First > first && time.Since(was) > time.Second
	})
	letGo()
	if !slow.told(reader) {
		t.Error("the slow reader was never told")
	}
	letCommit()
	if status, said := member.exit(t), member.stderr.String(); status != 6 || !strings.Contains(said, " is before the first, ") || !strings.Contains(said, "logcat: hint: ") {
		t.Errorf("the slow group: exit %d: %s", status, said)
	}
	if said := fails(t, 6, 2, "logcat", "-G", "g", path, "--", "false"); !strings.Contains(said, "offset 10, which is before the first, ") {
		t.Errorf("the group says: %s", said)
	}
	if said := fails(t, 6, 2, "logcat", "--from", "17", path); !strings.Contains(said, "offset 17 is before the first, ") {
		t.Errorf("--from 17 says: %s", said)
	}
	b.end()
	output(t, "logcat", "-G", "g", "--from", "start", path, "--", "sh", "-c", "cat > /dev/null")
	end := describe(t, path)[0]
	await(t, "the follower", func() bool { return follower.reached(end.Next - 1) })
	live.interrupt(t)
	if len(follower.gaps) > 0 {
		t.Errorf("the follower has not got %v", follower.gaps)
	}
	// What the group was handed has no gap: it was never moved on in silence.
	d := &dense{t: t, what: "the slow group"}
	said, err := os.ReadFile(taken)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(said) {
		d.hear(line)
	}
	if len(d.gaps) > 0 {
		t.Errorf("the slow group has not got %v", d.gaps)
	}
	output(t, "logcompact", "--verify", path)
	if n == 0 {
		t.Logf("%d events were appended, %d are left; %d reads, of which %d were too slow; the slow one got %d, the group %d",
			end.Next, end.Events, reads, behind, slow.got, d.got)
	}
}
