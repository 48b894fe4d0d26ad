package render

import (
	"fmt"
	"logtools/pkg/event"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func chart(t testing.TB, look Look, groups int, additive []bool, names string, rows ...string) string {
	t.Helper()
	c := NewChart(NamedHeader(CSV, strings.Split(names, ",")...), groups, additive)
	for _, r := range rows {
		if err := c.Add(raw(r)); err != nil {
			t.Fatal(err)
		}
	}
	return "\n" + string(c.AppendTo(nil, look))
}

var sums = []bool{true, true}

func TestBars(t *testing.T) {
	for _, c := range []struct {
		name   string
		look   Look
		groups int
		names  string
		rows   []string
		want   string
	}{
		{"counts", Look{Width: 30}, 1, "level,count", []string{`{"level":"error","count":1}`, `{"level":"info","count":800}`, `{"level":"warn","count":404}`, `{"level":null,"count":0}`}, `
level  count
error      1  ▏
info     800  ████████████████
warn     404  ████████▏
null       0
`},
		{"all of the parts", Look{Width: 16}, 1, "n,c", []string{`{"n":1,"c":80}`, `{"n":2,"c":41}`, `{"n":3,"c":42}`, `{"n":4,"c":43}`, `{"n":5,"c":44}`, `{"n":6,"c":45}`, `{"n":7,"c":46}`, `{"n":8,"c":47}`}, `
n   c
1  80  █████████████████
2  41  ████████▊
3  42  ████████▉
4  43  █████████▏
5  44  █████████▍
6  45  █████████▋
7  46  █████████▊
8  47  ██████████
`},
		{"plain", Look{Width: 30, ASCII: true}, 1, "level,count", []string{`{"level":"error","count":1}`, `{"level":"a long name of a level","count":100}`, `{"level":"warn","count":53}`}, `
level        count
error            1  #
a long nam~    100  ##########
warn            53  #####
`},
		{"negative", Look{Width: 30}, 1, "k,v", []string{`{"k":"a","v":-10}`, `{"k":"b","v":20}`, `{"k":"c","v":-5}`, `{"k":"d","v":0}`, `{"k":"e","v":null}`}, `
k     v
a   -10  ███████│
b    20         │█████████████
c    -5     ▐███│
d     0         │
e  null         │
`},
		{"nothing but negative", Look{Width: 24, ASCII: true}, 1, "k,v", []string{`{"k":"a","v":-10}`, `{"k":"b","v":-5}`}, `
k    v
a  -10  ###############|
b   -5         ########|
`},
		{"several aggregates", Look{Width: 40}, 1, "path,count,p99", []string{`{"path":"/日本","count":2,"p99":1.5}`, `{"path":"/b","count":1,"p99":null}`}, `
path   count   p99
/日本      2   1.5  ████████████████████
/b         1  null  ██████████
`},
		{"several groups", Look{Width: 30}, 2, "a,b,count", []string{`{"a":"x","b":200,"count":2}`, `{"a":"x","b":404,"count":1}`}, `
a    b  count
x  200      2  ███████████████
x  404      1  ███████▌
`},
		{"no group", Look{Width: 30}, 0, "count,sum", []string{`{"count":12,"sum":3}`}, `
count  sum
   12    3  ██████████████████
`},
		{"one time", Look{Width: 30}, 1, "t,c", []string{`{"t":"2026-11-22","c":5}`}, `
t           c
2026-11-22  5  ███████████████
`},
		{"times out of order", Look{Width: 30}, 1, "t,c", []string{`{"t":"2026-11-22","c":5}`, `{"t":"2026-11-21","c":10}`}, `
t            c
2026-11-22   5  ███████
2026-11-21  10  ██████████████
`},
		{"one time out of order", Look{Width: 30}, 1, "t,c", []string{`{"t":"2026-11-22","c":5}`, `{"t":"2026-11-21","c":10}`, `{"t":"2026-11-23","c":1}`}, `
t            c
2026-11-22   5  ███████
2026-11-21  10  ██████████████
2026-11-23   1  █▍
`},
		{"not only times", Look{Width: 30}, 1, "t,c", []string{`{"t":"2026-11-22","c":5}`, `{"t":"2026-11-23","c":10}`, `{"t":"later","c":1}`}, `
t            c
2026-11-22   5  ███████
2026-11-23  10  ██████████████
later        1  █▍
`},
		{"not numbers", Look{Width: 30}, 1, "k,first", []string{`{"k":"a","first":"x"}`, `{"k":"b","first":[1]}`}, `
k  first
a  x
b  [1]
`},
		{"no room", Look{Width: 24}, 1, "k,v", []string{`{"k":"abcdefghijkl","v":12345678901}`}, `
k                     v
abcdefghi…  12345678901
`},
		{"controls", Look{Width: 30}, 1, "k\x1b,v", []string{`{"k\u001b":"\u001b[2J","v":1}`}, `
k\u001b    v
\u001b[2J  1  ████████████████
`},
		{"colour", Look{Width: 24, Color: true}, 1, "k,v", []string{`{"k":"error","v":-1}`, `{"k":"error","v":1}`, `{"k":"x","v":1}`}, "\n" +
			headOn + "k    " + headOff + "  " + headOn + " v" + headOff + "\n" +
			"error  -1  " + inkRed + "██████" + colorOff + inkDim + "│" + colorOff + "\n" +
			"error   1        " + inkDim + "│" + colorOff + inkRed + "██████" + colorOff + "\n" +
			"x       1        " + inkDim + "│" + colorOff + inkCyan + "██████" + colorOff + "\n"},
		{"huge", Look{Width: 30}, 1, "k,v", []string{`{"k":"a","v":1e400}`, `{"k":"b","v":-1.7e308}`}, `
k         v
a     1e400          │████████
b  -1.7e308  ████████│
`},
		{"a second number is missing", Look{Width: 24}, 1, "k,v,w", []string{`{"k":"a","v":1}`, `{"k":"b","v":2,"w":30}`}, `
k  v   w
a  1      ███████
b  2  30  ██████████████
`},
		{"no rows", Look{}, 1, "k,v", nil, "\nk  v\n"},
	} {
		if got := chart(t, c.look, c.groups, sums, c.names, c.rows...); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}

func TestBarsHumane(t *testing.T) {
	c := NewChart(NamedHeader(CSV, "id", "bytes"), 1, sums)
	c.Humane()
	if err := c.Add(raw(`{"id":1234567,"bytes":1234567}`)); err != nil {
		t.Fatal(err)
	}
	if got, want := string(c.AppendTo(nil, Look{Width: 25})), "     id  bytes\n1234567  1.23M  █████████\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestChartRefuses(t *testing.T) {
	c := NewChart(NamedHeader(CSV, "k", "v"), 1, sums)
	for _, v := range []string{`{"k":1,"x":2}`, `1`} {
		if c.Add(raw(v)) == nil {
			t.Errorf("%s: added", v)
		}
	}
	if err := c.Add(raw(`{"k":"a","v":1}`)); err != nil {
		t.Error(err)
	}
	if got, want := string(c.AppendTo(nil, Look{Width: 24})), "k  v\na  1  ██████████████████\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// hours returns rows for hours of two days.
func hours(from, to int, row string) (rows []string) {
	for h := from; h <= to; h++ {
		rows = append(rows, fmt.Sprintf(`{"t":"2026-11-%02dT%02d",`+row+`}`, 22+h/24, h%24, h))
	}
	return rows
}

func TestColumns(t *testing.T) {
	for _, c := range []struct {
		name   string
		look   Look
		groups int
		names  string
		rows   []string
		want   string
	}{
		{"hours, one missing", Look{Width: 60}, 1, "t,count", append(hours(1, 4, `"count":%d`), hours(6, 12, `"count":%d`)...), `
count per 1h
12 ┤                                        ▁▁▁ ███
   │                                    ▃▃▃ ███ ███
   │                                ▄▄▄ ███ ███ ███
   │                            ▅▅▅ ███ ███ ███ ███
   │                        ▇▇▇ ███ ███ ███ ███ ███
 6 ┤                    ███ ███ ███ ███ ███ ███ ███
   │            ▃▃▃     ███ ███ ███ ███ ███ ███ ███
   │        ▄▄▄ ███     ███ ███ ███ ███ ███ ███ ███
   │    ▅▅▅ ███ ███     ███ ███ ███ ███ ███ ███ ███
   │▇▇▇ ███ ███ ███     ███ ███ ███ ███ ███ ███ ███
 0 ┼┬───────────────    ┬───────┬───────┬───────┬──
    2026-11-22 01:00    06:00   08:00   10:00   12:00
`},
		{"plain, gaps, negative", Look{Width: 50, ASCII: true}, 1, "day,delta", []string{`{"day":null,"delta":7}`, `{"day":"2026-11-01","delta":10}`, `{"day":"2026-11-02","delta":-3}`, `{"day":"2026-11-04","delta":0}`, `{"day":"2026-11-05","delta":-5}`, `{"day":"2026-11-06","delta":null}`}, `
delta per 1d (without 1 row that has no time)
10 |######
   |######
   |######
   |######
   |######
   |######
   |######
 0 ++-------------+      +------+------+
   |       ######               ######
   |       ######               ######
-5 |                            ######
    2026-11-01    11-03  11-04  11-05   11-06
`},
		{"several series", Look{Width: 40}, 2, "t,status,count", []string{`{"t":"2026-11","status":200,"count":10}`, `{"t":"2026-11","status":1404,"count":3}`, `{"t":"2026-12","status":200,"count":5}`, `{"t":"2027-01","status":null,"count":2}`, `{"t":"2027-01","status":200,"count":20}`}, `
count per month by status
200    20 ┤                ███████
          │                ███████
          │▄▄▄▄▄▄▄         ███████
          │███████ ▂▂▂▂▂▂▂ ███████
          │███████ ███████ ███████
        0 ┼┬───────────────┬──────
1404    3 ┤███████
          │███████
          │███████
          │███████
          │███████
        0 ┼┬───────        ┬
null    2 ┤                ███████
          │                ███████
          │                ███████
          │                ███████
          │                ███████
        0 ┼┬               ┬──────
           2026-11         2027-01
`},
		{"many series are one line each", Look{Width: 40}, 2, "t,u,count", func() (rows []string) {
			for h := range 20 {
				for u := range 7 {
					if (h+u)%5 > 0 {
						rows = append(rows, fmt.Sprintf(`{"t":"2026-11-22T12:%02d","u":"user %d","count":%d}`, h, u, h%(u+1)))
					}
				}
			}
			return rows
		}(), `
count per 1m by u
user 0    0 ┤
user 1    1 ┤ █ █ █ █   █ █ █ █
user 2    2 ┤ ▄█ ▄█ ▄  ▄█  █ ▄█ ▄
user 3    3 ┤ ▃ █ ▃▅  ▃▅█ ▃▅█  ▅█
user 4    4 ┤  ▄▆█  ▄▆█  ▄▆█  ▄▆█
user 5    5 ┤ ▂▃▅▆  ▂▃▅ █ ▂▃ ▆█ ▂
user 6    6 ┤ ▁▃▄ ▇█ ▁ ▄▅▇█ ▁▃▄▅
            └┬──────────────────┬
             2026-11-22 12:00 to 12:19
`},
		{"several aggregates, merged", Look{Width: 44}, 1, "t,count,p99,max", func() (rows []string) {
			for m := range 300 {
				rows = append(rows, fmt.Sprintf(`{"t":"2026-11-22T%02d:%02d:00Z","count":1,"p99":%d.5,"max":-0.000123}`, 10+m/60, m%60, m))
			}
			return rows
		}(), `
count, p99 (largest), max (largest) per 15m
count         15 ┤████████████████████
                 │████████████████████
                 │████████████████████
                 │████████████████████
                 │████████████████████
               0 ┼┬──────────────────┬
p99          300 ┤                ▂▄▆█
                 │            ▂▄▆█████
                 │        ▂▄▆█████████
                 │    ▂▄▆█████████████
                 │▂▄▆█████████████████
               0 ┼┬──────────────────┬
               0 ┼┬──────────────────┬
max              │████████████████████
                 │████████████████████
                 │████████████████████
                 │████████████████████
       -0.000123 ┤████████████████████
                  2026-11-22 10:00 to 14:45
`},
		{"many groups", Look{Width: 40}, 3, "t,a\x1b,b,count", []string{`{"t":"2026-11-22T12:00:00.1Z","a\u001b":"日本語日本語日本語","b":"x","count":1}`, `{"t":"2026-11-22T12:00:00.3Z","a\u001b":"\u001b","b":"x","count":1}`, `{"t":"2026-11-22T12:00:00.4Z","a\u001b":"\u001b","b":"y","count":123456}`}, `
count per 100ms by a\u001b, b
\u001b x        1 ┤          ████
                  │          ████
                  │          ████
                  │          ████
                  │          ████
                0 ┼┬         ─────┬
\u001b y     123k ┤               ████
                  │               ████
                  │               ████
                  │               ████
                  │               ████
                0 ┼┬              ┬───
日本語日…       1 ┤████
                  │████
                  │████
                  │████
                  │████
                0 ┼┬────          ┬
 2026-11-22 12:00:00.100 to 12:00:00.400
`},
		{"narrow", Look{Width: 1}, 2, "t,a,count", []string{`{"t":"2026-11-22T12:00:00","a":"abcdefghijklmnop","count":1}`, `{"t":"2026-11-22T13:00:00","a":"b","count":0.000123}`}, `
count per 1h by a
abcde…         1 ┤██
                 │██
                 │██
                 │██
                 │██
               0 ┼┬──┬
b       0.000123 ┤   ██
                 │   ██
                 │   ██
                 │   ██
                 │   ██
               0 ┼┬  ┬─
2026-11-22 12:00 to 13:…
`},
		{"in colour", Look{Width: 40, Color: true}, 2, "t,level,count", []string{`{"t":"2026-11-22T12:1","level":"error","count":1}`, `{"t":"2026-11-22T12:1","level":"x","count":-1}`, `{"t":"2026-11-22T12:3","level":"x","count":3}`}, `
^[1mcount per 10m by level^[0m
error  ^[2m  1 ┤^[0m^[31m███████^[0m
       ^[2m    │^[0m^[31m███████^[0m
       ^[2m    │^[0m^[31m███████^[0m
       ^[2m    │^[0m^[31m███████^[0m
       ^[2m    │^[0m^[31m███████^[0m
       ^[2m  0 ┼┬───────        ┬^[0m
x      ^[2m  3 ┤^[0m^[36m                ███████^[0m
       ^[2m    │^[0m^[36m                ███████^[0m
       ^[2m    │^[0m^[36m                ███████^[0m
       ^[2m    │^[0m^[36m                ███████^[0m
       ^[2m  0 ┼┬───────        ┬──────^[0m
       ^[2m -1 ┤^[0m^[31m███████^[0m
            2026-11-22 12:10  12:30
`},
	} {
		got := strings.ReplaceAll(chart(t, c.look, c.groups, []bool{true}, c.names, c.rows...), "\x1b", "^")
		if got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}

func TestReadSlot(t *testing.T) {
	at := func(s string) int64 {
		w, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return w.UnixMicro()
	}
	for _, c := range []struct {
		text string
		want slot
	}{
		{"2026-11-22", slot{at: at("2026-11-22T00:00:00Z"), step: day}},
		{"2026-11-22T12", slot{at: at("2026-11-22T12:00:00Z"), step: hour}},
		{"2026-11-22 12", slot{at: at("2026-11-22T12:00:00Z"), step: hour}},
		{"2026-11-22T12:3", slot{at: at("2026-11-22T12:30:00Z"), step: 10 * minute}},
		{"2026-11-22T12:34", slot{at: at("2026-11-22T12:34:00Z"), step: minute}},
		{"2026-11-22T12:34:5", slot{at: at("2026-11-22T12:34:50Z"), step: 10 * second}},
		{"2026-11-22T12:34:56", slot{at: at("2026-11-22T12:34:56Z")}},
		{"2026-11-22T12:34:56Z", slot{at: at("2026-11-22T12:34:56Z")}},
		{"2026-11-22T12:34:56.123456789+01:00", slot{at: at("2026-11-22T11:34:56.123456Z")}},
		{"0000-01-01", slot{at: at("0000-01-01T00:00:00Z"), step: day}},
		{"2026-11", slot{at: 2026*12 + 10, step: 1, month: true}},
	} {
		if got, ok := readSlot(event.TextValue([]byte(c.text))); !ok || got != c.want {
			t.Errorf("%s: got %+v %v, want %+v", c.text, got, ok, c.want)
		}
	}
	for _, text := range []string{"", "2026", "2026-1", "2026-13", "2026-11-", "2026-11-2", "2026-02-30", "2026-11-22T", "2026-11-22T1", "2026-11-22T25", "2026-11-22T12:", "2026-11-22T12:34:", "1234567890123", "a", strings.Repeat("2026-11-22", 10)} {
		if got, ok := readSlot(event.TextValue([]byte(text))); ok {
			t.Errorf("%q is %+v", text, got)
		}
	}
	if _, ok := readSlot(raw(`2026`)); ok {
		t.Error("a number is a time")
	}
}

func TestTimelines(t *testing.T) {
	for _, c := range []struct {
		name  string
		times string
		most  int
		step  string
		n     int
		first string
	}{
		{"hours with gaps", "2026-11-22T01 2026-11-22T03 2026-11-22T09", 20, "1h", 9, "2026-11-22 01:00"},
		{"every second hour", "2026-11-22T01 2026-11-22T03 2026-11-22T05 2026-11-22T07", 20, "2h", 4, "2026-11-22 01:00"},
		{"ten minutes", "2026-11-22T01:1 2026-11-22T01:2 2026-11-22T01:5", 20, "10m", 5, "2026-11-22 01:10"},
		{"what divides all", "2026-11-22T01:00:00Z 2026-11-22T01:00:30Z 2026-11-22T01:02:00Z", 20, "30s", 5, "2026-11-22 01:00:00"},
		{"repeated", "2026-11-22T01 2026-11-22T01 2026-11-22T02 2026-11-22T02", 20, "1h", 2, "2026-11-22 01:00"},
		{"merged", "2026-11-22T01:01 2026-11-22T01:02 2026-11-22T02:59", 20, "10m", 12, "2026-11-22 01:00"},
		{"merged into weeks", "2026-11-18 2026-11-19 2026-12-06", 3, "7d", 3, "2026-11-16"},
		{"any times", "2026-11-22T01:00:00.123456Z 2026-11-22T01:00:00.323457Z 2026-11-22T01:00:09Z", 20, "500ms", 19, "2026-11-22 01:00:00.000"},
		{"months", "2025-11 2026-01", 20, "month", 3, "2025-11"},
		{"merged months", "2025-11 2026-01 2026-06", 5, "2 months", 4, "2025-11"},
		{"not on the clock", "2026-11-22T01:07 2026-11-22T01:22 2026-11-22T01:37 2026-11-22T01:52", 20, "15m", 4, "2026-11-22 01:07"},
	} {
		var slots []slot
		for text := range strings.FieldsSeq(c.times) {
			s, ok := readSlot(event.TextValue([]byte(text)))
			if !ok {
				t.Fatal(text)
			}
			slots = append(slots, s)
		}
		line := newTimeline(slots, c.most)
		if got := string(line.appendStep(nil)); got != c.step || line.n != c.n {
			t.Errorf("%s: %d steps of %s, want %d of %s", c.name, line.n, got, c.n, c.step)
		}
		if got := string(line.appendTime(nil, 0, false)); got != c.first {
			t.Errorf("%s: begins at %s, want %s", c.name, got, c.first)
		}
	}
}

// Every slot has a column, in order, and ticks are inside.
func FuzzTimeline(f *testing.F) {
	f.Add(int64(1795345384123456), int64(3600e6), int64(7), 20, false)
	f.Add(int64(-62167219200e6), int64(1), int64(315537897599e6), 2, false)
	f.Add(int64(24323), int64(1), int64(90000), 7, true)
	f.Fuzz(func(t *testing.T, at, d1, d2 int64, most int, month bool) {
		limit := int64(315537897599e6)
		if month {
			limit = 9999 * 12
		}
		if most < 2 || most > 1000 || d1 < 0 || d2 < 0 || d1 > limit || d2 > limit || d1+d2 == 0 || d1+d2 > limit {
			return
		}
		if month {
			at = min(max(at, 0), limit-d1-d2)
		} else {
			at = min(max(at, -62167219200e6), 253402300799e6-d1-d2)
		}
		slots := []slot{{at: at, month: month}, {at: at + d1, month: month}, {at: at + d1 + d2, month: month}}
		line := newTimeline(slots, most)
		if line.n < 2 && !line.merged || line.n < 1 || line.n > most {
			t.Fatalf("%d columns of %d", line.n, most)
		}
		last := 0
		for _, s := range slots {
			col := line.column(s)
			if col < last || col >= line.n {
				t.Fatalf("%+v: %d is in column %d", line, s.at, col)
			}
			last = col
		}
		if first, every := line.ticks(3); first < 0 || every < 3 {
			t.Errorf("%+v: ticks at %d, every %d", line, first, every)
		}
		if step := string(line.appendStep(nil)); strings.HasPrefix(step, "0") || strings.HasPrefix(step, "-") {
			t.Errorf("%+v: a step is %s", line, step)
		}
	})
}

// Nothing that is summed up gets lost.
func TestMergedSums(t *testing.T) {
	for _, rows := range []int{2, 59, 1000} {
		c := NewChart(NamedHeader(CSV, "t", "c", "max"), 1, []bool{true, false})
		want := 0.0
		for i := range rows {
			if err := c.Add(raw(fmt.Sprintf(`{"t":"2026-11-%02dT%02d:%02d","c":%d,"max":%d}`, 1+i/1440, i/60%24, i%60, i, i))); err != nil {
				t.Fatal(err)
			}
			want += float64(i)
		}
		all, groupOf := c.groupSeries()
		line := newTimeline(c.slots, 10)
		c.fillSeries(all, groupOf, &line)
		sum, largest := 0.0, 0.0
		for i := range line.n {
			sum += all[0].values[i]
			largest = max(largest, all[1].values[i])
		}
		if sum != want || largest != float64(rows-1) {
			t.Errorf("%d rows: sum %v, want %v; largest %v, want %v", rows, sum, want, largest, rows-1)
		}
	}
}

// Whatever the rows hold, no line of a chart is wider than it may be, and nothing
// drives the terminal.
func FuzzChart(f *testing.F) {
	f.Add("2026-11-22T12", "2026-11-22T13", "error", 12.5, -3.0, 40, uint8(0))
	f.Add("2026-11", "2031-01", "日本語日本語日本語", 1e300, 1e-300, 24, uint8(7))
	f.Add("a\x1b[2J", "\u202e\n", "x", -1.0, 1e21, 33, uint8(1))
	f.Add("2026-11-22T12:00:00Z", "2026-11-29T13:00:00.123456Z", strings.Repeat("x", 100), 0.0, 1.0, 79, uint8(2))
	f.Fuzz(func(t *testing.T, a, b, label string, x, y float64, width int, flags uint8) {
		if width > 500 {
			return
		}
		c := NewChart(NamedHeader(CSV, "a", "l", "n"), 2, []bool{flags&1 > 0})
		c.Humane()
		for i, key := range []string{a, a, b} {
			v := event.FloatValue(0)
			if !math.IsNaN(x) && !math.IsInf(x, 0) && !math.IsNaN(y) && !math.IsInf(y, 0) {
				v = event.FloatValue([]float64{x, y, x}[i])
			}
			row := fmt.Sprintf(`{"a":%s,"l":%s,"n":%s}`, event.AppendString(nil, []byte(key)), event.AppendString(nil, []byte(label)), v.AppendJSON(nil))
			if err := c.Add(raw(row)); err != nil {
				t.Fatal(err)
			}
		}
		out := string(c.AppendTo(nil, Look{Width: width, ASCII: flags&2 > 0, Color: flags&4 > 0}))
		if !utf8.ValidString(out) {
			t.Errorf("%q is not UTF-8", out)
		}
		most := width
		if width <= 0 {
			most = defaultWidth
		}
		most = max(most, 10+2+10+2+10) // two texts and a number are shown at least
		for line := range strings.SplitSeq(escapeSequence.ReplaceAllString(out, ""), "\n") {
			for _, r := range line {
				if drivesTerminal(r) {
					t.Errorf("%q drives the terminal", line)
				}
			}
			if w := textWidth([]byte(line)); w > most {
				t.Errorf("%q is %d wide, over %d", line, w, most)
			}
			if strings.HasSuffix(line, " ") {
				t.Errorf("%q ends with blanks", line)
			}
		}
	})
}
