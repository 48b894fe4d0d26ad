package scan

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/stream"
	"logtools/pkg/when"
)

// logLines is the parser of the lines of a log: events in the uniform format, of
// which the block says where they lie. They were checked when they were appended
// and their bytes have been verified since, so that where no program asks for a
// member of the value, it is enough to see where the value begins (see quick).
type logLines struct {
	reader *event.Reader
	slots  bool // members of the value are asked for

	pos   *stream.Positions
	data  []byte // of the block
	log   event.Value
	name  string // in log
	line  int    // the next one
	left  int64  // lines that were appended at the same time as that one
	run   int    // the next of pos.Times
	ready bool   // reader knows the block
	clean event.Clean

	appended int64     // what text and at are of
	text     []byte    // of the time of the append, as it is written
	at       when.Time // that time
	own      bool      // the last event has a time of its own
	settled  bool      // its time is as it is written out
	shape    shape     // of its line

	// What events begin with when they are written, up to their offset, without
	// and with their log; and the member time of those that have none.
	head, named, time []byte
	partition         int32 // of head and named
}

// shape is what quick has seen of a line: how its positions are put in.
type shape uint8

const (
	anyShape shape = iota // not known
	bareShape
	timedShape   // an event that begins with its time
	untimedShape // one that has none
)

func newLogLines(f *event.Fields) *logLines {
	return &logLines{reader: event.NewReader(f, event.Auto), slots: f.Len() > 0}
}

// begin is called before the lines of each block.
func (l *logLines) begin(b *stream.Block) {
	l.pos, l.data, l.line, l.run, l.ready = &b.Pos, b.Data, 0, 0, false
	if l.name != b.Pos.Log || l.partition != b.Pos.Partition || l.head == nil {
		l.name, l.partition = b.Pos.Log, b.Pos.Partition
		l.log = event.PlainValue(trimQuotes(event.AppendString(nil, []byte(b.Pos.Log))))
		if bytes.IndexByte(l.log.B, '\\') >= 0 {
			l.log.Form = event.JSON
		}
		l.head = fmt.Appendf(l.head[:0], `{"partition":%d,"offset":`, l.partition)
		l.named = append(l.log.AppendJSON(append(l.named[:0], `{"log":`...)), ',')
		l.named = append(l.named, l.head[1:]...)
	}
	if l.left = -1; len(b.Pos.Times) > 0 {
		l.left = 0
	} else {
		l.setAppended(b.Pos.Appended)
	}
}

func trimQuotes(s []byte) []byte { return s[1 : len(s)-1] }

// setAppended sets the time of the append, in microseconds since 1970.
func (l *logLines) setAppended(us int64) {
	if us == l.appended && l.text != nil {
		return
	}
	l.appended = us
	l.at = when.FromTime(time.UnixMicro(us))
	l.text = l.at.AppendRFC3339(l.text[:0])
	l.time = append(append(append(l.time[:0], `,"time":"`...), l.text...), '"')
}

// Block implements parse.Parser: see begin.
func (l *logLines) Block(event.Clean) {}

// Time implements parse.Parser: every event has a time.
func (l *logLines) Time() (when.Time, bool) { return l.at, true }

// Parse implements parse.Parser. It must be called for each line of the block.
func (l *logLines) Parse(line []byte, ev *event.Event) error {
	for l.left == 0 && l.run < len(l.pos.Times) {
		l.setAppended(l.pos.Times[l.run].Appended)
		l.left = l.pos.Times[l.run].Lines
		l.run++
	}
	l.left--
	at := l.line
	l.line++
	l.shape = anyShape
	if l.settled = !l.slots && l.quick(line, ev); !l.settled {
		if err := l.read(line, ev); err != nil {
			return err
		}
	}
	if l.own = ev.Time.Kind != event.Missing; !l.own {
		ev.SetTime(event.PlainValue(l.text))
		l.settled = true
	}
	ev.AsIs = false // its line does not say where it lies
	ev.Log = l.log
	ev.Partition = event.IntValue(int64(l.pos.Partition))
	ev.Offset = event.IntValue(l.pos.Offset(int64(at)))
	return nil
}

// read is quick's slow twin: it goes over the whole line, and finds what is asked
// for.
func (l *logLines) read(line []byte, ev *event.Event) error {
	if !l.ready {
		l.ready = true
		l.clean.Inspect(l.data)
		l.clean.UTF8 = true // it was when it was appended
		l.reader.Block(l.clean)
	}
	return l.reader.Read(line, ev)
}

// quick takes apart a line of the usual kinds without going over the value: a bare
// value that cannot be taken for an event, or an event of time, key and value, in
// that order and without spaces, as appending writes them. It relies on the line
// being valid. It returns false, and ev as it was, where it takes more to know.
func (l *logLines) quick(line []byte, ev *event.Event) bool {
	if len(line) == 0 || line[0] <= ' ' || line[len(line)-1] <= ' ' {
		return false
	}
	if line[0] != '{' {
		l.shape, ev.Line, ev.Bare = bareShape, line, true
		ev.SetValue(event.RawValue(line))
		return true
	}
	if line[1] != '"' { // the line is valid: an object has two bytes at least
		return false
	}
	name := line[2:min(len(line), 2+longestName+1)]
	switch {
	case bytes.IndexByte(name, '\\') >= 0:
		return false // it may be spelled in a strange way
	case !isEnvelopeName(name):
		// All members of an event have names of the envelope; so has the first.
		l.shape, ev.Line, ev.Bare = bareShape, line, true
		ev.SetValue(event.Value{Kind: event.Object, B: line})
		return true
	}
	at, key, number, rest, ok := cutMembers(line[1:])
	if !ok {
		return false
	}
	const last = `"value":`
	if len(rest) < len(last)+2 || string(rest[:len(last)]) != last {
		if bytes.Contains(line, nameEnd) || bytes.IndexByte(line, '\\') >= 0 {
			return false
		}
		l.shape, ev.Line, ev.Bare = bareShape, line, true // {"time":"…","level":…}
		ev.SetValue(event.Value{Kind: event.Object, B: line})
		return true
	}
	value := rest[len(last) : len(rest)-1]
	if !isWhole(value) {
		return false
	}
	l.shape, ev.Line = untimedShape, line
	ev.SetValue(event.RawValue(value))
	if at != nil {
		l.shape = timedShape
		ev.SetTime(event.PlainValue(at))
	}
	switch {
	case number:
		ev.SetKey(event.RawValue(key))
	case key != nil:
		ev.SetKey(event.PlainValue(key))
	}
	return true
}

// cutMembers cuts the members time and key, each if it is there, off what follows
// the brace of an event: the text of the time, and that of the key, or its digits if
// it is a number; nil if it is not there. ok is false if the time is not as it is
// written out, in UTC.
func cutMembers(b []byte) (at, key []byte, number bool, rest []byte, ok bool) {
	if t, after, found := textMember(b, `"time":"`); found {
		if len(t) < 20 || t[len(t)-1] != 'Z' || t[10] != 'T' || t[19] == ',' {
			return nil, nil, false, b, false
		}
		at, b = t, after
	}
	if k, after, found := textMember(b, `"key":"`); found {
		key, b = k, after
	} else if n, after, found := digitsMember(b, `"key":`); found {
		key, number, b = n, true, after
	}
	return at, key, number, b, true
}

var nameEnd = []byte(`value"`)

// isWhole says whether b, what stands between "value": and the last byte of a
// valid line, is one value, and not a value with more members behind it. It knows
// only values without braces and quotes inside.
//
// An object ends at a brace. If its last byte is the only one that it has, then it
// ends there: no other is left for it, and that one is in no string, since no
// quote follows. A string likewise ends at its second quote.
func isWhole(b []byte) bool {
	n := len(b) - 1
	switch c := b[0]; {
	case c == '{':
		return bytes.IndexByte(b, '}') == n
	case c == '"':
		return n > 0 && bytes.IndexByte(b[1:], '"') == n-1
	case c-'0' <= 9, c == '-', c == 't', c == 'f', c == 'n':
		return b[n] > ' ' && bytes.IndexByte(b, '"') < 0 // names have quotes
	}
	return false
}

const longestName = len("partition")

// isEnvelopeName says whether s begins with a name of an event's member and a quote.
func isEnvelopeName(s []byte) bool {
	end := bytes.IndexByte(s, '"')
	if end < 0 {
		return false
	}
	switch string(s[:end]) {
	case "log", "partition", "offset", "time", "key", "headers", "src", "value":
		return true
	}
	return false
}

// textMember cuts a member with a string without escapes, which begins as given,
// and its comma off b.
func textMember(b []byte, begin string) (text, rest []byte, ok bool) {
	if len(b) < len(begin) || string(b[:len(begin)]) != begin {
		return nil, nil, false
	}
	b = b[len(begin):]
	n := bytes.IndexByte(b, '"')
	if n < 0 || n+1 >= len(b) || b[n+1] != ',' || bytes.IndexByte(b[:n], '\\') >= 0 {
		return nil, nil, false
	}
	return b[:n:n], b[n+2:], true
}

// digitsMember is textMember for a number of digits only.
func digitsMember(b []byte, begin string) (digits, rest []byte, ok bool) {
	if len(b) < len(begin) || string(b[:len(begin)]) != begin {
		return nil, nil, false
	}
	b = b[len(begin):]
	n := 0
	for n < len(b) && b[n]-'0' <= 9 {
		n++
	}
	if n == 0 || n == len(b) || b[n] != ',' {
		return nil, nil, false
	}
	return b[:n:n], b[n+1:], true
}

// AppendPlaced appends an unchanged event of a log as it is written out: with its
// position, and with the name of its log if named. It does so by putting that into
// the line; where this takes more, it returns false: write the event by its members
// then, the result is the same.
func (it *Item) AppendPlaced(dst []byte, named bool) ([]byte, bool) {
	l := it.log
	if l == nil || l.shape == anyShape || it.Changed {
		return dst, false
	}
	head := l.head
	if named {
		head = l.named
	}
	dst = strconv.AppendInt(append(dst, head...), int64(it.Offset.N), 10)
	switch l.shape {
	case bareShape:
		dst = append(append(dst, l.time...), `,"value":`...)
		return append(append(dst, it.Line...), '}'), true
	case untimedShape:
		dst = append(dst, l.time...)
	}
	return append(append(dst, ','), it.Line[1:]...), true
}

// logBlock runs the chain on every line of a block of a log.
func (w *worker) logBlock(j *job) {
	b := &j.block
	if len(b.Data) == 0 {
		return
	}
	if w.logs == nil {
		w.logs = newLogLines(&w.e.q.Fields)
	}
	w.logs.begin(b)
	r := &w.stage.item
	r.Seq, r.line, r.InLog, r.log = uint64(b.Seq)<<32, 0, true, w.logs
	defer func() { r.InLog, r.log = false, nil }()
	for data := b.Data; len(data) > 0; {
		if w.passing.on && w.part != nil {
			var lines int64
			out := &j.result
			out.Out, data, lines = w.logs.pass(out.Out, data, w.passing, w.e.o.part)
			if w.e.o.Spans && lines > 0 {
				out.Spans = append(out.Spans, Span{len(out.Out), r.line, int(lines), int(lines)})
			}
			r.Seq += uint64(lines)
			r.line += lines
			if len(out.Out) >= w.e.o.part && !w.handOn(j) {
				return
			}
			if len(data) == 0 {
				break
			}
		}
		line := data
		if k := bytes.IndexByte(data, '\n'); k >= 0 {
			line, data = data[:k], data[k+1:]
		} else {
			data = nil
		}
		if !w.record(j, nil, w.logs, line) {
			return
		}
		r.Seq++
		r.line++
	}
	j.result.lines = r.line
}
