package vfs

import (
	"hash/crc32"
	"io/fs"
	"syscall"
)

// Sync is os.File.Sync, which has the drive write its cache, too (F_FULLFSYNC).

// Network reports whether a file or directory that is there lies on a network file
// system, and on which. There a sync or a lock need not mean to other hosts what
// it means here.
func Network(path string) (kind string, refused bool, err error) {
	var st syscall.Statfs_t
	if err := again(func() error { return syscall.Statfs(path, &st) }); err != nil {
		return "", false, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	const local = 0x1000 // MNT_LOCAL
	if st.Flags&local != 0 {
		return "", false, nil
	}
	name := make([]byte, 0, len(st.Fstypename))
	for _, c := range st.Fstypename {
		if c == 0 {
			break
		}
		name = append(name, byte(c))
	}
	return string(name), true, nil
}

// Boot is FS.Boot.
func (OS) Boot() uint32 {
	id, err := syscall.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return 0
	}
	return crc32.ChecksumIEEE([]byte(id))
}
