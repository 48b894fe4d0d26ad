package parse

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"logtools/pkg/event"
)

// lazyFixture is a parser of a lazy format that fills in everything, for
// comparing with its twin.
type lazyFixture struct {
	f     *event.Fields
	p     Parser
	names []string
	other string // a good line
}

func newLazyFixture(format func(Options) Parser, o Options, names []string, other string) lazyFixture {
	x := lazyFixture{f: new(event.Fields), other: other, names: append([]string{"nosuch"}, names...)}
	for _, n := range x.names {
		x.f.Add(n)
	}
	o.Fields = x.f
	x.p = format(o)
	return x
}

// parse parses a line, checks the slots against the whole value and returns
// that, "" for a bad line.
func (x lazyFixture) parse(t testing.TB, line string, c event.Clean) (string, error) {
	t.Helper()
	var ev event.Event
	ev.Reset(x.f.Len())
	x.p.Block(c)
	raw := []byte(line)
	err := x.p.Parse(raw, &ev)
	if err != nil {
		b := err.(*event.BadError)
		if b.Column < 0 || b.Column > len(line)+2 || b.Reason == "" {
			t.Fatalf("%q: %q at column %d", line, b.Reason, b.Column)
		}
		if _, ok := x.p.Time(); ok {
			t.Fatalf("%q: a bad line has a time", line)
		}
		return "", err
	}
	built := ev.AppendValue(nil)
	if string(ev.Line) != line || !ev.Bare {
		t.Fatalf("%q: line %q, bare %v", line, ev.Line, ev.Bare)
	}
	if !json.Valid(built) {
		t.Fatalf("%q: built %s", line, built)
	}
	whole := event.RawValue(built)
	for _, name := range x.names {
		slot, want := ev.Slots[x.f.Add(name)], whole.Lookup(name)
		if slot.Kind != want.Kind || string(slot.AppendCanonical(nil)) != string(want.AppendCanonical(nil)) {
			t.Fatalf("%q: slot %s is %v %s, in the value %v %s", line, name, slot.Kind, slot.AppendJSON(nil), want.Kind, want.AppendJSON(nil))
		}
		if slot.Form == event.Plain && !isPlainSlow(slot.B) {
			t.Fatalf("%q: slot %s is not plain: %q", line, name, slot.B)
		}
	}
	// With another line in between, good or bad, the event is still the same.
	for _, other := range []string{x.other, "", x.other + "\xff"} {
		var ev2 event.Event
		ev2.Reset(x.f.Len())
		at, hasAt := x.p.Time()
		x.p.Block(event.Clean{})
		if err := x.p.Parse([]byte(other), &ev2); (err == nil) != (other == x.other) || string(ev.AppendValue(nil)) != string(built) {
			t.Fatalf("%q: after %q it is %s, was %s", line, other, ev.AppendValue(nil), built)
		}
		ev2.Reset(x.f.Len())
		if x.p.Parse(raw, &ev2) != nil || string(ev2.AppendValue(nil)) != string(built) {
			t.Fatalf("%q: parsed again it is %s, was %s", line, ev2.AppendValue(nil), built)
		}
		if again, ok := x.p.Time(); ok != hasAt || again != at {
			t.Fatalf("%q: time %v %v, then %v %v", line, at, hasAt, again, ok)
		}
	}
	return string(built), nil
}

// members decodes an object: name, value, name, value…
func members(t testing.TB, value string) (out []any) {
	t.Helper()
	for it := event.RawValue([]byte(value)).Members(); it.Next(); {
		d := json.NewDecoder(bytes.NewReader(it.Value.AppendJSON(nil)))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		out = append(out, string(it.Name.AppendText(nil)), v)
	}
	return out
}

func newSyslogFixture() lazyFixture {
	return newLazyFixture(newSyslog, Options{ModTime: time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)}, syslogNames[:], `<9>1 - - - 1 - [other x="y"]`)
}

func (x lazyFixture) checkSyslog(t testing.TB, line string, c event.Clean) string {
	t.Helper()
	got, err := x.parse(t, line, c)
	want, stamp, ok := syslogSlow(line)
	if ok != (err == nil) {
		t.Fatalf("%q: %s %v, want good: %v %q", line, got, err, ok, want)
	}
	if err != nil {
		return ""
	}
	if out := members(t, got); !reflect.DeepEqual(out, want) {
		t.Fatalf("%q:\n got %q\nwant %q", line, out, want)
	}
	at, hasAt := x.p.Time()
	if stamp != "" && stamp[0] < 'A' {
		if want, _ := slowISO(stamp); !hasAt || at != want {
			t.Fatalf("%q: time %v %v, want %v", line, at, hasAt, want)
		}
	} else if m := bsdPattern.FindStringSubmatch(stamp); m != nil && m[6] != "60" {
		if s := at.Std().Format("Jan_2 15:04:05"); !hasAt || s != m[1]+strings.Repeat(" ", 2-len(strings.TrimPrefix(m[2], "0")))+strings.TrimPrefix(m[2], "0")+" "+m[4]+":"+m[5]+":"+m[6] {
			t.Fatalf("%q: time %v %v %s", line, at, hasAt, s)
		}
	} else if hasAt && stamp == "" {
		t.Fatalf("%q: time %v", line, at)
	}
	return got
}

func TestSyslogValue(t *testing.T) {
	x := newSyslogFixture()
	for in, want := range map[string]string{
		// RFC 3164.
		`<34>Oct 11 22:14:15 mymachine su: 'su root' failed`:                       `{"facility":"auth","severity":"crit","hostname":"mymachine","appname":"su","message":"'su root' failed"}`,
		`<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!`:                               `{"facility":"user","severity":"notice","hostname":"10.0.0.99","message":"Use the BFG!"}`,
		`<0>1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org sched[0]: That's `: `{"facility":"kern","severity":"emerg","message":"1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org sched[0]: That's "}`,
		// Files.
		`Jan  2 03:04:05 host app[123]: msg`:                                `{"hostname":"host","appname":"app","procid":123,"message":"msg"}`,
		`Jan  2 03:04:05 host app[123]: msg` + "\r":                         `{"hostname":"host","appname":"app","procid":123,"message":"msg"}`,
		`Jan 2 2024 03:04:05.5 host app[a.b]: `:                             `{"hostname":"host","appname":"app","procid":"a.b","message":""}`,
		`Jan 02 03:04:05 host app[007]:msg`:                                 `{"hostname":"host","appname":"app","procid":"007","message":"msg"}`,
		`Jan 02 03:04:05 host kernel:   [ 1.5] indented`:                    `{"hostname":"host","appname":"kernel","message":"  [ 1.5] indented"}`,
		`Jun 14 15:16:01 combo sshd(pam_unix)[19939]: check pass`:           `{"hostname":"combo","appname":"sshd(pam_unix)","procid":19939,"message":"check pass"}`,
		`Mar 11 19:26:45 mac sockerfilterfw[1985] <Info>: launchd`:          `{"hostname":"mac","appname":"sockerfilterfw","procid":1985,"message":"<Info>: launchd"}`,
		`Apr 28 04:02:03 h syslogd 1.4.1: restart.`:                         `{"hostname":"h","message":"syslogd 1.4.1: restart."}`,
		"Jan 22 07:54:32 h Job `cron.daily' terminated":                     "{\"hostname\":\"h\",\"message\":\"Job `cron.daily' terminated\"}",
		`Dec 31 17:54:32 ::1 /sbin/anacron[1234]: x`:                        `{"hostname":"::1","appname":"/sbin/anacron","procid":1234,"message":"x"}`,
		`Dec 31 17:54:32 h My::Mod[1]: x`:                                   `{"hostname":"h","appname":"My::Mod","procid":1,"message":"x"}`,
		`Dec 31 17:54:32 h http://example.com/ is down`:                     `{"hostname":"h","message":"http://example.com/ is down"}`,
		`Dec 31 17:54:32 h 192.0.2.1:53 is down`:                            `{"hostname":"h","message":"192.0.2.1:53 is down"}`,
		`Dec 31 17:54:32 h {"a": 1}`:                                        `{"hostname":"h","message":"{\"a\": 1}"}`,
		`Dec 31 17:54:32 app[5]: no host`:                                   `{"appname":"app","procid":5,"message":"no host"}`,
		`Dec 31 17:54:32 app: no host`:                                      `{"appname":"app","message":"no host"}`,
		`Dec 31 17:54:32 host`:                                              `{"hostname":"host","message":""}`,
		`Mar 24 14:26:01 --- last message repeated 2 times ---`:             `{"message":"--- last message repeated 2 times ---"}`,
		`Mar 11 09:39:39: --- last message repeated 5 times ---`:            `{"message":"--- last message repeated 5 times ---"}`,
		`2024-01-02T03:04:05.123456+02:00 host app[1]: msg`:                 `{"hostname":"host","appname":"app","procid":1,"message":"msg"}`,
		`2024-01-02T03:04:05+0200 host app[1]: tab` + "\t":                  `{"hostname":"host","appname":"app","procid":1,"message":"tab\t"}`,
		`2016-10-25T12:37:25.007960-07:00 ERR kernel: [  316.5] x`:          `{"severity":"err","appname":"kernel","message":"[  316.5] x"}`,
		`<15>2021-03-06T04:07:33.194677+00:00 hostname log_tag debug`:       `{"facility":"user","severity":"debug","hostname":"hostname","message":"log_tag debug"}`,
		`<30>app[1]: no time`:                                               `{"facility":"daemon","severity":"info","appname":"app","procid":1,"message":"no time"}`,
		`<6>[    0.000000] Linux version`:                                   `{"facility":"kern","severity":"info","message":"[    0.000000] Linux version"}`,
		`<6>`:                                                               `{"facility":"kern","severity":"info","message":""}`,
		"<13>Jan  2 03:04:05 host app: \ufeff\u00fc":                        "{\"facility\":\"user\",\"severity\":\"notice\",\"hostname\":\"host\",\"appname\":\"app\",\"message\":\"\u00fc\"}",
		`28 <13>Jan  2 03:04:05 h a: xyz`:                                   `{"facility":"user","severity":"notice","hostname":"h","appname":"a","message":"xyz"}`,
		`99 <13>Jan  2 03:04:05 h a: more follows`:                          `{"facility":"user","severity":"notice","hostname":"h","appname":"a","message":"more follows"}`,
		`2022-08-27T14:22:01.888Z h NSX 4828 SWITCHING [abc@6 a="b"] entry`: `{"hostname":"h","appname":"NSX","procid":4828,"msgid":"SWITCHING","structured_data":{"abc@6":{"a":"b"}},"message":"entry"}`,
		`2022-08-27T17:22:01.694554+03:00 h CRON 20856 - -  (root) CMD`:     `{"hostname":"h","appname":"CRON","procid":20856,"msgid":null,"structured_data":null,"message":" (root) CMD"}`,
		`2022-08-27T17:22:01Z h CRON 20856 - x`:                             `{"hostname":"h","message":"CRON 20856 - x"}`,
		// RFC 5424, among them its own examples.
		"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \ufeff'su root' failed":                                                                    `{"facility":"auth","severity":"crit","hostname":"mymachine.example.com","appname":"su","procid":null,"msgid":"ID47","structured_data":null,"message":"'su root' failed"}`,
		`<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.`:                                                        `{"facility":"local4","severity":"notice","hostname":"192.0.2.1","appname":"myproc","procid":8710,"msgid":null,"structured_data":null,"message":"%% It's time to make the do-nuts."}`,
		`<165>1 2003-10-11T22:14:15.003Z m evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]`: `{"facility":"local4","severity":"notice","hostname":"m","appname":"evntslog","procid":null,"msgid":"ID47","structured_data":{"exampleSDID@32473":{"iut":"3","eventSource":"Application","eventID":"1011"},"examplePriority@32473":{"class":"high"}},"message":""}`,
		`<191>1 - - - - - -`:                                      `{"facility":"local7","severity":"debug","hostname":null,"appname":null,"procid":null,"msgid":null,"structured_data":null,"message":""}`,
		`<191>1 - - - - - - `:                                     `{"facility":"local7","severity":"debug","hostname":null,"appname":null,"procid":null,"msgid":null,"structured_data":null,"message":""}`,
		`<191>1 - - - - - -  x`:                                   `{"facility":"local7","severity":"debug","hostname":null,"appname":null,"procid":null,"msgid":null,"structured_data":null,"message":" x"}`,
		`<191>1 - - - - - [a][b  ] x`:                             `{"facility":"local7","severity":"debug","hostname":null,"appname":null,"procid":null,"msgid":null,"structured_data":{"a":{},"b":{}},"message":"x"}`,
		`<191>1 - - - - - [o ip="1" x="" ip="2" ip="3"]`:          `{"facility":"local7","severity":"debug","hostname":null,"appname":null,"procid":null,"msgid":null,"structured_data":{"o":{"ip":["1","2","3"],"x":""}},"message":""}`,
		`<191>1 - - - - - [o a="\"\\\]" b="\n]" c="\\\"" d="\]"]`: `{"facility":"local7","severity":"debug","hostname":null,"appname":null,"procid":null,"msgid":null,"structured_data":{"o":{"a":"\"\\]","b":"\\n]","c":"\\\"","d":"]"}},"message":""}`,
		"<191>1 - - - - - [o a=\"\t\u00fc\"]":                     "{\"facility\":\"local7\",\"severity\":\"debug\",\"hostname\":null,\"appname\":null,\"procid\":null,\"msgid\":null,\"structured_data\":{\"o\":{\"a\":\"\\t\u00fc\"}},\"message\":\"\"}",
	} {
		for _, c := range []event.Clean{{}, cleanOf(in)} {
			if got := x.checkSyslog(t, in, c); got != want {
				t.Errorf("%s:\n got %s\nwant %s", in, got, want)
			}
		}
	}
}

func TestSyslogBad(t *testing.T) {
	x := newSyslogFixture()
	const head = `<34>1 - h a p m `
	for _, c := range []struct{ in, want string }{
		{``, `timestamp or <priority> expected at column 1`},
		{`hello`, `timestamp or <priority> expected at column 1`},
		{"\tmany syslog parsers.", `timestamp or <priority> expected at column 1`},
		{`MMM 22 07:54:32 h a[1]: x`, `timestamp or <priority> expected at column 1`},
		{`Jan 32 07:54:32 h a[1]: x`, `no such time at column 1`},
		{`Feb 30 07:54:32 h a[1]: x`, `no such time at column 1`},
		{`Feb 29 2023 07:54:32 h a[1]: x`, `no such time at column 1`},
		{`Feb  9 24:54:32 h a[1]: x`, `no such time at column 1`},
		{`Feb  9 23:54:61 h a[1]: x`, `no such time at column 1`},
		{`<1>Feb  9 23:60:01 h a[1]: x`, `no such time at column 4`},
		{`Feb  9 23:54:32`, `hostname or message expected at column 16`},
		{`Feb  9 23:54:32:  `, `hostname or message expected at column 19`},
		{`Feb  9 23:54:32x h`, `space expected after the timestamp at column 16`},
		{`2024-01-02T03:04:65Z h a: x`, `no such time at column 1`},
		{`2024-01-02T`, `timestamp or <priority> expected at column 1`},
		{`2024-01 2T03:04:65Z h a: x`, `timestamp or <priority> expected at column 1`},
		{`<`, `<priority> expected at column 1`},
		{`<>`, `<priority> expected at column 1`},
		{`<1234>x`, `<priority> expected at column 1`},
		{`<192>x`, `priority above 191 at column 2`},
		{`8 <192>x`, `priority above 191 at column 4`},
		{`3 <191>x`, `text after a message of 3 bytes at column 6`},
		{`000000005 <191>x<191>y`, `text after a message of 5 bytes at column 16`},
		{`4 <1>ab`, `text after a message of 4 bytes at column 7`},
		{`5 <191>x<191>y`, `text after a message of 5 bytes at column 8`},
		{`<34>1 2003-10-11 h a p m - x`, `timestamp expected at column 7`},
		{`<34>1 `, `timestamp expected at column 7`},
		{`<34>1 -`, `hostname expected at column 9`},
		{`<34>1 -  h`, `hostname expected at column 9`},
		{`<34>1 - h`, `appname expected at column 11`},
		{`<34>1 - h a`, `procid expected at column 13`},
		{`<34>1 - h a p`, `msgid expected at column 15`},
		{`<34>1 - h a p m`, `structured data expected at column 17`},
		{head, `structured data expected at column 17`},
		{head + `x`, `structured data expected at column 17`},
		{head + `-x`, `space expected after the structured data at column 18`},
		{head + `[`, `name of structured data expected at column 18`},
		{head + `[ a="b"]`, `name of structured data expected at column 18`},
		{head + `[a`, `] expected at column 19`},
		{head + `[a `, `parameter or ] expected at column 20`},
		{head + `[a b`, `=" expected at column 21`},
		{head + `[a b=c]`, `=" expected at column 21`},
		{head + `[a b="c`, `unterminated quote at column 22`},
		{head + `[a b="c\"]`, `unterminated quote at column 22`},
		{head + `[a b="c"c="d"]`, `] expected at column 25`},
		{head + `[a b="c"]x`, `space expected after the structured data at column 26`},
		{head + `[a b="c"][b][a]`, `structured data given twice at column 30`},
		{head + `[a` + strings.Repeat(` b="c"`, maxParams+1) + `]`, `more than 1000 parameters in structured data at column 18`},
		{"Jan  2 03:04:05 h a: gr\xfc", `invalid UTF-8 at column 24`},
	} {
		if got := x.checkSyslog(t, c.in, event.Clean{}); got != "" {
			t.Errorf("%q: %s", c.in, got)
		}
		if _, err := x.parse(t, c.in, event.Clean{}); err == nil || err.Error() != c.want {
			t.Errorf("%.60q: %v, want %s", c.in, err, c.want)
		}
	}
}

func TestSyslogTime(t *testing.T) {
	east, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	date := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 12, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		line string
		mod  time.Time
		zone *time.Location
		want string
	}{
		{"Jan  2 03:04:05 h a: x", date(2024, 1, 3), nil, "2024-01-02T03:04:05Z"},
		{"Jan  1 11:59:59 h a: x", date(2023, 12, 31), nil, "2024-01-01T11:59:59Z"}, // within a day
		{"Jan  1 12:00:01 h a: x", date(2023, 12, 31), nil, "2023-01-01T12:00:01Z"},
		{"Jan  4 12:00:00 h a: x", date(2024, 1, 3), nil, "2024-01-04T12:00:00Z"},
		{"Jan  4 12:00:01 h a: x", date(2024, 1, 3), nil, "2023-01-04T12:00:01Z"},
		{"Dec 31 23:59:59 h a: x", date(2024, 1, 1), nil, "2023-12-31T23:59:59Z"},
		{"Jul  2 03:04:05 h a: x", date(2024, 1, 3), nil, "2023-07-02T03:04:05Z"}, // though 2024 is nearer
		{"Jul  6 03:04:05 h a: x", date(2024, 1, 3), nil, "2023-07-06T03:04:05Z"},
		{"Feb 29 03:04:05 h a: x", date(2024, 2, 29), nil, "2024-02-29T03:04:05Z"},
		{"Feb 29 03:04:05 h a: x", date(2026, 2, 1), nil, "2024-02-29T03:04:05Z"},
		{"Feb 29 03:04:05 h a: x", date(2026, 3, 2), nil, "2024-02-29T03:04:05Z"},
		{"Feb 29 03:04:05 h a: x", date(2024, 2, 27), nil, "2020-02-29T03:04:05Z"},
		{"Feb 29 03:04:05 h a: x", date(2024, 2, 28), nil, "2024-02-29T03:04:05Z"},
		{"Feb 29 03:04:05 h a: x", date(1904, 2, 3), nil, "1896-02-29T03:04:05Z"},
		{"Feb 29 03:04:05 h a: x", date(3, 2, 3), nil, "0000-02-29T03:04:05Z"},
		{"Feb  2 03:04:05 h a: x", date(0, 1, 3), nil, ""},
		{"Dec 31 23:59:60 h a: x", date(9999, 12, 31), nil, ""},
		{"Feb  2 03:04:05 h a: x", date(123456, 1, 3), nil, "9999-02-02T03:04:05Z"},

		{"Feb 29 03:04:05 h a: x", date(2101, 3, 2), nil, "2096-02-29T03:04:05Z"},
		{"Feb 29 03:04:05 h a: x", date(1899, 3, 2), nil, "1896-02-29T03:04:05Z"},
		{"Feb 29 2012 03:04:05 h a: x", date(2026, 3, 2), nil, "2012-02-29T03:04:05Z"},
		{"Jan  2 2001 03:04:05.120 h a: x", date(2026, 3, 2), nil, "2001-01-02T03:04:05.120Z"},
		{"Jan  2 03:04:05.1234567890123456789012345678901234567890123 h a: x", date(2026, 3, 2), nil, "2026-01-02T03:04:05.123456789Z"},
		{"Jun 30 23:59:60 h a: x", date(2015, 7, 2), nil, "2015-07-01T00:00:00Z"},
		{"Jul  2 03:04:05 h a: x", date(2024, 7, 3), east, "2024-07-02T01:04:05Z"},
		{"Jan  1 00:30:00 h a: x", time.Date(2023, 12, 31, 23, 31, 0, 0, time.UTC), east, "2023-12-31T23:30:00Z"},
		{"2024-07-02T03:04:05.12 h a: x", date(2020, 7, 3), east, "2024-07-02T01:04:05.12Z"},
		{"2024-07-02T03:04:05+0530 h a: x", date(2020, 7, 3), east, "2024-07-01T21:34:05Z"},
		{"<1>1 2024-07-02T03:04:05.000-07:00 h a - - -", date(2020, 7, 3), east, "2024-07-02T10:04:05.000Z"},
		{"<1>1 - h a - - -", date(2020, 7, 3), east, ""},
		{"<1>hello", date(2020, 7, 3), east, ""},
		{"Jan  2 03:04:60 h a: x", date(2024, 1, 3), nil, ""},
	} {
		p := newSyslog(Options{ModTime: c.mod, Zone: c.zone})
		p.Block(event.Clean{})
		var ev event.Event
		ev.Reset(0)
		if err := p.Parse([]byte(c.line), &ev); err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		at, ok := p.Time()
		if ok != (c.want != "") || ok && at.String() != c.want {
			t.Errorf("%s near %v: %v %v, want %s", c.line, c.mod, at, ok, c.want)
		}
	}
	// Without a modification time it is the year of today.
	p := newSyslog(Options{})
	now := time.Now().UTC()
	var ev event.Event
	ev.Reset(0)
	p.Parse([]byte(now.Format("Jan _2 15:04:05")+" h a: x"), &ev)
	if at, ok := p.Time(); !ok || at.Sec != now.Unix() && !(now.Month() == 2 && now.Day() == 29) {
		t.Errorf("today is %v %v", at, ok)
	}
}

// What is asked for inside structured_data is filled in too.
func TestSyslogDeep(t *testing.T) {
	f := new(event.Fields)
	a, none, host := f.Add("structured_data", "x@1", "a"), f.Add("structured_data", "x@1", "b"), f.Add("hostname")
	deeper := f.Add("hostname", "no")
	p := newSyslog(Options{Fields: f})
	var ev event.Event
	for range 3 {
		ev.Reset(f.Len())
		if err := p.Parse([]byte(`<1>1 - h - - - [x@1 a="\]1"][y] m`), &ev); err != nil {
			t.Fatal(err)
		}
		if got := string(ev.Slots[a].AppendJSON(nil)); got != `"]1"` || ev.Slots[none].Kind != event.Missing ||
			string(ev.Slots[host].B) != "h" || ev.Slots[deeper].Kind != event.Missing || ev.AsIs || !ev.Bare {
			t.Errorf("slots %s %v %s", got, ev.Slots[none].Kind, ev.Slots[host].B)
		}
		if got := string(ev.Slots[f.Add("structured_data")].AppendJSON(nil)); got != `{"x@1":{"a":"]1"},"y":{}}` {
			t.Errorf("structured_data %s", got)
		}
		if got := string(ev.Value().AppendJSON(nil)); !strings.HasPrefix(got, `{"facility":"kern"`) {
			t.Errorf("value %s", got)
		}
		ev.Reset(f.Len())
		if err := p.Parse([]byte(`<1>1 - h - - - - m`), &ev); err != nil || ev.Slots[f.Add("structured_data")].Kind != event.Null || ev.Slots[a].Kind != event.Missing {
			t.Errorf("null: %v %v", err, ev.Slots[a].Kind)
		}
	}
}

var syslogParts = []string{
	"<34>", "<191>", "<192>", "<1", "1 ", "12 ", "28 ", "Jan  2 03:04:05", "Feb 29 03:04:05", "Feb 29 2023 03:04:05", "Oct 11 2003 22:14:15.003",
	"2024-01-02T03:04:05Z", "2024-01-02T03:04:05.123+0200", "2024-01-02T03:04:65Z", "2003-10-11T22:14:15.003-07:00",
	" ", " ", " ", " ", "  ", ":", ": ", "-", " - ", "---", "host", "192.0.2.1", "::1", "INFO", "app", "app[12]", "a.b[x]:", "x::y[1]:", "kernel:[ 1]",
	"a:b", "http://x", "[1]:", "[a]", "[a b=\"c\"]", "[b ", "x=\"", "\\\"", "\\]", "\\", "\"", "]", "[", "{", "\ufeff", "\u00fc", "\xff", "\t", "\r", "ID47", "0", "7",
}

func TestSyslogAgree(t *testing.T) {
	x := newSyslogFixture()
	r := rand.New(rand.NewPCG(3, 4))
	good := 0
	const n = 20000
	for range n {
		var b strings.Builder
		for k := r.IntN(14); k >= 0; k-- {
			b.WriteString(syslogParts[r.IntN(len(syslogParts))])
		}
		line := b.String()
		switch r.IntN(4) {
		case 0:
			line = "<34>1 2024-01-02T03:04:05Z h a 1 - " + line
		case 1:
			line = "2024-01-02T03:04:05Z " + line
		case 2:
			line = "Jan  2 03:04:05 " + line
		}
		if x.checkSyslog(t, line, cleanOf(line)) != "" {
			good++
		}
	}
	if good < n/8 {
		t.Errorf("only %d of %d lines are good", good, n)
	}
}

func FuzzSyslog(f *testing.F) {
	for _, s := range []string{
		`<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed`, `Jan  2 2024 03:04:05.678 host app[123]: msg`,
		`2024-01-02T03:04:05.123456+02:00 host app: msg`, `2022-08-27T14:22:01Z h NSX 4828 S [abc@6 a="b\]"] entry`,
		`61 <165>1 2003-10-11T22:14:15.003Z m e - ID47 [a b="3" c="x"][d] m`, `Mar 11 09:39:39: --- last message`,
	} {
		f.Add(s)
	}
	x := newSyslogFixture()
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") {
			return
		}
		if a, b := x.checkSyslog(t, line, event.Clean{}), x.checkSyslog(t, line, cleanOf(line)); a != b {
			t.Fatalf("%q: %s, clean %s", line, a, b)
		}
		fitsSyslog([]byte(line))
	})
}
