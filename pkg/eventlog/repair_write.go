package eventlog

import (
	"fmt"
	"path/filepath"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/segment"
)

// bridge makes a segment for the offsets that are missing between s and the next
// one. Nothing of s is wrong, and it stays as it is.
func (r *repairer) bridge(s *readable, found *findings) error {
	n := build{
		name: filepath.Join(r.p.dir, segmentName(found.end)), base: found.end, end: s.stop,
		open: segment.Open{LogID: r.l.id, Partition: uint32(r.p.n), HasPrevious: true, PreviousBase: s.base, PreviousEnd: found.end},
		time: found.last.Last, epoch: found.last.Epoch,
	}
	if _, err := r.build(&n, nil); err != nil {
		return err
	}
	r.tell(Repaired{File: n.name, Reason: "the segment is missing", Lost: lostIf(n.base, n.end)})
	return nil
}

// rewrite puts a new file with what is whole of s in its place, and keeps s.
func (r *repairer) rewrite(s *readable, found *findings, before *previous) error {
	n := build{name: s.name, base: s.base, end: s.stop, time: found.first.First, epoch: found.first.Epoch, open: s.open}
	var lost []Offsets
	if n.end == n.base {
		// One that ends where it begins could be the last one some day, and the next
		// would have its name. The next begins behind it, and readers stop before that.
		n.end++
	}
	if s.openErr != nil {
		n.open = segment.Open{LogID: r.l.id, Partition: uint32(r.p.n)}
		if before != nil {
			n.open.HasPrevious, n.open.PreviousBase, n.open.PreviousEnd = true, before.base, before.end
			if before.end < s.base {
				n.open.Lost = segment.LostRepair
				lost = append(lost, Offsets{before.end, s.base})
			}
			if !found.begun {
				n.time, n.epoch = before.time, before.epoch
			}
		}
	}
	kept, err := r.p.keepAs(s.file, 0, s.size, fmt.Sprintf("%020d-damaged", s.base))
	if err != nil {
		return fmt.Errorf("keeping the damaged original: %w", err)
	}
	copied, err := r.build(&n, s)
	if err != nil {
		return err
	}
	// It is of the active segment as it was, and the new one has its own inside.
	r.l.fs.Remove(filepath.Join(r.p.dir, indexName(s.base)))
	why := found.reason
	switch {
	case why != "":
	case len(copied.lost) > 0:
		why = "the file ends too early"
	default:
		why = "it has no SEAL"
	}
	r.tell(Repaired{File: s.name, Reason: why, Kept: kept, Lost: append(lost, copied.lost...)})
	return nil
}

// build is a segment that is to be made.
type build struct {
	name      string
	base, end int64 // offsets
	open      segment.Open
	time      int64 // of the OPEN
	epoch     uint32
}

// build makes a segment with what is whole of from, if that is not nil, and gives
// it its name once it is durable and was read back.
func (r *repairer) build(n *build, from *readable) (findings, error) {
	work, err := r.l.newName(n.name, workMark)
	if err != nil {
		return findings{}, err
	}
	copied, err := r.write(n, work, from)
	if err == nil {
		err = r.check(r.l, r.p.n, n.base, n.end, copied.events, work)
	}
	if err == nil {
		err = r.l.fs.Rename(work, n.name)
	}
	if err != nil {
		r.l.fs.Remove(work)
		return copied, err
	}
	return copied, r.l.fs.SyncDir(r.p.dir)
}

// write writes a segment into a new file and syncs it. The segment has an id of its
// own: whatever others know of places in the old one does not hold in it.
func (r *repairer) write(n *build, name string, from *readable) (copied findings, err error) {
	id, err := r.l.random()
	if err != nil {
		return copied, err
	}
	to, err := r.l.fs.Open(name, vfs.Create)
	if err != nil {
		return copied, err
	}
	defer func() {
		if closeErr := to.Close(); err == nil {
			err = closeErr
		}
	}()
	w := &rewriter{to: to, id: id}
	h := segment.Header{Kind: segment.KindOpen, Base: n.base, Next: n.base, First: n.time, Last: n.time, Epoch: n.epoch}
	h.Ext = n.open.AppendTo(nil)
	if err := w.unit(&h, nil, segment.NoBounds()); err != nil {
		return copied, err
	}
	copied.end = n.base
	if from != nil {
		copied, err = r.pass(from, from.size, func(at int64, h *segment.Header, times segment.Bounds) error {
			if err := w.gap(h.Base); err != nil {
				return err
			}
			if int(h.BodyLen) > cap(r.body) {
				r.body = make([]byte, h.BodyLen)
			}
			r.body = r.body[:h.BodyLen]
			if err := segment.ReadFull(from.file, r.body, at+h.BodyAt()); err != nil {
				return err
			}
			u := *h
			return w.unit(&u, r.body, times)
		})
		if err != nil {
			return copied, err
		}
	}
	if from != nil {
		copied.reach(from.stop)
	} else {
		copied.reach(n.end)
	}
	if err := w.gap(n.end); err != nil {
		return copied, err
	}
	if _, err := w.seal(); err != nil {
		return copied, err
	}
	return copied, to.Sync()
}
