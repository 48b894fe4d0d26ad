package vfstest

import (
	"io"
	"os"
	"slices"
	"syscall"

	"logtools/pkg/internal/vfs"
)

// maxSize is the greatest file, so that a wild offset is an error and does not
// eat the memory.
const maxSize = 1 << 30

// file is a vfs.File.
type file struct {
	p      *Proc
	name   string
	flag   vfs.Flag
	node   id
	closed bool
	told   int // of the errors of the node this file knows
}

// do does an operation on an open file that is none of a directory.
func (f *file) do(o Op, run func(*node, *fault) error) error {
	o.Name = f.name
	return f.p.do(o, func(bad *fault) error {
		n := f.p.m.disk.nodes[f.node]
		switch {
		case f.closed:
			return os.ErrClosed
		case n.dir && o.Kind != Close:
			return syscall.EISDIR
		}
		return run(n, bad)
	})
}

// ReadAt is io.ReaderAt.
func (f *file) ReadAt(b []byte, off int64) (n int, err error) {
	eof := false
	err = f.do(Op{Kind: Read, Off: off, Len: len(b)}, func(nd *node, _ *fault) error {
		if off < 0 {
			return syscall.EINVAL
		}
		if off < int64(len(nd.data.b)) {
			n = copy(b, nd.data.b[off:])
		}
		eof = n < len(b)
		return nil
	})
	if err == nil && eof {
		err = io.EOF
	}
	return n, err
}

// WriteAt is io.WriterAt.
func (f *file) WriteAt(b []byte, off int64) (n int, err error) {
	m := f.p.m
	err = f.do(Op{Kind: Write, Off: off, Len: len(b)}, func(nd *node, bad *fault) error {
		switch {
		case off < 0:
			return syscall.EINVAL
		case f.flag == vfs.ReadOnly:
			return syscall.EBADF
		case off+int64(len(b)) > maxSize:
			return syscall.EFBIG
		}
		n = len(b)
		if bad != nil {
			n = 0
			if bad.partial {
				n = len(b) / 2
			}
		}
		if n > 0 {
			p := slices.Clone(b[:n])
			m.apply(func(d *disk) { d.write(f.node, off, p) })
			m.tell(nd.in)
		}
		if bad != nil {
			return bad.err
		}
		return nil
	})
	return n, err
}

// Truncate is vfs.File.Truncate.
func (f *file) Truncate(size int64) error {
	return f.do(Op{Kind: Truncate, Off: size}, func(nd *node, _ *fault) error {
		switch {
		case size < 0 || f.flag == vfs.ReadOnly:
			return syscall.EINVAL
		case size > maxSize:
			return syscall.EFBIG
		}
		f.p.m.apply(func(d *disk) { d.truncate(f.node, size) })
		f.p.m.tell(nd.in)
		return nil
	})
}

// Size is vfs.File.Size.
func (f *file) Size() (size int64, err error) {
	err = f.do(Op{Kind: Size}, func(nd *node, _ *fault) error {
		size = int64(len(nd.data.b))
		return nil
	})
	return size, err
}

// HasName is vfs.File.HasName.
func (f *file) HasName(name string) (same bool, err error) {
	err = f.do(Op{Kind: Size}, func(*node, *fault) error {
		n, err := f.p.m.find(name)
		same = err == nil && n == f.node
		return nil
	})
	return same, err
}

// Sync is vfs.File.Sync.
func (f *file) Sync() error {
	return f.do(Op{Kind: Sync}, func(_ *node, bad *fault) error {
		m := f.p.m
		if bad != nil {
			m.apply(func(d *disk) { d.failSync(f.node) })
			m.failed[f.node] = append(m.failed[f.node], bad.err)
			f.told = len(m.failed[f.node])
			return bad.err
		}
		m.apply(func(d *disk) { d.sync(f.node) })
		if errs := m.failed[f.node]; f.told < len(errs) { // another's, which is told to all
			f.told = len(errs)
			return errs[len(errs)-1]
		}
		return nil
	})
}

// Close is io.Closer.
func (f *file) Close() error {
	return f.do(Op{Kind: Close}, func(*node, *fault) error {
		f.closed = true
		return nil
	})
}
