package compact

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"logtools/pkg/eventlog"
)

// note is what a run leaves for the next one, beside the segments. If it is lost, the
// next run looks at everything again, and tombstones stay longer.
type note struct {
	Log string `json:"log"`
	// Segments stands for the sealed segments as the run has left them, Keep for what it
	// left of each key, and Keys is how many there were.
	Segments string `json:"segments"`
	Keep     int    `json:"keep"`
	Keys     int64  `json:"keys"`
	// Pending is when the first event was appended that was left alone, in microseconds
	// since 1970; 0: there was none.
	Pending int64 `json:"pending"`
	// Covered says when tombstones that are there were first covered by a run,
	// ascending: those before the offset Next at the time At.
	Covered []covering `json:"covered"`
}

type covering struct {
	Next int64 `json:"next"`
	At   int64 `json:"at"` // microseconds since 1970
}

// read fills in n. One that is damaged, or of another log, counts as none.
func (n *note) read(m *eventlog.Maintenance, l *eventlog.Log) error {
	ok, err := m.ReadNote(n)
	if !ok || n.Log != l.Settings().ID {
		*n = note{}
	}
	return err
}

// holds says whether these are the sealed segments that the run has left.
func (n *note) holds(sealed []eventlog.Segment) bool {
	return n.Log != "" && n.Segments == stamp(sealed)
}

// stamp returns what stands for segments: it differs for others.
func stamp(segments []eventlog.Segment) string {
	h := sha256.New()
	var b [16]byte
	for i := range segments {
		binary.LittleEndian.PutUint64(b[:], uint64(segments[i].Base))
		binary.LittleEndian.PutUint64(b[8:], segments[i].ID)
		h.Write(b[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// cover returns the coverings after a run at the time now, which has covered what lies
// before next: those before which no tombstone lies any more, as tombstones has counted
// (one number for each of old, and one for what is new), are left out. Behind next, if
// less was covered than before, nothing was counted: those stay.
//
// One that lies in the future is from a clock that was wrong.
//
// A log with tombstones that is compacted for ever would have one for each run; so the
// last one moves on for a while. Tombstones stay by a sixty-fourth longer then.
func cover(old []covering, tombstones []int64, next, now, keep int64) []covering {
	var all []covering
	for i, c := range old {
		if tombstones[i] > 0 || c.Next > next {
			all = append(all, covering{c.Next, min(c.At, now)})
		}
	}
	if tombstones[len(old)] == 0 {
		return all
	}
	if n := len(all); n >= 2 && now-all[n-2].At < keep/64 {
		all = all[:n-1]
	}
	return append(all, covering{next, now})
}

// remember writes down what the run has covered.
func (r *runner) remember() error {
	r.note = note{
		Log: r.l.Settings().ID, Segments: stamp(r.sealed()), Keep: r.o.Keep, Keys: r.alive.keys,
		Pending: r.pending, Covered: r.note.Covered,
	}
	return r.m.WriteNote(&r.note)
}
