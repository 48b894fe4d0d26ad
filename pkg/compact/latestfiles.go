package compact

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"slices"

	"logtools/pkg/spill"
)

// This file is what Latest does beyond its memory.

// spill writes what is in memory to the files and forgets it.
func (l *Latest) spill() error {
	if l.lineFile == nil {
		var err error
		if l.lineFile, err = l.create(); err != nil {
			return err
		}
		if l.keyFile, err = l.create(); err != nil {
			return err
		}
	}
	first := l.next
	l.order = slices.Grow(l.order[:0], int(l.count))
	err := l.stay(func(rec []byte) error {
		number := binary.LittleEndian.Uint32(rec)
		flags := binary.LittleEndian.Uint64(rec[lineMarkAt:]) & (1<<lineMarkShift - 1)
		if number != noEntry {
			line := uint32(l.next-first)<<1 | uint32(flags&lineTombstone)
			l.order = append(l.order, placed{l.entries[number].hash, number, line})
		}
		binary.LittleEndian.PutUint64(rec[lineMarkAt:], l.next<<lineMarkShift|flags)
		l.next++
		l.fresh.bytes += int64(len(rec))
		return l.lineFile.Add(rec[lineMarkAt:])
	})
	if err != nil {
		return err
	}
	lines := int64(l.next - first)
	l.fresh.lines += lines
	l.fresh.noKey += lines - int64(len(l.order))
	lineRun, err := l.lineFile.EndRun()
	if err != nil {
		return err
	}
	keyRun, err := l.writeKeys(first)
	if err != nil {
		return err
	}
	l.lineRuns = append(l.lineRuns, lineRun)
	l.keyRuns = append(l.keyRuns, keyRun)
	l.empty()
	if l.fresh.bytes > max(2*l.settled.bytes, 8*l.limit) {
		return l.tidy()
	}
	return nil
}

// writeKeys writes the run of the keys in order, whose lines are numbered from first
// on: by hash and key, and the newest line of a key first.
func (l *Latest) writeKeys(first uint64) (spill.Run, error) {
	slices.SortFunc(l.order, func(a, b placed) int {
		switch {
		case a.hash != b.hash:
			return cmp.Compare(a.hash, b.hash)
		case a.entry != b.entry:
			return bytes.Compare(l.key(&l.entries[a.entry]), l.key(&l.entries[b.entry]))
		}
		return cmp.Compare(b.line, a.line)
	})
	var buf [256]byte
	rec := buf[:]
	for _, p := range l.order {
		mark := (first+uint64(p.line>>1))<<lineMarkShift | uint64(p.line&lineTombstone)
		rec = binary.LittleEndian.AppendUint64(rec[:0], mark)
		rec = append(rec, l.key(&l.entries[p.entry])...)
		if err := l.keyFile.Add(rec); err != nil {
			return spill.Run{}, err
		}
	}
	return l.keyFile.EndRun()
}

func (l *Latest) create() (*spill.File, error) {
	f, err := l.dir.Create()
	if err == nil {
		l.files = append(l.files, f)
	}
	return f, err
}

// remove removes a file that is not needed any more.
func (l *Latest) remove(f *spill.File) error {
	l.files = slices.DeleteFunc(l.files, func(o *spill.File) bool { return o == f })
	return f.Close()
}

// tidy keeps the files small: one run of keys without those of lines that went, and
// if most lines went a new file of the others. It costs about as much as writing what
// came since the last time.
func (l *Latest) tidy() error {
	l.free()
	runs, err := l.reduce()
	if err != nil {
		return err
	}
	keys, err := l.create()
	if err != nil {
		return err
	}
	keyed := int64(0)
	err = l.newest(runs, func(rec []byte) error { keyed++; return keys.Add(rec) })
	if err != nil {
		return err
	}
	run, err := keys.EndRun()
	if err != nil {
		return err
	}
	if err := l.remove(l.keyFile); err != nil {
		return err
	}
	l.keyFile, l.keyRuns = keys, []spill.Run{run}

	now := &l.settled
	now.bytes += l.fresh.bytes
	now.lines += l.fresh.lines
	now.noKey += l.fresh.noKey
	l.fresh = stored{}
	if keyed+now.noKey > now.lines/2 {
		return nil
	}
	lines, err := l.create()
	if err != nil {
		return err
	}
	*now = stored{lines: keyed + now.noKey, noKey: now.noKey}
	err = l.stored(l.keyRuns, func(rec []byte) error {
		now.bytes += int64(len(rec))
		return lines.Add(rec)
	})
	if err != nil {
		return err
	}
	if run, err = lines.EndRun(); err != nil {
		return err
	}
	err = l.remove(l.lineFile)
	l.lineFile, l.lineRuns = lines, []spill.Run{run}
	return err
}

// reduce merges the runs of keys until those that are left, which it returns, the
// newest first, can be merged at a time.
func (l *Latest) reduce() ([]spill.Run, error) {
	runs := l.keyRuns
	l.keyRuns = nil // used up
	slices.Reverse(runs)
	fanIn := spill.FanIn(l.memory / 2)
	if l.longest > spill.BlockMemory {
		// A run that is read takes the memory of its longest record.
		fanIn = int(min(int64(fanIn), max(l.memory/2/(spill.BlockMemory+l.longest), minFanIn)))
	}
	runs, err := spill.Reduce(l.dir, runs, fanIn, func(to *spill.File, part []spill.Run) error {
		if l.keyFile != to {
			l.keyFile = to
			l.files = append(l.files, to)
		}
		return l.newest(part, to.Add)
	})
	if err == nil {
		// The others are closed.
		l.files = slices.DeleteFunc(l.files, func(f *spill.File) bool { return f != l.keyFile && f != l.lineFile })
	}
	return runs, err
}

// newest calls give with the records of runs of keys, the newest run first, whose lines
// stay as far as these runs know. A record is valid only during the call.
func (l *Latest) newest(runs []spill.Run, give func(rec []byte) error) error {
	m, err := spill.Merge(spill.Order{
		Rank:    func(rec []byte) uint64 { return l.hash(rec[lineMarkBytes:]) },
		Compare: func(a, b []byte) int { return bytes.Compare(a[lineMarkBytes:], b[lineMarkBytes:]) },
	}, runs)
	if err != nil {
		return err
	}
	left := uint64(0)
	l.same = l.same[:0] // no key is empty
	for {
		rec, err := m.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(rec[lineMarkBytes:], l.same) {
			l.same = append(l.same[:0], rec[lineMarkBytes:]...)
			left = l.keep
		}
		if left == 0 {
			continue
		}
		left--
		if binary.LittleEndian.Uint64(rec)&lineTombstone != 0 {
			left = 0
		}
		if err := give(rec); err != nil {
			return err
		}
	}
}

// stored calls yield with the lines in the files that stay, in their order, each with
// its mark in front. runs are those of the keys, the newest first.
func (l *Latest) stored(runs []spill.Run, yield func(rec []byte) error) (err error) {
	marks := spill.NewSorter(l.dir, spill.Order{Rank: binary.LittleEndian.Uint64}, 0, l.memory/4)
	defer func() { err = cmp.Or(err, marks.Close()) }()
	err = l.newest(runs, func(rec []byte) error { return marks.Add(rec[:lineMarkBytes]) })
	if err != nil {
		return err
	}
	lines := lineReader{runs: l.lineRuns}
	err = marks.Each(func(mark []byte) error {
		for {
			rec, err := lines.next()
			if err != nil {
				return err
			}
			found := bytes.Equal(rec[:lineMarkBytes], mark)
			if found || rec[0]&lineNoKey != 0 {
				if err := yield(rec); err != nil {
					return err
				}
			}
			if found {
				return nil
			}
		}
	})
	if err != nil {
		return err
	}
	for {
		rec, err := lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if rec[0]&lineNoKey != 0 {
			if err := yield(rec); err != nil {
				return err
			}
		}
	}
}

// lineReader reads runs one after the other.
type lineReader struct {
	runs []spill.Run
	r    *spill.Reader
}

// next returns the next record, which is valid until the next call; after the last
// one, io.EOF.
func (r *lineReader) next() ([]byte, error) {
	for {
		if r.r == nil {
			if len(r.runs) == 0 {
				return nil, io.EOF
			}
			r.r, r.runs = r.runs[0].Reader(), r.runs[1:]
		}
		rec, err := r.r.Next()
		if err != io.EOF {
			return rec, err
		}
		r.r = nil
	}
}
