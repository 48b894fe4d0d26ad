//go:build unix

package source

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/stream"
)

// A named pipe that nobody writes to blocks in open.
func TestNamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	r := Open([]string{path}, Options{})
	defer r.Close()
	var b stream.Block
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := r.Next(ctx, &b); err != context.DeadlineExceeded {
		t.Fatal(err)
	}
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.WriteString("a\n")
	if got := nextLine(t, r, &b); got != "a\n" {
		t.Errorf("%q", got)
	}
	// Close ends the read that waits for more.
	r.Close()
	untilClosed(t, w)

	// Close while opening still waits.
	r = Open([]string{path}, Options{})
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	r.Next(ctx, &b)
	r.Close()
	if w, err = os.OpenFile(path, os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	untilClosed(t, w)
}

func untilClosed(t *testing.T, w *os.File) {
	t.Helper()
	defer w.Close()
	for range 200 {
		if _, err := w.WriteString("b\n"); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the pipe is still read")
}
