package cli

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// openTerminal returns a new terminal of 24 rows and 100 columns and the other
// side of it.
func openTerminal(t *testing.T) (terminal, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { screen.Close() })
	ioctl := func(request uintptr, arg unsafe.Pointer) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(arg)); errno != 0 {
			t.Skip(errno)
		}
	}
	var number uint32
	var unlock int32
	size := [4]uint16{24, 100}
	ioctl(syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	ioctl(syscall.TIOCGPTN, unsafe.Pointer(&number))
	ioctl(syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal, screen
}

func TestTerminals(t *testing.T) {
	terminal, screen := openTerminal(t)
	cmd := self("terminals")
	cmd.Env = append(os.Environ(), testProcessEnv+"=1", "TERM=xterm", "NO_COLOR=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(screen).ReadString('\n')
	if strings.TrimRight(line, "\r\n") != "true true true 100 true" {
		t.Errorf("got %q, %v", line, err)
	}
}

// A command that has nothing to write ends when the reader goes away, and not
// before.
func TestWatchOutput(t *testing.T) {
	p := start(t, exec.Command("sh", "-c", `{ "$0" follow; echo "exit $?" >&2; } | head -n 1`, os.Args[0]))
	p.awaitReady()
	p.end(0, "exit 0\n")

	p = start(t, self("follow"))
	p.awaitReady()
	time.Sleep(100 * time.Millisecond)
	p.signal(syscall.SIGINT)
	p.end(130, "")

	// A pipe whose reader was never there, and what is no pipe.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	gone := make(chan struct{})
	defer awaitHangup(w, func() { close(gone) })()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	defer awaitHangup(null, func() { t.Error("nobody reads the null device, but it does not matter") })()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("nobody noticed")
	}
}

// The watching can be stopped, which leaves nothing behind.
func TestWatchOutputStop(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(names)
	}
	awaitHangup(w, func() {})() // the poller itself opens files at first
	before := open()
	for range 100 {
		awaitHangup(w, func() { t.Error("called though stopped") })()
	}
	for begin := time.Now(); open() > before && time.Since(begin) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	if after := open(); after > before {
		t.Errorf("%d files open before, %d after", before, after)
	}
	r.Close()
	time.Sleep(10 * time.Millisecond)
}

func TestEnlargePipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	size := func() uintptr {
		const getPipeSize = 1032
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, r.Fd(), getPipeSize, 0)
		if errno != 0 {
			t.Skip(errno)
		}
		return n
	}
	before := size()
	enlargePipe(w)
	if after := size(); after != pipeSize {
		t.Errorf("%d bytes before, %d after", before, after)
	}
}
