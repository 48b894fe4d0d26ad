package source

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"logtools/pkg/stream"
)

const (
	truncatedNote = "app.log: was truncated: it is read from its start again"
	goneNote      = "app.log: is gone: waiting for it to come back"
)

// Each step is done when what was before it was given out, so that the looks
// come between them; TestFollowAtOnce has them without a pause.
func TestFollowRotation(t *testing.T) {
	type step struct {
		do   func(s scene, f *follower)
		want string // what came so far; "" does not wait
	}
	app := func(text string) func(scene, *follower) {
		return func(s scene, _ *follower) { s.append("app.log", text) }
	}
	mv := func(from, to string) func(scene, *follower) {
		return func(s scene, _ *follower) { s.rename(from, to) }
	}
	for _, tt := range []struct {
		name  string
		start string
		steps []step
		notes []string
	}{
		{"append", "a\n", []step{{app("b\n"), "[a\n|b\n"}, {app("c"), ""}, {app("d\ne"), "[a\n|b\ncd\n"}, {app("\n"), "[a\n|b\ncd\ne\n"}}, nil},
		{"empty at first", "", []step{{app("\ufeffa\n"), "[|a\n"}}, nil},
		{"mark", "\ufeffa\n", []step{{app("b\n"), "[a\n|b\n"}}, nil},
		{"unfinished at first", "a\nb", []step{{nil, "[a\n|"}, {app("c\n"), "[a\n|bc\n"}}, nil},
		{"rename and create", "a\n", []step{
			{app("b\n"), "[a\n|b\n"}, {mv("app.log", "app.log.1"), ""}, {app("c\n"), "[a\n|b\n[c\n"}, {app("d\n"), "[a\n|b\n[c\nd\n"},
		}, nil},
		{"the writer goes on with the old file", "a\n", []step{
			{func(s scene, f *follower) {
				w := s.writer("app.log")
				defer w.Close()
				f.wait(0, "[a\n|")
				s.rename("app.log", "app.log.1")
				io.WriteString(w, "b\n")
				f.wait(0, "[a\n|b\n")
				s.append("app.log", "")
				time.Sleep(paces["watching"].keep + 100*time.Millisecond) // it is not old before the new one is used
				io.WriteString(w, "c\n")
				f.wait(0, "[a\n|b\nc\n")
				s.append("app.log", "d\n")
				f.wait(0, "[a\n|b\nc\n[d\n")
				io.WriteString(w, "late\n")
				f.wait(0, "[a\n|b\nc\n[d\nlate\n")
				s.append("app.log", "e\n")
			}, "[a\n|b\nc\n[d\nlate\ne\n"},
		}, nil},
		{"moved to another directory while it is written", "a\n", []step{
			{func(s scene, f *follower) {
				w := s.writer("app.log")
				defer w.Close()
				f.wait(0, "[a\n|")
				s.must(os.Mkdir(s.path("old"), 0o777))
				s.rename("app.log", "old/app.log")
				io.WriteString(w, "b\n")
				f.wait(0, "[a\n|b\n")
				s.append("app.log", "c\n")
			}, "[a\n|b\n[c\n"},
		}, nil},
		{"unfinished line at rotation", "a\n", []step{
			{app("b\nunfin"), "[a\n|b\n"}, {mv("app.log", "app.log.1"), ""}, {app("c\n"), "[a\n|b\nunfin[c\n"},
		}, nil},
		{"unfinished line that is finished after rotation", "a\n", []step{
			{app("b\nunfin"), "[a\n|b\n"},
			{func(s scene, f *follower) {
				s.rename("app.log", "app.log.1")
				s.append("app.log", "c\n")
				s.append("app.log.1", "ished\n")
			}, "[a\n|b\nunfinished\n[c\n"},
		}, nil},
		{"unfinished line and an empty new file", "a\n", []step{
			{app("b"), "[a\n|"}, {mv("app.log", "app.log.1"), ""}, {app(""), "[a\n|b"},
		}, nil},
		{"truncated", "a\nb\nc\n", []step{
			{nil, "[a\nb\nc\n|"},
			{func(s scene, _ *follower) { s.must(os.Truncate(s.path("app.log"), 0)) }, ""},
			{app("d\n"), "[a\nb\nc\n|[d\n"},
		}, []string{truncatedNote}},
		{"copytruncate and outgrown", "a\nb\nc\n", []step{
			{nil, "[a\nb\nc\n|"},
			{func(s scene, _ *follower) { s.must(os.WriteFile(s.path("app.log"), []byte("x\ny\nz\nmore\n"), 0o666)) },
				"[a\nb\nc\n|[x\ny\nz\nmore\n"},
		}, []string{truncatedNote}},
		{"an unfinished line is taken back", "a\n", []step{
			{app("bcd"), "[a\n|"},
			{func(s scene, _ *follower) { s.must(os.Truncate(s.path("app.log"), 2)) }, ""},
			{app("e\n"), "[a\n|e\n"},
		}, nil},
		{"delete and create", "a\n", []step{
			{nil, "[a\n|"},
			{func(s scene, _ *follower) { s.must(os.Remove(s.path("app.log"))) }, ""},
			{app("b\n"), "[a\n|[b\n"},
		}, nil},
		{"deleted while it is written", "a\n", []step{
			{func(s scene, f *follower) {
				w := s.writer("app.log")
				defer w.Close()
				f.wait(0, "[a\n|")
				s.must(os.Remove(s.path("app.log")))
				io.WriteString(w, "b\nc")
				f.wait(0, "[a\n|b\n")
				time.Sleep(100 * time.Millisecond)
				s.append("app.log", "d\n")
			}, "[a\n|b\nc[d\n"},
		}, []string{goneNote}},
		{"gone for long", "a\n", []step{
			{app("b"), "[a\n|"},
			{func(s scene, f *follower) {
				s.must(os.Remove(s.path("app.log")))
				f.wait(0, "[a\n|b") // and lets go of it
				f.waitNote(goneNote)
			}, ""},
			{app("c\n"), "[a\n|b[c\n"},
		}, []string{goneNote}},
		{"gone twice", "a\n", []step{
			{nil, "[a\n|"},
			{mv("app.log", "x"), ""},
			{func(s scene, f *follower) { f.waitNote(goneNote); s.rename("x", "app.log"); f.waitPresent() }, ""},
			{app("b\n"), "[a\n|b\n"},
			{mv("app.log", "x"), ""},
			{func(s scene, f *follower) { f.waitNote(goneNote, goneNote); s.rename("x", "app.log"); f.waitPresent() }, ""},
			{app("c\n"), "[a\n|b\nc\n"},
		}, []string{goneNote, goneNote}},
		{"renamed over", "a\n", []step{
			{nil, "[a\n|"},
			{func(s scene, _ *follower) { s.append("new", "b\n"); s.rename("new", "app.log") }, "[a\n|[b\n"},
			{app("c\n"), "[a\n|[b\nc\n"},
		}, nil},
		{"the old file comes back", "a\n", []step{
			{nil, "[a\n|"},
			{mv("app.log", "x"), ""}, {app("b\n"), "[a\n|[b\n"},
			{mv("app.log", "y"), ""}, {mv("x", "app.log"), ""}, {app("c\n"), "[a\n|[b\nc\n"},
		}, nil},
		{"a directory takes the name", "a\n", []step{
			{nil, "[a\n|"},
			{func(s scene, f *follower) {
				s.rename("app.log", "x")
				s.must(os.Mkdir(s.path("app.log"), 0o777))
				f.waitNote("app.log: cannot be read, waiting: is a directory")
				s.must(os.Remove(s.path("app.log")))
			}, ""},
			{app("b\n"), "[a\n|[b\n"},
		}, []string{"app.log: cannot be read, waiting: is a directory"}},
		{"compressed data takes the name", "a\n", []step{
			{nil, "[a\n|"},
			{mv("app.log", "x"), ""},
			{app(string(gzipped([]byte("b\n")))), "[a\n|!compressed data cannot be followed"},
			{mv("app.log", "y"), ""},
			{app("c\n"), "[a\n|!compressed data cannot be followed[c\n"},
		}, nil},
	} {
		for name, p := range paces {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				s := scene{t, t.TempDir()}
				s.append("app.log", tt.start)
				f := startFollow(t, p, Options{}, s.path("app.log"))
				f.waitLive()
				for _, st := range tt.steps {
					if st.do != nil {
						st.do(s, f)
					}
					if st.want != "" {
						f.wait(0, st.want)
					}
				}
				f.waitNote(tt.notes...)
			})
		}
	}
}

// Steps that nobody looks between: what can be found is found.
func TestFollowAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(s scene)
		want string
	}{
		{"two rotations", func(s scene) {
			s.rename("app.log", "app.log.1")
			s.append("app.log", "b\n")
			s.rename("app.log.1", "app.log.2")
			s.rename("app.log", "app.log.1")
			s.append("app.log", "c\n")
		}, "[a\nz\n|[b\n[c\n"},
		{"twelve rotations", func(s scene) {
			for k := range 12 {
				for i := k; i > 0; i-- {
					s.rename(fmt.Sprint("app.log.", i), fmt.Sprint("app.log.", i+1))
				}
				s.rename("app.log", "app.log.1")
				s.append("app.log", fmt.Sprintln(k))
			}
		}, "[a\nz\n|[0\n[1\n[2\n[3\n[4\n[5\n[6\n[7\n[8\n[9\n[10\n[11\n"},
		{"dates", func(s scene) {
			s.append("app.log-20260301", "older\n")
			for _, day := range []string{"0302", "0303", "0304"} {
				s.rename("app.log", "app.log-2026"+day)
				s.append("app.log", day+"\n")
			}
		}, "[a\nz\n|[0302\n[0303\n[0304\n"},
		{"dates before the extension", func(s scene) {
			s.append("app-2025-01-01T00-00-00.000.log", "older\n")
			for _, day := range []string{"02", "03"} {
				s.rename("app.log", "app-2026-03-"+day+"T00-00-00.000.log")
				s.append("app.log", day+"\n")
			}
		}, "[a\nz\n|[02\n[03\n"},
		{"the first was deleted", func(s scene) {
			s.rename("app.log", "app.log.1")
			s.append("app.log", "b\n")
			s.must(os.Remove(s.path("app.log.1")))
			s.rename("app.log", "app.log.1")
			s.append("app.log", "c\n")
		}, "[a\nz\n|[b\n[c\n"},
		{"others of similar names", func(s scene) {
			s.append("app.log.err", "no\n")
			s.append("app-errors.log", "no\n")
			s.append("app.log.1.gz", "no\n")
			s.append("app.log.0", "older\n")
			s.must(os.Chtimes(s.path("app.log.0"), time.Unix(1e9, 0), time.Unix(1e9, 0)))
			s.rename("app.log", "elsewhere")
			s.append("app.log", "b\n")
		}, "[a\nz\n|[b\n"},
		{"a rotated file that was compressed", func(s scene) {
			s.rename("app.log", "app.log-20260302")
			s.append("app.log-20260303", string(gzipped([]byte("no\n"))))
			s.append("app.log", "c\n")
		}, "[a\nz\n|!compressed data cannot be followed[c\n"},
	} {
		for name, p := range paces {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				s := scene{t, t.TempDir()}
				s.append("app.log", "a\nz\n")
				f := startFollow(t, p, Options{}, s.path("app.log"))
				f.wait(0, "[a\nz\n|")
				f.Follower.mu.Lock() // nobody looks
				time.Sleep(30 * time.Millisecond)
				tt.do(s)
				f.Follower.mu.Unlock()
				f.wait(0, tt.want)
			})
		}
	}
}

func TestFollowLink(t *testing.T) {
	for name, p := range paces {
		t.Run(name, func(t *testing.T) {
			s := scene{t, t.TempDir()}
			s.must(os.Mkdir(s.path("d"), 0o777))
			s.append("d/1", "a\n")
			s.append("2", "c\n")
			if err := os.Symlink(filepath.Join("d", "1"), s.path("app.log")); err != nil {
				t.Skip(err)
			}
			f := startFollow(t, p, Options{}, s.path("app.log"))
			f.wait(0, "[a\n|")
			s.append("d/1", "b\n")
			f.wait(0, "[a\n|b\n")
			s.must(os.Symlink("2", s.path("new")))
			s.rename("new", "app.log")
			f.wait(0, "[a\n|b\n[c\n")
			s.append("2", "d\n")
			f.wait(0, "[a\n|b\n[c\nd\n")
			s.append("d/1", "late\n")
			f.wait(0, "[a\n|b\n[c\nd\nlate\n")
		})
	}
}

// A directory that is replaced is another one to watch.
func TestFollowDirectory(t *testing.T) {
	for name, p := range paces {
		t.Run(name, func(t *testing.T) {
			p.slow = 50 * time.Millisecond
			s := scene{t, t.TempDir()}
			f := startFollow(t, p, Options{}, s.path("d/app.log"))
			f.wait(0, "!no such file or directory|")
			s.must(os.Mkdir(s.path("d"), 0o777))
			s.append("d/app.log", "a\n")
			f.wait(0, "!no such file or directory|[a\n")
			s.rename("d", "e")
			s.must(os.Mkdir(s.path("d"), 0o777))
			s.append("d/app.log", "b\n")
			f.wait(0, "!no such file or directory|[a\n[b\n")
			s.append("d/app.log", "c\n")
			f.wait(0, "!no such file or directory|[a\n[b\nc\n")
		})
	}
}

func TestFollowSeveral(t *testing.T) {
	for name, p := range paces {
		t.Run(name, func(t *testing.T) {
			s := scene{t, t.TempDir()}
			s.append("a.log", "a1\n")
			s.append("b.log", "b1\n")
			s.append("c.gz", string(gzipped([]byte("c1\n"))))
			rd, wr := osPipe(t)
			f := startFollow(t, p, Options{Stdin: rd}, s.path("a.log"), "-", s.path("b.log"), s.path("late.log"), s.path("c.gz"), s.path(""), "-", os.DevNull)
			f.wait(0, "[a1\n|")
			f.wait(1, "|")
			f.wait(2, "[b1\n|")
			f.wait(3, "!no such file or directory|")
			f.wait(4, "[c1\n]|")
			f.wait(5, "!is a directory|")
			f.wait(6, "|[]")
			f.wait(7, "|[]")
			f.waitNote("c.gz: is compressed: it is read once and not followed")
			io.WriteString(wr, "p1\nunfinished")
			s.append("b.log", "b2\n")
			s.append("late.log", "l1\n")
			s.append("a.log", "a2\n")
			f.wait(0, "[a1\n|a2\n")
			f.wait(1, "|[p1\n")
			f.wait(2, "[b1\n|b2\n")
			f.wait(3, "!no such file or directory|[l1\n")
			wr.Close()
			f.wait(1, "|[p1\nunfinished]")
			s.append("a.log", "a3\n")
			f.wait(0, "[a1\n|a2\na3\n")
		})
	}
}

// What is not followed ends.
func TestFollowEnds(t *testing.T) {
	s := scene{t, t.TempDir()}
	s.append("c.gz", string(gzipped([]byte("c1\n"))))
	f := startFollow(t, usualPace, Options{Stdin: strings.NewReader("p\n")}, s.path("c.gz"), "-")
	f.wg.Wait()
	if f.wait(0, "[c1\n]|"); f.script(1) != "|[p\n]" {
		t.Errorf("%q", f.script(1))
	}
	if !slices.Equal(f.ended, []error{io.EOF, io.EOF}) {
		t.Errorf("ended with %v", f.ended)
	}
}

func TestFollowStdinFile(t *testing.T) {
	s := scene{t, t.TempDir()}
	s.append("app.log", "skip\na\nb")
	in, err := os.Open(s.path("app.log"))
	s.must(err)
	defer in.Close()
	in.Seek(5, io.SeekStart)
	f := startFollow(t, paces["watching"], Options{Stdin: in})
	f.wait(0, "[a\n|")
	s.append("app.log", "c\n")
	f.wait(0, "[a\n|bc\n")
	s.must(os.Truncate(s.path("app.log"), 0))
	s.append("app.log", "d\n")
	f.wait(0, "[a\n|bc\n[d\n")
	f.Close()
	if at := offset(in); at != 2 {
		t.Errorf("standard input is left at %d", at)
	}
}

// Overlong lines come in pieces that belong together, once they have ended.
func TestFollowLong(t *testing.T) {
	for name, p := range paces {
		t.Run(name, func(t *testing.T) {
			s := scene{t, t.TempDir()}
			long := strings.Repeat("x", 1000)
			s.append("app.log", "a\n"+long+"1\nb\n"+long)
			s.append("b.log", "1\n")
			f := startFollow(t, p, Options{MaxLine: 200, BlockSize: 64}, s.path("app.log"), s.path("b.log"))
			f.wait(0, "[a\n"+long+"1b\n|")
			for i := range 20 {
				s.append("app.log", strings.Repeat("y", 100))
				s.append("b.log", fmt.Sprintln(i))
			}
			s.append("app.log", "z\nc\n"+strings.Repeat("m", 150)+"\n")
			y := strings.Repeat("y", 2000)
			f.wait(0, "[a\n"+long+"1b\n|"+long+y+"zc\n"+strings.Repeat("m", 150)+"\n")
			s.append("app.log", long)
			s.rename("app.log", "app.log.1")
			s.append("app.log", "d\n")
			f.wait(0, "[a\n"+long+"1b\n|"+long+y+"zc\n"+strings.Repeat("m", 150)+"\n"+long+"[d\n")
			f.wait(1, "[1\n|0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n")
		})
	}
}

func TestFollowCancelAndClose(t *testing.T) {
	s := scene{t, t.TempDir()}
	s.append("app.log", "a\n")
	f := Follow([]string{s.path("app.log")}, Options{})
	errs := make(chan error)
	ctx, cancel := context.WithCancel(context.Background())
	wait := func(ctx context.Context) {
		var b stream.Block
		for {
			if err := f.Next(ctx, &b); err != nil {
				errs <- err
				return
			}
		}
	}
	for _, end := range []struct {
		ctx  context.Context
		do   func()
		want error
	}{
		{ctx, cancel, context.Canceled},
		{context.Background(), func() { f.Close() }, os.ErrClosed},
	} {
		for range 3 {
			go wait(end.ctx)
		}
		time.Sleep(20 * time.Millisecond)
		start := time.Now()
		end.do()
		for range 3 {
			if err := <-errs; err != end.want {
				t.Errorf("Next: %v, want %v", err, end.want)
			}
		}
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("took %v", d)
		}
	}
	var b stream.Block
	if err := f.Next(context.Background(), &b); err != os.ErrClosed {
		t.Errorf("Next after Close: %v", err)
	}
	f.Close()
}

func TestFollowProgress(t *testing.T) {
	s := scene{t, t.TempDir()}
	s.append("app.log", "\ufeffa\nb")
	f := startFollow(t, paces["watching"], Options{}, s.path("app.log"))
	f.wait(0, "[a\n|")
	s.append("app.log", "c\n")
	f.wait(0, "[a\n|bc\n")
	if done, total := f.Progress(); done != 8 || total != -1 {
		t.Errorf("%d of %d", done, total)
	}
}

func TestRotation(t *testing.T) {
	for _, tt := range []struct{ base, name, affix, version string }{
		{"app.log", "app.log.1", "app.log.*", "1"},
		{"app.log", "app.log-20260314", "app.log-*", "20260314"},
		{"app.log", "app.log.2026-03-14", "app.log.*", "2026-03-14"},
		{"app.log", "app-2026-03-14.log", "app-*.log", "2026-03-14"},
		{"app.log", "app.1.log", "app.*.log", "1"},
		{"app.log", "app_2.log", "app_*.log", "2"},
		{"log", "log.7", "log.*", "7"},
		{".log", ".log.7", ".log.*", "7"},
		{"app.log", "app.log", "", ""},
		{"app.log", "app.log.", "", ""},
		{"app.log", "app.log.old", "", ""},
		{"app.log", "app.log1", "", ""},
		{"app.log", "app2.log", "", ""},
		{"app.log", "app-errors.log", "", ""},
		{"app.log", "app.log.1.gz", "", ""},
		{"app.log", "app.log-20260314.zst", "", ""},
		{"app.log", "my.app.log.1", "", ""},
		{"app.log", "", "", ""},
		{"", "1", "", ""},
	} {
		affix, version := rotation(tt.base, tt.name)
		if affix != tt.affix || version != tt.version {
			t.Errorf("%s of %s: %q, %q", tt.name, tt.base, affix, version)
		}
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"2", "1", -1}, {"10", "9", -1}, {"1", "1", 0}, {"20260313", "20260314", -1}, {"2026-03-14", "2026-03-14.1", -1}, {"1", "20260314", 0},
	} {
		if got := compareVersions(tt.a, tt.b); max(-1, min(got, 1)) != tt.want || max(-1, min(compareVersions(tt.b, tt.a), 1)) != -tt.want {
			t.Errorf("%s, %s: %d", tt.a, tt.b, got)
		}
	}
}
