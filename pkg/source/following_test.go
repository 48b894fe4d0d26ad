package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"logtools/pkg/stream"
)

// paces are quick ones for tests: with the system's help, where polling is so
// slow that a test would fail for it, and without.
var paces = map[string]pace{
	"watching": {watch: true, fast: 20 * time.Millisecond, slow: time.Minute, settle: 60 * time.Millisecond, keep: 400 * time.Millisecond},
	"polling":  {fast: 3 * time.Millisecond, slow: 3 * time.Millisecond, settle: 60 * time.Millisecond, keep: 400 * time.Millisecond},
}

// follower reads a Follower with two workers and keeps what it gave out.
type follower struct {
	t *testing.T
	*Follower
	cancel context.CancelFunc
	wg     sync.WaitGroup
	given  atomic.Int64 // bytes

	mu     sync.Mutex
	blocks map[int64]stream.Block
	notes  []string
	ended  []error
}

func startFollow(t *testing.T, p pace, o Options, operands ...string) *follower {
	t.Helper()
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{t: t, cancel: cancel, blocks: make(map[int64]stream.Block)}
	o.Warn = func(name, msg string) {
		f.mu.Lock()
		f.notes = append(f.notes, filepath.Base(name)+": "+msg)
		f.mu.Unlock()
	}
	f.Follower = follow(operands, o, osFS, p)
	for range 2 {
		f.wg.Go(func() {
			var b stream.Block
			for {
				err := f.Next(ctx, &b)
				f.mu.Lock()
				if err != nil {
					f.ended = append(f.ended, err)
					f.mu.Unlock()
					return
				}
				if _, twice := f.blocks[b.Seq]; twice {
					t.Errorf("block %d comes twice", b.Seq)
				}
				f.blocks[b.Seq] = blockCopy(&b)
				f.given.Add(int64(len(b.Data)))
				f.mu.Unlock()
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		f.wg.Wait()
		f.Close()
		f.check()
		for i := 0; runtime.NumGoroutine() > before; i++ {
			if i == 200 {
				buf := make([]byte, 1<<16)
				t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	return f
}

// check checks what stream.Blocks promises of numbers.
func (f *follower) check() {
	t := f.t
	counts := map[int]int64{}
	begun := map[int]bool{}
	lives, long := 0, -1
	for seq := range int64(len(f.blocks)) {
		b, ok := f.blocks[seq]
		if !ok {
			t.Fatalf("no block %d of %d", seq, len(f.blocks))
		}
		if b.Live {
			if lives++; len(b.Data) > 0 || b.First || b.Last {
				t.Errorf("block %d is live and more", seq)
			}
			continue
		}
		if b.Err != nil {
			continue
		}
		if b.SeqInInput != counts[b.Input] {
			t.Errorf("block %d: SeqInInput %d, want %d", seq, b.SeqInInput, counts[b.Input])
		}
		counts[b.Input]++
		if !b.First && !begun[b.Input] {
			t.Errorf("block %d is not the first", seq)
		}
		begun[b.Input] = true
		if long >= 0 && (!b.Long || b.Input != long) {
			t.Errorf("block %d comes between the pieces of a line", seq)
		}
		long = -1
		if b.Long && !b.LongEnd {
			long = b.Input
		}
		if strings.Contains(string(b.Data), "\ufeff") {
			t.Errorf("block %d has a byte order mark", seq)
		}
	}
	if lives > 1 {
		t.Errorf("%d live blocks", lives)
	}
}

// script is what an input gave out: "[" where a file begins, "]" for Last, "|"
// for the Live block, "!" and a text for errors.
func (f *follower) script(input int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var s strings.Builder
	for seq := int64(0); ; seq++ {
		b, ok := f.blocks[seq]
		if !ok {
			return s.String()
		}
		if b.Live {
			s.WriteString("|")
		}
		if b.Input != input || b.Live {
			continue
		}
		if b.First {
			s.WriteString("[")
		}
		s.Write(b.Data)
		if b.Last {
			s.WriteString("]")
		}
		if b.Err != nil {
			err := b.Err
			if pe := new(fs.PathError); errors.As(err, &pe) {
				err = pe.Err
			}
			s.WriteString("!" + err.Error())
		}
	}
}

func (f *follower) wait(input int, want string) {
	f.t.Helper()
	have := ""
	for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(time.Millisecond) {
		if have = f.script(input); have == want {
			return
		}
	}
	f.t.Fatalf("input %d gave\n%q, want\n%q\nwarnings %q", input, have, want, f.warnings())
}

func (f *follower) waitLive() {
	f.t.Helper()
	for start := time.Now(); !strings.Contains(f.script(0), "|"); time.Sleep(time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			f.t.Fatal("it does not come alive")
		}
	}
}

func (f *follower) warnings() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.notes)
}

func (f *follower) waitNote(want ...string) {
	f.t.Helper()
	for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(time.Millisecond) {
		if slices.Equal(f.warnings(), want) {
			return
		}
	}
	f.t.Fatalf("warnings %q, want %q", f.warnings(), want)
}

// waitPresent waits until the first operand was seen to have its file.
func (f *follower) waitPresent() {
	f.t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		f.Follower.mu.Lock()
		present := f.tails[0].err == nil
		f.Follower.mu.Unlock()
		if present {
			return
		}
		if time.Since(start) > 5*time.Second {
			f.t.Fatal("it does not notice the file")
		}
	}
}

// scene is a directory with files that are written.
type scene struct {
	t   *testing.T
	dir string
}

func (s scene) path(name string) string { return filepath.Join(s.dir, name) }

func (s scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// append writes at the end of a file, which may be a new one.
func (s scene) append(name, text string) {
	s.t.Helper()
	w := s.writer(name)
	defer w.Close()
	_, err := io.WriteString(w, text)
	s.must(err)
}

func (s scene) writer(name string) *os.File {
	s.t.Helper()
	w, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	s.must(err)
	return w
}

func (s scene) rename(from, to string) {
	s.t.Helper()
	s.must(os.Rename(s.path(from), s.path(to)))
}
