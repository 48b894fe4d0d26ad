package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"
	"testing"
)

// failing writes up to a number of bytes and then fails.
type failing struct {
	bytes.Buffer
	room int
	err  error
}

func (w *failing) Write(p []byte) (int, error) {
	n := min(len(p), w.room-w.Len())
	w.Buffer.Write(p[:n])
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

func TestOutputError(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
	for name, c := range map[string]struct {
		err  error
		want result
	}{
		"disk full":    {full, result{Failed, "ab", "logcat: write stdout: no space left on device\n"}},
		"short write":  {nil, result{Failed, "ab", "logcat: write stdout: short write\n"}},
		"reader gone":  {&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}, result{OK, "ab", ""}},
		"io.Pipe gone": {io.ErrClosedPipe, result{OK, "ab", ""}},
	} {
		// Whatever Run makes of the error, it is told exactly once.
		for how, outcome := range map[string]func(ctx context.Context, err error) error{
			"returned":        func(_ context.Context, err error) error { return err },
			"joined":          func(_ context.Context, err error) error { return errors.Join(err, nil) },
			"context's error": func(ctx context.Context, _ error) error { return ctx.Err() },
			"swallowed":       func(context.Context, error) error { return nil },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				w := &failing{room: 2, err: c.err}
				got := runFunc(t, func(ctx context.Context, s *Streams) error {
					if _, err := s.Out.Write([]byte("a")); err != nil || ctx.Err() != nil {
						t.Errorf("first write: %v, %v", err, ctx.Err())
					}
					n, err := s.Out.Write([]byte("bc"))
					if n != 1 || err == nil {
						t.Errorf("wrote %d, %v", n, err)
					}
					if ctx.Err() == nil || context.Cause(ctx) != err {
						t.Errorf("context says %v, cause %v", ctx.Err(), context.Cause(ctx))
					}
					w.room = 99
					if n, again := s.Out.Write([]byte("x")); n != 0 || again != err {
						t.Errorf("after the error: wrote %d, %v", n, again)
					}
					if quiet := c.want.exit == OK; quiet != errors.Is(err, ErrClosed) {
						t.Errorf("error is %v", err)
					}
					return outcome(ctx, err)
				}, func(s *Streams) { s.Out = w })
				got.out = w.String()
				if got != c.want {
					t.Errorf("got  %#v\nwant %#v", got, c.want)
				}
			})
		}
	}
}

// What went wrong before the reader left still counts.
func TestClosedKeepsStatus(t *testing.T) {
	got := runFunc(t, func(_ context.Context, s *Streams) error {
		s.Report(errors.New("x"), Failed)
		_, err := s.Out.Write([]byte("a"))
		return err
	}, func(s *Streams) { s.Out = &failing{err: syscall.EPIPE} })
	if got != (result{Failed, "", "logcat: x\n"}) {
		t.Errorf("got %#v", got)
	}
}

type closer struct {
	bytes.Buffer
	err    error
	closed int
}

func (c *closer) Close() error { c.closed++; return c.err }

func TestCloseOutput(t *testing.T) {
	c := &Command{Name: "logcat", Run: func(_ context.Context, s *Streams, _ []string) error {
		_, err := io.WriteString(s.Out, "a")
		return err
	}}
	var errs bytes.Buffer
	out := &closer{err: syscall.EDQUOT}
	exit := run(t.Context(), c, nil, &Streams{Out: out, Err: &errs}, true)
	if want := "logcat: close stdout: " + syscall.EDQUOT.Error() + "\n"; exit != Failed || errs.String() != want {
		t.Errorf("exit %d, %q; want %q", exit, errs.String(), want)
	}
	if out = new(closer); Exec(t.Context(), c, nil, &Streams{Out: out}) != OK || out.closed != 0 {
		t.Error("Exec closes the caller's stream")
	}
}

func TestCanceledRun(t *testing.T) {
	for name, c := range map[string]struct {
		cause error
		want  Exit
	}{
		"by the caller": {nil, Interrupted},
		"SIGINT":        {&signalError{syscall.SIGINT, Interrupted}, Interrupted},
		"SIGTERM":       {&signalError{syscall.SIGTERM, Terminated}, Terminated},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			var errs bytes.Buffer
			exit := Exec(ctx, &Command{Name: "logcat", Run: func(ctx context.Context, s *Streams, _ []string) error {
				s.Fail(BadInput)
				cancel(c.cause)
				<-ctx.Done()
				return ctx.Err()
			}}, nil, &Streams{Err: &errs})
			if exit != c.want || errs.Len() > 0 {
				t.Errorf("exit %d, %q; want %d", exit, errs.String(), c.want)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	f := func(context.Context, *Streams) error { panic("ouch\x1b") }
	got := runFunc(t, f)
	want := result{Failed, "", "logcat: internal error: ouch\\x1b\n" +
		"logcat: hint: this is a bug in logtools, please report it; LOGTOOLS_DEBUG=1 prints a trace\n"}
	if got != want {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	got = runFunc(t, f, func(s *Streams) { s.Env = func(string) string { return "1" } })
	if !bytes.Contains([]byte(got.err), []byte("output_test.go")) {
		t.Errorf("no trace in %s", got.err)
	}
}
