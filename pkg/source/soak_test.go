package source

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// A writer rotates its file again and again, in all ways that lose nothing, and
// what comes out is what it wrote. LOGTOOLS_LONG does it for longer.
func TestFollowSoak(t *testing.T) {
	rotations := 500
	if os.Getenv("LOGTOOLS_LONG") != "" {
		rotations = 20000
	}
	if testing.Short() {
		rotations = 100
	}
	for name, p := range paces {
		t.Run(name, func(t *testing.T) {
			rotations := rotations
			if !p.watch {
				rotations /= 2
			}
			t.Logf("%d rotations", rotations)
			p.settle = 5 * time.Second // no line is given up
			s := scene{t, t.TempDir()}
			rnd := rand.New(rand.NewPCG(3, uint64(rotations)))
			var want bytes.Buffer
			w := s.writer("app.log")
			defer func() { w.Close() }()
			line := 0
			write := func() {
				var text []byte
				for range 1 + rnd.IntN(20) {
					text = fmt.Appendf(text, "%d %0*d\n", line, 1+rnd.IntN(60), 0)
					line++
				}
				want.Write(text)
				for len(text) > 0 {
					n := min(len(text), 1+rnd.IntN(400))
					w.Write(text[:n])
					text = text[n:]
				}
			}
			// Files that were deleted before they were seen cannot be found: the
			// oldest one goes when it was read.
			const kept = 30
			var ends []int // of the files
			var f *follower
			age := func() {
				ends = append(ends, want.Len())
				if len(ends) < kept {
					return
				}
				for start := time.Now(); f.given.Load() < int64(ends[len(ends)-kept]); time.Sleep(time.Millisecond) {
					if time.Since(start) > 8*time.Second {
						return // the comparison tells what is missing
					}
				}
			}
			shift := func() {
				age()
				os.Remove(s.path(fmt.Sprint("app.log.", kept)))
				for i := kept - 1; i > 0; i-- {
					os.Rename(s.path(fmt.Sprint("app.log.", i)), s.path(fmt.Sprint("app.log.", i+1)))
				}
				s.rename("app.log", "app.log.1")
			}
			write()
			f = startFollow(t, p, Options{BlockSize: 4096}, s.path("app.log"))
			for range rotations {
				for range rnd.IntN(4) {
					write()
				}
				switch rnd.IntN(3) {
				case 0: // as a program rotates its own file
					w.Close()
					shift()
					w = s.writer("app.log")
				case 1: // as logrotate does it: the program goes on for a while
					shift()
					write()
					s.writer("app.log").Close()
					write()
					w.Close()
					w = s.writer("app.log")
				case 2: // over the name
					age()
					new := s.writer("new.log")
					os.Link(s.path("app.log"), s.path("app.log.0"))
					for i := kept - 1; i >= 0; i-- {
						os.Rename(s.path(fmt.Sprint("app.log.", i)), s.path(fmt.Sprint("app.log.", i+1)))
					}
					s.rename("new.log", "app.log")
					w.Close()
					w = new
				}
				if rnd.IntN(3) > 0 {
					time.Sleep(time.Duration(rnd.IntN(1500)) * time.Microsecond)
				}
			}
			write()
			compare := func() ([]byte, bool) {
				f.mu.Lock()
				defer f.mu.Unlock()
				var have []byte
				for seq := range int64(len(f.blocks)) {
					b := f.blocks[seq]
					have = append(have, b.Data...)
				}
				return have, bytes.Equal(have, want.Bytes())
			}
			for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
				have, same := compare()
				if same {
					break
				}
				if time.Since(start) > 8*time.Second {
					i := 0
					for i < min(len(have), want.Len()) && have[i] == want.Bytes()[i] {
						i++
					}
					t.Fatalf("%d bytes, want %d; they differ at %d: %.60q, want %.60q; warnings %q",
						len(have), want.Len(), i, have[i:], want.Bytes()[i:], f.warnings())
				}
			}
			if n := f.warnings(); len(n) > 0 {
				t.Errorf("warnings %q", n)
			}
		})
	}
}
