package eventlog

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
)

// Wherever a writer is killed while it appends and rolls, the next one goes on where
// it was, without a word, and a reader gets all of it.
func TestPromiseNextWriter(t *testing.T) {
	m := newMemLog(t)
	from := len(m.Log())
	a := newHand(t, m.Process())
	for i := range 5 {
		a.put(int64(i), noise(250, i))
		a.ack()
	}
	if bases, err := a.p.l.segments(a.p.dir); err != nil || len(bases) < 2 {
		t.Fatal(bases, err)
	}
	ops := m.Log()
	for n := from; n <= len(ops); n++ {
		for _, how := range []vfstest.Loss{vfstest.KeepAll(), vfstest.LoseAll(), vfstest.KeepTorn()} {
			c := m.Crash(n, how)
			where := fmt.Sprintf("after operation %d (%v), %v", n, ops[n-1], how)
			h := newHand(t, c)
			o, err := h.try(noise(250, 99))
			if err == nil {
				err = h.commit()
			}
			if err != nil || h.warned != "" {
				t.Fatalf("%s: %v, warned: %s", where, err, h.warned)
			}
			got, err := readPartition(c, "log", 0)
			if err != nil || int64(len(got)) != o+1 || got[o].line != noise(250, 99) {
				t.Fatalf("%s: the next batch got offset %d, and a reader finds %d: %v", where, o, len(got), err)
			}
			for i, e := range got[:o] {
				if e.offset != int64(i) || e.line != noise(250, i) {
					t.Fatalf("%s: event %d is at %d", where, i, e.offset)
				}
			}
		}
	}
}

// A writer whose sync fails may be killed before it can say so. The system then
// takes for clean what is not on the disk.
func TestPromiseForgotten(t *testing.T) {
	for _, garbage := range []string{"", strings.Repeat("no unit ", 20)} {
		m := newMemLog(t)
		p := m.Process()
		a := newHand(t, p)
		a.put(0, `"a"`)
		a.ack()
		a.put(1, noise(100, 1))
		p.KillAt(2)
		failNext(m, vfstest.Sync)
		if a.commit() == nil {
			t.Fatal("a failed sync is acknowledged")
		}
		name := filepath.Join("log/00000", segmentName(0))
		f, err := m.Open(name, vfs.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		if _, err := f.WriteAt([]byte(garbage), size); err != nil {
			t.Fatal(err)
		}
		recoverLog(t, m)
		found := content(t, m, "log", 0)
		left := content(t, m.Crash(len(m.Log()), vfstest.LoseAll()), "log", 0)
		if !maps.Equal(found, left) || len(found) != 2 {
			t.Errorf("with %d bytes of a torn end: a reader finds %d events, and after a power cut %d", len(garbage), len(found), len(left))
		}
	}
}

// If what others have left cannot be made durable, then nobody reads it.
func TestPromiseLeftCannotBeSynced(t *testing.T) {
	for _, half := range []bool{false, true} {
		m, _ := history(t, 1, 2)
		if half {
			m = torn(m)
		}
		failNext(m, vfstest.Sync)
		l, err := Open("log", Options{FS: m})
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.partition(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.acquire(); err == nil {
			t.Error("no error")
		}
		p.close()
		found := content(t, m, "log", 0)
		if left := content(t, m.Crash(len(m.Log()), vfstest.LoseAll()), "log", 0); !maps.Equal(found, left) {
			t.Errorf("a reader finds %d events, and after a power cut %d", len(found), len(left))
		}
	}
}

// After a power cut the head may be old, and what lies behind it was acknowledged: it
// is not given up, though it cannot be made durable at once.
func TestPromiseOldHeadCannotBeSynced(t *testing.T) {
	m := newMemLog(t)
	for i := range 6 {
		a := newHand(t, m.Process())
		a.put(int64(i), noise(50, i))
		a.ack()
	}
	was := content(t, m, "log", 0)
	m = m.Crash(len(m.Log()), vfstest.LoseAll())
	m.FailIf(1, isSegmentSync, syscall.EIO, false)
	l, err := Open("log", Options{FS: m.Process()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.partition(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.acquire(); !errors.Is(err, syscall.EIO) || !m.Fired() {
		t.Errorf("a failed sync: %v", err)
	}
	p.close()
	recoverLog(t, m)
	for _, m := range []*vfstest.Mem{m, m.Crash(len(m.Log()), vfstest.LoseAll())} {
		if found := content(t, m, "log", 0); !maps.Equal(found, was) {
			t.Errorf("%d events were acknowledged, and %d are there", len(was), len(found))
		}
	}
}

// A segment that is shorter than it was durable is damaged: nothing is cut off, and
// no offset given twice.
func TestPromiseShorter(t *testing.T) {
	m := newMemLog(t)
	a := newHand(t, m.Process())
	for i := range 3 {
		a.put(int64(i), noise(50, i))
		a.ack()
	}
	name := filepath.Join("log/00000", segmentName(0))
	b, _ := m.ReadFile(name)
	m.WriteFile(name, b[:len(b)-10])
	h := newHand(t, m.Process())
	if now, _ := m.ReadFile(name); h.warned == "" || len(now) != len(b)-10 {
		t.Errorf("%d bytes, %d before; warned: %q", len(now), len(b)-10, h.warned)
	}
	h.put(3, `"new"`)
}

// The name of a log is durable before anything in it is acknowledged, also if
// whoever made it was killed right then.
func TestPromiseName(t *testing.T) {
	m := vfstest.New()
	mustCreate(t, m, "log", Change{})
	ops := m.Log()
	n := len(ops)
	for ops[n-1].Kind != vfstest.Rename {
		n--
	}
	c := m.Crash(n, vfstest.KeepAll())
	l, err := Open("log", Options{FS: c})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := appendAll(t, l, AppendOptions{}, batch("1")); err != nil {
		t.Fatal(err)
	}
	if got := content(t, c.Crash(len(c.Log()), vfstest.LoseAll()), "log", 0); got[0] != "1" {
		t.Errorf("%v", got)
	}
	// So is that of a segment.
	m = newMemLog(t)
	a := newHand(t, m.Process())
	for i := range 3 {
		a.put(int64(i), noise(400, i))
		a.ack()
	}
	ops = m.Log()
	for n = len(ops); ops[n-1].Kind != vfstest.Rename; {
		n--
	}
	c = m.Crash(n, vfstest.KeepAll())
	h := newHand(t, c)
	o, err := h.try(`"next"`)
	if err != nil {
		t.Fatal(err)
	}
	h.ack()
	if got := content(t, c.Crash(len(c.Log()), vfstest.LoseAll()), "log", 0); got[o] != `"next"` {
		t.Errorf("offset %d is lost", o)
	}
}

// Nothing is appended behind a SEAL, also if its segment is far from full.
func TestPromiseSealed(t *testing.T) {
	m := newMemLog(t)
	a := newHand(t, m.Process())
	a.put(0, `"a"`)
	a.ack()
	n := len(m.Log())
	if err := a.p.acquire(); err != nil {
		t.Fatal(err)
	}
	if err := a.p.roll(); err != nil {
		t.Fatal(err)
	}
	a.p.free()
	for m.Log()[n].Kind != vfstest.Sync { // of the SEAL
		n++
	}
	c := m.Crash(n+1, vfstest.KeepAll())
	h := newHand(t, c)
	h.put(1, `"b"`)
	h.ack()
	wantContent(t, c, map[int64]string{0: `"a"`, 1: `"b"`})
	if bases, err := h.p.l.segments(h.p.dir); err != nil || len(bases) != 2 {
		t.Errorf("%d segments: %v", len(bases), err)
	}
}
