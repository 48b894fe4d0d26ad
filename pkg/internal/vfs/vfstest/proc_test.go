package vfstest_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
)

func TestFail(t *testing.T) {
	steps := func(m *vfstest.Mem) error {
		f, err := m.Open("a", vfs.ReadWrite)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.Size(); err != nil {
			return err
		}
		if _, err := f.WriteAt([]byte("new!"), 0); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if err := m.Rename("a", "b"); err != nil {
			return err
		}
		return m.SyncDir(".")
	}
	want := []struct {
		failed vfstest.Kind
		state  string
	}{
		{vfstest.Open, `a="old"`}, {vfstest.Size, `a="old"`}, {vfstest.Write, `a="ned"`},
		{vfstest.Sync, `a="new!"`}, {vfstest.Rename, `a="new!"`}, {vfstest.SyncDir, `b="new!"`},
	}
	for n := 1; ; n++ {
		m := vfstest.New()
		m.WriteFile("a", []byte("old"))
		m.Fail(n, syscall.ENOSPC, true)
		err := steps(m)
		if !m.Fired() {
			if n != len(want)+1 || err != nil {
				t.Errorf("%d operations did not fail, then %v", n-1, err)
			}
			break
		}
		var p *fs.PathError
		if !errors.Is(err, syscall.ENOSPC) || n != 5 && !errors.As(err, &p) {
			t.Errorf("operation %d: error %v", n, err)
		}
		ops := slices.DeleteFunc(m.Log(), func(o vfstest.Op) bool { return o.Err == nil })
		if len(ops) != 1 || ops[0].Kind != want[n-1].failed {
			t.Errorf("operation %d: failed %v, want a %v", n, ops, want[n-1].failed)
		}
		if got := state(t, m); got != want[n-1].state {
			t.Errorf("operation %d: %s, want %s", n, got, want[n-1].state)
		}
		if err := m.Mkdir("d"); err != nil {
			t.Errorf("the next one fails, too: %v", err)
		}
	}
}

func TestFailIf(t *testing.T) {
	m := vfstest.New()
	f := create(t, m, "a")
	m.FailIf(2, func(o vfstest.Op) bool { return o.Kind == vfstest.Write && o.Name == "a" }, syscall.EIO, false)
	write(t, f, 0, "1")
	create(t, m, "b")
	if n, err := f.WriteAt([]byte("2"), 0); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Errorf("WriteAt = %d, %v", n, err)
	}
	if got, want := state(t, m), `a="1" b=""`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLog(t *testing.T) {
	m := vfstest.New()
	p := m.Process()
	f := create(t, p, "a")
	write(t, f, 3, "abc")
	f.ReadAt(make([]byte, 9), 1)
	f.Truncate(2)
	m.Rename("a", "b")
	m.Remove("c")
	var got []string
	for _, o := range m.Log() {
		got = append(got, o.String())
	}
	want := []string{
		"process 1: create a", "process 1: write a 3+3", "process 1: read a 1+9", "process 1: truncate a 2",
		"rename a to b", "remove c: no such file or directory",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfstest.New()
		p, q := m.Process(), m.Process()
		f := create(t, p, "a")
		write(t, f, 0, "kept")
		pl, ql := lockOf(t, p), lockOf(t, q)
		must(t, pl.Lock(t.Context()))
		w, err := p.Watch(".")
		must(t, err)
		got := make(chan error, 1)
		go func() { got <- ql.Lock(t.Context()) }()
		synctest.Wait()
		if len(got) > 0 {
			t.Error("q has p's lock")
		}
		p.Kill()
		must(t, <-got)
		_, err = f.WriteAt([]byte("lost"), 0)
		for _, err := range []error{err, f.Close(), pl.Unlock(), p.Mkdir("d"), pl.Lock(t.Context())} {
			if !errors.Is(err, vfstest.ErrKilled) {
				t.Errorf("error %v, want %v", err, vfstest.ErrKilled)
			}
		}
		must(t, m.Mkdir("e"))
		if len(w.C()) > 0 {
			t.Error("the dead one is told")
		}
		if got, want := state(t, m), `a="kept" e/ lock=""`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		// One that waits for a lock.
		r := m.Process()
		rl := lockOf(t, r)
		go func() { got <- rl.Lock(t.Context()) }()
		synctest.Wait()
		r.Kill()
		if err := <-got; !errors.Is(err, vfstest.ErrKilled) {
			t.Errorf("error %v, want %v", err, vfstest.ErrKilled)
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfstest.New()
		p, q := m.Process(), m.Process()
		pl, ql := lockOf(t, p), lockOf(t, q)
		must(t, pl.Lock(t.Context()))
		there := p.StopAt(2)
		done := make(chan error, 1)
		go func() {
			err := p.Mkdir("a")
			if err == nil {
				err = p.Mkdir("b")
			}
			if err == nil {
				err = pl.Unlock()
			}
			done <- err
		}()
		<-there
		synctest.Wait()
		if got, want := state(t, m), `a/ lock=""`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got, err := ql.TryLock(); got || err != nil {
			t.Errorf("TryLock = %v, %v while the holder is stopped", got, err)
		}
		p.Continue()
		must(t, <-done)
		must(t, ql.Lock(t.Context()))

		// A stopped one gets no lock that comes free.
		go func() { done <- pl.Lock(t.Context()) }()
		synctest.Wait()
		p.Stop()
		must(t, ql.Unlock())
		synctest.Wait()
		if got, err := ql.TryLock(); !got || err != nil {
			t.Errorf("TryLock = %v, %v while the other is stopped", got, err)
		}
		must(t, ql.Unlock())
		p.Continue()
		must(t, <-done)

		dead := p.KillAt(1)
		if err := p.Mkdir("c"); !errors.Is(err, vfstest.ErrKilled) {
			t.Errorf("error %v, want %v", err, vfstest.ErrKilled)
		}
		<-dead
		must(t, ql.Lock(t.Context()))
		if got, want := state(t, m), `a/ b/ lock=""`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestLockCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfstest.New()
		a, b := lockOf(t, m), lockOf(t, m)
		must(t, a.Lock(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() { got <- b.Lock(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-got; err != context.Canceled {
			t.Errorf("error %v", err)
		}
	})
}

func lockOf(t *testing.T, fs vfs.FS) vfs.Lock {
	t.Helper()
	l, err := fs.Lock("lock")
	must(t, err)
	return l
}
