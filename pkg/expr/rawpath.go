package expr

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"logtools/pkg/event"
)

// rootPath is a path of member names from the event's value.
type rootPath struct {
	names []string
	slots []int // of the prefixes; the last one is that of the whole path
	last  int
}

func (c *compiler) rootPath(names []string) *rootPath {
	p := &rootPath{names: names}
	for i := range names {
		p.slots = append(p.slots, c.fields.Add(names[:i+1]...))
	}
	p.last = p.slots[len(p.slots)-1]
	return p
}

func (p *rootPath) get(r *Runner) (event.Value, status) {
	v := r.ev.Slots[p.last]
	if v.Kind != event.Missing {
		return v, sOK
	}
	st, _ := p.why(r)
	return v, st
}

// why tells what it means that the path's slot is empty: null (sOK), or sErr
// because a step is into something that has no members; then step is its number.
func (p *rootPath) why(r *Runner) (st status, step int) {
	if !r.ev.IsObject() {
		if r.ev.Value().IsNull() {
			return sOK, 0
		}
		return sErr, 0
	}
	for i, slot := range p.slots[:len(p.slots)-1] {
		switch v := &r.ev.Slots[slot]; v.Kind {
		case event.Missing, event.Null:
			return sOK, 0
		case event.Object:
		default:
			return sErr, i + 1
		}
	}
	return sOK, 0
}

func pathNode(p *rootPath) *node {
	return &node{path: p, fn: func(r *Runner, _ event.Value) (event.Value, status) {
		v := r.ev.Slots[p.last]
		if v.Kind != event.Missing {
			return v, sOK
		}
		st, _ := p.why(r)
		return v, st
	}}
}

// index is n's member, element or slice x; root is the kind of input that the
// parts of x have.
func (c *compiler) index(n *node, x *gojq.Index, root bool) *node {
	if name, ok := constName(x); ok {
		return c.member(n, name)
	}
	if step := constStep(x); step != nil {
		return then(n, step)
	}
	if x.IsSlice {
		panic(unsupported{})
	}
	var key *node
	if x.Str != nil {
		key = c.str(x.Str, root)
	} else {
		defer c.unbind(len(c.scope))
		key = c.query(x.Start, root)
	}
	return c.binary(n, key, lookup)
}

// member is n.name.
func (c *compiler) member(n *node, name string) *node {
	if n.root && n.gate == nil {
		return pathNode(c.rootPath([]string{name}))
	}
	if n.path != nil {
		return pathNode(c.rootPath(append(slices.Clip(n.path.names), name)))
	}
	return then(n, memberStep(name))
}

// tryIndex is n.x?: an error of the last step is no result.
func (c *compiler) tryIndex(n *node, x *gojq.Index) *node {
	name, ok := constName(x)
	if !ok {
		step := constStep(x)
		if step == nil {
			panic(unsupported{})
		}
		return then(n, noErr(step))
	}
	whole := c.member(n, name)
	if p := whole.path; p != nil {
		return singleNode(func(r *Runner, _ event.Value) (event.Value, status) {
			v := r.ev.Slots[p.last]
			if v.Kind != event.Missing {
				return v, sOK
			}
			st, step := p.why(r)
			if st == sErr && step == len(p.names)-1 {
				st = sNone
			}
			return v, st
		})
	}
	return then(n, noErr(memberStep(name)))
}

func noErr(fn single) single {
	return func(r *Runner, in event.Value) (event.Value, status) {
		v, st := fn(r, in)
		if st == sErr {
			st = sNone
		}
		return v, st
	}
}

func memberStep(name string) single {
	return func(_ *Runner, v event.Value) (event.Value, status) {
		switch v.Kind {
		case event.Object:
			return v.Lookup(name), sOK
		case event.Missing, event.Null:
			return v, sOK
		}
		return event.Value{}, sErr
	}
}

// constStep returns the step of an index or slice with literal integers; nil if
// it is none.
func constStep(x *gojq.Index) single {
	if x.Name != "" || x.Str != nil {
		return nil
	}
	if !x.IsSlice {
		n, ok := constInt(x.Start)
		if !ok {
			return nil
		}
		return func(r *Runner, v event.Value) (event.Value, status) { return element(r, v, n) }
	}
	var s slice
	var ok bool
	if x.Start != nil {
		if s.start, ok = constInt(x.Start); !ok {
			return nil
		}
	}
	if x.End != nil {
		if s.end, ok = constInt(x.End); !ok {
			return nil
		}
	}
	s.toEnd = x.End == nil
	return s.of
}

// lookup is a[b] with a computed index.
func lookup(r *Runner, a, b event.Value) (event.Value, status) {
	switch b.Kind {
	case event.String:
		switch a.Kind {
		case event.Missing, event.Null:
			return a, sOK
		case event.Object:
			n := len(r.buf)
			v := a.Lookup(string(b.Text(&r.buf)))
			r.buf = r.buf[:n]
			return v, sOK
		}
		return event.Value{}, sErr
	case event.Number:
		if i, ok := b.Int(); ok && i == int64(int32(i)) {
			return element(r, a, i)
		}
	}
	return event.Value{}, sBail
}

// element is v[i]: of an array, or the character of a string; from the end if i
// is negative.
func element(r *Runner, v event.Value, i int64) (event.Value, status) {
	switch v.Kind {
	case event.Missing, event.Null:
		return v, sOK
	case event.Array:
		if i < 0 {
			if i += int64(count(v)); i < 0 {
				return event.Value{}, sOK
			}
		}
		for it := v.Elements(); it.Next(); i-- {
			if i == 0 {
				return it.Value, sOK
			}
		}
		return event.Value{}, sOK
	case event.String:
		text := v.Text(&r.buf)
		if i < 0 {
			if i += int64(utf8.RuneCount(text)); i < 0 {
				return event.Value{}, sOK
			}
		}
		from := runeOffset(text, i)
		if from == len(text) {
			return event.Value{}, sOK
		}
		_, size := utf8.DecodeRune(text[from:])
		return stringLike(v, text[from:from+size]), sOK
	}
	return event.Value{}, sErr
}

func count(v event.Value) int {
	n := 0
	for it := v.Elements(); it.Next(); {
		n++
	}
	return n
}

// stringLike returns a part of v's text as a string.
func stringLike(v event.Value, text []byte) event.Value {
	if v.Form == event.Plain {
		return event.PlainValue(text)
	}
	return event.TextValue(text)
}

// runeOffset returns where the n-th character begins; the length of text if it
// has no more than n.
func runeOffset(text []byte, n int64) int {
	for i := 0; i < len(text); n-- {
		if n == 0 {
			return i
		}
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		_, size := utf8.DecodeRune(text[i:])
		i += size
	}
	return len(text)
}

// slice is [start:end]; toEnd: [start:].
type slice struct {
	start, end int64
	toEnd      bool
}

// clamp turns the bounds into ones from 0 to n.
func (s slice) clamp(n int64) (start, end int64) {
	bound := func(i, low int64) int64 {
		if i < 0 {
			i += n
		}
		return min(max(i, low), n)
	}
	start = bound(s.start, 0)
	if s.toEnd {
		return start, n
	}
	return start, bound(s.end, start)
}

func (s slice) of(r *Runner, v event.Value) (event.Value, status) {
	switch v.Kind {
	case event.Missing, event.Null:
		return event.Value{Kind: event.Null}, sOK
	case event.String:
		text := v.Text(&r.buf)
		start, end := s.start, s.end
		if start < 0 || end < 0 || s.toEnd {
			start, end = s.clamp(int64(utf8.RuneCount(text)))
		}
		from := runeOffset(text, start)
		if end < start {
			end = start
		}
		return stringLike(v, text[from:from+runeOffset(text[from:], end-start)]), sOK
	case event.Array:
		start, end := s.clamp(int64(count(v)))
		n := len(r.buf)
		r.buf = append(r.buf, '[')
		i := int64(0)
		for it := v.Elements(); i < end && it.Next(); i++ {
			if i >= start {
				if i > start {
					r.buf = append(r.buf, ',')
				}
				r.buf = it.Value.AppendJSON(r.buf)
			}
		}
		r.buf = append(r.buf, ']')
		return event.RawValue(r.since(n)), sOK
	}
	return event.Value{}, sErr
}

// iterate is n[], or with try n[]?.
func iterate(n *node, try bool) *node {
	return &node{multi: func(k cont) generator {
		return each(n, func(r *Runner, v event.Value) status {
			switch v.Kind {
			case event.Array:
				for it := v.Elements(); it.Next(); {
					if !r.step() {
						return sBail
					}
					if st := k(r, it.Value); st != sOK {
						return st
					}
				}
				return sOK
			case event.Object:
				return r.iterateMembers(v, k)
			}
			if try {
				return sOK
			}
			return sErr
		})
	}}
}

// member is a member of an object with its name decoded.
type member struct{ name, val event.Value }

// iterateMembers calls k with the values of v's members in the order of their
// names.
func (r *Runner) iterateMembers(v event.Value, k cont) status {
	base, st := r.pushMembers(v)
	end := len(r.iter)
	for i := base; i < end && st == sOK; i++ {
		st = k(r, r.iter[i].val)
	}
	r.iter = r.iter[:base]
	return st
}

// pushMembers puts v's members on the stack r.iter, sorted by name; of several
// with the same name only the last. It returns where they begin.
func (r *Runner) pushMembers(v event.Value) (base int, st status) {
	base = len(r.iter)
	sorted := true
	for it := v.Members(); it.Next(); {
		if !r.step() {
			return base, sBail
		}
		m := member{it.Name, it.Value}
		if m.name.Form == event.JSON {
			m.name = event.TextValue(m.name.Text(&r.buf))
		}
		if n := len(r.iter); n > base && bytes.Compare(r.iter[n-1].name.B, m.name.B) >= 0 {
			sorted = false
		}
		r.iter = append(r.iter, m)
	}
	if sorted {
		return base, sOK
	}
	ms := r.iter[base:]
	slices.SortStableFunc(ms, func(a, b member) int { return bytes.Compare(a.name.B, b.name.B) })
	n := 0
	for i, m := range ms {
		if i+1 < len(ms) && bytes.Equal(m.name.B, ms[i+1].name.B) {
			continue
		}
		ms[n] = m
		n++
	}
	r.iter = r.iter[:base+n]
	return base, sOK
}
