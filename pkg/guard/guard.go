package guard

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/vfs"
	"logtools/pkg/stream"
)

// Options say how the rules are kept.
type Options struct {
	// Memory is how much memory what is known of all partitions may take together,
	// in bytes; 0 is DefaultMemory.
	Memory int64
	// KeyClaims: the key of each event that is appended is what it claims, or
	// nothing: the unique rule was run to make it.
	KeyClaims bool
	// FS is where the log lies; nil is the operating system.
	FS vfs.FS
}

// DefaultMemory is the default of Options.Memory.
const DefaultMemory = 256 << 20

// Guard keeps the rules of a log. It implements eventlog.Guard.
type Guard struct {
	rules  *rules
	keys   bool // Options.KeyClaims
	fs     vfs.FS
	dir    string
	log    [16]byte
	memory int64 // of a partition

	workers  sync.Pool // *worker
	prepared sync.Pool // *prepared
}

// New returns what keeps the rules that a log has. The error is a *RuleError if they
// are none that can be kept.
func New(l *eventlog.Log, o Options) (*Guard, error) {
	s := l.Settings()
	if s.Rules.None() {
		return nil, fmt.Errorf("log %s has no rules", l.Name())
	}
	g, err := newGuard(&s.Rules, s.Partitions, o)
	if err != nil {
		return nil, err
	}
	g.log, g.dir = l.ID(), l.GuardDir()
	return g, nil
}

func newGuard(r *eventlog.Rules, partitions int, o Options) (*Guard, error) {
	if err := Check(r, partitions); err != nil {
		return nil, err
	}
	c, err := compile(r)
	if err != nil {
		return nil, err
	}
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	g := &Guard{rules: c, keys: o.KeyClaims, fs: o.FS, memory: o.Memory / int64(max(partitions, 1))}
	g.workers.New = func() any { return newWorker(c) }
	g.prepared.New = func() any { return new(prepared) }
	return g, nil
}

// Keeper is eventlog.Guard's.
func (g *Guard) Keeper(partition int, holds func(eventlog.Mark) (bool, error)) (eventlog.Keeper, error) {
	t, err := openTable(tableOptions{
		fs: g.fs, dir: filepath.Join(g.dir, eventlog.PartitionName(partition)),
		log: g.log, partition: partition, rules: g.rules.id,
		memory: g.memory, holds: holds,
	})
	if err != nil {
		return nil, g.failed(err)
	}
	return newKeeper(g, t), nil
}

// indexError is an error of the index, which is no part of the log.
type indexError struct {
	err error
	dir string
}

func (e *indexError) Error() string { return e.err.Error() }
func (e *indexError) Unwrap() error { return e.err }

// Hint says what to do.
func (e *indexError) Hint() string {
	if errors.Is(e.err, syscall.ENOSPC) || errors.Is(e.err, syscall.EDQUOT) {
		return ""
	}
	return "what the rules know can be made anew from the log: rm -r " + e.dir
}

func (g *Guard) failed(err error) error { return &indexError{err, g.dir} }

// Prepare is eventlog.Guard's.
func (g *Guard) Prepare(b *stream.Batch) (any, error) {
	p := g.prepared.Get().(*prepared)
	w := g.workers.Get().(*worker)
	defer g.workers.Put(w)
	w.keys = g.keys
	if err := w.prepare(p, b.Lines); err != nil {
		return nil, fmt.Errorf("line %d of a batch: %w", len(p.lines)+1, err)
	}
	return p, nil
}

// release takes back what Prepare gave. It keeps nothing of the batch alive.
func (g *Guard) release(p *prepared) {
	p.reset()
	g.prepared.Put(p)
}
