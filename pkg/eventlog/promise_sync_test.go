package eventlog

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// gateFS is a file system whose syncs of segments can be waited for.
type gateFS struct {
	vfs.FS
	before func()
	after  func(name string, err error) // called behind a Sync of a segment
}

type gateFile struct {
	vfs.File
	name string
	fs   *gateFS
}

func (g *gateFS) Open(name string, flag vfs.Flag) (vfs.File, error) {
	f, err := g.FS.Open(name, flag)
	if err != nil || !strings.HasSuffix(name, segmentExt) {
		return f, err
	}
	return &gateFile{f, name, g}, nil
}

func (f *gateFile) Sync() error {
	if f.fs.before != nil {
		f.fs.before()
	}
	err := f.File.Sync()
	if f.fs.after != nil {
		f.fs.after(f.name, err)
	}
	return err
}

func isSegmentSync(o vfstest.Op) bool {
	return o.Kind == vfstest.Sync && strings.HasSuffix(o.Name, segmentExt)
}

// A failed sync of one goroutine is told once per open file: the sync of a roll,
// by the other goroutine of the same process, then succeeds and proves nothing.
func TestPromiseRollAfterFailedSync(t *testing.T) {
	m := vfstest.New()
	g := &gateFS{FS: m}
	l, err := OpenOrCreate(context.Background(), "log", Change{}, Options{FS: g})
	if err != nil {
		t.Fatal(err)
	}
	l.settings.SegmentBytes = 9000
	p, err := l.partition(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	a := &Appender{l: l, room: make(chan struct{}, 10)}
	w := &writer{a: a, p: p, in: make(chan *job, 9), written: make(chan group, 9)}
	acked := map[string]int64{}
	var mu sync.Mutex
	mk := func(line string) *job {
		a.room <- struct{}{}
		a.busy.Add(1)
		j := a.job(batch(line), func(k stream.Ack, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				acked[line] = k.Offset
			}
			t.Logf("%.30s: %+v %v", line, k, err)
		})
		if err := j.pack(segment.NewEncoder()); err != nil {
			t.Fatal(err)
		}
		return j
	}
	g0 := w.write([]*job{mk(`{"value":"warm"}`)})
	w.commit(g0)

	g1 := w.write([]*job{mk(`{"value":"one` + random(3000) + `"}`)})
	g2a := mk(`{"value":"two` + random(3000) + `"}`)
	big := mk(`{"value":"` + random(3900) + `"}`)
	m.FailIf(1, isSegmentSync, syscall.EIO, false)
	var g2, g3 group
	rolled := make(chan bool)
	once := false
	g.before = func() { // the other goroutine writes just before that
		g.before = nil
		g2 = w.write([]*job{g2a})
	}
	g.after = func(name string, err error) {
		if err != nil && !once { // the commit's sync has failed; it does not have the lock yet
			once = true
			// The other goroutine of the same process rolls.
			go func() {
				g3 = w.write([]*job{big})
				close(rolled)
			}()
			select {
			case <-rolled:
			case <-time.After(100 * time.Millisecond): // it waits for us
			}
		}
	}
	w.commit(g1)
	<-rolled
	g.after = nil
	if g2.act != nil {
		w.commit(g2)
	}
	if g3.act != nil {
		w.commit(g3)
	}
	c := m.Crash(len(m.Log()), vfstest.LoseAll())
	got := content(t, c, "log", 0)
	read, err := readPartition(c, "log", 0)
	t.Logf("after: %d, read %d, err %v", len(got), len(read), err)
	for line, o := range acked {
		if got[o] != line {
			t.Errorf("acked %.30s at %d is lost", line, o)
		}
	}
	if err != nil {
		t.Errorf("reading: %v", err)
	}
}

// The sync fails and the lock cannot be had in time (or the new segment cannot be
// made): the next group's sync succeeds and is acknowledged.
func TestPromiseSegmentNotGivenUp(t *testing.T) {
	for _, what := range []string{"create fails", "lock timeout"} {
		t.Run(what, func(t *testing.T) {
			m := vfstest.New()
			g := &gateFS{FS: m}
			l, err := OpenOrCreate(context.Background(), "log", Change{}, Options{FS: g})
			if err != nil {
				t.Fatal(err)
			}
			other, _ := m.Process().Lock("log/00000/lock")
			a, err := l.Appender(AppendOptions{Workers: 2, LockTimeout: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			acked := map[string]int64{}
			var mu sync.Mutex
			var fails int
			app := func(line string) {
				a.Append(context.Background(), batch(line), func(k stream.Ack, err error) {
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						acked[line] = k.Offset
					} else {
						fails++
					}
					t.Logf("%.30s: %+v %v", line, k, err)
				})
			}
			app(`{"value":"warm"}`)
			a.Flush(context.Background())
			big := random(70 << 10) // not the direct path
			wrote := make(chan bool, 9)
			n := 0
			g.after = func(name string, err error) {
				n++
				switch n {
				case 1: // sync of one: hold until two is written, too
					<-wrote
					if what == "lock timeout" {
						other.Lock(context.Background())
					}
				case 2:
					if what == "lock timeout" {
						other.Unlock()
					}
				}
			}
			m.FailIf(1, isSegmentSync, syscall.EIO, false)
			app(`{"value":"one` + big + `"}`)
			for i := 0; !m.Fired() && i < 200; i++ {
				time.Sleep(time.Millisecond)
			}
			if what == "create fails" {
				m.FailIf(1, func(o vfstest.Op) bool { return o.Kind == vfstest.Create }, syscall.ENOSPC, false)
			}
			app(`{"value":"two` + big + `"}`)
			// wait for the write of it
			size := func() int { b, _ := m.ReadFile("log/00000/" + segmentName(0)); return len(b) }
			s0 := size()
			for i := 0; size() == s0 && i < 200; i++ {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(20 * time.Millisecond)
			wrote <- true
			a.Close()
			c := m.Crash(len(m.Log()), vfstest.LoseAll())
			got := content(t, c, "log", 0)
			read, err := readPartition(c, "log", 0)
			t.Logf("after the power cut: %d events, read %d, err %v, acked %d, failed %d", len(got), len(read), err, len(acked), fails)
			there := map[int64]string{}
			for _, e := range read {
				there[e.offset] = e.line
			}
			for line, o := range acked {
				if there[o] != line {
					t.Errorf("acked %.30s at %d is lost", line, o)
				}
			}
			if err != nil {
				t.Errorf("reading: %v", err)
			}
		})
	}
}

func random(n int) string {
	b := make([]byte, n)
	s := uint32(1)
	for i := range b {
		s = s*1664525 + 1013904223
		b[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-"[s>>26]
	}
	return string(b)
}

// The writer goroutine takes the lock between the unlock of a failed commit and
// w.fail: what comes next is stored and acknowledged behind a hole.
func TestPromiseNoHole(t *testing.T) {
	m := vfstest.New()
	l, err := OpenOrCreate(context.Background(), "log", Change{}, Options{FS: m})
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.partition(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	a := &Appender{l: l, room: make(chan struct{}, 10)}
	w := &writer{a: a, p: p}
	acked := map[string]bool{}
	mk := func(line string) *job {
		a.room <- struct{}{}
		a.busy.Add(1)
		w.pending++
		j := a.job(batch(line), func(k stream.Ack, err error) { acked[line] = err == nil })
		if err := j.pack(segment.NewEncoder()); err != nil {
			t.Fatal(err)
		}
		return j
	}
	w.commit(w.write([]*job{mk(`{"value":0}`)}))
	g1 := w.write([]*job{mk(`{"value":1}`)})
	m.FailIf(1, isSegmentSync, syscall.EIO, false)
	failed := w.p.commit(g1.act, g1.upTo)    // the first half of w.commit(g1)
	g2 := w.write([]*job{mk(`{"value":2}`)}) // writeAll, which waited for the lock
	w.fail(failed)                           // the other half, too late
	if g2.act != nil {
		w.commit(g2)
	}
	if failed != nil && acked[`{"value":2}`] {
		t.Errorf("batch 2 is acknowledged, batch 1 before it is lost: %v", content(t, m, "log", 0))
	}
}
