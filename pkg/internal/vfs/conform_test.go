//go:build linux || darwin

package vfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
)

// dirFS is a file system with an empty directory to work in.
type dirFS struct {
	vfs.FS
	t   *testing.T
	dir string
}

func (d dirFS) path(name string) string { return filepath.Join(d.dir, name) }

// file makes a file and leaves it open.
func (d dirFS) file(name, content string) vfs.File {
	d.t.Helper()
	f, err := d.Open(d.path(name), vfs.Create)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { f.Close() })
	if n, err := f.WriteAt([]byte(content), 0); n != len(content) || err != nil {
		d.t.Fatalf("WriteAt = %d, %v", n, err)
	}
	return f
}

func (d dirFS) mkdir(name string) {
	d.t.Helper()
	if err := d.Mkdir(d.path(name)); err != nil {
		d.t.Fatal(err)
	}
}

// wantFile checks all of a file's content.
func (d dirFS) wantFile(f vfs.File, want string) {
	d.t.Helper()
	size, err := f.Size()
	if err != nil || size != int64(len(want)) {
		d.t.Errorf("Size = %d, %v, want %d", size, err, len(want))
	}
	got := make([]byte, len(want)+1)
	n, err := f.ReadAt(got, 0)
	if string(got[:n]) != want || err != io.EOF {
		d.t.Errorf("ReadAt = %q, %v, want %q and EOF", got[:n], err, want)
	}
}

func (d dirFS) wantNames(dir string, want ...string) {
	d.t.Helper()
	got, err := d.ReadDir(d.path(dir))
	if err != nil || !slices.Equal(got, want) {
		d.t.Errorf("ReadDir(%q) = %q, %v, want %q", dir, got, err, want)
	}
}

// want checks that an error is one of package os with that cause.
func (d dirFS) want(err, cause error) {
	d.t.Helper()
	var p *fs.PathError
	var l interface{ Unwrap() error }
	if !errors.Is(err, cause) || cause != nil && !errors.As(err, &p) && !errors.As(err, &l) {
		d.t.Errorf("error %v (%T), want %v", err, err, cause)
	}
}

// conformance is what both file systems must do.
var conformance = []struct {
	name string
	run  func(d dirFS)
}{
	{"create", func(d dirFS) {
		d.file("a", "hello")
		_, err := d.Open(d.path("a"), vfs.Create)
		d.want(err, fs.ErrExist)
		_, err = d.Open(d.path("b"), vfs.ReadOnly)
		d.want(err, fs.ErrNotExist)
		_, err = d.Open(d.path("b"), vfs.ReadWrite)
		d.want(err, fs.ErrNotExist)
		_, err = d.Open(d.path("no/b"), vfs.Create)
		d.want(err, fs.ErrNotExist)
		_, err = d.Open(d.path("a/b"), vfs.Create)
		d.want(err, syscall.ENOTDIR)
		_, err = d.Open(d.path("."), vfs.ReadWrite)
		d.want(err, syscall.EISDIR)
		d.wantNames(".", "a")
	}},
	{"read and write", func(d dirFS) {
		f := d.file("a", "hello")
		b := make([]byte, 3)
		for _, tt := range []struct {
			off  int64
			len  int
			want string
			err  error
		}{
			{0, 3, "hel", nil}, {2, 3, "llo", nil}, {3, 3, "lo", io.EOF},
			{5, 3, "", io.EOF}, {99, 3, "", io.EOF}, {0, 0, "", nil}, {99, 0, "", nil},
		} {
			n, err := f.ReadAt(b[:tt.len], tt.off)
			if string(b[:n]) != tt.want || err != tt.err {
				d.t.Errorf("ReadAt(%d at %d) = %q, %v", tt.len, tt.off, b[:n], err)
			}
		}
		if _, err := f.ReadAt(b, -1); err == nil {
			d.t.Error("read before the file")
		}
		if _, err := f.WriteAt(b, -1); err == nil {
			d.t.Error("wrote before the file")
		}
		f.WriteAt([]byte("LLO!"), 2)
		d.wantFile(f, "heLLO!")
		f.WriteAt([]byte("x"), 8)
		d.wantFile(f, "heLLO!\x00\x00x")
		g, err := d.Open(d.path("a"), vfs.ReadOnly)
		if err != nil {
			d.t.Fatal(err)
		}
		defer g.Close()
		d.wantFile(g, "heLLO!\x00\x00x")
		_, err = g.WriteAt([]byte("y"), 0)
		d.want(err, syscall.EBADF)
		d.want(g.Truncate(0), syscall.EINVAL)
		d.want(g.Sync(), nil)
	}},
	{"own bytes", func(d dirFS) {
		b := []byte("hello")
		f := d.file("a", "")
		f.WriteAt(b, 0)
		b[0] = 'X'
		d.wantFile(f, "hello")
	}},
	{"truncate", func(d dirFS) {
		f := d.file("a", "hello")
		d.want(f.Truncate(2), nil)
		d.wantFile(f, "he")
		d.want(f.Truncate(4), nil)
		d.wantFile(f, "he\x00\x00")
		d.want(f.Truncate(-1), syscall.EINVAL)
	}},
	{"closed", func(d dirFS) {
		f := d.file("a", "hello")
		d.want(f.Close(), nil)
		d.want(f.Close(), fs.ErrClosed)
		d.want(f.Sync(), fs.ErrClosed)
		d.want(f.Truncate(0), fs.ErrClosed)
		_, err := f.Size()
		d.want(err, fs.ErrClosed)
		_, err = f.ReadAt(make([]byte, 1), 0)
		d.want(err, fs.ErrClosed)
		_, err = f.WriteAt(make([]byte, 1), 0)
		d.want(err, fs.ErrClosed)
	}},
	{"directories", func(d dirFS) {
		d.mkdir("d")
		d.want(d.Mkdir(d.path("d")), fs.ErrExist)
		d.want(d.Mkdir(d.path("no/d")), fs.ErrNotExist)
		d.file("d/b", "")
		d.file("d/a", "")
		d.wantNames("d", "a", "b")
		d.want(d.Remove(d.path("d")), syscall.ENOTEMPTY)
		d.want(d.Remove(d.path("d/a")), nil)
		d.want(d.Remove(d.path("d/a")), fs.ErrNotExist)
		d.want(d.Remove(d.path("d/b")), nil)
		d.wantNames("d")
		d.want(d.Remove(d.path("d")), nil)
		_, err := d.ReadDir(d.path("d"))
		d.want(err, fs.ErrNotExist)
		d.want(d.SyncDir(d.path("d")), fs.ErrNotExist)
		d.want(d.SyncDir(d.path(".")), nil)
		d.file("f", "")
		d.want(d.SyncDir(d.path("f")), syscall.ENOTDIR)
		_, err = d.Watch(d.path("f"))
		d.want(err, syscall.ENOTDIR)
		_, err = d.Watch(d.path("no"))
		d.want(err, fs.ErrNotExist)
	}},
	{"rename", func(d dirFS) {
		a, b := d.file("a", "A"), d.file("b", "B")
		d.want(d.Rename(d.path("a"), d.path("b")), nil)
		d.wantNames(".", "b")
		d.wantFile(b, "B") // it stays what it was
		a.WriteAt([]byte("a"), 0)
		f, err := d.Open(d.path("b"), vfs.ReadOnly)
		if err != nil {
			d.t.Fatal(err)
		}
		defer f.Close()
		d.wantFile(f, "a")
		d.want(d.Rename(d.path("no"), d.path("b")), fs.ErrNotExist)
		d.want(d.Rename(d.path("b"), d.path("no/b")), fs.ErrNotExist)
		d.want(d.Rename(d.path("b"), d.path("b")), nil)

		d.mkdir("d")
		d.mkdir("e")
		d.file("d/x", "")
		d.want(d.Rename(d.path("d"), d.path("e")), nil) // over an empty one
		d.wantNames(".", "b", "e")
		d.wantNames("e", "x")
		d.mkdir("d")
		d.want(d.Rename(d.path("d"), d.path("e")), fs.ErrExist) // not empty
		d.want(d.Rename(d.path("b"), d.path("d")), syscall.EISDIR)
		d.want(d.Rename(d.path("d"), d.path("b")), syscall.ENOTDIR)
		d.want(d.Rename(d.path("d"), d.path("d/x")), syscall.EINVAL)
		d.want(d.Rename(d.path("b"), d.path("d/c")), nil)
		d.wantNames("d", "c")
	}},
	{"removed but open", func(d dirFS) {
		f := d.file("a", "hello")
		d.want(d.Remove(d.path("a")), nil)
		f.WriteAt([]byte("J"), 0)
		d.wantFile(f, "Jello")
		d.want(f.Sync(), nil)
		g := d.file("a", "other")
		d.wantFile(f, "Jello")
		d.wantFile(g, "other")
	}},
	{"lock", func(d dirFS) {
		ctx := d.t.Context()
		a, b := d.lock("l"), d.lock("l")
		d.wantNames(".", "l")
		d.want(a.Lock(ctx), nil)
		d.want(a.Lock(ctx), nil) // it has it
		d.try(a, true)
		d.try(b, false)
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		if err := b.Lock(short); err != context.DeadlineExceeded {
			d.t.Errorf("Lock = %v, want %v", err, context.DeadlineExceeded)
		}
		if err := b.Lock(short); err != context.DeadlineExceeded {
			d.t.Errorf("Lock = %v, want %v", err, context.DeadlineExceeded)
		}
		d.want(a.Unlock(), nil)
		// What b waited for in vain it must not keep. (It may have it for a moment.)
		long, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		d.want(a.Lock(long), nil)
		got := make(chan error)
		go func() { got <- b.Lock(long) }()
		go func() { got <- b.Lock(long) }()
		time.Sleep(5 * time.Millisecond)
		d.want(a.Close(), nil) // releases
		d.want(<-got, nil)
		d.want(<-got, nil)
		c := d.lock("l")
		d.try(c, false)
		d.want(b.Unlock(), nil)
		d.try(c, true)
		if err := b.Lock(short); err != context.DeadlineExceeded {
			d.t.Errorf("Lock = %v, want %v", err, context.DeadlineExceeded)
		}
		d.want(a.Close(), fs.ErrClosed)
		d.want(a.Unlock(), fs.ErrClosed)
		d.want(a.Lock(ctx), fs.ErrClosed)
		_, err := a.TryLock()
		d.want(err, fs.ErrClosed)
		_, err = d.Lock(d.path("no/l"))
		d.want(err, fs.ErrNotExist)
		d.mkdir("d")
		_, err = d.Lock(d.path("d"))
		d.want(err, syscall.EISDIR)
	}},
	{"lock closed while waited for", func(d dirFS) {
		a, b := d.lock("l"), d.lock("l")
		d.try(a, true)
		short, cancel := context.WithTimeout(d.t.Context(), 5*time.Millisecond)
		defer cancel()
		b.Lock(short)
		d.want(b.Close(), nil)
		d.want(a.Unlock(), nil)
		long, cancel := context.WithTimeout(d.t.Context(), 10*time.Second)
		defer cancel()
		d.want(d.lock("l").Lock(long), nil)
	}},
	{"lock taken", func(d dirFS) {
		ctx := d.t.Context()
		a, b, c := d.lock("l"), d.lock("l"), d.lock("l")
		d.taken(a, false)
		d.taken(b, false)
		d.try(a, true) // whoever looked has taken nothing
		d.taken(a, false)
		d.taken(b, true)
		d.taken(c, true)
		d.try(a, true) // a has it still, and wholly
		d.try(b, false)
		d.taken(b, true)
		d.try(d.lock("l"), false)
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		b.Lock(short)
		d.taken(b, true)
		d.taken(c, true)
		d.want(a.Unlock(), nil)
		long, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		d.want(b.Lock(long), nil)
		d.taken(b, false)
		d.taken(a, true)
		d.want(b.Close(), nil)
		d.taken(a, false)
		d.taken(c, false)
		d.want(a.Close(), nil)
		_, err := a.Taken()
		d.want(err, fs.ErrClosed)
	}},
	{"lock is of the file", func(d dirFS) {
		a := d.lock("l")
		d.try(a, true)
		d.want(d.Rename(d.path("l"), d.path("m")), nil)
		d.try(d.lock("m"), false)
		d.try(d.lock("l"), true)
	}},
	{"watch", func(d dirFS) {
		d.mkdir("d")
		d.file("d/x", "")
		w, err := d.Watch(d.path("."))
		if err != nil {
			d.t.Fatal(err)
		}
		defer w.Close()
		f := d.file("a", "")
		for _, step := range []struct {
			name string
			do   func()
		}{
			{"create", func() { d.file("b", "") }},
			{"write", func() { f.WriteAt([]byte("x"), 0) }},
			{"truncate", func() { f.Truncate(0) }},
			{"rename", func() { d.Rename(d.path("a"), d.path("c")) }},
			{"replace", func() { d.Rename(d.path("b"), d.path("c")) }},
			{"remove", func() { d.Remove(d.path("c")) }},
			{"mkdir", func() { d.mkdir("e") }},
			{"rename in", func() { d.Rename(d.path("d/x"), d.path("x")) }},
			{"rename out", func() { d.Rename(d.path("x"), d.path("d/x")) }},
		} {
			for quiet := false; !quiet; {
				select {
				case <-w.C():
				case <-time.After(20 * time.Millisecond):
					quiet = true
				}
			}
			step.do()
			select {
			case <-w.C():
			case <-time.After(10 * time.Second):
				d.t.Errorf("%s: not told", step.name)
			}
		}
		d.want(w.Close(), nil)
	}},
}

func (d dirFS) lock(name string) vfs.Lock {
	d.t.Helper()
	l, err := d.Lock(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { l.Close() })
	return l
}

func (d dirFS) try(l vfs.Lock, want bool) {
	d.t.Helper()
	if got, err := l.TryLock(); got != want || err != nil {
		d.t.Errorf("TryLock = %v, %v, want %v", got, err, want)
	}
}

func (d dirFS) taken(l vfs.Lock, want bool) {
	d.t.Helper()
	if got, err := l.Taken(); got != want || err != nil {
		d.t.Errorf("Taken = %v, %v, want %v", got, err, want)
	}
}

func TestConformance(t *testing.T) {
	for _, tt := range conformance {
		t.Run("os/"+tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(dirFS{vfs.OS{}, t, t.TempDir()})
		})
		t.Run("mem/"+tt.name, func(t *testing.T) {
			t.Parallel()
			m := vfstest.New()
			if err := m.Mkdir("/tmp"); err != nil {
				t.Fatal(err)
			}
			tt.run(dirFS{m, t, "/tmp"})
		})
	}
}

// play does what a program of three bytes an operation says, and tells what came
// out of it.
func play(fsys vfs.FS, dir string, program []byte) []string {
	var out []string
	say := func(op byte, err error, more ...any) {
		var no syscall.Errno
		switch {
		case errors.As(err, &no):
			err = no
			if op == 3 { // which of several mistakes is told is nobody's business
				err = errors.New("not renamed")
			}
		case err != nil && err != io.EOF:
			err = errors.New("other")
		}
		out = append(out, fmt.Sprintf("%d %v %q", op, err, more))
	}
	names := []string{"a", "b", "d", "d/a", "d/b", "d/d"}
	path := func(b byte) string { return filepath.Join(dir, names[int(b)%len(names)]) }
	var files []vfs.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for ; len(program) >= 3; program = program[3:] {
		op, x, y := program[0]%10, program[1], program[2]
		switch op {
		case 0:
			f, err := fsys.Open(path(x), vfs.Create)
			if err == nil {
				files = append(files, f)
			}
			say(op, err)
			continue
		case 1:
			f, err := fsys.Open(path(x), vfs.ReadWrite)
			if err == nil {
				files = append(files, f)
			}
			say(op, err)
			continue
		case 2:
			say(op, fsys.Mkdir(path(x)))
			continue
		case 3:
			say(op, fsys.Rename(path(x), path(y)))
			continue
		case 4:
			say(op, fsys.Remove(path(x)))
			continue
		case 5:
			names, err := fsys.ReadDir(filepath.Dir(path(x)))
			say(op, err, names)
			continue
		}
		if len(files) == 0 {
			continue
		}
		f := files[int(x)%len(files)]
		switch op {
		case 6:
			n, err := f.WriteAt(bytes.Repeat([]byte{y}, int(y)%7), int64(y))
			say(op, err, n)
		case 7:
			say(op, f.Truncate(int64(y)))
		case 8:
			b := make([]byte, 100)
			n, err := f.ReadAt(b, int64(y)-5)
			if y < 5 {
				err = nil // package os checks it
			}
			say(op, err, b[:n])
		case 9:
			n, err := f.Size()
			say(op, err, n)
		}
	}
	return out
}

// FuzzConformance plays the same on the system's file system and in memory.
func FuzzConformance(f *testing.F) {
	f.Add([]byte{0, 0, 0, 6, 0, 9, 8, 0, 9, 3, 0, 1, 5, 0, 0, 4, 1, 0})
	f.Add([]byte{2, 2, 0, 0, 3, 0, 6, 0, 20, 7, 0, 3, 9, 0, 0, 3, 2, 1, 3, 1, 5, 5, 3, 0, 8, 0, 5})
	f.Add([]byte{2, 2, 0, 2, 1, 0, 3, 2, 1, 3, 1, 3, 3, 1, 1, 2, 2, 0, 2, 5, 0, 3, 5, 2, 3, 2, 5, 5, 3, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		program = program[:min(len(program), 300)]
		want := play(vfs.OS{}, t.TempDir(), program)
		m := vfstest.New()
		got := play(m, "/", program)
		if !slices.Equal(got, want) {
			t.Errorf("memory %q\nsystem %q", got, want)
		}
		// To be killed changes nothing that can be seen.
		again := m.Crash(len(m.Log()), vfstest.KeepAll())
		if !slices.Equal(again.Names(), m.Names()) {
			t.Errorf("after a kill %q, before %q", again.Names(), m.Names())
		}
	})
}
