// Package vfs is the seam between a log and the file system: the few operations
// that a log is made of, so that tests can cut the power between any two of
// them, let any of them fail, and look at the order in which they came.
//
// Names are paths of the operating system. Errors are those of package os
// (*fs.PathError, *os.LinkError), so that errors.Is(err, fs.ErrNotExist) and the
// like work.
package vfs

import (
	"context"
	"errors"
	"io"
)

// FS is a file system. Its methods may be called from several goroutines.
type FS interface {
	// Open opens a file; flag is one of ReadOnly, ReadWrite and Create.
	Open(name string, flag Flag) (File, error)
	// Mkdir makes a directory, whose parent must be there.
	Mkdir(name string) error
	// Rename gives a file or directory a new name in one step, replacing a file
	// of that name (or an empty directory, if it is a directory).
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// ReadDir returns the names in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// SyncDir makes the names in a directory durable: until then a power cut may
	// take back what was created, renamed or removed in it.
	SyncDir(name string) error
	// Lock opens the lock file of that name, creating it if it is not there. It
	// is not locked yet.
	Lock(name string) (Lock, error)
	// Watch tells when something in a directory (not below it) may have changed.
	Watch(dir string) (Watch, error)
	// Boot is a number that is another one after each start of the system; 0 where
	// that is not known.
	Boot() uint32
}

// Flag says how a file is opened.
type Flag int

const (
	ReadOnly  Flag = iota // an existing file, to be read (and synced)
	ReadWrite             // an existing file
	Create                // a new file, to be read and written; fs.ErrExist if there is one
)

// ErrNotRegular says that what has the name of a file is a directory, a pipe or the
// like.
var ErrNotRegular = errors.New("not a regular file")

// File is an open file. It stays what it was when another file is renamed over
// its name, or when it is removed.
type File interface {
	io.ReaderAt
	// WriteAt may write less than all (and then returns an error).
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Size() (int64, error)
	// HasName reports whether a name still leads to this file, and not to another
	// one or none. An error is one of looking.
	HasName(name string) (bool, error)
	// Sync makes the file's content and size durable, but not its name.
	// After an error nothing is known about what was written before, and trying
	// again proves nothing.
	Sync() error
}

// Lock is an advisory lock between processes, and between Locks of the same name
// in one process. It is released when its process dies. One Lock is one holder,
// whichever goroutine calls it: once it has the lock, it gets it again at once.
type Lock interface {
	// Lock waits for the lock until ctx is done; then it returns ctx's error, and
	// does not have the lock.
	Lock(ctx context.Context) error
	// TryLock reports whether it got the lock at once.
	TryLock() (bool, error)
	// Taken reports whether another holder has the lock, or had it when this one
	// began to wait for it. It takes nothing that another Taken would see; a TryLock
	// elsewhere may fail while it looks.
	Taken() (bool, error)
	Unlock() error
	// Close releases the lock, too.
	Close() error
}

// Watch tells of changes.
type Watch interface {
	// C has an element when something may have changed since the last one was
	// taken; several changes may make one element.
	C() <-chan struct{}
	Close() error
}
