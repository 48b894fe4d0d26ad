package spill

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
)

// Medium is where a File keeps its bytes: a temporary file, or what a test puts
// in its place. Write appends. Close frees the room.
type Medium interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Name() string
}

// Dir makes temporary files and removes those that are left at Close. It is
// safe for concurrent use.
type Dir struct {
	create  func() (Medium, error)
	written atomic.Int64

	mu   sync.Mutex
	open map[*File]bool // nil: closed
}

// New returns a Dir that makes its files in the directory path; "" is that of
// the system ($TMPDIR). It makes none before they are needed.
func New(path string) *Dir {
	return NewOn(func() (Medium, error) { return createTemp(path) })
}

// NewOn returns a Dir whose files are on what create makes.
func NewOn(create func() (Medium, error)) *Dir {
	return &Dir{create: create, open: make(map[*File]bool)}
}

// Create returns an empty File.
func (d *Dir) Create() (*File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		return nil, fs.ErrClosed
	}
	m, err := d.create()
	if err != nil {
		return nil, err
	}
	f := &File{dir: d, medium: m}
	d.open[f] = true
	return f, nil
}

// Written returns how many bytes have been written to all files so far.
func (d *Dir) Written() int64 { return d.written.Load() }

// Close removes all files. Nothing may be read or written during or after it.
func (d *Dir) Close() error {
	d.mu.Lock()
	files := d.open
	d.open = nil
	d.mu.Unlock()
	var errs []error
	for f := range files {
		errs = append(errs, f.medium.Close())
	}
	return errors.Join(errs...)
}

func (d *Dir) remove(f *File) error {
	d.mu.Lock()
	mine := d.open[f]
	delete(d.open, f)
	d.mu.Unlock()
	if !mine {
		return nil
	}
	return f.medium.Close()
}

// tempFile is a temporary file; named: it still has a name.
type tempFile struct {
	*os.File
	named bool
}

func createTemp(path string) (Medium, error) {
	f, err := os.CreateTemp(path, "logtools-")
	if err != nil {
		return nil, err
	}
	// Some systems do not remove files that are open.
	return &tempFile{f, os.Remove(f.Name()) != nil}, nil
}

func (f *tempFile) Close() error {
	err := f.File.Close()
	if f.named {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
