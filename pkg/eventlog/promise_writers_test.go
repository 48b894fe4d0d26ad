package eventlog

import (
	"context"
	"maps"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// hand is a writer whose steps a test takes one by one.
type hand struct {
	t      *testing.T
	p      *partition
	warned string
	act    *active
	upTo   head
}

func newHand(t *testing.T, fs vfs.FS) *hand {
	t.Helper()
	h := &hand{t: t}
	l, err := Open("log", Options{FS: fs, Warn: func(m string) { h.warned = m }})
	if err != nil {
		t.Fatal(err)
	}
	if h.p, err = tinySegments(l).partition(0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.act != nil {
			h.p.mu.Lock()
			h.p.release(h.act)
			h.p.mu.Unlock()
		}
		h.p.close()
	})
	if err := h.p.acquire(); err != nil { // so that it has seen what there is now
		t.Fatal(err)
	}
	h.p.free()
	return h
}

// try writes a batch, without making it durable.
func (h *hand) try(lines ...string) (offset int64, err error) {
	j := &job{batch: batch(lines...)}
	j.expect, j.bounds = -1, segment.NoBounds()
	enc := segment.NewEncoder()
	if err := j.pack(enc); err != nil {
		return 0, err
	}
	if err := h.p.acquire(); err != nil {
		return 0, err
	}
	defer h.p.free()
	if err := h.p.write(&j.unit); err != nil {
		return 0, err
	}
	if h.act != nil {
		h.p.release(h.act)
	}
	h.act, h.upTo = h.p.act, h.p.act.state()
	h.act.refs++
	return j.offset, nil
}

func (h *hand) put(want int64, lines ...string) {
	h.t.Helper()
	if o, err := h.try(lines...); err != nil || o != want {
		h.t.Fatalf("%q got offset %d, want %d: %v", lines, o, want, err)
	}
}

// commit makes durable what was written last; nil is an acknowledgement.
func (h *hand) commit() error { return h.p.commit(h.act, h.upTo) }

func (h *hand) ack() {
	h.t.Helper()
	if err := h.commit(); err != nil {
		h.t.Fatal(err)
	}
}

// failNext makes the next operation of a kind on a segment fail.
func failNext(m *vfstest.Mem, kind vfstest.Kind) {
	m.FailIf(1, func(o vfstest.Op) bool { return o.Kind == kind && strings.HasSuffix(o.Name, segmentExt) }, syscall.EIO, true)
}

// wantContent checks what is there, and that it is there after a power cut and one
// more writer.
func wantContent(t *testing.T, m *vfstest.Mem, want map[int64]string) {
	t.Helper()
	if got := content(t, m, "log", 0); !maps.Equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
	c := m.Crash(len(m.Log()), vfstest.LoseAll())
	if got := content(t, c, "log", 0); !maps.Equal(got, want) {
		t.Errorf("after a power cut there is %v, want %v", got, want)
	}
	read, err := readPartition(c, "log", 0)
	if err != nil || len(read) != len(want) {
		t.Errorf("a reader finds %v: %v", read, err)
	}
	for _, e := range read {
		if want[e.offset] != e.line {
			t.Errorf("a reader finds %s at %d", e.line, e.offset)
		}
	}
	h := newHand(t, c)
	if _, err := h.try(`"one more"`); err != nil || h.warned != "" {
		t.Errorf("after a power cut: %v, warned: %s", err, h.warned)
	}
}

func newMemLog(t *testing.T) *vfstest.Mem {
	m := vfstest.New()
	mustCreate(t, m, "log", Change{})
	return m
}

// A log that was made, and settings that were changed, are durable.
func TestPromiseSettings(t *testing.T) {
	m := newMemLog(t)
	if _, err := Open("log", Options{FS: m.Crash(len(m.Log()), vfstest.LoseAll())}); err != nil {
		t.Error(err)
	}
	cleanup := "compact"
	mustCreate(t, m, "log", Change{Cleanup: &cleanup})
	l, err := Open("log", Options{FS: m.Crash(len(m.Log()), vfstest.LoseAll())})
	if err != nil || l.settings.Cleanup != cleanup {
		t.Errorf("%v", err)
	}
}

// The head never says more than is durable, whatever is written first.
func TestPromiseHead(t *testing.T) {
	m := newMemLog(t)
	a, b := newHand(t, m.Process()), newHand(t, m.Process())
	a.put(0, `"a"`, `"a2"`)
	b.put(2, `"b"`)
	from := len(m.Log())
	b.ack()
	a.ack()
	b.put(3, `"c"`)
	b.ack()
	cuts(m, from, 40, func(c *vfstest.Mem, where string) {
		h := newHand(t, c)
		if _, err := h.try(`"d"`); err != nil || h.warned != "" {
			t.Fatalf("%s: %v, warned: %s", where, err, h.warned)
		}
	})
	// Nor does it go back.
	for want, h := range map[int64]*hand{3: a, 4: b} {
		if want == 3 {
			h.p.mu.Lock()
			h.p.writeHead(h.upTo)
			h.p.mu.Unlock()
		}
		if now, ok, err := h.p.readHead(); !ok || err != nil || now.next != 4 {
			t.Errorf("the head says %d: %v", now.next, err)
		}
	}
}

// After a failed sync nothing behind the head is acknowledged, to whomever it
// belongs, and all before it stays.
func TestPromiseFailedSync(t *testing.T) {
	m := newMemLog(t)
	a, b, c := newHand(t, m.Process()), newHand(t, m.Process()), newHand(t, m.Process())
	a.put(0, `"a"`)
	b.put(1, `"b"`)
	c.put(2, `"c"`)
	a.ack() // b and c have not seen that
	failNext(m, vfstest.Sync)
	if b.commit() == nil {
		t.Error("a failed sync is acknowledged")
	}
	if err := c.commit(); err == nil {
		t.Error("what another process gave up is acknowledged")
	}
	b = newHand(t, m.Process()) // that one stores nothing more
	b.put(3, `"b2"`)            // no offset is given twice
	b.ack()
	a.put(4, `"a2"`)
	a.ack()
	wantContent(t, m, map[int64]string{0: `"a"`, 3: `"b2"`, 4: `"a2"`})
}

// The same where the sync of a SEAL fails.
func TestPromiseFailedSeal(t *testing.T) {
	m := newMemLog(t)
	a, b := newHand(t, m.Process()), newHand(t, m.Process())
	a.put(0, `"a"`)
	a.ack()
	b.put(1, noise(200, 1))
	failNext(m, vfstest.Sync)
	if _, err := a.try(noise(300, 2)); err == nil {
		t.Fatal("a SEAL that was not synced")
	}
	if b.commit() == nil {
		t.Error("a batch is acknowledged, which the failed sync of the SEAL has lost")
	}
	b = newHand(t, m.Process())
	b.put(2, `"b"`)
	b.ack()
	wantContent(t, m, map[int64]string{0: `"a"`, 2: `"b"`})
}

// A write that fails leaves nothing, and takes nothing with it.
func TestPromiseTakenBack(t *testing.T) {
	m := newMemLog(t)
	a, b := newHand(t, m.Process()), newHand(t, m.Process())
	a.put(0, `"a"`)
	a.ack()
	b.put(1, `"b"`)
	failNext(m, vfstest.Write)
	before, _ := m.ReadFile(filepath.Join("log/00000", segmentName(0)))
	if _, err := a.try(noise(100, 1)); err == nil {
		t.Fatal("no error")
	}
	if after, _ := m.ReadFile(filepath.Join("log/00000", segmentName(0))); len(after) != len(before) {
		t.Errorf("%d bytes, %d before", len(after), len(before))
	}
	b.ack()
	wantContent(t, m, map[int64]string{0: `"a"`, 1: `"b"`})
}

// halfFS, when it is on, does half of a write to a segment, and fails the next sync.
type halfFS struct {
	*vfstest.Proc
	m  *vfstest.Mem
	on bool
}

type halfFile struct {
	vfs.File
	fs *halfFS
}

func (h *halfFS) Open(name string, flag vfs.Flag) (vfs.File, error) {
	f, err := h.Proc.Open(name, flag)
	if err == nil && strings.HasSuffix(name, segmentExt) {
		f = &halfFile{f, h}
	}
	return f, err
}

func (f *halfFile) WriteAt(b []byte, at int64) (int, error) {
	if !f.fs.on {
		return f.File.WriteAt(b, at)
	}
	f.fs.on = false
	n, _ := f.File.WriteAt(b[:len(b)/2], at)
	failNext(f.fs.m, vfstest.Sync)
	return n, syscall.ENOSPC
}

// If what is left then cannot be synced, nobody relies on what lies before it.
func TestPromiseTakenBackUnsynced(t *testing.T) {
	m := newMemLog(t)
	a, b := newHand(t, m.Process()), newHand(t, m.Process())
	broken := &halfFS{Proc: m.Process(), m: m}
	c := newHand(t, broken)
	a.put(0, `"a"`)
	a.ack()
	b.put(1, `"b"`)
	broken.on = true
	if _, err := c.try(noise(100, 2)); err == nil {
		t.Fatal("no error")
	}
	if err := b.commit(); err == nil {
		t.Error("a failed sync is forgotten, and what it has lost is acknowledged")
	}
	b = newHand(t, m.Process())
	b.put(2, `"b2"`)
	b.ack()
	wantContent(t, m, map[int64]string{0: `"a"`, 2: `"b2"`})
}

// After an error an Appender stores nothing more.
func TestPromiseNothingMore(t *testing.T) {
	m := newMemLog(t)
	l, err := Open("log", Options{FS: m})
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Appender(AppendOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	failNext(m, vfstest.Sync)
	var errs []error
	for _, line := range []string{"1", "2", "3"} {
		if err := a.Append(context.Background(), batch(line), func(_ stream.Ack, err error) { errs = append(errs, err) }); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	if len(errs) != 3 || errs[0] == nil || errs[1] != errs[0] || errs[2] != errs[0] {
		t.Errorf("%v", errs)
	}
	wantContent(t, m, map[int64]string{})
}

// Writers notice what others have done besides appending.
func TestPromiseNoticed(t *testing.T) {
	t.Run("roll", func(t *testing.T) {
		m := newMemLog(t)
		a, b := newHand(t, m.Process()), newHand(t, m.Process())
		a.put(0, noise(300, 1))
		b.put(1, noise(300, 2))
		a.put(2, noise(300, 3))
		a.ack()
		b.put(3, noise(10, 4))
		b.ack()
		wantContent(t, m, map[int64]string{0: noise(300, 1), 1: noise(300, 2), 2: noise(300, 3), 3: noise(10, 4)})
	})
	t.Run("cut", func(t *testing.T) {
		m := newMemLog(t)
		a := newHand(t, m.Process())
		a.put(0, `"a"`)
		a.ack()
		a.put(1, `"same"`) // not durable, and then harmed
		name := filepath.Join("log/00000", segmentName(0))
		b, _ := m.ReadFile(name)
		m.Corrupt(name, int64(len(b)-3), 1)
		other := newHand(t, m.Process())
		other.put(1, `"same"`)
		a.put(2, `"b"`)
		a.ack()
		wantContent(t, m, map[int64]string{0: `"a"`, 1: `"same"`, 2: `"b"`})
	})
	t.Run("leave", func(t *testing.T) {
		m := newMemLog(t)
		a := newHand(t, m.Process())
		a.put(0, `"a"`)
		a.ack()
		a.put(1, `"b"`)
		a.ack()
		name := filepath.Join("log/00000", segmentName(0))
		b, _ := m.ReadFile(name)
		if err := m.Remove("log/00000/head"); err != nil {
			t.Fatal(err)
		}
		m.Corrupt(name, int64(strings.Index(string(b), "LGF1")+200), 1) // in the first batch
		other := newHand(t, m.Process())
		other.put(2, `"c"`)
		if other.warned == "" {
			t.Error("no warning")
		}
		other.ack()
		a.put(3, `"d"`)
		a.ack()
		if got := content(t, m, "log", 0); got[1] != `"b"` || got[2] != `"c"` || got[3] != `"d"` {
			t.Errorf("%v", got)
		}
	})
}

// What was acknowledged is never taken for torn: the head says so, also to a writer
// that has not seen it before.
func TestPromiseAcknowledgedIsNotTorn(t *testing.T) {
	m := newMemLog(t)
	a, b := newHand(t, m.Process()), newHand(t, m.Process())
	a.put(0, `"a"`)
	a.ack()
	b.put(1, `"b"`)
	b.ack()
	name := filepath.Join("log/00000", segmentName(0))
	before, _ := m.ReadFile(name)
	m.Corrupt(name, int64(len(before)-3), 1)
	a.put(2, `"c"`)
	a.ack()
	after, _ := m.ReadFile(name)
	if a.warned == "" || len(after) < len(before) {
		t.Errorf("%d bytes, %d before; warned: %q", len(after), len(before), a.warned)
	}
	if got := content(t, m, "log", 0); got[0] != `"a"` || got[2] != `"c"` || len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// Offsets of a segment that is gone are not given again.
func TestPromiseMissingSegment(t *testing.T) {
	m := newMemLog(t)
	a := newHand(t, m.Process())
	for i := range 4 {
		a.put(int64(i), noise(300, i))
		a.ack()
	}
	bases, err := a.p.l.segments(a.p.dir)
	if err != nil || len(bases) < 2 {
		t.Fatal(bases, err)
	}
	if err := m.Remove(filepath.Join("log/00000", segmentName(bases[len(bases)-1]))); err != nil {
		t.Fatal(err)
	}
	b := newHand(t, m.Process())
	b.put(4, `"new"`)
	if b.warned == "" {
		t.Error("no warning")
	}
}

// noise returns a JSON string of n characters that cannot be compressed much.
func noise(n, seed int) string {
	b := []byte{'"'}
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b = append(b, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-"[x>>58])
	}
	return string(append(b, '"'))
}
