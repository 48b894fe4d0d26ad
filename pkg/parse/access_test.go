package parse

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"logtools/pkg/event"
)

// accessSlow is the slow twin of the access parser: the grammar of
// accessline.go one byte after the other. It returns name, value, name, value…
// with nil for null, strings, and json.Number.
func accessSlow(line string, combined bool) (out []any, err *event.BadError) {
	fail := func(reason string, column int) ([]any, *event.BadError) {
		return nil, &event.BadError{Reason: reason, Column: column}
	}
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRuneInString(line[i:])
		if r == utf8.RuneError && size == 1 {
			return fail("invalid UTF-8", i+1)
		}
		i += size
	}
	line = strings.TrimSuffix(line, "\r")
	for strings.HasSuffix(line, " ") {
		line = line[:len(line)-1]
	}
	at := func(i int) byte {
		if 0 <= i && i < len(line) {
			return line[i]
		}
		return ' ' // the end of the line ends fields as a space does
	}

	// The time.
	open, end := -1, -1
	for i := range len(line) {
		if at(i) == ']' && i+2 < len(line) && at(i+1) == ' ' && at(i+2) == '"' {
			end = i
			break
		}
		if i > 0 && at(i-1) == ' ' && at(i) == '[' {
			open = i
		}
	}
	if end < 0 || open < 0 {
		first := strings.Index(line, " [")
		switch {
		case strings.HasPrefix(line, "["):
			return fail("remote_addr expected", 1)
		case first < 0:
			return fail("no [time]", 0)
		case !strings.Contains(line[first:], "]"):
			return fail("unterminated [", first+2)
		}
		return fail("request expected", first+strings.Index(line[first:], "]")+3)
	}
	if open+1 == end {
		return fail("empty time", open+1)
	}

	// What comes before it.
	fields := strings.SplitN(line[:open-1], " ", 3)
	if fields[0] == "" {
		return fail("remote_addr expected", 1)
	}
	addrColumn := 0
	if host, port, ok := cutLast(fields[0], ":"); ok && host != "" && digits(port) && (!strings.Contains(host, ":") || strings.HasSuffix(host, "]")) {
		if four := strings.SplitN(line[:open-1], " ", 4); len(four) == 4 && four[1] != "-" && four[2] != "" && four[3] != "" {
			addrColumn = len(fields[0]) + 1
			fields = four[1:]
		}
	}
	switch {
	case len(fields) == 1:
		return fail("ident and remote_user expected", open+1)
	case fields[1] == "":
		return fail("ident expected", addrColumn+len(fields[0])+2)
	case len(fields) == 2 || fields[2] == "":
		return fail("remote_user expected", addrColumn+len(fields[0])+len(fields[1])+3)
	}
	addr, user, stamp := fields[0], fields[2], line[open+1:end]

	// What comes after it.
	i := end + 1 // at the space before a field
	quoted := func() (string, bool) {
		start := i + 2
		for k := start; k < len(line); k++ {
			switch {
			case at(k) == '"' && at(k+1) == ' ':
				i = k + 1
				return line[start:k], true
			case at(k) == '\\':
				k++
			}
		}
		return "", false
	}
	number := func() (string, bool) {
		start := i + 1
		if i == len(line) {
			return "", false
		}
		k := start
		for k < len(line) && at(k) != ' ' {
			k++
		}
		s := line[start:k]
		if s != "-" && !digits(s) {
			return "", false
		}
		i = k
		return s, true
	}
	request, ok := quoted()
	if !ok {
		return fail("unterminated quote", i+2)
	}
	status, ok := number()
	if !ok || status != "-" && len(status) != 3 {
		if ok {
			i -= len(status) + 1
		}
		return fail("status expected", i+2)
	}
	size, ok := number()
	if !ok {
		return fail("bytes_sent expected", i+2)
	}
	var tail []string
	if combined && i < len(line) {
		for _, name := range []string{"referer", "user_agent"} {
			if at(i+1) != '"' {
				return fail(name+" expected", i+2)
			}
			s, ok := quoted()
			if !ok {
				return fail("unterminated quote", i+2)
			}
			tail = append(tail, name, s)
		}
	}
	for i < len(line) {
		if at(i+1) == '"' {
			if _, ok := quoted(); !ok {
				return fail("unterminated quote", i+2)
			}
			continue
		}
		for i++; i < len(line) && at(i) != ' '; i++ {
		}
	}

	orNull := func(s string) any {
		if s == "-" {
			return nil
		}
		return s
	}
	num := func(s string) any {
		if s == "-" {
			return nil
		}
		for len(s) > 1 && s[0] == '0' {
			s = s[1:]
		}
		return json.Number(s)
	}
	out = append(out, "remote_addr", orNull(addr), "remote_user", orNull(user), "time_local", orNull(stamp))
	m, rest, ok1 := strings.Cut(request, " ")
	p, proto, ok2 := cutLast(rest, " ")
	if ok1 && ok2 && token(m) && p != "" && p == strings.Trim(p, " ") && protocolOK(proto) {
		out = append(out, "method", m, "path", p, "protocol", proto)
	} else {
		out = append(out, "request", request, "method", nil, "path", nil, "protocol", nil)
	}
	out = append(out, "status", num(status), "bytes_sent", num(size))
	for k := 0; k < len(tail); k += 2 {
		out = append(out, tail[k], orNull(tail[k+1]))
	}
	return out, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func token(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return s != "" && strings.Trim(s, letters+"0123456789!#$%&'*+-.^_`|~") == ""
}

func protocolOK(s string) bool {
	name, version, ok := strings.Cut(s, "/")
	major, minor, dot := strings.Cut(strings.TrimPrefix(version, "V"), ".")
	return ok && name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz") == "" && digits(major) && (!dot || digits(minor))
}

func (kind fixture) fields() *event.Fields {
	f := new(event.Fields)
	for _, n := range memberNames {
		f.Add(n)
	}
	f.Add("path", "deeper")
	f.Add("nosuch")
	return f
}

// fixture is a parser that fills in everything, for comparing with the twin.
type fixture struct {
	combined bool
	f        *event.Fields
	p, last  Parser
}

func newFixture(combined bool) fixture {
	x := fixture{combined: combined}
	x.f = x.fields()
	x.p, x.last = newAccess(Options{Fields: x.f}, combined), newAccess(Options{}, combined)
	return x
}

// check compares the parser with its twin on one line, and the slots with the
// built value. It returns the value, "" for a bad line.
func (x fixture) check(t testing.TB, line string, c event.Clean) string {
	t.Helper()
	var ev event.Event
	ev.Reset(x.f.Len())
	raw := []byte(line)
	if c.UTF8 || c.NoControl || c.NoBackslash {
		// In a block with marks, between lines whose quotes must not matter.
		c, raw = inBlock(line, c, 40)
	}
	x.p.Block(c)
	err := x.p.Parse(raw, &ev)
	// Where nothing comes after the line, no mark is found beyond it.
	lone, last := append(make([]byte, 0, len(line)+len("\n")+40), line+"\n"...), event.Clean{}
	var lastEv event.Event
	last.Inspect(lone)
	x.last.Block(last)
	lastErr := x.last.Parse(lone[:len(line)], &lastEv)
	want, wantErr := accessSlow(line, x.combined)
	if err != nil || wantErr != nil {
		if lastErr == nil || err == nil || lastErr.Error() != err.Error() {
			t.Fatalf("%q: error %v, alone %v", line, err, lastErr)
		}
		got, _ := err.(*event.BadError)
		if got == nil || wantErr == nil || *got != *wantErr {
			t.Fatalf("combined %v: %q: error %v, want %v", x.combined, line, err, wantErr)
		}
		if _, ok := x.p.Time(); ok {
			t.Fatalf("%q: a bad line has a time", line)
		}
		return ""
	}
	built := ev.AppendValue(nil)
	if string(lastEv.AppendValue(nil)) != string(built) {
		t.Fatalf("%q:\n      %s\nalone %s", line, built, lastEv.AppendValue(nil))
	}
	// What was split fast must be what split finds.
	general := access{combined: x.combined, line: dropCR([]byte(line))}
	if err := general.split(general.line, x.combined); err != nil || string(general.appendMembers(nil)) != string(built) {
		t.Fatalf("%q:\nsplit %s %v\n fast %s", line, general.appendMembers(nil), err, built)
	}
	if !ev.OnlyValue() || event.Classify(event.RawValue(built)) != event.IsBare {
		t.Fatalf("%q: %s is no bare value", line, built)
	}
	if !json.Valid(built) {
		t.Fatalf("%q: built %s", line, built)
	}
	var got []any
	for it := event.RawValue(built).Members(); it.Next(); {
		got = append(got, string(it.Name.B), plainGo(it.Value))
	}
	if len(got) != len(want) {
		t.Fatalf("combined %v: %q:\n got %q\nwant %q", x.combined, line, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("combined %v: %q: %v is %q, want %q", x.combined, line, want[i&^1], got[i], want[i])
		}
	}
	for _, name := range append([]string{"nosuch"}, memberNames[:]...) {
		slot := ev.Slots[x.f.Add(name)]
		whole := event.RawValue(built).Lookup(name)
		if slot.Kind != whole.Kind || plainGo(slot) != plainGo(whole) {
			t.Fatalf("%q: slot %s is %v %q, in the value %v %q", line, name, slot.Kind, slot.AppendJSON(nil), whole.Kind, whole.AppendJSON(nil))
		}
		if slot.Form == event.Plain && !isPlainSlow(slot.B) {
			t.Fatalf("%q: slot %s is not plain: %q", line, name, slot.B)
		}
	}
	if v := ev.Slots[x.f.Add("path", "deeper")]; v.Kind != event.Missing {
		t.Fatalf("%q: .path.deeper is %v", line, v.Kind)
	}
	return string(built)
}

// inBlock puts a line into a block in which room bytes come after it, and into
// which other lines bring quotes and backslashes. What is known of the block is
// still c, as if the line were alone in it.
func inBlock(line string, c event.Clean, room int) (event.Clean, []byte) {
	const before = "x\"\\\n"
	after := ("\n" + strings.Repeat(`" \" `, room/5+1))[:room]
	block := append(make([]byte, 0, len(before)+len(line)+room), before+line+after...)
	var m event.Clean
	m.Inspect(block)
	m.UTF8, m.NoControl, m.NoBackslash = c.UTF8, c.NoControl, c.NoBackslash
	return m, block[len(before) : len(before)+len(line)]
}

func plainGo(v event.Value) any {
	switch v.Kind {
	case event.Missing, event.Null:
		return nil
	case event.Number:
		return json.Number(v.AppendJSON(nil))
	}
	return string(v.AppendText(nil))
}

func isPlainSlow(b []byte) bool {
	return !strings.ContainsFunc(string(b), func(r rune) bool { return r < ' ' || r == '"' || r == '\\' })
}

// cleanOf tells what is known of a block that is this line.
func cleanOf(line string) event.Clean {
	return event.Clean{
		UTF8:        utf8.ValidString(line),
		NoControl:   !strings.ContainsFunc(line, func(r rune) bool { return r < ' ' }),
		NoBackslash: !strings.Contains(line, `\`),
	}
}

const (
	sample       = `192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 2326 "http://example.com/" "Mozilla/5.0 (X11; Linux)"`
	commonSample = `192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 2326`
	sampleOut    = `{"remote_addr":"192.0.2.7","remote_user":null,"time_local":"10/Oct/2000:13:55:36 -0700","method":"GET","path":"/a?b=c","protocol":"HTTP/1.1","status":200,"bytes_sent":2326,"referer":"http://example.com/","user_agent":"Mozilla/5.0 (X11; Linux)"}`
)

func TestAccessValue(t *testing.T) {
	const stamp = `[10/Oct/2000:13:55:36 -0700]`
	head := `{"remote_addr":"192.0.2.7","remote_user":null,"time_local":"10/Oct/2000:13:55:36 -0700",`
	get := head + `"method":"GET","path":"/","protocol":"HTTP/1.1",`
	request := func(s string) string {
		return head + `"request":` + s + `,"method":null,"path":null,"protocol":null,"status":400,"bytes_sent":0}`
	}
	for in, want := range map[string]string{
		sample:                                 sampleOut,
		sample + "\r":                          sampleOut,
		sample + "  ":                          sampleOut,
		sample + ` "192.0.2.8, 192.0.2.9" "-"`: sampleOut,
		sample + ` 0.003 rt=1 "x \" y"`:        sampleOut,
		"example.com:443 " + sample:            sampleOut,
		"[2001:db8::1]:443 " + sample:          sampleOut,
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/1.1" 200 5`:                           get + `"status":200,"bytes_sent":5}`,
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/1.1" 304 -`:                           get + `"status":304,"bytes_sent":null}`,
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/1.1" - -`:                             get + `"status":null,"bytes_sent":null}`,
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/1.1" 000 007`:                         get + `"status":0,"bytes_sent":7}`,
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/1.1" 200 99999999999999999999 "-" ""`: get + `"status":200,"bytes_sent":99999999999999999999,"referer":null,"user_agent":""}`,
		`- - - ` + stamp + ` "GET / HTTP/1.1" 200 5`:                                   strings.Replace(get, `"192.0.2.7"`, "null", 1) + `"status":200,"bytes_sent":5}`,
		// Escapes are text.
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/1.1" 200 1 "\x22" "a \"b\" \\"`:       get + `"status":200,"bytes_sent":1,"referer":"\\x22","user_agent":"a \\\"b\\\" \\\\"}`,
		`192.0.2.7 - - ` + stamp + " \"GET / HTTP/1.1\" 200 1 \"\t\" \"\u00fc\u2028\"": get + `"status":200,"bytes_sent":1,"referer":"\t","user_agent":"` + "\u00fc\u2028" + `"}`,
		// Quotes of old servers.
		`192.0.2.7 - - ` + stamp + ` "GET /?<a("x")> HTTP/1.0" 404 1 "-" "-"`: head + `"method":"GET","path":"/?<a(\"x\")>","protocol":"HTTP/1.0","status":404,"bytes_sent":1,"referer":null,"user_agent":null}`,
		// Requests.
		`192.0.2.7 - - ` + stamp + ` "-" 400 0`:                          request(`"-"`),
		`192.0.2.7 - - ` + stamp + ` "" 400 0`:                           request(`""`),
		`192.0.2.7 - - ` + stamp + ` "GET /" 400 0`:                      request(`"GET /"`),
		`192.0.2.7 - - ` + stamp + ` "GET  HTTP/1.1" 400 0`:              request(`"GET  HTTP/1.1"`),
		`192.0.2.7 - - ` + stamp + ` "GET  / HTTP/1.1" 400 0`:            request(`"GET  / HTTP/1.1"`),
		`192.0.2.7 - - ` + stamp + ` "GET /  HTTP/1.1" 400 0`:            request(`"GET /  HTTP/1.1"`),
		`192.0.2.7 - - ` + stamp + ` " / HTTP/1.1" 400 0`:                request(`" / HTTP/1.1"`),
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/1." 400 0`:              request(`"GET / HTTP/1."`),
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/" 400 0`:                request(`"GET / HTTP/"`),
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/1.x" 400 0`:             request(`"GET / HTTP/1.x"`),
		`192.0.2.7 - - ` + stamp + ` "\x16\x03\x01 \x00 HTTP/1.1" 400 0`: request(`"\\x16\\x03\\x01 \\x00 HTTP/1.1"`),
		`192.0.2.7 - - ` + stamp + ` "GET /a b HTTP/2" 400 0`:            head + `"method":"GET","path":"/a b","protocol":"HTTP/2","status":400,"bytes_sent":0}`,
		`192.0.2.7 - - ` + stamp + ` "OPTIONS sip:nm SIP/2.0" 400 0`:     head + `"method":"OPTIONS","path":"sip:nm","protocol":"SIP/2.0","status":400,"bytes_sent":0}`,
		`192.0.2.7 - - ` + stamp + ` "M-SEARCH * HTTP/1.1" 400 0`:        head + `"method":"M-SEARCH","path":"*","protocol":"HTTP/1.1","status":400,"bytes_sent":0}`,
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/V1.0" 400 0`:            head + `"method":"GET","path":"/","protocol":"HTTP/V1.0","status":400,"bytes_sent":0}`,
		`192.0.2.7 - - ` + stamp + ` "GET / HTTP/V" 400 0`:               request(`"GET / HTTP/V"`),
		// Addresses and users.
		`2001:db8::1 - frank doe ` + stamp + ` "-" - -`:   `{"remote_addr":"2001:db8::1","remote_user":"frank doe","time_local":"10/Oct/2000:13:55:36 -0700","request":"-","method":null,"path":null,"protocol":null,"status":null,"bytes_sent":null}`,
		`2001:db8::1:443 id fr [x] ` + stamp + ` "-" - -`: `{"remote_addr":"2001:db8::1:443","remote_user":"fr [x]","time_local":"10/Oct/2000:13:55:36 -0700","request":"-","method":null,"path":null,"protocol":null,"status":null,"bytes_sent":null}`,
		`192.0.2.7:5000 - a b ` + stamp + ` "-" - -`:      `{"remote_addr":"192.0.2.7:5000","remote_user":"a b","time_local":"10/Oct/2000:13:55:36 -0700","request":"-","method":null,"path":null,"protocol":null,"status":null,"bytes_sent":null}`,
		`- - "" [-] "-" - -`:                              `{"remote_addr":null,"remote_user":"\"\"","time_local":null,"request":"-","method":null,"path":null,"protocol":null,"status":null,"bytes_sent":null}`,
		`host - - [2000-10-10T13:55:36Z] "-" - -`:         `{"remote_addr":"host","remote_user":null,"time_local":"2000-10-10T13:55:36Z","request":"-","method":null,"path":null,"protocol":null,"status":null,"bytes_sent":null}`,
	} {
		if got := newFixture(true).check(t, in, event.Clean{}); got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
		if got := newFixture(true).check(t, in, cleanOf(in)); got != want {
			t.Errorf("clean: %s:\n got %s\nwant %s", in, got, want)
		}
		// A common parser gives the same without the last two members.
		if i := strings.Index(want, `,"referer"`); i > 0 {
			want = want[:i] + "}"
		}
		if got := newFixture(false).check(t, in, cleanOf(in)); got != want {
			t.Errorf("common: %s:\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestAccessBad(t *testing.T) {
	const start = `h - - [10/Oct/2000:13:55:36 -0700] `
	for _, c := range []struct{ in, want string }{
		{``, `no [time]`},
		{`hello`, `no [time]`},
		{`[10/Oct/2000:13:55:36 -0700] user GET / HTTP/1.1 200`, `remote_addr expected at column 1`},
		{`[10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1`, `remote_addr expected at column 1`},
		{` - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1`, `remote_addr expected at column 1`},
		{`h [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1`, `ident and remote_user expected at column 3`},
		{`h - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1`, `remote_user expected at column 5`},
		{`h  - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1`, `ident expected at column 3`},
		{`h - - [10/Oct/2000:13:5`, `unterminated [ at column 7`},
		{`h - - [10/Oct/2000:13:55:36 -0700]`, `request expected at column 36`},
		{`h - - [10/Oct/2000:13:55:36 -0700] GET / 200 1`, `request expected at column 36`},
		{`h - - [] "GET / HTTP/1.1" 200 1`, `empty time at column 7`},
		{start + `"GET / HT`, `unterminated quote at column 36`},
		{start + `"GET / HTTP/1.1\" 200 1`, `unterminated quote at column 36`},
		{start + `"GET / HTTP/1.1"`, `status expected at column 53`},
		{start + `"GET / HTTP/1.1" x`, `status expected at column 53`},
		{start + `"GET / HTTP/1.1" 20 1`, `status expected at column 53`},
		{start + `"GET / HTTP/1.1" 2000 1`, `status expected at column 53`},
		{start + `"GET / HTTP/1.1" 200`, `bytes_sent expected at column 57`},
		{start + `"GET / HTTP/1.1" 200 1k`, `bytes_sent expected at column 57`},
		{start + `"GET / HTTP/1.1" 200 -1`, `bytes_sent expected at column 57`},
		{start + `"GET / HTTP/1.1" 200  1`, `bytes_sent expected at column 57`},
		{start + `"GET / HTTP/1.1" 200 1 x`, `referer expected at column 59`},
		{start + `"GET / HTTP/1.1" 200 1 "-"`, `user_agent expected at column 63`},
		{start + `"GET / HTTP/1.1" 200 1 "-" x`, `user_agent expected at column 63`},
		{start + `"GET / HTTP/1.1" 200 1 "-`, `unterminated quote at column 59`},
		{start + `"GET / HTTP/1.1" 200 1 "-" "Mozilla`, `unterminated quote at column 63`},
		{start + `"GET / HTTP/1.1" 200 1 "-" "-" "`, `unterminated quote at column 67`},
		{start + `"GET / HTTP/1.1" 200 1 "-" "-" 5 "x`, `unterminated quote at column 69`},
		{"h - - [\xff] \"GET / HTTP/1.1\" 200 1", `invalid UTF-8 at column 8`},
		{"\u00fc\xc3", `invalid UTF-8 at column 3`},
	} {
		var ev event.Event
		err := newCombined(Options{}).Parse([]byte(c.in), &ev)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.in, err, c.want)
		}
		newFixture(true).check(t, c.in, event.Clean{})
		newFixture(false).check(t, c.in, event.Clean{})
	}
}

// Every line that the sample becomes when one byte of it is replaced, removed
// or inserted, or when it is cut off.
func TestAccessAgreesNearby(t *testing.T) {
	combined, common := newFixture(true), newFixture(false)
	both := func(line string) {
		combined.check(t, line, event.Clean{})
		combined.check(t, line, cleanOf(line))
		common.check(t, line, cleanOf(line))
	}
	for _, s := range []string{sample, sample + ` "-"`, commonSample, `h:80 ::1 - bob [1] "A B C/1" - - "" "" 1`} {
		for i := range len(s) + 1 {
			both(s[:i])
			for _, c := range []string{``, ` `, `"`, `\`, `[`, `]`, `-`, `0`, `9`, `:`, `/`, `a`, "\x01", "\u00fc", "\xff", `] "`, `" `, ` [`, `\"`} {
				both(s[:i] + c + s[i:])
				if i < len(s) {
					both(s[:i] + c + s[i+1:])
				}
			}
		}
	}
}

func FuzzAccess(f *testing.F) {
	for _, s := range []string{
		sample, sample + ` "-"`, commonSample, sample[:90], "example.com:443 " + sample,
		`::1 - frank doe [10/Oct/2000:13:55:36 -0700] "GET /?<a("x")> HTTP/1.0" 404 -`,
		`h - - [x] "\x16\x03" 400 0 "-" "a\\"`, `h - - [x] "a\" 1" 000 00 "" "" x "`, `a:1 b c [d] "" - -`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") {
			return
		}
		for _, c := range []event.Clean{{}, cleanOf(line)} {
			newFixture(true).check(t, line, c)
			newFixture(false).check(t, line, c)
		}
	})
}

// Most lines must go the fast way, or it is of no use.
func TestAccessFastTaken(t *testing.T) {
	for _, s := range []string{
		sample, sample + ` "-"`, commonSample,
		strings.Replace(sample, "200 2326", "304 0", 1), strings.Replace(sample, "2326", "-", 1),
		strings.Replace(sample, "/a?b=c", `/\x22`, 1),
	} {
		var e entry
		if !e.splitFast([]byte(s), true) {
			t.Errorf("not split fast: %s", s)
		}
	}
}

func TestAccessTime(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	for in, want := range map[string]string{
		"10/Oct/2000:13:55:36 -0700": "2000-10-10T20:55:36Z",
		"01/Jan/1970:00:00:00 +0000": "1970-01-01T00:00:00Z",
		"29/Feb/2024:23:59:59 +0530": "2024-02-29T18:29:59Z",
		"2000-10-10T13:55:36.5Z":     "2000-10-10T13:55:36.5Z",
		"2000-10-10 13:55:36":        "2000-10-10T12:55:36Z",
		"29/Feb/2023:23:59:59 +0530": "",
		"10/oct/2000:13:55:36 -0700": "",
		"10/Okt/2000:13:55:36 -0700": "",
		"10/Oct/2000:24:55:36 -0700": "",
		"10/Oct/2000:13:60:36 -0700": "",
		"10/Oct/2000:13:55:60 -0700": "",
		"10/Oct/2000:13:55:36 -2400": "",
		"10/Oct/2000:13:55:36 -0760": "",
		"10/Oct/2000:13:55:36":       "",
		"-":                          "",
	} {
		p := newCombined(Options{Zone: berlin})
		var ev event.Event
		if err := p.Parse([]byte(`h - - [`+in+`] "-" 200 1`), &ev); err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		got, ok := p.Time()
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %v %v, want %s", in, got, ok, want)
		}
	}
	for m := time.January; m <= time.December; m++ {
		at := time.Date(2024, m, 17, 1, 2, 3, 0, time.FixedZone("", -12600))
		got, ok := clfTime([]byte(at.Format("02/Jan/2006:15:04:05 -0700")))
		if !ok || got.Sec != at.Unix() {
			t.Errorf("%v: %v %v", at, got, ok)
		}
	}
}

// isStamp's slow twin, byte by byte, on every byte at every place.
func TestIsStamp(t *testing.T) {
	slow := func(s string) bool {
		for i, c := range []byte("dd/mmm/dddd:dd:dd:dd sdddd") {
			ok := s[i] == c
			switch c {
			case 'd':
				ok = '0' <= s[i] && s[i] <= '9'
			case 'm':
				ok = 'a' <= s[i] && s[i] <= 'z' || 'A' <= s[i] && s[i] <= 'Z'
			case 's':
				ok = s[i] == '+' || s[i] == '-'
			}
			if !ok {
				return false
			}
		}
		return true
	}
	for _, s := range []string{"10/Oct/2000:13:55:36 -0700", "99/zZa/9999:99:99:99 +9999", "00/AAA/0000:00:00:00 +0000"} {
		for i := range len(s) {
			for c := range 256 {
				b := []byte(s)
				b[i] = byte(c)
				if got, want := isStamp(b), slow(string(b)); got != want {
					t.Fatalf("isStamp(%q) = %v", b, got)
				}
			}
		}
	}
}

func TestIsPlain(t *testing.T) {
	for n := range 20 {
		for i := range n {
			for c := range 256 {
				b := []byte(strings.Repeat("x", n))
				b[i] = byte(c)
				want := c >= ' ' && c != '"' && c != '\\'
				if isPlain(b) != want {
					t.Fatalf("isPlain(%q) = %v", b, !want)
				}
			}
		}
	}
}
