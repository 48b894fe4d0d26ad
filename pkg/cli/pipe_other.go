//go:build !linux

package cli

import "os"

// enlargePipe: only Linux lets a process choose the size of a pipe.
func enlargePipe(*os.File) {}
