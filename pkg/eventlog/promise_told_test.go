package eventlog

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
)

// loneFS is a process whose next sync of a segment fails, when it is on, while
// nobody else is told: so did systems before errors of a file were kept for all
// who have it open, and so do some file systems.
type loneFS struct {
	*vfstest.Proc
	half bool // before that, the next write does half of its work
	on   bool
}

type loneFile struct {
	vfs.File
	fs *loneFS
}

func (l *loneFS) Open(name string, flag vfs.Flag) (vfs.File, error) {
	f, err := l.Proc.Open(name, flag)
	if err == nil && strings.HasSuffix(name, segmentExt) {
		f = &loneFile{f, l}
	}
	return f, err
}

func (f *loneFile) WriteAt(b []byte, at int64) (int, error) {
	if !f.fs.half {
		return f.File.WriteAt(b, at)
	}
	f.fs.half = false
	n, _ := f.File.WriteAt(b[:len(b)/2], at)
	return n, syscall.ENOSPC
}

func (f *loneFile) Sync() error {
	if f.fs.on {
		f.fs.on = false
		return syscall.EIO
	}
	return f.File.Sync()
}

// A segment whose sync failed is given up for all who write to it, also for those
// who do not see the error themselves: what they have written behind the head is
// void, and none of it is acknowledged.
func TestPromiseToldToOne(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, one *hand, fs *loneFS){
		"the sync before an ack": func(t *testing.T, one *hand, fs *loneFS) {
			one.put(2, `"one"`)
			fs.on = true
			if err := one.commit(); !errors.Is(err, syscall.EIO) {
				t.Errorf("a failed sync is acknowledged: %v", err)
			}
		},
		"the sync of a SEAL": func(t *testing.T, one *hand, fs *loneFS) {
			fs.on = true
			if _, err := one.try(noise(300, 1)); !errors.Is(err, syscall.EIO) {
				t.Errorf("a SEAL that was not synced: %v", err)
			}
		},
		"the sync behind a taken back write": func(t *testing.T, one *hand, fs *loneFS) {
			fs.half, fs.on = true, true
			if _, err := one.try(noise(100, 1)); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("half a write: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemLog(t)
			fs := &loneFS{Proc: m.Process()}
			a, b, one := newHand(t, m.Process()), newHand(t, m.Process()), newHand(t, fs)
			a.put(0, `"a"`)
			a.ack()
			if err := one.p.acquire(); err != nil { // it has nothing to sync then
				t.Fatal(err)
			}
			one.p.free()
			b.put(1, noise(200, 2))
			fail(t, one, fs)
			if err := b.commit(); err == nil || !strings.Contains(err.Error(), "another process gave up the segment") {
				t.Errorf("what may be lost is acknowledged: %v", err)
			}
			b = newHand(t, m.Process())
			offset, err := b.try(`"b2"`)
			if err != nil || offset < 2 {
				t.Fatalf("offset %d is given twice: %v", offset, err)
			}
			b.ack()
			wantContent(t, m, map[int64]string{0: `"a"`, offset: `"b2"`})
		})
	}
}

// So it is if the sync that failed is that of what others had left, also if the first
// of them found nothing to do when the system had been started again.
func TestPromiseFirstSyncToldToOne(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		m := newMemLog(t)
		if restarted {
			m = m.Crash(len(m.Log()), vfstest.LoseAll())
		}
		fs := &loneFS{Proc: m.Process(), on: true}
		a := newHand(t, m.Process())
		a.put(0, `"a"`)
		l, err := Open("log", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		one, err := l.partition(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := one.acquire(); !errors.Is(err, syscall.EIO) {
			t.Errorf("a failed sync: %v", err)
		}
		one.close()
		if err := a.commit(); err == nil || !strings.Contains(err.Error(), "another process gave up the segment") {
			t.Errorf("restarted %t: what may be lost is acknowledged: %v", restarted, err)
		}
	}
}
