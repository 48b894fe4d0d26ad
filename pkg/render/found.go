package render

import (
	"bytes"
	"time"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// found is the members of a value that pretty shows in a way of their own.
type found struct {
	times [len(timeNames)]member // by place in timeNames
	level levelMember
	parts [numParts]member
}

type member struct {
	at    int // its place among the members; -1: there is none
	rank  int // place of its name in the list of names
	value event.Value
}

type levelMember struct {
	member
	level level
}

// Parts of what a line says first, without their names.
const (
	message = iota
	// A request, where there is no message.
	status
	method
	path
	request
	// What stands before the message in a file of syslog.
	hostname
	appname
	procid
	numParts
)

// The names, in the order in which they are taken, in lower case.
var (
	timeNames  = [...]string{"time", "timestamp", "ts", "@timestamp", "time_local"}
	levelNames = [...]string{"level", "severity", "lvl", "loglevel", "log.level"}
	partNames  = [numParts][4]string{
		message:  {"msg", "message", "text"},
		status:   {"status", "status_code", "http_status"},
		method:   {"method", "request_method", "http_method"},
		path:     {"path", "request_uri", "uri", "url"},
		request:  {"request"},
		hostname: {"hostname"},
		appname:  {"appname"},
		procid:   {"procid"},
	}
)

const timeLocal = len(timeNames) - 1

// look finds them in v; in what is no object there are none.
func (f *found) look(v event.Value) {
	for i := range f.times {
		f.times[i].at = -1
	}
	f.level.at = -1
	for i := range f.parts {
		f.parts[i].at = -1
	}
	if v.Kind != event.Object {
		return
	}
	i := 0
	for it := v.Members(); it.Next(); i++ {
		if it.Value.Kind != event.String && it.Value.Kind != event.Number {
			continue
		}
		var buf [16]byte
		if name := lower(it.Name, &buf); len(name) > 0 {
			f.note(i, name, it.Value)
		}
	}
	f.choose()
}

// note remembers member i if its name and value are of one of the lists. Of
// members of the same name the last counts.
func (f *found) note(i int, name []byte, v event.Value) {
	if rank := indexOf(timeNames[:], name); rank >= 0 {
		f.times[rank] = member{i, rank, v}
		return
	}
	for p := range partNames {
		if rank := indexOf(partNames[p][:], name); rank >= 0 {
			if m := &f.parts[p]; canBe(p, v) && (m.at < 0 || rank <= m.rank) {
				*m = member{i, rank, v}
			}
			return
		}
	}
	if rank := indexOf(levelNames[:], name); rank >= 0 && (f.level.at < 0 || rank <= f.level.rank) {
		if l, ok := levelOf(v); ok {
			f.level = levelMember{member{i, rank, v}, l}
		}
	}
}

// canBe says that v, a string or a number, can be this part.
func canBe(part int, v event.Value) bool {
	switch part {
	case status: // of HTTP; some write it as a string
		return len(v.B) == 3 && '1' <= v.B[0] && v.B[0] <= '5' && isDigit(v.B[1]) && isDigit(v.B[2])
	case procid:
		return len(v.B) > 0
	}
	return v.Kind == event.String && len(v.B) > 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// choose leaves the parts that say something together; the others are members
// as any.
func (f *found) choose() {
	switch {
	case f.has(message):
		f.drop(status, method, path, request)
	case f.has(method) && f.has(path):
		f.drop(request)
	case f.has(status) && f.has(request): // a line that is no METHOD PATH PROTOCOL
		f.drop(method, path)
	default:
		f.drop(status, method, path, request)
	}
	switch {
	case f.has(appname):
	case f.has(message):
		f.drop(procid)
	default:
		f.drop(hostname, procid)
	}
}

func (f *found) has(part int) bool { return f.parts[part].at >= 0 }

func (f *found) drop(parts ...int) {
	for _, p := range parts {
		f.parts[p].at = -1
	}
}

// any says that some member has a place of its own.
func (f *found) any() bool {
	any := f.level.at >= 0
	for p := range f.parts {
		any = any || f.has(p)
	}
	for k := range f.times {
		any = any || f.times[k].at >= 0
	}
	return any
}

// shown says that member i has a place of its own.
func (f *found) shown(i int) bool {
	if i == f.level.at {
		return true
	}
	for p := range f.parts {
		if i == f.parts[p].at {
			return true
		}
	}
	for k := range f.times {
		if i == f.times[k].at {
			return true
		}
	}
	return false
}

func indexOf(names []string, name []byte) int {
	for i, n := range names {
		if n == string(name) {
			return i
		}
	}
	return -1
}

// lower returns v's text with ASCII letters in lower case, without colours (some
// programs write "\u001b[32minfo\u001b[39m" as a level), in buf; nil if it is
// longer than buf.
func lower(v event.Value, buf *[16]byte) []byte {
	text := v.B
	if v.Form == event.JSON || len(text) > len(buf) {
		if len(text) > 6*len(buf) {
			return nil
		}
		var long [6 * len(buf)]byte
		text = v.AppendText(long[:0])
	}
	if bytes.IndexByte(text, escape) >= 0 {
		var long [6 * len(buf)]byte
		text = dropColors(append(long[:0], text...), 0)
	}
	if len(text) > len(buf) {
		return nil
	}
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(text)]
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

// level is how a level is shown.
type level struct {
	label string // "": as it was given, in upper case
	ink   string
	grave bool // the message stands out too
}

// Levels that are known, by their names; first those of syslog, whose place is
// their number.
var levels = [...]struct {
	level
	names [6]string
}{
	{level{"EMERG", inkBoldRed, true}, [6]string{"emerg", "emergency", "panic"}},
	{level{"ALERT", inkBoldRed, true}, [6]string{"alert"}},
	{level{"CRIT", inkBoldRed, true}, [6]string{"crit", "critical", "c"}},
	{level{"ERROR", inkRed, true}, [6]string{"error", "err", "e", "severe"}},
	{level{"WARN", inkYellow, false}, [6]string{"warn", "warning", "w"}},
	{level{"NOTICE", inkGreen, false}, [6]string{"notice", "n"}},
	{level{"INFO", inkGreen, false}, [6]string{"info", "information", "informational", "i"}},
	{level{"DEBUG", inkDim, false}, [6]string{"debug", "dbg", "d", "fine"}},
	{level{"TRACE", inkDim, false}, [6]string{"trace", "verbose", "t", "v", "finer", "finest"}},
	{level{"FATAL", inkBoldRed, true}, [6]string{"fatal", "f"}},
}

// bunyan are the places in levels of 10, 20, 30, 40, 50 and 60.
var bunyan = [...]int{8, 7, 6, 4, 3, 9}

// levelOf returns how v is shown as a level; false if it is none.
func levelOf(v event.Value) (level, bool) {
	if v.Kind == event.Number {
		n, ok := v.Int()
		switch {
		case ok && 0 <= n && n <= 7:
			return levels[n].level, true
		case ok && 10 <= n && n <= 60 && n%10 == 0:
			return levels[bunyan[n/10-1]].level, true
		}
		return level{}, false
	}
	var buf [16]byte
	name := lower(v, &buf)
	if len(name) == 0 {
		return level{}, false
	}
	for i := range levels {
		if indexOf(levels[i].names[:], name) >= 0 {
			return levels[i].level, true
		}
	}
	// An unknown word is a level if it is short and nothing but a word.
	for _, c := range name {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9') {
			return level{}, false
		}
	}
	return level{ink: inkBold}, len(name) <= 8
}

// inkOf is the colour of what stands for text, a group's value: that of a level
// if it names one, else cyan.
func inkOf(text []byte) string {
	if len(text) >= len("err") { // a letter says too little here
		if l, ok := levelOf(event.TextValue(text)); ok && l.label != "" && l.ink != inkDim {
			return l.ink
		}
	}
	return inkCyan
}

// maxTime is more bytes than any time has.
const maxTime = 64

// memberTime reads a member as a time: RFC 3339, in zone if it says none, a Unix
// time since 1973 (a smaller number is likely a duration), or, if local is set,
// a time as in access logs.
func memberTime(v event.Value, local bool, zone *time.Location) (when.Time, bool) {
	if v.Kind == event.Number {
		t, ok := when.FromUnix(v.B)
		return t, ok && !local && v.Form == event.JSON && t.Sec >= 1e8
	}
	var buf [maxTime]byte
	if len(v.B) > len(buf) {
		return when.Time{}, false
	}
	text := v.AppendText(buf[:0])
	if local {
		return clfTime(text)
	}
	if zone == nil {
		zone = time.UTC
	}
	return when.Parse(text, zone)
}

// clfTime reads 22/Nov/2026:12:03:04 +0100. (Months in English, as there.)
func clfTime(b []byte) (when.Time, bool) {
	const layout = "02/Jan/2006:15:04:05 -0700"
	const months = "JanFebMarAprMayJunJulAugSepOctNovDec"
	if len(b) != len(layout) || b[2] != '/' || b[6] != '/' || b[11] != ':' {
		return when.Time{}, false
	}
	month := 0
	for m := range 12 {
		if string(b[3:6]) == months[3*m:3*m+3] {
			month = m + 1
		}
	}
	if month == 0 || b[20] != ' ' {
		return when.Time{}, false
	}
	// The same time as RFC 3339 has it.
	var r [len("2006-01-02T15:04:05-07:00")]byte
	copy(r[0:], b[7:11])
	r[4], r[7], r[10] = '-', '-', 'T'
	r[5], r[6] = '0'+byte(month/10), '0'+byte(month%10)
	copy(r[8:], b[0:2])
	copy(r[11:], b[12:20])
	copy(r[19:], b[21:24])
	r[22] = ':'
	copy(r[23:], b[24:26])
	return when.Parse(r[:], nil)
}
