package logcat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"logtools/pkg/stream"
)

// fakeGroup is a group of which the test says what is owned.
type fakeGroup struct {
	mu        sync.Mutex
	owned     []int
	others    map[int]bool // held by others
	held      []int
	committed map[int]int64
	commits   []string
	err       error // of commits
}

func (g *fakeGroup) Owned() ([]int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.owned), nil
}

func (g *fakeGroup) Balance(own []int) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var held []int
	for _, p := range own {
		if !g.others[p] {
			held = append(held, p)
		}
	}
	changed := !slices.Equal(held, g.held)
	g.held = held
	return changed, nil
}

func (g *fakeGroup) Held() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.held)
}

func (g *fakeGroup) Committed(p int) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.committed[p]
}

func (g *fakeGroup) Commit(p int, next int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.err != nil:
		return g.err
	case !slices.Contains(g.held, p):
		return fmt.Errorf("partition %d is not held", p)
	case next <= g.committed[p]:
		return fmt.Errorf("partition %d: from %d back to %d", p, g.committed[p], next)
	}
	g.committed[p] = next
	g.commits = append(g.commits, fmt.Sprintf("%d:%d", p, next))
	return nil
}

func (g *fakeGroup) Close() error { return nil }

func (g *fakeGroup) set(owned []int, others ...int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.owned, g.others = owned, make(map[int]bool)
	for _, p := range others {
		g.others[p] = true
	}
}

// fakePrograms notes what its programs get.
type fakePrograms struct {
	mu     sync.Mutex
	ended  []string
	fails  int // the program, from 1, that fails
	wrote  func()
	starts int
}

type fakeProgram struct {
	all *fakePrograms
	strings.Builder
	number int
}

func (a *fakePrograms) start(context.Context) (program, error) {
	a.starts++
	return &fakeProgram{all: a, number: a.starts}, nil
}

func (p *fakeProgram) Write(b []byte) (int, error) {
	if p.all.wrote != nil {
		p.all.wrote()
	}
	return p.Builder.Write(b)
}
func (p *fakeProgram) Deaf() bool { return false }
func (p *fakeProgram) Finish() error {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if p.number == p.all.fails {
		return errors.New("exit status 7")
	}
	p.all.ended = append(p.all.ended, strings.ReplaceAll(p.String(), "\n", " "))
	return nil
}

func (a *fakePrograms) got() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.ended)
}

// fakeReader is a partition: blocks of one line each, "P:OFFSET".
type fakeReader struct {
	p      int
	from   int64
	to     int64
	follow bool
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	next int64
	seq  int64
	past bool
	last bool
}

func newFakeReader(p int, from, to int64, follow bool) *fakeReader {
	return &fakeReader{p: p, from: from, to: to, next: from, follow: follow, closed: make(chan struct{})}
}

func (f *fakeReader) Range() (int64, int64) { return f.from, f.to }

func (f *fakeReader) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func (f *fakeReader) Next(ctx context.Context, b *stream.Block) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
		return os.ErrClosed
	default:
	}
	*b = stream.Block{Name: fmt.Sprint(f.p), Seq: f.seq, Pos: stream.Positions{InLog: true, Partition: int32(f.p), Base: f.next}}
	f.seq++
	switch {
	case f.next < f.to:
		b.Data = fmt.Appendf(nil, "\"%d:%d\"\n", f.p, f.next)
		f.next++
		return nil
	case f.follow && !f.past:
		f.past, b.Live = true, true
		return nil
	case f.follow:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.closed:
			return os.ErrClosed
		}
	case !f.last:
		f.last, b.Last = true, true
		return nil
	}
	return io.EOF
}
