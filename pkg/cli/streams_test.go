package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

// result is what a run in-process left behind.
type result struct {
	exit     Exit
	out, err string
}

// runFunc runs f as the command "logcat" with its standard error captured.
func runFunc(t *testing.T, f func(ctx context.Context, s *Streams) error, change ...func(*Streams)) result {
	t.Helper()
	c := &Command{Name: "logcat", Run: func(ctx context.Context, s *Streams, _ []string) error { return f(ctx, s) }}
	return execCommand(t, c, nil, change...)
}

func execCommand(t *testing.T, c *Command, args []string, change ...func(*Streams)) result {
	t.Helper()
	var out, errs bytes.Buffer
	s := &Streams{Out: &out, Err: &errs}
	for _, f := range change {
		f(s)
	}
	exit := Exec(t.Context(), c, args, s)
	return result{exit, out.String(), errs.String()}
}

func TestReport(t *testing.T) {
	plain := errors.New("x")
	for name, c := range map[string]struct {
		report   []error // reported by Run
		returned error
		want     result
	}{
		"nothing": {nil, nil, result{OK, "", ""}},
		"an error": {nil, &fs.PathError{Op: "open", Path: "nosuch.log", Err: errors.New("no such file or directory")},
			result{Failed, "", "logcat: open nosuch.log: no such file or directory\n"}},
		"usage":  {nil, Usagef("a %d", 1), result{Usage, "", "logcat: a 1\n"}},
		"a hint": {nil, WithHint(plain, "try -t"), result{Failed, "", "logcat: x\nlogcat: hint: try -t\n"}},
		"two hints": {nil, WithHint(WithHint(plain, "inner"), "outer"),
			result{Failed, "", "logcat: x\nlogcat: hint: outer\nlogcat: hint: inner\n"}},
		"details": {nil, &Error{Exit: Usage, Err: plain, Detail: ".a == }\n      ^\n", Hint: "h"},
			result{Usage, "", "logcat: x\n    .a == }\n          ^\nlogcat: hint: h\n"}},
		"indented details": {nil, &Error{Err: plain, Detail: "\t.a\tb\n\t ^"},
			result{Failed, "", "logcat: x\n    .a\\tb\n     ^\n"}},
		"hostile details": {nil, &Error{Err: plain, Detail: "a\x1b[2Jb"},
			result{Failed, "", "logcat: x\n    a\\x1b[2Jb\n"}},
		"joined": {nil, errors.Join(Usagef("a"), errors.New("b"), ErrClosed, ErrStop),
			result{Usage, "", "logcat: a\nlogcat: b\n"}},
		"joined alone": {nil, errors.Join(plain, nil), result{Failed, "", "logcat: x\n"}},
		"the worst counts": {[]error{plain, WithExit(plain, Damaged), WithExit(plain, BadInput)}, nil,
			result{Damaged, "", "logcat: x\nlogcat: x\nlogcat: x\n"}},
		"newline in a name": {nil, errors.New("open a\nlogcat: hint: rm -rf /"),
			result{Failed, "", "logcat: open a\\nlogcat: hint: rm -rf /\n"}},
		"closed":         {nil, fmt.Errorf("x: %w", ErrClosed), result{OK, "", ""}},
		"stopped":        {nil, ErrStop, result{BadInput, "", ""}},
		"canceled alone": {nil, context.Canceled, result{Failed, "", "logcat: context canceled\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := runFunc(t, func(_ context.Context, s *Streams) error {
				for _, err := range c.report {
					s.Report(err, Failed)
				}
				return c.returned
			})
			if got != c.want {
				t.Errorf("got  %#v\nwant %#v", got, c.want)
			}
		})
	}
}

func TestFail(t *testing.T) {
	got := runFunc(t, func(_ context.Context, s *Streams) error {
		s.Fail(Unmet)
		s.Fail(BadInput)
		return nil
	})
	if got != (result{Unmet, "", ""}) {
		t.Errorf("got %#v", got)
	}
}

func TestZeroStreams(t *testing.T) {
	c := &Command{Name: "x", Run: func(_ context.Context, s *Streams, _ []string) error {
		if b, err := io.ReadAll(s.In); len(b) != 0 || err != nil {
			t.Errorf("In has %q, %v", b, err)
		}
		defer s.StartProgress("always", func() (int64, int64) { return 0, 0 })()
		s.Warn("a")
		s.draw("b")
		_, err := io.WriteString(s.Out, "c")
		return err
	}}
	if e := Exec(t.Context(), c, nil, &Streams{}); e != OK {
		t.Errorf("exit %d", e)
	}
}

func TestWarnIsOneWrite(t *testing.T) {
	var w writes
	s := &Streams{Name: "logcat", Err: &w}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { s.Warn("message %d", i) })
	}
	wg.Wait()
	if len(w) != 8 {
		t.Fatalf("%d writes, want 8", len(w))
	}
	for _, line := range w {
		if !strings.HasPrefix(line, "logcat: message ") || !strings.HasSuffix(line, "\n") {
			t.Errorf("%q", line)
		}
	}
}

// writes keeps what each Write got.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain text", "plain text"},
		{"größe 日本 🎉", "größe 日本 🎉"},
		{"a\x1b[31mb", `a\x1b[31mb`},
		{"a\nb\tc\rd\x00\x7f", `a\nb\tc\rd\x00\x7f`},
		{"c1 \u009b2J", `c1 \u009b2J`},
		{"bad \xff\xc3", `bad \xff\xc3`},
		{"\ufffd", "\ufffd"},
		{"bidi \u202e\u2066", `bidi \u202e\u2066`},
		{"nbsp \u00a0", `nbsp \u00a0`},
		{"quote ' and \\ stay\x01", `quote ' and \ stay\x01`},
		{strings.Repeat("x", maxMessage), strings.Repeat("x", maxMessage)},
		{strings.Repeat("x", maxMessage+1), strings.Repeat("x", maxMessage) + "…"},
	} {
		if got := clean(c.in); got != c.want {
			t.Errorf("clean(%.40q) = %.80q, want %.80q", c.in, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("plain")
	f.Add("a\x1b[31m\xff\u202e")
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("clean(%q) = %q has %U", text, got, r)
			}
		}
		if len(got) > maxMessage+16 {
			t.Errorf("%d bytes", len(got))
		}
		if clean(got) != got && len(got) < maxMessage {
			t.Errorf("clean changes its own result %q", got)
		}
	})
}

func TestUseColor(t *testing.T) {
	for _, c := range []struct {
		mode     string
		terminal bool
		env      map[string]string
		want     bool
	}{
		{"auto", true, nil, true},
		{"auto", false, nil, false},
		{"auto", true, map[string]string{"NO_COLOR": "1"}, false},
		{"auto", true, map[string]string{"NO_COLOR": ""}, true},
		{"auto", true, map[string]string{"TERM": "dumb"}, false},
		{"auto", true, map[string]string{"TERM": "xterm"}, true},
		{"always", false, map[string]string{"NO_COLOR": "1"}, true},
		{"never", true, nil, false},
	} {
		s := &Streams{OutTerminal: c.terminal, Env: func(name string) string { return c.env[name] }}
		if got := s.UseColor(c.mode); got != c.want {
			t.Errorf("UseColor(%q) on terminal %v with %v: %v", c.mode, c.terminal, c.env, got)
		}
	}
}

func TestWidth(t *testing.T) {
	if got := (&Streams{Columns: 33}).Width(); got != 33 {
		t.Errorf("got %d", got)
	}
	if got := (&Streams{Out: io.Discard}).Width(); got != 0 {
		t.Errorf("of no terminal: got %d", got)
	}
}

// A command knows which operands stood behind "--".
func TestDash(t *testing.T) {
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"a", "b"}, -1},
		{[]string{"a", "--", "b", "-x"}, 1},
		{[]string{"--"}, 0},
		{[]string{"a", "--", "b", "--", "c"}, 1},
	} {
		got := -2
		c := &Command{Name: "logcat", Run: func(_ context.Context, s *Streams, _ []string) error {
			got = s.Dash()
			return nil
		}}
		if execCommand(t, c, test.args); got != test.want {
			t.Errorf("%q: %d, want %d", test.args, got, test.want)
		}
	}
}

// closing is an output that can be closed, perhaps not well.
type closing struct {
	bytes.Buffer
	err    error
	closed int
}

func (c *closing) Close() error {
	c.closed++
	return c.err
}

// CloseOut closes the output of a process, once, and says whether all was taken.
func TestCloseOut(t *testing.T) {
	full := errors.New("no space")
	for _, whole := range []bool{false, true} {
		for _, err := range []error{nil, full} {
			out := &closing{err: err}
			var got error
			c := &Command{Name: "logcat", Run: func(_ context.Context, s *Streams, _ []string) error {
				s.Out.Write([]byte("x"))
				got = s.CloseOut()
				return got
			}}
			var errs bytes.Buffer
			exit := run(t.Context(), c, nil, &Streams{Out: out, Err: &errs}, whole)
			if failed := whole && err != nil; failed != (got != nil) || failed != (exit == Failed) || failed != (errs.String() == "logcat: close stdout: no space\n") {
				t.Errorf("whole %v, %v: %v, exit %d, %q", whole, err, got, exit, &errs)
			}
			if want := map[bool]int{true: 1}[whole]; out.closed != want {
				t.Errorf("whole %v: closed %d times", whole, out.closed)
			}
		}
	}
}
