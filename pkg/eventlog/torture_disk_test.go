//go:build linux

package eventlog

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/stream"
)

const diskEnv = "LOGTOOLS_TORTURE_DISK"

// withDisk calls test in a process of its own, whose mounts nobody else sees and
// which are gone with it, however it ends. dir is where they can be.
func withDisk(t *testing.T, test func(dir string)) {
	t.Helper()
	if dir := os.Getenv(diskEnv); dir != "" {
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
	c := exec.Command(exe, "-test.v", "-test.run=^"+t.Name()+"$", "-test.timeout=24h")
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

// run runs a command that must work.
func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// ext4 makes an ext4 file system in a file and returns where it is mounted, and how
// to mount it again. The loop device is freed with its mount.
func ext4(t *testing.T, dir, name string, megabytes int64) (at string, mount, unmount func()) {
	t.Helper()
	image, at := filepath.Join(dir, name+".img"), filepath.Join(dir, name)
	if err := os.Mkdir(at, 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(megabytes<<20), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v: %s", err, out)
	}
	mounted := false
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop", image, at).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	mounted = true
	mount = func() {
		run(t, "mount", "-t", "ext4", "-o", "loop", image, at)
		mounted = true
	}
	unmount = func() {
		run(t, "umount", at)
		mounted = false
	}
	t.Cleanup(func() {
		if mounted {
			exec.Command("umount", "-l", at).Run()
		}
	})
	return at, mount, unmount
}

// cutPower makes an ext4 file system write nothing any more. With logFlush its
// journal is written first.
func cutPower(t *testing.T, at string, logFlush bool) {
	t.Helper()
	const shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN
	how := uint32(2)            // without writing the journal
	if logFlush {
		how = 1
	}
	fd, err := syscall.Open(at, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := ioctl(fd, shutdown, &how); err != 0 {
		t.Skip("the power of this file system cannot be cut: ", err)
	}
}

// TestTorturePower cuts the power of a file system while several writers append, and
// mounts it again: what was acknowledged is there, nothing is damaged, and appending
// goes on.
func TestTorturePower(t *testing.T) {
	withDisk(t, func(dir string) {
		at, mount, unmount := ext4(t, dir, "disk", 64)
		path := filepath.Join(at, "log")
		const writers, partitions = 3, 2
		k := newDeeds()
		run, acked := 0, 0
		torture(t, 6, func(t *testing.T, n int, rng *rand.Rand) {
			if n%20 == 19 { // before the disk is full
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				acked += k.count()
				k = newDeeds()
			}
			var cut, over atomic.Bool
			var wg sync.WaitGroup
			for w := range writers {
				patience := []float64{0, 0.1, 1}[rng.IntN(3)]
				wg.Go(func() {
					l, err := OpenOrCreate(t.Context(), path, smallSegments(partitions), Options{Warn: func(m string) {
						if !cut.Load() {
							t.Error("warning: ", m)
						}
					}})
					if err == nil {
						err = writeDeeds(l, AppendOptions{LockTimeout: time.Minute}, w, run, patience,
							func(int) bool { return !over.Load() }, func(d deed, a stream.Ack) { k.ack(d, a.Offset) })
					}
					if err != nil && !cut.Load() {
						t.Errorf("writer %d: %v", w, err)
					}
				})
			}
			time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond)
			cut.Store(true)
			cutPower(t, at, rng.IntN(3) == 0)
			over.Store(true)
			wg.Wait()
			run++
			unmount()
			mount()
			l, err := Open(path, Options{Warn: func(m string) { t.Error("warning after a power cut: ", m) }})
			if errors.Is(err, fs.ErrNotExist) && k.count() == 0 {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := writeDeeds(l, AppendOptions{}, writers, run, 1, func(n int) bool { return n < 2*partitions }, func(d deed, a stream.Ack) {
				k.ack(d, a.Offset)
			}); err != nil {
				t.Fatal(err)
			}
			run++
			k.check(t, vfs.OS{}, path, partitions)
		})
		t.Logf("%d power cuts, %d batches acknowledged", run/2, acked+k.count())
	})
}

// TestTortureFull lets a disk become full, again and again.
func TestTortureFull(t *testing.T) {
	withDisk(t, func(dir string) {
		on := map[string]string{}
		on["ext4"], _, _ = ext4(t, dir, "full", 6)
		on["tmpfs"] = filepath.Join(dir, "memory")
		if err := os.Mkdir(on["tmpfs"], 0o777); err != nil {
			t.Fatal(err)
		}
		run(t, "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", on["tmpfs"])
		t.Cleanup(func() { exec.Command("umount", "-l", on["tmpfs"]).Run() })
		for kind, at := range on {
			for i, patience := range []float64{0, 1} {
				path, ballast := filepath.Join(at, fmt.Sprint("log", i)), filepath.Join(at, "ballast")
				k := newDeeds()
				full := 0
				for r := range 6 {
					if r%3 == 0 {
						if err := os.WriteFile(ballast, make([]byte, 600_000-r/3*400_000), 0o666); err != nil {
							t.Fatal(err)
						}
					}
					l, err := OpenOrCreate(t.Context(), path, smallSegments(1), Options{Warn: func(m string) { t.Error("warning: ", m) }})
					if err == nil {
						err = writeDeeds(l, AppendOptions{}, 0, r, patience, func(n int) bool { return r%3 < 2 || n < 6 }, func(d deed, a stream.Ack) {
							k.ack(d, a.Offset)
						})
					}
					if r%3 == 1 { // now there is space again
						if err := os.Remove(ballast); err != nil {
							t.Fatal(err)
						}
					}
					if r%3 < 2 {
						if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device") {
							t.Errorf("%s, round %d: %v", kind, r, err)
						}
						full++
					} else if err != nil {
						t.Errorf("%s, round %d, with space: %v", kind, r, err)
					}
					k.check(t, vfs.OS{}, path, 1)
					if t.Failed() {
						t.Fatalf("on %s, round %d", kind, r)
					}
				}
				t.Logf("%s was full %d times, %d batches acknowledged", kind, full, k.count())
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func ioctl(fd int, request uintptr, arg *uint32) syscall.Errno {
	_, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(arg)))
	return err
}
