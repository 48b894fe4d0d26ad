package parse

import (
	"regexp/syntax"
	"unicode"
	"unicode/utf8"
)

// maxProgram is how many instructions a program may have. A longer one is left
// to package regexp.
const maxProgram = 1000

// program is a regular expression as a backtracking matcher wants it. It finds
// what package regexp finds (leftmost-first, as Perl), in valid UTF-8: a
// backtracker tries the alternatives in just the order in which that rule
// prefers them. What backtracking would take too long for is left to package
// regexp, line by line (see matcher.budget).
//
// It is fast because most choices are none: where the byte at hand, or the
// bytes that can come next, leave one way only, nothing is remembered.
type program struct {
	inst  []inst
	start int
	slots int // two for each named group: where its text begins and ends

	anchored bool // it can match at the start of the line only
	lead     lead // what a match begins with
}

type op uint8

const (
	opMatch  op = iota
	opText      // the bytes of text
	opSet       // min to max runes of set
	opCap       // remember the place in slot
	opSplit     // out, and if that fails, alt
	opAssert    // the place is as empty says
)

type inst struct {
	op   op
	lazy bool // opSet: as few as possible first
	sure bool // opSet: only as many as possible need be tried
	out  int  // the next instruction
	alt  int
	slot int
	min  int
	max  int // -1: any number
	text string
	set  *runeSet
	lead lead // opSet: what can come behind it
	// opSplit: for each byte at hand whether out (bit 0) and alt (bit 1) can
	// match there.
	ways  *[256]uint8
	empty syntax.EmptyOp
}

// lead says with which bytes the match of a part of the program begins.
type lead struct {
	// in is nil if it may be empty: any byte may then follow.
	in *[256]bool
	// only is the byte if there is just one, else -1.
	only int
}

// runeSet is a set of runes.
type runeSet struct {
	// in says of each byte whether it is a rune of the set or, from 0x80 on,
	// whether all such runes are.
	in [256]bool
	// but is the only ASCII byte that is not in a set with all other runes,
	// else -1.
	but int
	// ranges are the bounds of the runes in a set that has some runes above
	// 0x7f, but not all.
	ranges []rune
}

func newRuneSet(ranges []rune) *runeSet {
	s := &runeSet{but: -1}
	var high rune // how many above 0x7f
	for i := 0; i+1 < len(ranges); i += 2 {
		lo, hi := ranges[i], ranges[i+1]
		for c := lo; c <= min(hi, 0x7f); c++ {
			s.in[c] = true
		}
		if hi > 0x7f {
			high += hi - max(lo, 0x80) + 1
		}
	}
	switch high {
	case 0:
	case unicode.MaxRune - 0x7f:
		out := 0
		for c := range s.in {
			if c > 0x7f {
				s.in[c] = true
			} else if !s.in[c] {
				out++
				s.but = c
			}
		}
		if out != 1 {
			s.but = -1
		}
	default:
		s.ranges = ranges
	}
	return s
}

// has says whether the set has a rune above 0x7f, of which it has some.
func (s *runeSet) has(r rune) bool {
	lo, hi := 0, len(s.ranges)/2
	for lo < hi {
		m := (lo + hi) / 2
		switch {
		case r < s.ranges[2*m]:
			hi = m
		case r > s.ranges[2*m+1]:
			lo = m + 1
		default:
			return true
		}
	}
	return false
}

// mayBegin says whether a rune of the set can begin with the byte c.
func (s *runeSet) mayBegin(c int) bool { return s.in[c] || c >= utf8.RuneSelf && s.ranges != nil }

// compile makes a program of a parsed expression; nil if it is one for package
// regexp. groups are the numbers of the groups whose places are wanted.
func compile(re *syntax.Regexp, groups []int) *program {
	c := compiler{p: &program{slots: 2 * len(groups)}, slotOf: make(map[int]int)}
	for i, g := range groups {
		c.slotOf[g] = 2 * i
	}
	c.p.start = c.node(re, c.add(inst{op: opMatch}))
	if c.foreign {
		return nil
	}
	p := c.p
	for i := range p.inst {
		switch in := &p.inst[i]; in.op {
		case opSet:
			in.lead = p.leadOf(in.out)
			in.sure = p.oneWay(in)
		case opSplit:
			in.ways = new([256]uint8)
			for way, l := range [2]lead{p.leadOf(in.out), p.leadOf(in.alt)} {
				for b := range in.ways {
					if l.in == nil || l.in[b] {
						in.ways[b] |= 1 << way
					}
				}
			}
		}
	}
	p.lead = p.leadOf(p.start)
	at := p.start
	for p.inst[at].op == opCap {
		at = p.inst[at].out
	}
	p.anchored = p.inst[at].op == opAssert && p.inst[at].empty&syntax.EmptyBeginText != 0
	return p
}

type compiler struct {
	p       *program
	slotOf  map[int]int
	foreign bool // for package regexp
}

func (c *compiler) add(in inst) int {
	if len(c.p.inst) >= maxProgram {
		c.foreign = true
		return 0
	}
	c.p.inst = append(c.p.inst, in)
	return len(c.p.inst) - 1
}

// node compiles re, behind which the instruction out comes, and returns where
// it begins.
func (c *compiler) node(re *syntax.Regexp, out int) int {
	if c.foreign {
		return 0
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return out
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if !utf8.ValidRune(r) { // no text has it
				c.foreign = true
				return 0
			}
		}
		if re.Flags&syntax.FoldCase == 0 {
			return c.add(inst{op: opText, text: string(re.Rune), out: out})
		}
		for i := len(re.Rune) - 1; i >= 0; i-- {
			out = c.add(inst{op: opSet, set: folded(re.Rune[i]), min: 1, max: 1, out: out})
		}
		return out
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return c.add(inst{op: opSet, set: setOf(re), min: 1, max: 1, out: out})
	case syntax.OpBeginLine:
		return c.assert(syntax.EmptyBeginLine, out)
	case syntax.OpEndLine:
		return c.assert(syntax.EmptyEndLine, out)
	case syntax.OpBeginText:
		return c.assert(syntax.EmptyBeginText, out)
	case syntax.OpEndText:
		return c.assert(syntax.EmptyEndText, out)
	case syntax.OpWordBoundary:
		return c.assert(syntax.EmptyWordBoundary, out)
	case syntax.OpNoWordBoundary:
		return c.assert(syntax.EmptyNoWordBoundary, out)
	case syntax.OpCapture:
		slot, wanted := c.slotOf[re.Cap]
		if !wanted {
			return c.node(re.Sub[0], out)
		}
		out = c.node(re.Sub[0], c.add(inst{op: opCap, slot: slot + 1, out: out}))
		return c.add(inst{op: opCap, slot: slot, out: out})
	case syntax.OpConcat:
		for i := len(re.Sub) - 1; i >= 0; i-- {
			out = c.node(re.Sub[i], out)
		}
		return out
	case syntax.OpAlternate:
		at := c.node(re.Sub[len(re.Sub)-1], out)
		for i := len(re.Sub) - 2; i >= 0; i-- {
			at = c.add(inst{op: opSplit, out: c.node(re.Sub[i], out), alt: at})
		}
		return at
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return c.repeat(re, out)
	}
	c.foreign = true // OpNoMatch
	return 0
}

func (c *compiler) assert(e syntax.EmptyOp, out int) int {
	return c.add(inst{op: opAssert, empty: e, out: out})
}

// repeat compiles x*, x+, x? and x{min,max}.
func (c *compiler) repeat(re *syntax.Regexp, out int) int {
	lazy := re.Flags&syntax.NonGreedy != 0
	sub := re.Sub[0]
	for sub.Op == syntax.OpCapture {
		if _, wanted := c.slotOf[sub.Cap]; wanted {
			break
		}
		sub = sub.Sub[0]
	}
	if set := setOf(sub); set != nil {
		in := inst{op: opSet, set: set, lazy: lazy, out: out}
		switch re.Op {
		case syntax.OpStar:
			in.min, in.max = 0, -1
		case syntax.OpPlus:
			in.min, in.max = 1, -1
		case syntax.OpQuest:
			in.min, in.max = 0, 1
		default:
			in.min, in.max = re.Min, re.Max
		}
		return c.add(in)
	}
	split := func(at, body, out int) {
		in := &c.p.inst[at]
		if in.out, in.alt = body, out; lazy {
			in.out, in.alt = out, body
		}
	}
	switch re.Op {
	case syntax.OpQuest:
		at := c.add(inst{op: opSplit})
		split(at, c.node(sub, out), out)
		return at
	case syntax.OpStar, syntax.OpPlus:
		if mayBeEmpty(sub) {
			// What a loop does whose body matches nothing is an art of its own.
			c.foreign = true
			return 0
		}
		at := c.add(inst{op: opSplit})
		body := c.node(sub, at)
		split(at, body, out)
		if re.Op == syntax.OpPlus {
			return body
		}
		return at
	}
	// Package regexp writes counted repeats out in this way, too.
	if re = re.Simplify(); re.Op == syntax.OpRepeat {
		c.foreign = true
		return 0
	}
	return c.node(re, out)
}

// mayBeEmpty says whether re can match the empty string. It may say so though
// it cannot.
func mayBeEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return mayBeEmpty(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || mayBeEmpty(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !mayBeEmpty(sub) {
				return false
			}
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if mayBeEmpty(sub) {
				return true
			}
		}
		return false
	}
	return true
}

// setOf returns the set of an expression that matches one rune, nil of any
// other.
func setOf(re *syntax.Regexp) *runeSet {
	switch {
	case re.Op == syntax.OpCharClass:
		return newRuneSet(re.Rune)
	case re.Op == syntax.OpAnyChar:
		return newRuneSet([]rune{0, unicode.MaxRune})
	case re.Op == syntax.OpAnyCharNotNL:
		return newRuneSet([]rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune})
	case re.Op != syntax.OpLiteral || len(re.Rune) != 1:
		return nil
	case re.Flags&syntax.FoldCase != 0:
		return folded(re.Rune[0])
	}
	return newRuneSet([]rune{re.Rune[0], re.Rune[0]})
}

// folded returns the set of r in upper and lower case.
func folded(r rune) *runeSet {
	// The orbit goes up and starts again at its smallest rune.
	least := r
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		least = min(least, o)
	}
	ranges := []rune{least, least}
	for o := unicode.SimpleFold(least); o != least; o = unicode.SimpleFold(o) {
		ranges = append(ranges, o, o)
	}
	return newRuneSet(ranges)
}

// leadOf returns what a match from the instruction at on can begin with, if it
// does not begin at the end of the line.
func (p *program) leadOf(at int) lead {
	l := lead{in: new([256]bool), only: -1}
	if p.leads(at, l.in, make([]bool, len(p.inst))) {
		return lead{only: -1}
	}
	n := 0
	for b, in := range l.in {
		if in {
			n++
			l.only = b
		}
	}
	if n != 1 {
		l.only = -1
	}
	return l
}

// leads adds the bytes to in. It returns whether the match can be empty.
func (p *program) leads(at int, in *[256]bool, seen []bool) bool {
	for !seen[at] {
		seen[at] = true
		i := &p.inst[at]
		switch i.op {
		case opMatch:
			return true
		case opText:
			in[i.text[0]] = true
			return false
		case opSet:
			if i.max != 0 {
				for b := range in {
					if i.set.mayBegin(b) {
						in[b] = true
					}
				}
			}
			if i.min > 0 {
				return false
			}
		case opSplit:
			if p.leads(i.alt, in, seen) {
				return true
			}
		case opAssert:
			if i.empty == syntax.EmptyEndText {
				return false // the end it is not
			}
		}
		at = i.out
	}
	return false
}

// oneWay says whether of the lengths that a set can match only the greatest can
// be followed by a match of what comes behind it.
func (p *program) oneWay(in *inst) bool {
	if in.min == in.max {
		return true
	}
	if in.lead.in == nil {
		// With nothing behind it the first length tried is right.
		return !in.lazy && p.always(in.out)
	}
	for b := range in.lead.in {
		if in.lead.in[b] && in.set.mayBegin(b) {
			return false
		}
	}
	return true
}

// always says whether what begins at an instruction matches everywhere, perhaps
// nothing. It may say that it does not though it does.
func (p *program) always(at int) bool {
	for {
		switch in := &p.inst[at]; {
		case in.op == opMatch:
			return true
		case in.op == opCap, in.op == opSet && in.min == 0:
			at = in.out
		default:
			return false
		}
	}
}
