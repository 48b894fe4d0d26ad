package parse

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"logtools/pkg/when"
)

// A syslog line is one of
//
//	[COUNT ]<PRI>1 TIME HOST APP PROCID MSGID SD[ MSG]      RFC 5424
//	TIME HOST APP PROCID MSGID SD[ MSG]                     its files without PRI
//	[COUNT ][<PRI>][STAMP[:] ][HOST ][TAG: ]MSG             RFC 3164 and its files
//
// with a PRI or a time at least.
//
//   - COUNT is the length of what follows (RFC 6587). A line may be shorter: its
//     message then goes on after a line end; it must not be longer.
//   - TIME is RFC 3339 or -. STAMP is RFC 3339, also with a zone without colon,
//     or Jan _2 15:04:05, where a year may stand after the day and a fraction
//     after the second.
//   - HOST, APP, PROCID, MSGID hold no spaces; - is null.
//   - SD is - or elements [ID NAME="VALUE"…]. In a VALUE a backslash stands
//     before " \ ] only; before anything else it is itself.
//   - In RFC 3164 everything after the time can be left out. A word is a HOST if
//     it begins like one and is no TAG; EMERG to DEBUG in capitals are a severity
//     (Chrome OS). A TAG is APP or APP[PROCID] with a colon after it, or
//     APP[digits] without. One space after it is no part of MSG.
type syslogLine struct {
	b        []byte
	protocol bool // it has the fields of RFC 5424
	pri      int  // none if negative
	// severity is the word in the place of the host.
	stamp, severity, host, app, proc, msgid, sd, msg span
	params                                           []sdParam
	// at is the time, if it is known (it is RFC 3339); otherwise date says when.
	at    when.Time
	hasAt bool
	date  bsdDate
}

// sdParam is a parameter of a structured data element, or, without a name, an
// element that has none.
type sdParam struct{ id, name, value span }

// maxParams bounds the elements and parameters of one line, because all are
// compared with all.
const maxParams = 1000

// split finds the fields of line, which is valid UTF-8. It keeps line.
func (e *syslogLine) split(line []byte, zone *time.Location) error {
	*e = syslogLine{b: line, pri: -1, params: e.params[:0]}
	i, err := e.splitPriority(line)
	if err != nil {
		return err
	}
	if e.pri >= 0 && i+1 < len(line) && line[i] == '1' && line[i+1] == ' ' {
		return e.splitProtocol(line, i+2, zone)
	}

	noHost := e.pri >= 0 // unless there is a time
	if end, err := e.splitStamp(line, i, zone); err != nil {
		return err
	} else if end > 0 {
		i, noHost = end, false
		if i < len(line) && line[i] == ':' { // a note of syslogd itself
			i, noHost = i+1, true
		}
		if i < len(line) && line[i] != ' ' {
			return bad("space expected after the timestamp", i+1)
		}
		if i = skipSpaces(line, i); i == len(line) {
			return bad("hostname or message expected", i+1)
		}
	} else if e.pri < 0 {
		return bad("timestamp or <priority> expected", i+1)
	}
	if !noHost {
		i = e.splitHost(line, i)
		if e.hasAt && e.host.present() && e.headerFollows(line, i) {
			return e.splitHeader(line, i-1)
		}
	}
	e.setMessage(e.splitTag(line, i))
	return nil
}

// splitPriority finds [COUNT ][<PRI>] and returns the index after it.
func (e *syslogLine) splitPriority(line []byte) (int, error) {
	i := skipDigits(line, 0)
	if i == 0 || i+2 >= len(line) || line[i] != ' ' || line[i+1] != '<' {
		i = 0
	} else {
		// The length of no line has more digits than this.
		count, n := 0, i
		for _, c := range line[:min(n, 9)] {
			count = count*10 + int(c-'0')
		}
		i++
		if n <= 9 && count < len(line)-i {
			return 0, bad(fmt.Sprintf("text after a message of %d bytes", count), i+count+1)
		}
	}
	if i >= len(line) || line[i] != '<' {
		return i, nil
	}
	k, pri := i+1, 0
	for k < len(line) && k < i+4 && line[k]-'0' <= 9 {
		pri = pri*10 + int(line[k]-'0')
		k++
	}
	switch {
	case k == i+1 || k >= len(line) || line[k] != '>':
		return 0, bad("<priority> expected", i+1)
	case pri > 191:
		return 0, bad("priority above 191", i+2)
	}
	e.pri = pri
	return k + 1, nil
}

// splitProtocol reads a line of RFC 5424 from its TIME on.
func (e *syslogLine) splitProtocol(line []byte, i int, zone *time.Location) error {
	e.stamp = word(line, i)
	text := line[e.stamp.from:e.stamp.to]
	if string(text) != "-" {
		if e.at, e.hasAt = isoTime(text, zone); !e.hasAt {
			return bad("timestamp expected", i+1)
		}
	}
	i = e.stamp.to
	var err error
	if i, err = field(&e.host, line, i, "hostname"); err != nil {
		return err
	}
	return e.splitHeader(line, i)
}

// splitHeader reads APP PROCID MSGID SD[ MSG] after the field that ends at i.
func (e *syslogLine) splitHeader(line []byte, i int) (err error) {
	e.protocol = true
	if i, err = field(&e.app, line, i, "appname"); err != nil {
		return err
	}
	if i, err = field(&e.proc, line, i, "procid"); err != nil {
		return err
	}
	if i, err = field(&e.msgid, line, i, "msgid"); err != nil {
		return err
	}
	switch i++; {
	case i < len(line) && line[i] == '-':
		e.sd = span{i, i + 1}
		i++
	case i < len(line) && line[i] == '[':
		from := i
		if i, err = e.splitData(line, i); err != nil {
			return err
		}
		e.sd = span{from, i}
	default:
		return bad("structured data expected", i+1)
	}
	if i < len(line) && line[i] != ' ' {
		return bad("space expected after the structured data", i+1)
	}
	e.setMessage(min(i+1, len(line)))
	return nil
}

// field finds the field after the one that ends at i, and returns its end.
func field(at *span, line []byte, i int, name string) (int, error) {
	*at = word(line, i+1)
	if at.from >= at.to {
		return 0, bad(name+" expected", i+2)
	}
	return at.to, nil
}

// splitData reads the elements that begin at i and returns the index after
// them.
func (e *syslogLine) splitData(line []byte, i int) (int, error) {
	for first := true; i < len(line) && line[i] == '['; first = false {
		open := i + 1
		id := span{open, sdName(line, open)}
		if id.from == id.to {
			return 0, bad("name of structured data expected", open+1)
		}
		if !first {
			for _, p := range e.params {
				if bytes.Equal(line[p.id.from:p.id.to], line[id.from:id.to]) {
					return 0, bad("structured data given twice", open+1)
				}
			}
		}
		i = id.to
		empty := true
		for {
			if i < len(line) && line[i] == ']' {
				i++
				break
			}
			if i >= len(line) || line[i] != ' ' {
				return 0, bad("] expected", i+1)
			}
			i = skipSpaces(line, i)
			if i < len(line) && line[i] == ']' {
				continue
			}
			name := span{i, sdName(line, i)}
			if i = name.to; name.from == i {
				return 0, bad("parameter or ] expected", i+1)
			}
			if i+1 >= len(line) || line[i] != '=' || line[i+1] != '"' {
				return 0, bad(`=" expected`, i+1)
			}
			value := span{i + 2, sdValue(line, i+2)}
			if value.to < 0 {
				return 0, bad("unterminated quote", i+2)
			}
			i = value.to + 1
			empty = false
			if err := e.add(sdParam{id, name, value}); err != nil {
				return 0, err
			}
		}
		if empty {
			if err := e.add(sdParam{id: id}); err != nil {
				return 0, err
			}
		}
	}
	return i, nil
}

func (e *syslogLine) add(p sdParam) error {
	if len(e.params) == maxParams {
		return bad(fmt.Sprintf("more than %d parameters in structured data", maxParams), p.id.from+1)
	}
	e.params = append(e.params, p)
	return nil
}

// sdName returns the end of the name that begins at i.
func sdName(line []byte, i int) int {
	for i < len(line) {
		switch c := line[i]; {
		case c <= ' ' || c == '=' || c == ']' || c == '"' || c == '[':
			return i
		}
		i++
	}
	return i
}

// sdValue returns the index of the quote that closes the value beginning at i;
// -1 if there is none.
func sdValue(line []byte, i int) int {
	for ; i < len(line); i++ {
		switch line[i] {
		case '"':
			return i
		case '\\':
			if i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\' || line[i+1] == ']') {
				i++
			}
		}
	}
	return -1
}

// splitStamp finds the time that begins at i and returns the index after it; 0
// if there is none.
func (e *syslogLine) splitStamp(line []byte, i int, zone *time.Location) (int, error) {
	b := line[i:]
	switch {
	case len(b) >= 19 && b[4] == '-' && b[10] == 'T':
		n := len(b)
		if k := bytes.IndexByte(b, ' '); k >= 0 {
			n = k
		}
		if n < 19 {
			break
		}
		if b[n-1] == ':' {
			n--
		}
		if e.at, e.hasAt = isoTime(b[:n], zone); !e.hasAt {
			return 0, bad("no such time", i+1)
		}
		e.stamp = span{i, i + n}
		return i + n, nil
	case len(b) >= len("Jan 2 15:04:05") && isLetter(b[0]) && isLetter(b[1]) && isLetter(b[2]) && b[3] == ' ':
		n := e.date.read(b)
		if n < 0 {
			return 0, bad("no such time", i+1)
		} else if n > 0 {
			e.stamp = span{i, i + n}
			return i + n, nil
		}
	}
	return 0, nil
}

// bsdDate is a Jan _2 15:04:05. The year is 0 if there is none.
type bsdDate struct {
	year, month, day int
	clock            []byte // 15:04:05 and a fraction
}

var longestMonth = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// read reads the stamp at the start of b and returns its length, 0 if there is
// none, -1 if there is no such time.
func (d *bsdDate) read(b []byte) int {
	d.month = monthOf(b[:3])
	if d.month == 0 {
		return 0
	}
	i := 4
	if b[i] == ' ' {
		i++
	}
	d.day = int(b[i] - '0')
	if b[i]-'0' > 9 {
		return 0
	}
	if i++; b[i]-'0' <= 9 {
		d.day = d.day*10 + int(b[i]-'0')
		i++
	}
	if i+9 > len(b) || b[i] != ' ' {
		return 0
	}
	i++
	if d.year = 0; isDigits(b[i:i+4]) && b[i+4] == ' ' {
		for _, c := range b[i : i+4] {
			d.year = d.year*10 + int(c-'0')
		}
		if i += 5; i+8 > len(b) || d.year == 0 {
			return 0
		}
	}
	// dd:dd:dd
	const (
		colons = 0x0000ff00_00ff0000
		text   = ':'<<16 | ':'<<40
	)
	w := binary.LittleEndian.Uint64(b[i:])
	v := (w ^ ones*'0') &^ colons
	if w&colons != text || (v|(v+ones*(0x80-10)&^colons))&highs != 0 {
		return 0
	}
	start := i
	i += 8
	if i+1 < len(b) && b[i] == '.' && b[i+1]-'0' <= 9 {
		for i++; i < len(b) && b[i]-'0' <= 9; i++ {
		}
	}
	clock := b[start:i]
	d.clock = clock
	if d.day == 0 || d.day > longestMonth[d.month] || d.year > 0 && d.month == 2 && d.day == 29 && !leapYear(d.year) ||
		clock[0] > '2' || clock[0] == '2' && clock[1] > '3' || clock[3] > '5' || clock[6] > '6' || clock[6] == '6' && clock[7] > '0' {
		return -1
	}
	return i
}

func leapYear(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

// isoTime parses what when.Parse does, but for a space instead of the T.
func isoTime(b []byte, zone *time.Location) (when.Time, bool) {
	t, ok := when.Parse(b, zone)
	return t, ok && b[10] != ' '
}

// splitHost finds the host, or the severity in its place, at i; it returns the
// index after it and its spaces.
func (e *syslogLine) splitHost(line []byte, i int) int {
	w := word(line, i)
	text := line[w.from:w.to]
	if !beginsHost(text[0]) || text[len(text)-1] == ':' {
		return i
	}
	if text[len(text)-1] == ']' || bytes.IndexByte(text, ':') >= 0 {
		// A tag without a host? An IPv6 address is none.
		var tag syslogLine
		if tag.splitTag(line[:w.to], i); tag.proc.present() {
			return i
		}
	}
	if severityWord(text) >= 0 {
		e.severity = w
	} else {
		e.host = w
	}
	return skipSpaces(line, w.to)
}

// beginsHost: names, addresses (::1, [::1]) and the - of RFC 5424's kin, but not
// --- last message repeated 2 times ---.
func beginsHost(c byte) bool {
	return isLetter(c) || c-'0' <= 9 || c == ':' || c == '[' || c == '_' || c == '*' || c >= 0x80
}

// severityWord returns the number of a severity in capitals, -1 if it is none.
func severityWord(text []byte) int {
	switch string(text) {
	case "EMERG":
		return 0
	case "ALERT":
		return 1
	case "CRIT":
		return 2
	case "ERR":
		return 3
	case "WARNING":
		return 4
	case "NOTICE":
		return 5
	case "INFO":
		return 6
	case "DEBUG":
		return 7
	}
	return -1
}

// headerFollows says whether APP PROCID MSGID SD of RFC 5424 stand at i, where
// nothing but a host and a time told so: the PROCID must be a number or -.
func (e *syslogLine) headerFollows(line []byte, i int) bool {
	app := word(line, i)
	proc := word(line, app.to+1)
	if app.to == app.from || line[app.to-1] == ':' || proc.to == proc.from {
		return false
	}
	if p := line[proc.from:proc.to]; string(p) != "-" && !isDigits(p) {
		return false
	}
	// Only if it is whole.
	try := syslogLine{b: line, params: e.params[:0]}
	err := try.splitHeader(line, i-1)
	e.params = try.params[:0]
	return err == nil
}

// splitTag finds TAG: at i, if it is there, and returns where the message
// begins.
func (e *syslogLine) splitTag(line []byte, i int) int {
	w := word(line, i)
	text := line[w.from:w.to]
	n := len(text)
	if n == 0 {
		return i
	}
	tag, next := 0, 0 // its length, and where it ends with the colon
	switch last := text[n-1]; {
	case last == ':':
		tag, next = n-1, n
	case last == ']':
		open := bytes.LastIndexByte(text, '[')
		if open < 0 || !isDigits(text[open+1:n-1]) {
			return i
		}
		tag, next = n, n
	default:
		k := bytes.IndexByte(text, ':')
		for k >= 0 && text[k+1] == ':' { // Perl::Module
			more := bytes.IndexByte(text[k+2:], ':')
			if more < 0 {
				return i
			}
			k += 2 + more
		}
		if k <= 0 || text[k+1] == '/' || text[0]-'0' <= 9 { // a URL, an address
			return i
		}
		tag, next = k, k+1
	}
	app := text[:tag]
	var proc span
	if tag > 0 && text[tag-1] == ']' {
		if open := bytes.LastIndexByte(app, '['); open >= 0 && open+1 < tag-1 {
			app, proc = app[:open], span{i + open + 1, i + tag - 1}
		}
	}
	if !isApp(app) {
		return i
	}
	e.app, e.proc = span{i, i + len(app)}, proc
	if i += next; i < len(line) && line[i] == ' ' {
		i++
	}
	return i
}

// isApp says whether a program may be called so. Text that happens to hold a
// colon often is not.
func isApp(b []byte) bool {
	if len(b) == 0 || b[0] == '-' || b[0] == '(' {
		return false
	}
	for _, c := range b {
		if notInApp[c] {
			return false
		}
	}
	return true
}

var notInApp = [256]bool{
	'"': true, '\'': true, '`': true, '{': true, '}': true, '[': true, ']': true, '<': true, '>': true,
	'=': true, ',': true, ';': true, '?': true, '!': true, '|': true, '&': true, '\\': true, '\t': true,
}

// setMessage makes the message begin at i. A byte order mark is no part of it.
func (e *syslogLine) setMessage(i int) {
	if bytes.HasPrefix(e.b[i:], []byte("\ufeff")) {
		i += len("\ufeff")
	}
	e.msg = span{i, len(e.b)}
}

// skipSpaces returns the index of the first byte from i on that is no space.
func skipSpaces(b []byte, i int) int {
	for i < len(b) && b[i] == ' ' {
		i++
	}
	return i
}
