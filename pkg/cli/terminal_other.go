//go:build !linux && !darwin

package cli

import "os"

// On systems that are supported for files and pipes only, nothing is taken for a
// terminal: no colour, no progress line.
func isTerminal(*os.File) bool { return false }

func terminalSize(*os.File) (cols, rows int) { return 0, 0 }
