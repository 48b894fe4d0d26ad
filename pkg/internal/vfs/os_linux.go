package vfs

import (
	"hash/crc32"
	"io/fs"
	"os"
	"syscall"
)

// Sync is File.Sync. fdatasync writes the size, too, but not the times, which
// would cost a second write in the journal.
func (f osFile) Sync() error { return control(f.File, "sync", syscall.Fdatasync) }

// Network reports whether a file or directory that is there lies on a network file
// system, and on which. There a sync or a lock need not mean to other hosts what
// it means here. File systems in user space (FUSE) are all taken for local ones:
// they cannot be told apart.
func Network(path string) (kind string, refused bool, err error) {
	var st syscall.Statfs_t
	if err := again(func() error { return syscall.Statfs(path, &st) }); err != nil {
		return "", false, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	kind = networkKind(uint32(st.Type))
	return kind, kind != "", nil
}

// networkKind returns the name of a network file system by its number in
// statfs(2), or nothing.
func networkKind(magic uint32) string {
	switch magic {
	case 0x6969:
		return "nfs"
	case 0x517b, 0xff534d42, 0xfe534d42: // smbfs, cifs, smb2
		return "smb"
	case 0x00c36400:
		return "ceph"
	case 0x5346414f, 0x6b414653: // OpenAFS, the kernel's
		return "afs"
	case 0x01021997:
		return "9p"
	case 0x0bd00bd0:
		return "lustre"
	case 0x73757245:
		return "coda"
	case 0x564c:
		return "ncp"
	}
	return ""
}

// Boot is FS.Boot.
func (OS) Boot() uint32 {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0
	}
	return crc32.ChecksumIEEE(id)
}
