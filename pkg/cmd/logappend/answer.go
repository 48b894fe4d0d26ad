package logappend

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/render"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// acks writes a line for each batch (--acks).
type acks struct {
	out io.Writer
	buf []byte
}

func (k *acks) answer(_ *stream.Batch, a stream.Ack) {
	if a.Count == 0 && len(a.Refused) > 0 {
		return // it lies nowhere
	}
	b := append(k.buf[:0], `{"partition":`...)
	b = strconv.AppendInt(b, int64(a.Partition), 10)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, a.Offset, 10)
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, int64(a.Count), 10)
	if !a.Durable {
		b = append(b, `,"durable":false`...)
	}
	k.buf = append(b, "}\n"...)
	k.out.Write(k.buf) // the first error ends the run, and is reported there
}

// tee writes each event that was stored, as a reader of the log gets it (--tee).
type tee struct {
	out    io.Writer
	reader *event.Reader
	event  event.Event
	buf    []byte
	times  []byte
	text   []byte // scratch
}

// teePart is how much is written at once, in bytes.
const teePart = 1 << 20

func newTee(out io.Writer) *tee {
	return &tee{out: out, reader: event.NewReader(new(event.Fields), event.Auto)}
}

func (t *tee) answer(b *stream.Batch, a stream.Ack) {
	t.times = when.FromTime(time.UnixMicro(a.Appended)).AppendRFC3339(t.times[:0])
	n := len(t.times)
	o := render.Out{Partition: event.IntValue(int64(a.Partition))}
	t.buf = t.buf[:0]
	offset, refused, line := a.Offset, a.Refused, 0
	for rest := b.Lines; offset < a.Offset+int64(a.Count); line++ {
		end := bytes.IndexByte(rest, '\n')
		text := rest[:end]
		rest = rest[end+1:]
		if len(refused) > 0 && refused[0].Index == line {
			refused = refused[1:]
			continue
		}
		o.Offset = event.IntValue(offset)
		offset++
		ev := &t.event
		ev.Reset(0)
		if t.reader.Read(text, ev) != nil {
			continue // it was read before, so this cannot be
		}
		o.Key, o.Headers, o.Src, o.Value = ev.Key, ev.Headers, ev.Src, ev.Value()
		o.Time = event.PlainValue(t.times[:n])
		if ev.Time.Kind != event.Missing {
			t.text = t.text[:0]
			if at, ok := when.Parse(ev.Time.Text(&t.text), nil); ok {
				t.times = at.AppendRFC3339(t.times[:n])
				o.Time = event.PlainValue(t.times[n:])
			}
		}
		t.buf = append(render.AppendEvent(t.buf, &o), '\n')
		if len(t.buf) >= teePart {
			t.flush()
		}
	}
	t.flush()
}

func (t *tee) flush() {
	if len(t.buf) > 0 {
		t.out.Write(t.buf) // the first error ends the run, and is reported there
	}
	t.buf = t.buf[:0]
}
