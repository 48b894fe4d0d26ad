package render

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"logtools/pkg/event"
)

// outOf reads an event as a command does.
func outOf(t testing.TB, line string) *Out {
	t.Helper()
	var ev event.Event
	ev.Reset(0)
	if err := event.NewReader(&event.Fields{}, event.Auto).Read([]byte(line), &ev); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return &Out{Log: ev.Log, Partition: ev.Partition, Offset: ev.Offset, Time: ev.Time, Key: ev.Key, Headers: ev.Headers, Src: ev.Src, Value: ev.Value()}
}

func TestPretty(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	for _, c := range []struct {
		name, line, want string
	}{
		{"the whole", `{"time":"2026-11-22T11:03:04.123Z","headers":{"prefix":"web-1"},"value":{"level":"error","msg":"message text","path":"/x","status":500,"user":{"id": 1}}}`,
			`2026-11-22 12:03:04.123 ERROR web-1 message text  path=/x status=500 user={"id":1}`},
		{"all of an event", `{"log":"orders","partition":0,"offset":17,"time":"2026-11-22T11:03:04Z","key":"k 1","headers":{"h":["a","b"],"prefix":["x"]},"src":{"o@1f3a9c02/0":8},"value":{"a":1}}`,
			`2026-11-22 12:03:04 orders/0:17 "k 1" a=1 h=["a","b"] prefix=["x"] src={"o@1f3a9c02/0":8}`},
		{"only a position", `{"partition":2,"offset":5,"value":"x"}`, `2:5 x`},
		{"only a log", `{"log":"a b.log","value":"x"}`, `"a b.log" x`},

		{"times: three digits", `{"time":"2026-11-22T11:03:04.123456789Z"}`, `2026-11-22 12:03:04.123`},
		{"times: one digit", `{"ts":"2026-11-22 23:03:04.5Z"}`, `2026-11-23 00:03:04.500`},
		{"times: without a zone", `{"timestamp":"2026-11-22T11:03:04"}`, `2026-11-22 12:03:04`},
		{"times: unix", `{"time":1795345384123,"pid":1}`, `2026-11-22 12:03:04.123 pid=1`},
		{"times: a duration", `{"time":0.25}`, `time=0.25`},
		{"times: access log", `{"time_local":"22/Nov/2026:12:03:04 +0100","a":1}`, `2026-11-22 12:03:04 a=1`},
		{"times: no access log", `{"time_local":"22/Nox/2026:12:03:04 +0100"}`, `time_local="22/Nox/2026:12:03:04 +0100"`},
		{"times: the same once more", `{"time":"2026-11-22T11:03:04Z","value":{"@timestamp":"2026-11-22T12:03:04+01:00","ts":1795345384,"time":"2026-11-22T11:03:05Z"}}`,
			`2026-11-22 12:03:04 time=2026-11-22T11:03:05Z`},
		{"times: the first name counts", `{"@timestamp":"2026-11-22T11:03:05Z","time":"2026-11-22T11:03:04Z"}`, `2026-11-22 12:03:04 @timestamp=2026-11-22T11:03:05Z`},
		{"times: no time", `{"time":"soon","ts":null}`, `time=soon`},

		{"levels: pino", `{"level":50,"msg":"m"}`, `ERROR m`},
		{"levels: syslog", `{"severity":4,"msg":"m"}`, `WARN  m`},
		{"levels: short names", `{"lvl":"W","msg":"m"}`, `WARN  m`},
		{"levels: long names", `{"Level":"Information","Message":"m"}`, `INFO  m`},
		{"levels: ECS", `{"log.level":"DEBUG","message":"m"}`, `DEBUG m`},
		{"levels: unknown", `{"level":"vip","msg":"m"}`, `VIP   m`},
		{"levels: no level", `{"level":"very important","loglevel":8,"msg":"m"}`, `m  level="very important" loglevel=8`},
		{"levels: the first name counts", `{"severity":"info","level":"error"}`, `ERROR severity=info`},
		{"levels: nothing else", `{"level":"info"}`, `INFO`},
		{"levels: escaped name", `{"l\u0065vel":"info","msg":"m"}`, `INFO  m`},
		{"repeated: the last counts", `{"msg":"a","level":"info","msg":"b"}`, `INFO  b  msg=a`},

		{"messages: controls", `{"msg":"a\n\tb \u001b[2J \"q\" \\ \u202e","x":1}`, `a\n\tb \u001b[2J "q" \ \u202e  x=1`},
		{"messages: the first name counts", `{"text":"t","message":"m","msg":"x"}`, `x  text=t message=m`},
		{"messages: none", `{"msg":"","message":5,"text":{"a":1}}`, `msg="" message=5 text={"a":1}`},

		{"levels: coloured", `{"level":"\u001b[32minfo\u001b[39m","msg":"\u001b[1mm\u001b[22m"}`, `INFO  m`},
		{"levels: unknown and coloured", `{"level":"\u001b[32mvip\u001b[39m","msg":"m"}`, `VIP   m`},

		{"requests", `{"remote_addr":"10.0.0.1","remote_user":null,"method":"GET","path":"/x y","protocol":"HTTP/1.1","status":200,"bytes_sent":5}`,
			`200 GET "/x y"  remote_addr=10.0.0.1 protocol=HTTP/1.1 bytes_sent=5`},
		{"requests: other names", `{"request_method":"GET","Uri":"/x","http_status":"404"}`, `404 GET /x`},
		{"requests: without a status", `{"method":"GET","url":"/x","status":"ok"}`, `GET /x  status=ok`},
		{"requests: as a line", `{"method":null,"path":null,"request":"\\x16\\x03","status":400,"a":1}`, `400 \x16\x03  a=1`},
		{"requests: both", `{"request":"GET /x","method":"GET","path":"/x","status":400}`, `400 GET /x  request="GET /x"`},
		{"requests: a line and half of one", `{"request":"GET /x","method":"GET","status":400}`, `400 "GET /x"  method=GET`},
		{"requests: with a message", `{"method":"GET","path":"/x","status":200,"msg":"m"}`, `m  method=GET path=/x status=200`},
		{"requests: half of one", `{"a":1,"method":"GET","status":200}`, `a=1 method=GET status=200`},
		{"requests: no status of HTTP", `{"request":"x","status":[200]}`, `request=x status=[200]`},
		{"requests: numbers", `{"request":"x","status":1e3}`, `request=x status=1e3`},

		{"programs", `{"facility":"auth","severity":"err","hostname":"web-1","appname":"sshd","procid":812,"msgid":null,"structured_data":null,"message":"closed"}`,
			`ERROR web-1 sshd[812]: closed  facility=auth`},
		{"programs: no process", `{"hostname":"web-1","appname":"kernel","message":"m"}`, `web-1 kernel: m`},
		{"programs: words", `{"hostname":"a b","appname":"c d","procid":"e]f"}`, `"a b" "c d"["e]f"]:`},
		{"programs: no program", `{"hostname":"web-1","procid":1,"message":"m"}`, `web-1 m  procid=1`},
		{"programs: no message", `{"hostname":"web-1","appname":"cron","message":""}`, `web-1 cron: message=""`},
		{"programs: no message, no program", `{"hostname":"web-1","procid":1}`, `hostname=web-1 procid=1`},
		{"programs: a request", `{"appname":"nginx","method":"GET","path":"/x"}`, `nginx: GET /x`},
		{"programs: after the key", `{"key":"k","value":{"hostname":"h","message":"m"}}`, `k h m`},

		{"null", `{"a":null,"b":1}`, `b=1`},
		{"all null", `{"time":"2026-11-22T11:03:04Z","value":{"a":null}}`, `2026-11-22 12:03:04 {"a":null}`},
		{"long members last", `{"a":"` + strings.Repeat("x", 40) + `","b":{"c":"` + strings.Repeat("y", 40) + `"},"d":"` + strings.Repeat("z", 39) + `","e":1}`,
			`d=` + strings.Repeat("z", 39) + ` e=1 a=` + strings.Repeat("x", 40) + ` b={"c":"` + strings.Repeat("y", 40) + `"}`},

		{"words", `{"a":"","b":"x y","c":"=","d":"\"","e=f":1,"g h":2,"":3,"i":"\u65e5","j":"\u0085"}`,
			`a="" b="x y" c== d="\"" "e=f"=1 "g h"=2 ""=3 i=日 j="\u0085"`},
		{"nested", `{"a": [ 1, "\u65e5\u202e" , {"b" : null, "c\n":[ ]} ] }`, `a=[1,"日\u202e",{"b":null,"c\n":[]}]`},
		{"numbers keep their digits", `{"a":1.50,"b":1e400}`, `a=1.50 b=1e400`},

		{"a string", `"a \"line\" with \u001b[31m\n"`, `a "line" with \n`},
		{"a number", `12`, `12`},
		{"null", `null`, `null`},
		{"an array", `[1, {"a": "b"}]`, `[1,{"a":"b"}]`},
		{"an empty object", `{}`, `{}`},
		{"deleted", `{"time":"2026-11-22T11:03:04Z","key":"k1","value":null}`, `2026-11-22 12:03:04 k1 (deleted)`},
		{"a deleted object", `{"key":{"b": "\u001b"},"value":null}`, `{"b":"\u001b"} (deleted)`},
		{"a key that is false", `{"key":false,"value":1}`, `false 1`},
	} {
		out := outOf(t, c.line)
		p := &Pretty{Zone: berlin}
		if got := string(p.Append([]byte("x"), out)); got != "x"+c.want {
			t.Errorf("%s:\n got %s\nwant x%s", c.name, got, c.want)
		}
		p.Color = true
		if got := escapeSequence.ReplaceAllString(string(p.Append(nil, out)), ""); got != c.want {
			t.Errorf("%s: in colour the text is\n     %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestPrettyColors(t *testing.T) {
	for line, want := range map[string]string{
		`{"level":"error","msg":"m","status":500}`: inkRed + "ERROR" + colorOff + " " + inkBold + "m" + colorOff + "  " + inkDim + "status=" + colorOff + inkRed + "500" + colorOff,
		`{"status":404}`:                              inkDim + "status=" + colorOff + inkYellow + "404" + colorOff,
		`{"level":"info","msg":"m","a":"b"}`:          inkGreen + "INFO" + colorOff + "  m  " + inkDim + "a=" + colorOff + "b",
		`{"level":"warn","a":true}`:                   inkYellow + "WARN" + colorOff + "  " + inkDim + "a=" + colorOff + inkMagenta + "true" + colorOff,
		`{"level":"debug","a":[null]}`:                inkDim + "DEBUG" + colorOff + " " + inkDim + "a=" + colorOff + "[" + inkDim + "null" + colorOff + "]",
		`{"status":"503","method":"GET","path":"/x"}`: inkRed + "503" + colorOff + " GET /x",
		`{"hostname":"h","appname":"a","procid":1}`:   inkDim + "h" + colorOff + " a" + inkDim + "[1]" + colorOff + ":",
		`{"level":"\u001b[31merror\u001b[39m"}`:       inkRed + "ERROR" + colorOff,
		`[1,{"a":"b"}]`:                               "[" + inkCyan + "1" + colorOff + ",{" + inkDim + `"a"` + colorOff + `:"b"}]`,
		`{"key":"k","value":null}`:                    inkDim + "k" + colorOff + " " + inkRed + "(deleted)" + colorOff,
		`"text"`:                                      "text",
		`{"time":"2026-11-22T11:03:04Z"}`:             inkDim + "2026-11-22 11:03:04" + colorOff,
	} {
		if got := string((&Pretty{Color: true}).Append(nil, outOf(t, line))); got != want {
			t.Errorf("%s:\n got %q\nwant %q", line, got, want)
		}
	}
}

// Whatever an event holds, it is one line that drives no terminal, the colours
// change nothing of its text, and nested values are the same JSON.
func FuzzPretty(f *testing.F) {
	for _, line := range []string{
		`{"time":"2026-11-22T11:03:04.123Z","key":{"a":"\u001b"},"headers":{"prefix":"web\n","h":"\u0085"},"value":{"level":"error\u001b","msg":"\u202e","a":[1,"x\ty",{"\u0007":null}]}}`,
		`{"level":"\u001b[2J","msg":"` + "\u0085\u2028" + `","time":1795345384.5}`,
		`"` + "\u009b2J" + `\u0000"`, `{"a":{"b":"c"},"d":[[],{}," "]}`, `{"time_local":"22/Nov/2026:12:03:04 +0100","severity":3}`, `[1, "a" ]`,
		`{"msg":"\u001b[0m","level":"\u001b[1minfo","a":"\u001b[31mx\u001b[0m","b":["\u001b[m"]}`, `{"hostname":"a","appname":"\u0007","procid":"]","status":"200","method":"GET","path":"\u0085"}`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n") {
			return
		}
		var ev event.Event
		ev.Reset(0)
		if event.NewReader(&event.Fields{}, event.Auto).Read([]byte(line), &ev) != nil {
			return
		}
		out := &Out{Log: ev.Log, Partition: ev.Partition, Offset: ev.Offset, Time: ev.Time, Key: ev.Key, Headers: ev.Headers, Src: ev.Src, Value: ev.Value()}
		plain := string((&Pretty{}).Append(nil, out))
		for _, r := range plain {
			if drivesTerminal(r) {
				t.Fatalf("%s: %q drives the terminal", line, plain)
			}
		}
		if !utf8.ValidString(plain) {
			t.Errorf("%s: %q is not UTF-8", line, plain)
		}
		if text := colorSequence.ReplaceAllString(string(out.Value.AppendText(nil)), ""); len(plain) == 0 && text != "" && !onlyEmpty(out.Value) {
			t.Errorf("%s: nothing is shown", line)
		}
		color := string((&Pretty{Color: true}).Append(nil, out))
		if got := escapeSequence.ReplaceAllString(color, ""); got != plain {
			t.Errorf("%s: in colour %q, without %q", line, got, plain)
		}
		var want, got any
		compact := appendCompact(nil, out.Value, nil)
		if json.Unmarshal(out.Value.AppendJSON(nil), &want) != nil {
			return // a number that encoding/json cannot hold
		}
		if err := json.Unmarshal(compact, &got); err != nil {
			t.Fatalf("%s: %s: %v", line, compact, err)
		}
		clash := false
		a, _ := json.Marshal(withoutColors(want, &clash))
		if clash {
			return
		}
		b, _ := json.Marshal(got)
		if string(a) != string(b) {
			t.Errorf("%s: compact is %s", line, compact)
		}
	})
}

// onlyEmpty: v's message is nothing but colours.
func onlyEmpty(v event.Value) bool {
	var f found
	f.look(v)
	return f.has(message) && len(appendPrintable(nil, f.parts[message].value)) == 0
}

// withoutColors is v, as encoding/json reads it, as it is shown; clash says that
// two names are shown as the same.
func withoutColors(v any, clash *bool) any {
	switch v := v.(type) {
	case string:
		return colorSequence.ReplaceAllString(v, "")
	case []any:
		for i := range v {
			v[i] = withoutColors(v[i], clash)
		}
	case map[string]any:
		shown := make(map[string]any)
		for name, x := range v {
			shown[colorSequence.ReplaceAllString(name, "")] = withoutColors(x, clash)
		}
		*clash = *clash || len(shown) < len(v)
		return shown
	}
	return v
}

func TestPrettyDoesNotAllocate(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		zone = time.FixedZone("", 3600)
	}
	dst := make([]byte, 0, 4096)
	for _, line := range []string{
		`{"time":"2026-11-22T11:03:04.123Z","key":"k","headers":{"prefix":"web-1"},"value":{"level":"error","msg":"it\nbroke \u001b","path":"/x y\t","status":500,"user":{"id":1,"n":["\u00e9",true]}}}`,
		`{"ts":1795345384.5,"Level":"Information","message":"日本語","a":"b"}`,
		`{"time_local":"22/Nov/2026:12:03:04 +0100","remote_addr":"10.0.0.1","remote_user":null,"status":404}`,
		`{"key":[1],"value":null}`,
		`{"severity":"\u001b[31merr\u001b[0m","hostname":"h","appname":"sshd","procid":1,"message":"\u001b[1mx\u001b[0m y"}`,
		`{"request":"\u0016","status":400,"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}`,
	} {
		out := outOf(t, line)
		p := &Pretty{Zone: zone, Color: true}
		if n := testing.AllocsPerRun(100, func() { dst = p.Append(dst[:0], out) }); n != 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

func BenchmarkPretty(b *testing.B) {
	line := `{"time":"2026-11-22T11:03:04.123Z","level":"error","msg":"it broke","path":"/index.html","status":500,"user":{"id":1,"name":"x"},"ms":12.5,"host":"web-1"}`
	out := outOf(b, line)
	zone, _ := time.LoadLocation("Europe/Berlin")
	for name, color := range map[string]bool{"plain": false, "color": true} {
		b.Run(name, func(b *testing.B) {
			p := &Pretty{Zone: zone, Color: color}
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = p.Append(dst[:0], out)
			}
		})
	}
}
