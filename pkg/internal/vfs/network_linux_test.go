package vfs

import "testing"

func TestNetworkKind(t *testing.T) {
	for magic, want := range map[uint32]string{
		0x6969: "nfs", 0xff534d42: "smb", 0xfe534d42: "smb", 0x517b: "smb", 0x00c36400: "ceph",
		0x5346414f: "afs", 0x6b414653: "afs", 0x01021997: "9p", 0x0bd00bd0: "lustre",
		0xef53: "", 0x58465342: "", 0x9123683e: "", 0x01021994: "", // ext, xfs, btrfs, tmpfs
		0x65735546: "", 0x794c7630: "", // FUSE, overlay
	} {
		if got := networkKind(magic); got != want {
			t.Errorf("networkKind(%#x) = %q, want %q", magic, got, want)
		}
	}
}
