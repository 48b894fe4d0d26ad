package render

import (
	"time"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// Pretty writes events for people (-o pretty), each as one line:
//
//	2026-11-22 12:03:04.123 ERROR web-1 it broke  path=/x status=500 user={"id":1}
//	2026-11-22 12:03:04 200 GET /x?y=1  remote_addr=10.0.0.1 bytes_sent=5120
//	2026-11-22 12:03:04 web-1 sshd[812]: Connection closed
//
// In this order, each only if the event has it: the time; the level; where it
// comes from (log, partition and offset, the header prefix, the key, then host
// and program); the message, or else the request; then the other members of the
// value in the order written, but long ones after short ones; other headers;
// src. Members that are null are left out. A value that is no object follows as
// it is. An event with a key and the value null says that the key is deleted.
//
//   - The time is the event's own, else that of a member time, timestamp, ts,
//     @timestamp or time_local (22/Nov/2026:12:03:04 +0000). Members of these
//     names that say the same once more are left out.
//   - The level is a member level, severity, lvl, loglevel or log.level: a word,
//     one of bunyan's numbers from 10 to 60, or one of syslog's from 0 to 7.
//   - Host and program are members hostname, appname and procid, as a file of
//     syslog has them, if there is a message or an appname.
//   - The message is a string that is a member msg, message or text.
//   - A request is an HTTP status if there is one, a method and a path (see
//     partNames), or a status and a member request.
//
// Of several the first of these lists is taken; case does not matter. Strings
// stand without quotes if they are one word, else as JSON strings; messages and
// values that are strings stand as they are. Nothing of the data can drive the
// terminal: colours are left out of it, other control characters are escaped
// visibly.
//
// A Pretty is only read: all workers may use it at the same time.
type Pretty struct {
	// Zone is where times are shown; nil is UTC.
	Zone *time.Location
	// Assume is the zone of members that are times without one; nil is UTC.
	Assume *time.Location
	// Color uses the 16 colours of the terminal.
	Color bool
}

// Colours that are legible on dark and on light terminals.
const (
	inkDim     = "\x1b[2m"
	inkBold    = "\x1b[1m"
	inkRed     = "\x1b[31m"
	inkBoldRed = "\x1b[1;31m"
	inkGreen   = "\x1b[32m"
	inkYellow  = "\x1b[33m"
	inkMagenta = "\x1b[35m"
	inkCyan    = "\x1b[36m"
)

// Append appends o as one line. It does not allocate.
func (p *Pretty) Append(dst []byte, o *Out) []byte {
	l := prettyLine{Pretty: p, dst: dst, start: len(dst)}
	var found found
	found.look(o.Value)
	l.time(o, &found)
	l.level(&found)
	l.origin(o)
	l.program(&found)
	switch {
	case o.Value.Kind == event.Object:
		l.object(o.Value, &found)
	case o.Value.IsNull() && !o.Key.IsNull():
		l.item(inkRed)
		l.end("(deleted)")
	case o.Value.Kind == event.String:
		l.item("")
		l.dst = appendPrintable(l.dst, o.Value)
	default:
		l.item("")
		l.json(o.Value)
	}
	l.otherHeaders(o.Headers)
	if !o.Src.IsNull() {
		l.member(event.PlainValue([]byte("src")), o.Src)
	}
	return l.dst
}

// prettyLine is a line that is being written.
type prettyLine struct {
	*Pretty
	dst   []byte
	start int
	pad   int // blanks that are due before the next item
}

// item begins what stands apart from the item before, in the colour ink.
func (l *prettyLine) item(ink string) {
	if len(l.dst) > l.start {
		l.dst = appendBlanks(append(l.dst, ' '), l.pad)
	}
	l.pad = 0
	l.on(ink)
}

func (l *prettyLine) on(ink string) {
	if l.Color {
		l.dst = append(l.dst, ink...)
	}
}

func (l *prettyLine) off() {
	if l.Color {
		l.dst = append(l.dst, colorOff...)
	}
}

// end appends text, which is printable, and ends the colour.
func (l *prettyLine) end(text string) {
	l.dst = append(l.dst, text...)
	l.off()
}

func (l *prettyLine) level(f *found) {
	if f.level.at < 0 {
		return
	}
	lv := f.level.level
	l.item(lv.ink)
	start := len(l.dst)
	if lv.label != "" {
		l.dst = append(l.dst, lv.label...)
	} else {
		l.dst = appendPrintable(l.dst, f.level.value)
		for i, c := range l.dst[start:] {
			l.dst[start+i] = upper(c)
		}
	}
	l.pad = max(0, len("ERROR")-(len(l.dst)-start))
	l.off()
}

// origin writes where the event comes from and what it is about.
func (l *prettyLine) origin(o *Out) {
	if !o.Log.IsNull() || !o.Partition.IsNull() || !o.Offset.IsNull() {
		// As in src: log/partition, then the offset.
		l.item(inkDim)
		start := len(l.dst)
		if !o.Log.IsNull() {
			l.dst = appendWord(l.dst, o.Log, "")
		}
		if !o.Partition.IsNull() {
			if len(l.dst) > start {
				l.dst = append(l.dst, '/')
			}
			l.dst = o.Partition.AppendJSON(l.dst)
		}
		if !o.Offset.IsNull() {
			l.dst = o.Offset.AppendJSON(append(l.dst, ':'))
		}
		l.off()
	}
	if o.Headers.Kind == event.Object {
		if prefix := o.Headers.Lookup(prefixHeader); prefix.Kind == event.String {
			l.item(inkDim)
			l.dst = appendPrintable(l.dst, prefix)
			l.off()
		}
	}
	if !o.Key.IsNull() {
		l.item(inkDim)
		if o.Key.Kind == event.String {
			l.dst = appendWord(l.dst, o.Key, "")
		} else {
			l.dst = appendCompact(l.dst, o.Key, nil)
		}
		l.off()
	}
}

// prefixHeader is the header that holds what stood before a line.
const prefixHeader = "prefix"

func (l *prettyLine) otherHeaders(h event.Value) {
	if h.Kind != event.Object {
		return
	}
	for it := h.Members(); it.Next(); {
		if it.Value.Kind == event.String && it.NameIs(prefixHeader) {
			continue
		}
		l.member(it.Name, it.Value)
	}
}

// program writes host and program: web-1 sshd[812]: with the colon that syslog
// sets before a message.
func (l *prettyLine) program(f *found) {
	if f.has(hostname) {
		l.item(inkDim)
		l.dst = appendWord(l.dst, f.parts[hostname].value, "")
		l.off()
	}
	if !f.has(appname) {
		return
	}
	l.item("")
	l.dst = appendWord(l.dst, f.parts[appname].value, "")
	if f.has(procid) {
		l.on(inkDim)
		l.dst = append(l.dst, '[')
		l.dst = appendWord(l.dst, f.parts[procid].value, "]")
		l.end("]")
	}
	l.dst = append(l.dst, ':')
}

// object writes message or request, and other members.
func (l *prettyLine) object(v event.Value, f *found) {
	start := len(l.dst)
	switch {
	case f.has(message):
		ink := ""
		if f.level.at >= 0 && f.level.level.grave {
			ink = inkBold
		}
		l.item(ink)
		l.dst = appendPrintable(l.dst, f.parts[message].value)
		if ink != "" {
			l.off()
		}
		l.pad = 1
	case f.has(path) || f.has(request):
		l.request(f)
		l.pad = 1
	}
	if long := l.members(v, f, false); long {
		l.members(v, f, true)
	}
	if len(l.dst) == start && !f.any() { // no members, or all are null
		l.item("")
		l.json(v)
	}
}

// request writes 200 GET /x.
func (l *prettyLine) request(f *found) {
	if f.has(status) {
		v := f.parts[status].value
		l.item(statusInk(v))
		l.dst = v.AppendText(l.dst) // three digits
		l.off()
	}
	for _, part := range [...]int{method, path, request} {
		if f.has(part) {
			l.item("")
			l.dst = appendWord(l.dst, f.parts[part].value, "")
		}
	}
}

// longMember is more bytes than a member has that comes before the long ones.
const longMember = 40

// members writes the members that have no place of their own and are not null:
// the long ones, or the others and says whether there are long ones.
func (l *prettyLine) members(v event.Value, f *found, long bool) (more bool) {
	i := 0
	for it := v.Members(); it.Next(); i++ {
		switch {
		case it.Value.IsNull() || f.shown(i):
		case len(it.Value.B) >= longMember == long:
			l.member(it.Name, it.Value)
		default:
			more = true
		}
	}
	return more
}

// member writes name=value.
func (l *prettyLine) member(name, v event.Value) {
	l.item(inkDim)
	start := len(l.dst)
	l.dst = appendWord(l.dst, name, "=")
	inks := string(l.dst[start:]) == "status" && canBe(status, v)
	l.end("=")
	switch {
	case inks && v.Kind == event.Number:
		l.on(statusInk(v))
		l.dst = v.AppendJSON(l.dst)
		l.off()
	case v.Kind == event.String:
		l.dst = appendWord(l.dst, v, "")
	default:
		l.json(v)
	}
}

// statusInk is the colour of an HTTP status, which canBe has let pass.
func statusInk(v event.Value) string {
	switch v.B[0] {
	case '5':
		return inkRed
	case '4':
		return inkYellow
	}
	return inkCyan
}

func (l *prettyLine) json(v event.Value) {
	var p *palette
	if l.Color {
		p = &prettyColors
	}
	l.dst = appendCompact(l.dst, v, p)
}

// palette is the colours of the parts of JSON.
type palette struct{ name, number, boolean, null string }

var prettyColors = palette{name: inkDim, number: inkCyan, boolean: inkMagenta, null: inkDim}

// appendCompact appends v as JSON without blanks, with strings spelled so that
// they can be read and everything escaped that drives a terminal. p is nil for
// no colours.
func appendCompact(dst []byte, v event.Value, p *palette) []byte {
	switch v.Kind {
	case event.String:
		return appendQuoted(dst, v)
	case event.Array, event.Object:
	default:
		ink := ""
		if p != nil {
			ink = p.of(v.Kind)
		}
		if ink == "" {
			return v.AppendJSON(dst)
		}
		return append(v.AppendJSON(append(dst, ink...)), colorOff...)
	}
	// The text is valid: what is a name can be told by the colon after it, and
	// no recursion is needed.
	b := v.B
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '{', '}', '[', ']', ',', ':':
			dst = append(dst, c)
			i++
		default:
			end := endOfScalar(b, i)
			scalar := event.RawValue(b[i:end])
			i = end
			if scalar.Kind == event.String && p != nil && isName(b[i:]) {
				dst = append(dst, p.name...)
				dst = append(appendQuoted(dst, scalar), colorOff...)
			} else {
				dst = appendCompact(dst, scalar, p)
			}
		}
	}
	return dst
}

func (p *palette) of(k event.Kind) string {
	switch k {
	case event.Number:
		return p.number
	case event.False, event.True:
		return p.boolean
	}
	return p.null
}

// endOfScalar returns the index after the scalar that begins at i in valid JSON.
func endOfScalar(b []byte, i int) int {
	if b[i] == '"' {
		for i++; b[i] != '"'; i++ {
			if b[i] == '\\' {
				i++
			}
		}
		return i + 1
	}
	for ; i < len(b); i++ {
		switch b[i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return i
		}
	}
	return i
}

// isName: rest, the text after a string, goes on with a colon.
func isName(rest []byte) bool {
	for _, c := range rest {
		switch c {
		case ' ', '\t', '\n', '\r':
		default:
			return c == ':'
		}
	}
	return false
}

// time writes the event's time, or that of a member.
func (l *prettyLine) time(o *Out, f *found) {
	var at when.Time
	known := false
	if o.Time.Kind == event.String {
		if at, known = memberTime(o.Time, false, time.UTC); !known {
			l.item(inkDim)
			l.dst = appendWord(l.dst, o.Time, "")
			l.off()
			return
		}
	}
	for i := range f.times {
		t := &f.times[i]
		if t.at < 0 {
			continue
		}
		own, ok := memberTime(t.value, i == timeLocal, l.Assume)
		switch {
		case ok && !known:
			at, known = own, true
		case !ok || own.Compare(at) != 0:
			t.at = -1 // says something else: an ordinary member
		}
	}
	if !known {
		return
	}
	l.item(inkDim)
	l.dst = appendLocal(l.dst, at, l.Zone)
	l.off()
}

// appendLocal appends t in zone as 2006-01-02 15:04:05.000, without a fraction
// if t has none.
func appendLocal(dst []byte, t when.Time, zone *time.Location) []byte {
	if zone != nil && zone != time.UTC {
		_, offset := time.Unix(t.Sec, 0).In(zone).Zone()
		t.Sec += int64(offset)
	}
	if t.Digits > 0 {
		t.Digits = 3
	}
	start := len(dst)
	dst = t.AppendRFC3339(dst)
	dst[start+len("2006-01-02")] = ' '
	return dst[:len(dst)-len("Z")]
}
