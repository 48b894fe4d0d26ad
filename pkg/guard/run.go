package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/bits"

	"logtools/pkg/eventlog"
	"logtools/pkg/internal/huge"
	"logtools/pkg/internal/vfs"
)

// A run is a file that is never changed: the newest value of each hash that the
// events of a range of offsets gave one. All integers are little-endian.
//
//	  0  4 B   "LGR1"
//	  4  u32   partition
//	  8  16 B  id of the log
//	 24  16 B  id of the rules
//	 40  i64   from: the first offset
//	 48  i64   to: the offset behind the last one, which is that of the mark
//	 56  u64   mark: segment
//	 64  u32   mark: checksum of the unit
//	 68  u32   probes: bits of the filter that are set for a hash; 0: no filter
//	 72  u64   keys: hashes in the file
//	 80  u64   size of the file
//	 88  u32   width: there are 2^width buckets
//	 92  u32   longest: bytes of the longest bucket
//	 96  u64   words of the filter
//	104  u32   CRC-32C of the directory
//	108  u32   CRC-32C of the filter
//	112  u32   0
//	116  u32   CRC-32C of bytes 0-115
//	120  u64   directory: for each bucket where it begins, then where the last ends
//	     u64   filter
//	           buckets
//
// The first width bits of a hash are the number of its bucket. A bucket is a
// checksum (which holds its number and whose run it is, too, so that the directory
// needs none to be believed in part), then its entries sorted by hash: 16 bytes of
// hash, the length of the value as a varint, the value.
//
// The filter is a Bloom filter whose bits for one hash all lie in 64 bytes, so that
// looking costs one access to memory.
const (
	runMark    = "LGR1"
	runHeadLen = 120

	hashLen = 16
	sumLen  = 4

	// bucketBytes is the most that a bucket has on average.
	bucketBytes = 1 << 10
	maxWidth    = 40
	maxBucket   = 1<<31 - 1

	filterBlock = 8 // words
	maxProbes   = 6 // of 9 bits each in a word
)

// errDamaged says that what was stored is not what was written: nothing of the
// table is to be believed any more.
var errDamaged = errors.New("the index of the log's rules is damaged")

// errUnfit says that a file is no run of the table.
var errUnfit = errors.New("no run of this table")

func sum(seed uint32, b []byte) uint32 { return crc32.Update(seed, castagnoli, b) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// identity says whose a run is.
type identity struct {
	log       [16]byte
	rules     [16]byte
	partition uint32
}

// runHead is the header of a run.
type runHead struct {
	identity
	from             int64
	mark             eventlog.Mark // Next is where the run ends
	keys             int64
	size             int64
	width            uint32
	longest          uint32
	probes           uint32
	filter           int64 // words
	dirSum, filtrSum uint32
}

func (h *runHead) to() int64 { return h.mark.Next }

func (h *runHead) buckets() int64 { return 1 << h.width }

// bucket is the number of the bucket of a hash.
func (h *runHead) bucket(hi uint64) uint64 { return hi >> (64 - h.width) }

func (h *runHead) dirAt(bucket int64) int64 { return runHeadLen + 8*bucket }

func (h *runHead) filterAt() int64 { return h.dirAt(h.buckets() + 1) }

func (h *runHead) bucketsAt() int64 { return h.filterAt() + 8*h.filter }

// seed is where the checksums of the buckets begin.
func (h *runHead) seed() uint32 {
	var b [68]byte
	le := binary.LittleEndian
	copy(b[:], h.log[:])
	copy(b[16:], h.rules[:])
	le.PutUint32(b[32:], h.partition)
	le.PutUint64(b[36:], uint64(h.from))
	le.PutUint64(b[44:], uint64(h.mark.Next))
	le.PutUint64(b[52:], h.mark.Segment)
	le.PutUint32(b[60:], h.mark.CRC)
	le.PutUint32(b[64:], h.width)
	return sum(0, b[:])
}

// bucketSum is the checksum of the entries of a bucket.
func bucketSum(seed uint32, number uint64, entries []byte) uint32 {
	return sum(seed^uint32(number)^bits.RotateLeft32(uint32(number>>32), 16), entries)
}

func (h *runHead) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, runHeadLen)
	b = append(b, runMark...)
	b = le.AppendUint32(b, h.partition)
	b = append(b, h.log[:]...)
	b = append(b, h.rules[:]...)
	b = le.AppendUint64(b, uint64(h.from))
	b = le.AppendUint64(b, uint64(h.mark.Next))
	b = le.AppendUint64(b, h.mark.Segment)
	b = le.AppendUint32(b, h.mark.CRC)
	b = le.AppendUint32(b, h.probes)
	b = le.AppendUint64(b, uint64(h.keys))
	b = le.AppendUint64(b, uint64(h.size))
	b = le.AppendUint32(b, h.width)
	b = le.AppendUint32(b, h.longest)
	b = le.AppendUint64(b, uint64(h.filter))
	b = le.AppendUint32(b, h.dirSum)
	b = le.AppendUint32(b, h.filtrSum)
	b = le.AppendUint32(b, 0)
	return le.AppendUint32(b, sum(0, b))
}

// decode reports whether b is a sound header.
func (h *runHead) decode(b []byte) bool {
	le := binary.LittleEndian
	if len(b) != runHeadLen || string(b[:4]) != runMark || le.Uint32(b[116:]) != sum(0, b[:116]) {
		return false
	}
	h.partition = le.Uint32(b[4:])
	copy(h.log[:], b[8:])
	copy(h.rules[:], b[24:])
	h.from = int64(le.Uint64(b[40:]))
	h.mark = eventlog.Mark{Next: int64(le.Uint64(b[48:])), Segment: le.Uint64(b[56:]), CRC: le.Uint32(b[64:])}
	h.probes = le.Uint32(b[68:])
	h.keys = int64(le.Uint64(b[72:]))
	h.size = int64(le.Uint64(b[80:]))
	h.width = le.Uint32(b[88:])
	h.longest = le.Uint32(b[92:])
	h.filter = int64(le.Uint64(b[96:]))
	h.dirSum = le.Uint32(b[104:])
	h.filtrSum = le.Uint32(b[108:])
	return h.longest <= maxBucket && h.from >= 0 && h.from < h.mark.Next && h.keys >= 0 && h.width <= maxWidth &&
		h.probes <= maxProbes && (h.probes == 0) == (h.filter == 0) && h.filter%filterBlock == 0 &&
		h.filter >= 0 && h.filter <= h.size/8 && h.bucketsAt() <= h.size
}

// run is a run that can be looked into.
type run struct {
	runHead
	name string // without the directory
	f    vfs.File
	sums uint32 // where the checksums of its buckets begin

	dir, bits []uint64 // the directory and the filter, once they are loaded
	lookups   int64
	declined  bool // there is no room to load them
	merging   bool // is read by a merge, and so must stay open
}

// openRun opens a run. The error is errUnfit if the file is none of that identity
// and name, or not whole.
func openRun(f vfs.FS, path, name string, id identity) (*run, error) {
	file, err := f.Open(path, vfs.ReadOnly)
	if errors.Is(err, vfs.ErrNotRegular) {
		return nil, errUnfit
	}
	if err != nil {
		return nil, err
	}
	r := &run{name: name, f: file}
	if err := r.readHead(id); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (r *run) readHead(id identity) error {
	size, err := r.f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, runHeadLen)
	if _, err := r.f.ReadAt(b, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return errUnfit
		}
		return err
	}
	if !r.decode(b) || r.identity != id || r.size != size || runName(r.from, r.to()) != r.name {
		return errUnfit
	}
	r.sums = r.seed()
	return nil
}

// damaged is errDamaged with what is damaged.
func (r *run) damaged(what string) error { return fmt.Errorf("%s: %s: %w", r.name, what, errDamaged) }

// readAt fills b from place off.
func (r *run) readAt(b []byte, off int64) error {
	n, err := r.f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) || err == nil {
		return r.damaged("it has been cut off")
	}
	return err
}

// cache is what its directory and its filter take in memory.
func (r *run) cache() int64 { return 8 * int64(len(r.dir)+len(r.bits)) }

// loadSize is what they will take.
func (r *run) loadSize() int64 { return r.bucketsAt() - runHeadLen }

// due says whether so much was looked up that it is worth loading them.
func (r *run) due() bool {
	return r.dir == nil && !r.declined && r.lookups >= 32+r.loadSize()>>16
}

// load loads the directory and the filter.
func (r *run) load() error {
	dir, err := r.words(runHeadLen, r.buckets()+1, r.dirSum, "directory")
	if err != nil {
		return err
	}
	if r.filter > 0 {
		if r.bits, err = r.words(r.filterAt(), r.filter, r.filtrSum, "filter"); err != nil {
			return err
		}
	}
	r.dir = dir
	return nil
}

func (r *run) words(at, n int64, want uint32, what string) ([]uint64, error) {
	w := huge.Words(int(n))
	buf := make([]byte, min(8*n, 256<<10))
	var have uint32
	for rest := w; len(rest) > 0; {
		b := buf[:min(len(buf), 8*len(rest))]
		if err := r.readAt(b, at); err != nil {
			return nil, err
		}
		have = sum(have, b)
		at += int64(len(b))
		for ; len(b) > 0; b, rest = b[8:], rest[1:] {
			rest[0] = binary.LittleEndian.Uint64(b)
		}
	}
	if have != want {
		return nil, r.damaged(what)
	}
	return w, nil
}

// get appends the value of a hash to dst, if there is one. buf is room for a
// bucket, and is given back, perhaps larger.
func (r *run) get(hi, lo uint64, dst, buf []byte) (v []byte, ok bool, room []byte, err error) {
	if r.bits != nil && !inFilter(r.bits, r.probes, hi, lo) {
		return dst, false, buf, nil
	}
	number := r.bucket(hi)
	b, buf, err := r.readBucket(number, buf)
	if err != nil {
		return dst, false, buf, err
	}
	for len(b) > 0 {
		e, rest, good := nextEntry(b)
		if !good {
			return dst, false, buf, r.damaged("an entry")
		}
		if e.hi > hi || e.hi == hi && e.lo >= lo {
			if e.hi == hi && e.lo == lo {
				return append(dst, e.value...), true, buf, nil
			}
			break
		}
		b = rest
	}
	return dst, false, buf, nil
}

// readBucket returns the entries of a bucket, in buf or in what takes its place.
func (r *run) readBucket(number uint64, buf []byte) (entries, room []byte, err error) {
	var from, to int64
	if r.dir != nil {
		from, to = int64(r.dir[number]), int64(r.dir[number+1])
	} else {
		if cap(buf) < 16 {
			buf = make([]byte, 4*bucketBytes)
		}
		b := buf[:16]
		if err := r.readAt(b, r.dirAt(int64(number))); err != nil {
			return nil, buf, err
		}
		from, to = int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
	}
	if !r.fits(from, to) {
		return nil, buf, r.damaged("directory")
	}
	if n := int(to - from); cap(buf) < n {
		buf = make([]byte, n+n/2)
	}
	b := buf[:to-from]
	if err := r.readAt(b, from); err != nil {
		return nil, buf, err
	}
	entries, err = r.check(number, b)
	return entries, buf, err
}

// fits says whether a bucket can be at that place.
func (r *run) fits(from, to int64) bool {
	return from >= r.bucketsAt() && to <= r.size && to-from >= sumLen && to-from <= int64(r.longest)
}

// check returns the entries of a bucket if its checksum is right.
func (r *run) check(number uint64, b []byte) ([]byte, error) {
	if binary.LittleEndian.Uint32(b) != bucketSum(r.sums, number, b[sumLen:]) {
		return nil, r.damaged("bucket")
	}
	return b[sumLen:], nil
}

// entry is a hash and its value.
type entry struct {
	hi, lo uint64
	value  []byte
}

// nextEntry returns the first of some entries, and the rest.
func nextEntry(b []byte) (e entry, rest []byte, ok bool) {
	if len(b) <= hashLen {
		return e, nil, false
	}
	e.hi, e.lo = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	n, w := uint64(b[hashLen]), 1
	if n >= 0x80 {
		n, w = binary.Uvarint(b[hashLen:])
	}
	b = b[hashLen:]
	if w <= 0 || n > uint64(len(b)-w) {
		return e, nil, false
	}
	e.value = b[w : w+int(n)]
	return e, b[w+int(n):], true
}

// appendEntry appends an entry as it lies in a bucket.
func appendEntry(dst []byte, hi, lo uint64, v []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, hi)
	dst = binary.BigEndian.AppendUint64(dst, lo)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

// probe returns the block of a hash in a filter and the numbers of its bits in it,
// 9 bits each. The bits of the hash that say where it lies in the memory part and
// in which bucket have no part in it, and the two are of different bits, too.
func probe(n int, hi, lo uint64) (block int, at uint64) {
	b, _ := bits.Mul64(lo, uint64(n/filterBlock))
	return int(b) * filterBlock, hi ^ bits.RotateLeft64(lo, 32)
}

func addToFilter(w []uint64, probes uint32, hi, lo uint64) {
	block, at := probe(len(w), hi, lo)
	b := w[block : block+filterBlock]
	for range probes {
		b[at>>6&7] |= 1 << (at & 63)
		at >>= 9
	}
}

// inFilter says whether a hash may be there.
func inFilter(w []uint64, probes uint32, hi, lo uint64) bool {
	block, at := probe(len(w), hi, lo)
	b := w[block : block+filterBlock]
	for range probes {
		if b[at>>6&7]&(1<<(at&63)) == 0 {
			return false
		}
		at >>= 9
	}
	return true
}

// close closes the file. What cannot be closed was only read.
func (r *run) close() { r.f.Close() }

// gone says whether an error is that there is no such file (any more).
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
