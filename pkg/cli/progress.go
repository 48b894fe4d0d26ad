package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	clearLine     = "\r\x1b[K"
	progressDelay = time.Second // work that is done sooner shows none
	progressEvery = 200 * time.Millisecond
)

// StartProgress shows how far the work has come until stop is called: bytes,
// share, rate and time left, on one rewritten line of standard error, from one
// second on. mode is --progress: auto shows it on a terminal only, never not
// at all; always also into a file or pipe, there as a line per second. In
// every mode SIGUSR1 prints one such line.
//
// meter returns the bytes done and their total, -1 if it is not known; it is
// called from another goroutine, before stop returns. stop takes the line off
// the screen and may be called again.
func (s *Streams) StartProgress(mode string, meter func() (done, total int64)) (stop func()) {
	p := &progress{meter: meter, start: time.Now()}
	s.mu.Lock()
	s.status = p.line
	s.mu.Unlock()

	show := mode == "always" || mode != "never" && s.ErrTerminal && s.Getenv("TERM") != "dumb"
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		if show {
			s.animate(p, quit)
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-gone
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status = nil
		s.clearProgress()
	})
}

func (s *Streams) animate(p *progress, quit <-chan struct{}) {
	rewrite := s.ErrTerminal && s.Getenv("TERM") != "dumb"
	every := progressEvery
	if !rewrite {
		every = progressDelay
	}
	timer := time.NewTimer(progressDelay)
	defer timer.Stop()
	for {
		select {
		case <-quit:
			return
		case <-timer.C:
		}
		if rewrite {
			s.draw(s.Name + ": " + p.line())
		} else {
			s.Warn("%s", p.line())
		}
		timer.Reset(every)
	}
}

// draw replaces the progress line.
func (s *Streams) draw(line string) {
	width := s.Width()
	if width <= 0 {
		width = 80
	}
	// The last column stays free: some terminals wrap when it is written.
	line = line[:min(len(line), width-1)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err == nil {
		return
	}
	s.drawn = line
	io.WriteString(s.Err, clearLine+line)
}

// clearProgress takes the progress line off the screen until it is next drawn.
// s.mu must be held.
func (s *Streams) clearProgress() {
	if s.drawn != "" {
		s.drawn = ""
		io.WriteString(s.Err, clearLine)
	}
}

// printStatus prints one line that says how far the work is.
func (s *Streams) printStatus() {
	s.mu.Lock()
	status := s.status
	s.mu.Unlock()
	if status == nil {
		s.Warn("running")
		return
	}
	s.Warn("%s", status())
}

// progress measures work. Its fields are fixed.
type progress struct {
	meter func() (done, total int64)
	start time.Time
}

func (p *progress) line() string {
	done, total := p.meter()
	return progressLine(done, total, time.Since(p.start))
}

// progressLine says how far work of total bytes (-1: unknown) is that has done
// so many bytes in the time elapsed:
//
//	312 MB of 629 MB  49%  812 MB/s  0:01 left
//	312 MB  812 MB/s  0:01
func progressLine(done, total int64, elapsed time.Duration) string {
	rate := 0.0
	if elapsed > 0 {
		rate = float64(done) / elapsed.Seconds()
	}
	var parts []string
	if total > 0 {
		done := min(done, total) // a file that grows meanwhile
		parts = append(parts,
			Humane(float64(done))+" of "+Humane(float64(total)),
			fmt.Sprintf("%d%%", int64(float64(done)/float64(total)*100)))
	} else {
		parts = append(parts, Humane(float64(done)))
	}
	parts = append(parts, Humane(rate)+"/s")
	if total > 0 && rate > 0 {
		left := float64(max(total-done, 0)) / rate
		parts = append(parts, clock(left)+" left")
	} else {
		parts = append(parts, clock(elapsed.Seconds()))
	}
	return strings.Join(parts, "  ")
}

// clock writes seconds as 0:07, 12:34 or 1:02:03; more than a hundred hours as
// days.
func clock(seconds float64) string {
	const day = 24 * 3600
	if seconds >= 100*3600 {
		return fmt.Sprintf("%.0f days", min(seconds/day, 9999))
	}
	n := int64(seconds + 0.5)
	if n >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}
