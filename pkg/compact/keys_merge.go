package compact

import (
	"bytes"
	"encoding/binary"
	"io"

	"logtools/pkg/spill"
)

// A record has a key and some of its events, in order:
//
//	hi, lo   big-endian, so that bytes are ordered as hashes are
//	marks    little-endian, 1 to maxMarks of them
//
// Runs are sorted by key; what a later one has of a key is newer.
const (
	recordHead = 16
	maxMarks   = 1024
)

var byHash = spill.Order{
	Rank:    func(rec []byte) uint64 { return binary.BigEndian.Uint64(rec) },
	Compare: func(a, b []byte) int { return bytes.Compare(a[8:recordHead], b[8:recordHead]) },
}

// write adds the records of a key to a file.
func (s *survivors) write(to *spill.File, key hash, ms []mark) error {
	for len(ms) > 0 {
		part := ms[:min(len(ms), maxMarks)]
		ms = ms[len(part):]
		s.rec = binary.BigEndian.AppendUint64(s.rec[:0], key.hi)
		s.rec = binary.BigEndian.AppendUint64(s.rec, key.lo)
		for _, m := range part {
			s.rec = binary.LittleEndian.AppendUint64(s.rec, uint64(m))
		}
		if err := to.Add(s.rec); err != nil {
			return err
		}
	}
	return nil
}

// flush writes the table as a run, and empties it. An error is kept in s.err.
func (s *survivors) flush() {
	if s.table.n == 0 || s.err != nil {
		return
	}
	if s.files == nil {
		var f *spill.File
		if f, s.err = s.dir.Create(); s.err != nil {
			return
		}
		s.files = append(s.files, f)
	}
	to := s.files[len(s.files)-1]
	s.err = s.table.each(func(key hash, ms, more []mark) error {
		if err := s.write(to, key, ms); err != nil {
			return err
		}
		return s.write(to, key, more)
	})
	if s.err != nil {
		return
	}
	var run spill.Run
	if run, s.err = to.EndRun(); s.err == nil {
		s.runs = append(s.runs, run)
		s.table.reset()
	}
}

// merge drops what cannot stay of the keys in all runs, and says so of what is left.
func (s *survivors) merge() error {
	s.files[0].Release()
	runs, err := spill.Reduce(s.dir, s.runs, spill.FanIn(s.memory-s.bits.bytes()), func(to *spill.File, part []spill.Run) error {
		if s.files[len(s.files)-1] != to {
			s.files = append(s.files, to)
		}
		return s.replay(part, func(key hash, ms []mark) error { return s.write(to, key, ms) })
	})
	if err != nil {
		return err
	}
	s.runs = runs
	return s.replay(runs, func(_ hash, ms []mark) error {
		s.last(ms, nil)
		return nil
	})
}

// replay reads some runs as one, and calls use with the events of each key that are
// not dropped, the oldest first. They take about 10 bytes each.
func (s *survivors) replay(runs []spill.Run, use func(key hash, ms []mark) error) error {
	m, err := spill.Merge(byHash, runs)
	if err != nil {
		return err
	}
	var key hash
	var ms []mark
	from := 0 // before it are events that were dropped
	for {
		rec, err := m.Next()
		if err != nil && err != io.EOF {
			return err
		}
		var next hash
		if err == nil {
			next = hash{binary.BigEndian.Uint64(rec), binary.BigEndian.Uint64(rec[8:])}
		}
		if len(ms) > from && (err == io.EOF || next != key) {
			if err := use(key, ms[from:]); err != nil {
				return err
			}
			ms, from = ms[:0], 0
		}
		if err == io.EOF {
			return nil
		}
		key = next
		for b := rec[recordHead:]; len(b) >= 8; b = b[8:] {
			m := mark(binary.LittleEndian.Uint64(b))
			if m&isTombstone != 0 {
				s.drop(ms[from:])
				ms, from = ms[:0], 0
			} else if len(ms)-from == s.keep {
				s.dropOne(ms[from])
				from++
			}
			if from > len(ms)/8 {
				ms, from = ms[:copy(ms, ms[from:])], 0
			}
			ms = append(ms, m)
		}
	}
}
