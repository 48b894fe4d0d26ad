//go:build !unix

package source

import "io/fs"

func deleted(fs.FileInfo) bool { return false }
