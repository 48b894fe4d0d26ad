//go:build !linux && !darwin

package vfs

import (
	"errors"
	"io/fs"
)

// OS is the file system of the operating system. On this one, whose locks and
// syncs differ, each method returns an error that is errors.ErrUnsupported.
type OS struct{}

var _ FS = OS{}

type unsupported struct{}

func (unsupported) Error() string        { return "logs need Linux or macOS" }
func (unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

func no(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: unsupported{}}
}

// Open is FS.Open.
func (OS) Open(name string, _ Flag) (File, error) { return nil, no("open", name) }

// Mkdir is FS.Mkdir.
func (OS) Mkdir(name string) error { return no("mkdir", name) }

// Rename is FS.Rename.
func (OS) Rename(from, _ string) error { return no("rename", from) }

// Remove is FS.Remove.
func (OS) Remove(name string) error { return no("remove", name) }

// ReadDir is FS.ReadDir.
func (OS) ReadDir(name string) ([]string, error) { return nil, no("open", name) }

// SyncDir is FS.SyncDir.
func (OS) SyncDir(name string) error { return no("sync", name) }

// Lock is FS.Lock.
func (OS) Lock(name string) (Lock, error) { return nil, no("open", name) }

// Watch is FS.Watch.
func (OS) Watch(dir string) (Watch, error) { return nil, no("watch", dir) }

// Boot is FS.Boot.
func (OS) Boot() uint32 { return 0 }

// Network reports nothing here.
func Network(path string) (kind string, refused bool, err error) {
	return "", false, no("statfs", path)
}
