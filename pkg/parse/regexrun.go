package parse

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"unicode/utf8"
)

// matcher runs an expression on one line after the other.
type matcher struct {
	prog *program // nil: package regexp does all
	slow *regexp.Regexp
	// groups are the numbers of the groups whose places are wanted.
	groups []int

	// slots are the places of the last match: where the text of groups[i]
	// begins and ends is slots[2*i] and slots[2*i+1]; -1 if it took no part.
	slots  []int
	stack  []frame
	budget int
}

// frame is a choice that was made and can be made differently.
type frame struct {
	at int // the instruction; -1: slots[a] was b
	// opSplit: alt is to be tried at a. opSet: greedily at places from a to
	// before b, lazily from behind a on (b is how many runes have been taken).
	a, b int
}

func newMatcher(re *regexp.Regexp, prog *program, groups []int) *matcher {
	return &matcher{prog: prog, slow: re, groups: groups, slots: make([]int, 2*len(groups))}
}

// match looks for the leftmost match in a line of valid UTF-8.
func (m *matcher) match(line []byte) bool {
	p := m.prog
	if p == nil {
		return m.matchSlow(line)
	}
	// A step takes some nanoseconds and package regexp some tens of them for a
	// byte, so trying in vain costs no more than it does.
	m.budget = 8*len(line) + 512
	for start := 0; ; start++ {
		if l := &p.lead; l.in != nil && !p.anchored {
			if start = l.find(line, start); start < 0 {
				start = len(line) // perhaps it matches there
			}
		}
		if start < len(line) && !utf8.RuneStart(line[start]) {
			continue
		}
		for i := range m.slots {
			m.slots[i] = -1
		}
		m.stack = m.stack[:0]
		if m.run(line, start) {
			return true
		}
		if m.budget < 0 {
			return m.matchSlow(line)
		}
		if p.anchored || start >= len(line) {
			return false
		}
	}
}

// matchSlow is match by package regexp.
func (m *matcher) matchSlow(line []byte) bool {
	found := m.slow.FindSubmatchIndex(line)
	if found == nil {
		return false
	}
	for i, g := range m.groups {
		m.slots[2*i], m.slots[2*i+1] = found[2*g], found[2*g+1]
	}
	return true
}

// find returns the first place from i on where a match may begin, -1 if there
// is none before the end.
func (l *lead) find(b []byte, i int) int {
	if l.only >= 0 {
		if k := bytes.IndexByte(b[i:], byte(l.only)); k >= 0 {
			return i + k
		}
		return -1
	}
	for ; i < len(b); i++ {
		if l.in[b[i]] {
			return i
		}
	}
	return -1
}

// run says whether the program matches at i. If the budget is used up it does
// not.
func (m *matcher) run(line []byte, i int) bool {
	at := m.prog.start
	for {
		if m.budget--; m.budget < 0 {
			return false
		}
		in := &m.prog.inst[at]
		switch in.op {
		case opText:
			end := i + len(in.text)
			if end > len(line) || string(line[i:end]) != in.text {
				goto fail
			}
			i = end
		case opSet:
			from := i
			if in.lazy && !in.sure {
				if i = in.set.take(line, i, in.min); i < 0 {
					goto fail
				}
				if i, at = m.more(at, in, line, i, in.min); i < 0 {
					goto fail
				}
				continue
			}
			if i = in.set.skip(line, i, in.max); in.min == 1 && i == from {
				goto fail
			}
			m.budget -= (i - from) >> 3
			if in.min > 1 || !in.sure {
				least := from
				if in.min > 0 {
					if least = in.set.take(line, from, in.min); least < 0 {
						goto fail
					}
				}
				if !in.sure {
					if i, at = m.less(at, in, line, least, i); i < 0 {
						goto fail
					}
					continue
				}
			}
		case opCap:
			if len(m.stack) > 0 {
				m.stack = append(m.stack, frame{-1, in.slot, m.slots[in.slot]})
			}
			m.slots[in.slot] = i
		case opSplit:
			if i < len(line) {
				switch in.ways[line[i]] {
				case 0:
					goto fail
				case 1:
					at = in.out
					continue
				case 2:
					at = in.alt
					continue
				}
			}
			m.stack = append(m.stack, frame{at, i, 0})
		case opAssert:
			if !holds(in.empty, line, i) {
				goto fail
			}
		case opMatch:
			return true
		}
		at = in.out
		continue

	fail:
		for {
			n := len(m.stack) - 1
			if n < 0 {
				return false
			}
			f := m.stack[n]
			m.stack = m.stack[:n]
			if f.at < 0 {
				m.slots[f.a] = f.b
				continue
			}
			m.budget--
			in := &m.prog.inst[f.at]
			if in.op == opSplit {
				at, i = in.alt, f.a
				break
			}
			if !in.lazy {
				i, at = m.less(f.at, in, line, f.a, f.b-1)
			} else if in.max >= 0 && f.b >= in.max {
				continue
			} else if i = in.set.take(line, f.a, 1); i >= 0 {
				i, at = m.more(f.at, in, line, i, f.b+1)
			}
			if i >= 0 {
				break
			}
		}
	}
}

// less goes on behind a greedy set that can end anywhere from least to i, which
// may be inside a rune: at the last such place where what comes next can begin. It returns the place, -1 if
// there is none, and the instruction.
func (m *matcher) less(at int, in *inst, line []byte, least, i int) (int, int) {
	from := i
	if l := &in.lead; l.in != nil && i < len(line) {
		for ; i >= least && !l.in[line[i]]; i-- {
			// A byte inside a rune is not a place to end at, and not to begin
			// with either.
		}
		if m.budget -= (from - i) >> 3; i < least {
			return -1, at
		}
	}
	for i > least && i < len(line) && !utf8.RuneStart(line[i]) {
		i--
	}
	if i > least {
		m.stack = append(m.stack, frame{at, least, i})
	}
	return i, in.out
}

// more goes on behind a lazy set that has taken n runes up to i, or as many more
// as it takes for what comes next to begin.
func (m *matcher) more(at int, in *inst, line []byte, i, n int) (int, int) {
	from := i
	if l := &in.lead; l.in != nil {
		for i < len(line) && !l.in[line[i]] {
			if in.max >= 0 && n >= in.max {
				return -1, at
			}
			if i = in.set.take(line, i, 1); i < 0 {
				return -1, at
			}
			n++
		}
	}
	m.budget -= (i - from) >> 1
	m.stack = append(m.stack, frame{at, i, n})
	return i, in.out
}

// skip returns the end of the runes of the set at i, at most n; -1 is any
// number.
func (s *runeSet) skip(b []byte, i, n int) int {
	if n < 0 {
		if s.but >= 0 {
			if k := bytes.IndexByte(b[i:], byte(s.but)); k >= 0 {
				return i + k
			}
			return len(b)
		}
		for i < len(b) && s.in[b[i]] {
			i++
		}
		if s.ranges == nil {
			return i
		}
	}
	for n != 0 {
		next := s.take(b, i, 1)
		if next < 0 {
			break
		}
		i = next
		n--
	}
	return i
}

// take returns the end of n runes of the set at i, -1 if there are fewer.
func (s *runeSet) take(b []byte, i, n int) int {
	for ; n > 0; n-- {
		if i >= len(b) {
			return -1
		}
		if c := b[i]; c < utf8.RuneSelf {
			if !s.in[c] {
				return -1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if !s.in[b[i]] && (s.ranges == nil || !s.has(r)) {
			return -1
		}
		i += size
	}
	return i
}

// holds says whether the place i is what the assertion wants.
func holds(e syntax.EmptyOp, b []byte, i int) bool {
	switch e {
	case syntax.EmptyBeginText:
		return i == 0
	case syntax.EmptyEndText:
		return i == len(b)
	case syntax.EmptyBeginLine:
		return i == 0 || b[i-1] == '\n'
	case syntax.EmptyEndLine:
		return i == len(b) || b[i] == '\n'
	}
	boundary := (i > 0 && isWordByte(b[i-1])) != (i < len(b) && isWordByte(b[i]))
	return boundary == (e == syntax.EmptyWordBoundary)
}

func isWordByte(c byte) bool {
	return c == '_' || c-'0' <= 9 || 'a' <= c|0x20 && c|0x20 <= 'z'
}
