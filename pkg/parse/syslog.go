package parse

import (
	"slices"
	"time"
	"unsafe"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// The members of a syslog line's events, in the order in which they are
// written.
const (
	facility = iota
	severity
	hostname
	appname
	procid
	msgid
	structuredData
	message
	numSyslog
)

var syslogNames = [numSyslog]string{
	"facility", "severity", "hostname", "appname", "procid", "msgid", "structured_data", "message",
}

// syslog parses lines of RFC 5424, of RFC 3164, and of the files that syslog
// daemons write (see syslogLine for the grammar). The value is an object:
//
//   - facility, severity: their names as rsyslog and journalctl write them
//     (kern to local7, emerg to debug); left out where the line has no PRI;
//   - hostname, appname: strings; procid: a number if it is written as one, else
//     a string;
//   - msgid: a string; structured_data: an object of objects,
//     {"ID":{"NAME":"VALUE"}}, where a name that an element has several times has
//     an array of its values;
//   - message: a string, also if it is empty. Only one space after a tag is left
//     out, because messages may be indented, and a byte order mark before it.
//
// In RFC 5424 a - is null. In RFC 3164 what a line does not have is left out,
// and so are always msgid and structured_data. The time is not in the value: it
// is the event's time.
type syslog struct {
	zone  *time.Location
	clean event.Clean
	want  []wanted
	// dataSlot is the slot of structured_data, -1 if nobody asks for it; deep, if
	// members of it are asked for, reads them.
	dataSlot int
	deep     *event.Reader
	buf      []byte

	// modTime is when the input was last written. No time without a year is later
	// than latest, which is a day after that, or after what the clock said when the
	// block began, as a wall clock in zone shows it; year is its year.
	modTime time.Time
	latest  when.Time
	year    int

	// good says that the line last parsed was good; it is then in syslogLine.
	good bool
	syslogLine
}

func newSyslog(o Options) Parser {
	p := &syslog{zone: o.Zone, modTime: o.ModTime, dataSlot: -1}
	if p.zone == nil {
		p.zone = time.UTC
	}
	p.setLatest()
	f := o.fields()
	f.Top(func(name string, slot int, deeper bool) {
		m := slices.Index(syslogNames[:], name)
		switch {
		case m == structuredData:
			p.dataSlot = slot
			if deeper {
				p.deep = event.NewReader(f, event.ValuesOnly)
			}
		case m >= 0:
			p.want = append(p.want, wanted{m, slot})
		}
	})
	return p
}

// setLatest sets what no time without a year is later than. A day is for clocks
// that differ, and for zones that are not said.
func (p *syslog) setLatest() {
	t := p.modTime
	if t.IsZero() {
		t = time.Now()
	}
	_, offset := t.In(p.zone).Zone()
	t = time.Unix(t.Unix()+int64(offset), 0).UTC().AddDate(0, 0, 1)
	p.latest, p.year = when.Time{Sec: t.Unix()}, t.Year()
}

func (p *syslog) Block(c event.Clean) {
	p.clean = c
	if p.modTime.IsZero() {
		p.setLatest() // a live input may last for years
	}
}

func (p *syslog) Parse(line []byte, ev *event.Event) error {
	p.good = false
	ev.Line, ev.Bare = line, true
	if !p.clean.UTF8 {
		if err := checkUTF8(line); err != nil {
			return err
		}
	}
	if err := p.split(dropCR(line), p.zone); err != nil {
		return err
	}
	p.good = true
	if p.dataSlot >= 0 && p.protocol {
		p.data(ev)
	}
	ev.SetLazyBare(p)
	for _, w := range p.want {
		p.member(&ev.Slots[w.slot], w.member)
	}
	return nil
}

// member sets v, which is Missing, to a member of the value other than
// structured_data.
func (e *syslogLine) member(v *event.Value, m int) {
	switch m {
	case facility:
		if e.pri >= 0 {
			v.Kind, v.Form, v.B = event.String, event.Plain, facilityNames[e.pri>>3]
		}
	case severity:
		if e.pri >= 0 {
			v.Kind, v.Form, v.B = event.String, event.Plain, severityNames[e.pri&7]
		} else if e.severity.present() {
			v.Kind, v.Form, v.B = event.String, event.Plain, severityNames[severityWord(e.b[e.severity.from:e.severity.to])]
		}
	case hostname:
		e.field(v, e.host)
	case appname:
		e.field(v, e.app)
	case procid:
		e.field(v, e.proc)
		if v.Kind == event.String && isDigits(v.B) && (v.B[0] != '0' || len(v.B) == 1) {
			v.Kind, v.Form = event.Number, event.JSON
		}
	case msgid:
		e.field(v, e.msgid)
	case message:
		setText(v, e.b[e.msg.from:e.msg.to])
	}
}

// field sets v to a field, if there is one.
func (e *syslogLine) field(v *event.Value, s span) {
	b := e.b[s.from:s.to]
	switch {
	case !s.present():
	case e.protocol && len(b) == 1 && b[0] == '-':
		v.Kind = event.Null
	default:
		setText(v, b)
	}
}

// setText sets v to the string b.
func setText(v *event.Value, b []byte) {
	v.Kind, v.Form, v.B = event.String, event.Text, b
	if isPlain(b) {
		v.Form = event.Plain
	}
}

var facilityNames = [24][]byte{
	[]byte("kern"), []byte("user"), []byte("mail"), []byte("daemon"), []byte("auth"), []byte("syslog"), []byte("lpr"), []byte("news"),
	[]byte("uucp"), []byte("cron"), []byte("authpriv"), []byte("ftp"), []byte("ntp"), []byte("audit"), []byte("alert"), []byte("clock"),
	[]byte("local0"), []byte("local1"), []byte("local2"), []byte("local3"), []byte("local4"), []byte("local5"), []byte("local6"), []byte("local7"),
}

var severityNames = [8][]byte{
	[]byte("emerg"), []byte("alert"), []byte("crit"), []byte("err"), []byte("warning"), []byte("notice"), []byte("info"), []byte("debug"),
}

// data fills in structured_data and what is asked for of it, in ev's memory.
func (p *syslog) data(ev *event.Event) {
	v := &ev.Slots[p.dataSlot]
	if p.b[p.sd.from] == '-' {
		v.Kind = event.Null
		return
	}
	const head = `{"structured_data":`
	p.buf = append(p.appendData(append(p.buf[:0], head...)), '}')
	b := ev.Scratch(len(p.buf))
	copy(b, p.buf)
	if p.deep == nil {
		*v = event.RawValue(b[len(head) : len(b)-1])
		return
	}
	line := ev.Line
	if p.deep.Read(b, ev) != nil {
		*v = event.Value{} // cannot be: it is JSON
	}
	ev.Line, ev.Bare, ev.AsIs = line, true, false
}

// appendData appends structured_data, which is not -, as JSON.
func (e *syslogLine) appendData(dst []byte) []byte {
	sep := byte('{')
	for k := 0; k < len(e.params); {
		// The parameters of one element.
		id, n := e.params[k].id, k+1
		for n < len(e.params) && e.params[n].id == id {
			n++
		}
		dst = e.appendText(append(dst, sep), id)
		dst = append(dst, ':')
		if of := e.params[k:n]; of[0].name.present() {
			dst = e.appendElement(dst, of)
		} else {
			dst = append(dst, "{}"...)
		}
		sep, k = ',', n
	}
	return append(dst, '}')
}

// appendElement appends the parameters of one element.
func (e *syslogLine) appendElement(dst []byte, of []sdParam) []byte {
	same := func(i, k int) bool {
		a, b := of[i].name, of[k].name
		return string(e.b[a.from:a.to]) == string(e.b[b.from:b.to])
	}
	sep := byte('{')
next:
	for i := range of {
		for k := range i {
			if same(k, i) {
				continue next // it is in the array already
			}
		}
		dst = e.appendText(append(dst, sep), of[i].name)
		dst = append(dst, ':')
		sep = ','
		start := len(dst)
		dst = e.appendParam(dst, of[i].value)
		several := false
		for k := i + 1; k < len(of); k++ {
			if same(i, k) {
				if !several {
					dst, several = slices.Insert(dst, start, '['), true
				}
				dst = e.appendParam(append(dst, ','), of[k].value)
			}
		}
		if several {
			dst = append(dst, ']')
		}
	}
	return append(dst, '}')
}

// appendText appends a part of the line as a JSON string.
func (e *syslogLine) appendText(dst []byte, s span) []byte {
	return event.AppendString(dst, e.b[s.from:s.to])
}

// appendParam appends the value of a parameter without its escapes.
func (e *syslogLine) appendParam(dst []byte, s span) []byte {
	b := e.b[s.from:s.to]
	if isPlain(b) {
		dst = append(append(dst, '"'), b...)
		return append(dst, '"')
	}
	// Taking out backslashes in front of what JSON escapes the same way, and
	// putting them in, is done in one go: only \] differs, and a backslash that is
	// itself.
	dst = append(dst, '"')
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\' || b[i+1] == ']') {
			i++
			c = b[i]
		}
		if c < 0x20 || c == '"' || c == '\\' {
			// AppendString knows how to spell it; its quotes are taken off.
			n := len(dst)
			dst = event.AppendString(dst, []byte{c})
			dst = append(dst[:n], dst[n+1:len(dst)-1]...)
			continue
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// AppendValue writes the whole value. It works for every event of this Parser,
// not only for the last one: others are split again.
func (p *syslog) AppendValue(dst []byte, ev *event.Event) []byte {
	line := dropCR(ev.Line)
	if !p.good || len(line) != len(p.b) || unsafe.SliceData(line) != unsafe.SliceData(p.b) {
		// It was good when it was parsed, and the Parser's own state is left
		// alone for Time.
		var other syslogLine
		if other.split(line, p.zone) != nil {
			return append(dst, "null"...)
		}
		return other.appendValue(dst)
	}
	return p.appendValue(dst)
}

func (e *syslogLine) appendValue(dst []byte) []byte {
	sep := `{"`
	for m, name := range syslogNames {
		var v event.Value
		if m == structuredData {
			if !e.protocol {
				continue
			}
			if v.Kind = event.Null; e.b[e.sd.from] != '-' {
				dst = e.appendData(append(dst, `,"structured_data":`...))
				continue
			}
		} else if e.member(&v, m); v.Kind == event.Missing {
			continue
		}
		dst = append(dst, sep...)
		dst = append(dst, name...)
		dst = v.AppendJSON(append(dst, `":`...))
		sep = `,"`
	}
	return append(dst, '}')
}

// Time returns the line's time.
func (p *syslog) Time() (when.Time, bool) {
	if !p.good || p.hasAt || !p.stamp.present() || p.date.month == 0 {
		return p.at, p.good && p.hasAt
	}
	year := p.date.year
	if year == 0 {
		if year = p.latestYear(); year < 0 {
			return when.Time{}, false
		}
	}
	var buf [64]byte
	b := append(buf[:0], byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-',
		byte('0'+p.date.month/10), byte('0'+p.date.month%10), '-', byte('0'+p.date.day/10), byte('0'+p.date.day%10), 'T')
	// No instant has more digits than these.
	b = append(b, p.date.clock[:min(len(p.date.clock), 40)]...)
	return when.Parse(b, p.zone)
}

// latestYear returns the latest year in which the date there is and is not later
// than latest: a log holds what was, and the old end of one that is kept for long
// is no less so. It is -1 if the years that can be written have none.
func (p *syslog) latestYear() int {
	d, c := &p.date, p.date.clock
	num := func(i int) int { return int(c[i]-'0')*10 + int(c[i+1]-'0') }
	// Leap years are eight years apart at most; of other dates this year or the
	// last one is it.
	year := min(p.year, 9999)
	for last := max(year-8, 0); year >= last; year-- {
		t, ok := when.Date(year, d.month, d.day, num(0), num(3), min(num(6), 59), 0)
		if ok && t.Sec <= p.latest.Sec {
			return year
		}
	}
	return -1
}

// fitsSyslog takes a line that has a PRI and a time, or is in RFC 5424, or has a
// time, a host and a tag.
func fitsSyslog(line []byte) bool { return syslogFit(line) == sureFit }

// fitsSyslogAll leaves out lines that begin with space, which messages of
// several lines go on with, and takes lines without a tag where there are others
// with one.
func fitsSyslogAll(lines [][]byte) bool {
	var n [3]int
	for _, line := range lines {
		if len(line) > 0 && line[0] != ' ' && line[0] != '\t' {
			n[syslogFit(line)]++
		}
	}
	return n[sureFit] > 0 && n[sureFit]+n[maybeFit] > n[noFit]
}

const (
	noFit = iota
	maybeFit
	sureFit
)

func syslogFit(line []byte) int {
	var e syslogLine
	if checkUTF8(line) != nil || e.split(dropCR(line), time.UTC) != nil {
		return noFit
	}
	switch {
	case e.protocol || e.pri >= 0 && e.stamp.present():
		return sureFit
	case !e.stamp.present() || e.host.present() && isLevel(e.b[e.host.from:e.host.to]):
		return noFit // other logs have a level there
	case e.app.present() && (e.host.present() || e.severity.present() && e.proc.present()):
		return sureFit
	}
	return maybeFit
}

// isLevel says whether a word is a level of a log that is not syslog.
func isLevel(b []byte) bool {
	switch string(b) {
	case "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "error", "warn", "fatal", "trace", "critical", "severe",
		"ERROR", "WARN", "FATAL", "TRACE", "CRITICAL", "SEVERE", "FINE", "Info", "Error", "Warning", "Debug":
		return true
	}
	return false
}
