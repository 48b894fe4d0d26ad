package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Command describes one command. A value serves one run: AddFlags and Run
// share the options that flags are parsed into.
type Command struct {
	Name     string   // logcat
	Summary  string   // one line, lower case, no full stop
	Synopsis []string // usage lines without "usage:", such as "logcat [-w EXPR] [LOG…]"
	Examples string   // what --help shows first: command lines, perhaps with comments
	// AddFlags declares the flags; nil if there are none. It may be called
	// several times.
	AddFlags func(*Flags)
	// Run does the work. ctx is done when a signal arrives or when standard
	// output cannot be written any more (context.Cause tells them apart);
	// Run then saves what it must and returns, with ctx's error or without.
	// What it returns is reported as Streams.Report(err, Failed) does.
	Run func(ctx context.Context, s *Streams, operands []string) error
}

// Exec runs c with arguments (without the command's name) on the given
// streams, in-process, and returns the exit status: the worst that was
// reported. When ctx is done the status is that of the signal if its cause is
// one of Main's, else Interrupted. Exec closes nothing. s is only read.
func Exec(ctx context.Context, c *Command, args []string, s *Streams) Exit {
	return run(ctx, c, args, s, false)
}

// run is Exec; whole says that c is the whole process: SIGUSR1 prints a status
// line, and standard output is closed at the end, because some file systems
// report only then that data was lost.
func run(parent context.Context, c *Command, args []string, given *Streams, whole bool) Exit {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	s := &Streams{
		Name: c.Name, In: given.In, Out: given.Out, Err: given.Err,
		InTerminal: given.InTerminal, OutTerminal: given.OutTerminal, ErrTerminal: given.ErrTerminal,
		Columns: given.Columns, Env: given.Env,
		ctx: ctx, whole: whole,
	}
	if s.In == nil {
		s.In = strings.NewReader("")
	}
	if s.Out == nil {
		s.Out = io.Discard
	}
	s.stdout = &output{w: s.Out, cancel: cancel}
	if s.OutTerminal {
		s.stdout.around = func(write func()) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.clearProgress()
			write()
		}
	}
	s.Out = s.stdout
	if whole {
		defer watchStatus(s)()
	}

	s.Report(parseAndRun(ctx, c, args, s), Failed)
	if whole {
		s.stdout.close()
	}
	if err := s.stdout.firstErr(); err != nil && err != ErrClosed {
		s.Fail(Failed)
		s.Warn("%v", err)
	}
	if parent.Err() != nil {
		s.Fail(signalExit(context.Cause(parent)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exit
}

// parseAndRun turns a panic into an error; of goroutines that c.Run starts it
// cannot know.
func parseAndRun(ctx context.Context, c *Command, args []string, s *Streams) (err error) {
	defer func() {
		if p := recover(); p != nil {
			hint := "this is a bug in logtools, please report it; LOGTOOLS_DEBUG=1 prints a trace"
			e := &Error{Exit: Failed, Err: fmt.Errorf("internal error: %v", p), Hint: hint}
			if s.Getenv("LOGTOOLS_DEBUG") != "" {
				e.Detail = strings.ReplaceAll(string(debug.Stack()), "\t", "  ")
			}
			err = e
		}
	}()
	f := newFlags(c)
	operands, dash, err := f.parse(args)
	switch {
	case errors.Is(err, errHelp):
		_, err = io.WriteString(s.Out, c.help(f, s.Width()))
		return err
	case errors.Is(err, errVersion):
		_, err = fmt.Fprintf(s.Out, "%s (logtools) %s\n", c.Name, Version())
		return err
	case err != nil:
		return err
	}
	s.dash = dash
	return c.Run(ctx, s, operands)
}

// version is set by the build: -ldflags "-X logtools/pkg/cli.version=1.2.3".
var version string

// Version returns what --version prints after the name: the release, the
// commit if the build knows it, and the platform.
func Version() string {
	v, commit := version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
		for _, set := range info.Settings {
			if set.Key == "vcs.revision" {
				commit = ", commit " + set.Value[:min(12, len(set.Value))]
			}
		}
	}
	if v == "" {
		v = "devel"
	}
	return fmt.Sprintf("%s (%s, %s/%s%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH, commit)
}

// Main runs c as this process, with the process's arguments, streams and
// signals, and returns the exit status for os.Exit. SIGINT and SIGTERM end
// Run's context; a second one kills the process at once. A closed standard
// output is an ordinary write error (ErrClosed), not SIGPIPE.
func Main(c *Command) int {
	ctx, stop := catchSignals(context.Background())
	defer stop()
	enlargePipe(os.Stdout)
	s := &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTerminal: isTerminal(os.Stdin), OutTerminal: isTerminal(os.Stdout), ErrTerminal: isTerminal(os.Stderr),
		Env: os.Getenv,
	}
	return int(run(ctx, c, os.Args[1:], s, true))
}
