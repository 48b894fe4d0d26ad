package logcat

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"logtools/pkg/cli"
)

// program is one run of the command that gets events.
type program interface {
	// Write hands events over. That the program reads no more of them is no error as
	// long as it may still end well.
	Write(p []byte) (int, error)
	// Finish ends its input and waits for its end. An error says that it failed.
	Finish() error
	// Deaf says that it has not read all that was written.
	Deaf() bool
}

// command is what gets events on its standard input: see start.
type command struct {
	words   []string
	streams *cli.Streams
	// When the run is to end it has grace to end by itself, and then, once it was
	// told to, mercy.
	grace, mercy time.Duration
}

func newCommand(s *cli.Streams, words []string) *command {
	return &command{words: words, streams: s, grace: 5 * time.Second, mercy: 2 * time.Second}
}

// find says whether there is such a program.
func (c *command) find() error {
	_, err := exec.LookPath(c.words[0])
	return c.failed(err)
}

// failed is an error of starting, without what the system says of the way there.
func (c *command) failed(err error) error {
	var of *exec.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	if err == nil {
		return nil
	}
	err = cli.WithExit(fmt.Errorf("run %s: %w", c.words[0], err), cli.Failed)
	if len(c.words) == 1 && strings.Contains(c.words[0], " ") {
		err = cli.WithHint(err, "-- sh -c '"+c.words[0]+"'")
	}
	return err
}

// process is a command that runs.
type process struct {
	cmd   *exec.Cmd
	stdin *os.File
	done  chan struct{} // closed when it has ended
	err   error         // how, valid then
	deaf  bool
}

// start runs the command. When ctx is done it has little time left.
func (c *command) start(ctx context.Context) (program, error) {
	cmd, stdin, err := c.streams.Child(c.words[0], c.words[1:]...)
	if err != nil {
		return nil, cli.WithExit(err, cli.Failed)
	}
	err = cmd.Start()
	cmd.Stdin.(*os.File).Close()
	if err != nil {
		stdin.Close()
		return nil, c.failed(err)
	}
	p := &process{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
		// A child of its own may hold the other end, and nobody read there.
		p.stdin.Close()
	}()
	go p.watch(ctx, c.grace, c.mercy)
	return p, nil
}

// watch ends the process some time after ctx is done.
func (p *process) watch(ctx context.Context, grace, mercy time.Duration) {
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	if p.ends(grace) {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	if p.ends(mercy) {
		return
	}
	p.cmd.Process.Kill()
}

// ends waits for the end, for a time at most.
func (p *process) ends(within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		return false
	}
}

// Write implements program.
func (p *process) Write(b []byte) (int, error) {
	if !p.deaf {
		n, err := p.stdin.Write(b)
		if err == nil {
			return n, nil
		}
		if p.deaf = cli.IsClosedPipe(err) || errors.Is(err, os.ErrClosed); !p.deaf {
			return n, err
		}
	}
	select {
	case <-p.done: // no need to read on if it has failed
		return len(b), p.status()
	default:
		return len(b), nil
	}
}

// Finish implements program.
func (p *process) Finish() error {
	p.stdin.Close()
	<-p.done
	return p.status()
}

// Deaf implements program.
func (p *process) Deaf() bool { return p.deaf }

// status is nil if the process has ended well.
func (p *process) status() error {
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return errors.New(exit.ProcessState.String())
	}
	return p.err
}
