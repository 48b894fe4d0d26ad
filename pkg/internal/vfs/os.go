//go:build linux || darwin

package vfs

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// OS is the file system of the operating system. New files and directories have
// the usual permissions (0666 and 0777 before umask).
type OS struct{}

var _ FS = OS{}

// Open is FS.Open.
func (OS) Open(name string, flag Flag) (File, error) {
	how := os.O_RDONLY
	switch flag {
	case ReadWrite:
		how = os.O_RDWR
	case Create:
		how = os.O_RDWR | os.O_CREATE | os.O_EXCL
	}
	// A named pipe in the place of a file must not make us wait for its writer.
	f, err := os.OpenFile(name, how|syscall.O_NONBLOCK, 0o666)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		f.Close()
		if err == nil {
			err = &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
		}
		return nil, err
	}
	return osFile{f, st}, nil
}

// Mkdir is FS.Mkdir.
func (OS) Mkdir(name string) error { return os.Mkdir(name, 0o777) }

// Rename is FS.Rename.
func (OS) Rename(from, to string) error {
	// Not os.Rename, which refuses to replace an empty directory.
	err := again(func() error { return syscall.Rename(from, to) })
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Remove is FS.Remove.
func (OS) Remove(name string) error { return os.Remove(name) }

// ReadDir is FS.ReadDir.
func (OS) ReadDir(name string) ([]string, error) {
	d, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir is FS.SyncDir.
func (OS) SyncDir(name string) error {
	// O_DIRECTORY, since to sync a file of that name would prove nothing.
	d, err := os.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock is FS.Lock.
func (OS) Lock(name string) (Lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o666)
	if err != nil {
		return nil, err
	}
	return &flock{f: f}, nil
}

// Watch is FS.Watch.
func (OS) Watch(dir string) (Watch, error) { return watchDir(dir) }

// osFile is a File.
type osFile struct {
	*os.File
	opened fs.FileInfo // when it was opened, for which file it is
}

// Size is File.Size.
func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// HasName is File.HasName.
func (f osFile) HasName(name string) (bool, error) {
	named, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(f.opened, named), nil
}

// control makes a system call with a file, which stays open until it returns.
func control(f *os.File, op string, call func(fd int) error) error {
	c, err := f.SyscallConn()
	if err == nil {
		var failed error
		if c.Control(func(fd uintptr) {
			failed = again(func() error { return call(int(fd)) })
		}) != nil {
			failed = fs.ErrClosed // nothing else keeps it from the call
		}
		err = failed
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: err}
	}
	return nil
}

// again repeats a system call for as long as a signal interrupts it.
func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
