package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
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
