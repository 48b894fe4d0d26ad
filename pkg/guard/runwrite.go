package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"path/filepath"

	"logtools/pkg/internal/huge"
	"logtools/pkg/internal/vfs"
)

// writeBytes is how much of a run is gathered before it is written.
const writeBytes = 256 << 10

// runWriter writes a run.
type runWriter struct {
	fs   vfs.FS
	tmp  string
	r    *run // of which dir and bits are those to be written
	buf  []byte
	off  int64 // where buf belongs
	open int   // where the bucket under way begins in buf
	now  uint64
}

// newRun begins a run at the path tmp. Of h its identity, from and mark are taken.
// It has at most that many keys, which take that many bytes; filterBits is how many
// bits of filter each gets.
func newRun(f vfs.FS, tmp string, h runHead, keys, bytes int64, filterBits int) (*runWriter, error) {
	h.width = uint32(bits.Len64(uint64(max(bytes-1, 0)) / bucketBytes))
	h.width = min(h.width, maxWidth)
	h.probes, h.filter = 0, 0
	if filterBits > 0 && keys > 0 {
		h.probes = uint32(min(max(filterBits*2/3, 1), maxProbes))
		h.filter = (keys*int64(filterBits)/64/filterBlock + 1) * filterBlock
	}
	// What a writer that was killed has left.
	if err := f.Remove(tmp); err != nil && !gone(err) {
		return nil, err
	}
	file, err := f.Open(tmp, vfs.Create)
	if err != nil {
		return nil, err
	}
	r := &run{runHead: h, name: runName(h.from, h.to()), f: file, sums: h.seed()}
	r.dir = huge.Words(int(h.buckets() + 1))
	if h.filter > 0 {
		r.bits = huge.Words(int(h.filter))
	}
	w := &runWriter{fs: f, tmp: tmp, r: r, off: r.bucketsAt(), buf: make([]byte, 0, writeBytes+4*bucketBytes)}
	w.begin()
	return w, nil
}

// begin begins the next bucket.
func (w *runWriter) begin() {
	w.r.dir[w.now] = uint64(w.off + int64(len(w.buf)))
	w.open = len(w.buf)
	w.buf = append(w.buf, 0, 0, 0, 0) // the checksum
}

// end ends the bucket under way.
func (w *runWriter) end() error {
	b := w.buf[w.open:]
	if int64(len(b)) > maxBucket {
		return fmt.Errorf("%s: too many values lie at one place", w.r.name)
	}
	binary.LittleEndian.PutUint32(b, bucketSum(w.r.sums, w.now, b[sumLen:]))
	w.r.longest = max(w.r.longest, uint32(len(b)))
	w.now++
	if len(w.buf) >= writeBytes {
		return w.flush()
	}
	return nil
}

func (w *runWriter) flush() error {
	_, err := w.r.f.WriteAt(w.buf, w.off)
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	return err
}

// add adds a hash, which is greater than those before it.
func (w *runWriter) add(hi, lo uint64, v []byte) error {
	for number := w.r.bucket(hi); w.now < number; w.begin() {
		if err := w.end(); err != nil {
			return err
		}
	}
	w.buf = appendEntry(w.buf, hi, lo, v)
	if w.r.bits != nil {
		addToFilter(w.r.bits, w.r.probes, hi, lo)
	}
	w.r.keys++
	return nil
}

// finish makes the run durable under its name in the directory dir and returns it,
// open. Whatever goes wrong, discard is to be called.
func (w *runWriter) finish(dir string) (*run, error) {
	r := w.r
	for {
		if err := w.end(); err != nil {
			return nil, err
		}
		if int64(w.now) == r.buckets() {
			break
		}
		w.begin()
	}
	r.size = w.off + int64(len(w.buf))
	r.dir[w.now] = uint64(r.size)
	err := w.flush()
	if err == nil {
		r.dirSum, err = w.words(runHeadLen, r.dir)
	}
	if err == nil {
		r.filtrSum, err = w.words(r.filterAt(), r.bits)
	}
	if err == nil {
		_, err = r.f.WriteAt(r.encode(), 0)
	}
	if err == nil {
		err = r.f.Sync()
	}
	if err != nil {
		return nil, err
	}
	// Who has taken away the directory has taken away the lock that made sure
	// that only one writes under this name.
	if ours, err := r.f.HasName(w.tmp); err != nil || !ours {
		return nil, errors.Join(err, errLost)
	}
	if err := w.fs.Rename(w.tmp, filepath.Join(dir, r.name)); err != nil {
		return nil, err
	}
	if err := w.fs.SyncDir(dir); err != nil {
		return nil, err
	}
	return r, nil
}

// errLost says that the directory was taken away while something was written
// there.
var errLost = errors.New("the index of the log's rules was removed while it was written")

// words writes words and returns their checksum.
func (w *runWriter) words(at int64, words []uint64) (crc uint32, err error) {
	for len(words) > 0 {
		n := min(len(words), writeBytes/8)
		b := w.buf[:0]
		for _, x := range words[:n] {
			b = binary.LittleEndian.AppendUint64(b, x)
		}
		crc = sum(crc, b)
		if _, err := w.r.f.WriteAt(b, at); err != nil {
			return 0, err
		}
		at += int64(len(b))
		words = words[n:]
	}
	return crc, nil
}

// discard gives up the run. It may have its name already; then it stays there.
func (w *runWriter) discard() {
	w.r.close()
	w.fs.Remove(w.tmp)
}
