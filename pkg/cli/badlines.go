package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// What happens to bad input (--bad).
const (
	PolicySkip = "skip" // skip it, exit 3
	PolicyOK   = "ok"   // skip it, exit 0
	PolicyFail = "fail" // stop at the first, exit 3
)

// shownBad is how many bad lines are named; the others are only counted.
const shownBad = 5

// BadLines names, counts and keeps bad input, or events that are refused. Its
// methods may be called from any goroutine; the rejects file has the lines in the
// order of the calls.
type BadLines struct {
	s      *Streams
	policy string
	nouns  nouns

	mu      sync.Mutex
	count   int64
	rejects *bufio.Writer // nil: not asked for
	file    *os.File
	err     error // the first write error of rejects
	told    bool  // err has been returned to the caller
	closed  bool
}

// nouns are what messages call lines, and those that are kept in the file.
type nouns struct{ lines, kept string }

// NewBadLines begins a run's bad input. policy is PolicySkip, PolicyOK or
// PolicyFail ("": PolicySkip); rejects names the file that keeps the bad lines,
// which is created or emptied now, or is "". inputs are the run's operands: a
// rejects file that is one of them, or standard input or output, is refused
// before it is emptied, and so is one in an operand that is a directory.
func (s *Streams) NewBadLines(policy, rejects string, inputs ...string) (*BadLines, error) {
	return s.newBadLines(nouns{"bad lines", "rejects"}, policy, rejects, inputs)
}

// NewRefused begins a run's events that are no bad input, but are refused where
// they were to go, which is to. They are treated as bad lines are with PolicySkip;
// file keeps them.
func (s *Streams) NewRefused(file, to string) (*BadLines, error) {
	return s.newBadLines(nouns{"refused events", "refused events"}, PolicySkip, file, []string{to})
}

func (s *Streams) newBadLines(n nouns, policy, rejects string, inputs []string) (*BadLines, error) {
	switch policy {
	case "":
		policy = PolicySkip
	case PolicySkip, PolicyOK, PolicyFail:
	default:
		return nil, Usagef("bad input: %w", choiceError(policy, []string{PolicySkip, PolicyOK, PolicyFail}))
	}
	b := &BadLines{s: s, policy: policy, nouns: n}
	if rejects == "" {
		return b, nil
	}
	if rejects == "-" {
		return nil, Usagef("%s need a file: standard output carries data only", n.kept)
	}
	for _, dir := range inputs {
		if within(rejects, dir) {
			return nil, Usagef("%s file %s lies in %s", n.kept, rejects, dir)
		}
	}
	file, err := os.OpenFile(rejects, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, WithExit(err, Failed)
	}
	if err := s.emptyRejects(n, file, inputs); err != nil {
		file.Close()
		return nil, err
	}
	b.file, b.rejects = file, bufio.NewWriterSize(file, 64<<10)
	return b, nil
}

// within says whether a file lies, or would lie, in a directory or below it: nothing
// is written there, since the directory may be a log.
func within(file, dir string) bool {
	top, err := os.Stat(dir)
	if err != nil || !top.IsDir() {
		return false
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	if file, err = filepath.Abs(file); err != nil {
		return false
	}
	for at := filepath.Dir(file); ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && os.SameFile(info, top) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
}

// emptyRejects truncates the rejects file unless it is in use.
func (s *Streams) emptyRejects(n nouns, file *os.File, inputs []string) error {
	info, err := file.Stat()
	if err != nil {
		return WithExit(err, Failed)
	}
	if !info.Mode().IsRegular() {
		return nil // a pipe or device: nothing to empty or to lose
	}
	for _, name := range inputs {
		if name == "-" { // standard input, seen to below
			continue
		}
		if other, err := os.Stat(name); err == nil && os.SameFile(info, other) {
			return Usagef("%s file %s is also an input", n.kept, file.Name())
		}
	}
	var stdout io.Writer = s.Out
	if s.stdout != nil {
		stdout = s.stdout.w
	}
	for name, stream := range map[string]any{"input": s.In, "output": stdout} {
		if f, ok := stream.(*os.File); ok {
			if other, err := f.Stat(); err == nil && os.SameFile(info, other) {
				return Usagef("%s file %s is also standard %s", n.kept, file.Name(), name)
			}
		}
	}
	return WithExit(file.Truncate(0), Failed)
}

// Add names a bad line if it is one of the first, counts it, and keeps raw, the
// line without its line end, in the rejects file; a nil raw is not kept (see
// RejectPart). name is the input's ("-" for standard input) and line its line
// number from 1 (in a log the event's offset), or less than 0 if there is none. The error is ErrStop if this was the
// last line to look at, or that the line could not be kept; it ends the run.
func (b *BadLines) Add(name string, line int64, reason error, raw []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if b.count <= shownBad {
		if line >= 0 {
			name = fmt.Sprintf("%s:%d", name, line)
		}
		b.s.Warn("%s: %v", name, reason)
	}
	if raw != nil {
		b.write(raw)
		b.write(newline)
	}
	if b.err != nil && !b.told {
		b.told = true
		return b.err
	}
	if b.policy == PolicyFail {
		return ErrStop
	}
	return nil
}

var newline = []byte{'\n'}

// RejectPart keeps a piece of a line that is too long to be held in memory.
// The pieces follow each other without a call of Add in between; RejectEnd
// ends the line, and Add with a nil raw then names it. Errors come with Add.
func (b *BadLines) RejectPart(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write(p)
}

// RejectEnd ends a line given to RejectPart.
func (b *BadLines) RejectEnd() { b.RejectPart(newline) }

// Flush writes what is kept to the rejects file. Commands that follow live
// input call it when they flush their output. Errors come with Add or Close.
func (b *BadLines) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
}

// Count returns the number of bad lines so far.
func (b *BadLines) Count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

func (b *BadLines) write(p []byte) {
	if b.rejects != nil && b.err == nil {
		_, err := b.rejects.Write(p)
		b.fail(err)
	}
}

func (b *BadLines) flush() {
	if b.rejects != nil && b.err == nil {
		b.fail(b.rejects.Flush())
	}
}

func (b *BadLines) fail(err error) {
	if err != nil && b.err == nil {
		b.err = WithExit(err, Failed)
	}
}

// Close prints the count, unless every bad line was named, decides the exit
// status, and completes the rejects file. Its error, if it could not, is one
// that Add has not returned. Close may be called again and then does nothing.
func (b *BadLines) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	b.flush()
	if b.file != nil {
		if err := b.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			b.fail(err)
		}
	}
	if b.count > 0 && b.policy != PolicyOK {
		b.s.Fail(BadInput)
	}
	if b.count > shownBad {
		b.s.Warn("%s %s, the first %d are named", Thousands(b.count), b.nouns.lines, shownBad)
	}
	if b.told {
		return nil
	}
	return b.err
}
