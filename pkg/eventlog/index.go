package eventlog

import (
	"errors"
	"io/fs"
	"path/filepath"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// indexer writes the .idx of the active segment. It is a help for readers, who
// believe none of it without looking: nothing is synced, and whatever goes wrong
// with it is not an error.
type indexer struct {
	file  vfs.File // nil: there is none, or it cannot be written
	tally *segment.Tally
	size  int64 // of the file, as this process knows it
	off   bool  // no more of it
}

func (x *indexer) close() {
	if x.file != nil {
		x.file.Close()
		x.file = nil
	}
}

// note counts the unit with h that was just appended to a, under the lock.
func (p *partition) note(a *active, h *segment.Header, times segment.Bounds) {
	x := a.index
	if x.off {
		return
	}
	if x.tally.At() != a.size-h.Size() { // others have appended
		x.off = !p.resume(a, x, a.size-h.Size())
		if x.off {
			return
		}
	}
	e, due := x.tally.Add(h, times)
	if !due {
		return
	}
	if x.file == nil {
		f, err := p.l.fs.Open(p.indexPath(a), vfs.Create)
		if errors.Is(err, fs.ErrExist) { // another writer of this segment was first
			f, err = p.l.fs.Open(p.indexPath(a), vfs.ReadWrite)
		}
		if err != nil {
			x.off = true
			return
		}
		x.file = f
	}
	// All writers of the segment make the same entries, each as it comes to know of
	// the units: writing one again changes nothing.
	b := e.AppendTo(nil, a.end.SegmentID)
	if _, err := x.file.WriteAt(b, x.size); err != nil {
		x.off = true
		return
	}
	x.size += int64(len(b))
}

func (p *partition) indexPath(a *active) string { return filepath.Join(p.dir, indexName(a.base)) }

// openIndex returns the indexer of a up to the byte end.
func (p *partition) openIndex(a *active, end int64) *indexer {
	x := &indexer{}
	if f, err := p.l.fs.Open(p.indexPath(a), vfs.ReadWrite); err == nil {
		x.file = f
	}
	x.off = !p.resume(a, x, end)
	return x
}

// resume makes x what the .idx says, and counts the units behind that up to the
// byte end of a.
func (p *partition) resume(a *active, x *indexer, end int64) bool {
	var content []byte
	if x.file != nil {
		var err error
		if content, err = readFile(x.file, largestIndex); err != nil {
			return false
		}
	}
	known := segment.ParseIndex(content, a.end.SegmentID, end)
	x.tally = segment.ResumeTally(known)
	x.size = int64(len(known)) * segment.EntryLen
	if x.file != nil && x.size < int64(len(content)) { // what is wrong in it goes
		// Durably: entries of an earlier life of the same bytes must not come back.
		if err := x.file.Truncate(x.size); err != nil || x.file.Sync() != nil {
			return false
		}
	}
	var h segment.Header
	var batch segment.Batch
	var buf []byte
	for x.tally.At() < end {
		at := x.tally.At()
		if err := segment.ReadHeader(a.file, at, end, &h, &buf); err != nil || h.SegmentID != a.end.SegmentID {
			return false
		}
		times, err := batch.TimesOf(at, &h)
		if err != nil {
			return false
		}
		x.tally.Add(&h, times)
	}
	return x.tally.At() == end
}

// largestIndex is the most that is read of an .idx: as much as a segment of the
// largest size has.
const largestIndex = 256 << 20

// dropIndex removes the .idx of a, which is no longer active: its SEAL has it.
func (p *partition) dropIndex(a *active) {
	p.l.fs.Remove(p.indexPath(a))
}
