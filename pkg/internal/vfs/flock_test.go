//go:build linux || darwin

package vfs_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"logtools/pkg/internal/vfs"
)

// holdEnv makes the test binary a process that takes a lock and keeps it.
const holdEnv = "VFS_TEST_HOLD"

func TestMain(m *testing.M) {
	if name := os.Getenv(holdEnv); name != "" {
		l, err := vfs.OS{}.Lock(name)
		if err == nil {
			err = l.Lock(context.Background())
		}
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("locked\n")
		os.Stdin.Read(make([]byte, 1)) // until the test is gone
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// holder starts a process that has the lock when it returns.
func holder(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), holdEnv+"="+name)
	c.Stderr = os.Stderr
	if _, err := c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the holder said %q, %v", line, err)
	}
	return c
}

// A lock is its process's for as long as it lives, stopped or not, and free when
// it was killed.
func TestLockOfProcess(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	c := holder(t, name)
	l, err := vfs.OS{}.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	look, err := vfs.OS{}.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	wantHeld := func() {
		t.Helper()
		if got, err := l.TryLock(); got || err != nil {
			t.Errorf("TryLock = %v, %v", got, err)
		}
		if got, err := l.Taken(); !got || err != nil {
			t.Errorf("Taken = %v, %v", got, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := l.Lock(ctx); err != context.DeadlineExceeded {
			t.Errorf("Lock = %v, want %v", err, context.DeadlineExceeded)
		}
	}
	wantHeld()
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	wantHeld()
	if taken, err := look.Taken(); !taken || err != nil {
		t.Errorf("Taken = %v, %v", taken, err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	if taken, err := look.Taken(); taken || err != nil {
		t.Errorf("Taken = %v, %v when nobody is left", taken, err)
	}
}

// Who looks is not seen by others who look.
func TestTakenTogether(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	for range 4 {
		l, err := vfs.OS{}.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		wg.Go(func() {
			for range 2000 {
				if taken, err := l.Taken(); taken || err != nil {
					t.Errorf("Taken = %v, %v", taken, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestNetwork(t *testing.T) {
	if _, _, err := vfs.Network(filepath.Join(t.TempDir(), "no")); !os.IsNotExist(err) {
		t.Errorf("error %v for a path that is not there", err)
	}
	kind, refused, err := vfs.Network(t.TempDir())
	if err != nil || refused != (kind != "") {
		t.Errorf("Network = %q, %v, %v", kind, refused, err)
	}
}
