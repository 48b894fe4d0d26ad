package expr

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"logtools/pkg/event"
)

var errDepth = &event.BadError{Reason: fmt.Sprintf("value is nested deeper than %d", maxDepth)}

// zero is the number 0 as gojq's own reader gives it. Other integers may be
// handed over as int, which is faster; but the negation of a number read keeps
// its digits (-.x is -0), and an int has no -0.
var zero any = json.Number("0")

// decode returns v as gojq wants it. It copies: nothing of the result points
// into v.
func (r *Runner) decode(v event.Value) (any, error) {
	switch v.Kind {
	case event.False:
		return false, nil
	case event.True:
		return true, nil
	case event.Number:
		switch v.Form {
		case event.Int:
			if n := int64(v.N); int64(int(n)) == n {
				return int(n), nil
			}
			return big.NewInt(int64(v.N)), nil
		case event.Float:
			return math.Float64frombits(v.N), nil
		}
		return decodeNumber(string(v.B)), nil
	case event.String:
		return string(v.AppendText(nil)), nil
	case event.Array, event.Object:
		d := &r.dec
		d.s, d.i, d.deep, d.stack = string(v.B), 0, false, d.stack[:0]
		x := d.value(0)
		d.s = ""
		if d.deep {
			return nil, errDepth
		}
		return x, nil
	}
	return nil, nil
}

// decodeNumber keeps the literal, as gojq's own reader does, unless it is an
// integer whose literal can be told from its value.
func decodeNumber(s string) any {
	if len(s) <= 9 { // fits int everywhere
		n, i := 0, 0
		if s[0] == '-' {
			i = 1
		}
		for ; i < len(s) && isDigit(s[i]); i++ {
			n = n*10 + int(s[i]-'0')
		}
		if i == len(s) && n != 0 {
			if s[0] == '-' {
				n = -n
			}
			return n
		}
		if s == "0" {
			return zero
		}
	}
	return json.Number(s)
}

// decoder decodes JSON that is known to be valid. Strings without escapes share
// the memory of s.
type decoder struct {
	s    string
	i    int
	deep bool
	// stack holds the elements of the arrays and objects that are being read,
	// so that these are made in their size, at once.
	stack []decoded
	// maps are the objects of the event before: gojq keeps nothing of it, so
	// that they serve again. The first used of them are taken.
	maps []map[string]any
	used int
}

// Limits of what is kept for the next event.
const (
	keepMaps    = 64
	keepMembers = 64
)

// recycle takes back the objects that were decoded.
func (d *decoder) recycle() { d.used = 0 }

func (d *decoder) newMap(n int) map[string]any {
	if n > keepMembers {
		return make(map[string]any, n)
	}
	if d.used < len(d.maps) {
		m := d.maps[d.used]
		d.used++
		clear(m)
		return m
	}
	m := make(map[string]any, n)
	if d.used < keepMaps {
		d.maps = append(d.maps, m)
		d.used++
	}
	return m
}

type decoded struct {
	name string
	val  any
}

func (d *decoder) space() {
	for d.i < len(d.s) && (d.s[d.i] == ' ' || d.s[d.i] == '\t' || d.s[d.i] == '\n' || d.s[d.i] == '\r') {
		d.i++
	}
}

func (d *decoder) value(depth int) any {
	d.space()
	start := d.i
	switch d.s[d.i] {
	case 'n':
		d.i += 4
		return nil
	case 't':
		d.i += 4
		return true
	case 'f':
		d.i += 5
		return false
	case '"':
		return d.str()
	case '[':
		return d.array(depth + 1)
	case '{':
		return d.object(depth + 1)
	}
	for d.i < len(d.s) && strings.IndexByte(",]} \t\r\n", d.s[d.i]) < 0 {
		d.i++
	}
	return decodeNumber(d.s[start:d.i])
}

func (d *decoder) str() string {
	start := d.i + 1
	// Nearly always the next quote is the end.
	if n := strings.IndexByte(d.s[start:], '"'); n >= 0 {
		if s := d.s[start : start+n]; strings.IndexByte(s, '\\') < 0 {
			d.i = start + n + 1
			return s
		}
	}
	for d.i = start; d.s[d.i] != '"'; d.i++ {
		if d.s[d.i] == '\\' {
			d.i++
		}
	}
	s := d.s[start:d.i]
	d.i++
	return string(event.Value{Kind: event.String, Form: event.JSON, B: []byte(s)}.AppendText(nil))
}

func (d *decoder) array(depth int) any {
	if depth > maxDepth {
		d.deep, d.i = true, len(d.s)
		return nil
	}
	base := len(d.stack)
	d.i++
	for d.more(']') {
		x := d.value(depth)
		d.stack = append(d.stack, decoded{val: x})
	}
	a := make([]any, len(d.stack)-base)
	for i, e := range d.stack[base:] {
		a[i] = e.val
	}
	d.stack = d.stack[:base]
	return a
}

func (d *decoder) object(depth int) any {
	if depth > maxDepth {
		d.deep, d.i = true, len(d.s)
		return nil
	}
	base := len(d.stack)
	d.i++
	for d.more('}') {
		name := d.str()
		d.space()
		d.i++ // colon
		x := d.value(depth)
		d.stack = append(d.stack, decoded{name, x})
	}
	m := d.newMap(len(d.stack) - base)
	for _, e := range d.stack[base:] {
		m[e.name] = e.val
	}
	d.stack = d.stack[:base]
	return m
}

// more goes to the next element; at the end it goes behind it.
func (d *decoder) more(end byte) bool {
	d.space()
	if d.i < len(d.s) && d.s[d.i] == ',' {
		d.i++
		d.space()
	}
	if d.i >= len(d.s) {
		return false
	}
	if d.s[d.i] == end {
		d.i++
		return false
	}
	return true
}

// encode returns a result of gojq as a Value in r's scratch memory.
func (r *Runner) encode(x any) (event.Value, error) {
	n := len(r.buf)
	switch x := x.(type) {
	case nil:
		return event.Value{Kind: event.Null}, nil
	case bool:
		return event.BoolValue(x), nil
	case int:
		return event.IntValue(int64(x)), nil
	case float64:
		return floatValue(x), nil
	case *big.Int:
		r.buf = x.Append(r.buf, 10)
		return event.Value{Kind: event.Number, B: r.since(n)}, nil
	case json.Number:
		r.buf = append(r.buf, x...)
		return event.Value{Kind: event.Number, B: r.since(n)}, nil
	case string:
		r.buf = appendText(r.buf, x)
		return event.TextValue(r.since(n)), nil
	}
	if err := r.appendJSON(x, 0); err != nil {
		return event.Value{}, err
	}
	return event.RawValue(r.since(n)), nil
}

// since returns what has been appended to r.buf since it had n bytes. Later
// appends do not touch it.
func (r *Runner) since(n int) []byte { return r.buf[n:len(r.buf):len(r.buf)] }

// floatValue returns a computed number as jq writes it: NaN is null, infinities
// are the largest finite numbers.
func floatValue(f float64) event.Value {
	if math.IsNaN(f) {
		return event.Value{Kind: event.Null}
	}
	return event.FloatValue(min(max(f, -math.MaxFloat64), math.MaxFloat64))
}

// appendText appends s, with U+FFFD for every byte that is not UTF-8.
func appendText(dst []byte, s string) []byte {
	if utf8.ValidString(s) {
		return append(dst, s...)
	}
	for _, c := range s {
		dst = utf8.AppendRune(dst, c)
	}
	return dst
}

// appendJSON appends x to r.buf. Members are sorted by name, as gojq does.
func (r *Runner) appendJSON(x any, depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	switch x := x.(type) {
	case nil:
		r.buf = append(r.buf, "null"...)
	case bool:
		r.buf = strconv.AppendBool(r.buf, x)
	case int:
		r.buf = strconv.AppendInt(r.buf, int64(x), 10)
	case float64:
		r.buf = event.AppendFloat(r.buf, x)
	case *big.Int:
		r.buf = x.Append(r.buf, 10)
	case json.Number:
		r.buf = append(r.buf, x...)
	case string:
		r.buf = appendString(r.buf, x)
	case []any:
		r.buf = append(r.buf, '[')
		for i, e := range x {
			if i > 0 {
				r.buf = append(r.buf, ',')
			}
			if err := r.appendJSON(e, depth+1); err != nil {
				return err
			}
		}
		r.buf = append(r.buf, ']')
	case map[string]any:
		return r.appendMap(x, depth)
	case *ordered:
		r.buf = append(r.buf, '{')
		for i, name := range x.names {
			if err := r.appendNamed(i, name, x.vals[i], depth); err != nil {
				return err
			}
		}
		r.buf = append(r.buf, '}')
	default:
		return event.Bad("program gives something that is no JSON value: %T", x)
	}
	return nil
}

// appendMap appends an object with its members sorted by name. Objects mostly
// have the names that the one before had; then there is nothing to sort.
func (r *Runner) appendMap(m map[string]any, depth int) error {
	start := len(r.buf)
	r.buf = append(r.buf, '{')
	if depth == 0 && len(m) == len(r.sorted) {
		known := true
		for i, name := range r.sorted {
			x, ok := m[name]
			if !ok {
				known = false
				break
			}
			if err := r.appendNamed(i, name, x, depth); err != nil {
				return err
			}
		}
		if known {
			r.buf = append(r.buf, '}')
			return nil
		}
		r.buf = r.buf[:start+1]
	}
	base := len(r.names)
	for name := range m {
		r.names = append(r.names, name)
	}
	names := r.names[base:]
	slices.Sort(names)
	if depth == 0 && len(names) <= keepMembers {
		r.sorted = append(r.sorted[:0], names...)
	}
	for i, name := range names {
		if err := r.appendNamed(i, name, m[name], depth); err != nil {
			r.names = r.names[:base]
			return err
		}
	}
	r.names = r.names[:base]
	r.buf = append(r.buf, '}')
	return nil
}

func (r *Runner) appendNamed(i int, name string, x any, depth int) error {
	if i > 0 {
		r.buf = append(r.buf, ',')
	}
	r.buf = append(appendString(r.buf, name), ':')
	return r.appendJSON(x, depth+1)
}

// appendString is event.AppendString for a Go string: it looks at eight bytes at
// a time, and does not copy s where s needs no escapes.
func appendString(dst []byte, s string) []byte {
	n := len(dst) + 1
	dst = append(append(dst, '"'), s...)
	if b := dst[n:]; needsEscape(b) {
		return event.AppendString(dst[:n-1], []byte(s))
	}
	return append(dst, '"')
}

// needsEscape says whether b has a control character, a quote, a backslash or a
// byte that is not ASCII.
func needsEscape(b []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		// A byte below n has its high bit set in w-n·ones if it has none in w.
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		if (w|(w-ones*0x20)|(quote-ones)|(slash-ones))&highs != 0 {
			return true
		}
		b = b[8:]
	}
	for _, c := range b {
		if c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// envelope returns the value of an envelope variable.
func (r *Runner) envelope(ev *event.Event, name string) event.Value {
	var v event.Value
	switch name {
	case "$key":
		v = ev.Key
	case "$time":
		v = ev.Time
	case "$offset":
		v = ev.Offset
	case "$partition":
		v = ev.Partition
	case "$log":
		v = ev.Log
	case "$headers":
		v = ev.Headers
	case "$event":
		return r.wholeEvent(ev)
	case varE:
		v = ev.Value()
	}
	if v.Kind == event.Missing {
		v.Kind = event.Null
	}
	return v
}

// wholeEvent builds $event: the members that are there, in the order in which
// events are written.
func (r *Runner) wholeEvent(ev *event.Event) event.Value {
	n := len(r.buf)
	r.buf = append(r.buf, '{')
	for _, m := range [...]struct {
		name string
		v    event.Value
	}{
		{`"log":`, ev.Log}, {`"partition":`, ev.Partition}, {`"offset":`, ev.Offset}, {`"time":`, ev.Time},
		{`"key":`, ev.Key}, {`"headers":`, ev.Headers}, {`"src":`, ev.Src},
	} {
		if m.v.Kind != event.Missing {
			r.buf = append(r.buf, m.name...)
			r.buf = m.v.AppendJSON(r.buf)
			r.buf = append(r.buf, ',')
		}
	}
	r.buf = append(r.buf, `"value":`...)
	r.buf = ev.AppendValue(r.buf)
	r.buf = append(r.buf, '}')
	return event.RawValue(r.since(n))
}
