package eventlog

import (
	"context"

	"logtools/pkg/segment"
	"logtools/pkg/stream"
)

// Description is what a partition holds.
type Description struct {
	Partition int
	// First is the offset of the first event that may be there, Next the one that
	// the next event gets. Offsets between them may be missing.
	First, Next int64
	// Events and RawBytes count events and the bytes of their lines, Bytes those
	// of the segments on the disk. Where a segment is damaged, or was given up in
	// the midst of a unit, RawBytes is an estimate.
	Events, RawBytes, Bytes int64
	Segments                int
	// MinTime and MaxTime are the bounds of the events' times, where those that
	// have none of their own count with the time of their append; AppendedAt is when
	// the last one was appended, in microseconds since 1970. Without events all
	// three mean nothing.
	MinTime, MaxTime stream.Instant
	AppendedAt       int64
}

// Describe returns what each partition holds, as its segments say: their bodies are
// not read.
func (l *Log) Describe(ctx context.Context) ([]Description, error) {
	all := make([]Description, l.settings.Partitions)
	for p := range all {
		err := l.retry(func() (err error) {
			all[p], err = l.describe(ctx, p)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (l *Log) describe(ctx context.Context, partition int) (d Description, err error) {
	x, err := l.extent(partition)
	if err != nil {
		return d, err
	}
	d = Description{Partition: partition, First: x.first(), Next: x.next}
	times := segment.NoBounds()
	err = l.walk(partition, x.bases, false, func(s *readable) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		t, err := s.count(x.next)
		if err != nil {
			return false, err
		}
		d.Segments++
		d.Bytes += s.size
		d.Events += t.events
		d.RawBytes += t.raw
		if t.events > 0 {
			times.Add(t.times)
			d.AppendedAt = t.appended
		}
		return true, nil
	})
	if d.Events > 0 {
		d.MinTime, d.MaxTime = times.Min, times.Max
	}
	return d, err
}
