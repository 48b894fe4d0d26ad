package parse

import (
	"regexp"
	"regexp/syntax"
	"unsafe"

	"logtools/pkg/event"
	"logtools/pkg/when"
)

// newRegex makes the format regex:src. The value of a line that src matches,
// anywhere in the line if src is not anchored, is an object with a member for
// each named group, in their order:
//
//   - a group that took no part in the match is null;
//   - text that is a JSON number is that number, digit for digit;
//   - any other text is a string.
//
// Groups that share a name (as in alternatives) are one member, at the place of
// the first: that of the first of them that took part. Groups without a name
// are left out. A CR at the end of the line is no part of it. A line that src
// does not match is bad.
//
// The syntax and what is matched are package regexp's. The error is a
// *RegexpError.
func newRegex(src string) (*Format, error) {
	parsed, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return nil, regexpError(src, err)
	}
	re, err := regexp.Compile(src)
	if err != nil {
		return nil, regexpError(src, err)
	}
	f := &regexFormat{re: re}
	at := make(map[string]int)
	for g, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		i, again := at[name]
		if !again {
			i = len(f.members)
			at[name] = i
			// A name is letters, digits and _: no need to escape it.
			f.hasValue = f.hasValue || name == "value"
			f.members = append(f.members, regexMember{name: name, head: `,"` + name + `":`})
		}
		f.members[i].groups = append(f.members[i].groups, len(f.groups))
		f.groups = append(f.groups, g)
	}
	if len(f.groups) == 0 {
		return nil, &RegexpError{Src: src, Offset: 0, Msg: noNamedGroup}
	}
	f.prog = compile(parsed, f.groups)
	return &Format{Name: "regex", Summary: "named groups of " + src, New: f.newParser}, nil
}

// regexFormat is what the Parsers of one expression share.
type regexFormat struct {
	re      *regexp.Regexp
	prog    *program
	groups  []int // the numbers of the named groups
	members []regexMember

	hasValue bool // one of them is value
}

type regexMember struct {
	name   string
	head   string // what comes before its value in the object
	groups []int  // indexes into regexFormat.groups
}

// regexParser parses lines with a regular expression.
type regexParser struct {
	*regexFormat
	clean  event.Clean
	simple bool     // the block holds neither backslashes nor control characters
	want   []wanted // member is an index into members

	m *matcher
	// line is the line last parsed, without a CR; nil if it was bad.
	line []byte
	// other finds the groups of a line that is not the last; nil until there
	// is one.
	other *matcher
}

func (f *regexFormat) newParser(o Options) Parser {
	p := &regexParser{regexFormat: f, m: newMatcher(f.re, f.prog, f.groups)}
	// Members of members (.path.x) stay Missing: no member is an object.
	o.fields().Top(func(name string, slot int, _ bool) {
		for i := range f.members {
			if f.members[i].name == name {
				p.want = append(p.want, wanted{i, slot})
			}
		}
	})
	return p
}

func (p *regexParser) Block(c event.Clean) {
	p.clean = c
	p.simple = c.NoControl && c.NoBackslash
}

func (p *regexParser) Parse(line []byte, ev *event.Event) error {
	p.line = nil
	ev.Line, ev.Bare = line, true
	if !p.clean.UTF8 {
		if err := checkUTF8(line); err != nil {
			return err
		}
	}
	line = dropCR(line)
	if !p.m.match(line) {
		return errNoMatch
	}
	p.line = line
	if p.hasValue {
		ev.SetLazy(p)
	} else {
		ev.SetLazyBare(p)
	}
	for _, w := range p.want {
		p.member(&ev.Slots[w.slot], &p.members[w.member])
	}
	return nil
}

// errNoMatch is one value for all lines: there may be many.
var errNoMatch error = &event.BadError{Reason: "does not match"}

// text returns the text of a member in a line that m has matched; false if none
// of its groups took part.
func (member *regexMember) text(m *matcher, line []byte) ([]byte, bool) {
	for _, g := range member.groups {
		if from, to := m.slots[2*g], m.slots[2*g+1]; from >= 0 && to >= 0 {
			return line[from:to:to], true
		}
	}
	return nil, false
}

// member sets v to a member of the line last parsed.
func (p *regexParser) member(v *event.Value, member *regexMember) {
	switch b, ok := member.text(p.m, p.line); {
	case !ok:
		v.Kind = event.Null
	case event.IsNumber(b):
		v.Kind, v.Form, v.B = event.Number, event.JSON, b
	default:
		*v = stringValue(b, p.simple)
	}
}

// AppendValue writes the whole value. It works for every event of this Parser,
// not only for the last one: others are matched again.
func (p *regexParser) AppendValue(dst []byte, ev *event.Event) []byte {
	line, m := dropCR(ev.Line), p.m
	if len(line) != len(p.line) || unsafe.SliceData(line) != unsafe.SliceData(p.line) {
		if p.other == nil {
			p.other = newMatcher(p.re, p.prog, p.groups)
		}
		if m = p.other; !m.match(line) {
			return append(dst, "null"...) // it was good when it was parsed
		}
	}
	start := len(dst)
	for i := range p.members {
		dst = append(dst, p.members[i].head...)
		switch b, ok := p.members[i].text(m, line); {
		case !ok:
			dst = append(dst, "null"...)
		case event.IsNumber(b):
			dst = append(dst, b...)
		case isPlain(b):
			dst = append(dst, '"')
			dst = append(dst, b...)
			dst = append(dst, '"')
		default:
			dst = event.AppendString(dst, b)
		}
	}
	dst[start] = '{'
	return append(dst, '}')
}

// Time is false: which group is the time, if any, only its name can tell.
func (p *regexParser) Time() (when.Time, bool) { return when.Time{}, false }
