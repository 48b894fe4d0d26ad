//go:build unix

package source

import (
	"io/fs"
	"syscall"
)

// deleted says whether an open file has no name any more.
func deleted(st fs.FileInfo) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && s.Nlink == 0
}
