package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"logtools/pkg/stream"
)

// nextLine calls Next until it gives data, at most a second.
func nextLine(t *testing.T, r *Reader, b *stream.Block) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for {
		if err := r.Next(ctx, b); err != nil {
			t.Fatalf("Next: %v", err)
		}
		if b.Err != nil {
			t.Fatal(b.Err)
		}
		if len(b.Data) > 0 {
			return string(b.Data)
		}
	}
}

func osPipe(t *testing.T) (rd, wr *os.File) {
	t.Helper()
	rd, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rd.Close(); wr.Close() })
	return rd, wr
}

// Each line arrives before the next one is written, whatever stands around it.
func TestLiveLineIsNotHeldBack(t *testing.T) {
	rd, wr := osPipe(t)
	r := Open(nil, Options{Stdin: rd, BlockSize: 64, MaxLine: 200})
	defer r.Close()
	var b stream.Block
	var slowest time.Duration
	for i := range 300 {
		text := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", i%150))
		if i < 4 {
			text = "\n1\n"[i%2 : i%2+1+i%2] // the very first are "\n" and "1\n"
		}
		start := time.Now()
		io.WriteString(wr, text)
		for got := ""; got != text; {
			if got += nextLine(t, r, &b); !strings.HasPrefix(text, got) {
				t.Fatalf("line %d: %q", i, got)
			}
		}
		slowest = max(slowest, time.Since(start))
	}
	if slowest > 200*time.Millisecond { // < 1 ms on an idle machine
		t.Errorf("a line took %v", slowest)
	}
}

func TestLiveGzip(t *testing.T) {
	rd, wr := osPipe(t)
	r := Open(nil, Options{Stdin: rd})
	defer r.Close()
	z := gzip.NewWriter(wr)
	var b stream.Block
	for i := range 20 {
		text := fmt.Sprintf("line %d\n", i)
		io.WriteString(z, text)
		z.Flush()
		if got := nextLine(t, r, &b); got != text {
			t.Fatalf("%q, want %q", got, text)
		}
	}
}

func TestUnfinishedLineWaits(t *testing.T) {
	rd, wr := osPipe(t)
	r := Open(nil, Options{Stdin: rd})
	defer r.Close()
	var b stream.Block
	io.WriteString(wr, "a\nb")
	if got := nextLine(t, r, &b); got != "a\n" {
		t.Fatalf("%q", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if err := r.Next(ctx, &b); err != context.DeadlineExceeded {
		t.Fatalf("half a line: %v, %q", err, b.Data)
	}
	io.WriteString(wr, "c")
	wr.Close()
	if got := nextLine(t, r, &b); got != "bc" {
		t.Fatalf("%q", got)
	}
	if err := r.Next(context.Background(), &b); err != nil || !b.Last || len(b.Data) > 0 {
		t.Fatal("not the last block:", err)
	}
	if err := r.Next(context.Background(), &b); err != io.EOF {
		t.Fatal(err)
	}
	if err := r.Next(context.Background(), &b); err != io.EOF {
		t.Fatal("again: ", err)
	}
}

// A first line arrives at once however much of the next one comes with it: its bytes
// may be taken in two pieces, of which the second ends no line.
func TestFirstLineWithMore(t *testing.T) {
	for n := range 12 {
		rd, wr := osPipe(t)
		r := Open(nil, Options{Stdin: rd})
		var b stream.Block
		io.WriteString(wr, "a\n"+strings.Repeat("b", n))
		if got := nextLine(t, r, &b); got != "a\n" {
			t.Errorf("%q", got)
		}
		r.Close()
	}
}

// terminal ends at each empty line, and goes on when it is read again.
type terminal struct{ reads int }

func (t *terminal) Read(p []byte) (int, error) {
	if t.reads++; t.reads > 1 {
		return copy(p, "more\n"), nil
	}
	return 0, io.EOF
}

func TestOneEndIsEnough(t *testing.T) {
	var in terminal
	r := Open(nil, Options{Stdin: &in})
	defer r.Close()
	if g := drain(t, r, 1)[0]; len(g.lines) > 0 || in.reads != 1 {
		t.Errorf("%d lines, %d reads", len(g.lines), in.reads)
	}
}

// blocked waits for ever in Read.
type blocked struct{ c chan struct{} }

func (b blocked) Read([]byte) (int, error) { <-b.c; return 0, io.EOF }

func TestCancelAndClose(t *testing.T) {
	in := blocked{make(chan struct{})}
	defer close(in.c)
	r := Open(nil, Options{Stdin: in})
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error)
	wait := func(ctx context.Context) {
		var b stream.Block
		errs <- r.Next(ctx, &b)
	}
	for range 3 {
		go wait(ctx)
	}
	time.Sleep(10 * time.Millisecond)
	start := time.Now()
	cancel()
	for range 3 {
		if err := <-errs; err != context.Canceled {
			t.Errorf("Next: %v", err)
		}
	}
	for range 3 {
		go wait(context.Background())
	}
	time.Sleep(10 * time.Millisecond)
	r.Close()
	for range 3 {
		if err := <-errs; err != os.ErrClosed {
			t.Errorf("Next: %v", err)
		}
	}
	if d := time.Since(start); d > 500*time.Millisecond {
		t.Errorf("took %v", d)
	}
	if r.Close() != nil {
		t.Error("second Close")
	}
	var b stream.Block
	if err := r.Next(context.Background(), &b); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
}

// Close in the midst of everything leaves no goroutine behind.
func TestCloseLeavesNothing(t *testing.T) {
	content := numbered(20000)
	packed := [][]byte{gzipped(content), zstded(content)}
	before := runtime.NumGoroutine()
	for i := range 60 {
		f := &memFile{name: "f", data: packed[i%2]}
		if i%3 == 0 {
			f.data = content
		}
		r := open([]string{"f", "f"}, Options{BlockSize: 1000}, memFS(f))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				var b stream.Block
				for range i {
					if r.Next(context.Background(), &b) != nil {
						return
					}
				}
			})
		}
		if i%4 != 0 {
			wg.Wait()
		}
		if i%5 == 1 {
			time.Sleep(2 * time.Millisecond) // until reading ahead waits for room
		}
		r.Close()
		wg.Wait()
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 200 {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Slow workers: blocks fill up. Fast ones: nothing is lost or repeated.
func TestLiveUnderLoad(t *testing.T) {
	content := numbered(100000)
	rd, wr := osPipe(t)
	go func() {
		for rest := content; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)*7%5000)
			wr.Write(rest[:n])
			rest = rest[n:]
		}
		wr.Close()
	}()
	r := Open(nil, Options{Stdin: rd, BlockSize: 1 << 16})
	defer r.Close()
	var b stream.Block
	var all []byte
	blocks := 0
	for {
		err := r.Next(context.Background(), &b)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b.Data...)
		blocks++
		time.Sleep(2 * time.Millisecond)
	}
	if string(all) != string(content) {
		t.Error("the content differs")
	}
	if most := 3 * len(content) / (1 << 16); blocks > most {
		t.Errorf("%d blocks, more than %d", blocks, most)
	}
}
