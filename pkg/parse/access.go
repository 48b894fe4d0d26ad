package parse

import (
	"slices"
	"time"
	"unsafe"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// The members of an access log's events, in the order in which they are
// written (nginx's names).
const (
	remoteAddr = iota
	remoteUser
	timeLocal
	request
	method
	path
	protocol
	status
	bytesSent
	referer
	userAgent
	numMembers
)

var memberNames = [numMembers]string{
	"remote_addr", "remote_user", "time_local", "request", "method", "path", "protocol",
	"status", "bytes_sent", "referer", "user_agent",
}

// access parses combined and common lines. The value is an object:
//
//   - remote_addr, remote_user, referer, user_agent: strings as written,
//     escapes included; a lone - is null;
//   - time_local: the string between the brackets;
//   - method, path (with its query), protocol: strings, or all three null if
//     the request is not METHOD PATH PROTOCOL; then request, between
//     time_local and method, is the string between the quotes, whatever it is;
//   - status, bytes_sent: numbers; a lone - is null.
//
// A combined parser leaves referer and user_agent out where the line ends
// before them, a common one always. What follows the last field is ignored.
type access struct {
	zone     *time.Location
	combined bool
	clean    event.Clean
	plain    bool // the line is one for appendPlain: no field needs escapes
	want     []wanted

	// line is the line last parsed, without a CR, nil if it was bad, and entry
	// where its fields are.
	line []byte
	entry
}

// wanted is a member that a program asked for.
type wanted struct {
	member, slot int
}

func newCombined(o Options) Parser { return newAccess(o, true) }
func newCommon(o Options) Parser   { return newAccess(o, false) }

func newAccess(o Options, combined bool) *access {
	p := &access{zone: o.Zone, combined: combined}
	if p.zone == nil {
		p.zone = time.UTC
	}
	// What lies deeper than the first level (.path.x) stays Missing: no member
	// is an object.
	o.fields().Top(func(name string, slot int, _ bool) {
		for i, n := range memberNames {
			if n == name {
				p.want = append(p.want, wanted{i, slot})
			}
		}
	})
	return p
}

func (p *access) Block(c event.Clean) { p.clean = c }

func (p *access) Parse(line []byte, ev *event.Event) error {
	p.line = nil
	ev.Line, ev.Bare = line, true
	if !p.clean.UTF8 {
		if err := checkUTF8(line); err != nil {
			return err
		}
	}
	p.marks, p.marked = p.clean.Marks(line)
	if err := p.read(dropCR(line)); err != nil {
		return err
	}
	ev.SetLazyBare(p)
	for _, w := range p.want {
		p.member(&ev.Slots[w.slot], w.member)
	}
	return nil
}

func (p *access) read(line []byte) error {
	if p.splitFast(line, p.combined) {
		// Its fields hold no quotes, or inner says so; and, where there are
		// marks, no backslashes, whatever there is in the rest of the block.
		p.plain = !p.inner && p.clean.NoControl && (p.clean.NoBackslash || p.marked) &&
			cap(line)-len(line) >= chunk && p.addr.to > 1
	} else {
		p.plain = false
		if err := p.split(line, p.combined); err != nil {
			return err
		}
	}
	p.line = line
	return nil
}

// member sets v, which is Missing, to a member of the value. (Field by field
// into its place: a Value that is returned and then copied takes longer than
// finding it.)
func (p *access) member(v *event.Value, m int) {
	switch m {
	case remoteAddr:
		p.word(v, p.addr)
		return
	case remoteUser:
		p.word(v, p.user)
		return
	case timeLocal:
		p.word(v, p.time)
		return
	case status:
		p.number(v, p.status)
		return
	case bytesSent:
		p.number(v, p.size)
		return
	case referer:
		p.quoted(v, p.referer)
		return
	case userAgent:
		p.quoted(v, p.agent)
		return
	}
	text := p.line[p.request.from:p.request.to]
	if p.methodEnd == unknown {
		p.methodEnd, p.protocolStart = splitRequest(text)
	}
	switch {
	case p.methodEnd == 0 && m == request:
		p.text(v, text)
	case p.methodEnd == 0:
		v.Kind = event.Null
	case m == path:
		p.text(v, text[p.methodEnd+1:p.protocolStart-1])
	case m == method:
		v.Kind, v.Form, v.B = event.String, event.Plain, text[:p.methodEnd]
	case m == protocol:
		v.Kind, v.Form, v.B = event.String, event.Plain, text[p.protocolStart:]
	}
}

// word sets v to a field without quotes around it.
func (p *access) word(v *event.Value, s span) {
	b := p.line[s.from:s.to]
	if len(b) == 1 && b[0] == '-' {
		v.Kind = event.Null
		return
	}
	v.Kind, v.Form, v.B = event.String, event.Text, b
	if p.plain || isPlain(b) {
		v.Form = event.Plain
	}
}

// quoted sets v to a field between quotes, if there is one.
func (p *access) quoted(v *event.Value, s span) {
	b := p.line[s.from:s.to]
	switch {
	case !s.present():
	case len(b) == 1 && b[0] == '-':
		v.Kind = event.Null
	default:
		p.text(v, b)
	}
}

// text sets v to the string b, which is (a part of) a field between quotes.
func (p *access) text(v *event.Value, b []byte) {
	v.Kind, v.Form, v.B = event.String, event.Text, b
	if p.plain || isPlain(b) {
		v.Form = event.Plain
	}
}

func (p *access) number(v *event.Value, s span) {
	b := p.line[s.from:s.to]
	if b[0] == '-' {
		v.Kind = event.Null
		return
	}
	v.Kind, v.Form, v.B = event.Number, event.JSON, b
}

// AppendValue writes the whole value. It works for every event of this Parser,
// not only for the last one: others are split again.
func (p *access) AppendValue(dst []byte, ev *event.Event) []byte {
	line := dropCR(ev.Line)
	if len(line) != len(p.line) || unsafe.SliceData(line) != unsafe.SliceData(p.line) {
		// It was good when it was parsed, and the Parser's own state is left
		// alone for Time.
		other := access{combined: p.combined}
		if other.read(line) != nil {
			return append(dst, "null"...)
		}
		return other.appendValue(dst)
	}
	return p.appendValue(dst)
}

func (p *access) appendValue(dst []byte) []byte {
	if p.plain {
		return p.appendPlain(dst)
	}
	return p.appendMembers(dst)
}

const (
	// chunk is how many bytes put moves at a time.
	chunk = 16
	// namesLen is more than what a value has besides the line's bytes.
	namesLen = 240
)

// appendPlain is appendMembers, its slow twin, for lines that splitFast has
// split, whose fields need no escapes, with an address, and with a chunk of any
// bytes behind them.
//
// It asks for room once and moves pieces of fixed size, which takes no calls:
// what a piece has too much is overwritten by what comes next.
func (p *access) appendPlain(dst []byte) []byte {
	n := len(dst)
	dst = slices.Grow(dst, len(p.line)+namesLen+chunk)
	d := dst[n:cap(dst)]
	b := p.line[:cap(p.line)]

	i := putName(d, 0, `{"remote_addr":"`)
	i = put(d, i, b, p.addr)
	i = putName(d, i, `","remote_user":`)
	i = putName(d, i, `null,`)
	i = putName(d, i, `"time_local":"`)
	i = put(d, i, b, p.time)
	if p.methodEnd == unknown {
		p.methodEnd, p.protocolStart = splitRequest(b[p.request.from:p.request.to])
	}
	if p.methodEnd > 0 {
		m, start := p.request.from+p.methodEnd, p.request.from+p.protocolStart
		i = putName(d, i, `","method":"`)
		i = put(d, i, b, span{p.request.from, m})
		i = putName(d, i, `","path":"`)
		i = put(d, i, b, span{m + 1, start - 1})
		i = putName(d, i, `","protocol":"`)
		i = put(d, i, b, span{start, p.request.to})
		i = putName(d, i, `","status":`)
	} else {
		i = putName(d, i, `","request":"`)
		i = put(d, i, b, p.request)
		i = putName(d, i, `","method":null,"path":null,"protocol":null,"status":`)
	}
	i = put(d, i, b, p.status)
	i = putName(d, i, `,"bytes_sent":`)
	if b[p.size.from] == '-' {
		i = putName(d, i, "null")
	} else {
		i = put(d, i, b, p.size)
	}
	if p.referer.present() {
		i = putName(d, i, `,"referer":`)
		i = putQuoted(d, i, b, p.referer)
		i = putName(d, i, `,"user_agent":`)
		i = putQuoted(d, i, b, p.agent)
	}
	d[i] = '}'
	return dst[:n+i+1]
}

// putName copies name to d[i:] and returns the index behind it. It is inlined,
// and up to 16 bytes become two moves.
func putName(d []byte, i int, name string) int {
	return i + copy(d[i:i+len(name)], name)
}

// put copies b[s.from:s.to] to d[i:] and returns the index behind it. Both d and
// b must go on for a chunk.
func put(d []byte, i int, b []byte, s span) int {
	end := i + s.to - s.from
	for k := s.from; i < end; i, k = i+chunk, k+chunk {
		*(*[chunk]byte)(d[i:]) = *(*[chunk]byte)(b[k:])
	}
	return end
}

// putQuoted puts a field between quotes: a string, null for a lone -.
func putQuoted(d []byte, i int, b []byte, s span) int {
	if s.to == s.from+1 && b[s.from] == '-' {
		return putName(d, i, "null")
	}
	d[i] = '"'
	i = put(d, i+1, b, s)
	d[i] = '"'
	return i + 1
}

// appendMembers writes the members one by one, whatever the line looks like.
func (p *access) appendMembers(dst []byte) []byte {
	sep := `{"`
	for m, name := range memberNames {
		var v event.Value
		if p.member(&v, m); v.Kind == event.Missing {
			continue
		}
		dst = append(dst, sep...)
		dst = append(dst, name...)
		dst = v.AppendJSON(append(dst, `":`...))
		sep = `,"`
	}
	return append(dst, '}')
}

// Time returns time_local, as both servers write it (10/Oct/2000:13:55:36
// -0700) or in RFC 3339.
func (p *access) Time() (when.Time, bool) {
	if p.line == nil {
		return when.Time{}, false
	}
	b := p.line[p.time.from:p.time.to]
	if t, ok := clfTime(b); ok {
		return t, true
	}
	return when.Parse(b, p.zone)
}

// clfTime parses the time stamp of the common log format.
func clfTime(b []byte) (when.Time, bool) {
	if len(b) != stampLen || !isStamp(b) {
		return when.Time{}, false
	}
	num := func(i int) int { return int(b[i]-'0')*10 + int(b[i+1]-'0') }
	month := monthOf(b[3:6])
	if num(22) > 23 || num(24) > 59 {
		return when.Time{}, false
	}
	offset := num(22)*3600 + num(24)*60
	if b[21] == '-' {
		offset = -offset
	}
	return when.Date(num(7)*100+num(9), month, num(0), num(12), num(15), num(18), offset)
}

// monthOf returns the number of a month's English name, 0 if it is none.
func monthOf(name []byte) int {
	switch string(name) {
	case "Jan":
		return 1
	case "Feb":
		return 2
	case "Mar":
		return 3
	case "Apr":
		return 4
	case "May":
		return 5
	case "Jun":
		return 6
	case "Jul":
		return 7
	case "Aug":
		return 8
	case "Sep":
		return 9
	case "Oct":
		return 10
	case "Nov":
		return 11
	case "Dec":
		return 12
	}
	return 0
}

// fitsCombined takes a line whose fields and time are all right. It says
// nothing of common, because combined reads common lines too.
func fitsCombined(line []byte) bool {
	p := access{combined: true, zone: time.UTC}
	if checkUTF8(line) != nil || p.read(dropCR(line)) != nil {
		return false
	}
	_, ok := p.Time()
	return ok
}
