package eventlog

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// head says how far a partition is durable: everything in the segment before
// the byte durable survived a power cut, if one came then. It is a sound lower
// bound, and no more: the file is written in place and never synced, so it may be
// old, or missing. A torn one fails its checksum and counts as missing. One that was
// written since the system was started (boot) is not old: all that was acknowledged lies
// before it.
//
//	 0 "LGH1"          4 u32 epoch      8 i64 segment's base   16 u64 segment id
//	24 i64 durable byte                32 i64 durable next offset
//	40 i64 append time of the last unit before it (µs)
//	48 u32 head_crc of that unit       52 u32 1 if that unit is a SEAL   56 u32 boot
//	60 u32 crc32c of the bytes 0 to 59
type head struct {
	epoch   uint32
	base    int64
	id      uint64
	durable int64
	next    int64
	time    int64
	lastCRC uint32
	sealed  bool   // that unit is a SEAL
	boot    uint32 // vfs.FS.Boot of who wrote it; only a writer sets it
}

const (
	headSize  = 64
	headMagic = "LGH1"
	headName  = "head"
)

func (h *head) encode() []byte {
	b := make([]byte, headSize)
	le := binary.LittleEndian
	copy(b, headMagic)
	le.PutUint32(b[4:], h.epoch)
	le.PutUint64(b[8:], uint64(h.base))
	le.PutUint64(b[16:], h.id)
	le.PutUint64(b[24:], uint64(h.durable))
	le.PutUint64(b[32:], uint64(h.next))
	le.PutUint64(b[40:], uint64(h.time))
	le.PutUint32(b[48:], h.lastCRC)
	if h.sealed {
		le.PutUint32(b[52:], 1)
	}
	le.PutUint32(b[56:], h.boot)
	le.PutUint32(b[60:], segment.Checksum(b[:60]))
	return b
}

// decodeHead returns false if b is no sound head.
func decodeHead(b []byte) (head, bool) {
	le := binary.LittleEndian
	if len(b) != headSize || string(b[:4]) != headMagic || le.Uint32(b[60:]) != segment.Checksum(b[:60]) {
		return head{}, false
	}
	h := head{
		epoch: le.Uint32(b[4:]), base: int64(le.Uint64(b[8:])), id: le.Uint64(b[16:]),
		durable: int64(le.Uint64(b[24:])), next: int64(le.Uint64(b[32:])),
		time: int64(le.Uint64(b[40:])), lastCRC: le.Uint32(b[48:]), sealed: le.Uint32(b[52:]) == 1, boot: le.Uint32(b[56:]),
	}
	return h, h.base >= 0 && h.durable >= 0 && h.next >= h.base
}

// openHead opens the head of a partition; nil if there is none.
func (l *Log) openHead(dir string, flag vfs.Flag) (vfs.File, error) {
	f, err := l.fs.Open(filepath.Join(dir, headName), flag)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// readHead returns false if there is no sound head in f.
func readHead(f vfs.File) (head, bool, error) {
	var b [headSize]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		return head{}, false, err
	}
	h, ok := decodeHead(b[:n])
	return h, ok, nil
}
