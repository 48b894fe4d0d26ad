package compact

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"logtools/pkg/stream"
)

// someBlocks gives n blocks, each with its number as text, as several goroutines ask for
// them: they come back in any order.
type someBlocks struct {
	mu     sync.Mutex
	next   int64
	n      int64
	bad    int64 // the block with an Err; less than 0: none
	end    error // behind the last one
	waits  bool  // behind the last one, until ctx is done
	asleep func(seq int64)
	inside int // calls of Next that go on
}

var errBlock = errors.New("a bad block")

func (s *someBlocks) Next(ctx context.Context, b *stream.Block) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.inside++
	seq := s.next
	if seq < s.n {
		s.next++
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inside--
		s.mu.Unlock()
	}()
	if seq == s.n {
		if s.waits {
			<-ctx.Done()
			return ctx.Err()
		}
		return s.end
	}
	s.asleep(seq)
	*b = stream.Block{Seq: seq, Data: append(b.Buf[:0], strings.Repeat("x\n", int(seq%7))...)}
	b.Buf = b.Data
	if seq == s.bad {
		b.Err = errBlock
		b.Data = nil
	}
	return nil
}

// Blocks are taken in their order up to the first error, whatever that is; then
// nothing goes on.
func TestInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	errWork, errTake, errEnd := errors.New("work"), errors.New("take"), errors.New("end")
	for _, tt := range []struct {
		name                  string
		bad, work, take, stop int64 // the block of which that comes, or less than 0
		end, want             error
		taken                 int64 // less than 0: it may be any
	}{
		{name: "all", bad: -1, work: -1, take: -1, stop: -1, end: io.EOF, taken: 100},
		{name: "bad block", bad: 40, work: -1, take: -1, stop: -1, end: io.EOF, want: errBlock, taken: 40},
		{name: "first block", bad: 0, work: -1, take: -1, stop: -1, end: io.EOF, want: errBlock},
		{name: "work", bad: -1, work: 30, take: -1, stop: -1, end: io.EOF, want: errWork, taken: 30},
		{name: "take", bad: -1, work: -1, take: 20, stop: -1, end: io.EOF, want: errTake, taken: 20},
		{name: "the first error", bad: 40, work: 39, take: 38, stop: -1, end: errEnd, want: errTake, taken: 38},
		{name: "enough", bad: 51, work: -1, take: -1, stop: 50, end: io.EOF, taken: 50},
		{name: "enough at last", bad: -1, work: -1, take: -1, stop: 99, end: io.EOF, taken: 99},
		{name: "end", bad: -1, work: -1, take: -1, stop: -1, end: errEnd, want: errEnd, taken: -1},
	} {
		before := runtime.NumGoroutine()
		for round := range 20 {
			blocks := &someBlocks{n: 100, bad: tt.bad, end: tt.end, asleep: func(int64) { runtime.Gosched() }}
			if round%4 == 0 { // others are far ahead of one
				slow := r.Int64N(100)
				blocks.asleep = func(seq int64) {
					if seq == slow {
						time.Sleep(time.Millisecond)
					}
				}
			}
			taken := int64(0)
			err := inOrder(context.Background(), 2, blocks, func() func(*stream.Block, *int64) error {
				own := 0 // each worker has its own
				return func(b *stream.Block, found *int64) error {
					own++
					*found = int64(len(b.Data)/2) + b.Seq*10
					if b.Seq == tt.work {
						return errWork
					}
					return nil
				}
			}, func(b *stream.Block, found *int64) error {
				switch b.Seq {
				case tt.take:
					return errTake
				case tt.stop:
					return errEnough
				}
				if b.Seq != taken || *found != b.Seq%7+b.Seq*10 {
					t.Errorf("%s: block %d with %d comes as number %d", tt.name, b.Seq, *found, taken)
				}
				taken++
				return nil
			})
			blocks.mu.Lock()
			if blocks.inside > 0 {
				t.Fatalf("%s: %d blocks are still read", tt.name, blocks.inside)
			}
			blocks.mu.Unlock()
			if err != tt.want || taken != tt.taken && tt.taken >= 0 {
				t.Fatalf("%s: %v after %d blocks", tt.name, err, taken)
			}
		}
		gone(t, before)
	}
}

// gone waits until there are no more goroutines than before.
func gone(t *testing.T, before int) {
	t.Helper()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, and there were %d", runtime.NumGoroutine(), before)
}

// When the context ends all end, those who wait for a block too.
func TestInOrderCancelled(t *testing.T) {
	before := runtime.NumGoroutine()
	for n := range int64(30) {
		blocks := &someBlocks{n: n, bad: -1, waits: true, asleep: func(int64) {}}
		ctx, cancel := context.WithCancel(context.Background())
		taken := int64(0)
		if n == 0 {
			cancel()
		}
		err := inOrder(ctx, 2, blocks, func() func(*stream.Block, *int) error { return countLines }, func(b *stream.Block, _ *int) error {
			if taken++; taken == n {
				cancel()
			}
			return nil
		})
		cancel()
		if err != context.Canceled || taken > n {
			t.Fatalf("%d blocks: %v after %d", n, err, taken)
		}
		// What is enough is so although others still wait.
		blocks = &someBlocks{n: n + 1, bad: -1, waits: true, asleep: func(int64) {}}
		if err := inOrder(context.Background(), 2, blocks, func() func(*stream.Block, *int) error { return countLines }, func(b *stream.Block, _ *int) error {
			if b.Seq == n {
				return errEnough
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	gone(t, before)
}

// The times of lines are those of the block, or of its runs.
func TestRuns(t *testing.T) {
	for _, tt := range []struct {
		times []stream.TimeRun
		want  []int64
	}{
		{nil, []int64{7, 7, 7}},
		{[]stream.TimeRun{{Lines: 1, Appended: 3}, {Lines: 2, Appended: 4}}, []int64{3, 4, 4}},
		{[]stream.TimeRun{{Lines: 2, Appended: 3}, {Lines: 0, Appended: 5}, {Lines: 1, Appended: 9}}, []int64{3, 3, 9}},
	} {
		times := runs{b: &stream.Block{Pos: stream.Positions{Appended: 7, Times: tt.times}}}
		var got []int64
		for range tt.want {
			got = append(got, times.next())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v", tt.times, got)
		}
	}
}
