//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// maxRSS returns the most memory, in bytes, that the process had at a time.
func maxRSS(p *os.ProcessState) int64 {
	if p == nil {
		return 0
	}
	usage, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(usage.Maxrss) // others count in KiB
	}
	return int64(usage.Maxrss) << 10
}
