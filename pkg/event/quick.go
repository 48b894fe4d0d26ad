package event

import (
	"encoding/binary"
	"math/bits"
)

// quick is object, which is its slow twin, for lines with marks: it goes only
// where object has been before. It returns -1 where there is anything new or
// rare, faults included; object then reads the line from its start and stores
// the same values once more.
//
// b is the line and what lies behind it in the block, so that whole words can
// be compared without asking where the line ends: no remembered text holds a
// line end, and the caller checks that the object ends in the line, at r.end.
func (r *Reader) quick(s *shape, b []byte, i int) int {
	n := s.root
	var seen flags
	marks := &r.marks
	for {
		if uint(i)+8 > uint(len(b)) {
			return -1
		}
		head := binary.LittleEndian.Uint64(b[i:])
		e := &n.first
		if head&e.mask != e.head || e.long && !e.rest(b, i) {
			if e = n.other(head, b, i); e == nil {
				return -1
			}
		}
		i += len(e.text)
		if n = e.to; n == nil {
			r.seen = seen
			return i
		}
		seen |= n.flags
		start := i
		if n.str {
			if w := marks.Near(i); w != 0 {
				i += bits.TrailingZeros64(w)
			} else {
				i = marks.far(i)
			}
			if uint(i) >= uint(len(b)) {
				return -1
			}
			form := Plain
			if b[i] == '\\' {
				if i >= r.end {
					return -1
				}
				if i = r.fault.str(b[:r.end], i); i < 0 {
					return -1
				}
				i--
				form = JSON
			}
			if n.used {
				v := r.place(n)
				v.Kind, v.Form, v.B = String, form, b[start:i:i]
			}
			continue
		}
		if i >= len(b) {
			return -1
		}
		if c := b[i]; c-'0' <= 9 {
			if i++; c != '0' {
				i = skipDigits(b, i)
			}
			if i >= len(b) {
				return -1
			}
			if c = b[i]; c == '.' || c|0x20 == 'e' {
				if i = fraction(b, i); i < 0 {
					return -1
				}
			}
			if n.used {
				v := r.place(n)
				v.Kind, v.Form, v.B = Number, JSON, b[start:i:i]
			}
			continue
		} else if c == '{' {
			i = r.subObject(n, b, i, true)
		} else if i < r.end {
			i = r.fault.value(b[:r.end], i, r.depth+1)
		} else {
			i = -1
		}
		if i < 0 {
			return -1
		}
		if n.used {
			r.keep(n, b[start:i:i])
		}
	}
}

// fraction returns the index behind a number whose point is at i; -1 if there is
// an exponent, or no number.
func fraction(b []byte, i int) int {
	if b[i] != '.' {
		return -1
	}
	k := skipDigits(b, i+1)
	if k == i+1 || k >= len(b) || b[k]|0x20 == 'e' {
		return -1
	}
	return k
}

// skipDigits returns the index of the first byte from i on that is not a digit.
func skipDigits(b []byte, i int) int {
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:]) ^ ones*'0'
		// A byte beyond 9 gets its high bit set; it may also set those above.
		if m := (w + ones*(0x80-10) | w) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}
