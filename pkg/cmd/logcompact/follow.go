package logcompact

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"logtools/pkg/cli"
)

// follow does it to some logs again and again, until ctx is done or there is none of
// them left.
func (r *cleaning) follow(progress string, sleep func(context.Context, time.Duration) error, paths []string) error {
	defer r.s.WatchOutput()()
	if progress == "auto" { // there is no end to be shown
		progress = "never"
	}
	defer r.s.StartProgress(progress, func() (done, total int64) { return r.run.done.Load(), -1 })()
	r.told = new(told)
	if err := r.usage(paths); err != nil {
		return err
	}
	for {
		began := time.Now()
		gone := 0
		for _, path := range paths {
			missing, err := r.log(path)
			if err != nil {
				return err
			}
			if missing {
				gone++
			}
		}
		if gone == len(paths) || !r.worked {
			return nil // why has been reported
		}
		if err := sleep(r.ctx, pause(time.Since(began))); err != nil {
			return err
		}
	}
}

// usage returns what the flags, and the settings of the logs as they are now, are
// wrong about, and which logs there are not. Later on settings and logs may change, and
// that is no reason to end.
func (r *cleaning) usage(paths []string) error {
	var errs []error
	for _, path := range paths {
		if _, _, err := r.open(path); cli.ExitOf(err, cli.Failed) == cli.Usage || errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// pause is how long to wait after a round that took so long: the rounds then take a
// twentieth of the time at most, and logs that take little are compacted soon.
func pause(took time.Duration) time.Duration { return max(time.Second, 20*took) }

// sleep waits, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// told remembers what was last said of each place. A nil one remembers nothing.
type told struct {
	mu   sync.Mutex
	last map[string]string
}

// news says whether an error is another one than was last said of a place, and takes
// it for said.
func (t *told) news(place string, err error) bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	text := unnamed(err)
	if t.last[place] == text {
		return false
	}
	if t.last == nil {
		t.last = make(map[string]string)
	}
	t.last[place] = text
	return true
}

// forget says that a place is all right again.
func (t *told) forget(place string) {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.last, place)
	}
}

// unnamed is the text of an error without the names of the files it is about: that of
// a new file is another one each time.
func unnamed(err error) string {
	text := err.Error()
	var one *fs.PathError
	if errors.As(err, &one) {
		text = strings.ReplaceAll(text, one.Path, "")
	}
	var two *os.LinkError
	if errors.As(err, &two) {
		text = strings.ReplaceAll(strings.ReplaceAll(text, two.Old, ""), two.New, "")
	}
	return text
}
