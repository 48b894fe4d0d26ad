//go:build linux

package logcompact

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const diskEnv = "LOGTOOLS_TORTURE_DISK"

// withDisk calls test in a process of its own, with a small file system in memory that
// nobody else sees, and that is gone with it however it ends.
func withDisk(t *testing.T, megabytes string, test func(dir string)) {
	t.Helper()
	if dir := os.Getenv(diskEnv); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+megabytes+"m"); err != nil {
			t.Skip("mount: ", err)
		}
		test(dir)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "-test.v", "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), diskEnv+"="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := c.CombinedOutput()
	_, why, skipped := strings.Cut(string(out), "SKIP: "+t.Name())
	switch {
	case skipped:
		t.Skip(why)
	case errors.Is(err, syscall.EPERM):
		t.Skip("no mounts of its own: ", err)
	case err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("%v:\n%s", err, out)
	default:
		t.Logf("%s", out)
	}
}

// TestTortureFullCompact compacts on a disk with less and less room. It says so in one
// line, and the log is what it was, or what it is to be; with room it goes on.
func TestTortureFullCompact(t *testing.T) {
	withDisk(t, "8", func(dir string) {
		rng := rand.New(rand.NewPCG(1, 2))
		k := newLedger(t, dir, 1)
		for range 3 {
			w := k.write(t, rng.Uint64())
			await(t, "a second's work", func() bool { k.mu.Lock(); defer k.mu.Unlock(); return k.acks%5000 > 4000 || w.ended() })
			w.end(t)
		}
		full := 0
		for room := 0; ; room += 8 << 10 {
			ballast := fill(t, dir, room)
			p := start(t, nil, "logcompact", k.path)
			status, said := p.exit(t), p.stderr.String()
			if status == 0 && said == "" {
				free(t, ballast)
				break
			}
			full++
			if status != 1 || !strings.HasPrefix(said, "logcompact: ") || !strings.HasSuffix(said, ": no space left on device\n") || strings.Count(said, "\n") != 1 {
				t.Errorf("with room for %d bytes: exit %d: %s", room, status, said)
			}
			output(t, "logcompact", "--verify", k.path)
			k.read(t)
			if work, _ := filepath.Glob(filepath.Join(k.path, "*", "*.new-*")); len(work) > 0 {
				t.Errorf("%v are left", work)
			}
			free(t, ballast)
		}
		if full == 0 {
			t.Error("there was always room")
		}
		k.check(t, all)
		t.Logf("the disk was full %d times", full)
	})
}

// fill takes all room of a disk but for so many bytes.
func fill(t *testing.T, dir string, room int) (ballast string) {
	t.Helper()
	ballast = filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 4096); ; {
		if _, err = f.Write(b); err != nil {
			break
		}
	}
	info, statErr := f.Stat()
	if !errors.Is(err, syscall.ENOSPC) || statErr != nil {
		t.Fatal(err, statErr)
	}
	if err := f.Truncate(max(0, info.Size()-int64(room))); err != nil {
		t.Fatal(err)
	}
	return ballast
}

func free(t *testing.T, ballast string) {
	t.Helper()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
}
