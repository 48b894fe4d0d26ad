package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var errQuote = errors.New("unterminated quote")

// addBad hands n bad lines to bad, numbered from 1.
func addBad(bad *BadLines, n int) error {
	for i := range n {
		if err := bad.Add("access.log", int64(i+1), errQuote, fmt.Appendf(nil, "line %d", i+1)); err != nil {
			return errors.Join(err, bad.Close())
		}
	}
	return bad.Close()
}

func named(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "logcat: access.log:%d: unterminated quote\n", i+1)
	}
	return b.String()
}

func TestBadLines(t *testing.T) {
	for _, c := range []struct {
		policy string
		n      int
		want   result
	}{
		{"", 0, result{OK, "", ""}},
		{"", 1, result{BadInput, "", named(1)}},
		{PolicySkip, 0, result{OK, "", ""}},
		{PolicySkip, 1, result{BadInput, "", named(1)}},
		{PolicySkip, 5, result{BadInput, "", named(5)}},
		{PolicySkip, 6, result{BadInput, "", named(5) + "logcat: 6 bad lines, the first 5 are named\n"}},
		{PolicySkip, 3012, result{BadInput, "", named(5) + "logcat: 3,012 bad lines, the first 5 are named\n"}},
		{PolicyOK, 0, result{OK, "", ""}},
		{PolicyOK, 6, result{OK, "", named(5) + "logcat: 6 bad lines, the first 5 are named\n"}},
		{PolicyFail, 0, result{OK, "", ""}},
		{PolicyFail, 6, result{BadInput, "", named(1)}},
		{"perhaps", 1, result{Usage, "", "logcat: bad input: \"perhaps\" is not skip, ok or fail\n"}},
	} {
		t.Run(fmt.Sprintf("%s %d", c.policy, c.n), func(t *testing.T) {
			rejects := filepath.Join(t.TempDir(), "rejects")
			got := runFunc(t, func(_ context.Context, s *Streams) error {
				bad, err := s.NewBadLines(c.policy, rejects)
				if err != nil {
					return err
				}
				return addBad(bad, c.n)
			})
			if got != c.want {
				t.Errorf("got  %#v\nwant %#v", got, c.want)
			}
			kept := c.n
			if c.policy == PolicyFail {
				kept = min(kept, 1)
			}
			if c.want.exit != Usage {
				checkFile(t, rejects, lines(kept))
			}
		})
	}
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i+1)
	}
	return b.String()
}

func checkFile(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); string(b) != want || err != nil {
		t.Errorf("%s holds %.200q, %v; want %.200q", path, b, err, want)
	}
}

func TestBadLineNames(t *testing.T) {
	got := runFunc(t, func(_ context.Context, s *Streams) error {
		bad, err := s.NewBadLines(PolicyOK, "")
		if err != nil {
			return err
		}
		bad.Add("-", 12, errQuote, []byte("x"))
		bad.Add("a.zip", -1, errQuote, nil)
		bad.Add("a\x1bb", 1, errors.New("bad \x07"), nil)
		if bad.Count() != 3 {
			t.Errorf("count %d", bad.Count())
		}
		return bad.Close()
	})
	want := "logcat: -:12: unterminated quote\nlogcat: a.zip: unterminated quote\nlogcat: a\\x1bb:1: bad \\a\n"
	if got != (result{OK, "", want}) {
		t.Errorf("got %#v", got)
	}
}

// The rejects file has the lines byte for byte, also what is no text, is empty,
// or comes in pieces.
func TestRejects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rejects")
	if err := os.WriteFile(path, []byte("from the last run, longer than what follows: "+lines(100)), 0o666); err != nil {
		t.Fatal(err)
	}
	piece := bytes.Repeat([]byte("z"), 100_000)
	runFunc(t, func(_ context.Context, s *Streams) error {
		bad, err := s.NewBadLines(PolicySkip, path)
		if err != nil {
			return err
		}
		checkFile(t, path, "")
		bad.Add("f", 1, errQuote, []byte("a\x00\xff\r"))
		bad.Add("f", 2, errQuote, []byte{})
		bad.RejectPart(piece)
		bad.RejectPart(piece)
		bad.RejectEnd()
		bad.Add("f", 3, errQuote, nil)
		bad.Add("f", 4, errQuote, []byte("end"))
		bad.Flush()
		checkFile(t, path, "a\x00\xff\r\n\n"+string(piece)+string(piece)+"\nend\n")
		if err := bad.Close(); err != nil {
			return err
		}
		return bad.Close()
	})
	checkFile(t, path, "a\x00\xff\r\n\n"+string(piece)+string(piece)+"\nend\n")
}

// A rejects file that is in use is refused and left as it is.
func TestRejectsInUse(t *testing.T) {
	t.Chdir(t.TempDir())
	const text = "precious\n"
	if err := os.WriteFile("in.log", []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Link("in.log", "link.log"); err != nil {
		t.Skip(err)
	}
	file, err := os.OpenFile("in.log", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, c := range map[string]struct {
		rejects string
		inputs  []string
		change  func(*Streams)
		want    string
	}{
		"operand":         {"in.log", []string{"nosuch.log", "in.log"}, nil, "in.log is also an input"},
		"operand by link": {"link.log", []string{"in.log"}, nil, "link.log is also an input"},
		"standard input":  {"in.log", nil, func(s *Streams) { s.In = file }, "in.log is also standard input"},
		"standard output": {"in.log", nil, func(s *Streams) { s.Out = file }, "in.log is also standard output"},
		"-":               {"-", nil, nil, ""},
		"a file named -":  {"./-", []string{"-"}, nil, "fine"},
	} {
		t.Run(name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*Streams) {}
			}
			got := runFunc(t, func(_ context.Context, s *Streams) error {
				bad, err := s.NewBadLines(PolicySkip, c.rejects, c.inputs...)
				if err != nil {
					return err
				}
				return bad.Close()
			}, change)
			want := result{Usage, "", "logcat: rejects file " + c.want + "\n"}
			switch c.want {
			case "":
				want.err = "logcat: rejects need a file: standard output carries data only\n"
			case "fine":
				want = result{}
			}
			if got != want {
				t.Errorf("got %#v", got)
			}
			checkFile(t, "in.log", text)
		})
	}
}

func TestRejectsCannotOpen(t *testing.T) {
	got := runFunc(t, func(_ context.Context, s *Streams) error {
		_, err := s.NewBadLines(PolicySkip, "no/such/dir/rejects")
		return err
	})
	if got.exit != Failed || !strings.HasPrefix(got.err, "logcat: open no/such/dir/rejects: ") {
		t.Errorf("got %#v", got)
	}
}

// A rejects file that cannot be written ends the run with exit 1, told once,
// whether that shows early or at the end.
func TestRejectsFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full here")
	}
	for _, n := range []int{1, 100_000} {
		added := 0
		got := runFunc(t, func(_ context.Context, s *Streams) error {
			bad, err := s.NewBadLines(PolicySkip, "/dev/full")
			if err != nil {
				return err
			}
			for range n {
				added++
				if err = bad.Add("f", -1, errQuote, []byte("x")); err != nil {
					break
				}
			}
			return errors.Join(err, bad.Close())
		})
		want := fmt.Sprintf("logcat: write /dev/full: %v\n", syscall.ENOSPC)
		if got.exit != Failed || strings.Count(got.err, want) != 1 {
			t.Errorf("%d: exit %d, %s", n, got.exit, got.err)
		}
		if n > 1 && added > 65536 {
			t.Errorf("went on after the error: %d lines", added)
		}
	}
}

// Refused events are named, counted and kept in the same way, in other words.
func TestRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "refused")
	for _, c := range []struct {
		file, err string
		n         int
		exit      Exit
	}{
		{path, "", 0, OK},
		{"", "logappend: taken: unterminated quote\n", 1, BadInput},
		{path, strings.Repeat("logappend: taken: unterminated quote\n", 5) + "logappend: 6 refused events, the first 5 are named\n", 6, BadInput},
		{"-", "logappend: refused events need a file: standard output carries data only\n", 0, Usage},
	} {
		var errs bytes.Buffer
		command := &Command{Name: "logappend", Run: func(_ context.Context, s *Streams, _ []string) error {
			b, err := s.NewRefused(c.file, "")
			if err != nil {
				return err
			}
			for i := range c.n {
				if err := b.Add("taken", -1, errQuote, fmt.Appendf(nil, "line %d", i+1)); err != nil {
					return err
				}
			}
			return b.Close()
		}}
		if exit := Exec(t.Context(), command, nil, &Streams{Err: &errs}); exit != c.exit || errs.String() != c.err {
			t.Errorf("exit %d, %s", exit, &errs)
		}
		if c.file == path {
			checkFile(t, path, lines(c.n))
		}
	}
}

func BenchmarkBadLines(b *testing.B) {
	s := &Streams{Name: "logcat"}
	bad, err := s.NewBadLines(PolicySkip, os.DevNull)
	if err != nil {
		b.Fatal(err)
	}
	raw := bytes.Repeat([]byte("x"), 200)
	b.ReportAllocs()
	for b.Loop() {
		bad.Add("access.log", 1, errQuote, raw)
	}
	bad.Close()
}
