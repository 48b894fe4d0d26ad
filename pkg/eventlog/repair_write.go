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
		err = r.check(n, work, &copied)
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
	if err := w.seal(); err != nil {
		return copied, err
	}
	return copied, to.Sync()
}

// check reads a new segment before it gets its name.
func (r *repairer) check(n *build, name string, copied *findings) error {
	s := &readable{l: r.l, partition: r.p.n, base: n.base, name: name, stop: n.end}
	var err error
	if s.file, err = r.l.fs.Open(name, vfs.ReadOnly); err != nil {
		return err
	}
	defer s.close()
	if err := s.readOpen(); err != nil {
		return err
	}
	is, err := r.pass(s, s.size, nil)
	if err != nil {
		return err
	}
	if is.reason != "" || !is.sealed || is.end < n.end || is.events != copied.events {
		return fmt.Errorf("%s: what was written of the repaired segment does not read back: %d of %d events: %s", name, is.events, copied.events, is.reason)
	}
	return nil
}

// rewriter writes units one behind the other.
type rewriter struct {
	to    vfs.File
	id    uint64
	at    int64
	last  segment.Header
	tally segment.Tally
	buf   []byte
}

// unit writes a unit, changed so that it fits to the one before it.
func (w *rewriter) unit(h *segment.Header, body []byte, times segment.Bounds) error {
	h.SegmentID, h.PrevCRC = w.id, w.last.HeadCRC
	h.SyncedTo = w.at // the file gets its name when all of it is durable
	h.Epoch = max(h.Epoch, w.last.Epoch)
	b, err := h.AppendTo(w.buf[:0])
	if err != nil {
		return err
	}
	if _, err := w.to.WriteAt(b, w.at); err != nil {
		return err
	}
	if len(body) > 0 {
		if _, err := w.to.WriteAt(body, w.at+int64(len(b))); err != nil {
			return err
		}
	}
	w.tally.Add(h, times)
	w.buf, w.last = b, *h
	w.last.Ext = nil
	w.at += int64(len(b) + len(body))
	return nil
}

// gap writes a unit without lines up to the offset next, if that is not reached.
func (w *rewriter) gap(next int64) error {
	if next <= w.last.Next {
		return nil
	}
	h := segment.Header{Kind: segment.KindBatch, Base: w.last.Next, Next: next, First: w.last.Last, Last: w.last.Last}
	batch := segment.Batch{Times: segment.NoBounds()}
	h.Ext = batch.AppendTo(nil, &h)
	return w.unit(&h, nil, batch.Times)
}

func (w *rewriter) seal() error {
	seal := w.tally.Seal()
	return w.unit(&segment.Header{
		Kind: segment.KindSeal, Base: w.last.Next, Next: w.last.Next, First: w.last.Last, Last: w.last.Last, Ext: seal.AppendTo(nil),
	}, nil, segment.NoBounds())
}
