//go:build unix

package logcat

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"logtools/pkg/cli"
)

// runScript runs a shell script as a command of a run.
func runScript(t *testing.T, ctx context.Context, script string) (*process, *lockedText) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	out := new(lockedText)
	c := newCommand(&cli.Streams{Out: &out.Buffer, Err: &out.Buffer}, []string{"sh", "-c", script})
	c.grace, c.mercy = 100*time.Millisecond, 100*time.Millisecond
	p, err := c.start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*process), out
}

// lockedText is read after the process has ended.
type lockedText struct{ bytes.Buffer }

func TestCommand(t *testing.T) {
	p, out := runScript(t, t.Context(), "cat; echo end >&2")
	p.Write([]byte("a\nb\n"))
	if err := p.Finish(); err != nil || p.Deaf() || out.String() != "a\nb\nend\n" {
		t.Errorf("%v, deaf %v: %q", err, p.Deaf(), out)
	}
	p, _ = runScript(t, t.Context(), "exit 9")
	if err := p.Finish(); err == nil || err.Error() != "exit status 9" {
		t.Errorf("error: %v", err)
	}
}

// What a command does not read is no error unless it fails, which is known then.
func TestCommandDeaf(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 4<<20)
	p, _ := runScript(t, t.Context(), "exit 0")
	for range 3 {
		if _, err := p.Write(large); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Finish(); err != nil || !p.Deaf() {
		t.Errorf("%v, deaf %v", err, p.Deaf())
	}
	p, _ = runScript(t, t.Context(), "exec <&-; sleep 0.1; exit 9")
	var err error
	for begin := time.Now(); err == nil && time.Since(begin) < 10*time.Second; time.Sleep(time.Millisecond) {
		_, err = p.Write(large)
	}
	if err == nil || err.Error() != "exit status 9" {
		t.Errorf("error: %v", err)
	}
}

// A command has some time when the run ends, then it is told to end, then killed.
func TestCommandEnds(t *testing.T) {
	for _, test := range []struct{ script, err string }{
		{"cat >/dev/null", ""},
		{"cat >/dev/null; exec sleep 10", "signal: terminated"},
		{"trap '' TERM; while :; do sleep 0.01; done", "signal: killed"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		p, _ := runScript(t, ctx, test.script+" 2>/dev/null")
		time.Sleep(50 * time.Millisecond) // it has set its trap
		begin := time.Now()
		cancel()
		// It does not read, perhaps: that must not keep us for longer.
		p.Write(bytes.Repeat([]byte("x\n"), 1<<20))
		err := p.Finish()
		if test.err == "" && err != nil || test.err != "" && (err == nil || err.Error() != test.err) {
			t.Errorf("%s: %v, want %s", test.script, err, test.err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s: it takes %v", test.script, took)
		}
	}
}

func TestCommandNotFound(t *testing.T) {
	for _, name := range []string{"./nosuch", "nosuch-nosuch"} {
		c := newCommand(&cli.Streams{}, []string{name})
		err := c.find()
		if cli.ExitOf(err, cli.OK) != cli.Failed || !strings.HasPrefix(err.Error(), "run "+name+": ") {
			t.Errorf("%v", err)
		}
	}
}
