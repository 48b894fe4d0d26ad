package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// output is standard output inside Run. It is not buffered: commands write
// whole blocks.
type output struct {
	w      io.Writer
	cancel context.CancelCauseFunc
	// around, if set, calls each write: on a terminal that shows messages
	// too, it takes the progress line away and keeps others from drawing.
	around func(write func())

	mu  sync.Mutex
	err error
	// shut: what lies beneath has been closed.
	shut bool
}

// Write writes p or returns the first error there ever was.
func (o *output) Write(p []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	if o.around != nil {
		o.around(func() { n, err = o.w.Write(p) })
	} else {
		n, err = o.w.Write(p)
	}
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.fail("write", err)
		return n, o.err
	}
	return n, nil
}

// close closes what lies beneath, if it can be closed: some file systems say
// only then that the data could not be stored.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, ok := o.w.(io.Closer); ok && o.err == nil && !o.shut {
		o.shut = true
		if err := c.Close(); err != nil {
			o.fail("close", err)
		}
	}
}

// closed says that the reader has gone away, which ends the output as a write
// would have.
func (o *output) closed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = ErrClosed
		o.cancel(o.err)
	}
}

func (o *output) fail(verb string, err error) {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // "write /dev/stdout: …": the name is an artefact
	}
	if IsClosedPipe(err) || errors.Is(err, io.ErrClosedPipe) {
		o.err = ErrClosed
	} else {
		o.err = fmt.Errorf("%s stdout: %w", verb, err)
	}
	o.cancel(o.err)
}

// firstErr returns the error that ended the output, nil if there is none.
func (o *output) firstErr() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
