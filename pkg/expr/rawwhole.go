package expr

import (
	"bytes"
	"slices"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// wholeFunc returns a function of a whole array or object; nil if there is none
// of that name.
func wholeFunc(name string) single {
	switch name {
	case "keys":
		return keys
	case "to_entries":
		return toEntries
	case "from_entries":
		return fromEntries
	case "add":
		return sum
	case "tojson":
		return tojson
	case "reverse":
		return reverse
	case "sort":
		return func(r *Runner, v event.Value) (event.Value, status) { return sorted(r, v, false) }
	case "unique":
		return func(r *Runner, v event.Value) (event.Value, status) { return sorted(r, v, true) }
	case "min":
		return func(r *Runner, v event.Value) (event.Value, status) { return extreme(r, v, true) }
	case "max":
		return func(r *Runner, v event.Value) (event.Value, status) { return extreme(r, v, false) }
	}
	return nil
}

// keys gives an object's names, sorted, or an array's indices.
func keys(r *Runner, v event.Value) (event.Value, status) {
	switch v.Kind {
	case event.Array:
		tmp := len(r.tmp)
		for it := v.Elements(); it.Next(); {
			if !r.step() {
				return event.Value{}, sBail
			}
			r.tmp = append(r.tmp, event.IntValue(int64(len(r.tmp)-tmp)))
		}
		a := r.arrayOf(r.tmp[tmp:])
		r.tmp = r.tmp[:tmp]
		return a, sOK
	case event.Object:
		base, st := r.pushMembers(v)
		if st != sOK {
			return event.Value{}, st
		}
		n := len(r.buf)
		r.buf = append(r.buf, '[')
		for i, m := range r.iter[base:] {
			if i > 0 {
				r.buf = append(r.buf, ',')
			}
			r.buf = m.name.AppendJSON(r.buf)
		}
		r.buf = append(r.buf, ']')
		r.iter = r.iter[:base]
		return event.Value{Kind: event.Array, B: r.since(n)}, sOK
	}
	return event.Value{}, sErr
}

// toEntries gives [{key, value}, …] of an object, sorted by name.
func toEntries(r *Runner, v event.Value) (event.Value, status) {
	if v.Kind != event.Object {
		return event.Value{}, sBail
	}
	base, st := r.pushMembers(v)
	if st != sOK {
		return event.Value{}, st
	}
	n := len(r.buf)
	r.buf = append(r.buf, '[')
	for i, m := range r.iter[base:] {
		if i > 0 {
			r.buf = append(r.buf, ',')
		}
		r.buf = append(r.buf, `{"key":`...)
		r.buf = m.name.AppendJSON(r.buf)
		r.buf = append(r.buf, `,"value":`...)
		r.buf = m.val.AppendJSON(r.buf)
		r.buf = append(r.buf, '}')
	}
	r.buf = append(r.buf, ']')
	r.iter = r.iter[:base]
	return event.Value{Kind: event.Array, B: r.since(n)}, sOK
}

// fromEntries is the reverse. Entries whose name is no string, and names that
// come again, are left to gojq.
func fromEntries(r *Runner, v event.Value) (event.Value, status) {
	if v.Kind != event.Array {
		return event.Value{}, sBail
	}
	return r.object(func() status {
		base := len(r.iter)
		for it := v.Elements(); it.Next(); {
			m, st := entry(it.Value)
			if st == sOK && (len(r.iter)-base == maxPlain || indexOf(r.iter[base:], m.name.B) >= 0 || !r.step()) {
				st = sBail
			}
			if st != sOK {
				return st
			}
			r.iter = append(r.iter, m)
		}
		n := len(r.buf)
		r.buf = append(r.buf, '{')
		for _, m := range r.iter[base:] {
			r.appendMember(n, m.name, m.val)
		}
		r.buf = append(r.buf, '}')
		r.iter = r.iter[:base]
		return sOK
	})
}

// entry reads the first of .key, .Key, .name and .Name that is true, and .value
// if there is one, else .Value.
func entry(v event.Value) (m member, st status) {
	if v.Kind != event.Object {
		return m, sBail
	}
	var names [4]event.Value
	var value, other event.Value
	for it := v.Members(); it.Next(); {
		if it.Name.Form != event.Plain {
			return m, sBail
		}
		switch string(it.Name.B) {
		case "key":
			names[0] = it.Value
		case "Key":
			names[1] = it.Value
		case "name":
			names[2] = it.Value
		case "Name":
			names[3] = it.Value
		case "value":
			value = it.Value
		case "Value":
			other = it.Value
		}
	}
	if m.val = value; value.Kind == event.Missing {
		m.val = other
	}
	for _, name := range names {
		if name.Truthy() {
			if name.Kind != event.String || name.Form != event.Plain {
				return m, sBail
			}
			m.name = name
			return m, sOK
		}
	}
	return m, sBail
}

// withEntries is to_entries | map(f) | from_entries.
func (c *compiler) withEntries(f *gojq.Query, root bool) *node {
	each := &gojq.Query{
		Left: termQuery(&gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{{Iter: true}}}),
		Op:   gojq.OpPipe, Right: f,
	}
	entries := then(c.term(&gojq.Term{Type: gojq.TermTypeIdentity}, root), toEntries)
	return then(then(entries, c.array(&gojq.Array{Query: each}, false, false).fn), fromEntries)
}

// sum is add of numbers or of strings; other things are left to gojq.
func sum(r *Runner, v event.Value) (event.Value, status) {
	tmp := len(r.tmp)
	if st := r.pushValues(v); st != sOK {
		r.tmp = r.tmp[:tmp]
		return event.Value{}, st
	}
	vs := r.tmp[tmp:]
	r.tmp = r.tmp[:tmp]
	total := event.Value{Kind: event.Null}
	for i := 0; i < len(vs); i++ {
		var st status
		switch vs[i].Kind {
		case event.Missing, event.Null:
			continue
		case event.String:
			if total.Kind != event.Null {
				return event.Value{}, sErr
			}
			total, st = r.join(vs[i:], event.PlainValue(nil))
			i = len(vs)
		case event.Array, event.Object:
			return event.Value{}, sBail
		default:
			total, st = add(r, total, vs[i])
		}
		if st != sOK {
			return event.Value{}, st
		}
	}
	return total, sOK
}

// pushValues puts the values of an array or object on the stack r.tmp.
func (r *Runner) pushValues(v event.Value) status {
	switch v.Kind {
	case event.Array:
		for it := v.Elements(); it.Next(); {
			if !r.step() {
				return sBail
			}
			r.tmp = append(r.tmp, it.Value)
		}
		return sOK
	case event.Object:
		base, st := r.pushMembers(v)
		for _, m := range r.iter[base:] {
			r.tmp = append(r.tmp, m.val)
		}
		r.iter = r.iter[:base]
		return st
	}
	return sErr
}

// join joins strings and nulls, with sep between them. (gojq's join makes text
// of other scalars first, its add does not.)
func (r *Runner) join(vs []event.Value, sep event.Value) (event.Value, status) {
	n, plain := len(r.buf), true
	for i, v := range vs {
		if i > 0 {
			r.buf = sep.AppendText(r.buf)
			plain = plain && sep.Form == event.Plain
		}
		switch v.Kind {
		case event.Missing, event.Null:
			continue
		case event.String:
		default:
			r.buf = r.buf[:n]
			return event.Value{}, sErr
		}
		r.buf = v.AppendText(r.buf)
		plain = plain && v.Form == event.Plain
	}
	if plain {
		return event.PlainValue(r.since(n)), sOK
	}
	return event.TextValue(r.since(n)), sOK
}

// joinFunc is join(sep).
func joinFunc(r *Runner, v, sep event.Value) (event.Value, status) {
	if sep.Kind != event.String {
		return event.Value{}, sBail
	}
	tmp := len(r.tmp)
	st := r.pushValues(v)
	vs := r.tmp[tmp:]
	r.tmp = r.tmp[:tmp]
	if st != sOK {
		return event.Value{}, st
	}
	for i, v := range vs {
		if v.Kind == event.Number || v.Kind == event.True || v.Kind == event.False {
			vs[i], _ = tostring(r, v)
		}
	}
	return r.join(vs, sep)
}

// split is split(sep).
func split(r *Runner, v, sep event.Value) (event.Value, status) {
	if v.Kind != event.String || sep.Kind != event.String {
		return event.Value{}, sErr
	}
	text, by := v.Text(&r.buf), sep.Text(&r.buf)
	if len(by) == 0 {
		return event.Value{}, sBail
	}
	n := len(r.buf)
	r.buf = append(r.buf, '[')
	for more := len(text) > 0; more; {
		var part []byte
		part, text, more = bytes.Cut(text, by)
		r.buf = stringLike(v, part).AppendJSON(r.buf)
		if more {
			r.buf = append(r.buf, ',')
		}
	}
	r.buf = append(r.buf, ']')
	return event.Value{Kind: event.Array, B: r.since(n)}, sOK
}

// tojson writes v as gojq does: members sorted, and no escapes but those that are
// needed.
func tojson(r *Runner, v event.Value) (event.Value, status) {
	n, base := len(r.buf), len(r.iter)
	st := r.appendSorted(v, 0)
	r.iter = r.iter[:base]
	if st != sOK {
		r.buf = r.buf[:n]
		return event.Value{}, st
	}
	return event.TextValue(r.since(n)), sOK
}

// appendSorted leaves to gojq what it writes otherwise than we do (a DEL), names
// with escapes (they would be decoded to where we are writing), and what is
// nested deeply.
func (r *Runner) appendSorted(v event.Value, depth int) status {
	if depth > 100 {
		return sBail
	}
	switch v.Kind {
	case event.String:
		text := v.B
		if v.Form == event.JSON {
			r.text = v.AppendText(r.text[:0])
			text = r.text
		}
		if bytes.IndexByte(text, 0x7f) >= 0 {
			return sBail
		}
		if v.Form == event.JSON {
			v = event.TextValue(text)
		}
		r.buf = v.AppendJSON(r.buf)
	case event.Array:
		n := len(r.buf)
		r.buf = append(r.buf, '[')
		for it := v.Elements(); it.Next(); {
			if !r.step() {
				return sBail
			}
			if len(r.buf) > n+1 {
				r.buf = append(r.buf, ',')
			}
			if st := r.appendSorted(it.Value, depth+1); st != sOK {
				return st
			}
		}
		r.buf = append(r.buf, ']')
	case event.Object:
		n := len(r.buf)
		base, st := r.pushMembers(v)
		if st != sOK || len(r.buf) > n {
			return sBail
		}
		r.buf = append(r.buf, '{')
		for i, end := base, len(r.iter); i < end; i++ {
			m := r.iter[i]
			if bytes.IndexByte(m.name.B, 0x7f) >= 0 {
				return sBail
			}
			r.appendName(n, m.name)
			if st := r.appendSorted(m.val, depth+1); st != sOK {
				return st
			}
		}
		r.buf = append(r.buf, '}')
		r.iter = r.iter[:base]
	default:
		r.buf = v.AppendJSON(r.buf)
	}
	return sOK
}

func reverse(r *Runner, v event.Value) (event.Value, status) {
	if v.Kind != event.Array {
		return event.Value{}, sBail
	}
	tmp := len(r.tmp)
	st := r.pushValues(v)
	vs := r.tmp[tmp:]
	r.tmp = r.tmp[:tmp]
	if st != sOK {
		return event.Value{}, st
	}
	slices.Reverse(vs)
	return r.arrayOf(vs), sOK
}

// sorted is sort or unique.
func sorted(r *Runner, v event.Value, unique bool) (event.Value, status) {
	if v.Kind != event.Array {
		return event.Value{}, sErr
	}
	tmp := len(r.tmp)
	st := r.pushValues(v)
	vs := r.tmp[tmp:]
	r.tmp = r.tmp[:tmp]
	order := func(a, b event.Value) int {
		c, s := compare(r, &a, &b)
		if s != sOK {
			st = s
		}
		return c
	}
	slices.SortStableFunc(vs, order)
	if unique {
		vs = slices.CompactFunc(vs, func(a, b event.Value) bool { return order(a, b) == 0 })
	}
	if st != sOK {
		return event.Value{}, st
	}
	return r.arrayOf(vs), sOK
}

// extreme is min or max. Of several that are equal, min is the first and max the
// last.
func extreme(r *Runner, v event.Value, least bool) (event.Value, status) {
	if v.Kind != event.Array {
		return event.Value{}, sErr
	}
	best := event.Value{Kind: event.Null}
	first := true
	for it := v.Elements(); it.Next(); {
		if first {
			best, first = it.Value, false
			continue
		}
		c, st := compare(r, &best, &it.Value)
		if st != sOK {
			return event.Value{}, st
		}
		if c > 0 == least {
			best = it.Value
		}
	}
	return best, sOK
}
