package cli

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		elapsed     time.Duration
		want        string
	}{
		{312e6, 629e6, 400 * time.Millisecond, "312 MB of 629 MB  49%  780 MB/s  0:00 left"},
		{100e6, 1000e6, 10 * time.Second, "100 MB of 1.0 GB  10%  10 MB/s  1:30 left"},
		{1e6, 10e9, time.Second, "1.0 MB of 10 GB  0%  1.0 MB/s  2:46:39 left"},
		{1, 1e9, time.Second, "1 B of 1.0 GB  0%  1 B/s  11574 days left"},
		{312e6, -1, 65 * time.Second, "312 MB  4.8 MB/s  1:05"},
		{0, 100, 5 * time.Second, "0 B of 100 B  0%  0 B/s  0:05"},
		{0, 0, 0, "0 B  0 B/s  0:00"},
		{200, 100, time.Second, "100 B of 100 B  100%  200 B/s  0:00 left"}, // the file grew
		{999, 1000, time.Second, "999 B of 1.0 kB  99%  999 B/s  0:00 left"},
	} {
		got := progressLine(c.done, c.total, c.elapsed)
		if c.done == 1 {
			c.want = strings.Replace(c.want, "11574", "9999", 1)
		}
		if got != c.want {
			t.Errorf("%d of %d in %v:\ngot  %q\nwant %q", c.done, c.total, c.elapsed, got, c.want)
		}
	}
}

// What standard error gets in a run of so many seconds that does half of its
// work and prints one message at the end.
func TestProgress(t *testing.T) {
	term := func(s *Streams) { s.ErrTerminal = true }
	for name, c := range map[string]struct {
		mode   string
		change func(*Streams)
		length time.Duration
		want   string
	}{
		"short":        {"auto", term, 900 * time.Millisecond, "logcat: end\n"},
		"no terminal":  {"auto", func(*Streams) {}, 3 * time.Second, "logcat: end\n"},
		"dumb":         {"auto", func(s *Streams) { term(s); s.Env = func(string) string { return "dumb" } }, 3 * time.Second, "logcat: end\n"},
		"never":        {"never", term, 3 * time.Second, "logcat: end\n"},
		"always, file": {"always", func(*Streams) {}, 2500 * time.Millisecond, "logcat: 50 B of 100 B  50%  50 B/s  0:01 left\nlogcat: 50 B of 100 B  50%  25 B/s  0:02 left\nlogcat: end\n"},
		"terminal": {"auto", term, 1300 * time.Millisecond,
			"\r\x1b[Klogcat: 50 B of 100 B  50%  50 B/s  0:01 left" +
				"\r\x1b[Klogcat: 50 B of 100 B  50%  42 B/s  0:01 left" +
				"\r\x1b[Klogcat: end\nlogcat: 50 B of 100 B  50%  42 B/s  0:01 left" +
				"\r\x1b[K"},
		"narrow": {"auto", func(s *Streams) { term(s); s.Columns = 20 }, 1100 * time.Millisecond,
			"\r\x1b[Klogcat: 50 B of 100" + "\r\x1b[Klogcat: end\nlogcat: 50 B of 100" + "\r\x1b[K"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := runFunc(t, func(_ context.Context, s *Streams) error {
					stop := s.StartProgress(c.mode, func() (int64, int64) { return 50, 100 })
					defer stop()
					time.Sleep(c.length)
					s.Warn("end")
					stop()
					return nil
				}, c.change)
				if got != (result{OK, "", c.want}) {
					t.Errorf("got  %q\nwant %q", got.err, c.want)
				}
			})
		})
	}
}

// Data that goes to the same terminal takes the progress line away first.
func TestProgressBesideOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		c := &Command{Name: "logcat", Run: func(_ context.Context, s *Streams, _ []string) error {
			defer s.StartProgress("auto", func() (int64, int64) { return 5, -1 })()
			s.Out.Write([]byte("a\n"))
			time.Sleep(1050 * time.Millisecond)
			s.Out.Write([]byte("b\n"))
			return nil
		}}
		Exec(t.Context(), c, nil, &Streams{Out: &screen, Err: &screen, OutTerminal: true, ErrTerminal: true})
		if want := "a\n\r\x1b[Klogcat: 5 B  5 B/s  0:01\r\x1b[Kb\n"; screen.String() != want {
			t.Errorf("got %q, want %q", screen.String(), want)
		}
	})
}

// stop waits for a line that is just being made and takes it away.
func TestProgressStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		s := &Streams{Name: "logcat", Err: &screen, ErrTerminal: true}
		stop := s.StartProgress("auto", func() (int64, int64) {
			time.Sleep(300 * time.Millisecond)
			return 5, -1
		})
		time.Sleep(1100 * time.Millisecond)
		stop()
		time.Sleep(time.Second)
		if want := "\r\x1b[Klogcat: 5 B  4 B/s  0:01\r\x1b[K"; screen.String() != want {
			t.Errorf("got %q, want %q", screen.String(), want)
		}
		stop()
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var meters atomic.Int32
		got := runFunc(t, func(_ context.Context, s *Streams) error {
			s.printStatus()
			stop := s.StartProgress("never", func() (int64, int64) { meters.Add(1); return 50, 100 })
			time.Sleep(2 * time.Second)
			s.printStatus()
			stop()
			s.printStatus()
			return nil
		})
		want := "logcat: running\nlogcat: 50 B of 100 B  50%  25 B/s  0:02 left\nlogcat: running\n"
		if got.err != want || meters.Load() != 1 {
			t.Errorf("%d calls, got %q, want %q", meters.Load(), got.err, want)
		}
	})
}
