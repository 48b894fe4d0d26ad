package render

import (
	"time"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// found is the members of a value that pretty shows in a way of their own.
type found struct {
	times   [len(timeNames)]member // by place in timeNames
	level   levelMember
	message member
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

// The names, in the order in which they are taken, in lower case.
var (
	timeNames    = [...]string{"time", "timestamp", "ts", "@timestamp", "time_local"}
	levelNames   = [...]string{"level", "severity", "lvl", "loglevel", "log.level"}
	messageNames = [...]string{"msg", "message", "text"}
)

const timeLocal = len(timeNames) - 1

// look finds them in v; in what is no object there are none.
func (f *found) look(v event.Value) {
	for i := range f.times {
		f.times[i].at = -1
	}
	f.level.at, f.message.at = -1, -1
	if v.Kind != event.Object {
		return
	}
	i := 0
	for it := v.Members(); it.Next(); i++ {
		var buf [16]byte
		name := lower(it.Name, &buf)
		if name != nil && (it.Value.Kind == event.String || it.Value.Kind == event.Number) {
			f.note(i, name, it.Value)
		}
	}
}

// note remembers member i if its name and value are of one of the lists. Of
// members of the same name the last counts.
func (f *found) note(i int, name []byte, v event.Value) {
	if rank := indexOf(timeNames[:], name); rank >= 0 {
		f.times[rank] = member{i, rank, v}
		return
	}
	if rank := indexOf(messageNames[:], name); rank >= 0 {
		if v.Kind == event.String && len(v.B) > 0 && (f.message.at < 0 || rank <= f.message.rank) {
			f.message = member{i, rank, v}
		}
		return
	}
	if rank := indexOf(levelNames[:], name); rank >= 0 && (f.level.at < 0 || rank <= f.level.rank) {
		if l, ok := levelOf(v); ok {
			f.level = levelMember{member{i, rank, v}, l}
		}
	}
}

// shown says that member i has been shown already.
func (f *found) shown(i int) bool {
	if i == f.level.at || i == f.message.at {
		return true
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

// lower returns v's text with ASCII letters in lower case, in buf; nil if it is
// longer than buf.
func lower(v event.Value, buf *[16]byte) []byte {
	if v.Form == event.JSON {
		if len(v.B) > 6*len(buf) {
			return nil
		}
		var long [6 * len(buf)]byte
		v = event.TextValue(v.AppendText(long[:0]))
	}
	if len(v.B) > len(buf) {
		return nil
	}
	for i, c := range v.B {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(v.B)]
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
	return level{ink: inkBold}, v.Form != event.JSON && len(name) <= 8
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
