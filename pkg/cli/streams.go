package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Streams is what a command has of its process: the standard streams, what is
// known about them, and the messages and exit status of the run.
//
// The exported fields are set by whoever starts the command and are fixed
// while it runs. The zero value reads nothing and writes nowhere. The methods
// may be called from any goroutine.
type Streams struct {
	// Name is the command's name, the prefix of messages. Exec sets it.
	Name string
	// In, Out and Err are the standard streams. Inside Run, Out is never
	// nil, is not buffered (write whole lines, many at once), and handles
	// errors: the first one cancels Run's context and is returned by every
	// later write; ErrClosed if the reader went away. Exec reports it, Run
	// need only return.
	In       io.Reader
	Out, Err io.Writer
	// Whether they are terminals.
	InTerminal, OutTerminal, ErrTerminal bool
	// Columns is the width of the terminal; 0 asks it (see Width).
	Columns int
	// Env looks up an environment variable; nil: there are none.
	Env func(name string) string

	// stdout is what Out was before Exec wrapped it.
	stdout *output
	ctx    context.Context
	whole  bool // the run is the whole process
	dash   int  // see Dash

	mu     sync.Mutex
	exit   Exit
	drawn  string        // the progress line that is on the screen
	status func() string // what a status line says; set while StartProgress runs
}

// WatchOutput ends the run, as a write would that finds standard output without
// a reader (ErrClosed), when the reader goes away, so that a command that waits
// for more input need not wait until it has something to write. Where the system
// does not tell, the next write ends it. stop ends the watching.
func (s *Streams) WatchOutput() (stop func()) {
	if s.stdout != nil {
		if f, ok := s.stdout.w.(*os.File); ok {
			return awaitHangup(f, s.stdout.closed)
		}
	}
	return func() {}
}

// Dash returns how many operands stand before the word "--" that ends the flags, -1
// if there is none.
func (s *Streams) Dash() int { return s.dash }

// CloseOut ends standard output, to which nothing is written any more, and returns
// the first error that it ever had: nil says that all that was written has been taken.
// Only that of a process is closed, which is when some file systems say that data
// was lost.
func (s *Streams) CloseOut() error {
	if s.stdout == nil {
		return nil
	}
	if s.whole {
		s.stdout.close()
	}
	return s.stdout.firstErr()
}

// Child returns what runs a program as part of this run: its standard output and
// error are those of the run, and what is written to stdin is its standard input.
// The caller starts it, closes the reading end, which is c.Stdin, once it is
// started, and closes stdin.
func (s *Streams) Child(name string, args ...string) (c *exec.Cmd, stdin *os.File, err error) {
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	enlargePipe(stdin)
	c = exec.Command(name, args...)
	c.Stdin, c.Stdout, c.Stderr = in, s.Out, s.Err
	if s.stdout != nil {
		c.Stdout = s.stdout.w
	}
	return c, stdin, nil
}

// Getenv returns an environment variable, "" if it is not set.
func (s *Streams) Getenv(name string) string {
	if s.Env == nil {
		return ""
	}
	return s.Env(name)
}

// Width returns the columns of the terminal that output or messages go to, as
// it is now; 0 if there is none.
func (s *Streams) Width() int {
	if s.Columns > 0 {
		return s.Columns
	}
	cols, _ := s.size()
	return cols
}

// Height returns the lines of that terminal; 0 if there is none.
func (s *Streams) Height() int {
	_, rows := s.size()
	return rows
}

func (s *Streams) size() (cols, rows int) {
	out := s.Out
	if s.stdout != nil {
		out = s.stdout.w
	}
	for _, w := range []io.Writer{out, s.Err} {
		if f, ok := w.(*os.File); ok {
			if cols, rows := terminalSize(f); cols > 0 {
				return cols, rows
			}
		}
	}
	return 0, 0
}

// UTF8 says whether the locale is one of UTF-8.
func (s *Streams) UTF8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := s.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// UseColor decides --color=mode (auto, always, never) for standard output:
// auto is colour on a terminal unless NO_COLOR is set or TERM is dumb.
func (s *Streams) UseColor(mode string) bool {
	switch mode {
	case "always":
		return true
	case "never":
		return false
	}
	return s.OutTerminal && s.Getenv("NO_COLOR") == "" && s.Getenv("TERM") != "dumb"
}

// Warn prints "logcat: …" on standard error as one line.
func (s *Streams) Warn(format string, args ...any) {
	s.print(s.Name + ": " + clean(fmt.Sprintf(format, args...)) + "\n")
}

// Hint prints "logcat: hint: …" on standard error as one line: what to type.
func (s *Streams) Hint(format string, args ...any) {
	s.Warn("hint: "+format, args...)
}

// Report prints err with its details and hints and remembers its exit status,
// or fallback if it does not say one. The process exits with the worst status
// of the run. Nothing is printed for nil, for ErrClosed and ErrStop, for a
// write error of standard output (Exec prints it, once), and for the context's
// error once Run's context is done: then the reason is known elsewhere.
func (s *Streams) Report(err error, fallback Exit) {
	if err == nil {
		return
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		if u := several.Unwrap(); len(u) > 0 && err.Error() == errors.Join(u...).Error() {
			for _, e := range u { // errors.Join: each on its own line
				s.Report(e, fallback)
			}
			return
		}
	}
	if s.quiet(err) {
		return
	}
	if errors.Is(err, ErrStop) {
		s.Fail(BadInput)
		return
	}
	s.Fail(ExitOf(err, fallback))
	text := s.Name + ": " + clean(err.Error()) + "\n"
	for e := range walk(err) {
		if e.Detail != "" {
			for line := range strings.SplitSeq(strings.TrimRight(e.Detail, "\n"), "\n") {
				// Who indents with a tab gets our indentation instead.
				text += "    " + clean(strings.TrimPrefix(line, "\t")) + "\n"
			}
		}
	}
	for e := range walk(err) {
		if e.Hint != "" {
			text += s.Name + ": hint: " + clean(e.Hint) + "\n"
		}
	}
	s.print(text)
}

func (s *Streams) quiet(err error) bool {
	if errors.Is(err, ErrClosed) {
		return true
	}
	if s.stdout != nil {
		if first := s.stdout.firstErr(); first != nil && errors.Is(err, first) {
			return true
		}
	}
	done := s.ctx != nil && s.ctx.Err() != nil
	return done && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

// Fail remembers an exit status without printing anything.
func (s *Streams) Fail(exit Exit) {
	s.mu.Lock()
	s.exit = Worse(s.exit, exit)
	s.mu.Unlock()
}

// print writes text, which is clean and ends with a newline, in one write. It
// cannot report that it failed: there is nowhere to report to.
func (s *Streams) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err == nil {
		return
	}
	if s.drawn != "" {
		text = clearLine + text + s.drawn
	}
	io.WriteString(s.Err, text)
}

// maxMessage is where a message is cut, in bytes: the longest path a system
// allows still fits beside its reason.
const maxMessage = 5000

// clean makes text safe to print as part of one line: what is not printable
// is escaped as in a Go string, and what is overlong is cut.
func clean(text string) string {
	if len(text) <= maxMessage && isClean(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if b.Len() >= maxMessage {
			b.WriteString("…")
			break
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}

func isClean(text string) bool {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return false
			}
		}
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
