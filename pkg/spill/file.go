package spill

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
)

// A file is block after block. A block belongs to one run:
//
//	u32  length of what follows the checksum
//	u32  its CRC-32C
//	     records, one after the other: length (uvarint), bytes. A record goes
//	     on in the next block.
const (
	blockSize = 32 << 10 // with the header
	headSize  = 8
)

// maxRecord limits a record, so that a length that is read fits an int.
const maxRecord = math.MaxInt32 / 2

// File takes runs of records, one after the other.
type File struct {
	dir    *Dir
	medium Medium
	size   int64  // bytes written
	start  int64  // where the run in hand begins
	block  []byte // the block in hand, with room for its header; nil: none yet
	err    error  // of writing: the file takes no more
}

// Run is a sequence of records in a File. It can be read as often as wanted,
// until the File is closed.
type Run struct {
	file *File
	off  int64
	end  int64
}

// Add adds a record to the run in hand. rec is not kept.
func (f *File) Add(rec []byte) error {
	if f.err != nil {
		return f.err
	}
	if len(rec) > maxRecord {
		return fmt.Errorf("a record of %d bytes is too long", len(rec))
	}
	if f.block == nil {
		f.block = make([]byte, headSize, blockSize)
	}
	if len(f.block)+binary.MaxVarintLen64+len(rec) <= blockSize {
		f.block = binary.AppendUvarint(f.block, uint64(len(rec)))
		f.block = append(f.block, rec...)
		return nil
	}
	var head [binary.MaxVarintLen64]byte
	f.put(binary.AppendUvarint(head[:0], uint64(len(rec))))
	f.put(rec)
	return f.err
}

func (f *File) put(b []byte) {
	for f.err == nil {
		n := copy(f.block[len(f.block):blockSize], b)
		f.block = f.block[:len(f.block)+n]
		b = b[n:]
		if len(b) == 0 {
			return
		}
		f.flush()
	}
}

// flush writes the block in hand.
func (f *File) flush() {
	b := f.block
	if len(b) <= headSize || f.err != nil {
		return
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-headSize))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[headSize:], castagnoli))
	n, err := f.medium.Write(b)
	f.size += int64(n)
	f.dir.written.Add(int64(n))
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		f.err = f.named("write", err)
	}
	f.block = b[:headSize]
}

// EndRun ends the run in hand and returns it; the next record begins another.
func (f *File) EndRun() (Run, error) {
	f.flush()
	if f.err != nil {
		return Run{}, f.err
	}
	r := Run{f, f.start, f.size}
	f.start = f.size
	return r, nil
}

// Release frees the memory of the block in hand; the next record takes it again.
// It must follow EndRun.
func (f *File) Release() { f.block = nil }

// Close removes the file. Its runs must not be read any more.
func (f *File) Close() error { return f.dir.remove(f) }

// named gives an error the operation and the file, if it has none.
func (f *File) named(op string, err error) error {
	if _, ok := err.(*fs.PathError); ok {
		return err
	}
	return &fs.PathError{Op: op, Path: f.medium.Name(), Err: err}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Reader reads the records of a run. Its memory is that of a block and of the
// longest record.
type Reader struct {
	run   Run
	off   int64  // of the next block
	buf   []byte // for a block
	block []byte // what is left of the block in hand
	rec   []byte // for records of several blocks
}

// Reader returns a Reader of the run.
func (r Run) Reader() *Reader { return &Reader{run: r, off: r.off} }

// Next returns the next record, which is valid until the next call; after the
// last one, io.EOF.
func (r *Reader) Next() ([]byte, error) {
	if len(r.block) == 0 {
		if r.off == r.run.end {
			return nil, io.EOF
		}
		if err := r.load(); err != nil {
			return nil, err
		}
	}
	n, k := binary.Uvarint(r.block)
	if k <= 0 {
		// The length itself is divided.
		var err error
		if n, err = r.length(); err != nil {
			return nil, err
		}
	} else {
		r.block = r.block[k:]
	}
	if n <= uint64(len(r.block)) {
		rec := r.block[:n:n]
		r.block = r.block[n:]
		return rec, nil
	}
	if n > maxRecord {
		return nil, r.damaged()
	}
	r.rec = r.rec[:0]
	for rest := int(n); ; {
		m := min(rest, len(r.block))
		r.rec = append(r.rec, r.block[:m]...)
		r.block = r.block[m:]
		if rest -= m; rest == 0 {
			return r.rec, nil
		}
		if err := r.load(); err != nil {
			return nil, err
		}
	}
}

// length reads a length byte by byte.
func (r *Reader) length() (n uint64, err error) {
	for shift := 0; shift < 64; shift += 7 {
		if len(r.block) == 0 {
			if err := r.load(); err != nil {
				return 0, err
			}
		}
		c := r.block[0]
		r.block = r.block[1:]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n, nil
		}
	}
	return 0, r.damaged()
}

// load reads the next block.
func (r *Reader) load() error {
	left := r.run.end - r.off
	if left <= headSize {
		return r.damaged()
	}
	if r.buf == nil {
		r.buf = make([]byte, min(blockSize, left))
	}
	b := r.buf[:min(int64(len(r.buf)), left)]
	if n, err := r.run.file.medium.ReadAt(b, r.off); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return r.run.file.named("read", err)
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || int64(n) > int64(len(b))-headSize {
		return r.damaged()
	}
	r.block = b[headSize : headSize+n]
	if crc32.Checksum(r.block, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return r.damaged()
	}
	r.off += headSize + int64(n)
	return nil
}

func (r *Reader) damaged() error {
	return fmt.Errorf("%s: the temporary file was damaged at byte %d", r.run.file.medium.Name(), r.off)
}
