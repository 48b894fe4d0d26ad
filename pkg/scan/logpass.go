package scan

import (
	"bytes"
	"strconv"
)

// Passer is an Operator that may leave events of logs to the engine.
type Passer interface {
	Operator
	// PassLog says that all that Event does with an unchanged event of a log is to
	// append it to Result.Out as AppendPlaced does (named is given to it), or only
	// its value, and a '\n'. The engine then does that itself where nothing is to be
	// known of the event.
	PassLog() (values, named, ok bool)
}

// passing is what a Passer has said.
type passing struct{ values, named, on bool }

func passingOf(op Operator, q *Query) (p passing) {
	if o, ok := op.(Passer); ok && q.trivial {
		p.values, p.named, p.on = o.PassLog()
	}
	return p
}

// pass appends the lines at the start of data to dst as they are written out, until
// one that takes a closer look, or until dst has limit bytes. It returns what is
// left of data and the number of lines.
//
// It does for many lines what quick, the chain and AppendPlaced do for one.
func (l *logLines) pass(dst, data []byte, p passing, limit int) (out, rest []byte, lines int64) {
	if l.left >= 0 { // appended at several times
		return dst, data, 0
	}
	first := l.line
	head := l.head
	if p.named {
		head = l.named
	}
	for len(data) > 0 && len(dst) < limit {
		value, size, shape := cutPlain(data)
		if shape == anyShape {
			break
		}
		line := data[:size]
		data = data[size:]
		if p.values {
			dst = append(append(dst, value...), '\n')
		} else {
			dst = strconv.AppendInt(append(dst, head...), l.pos.Offset(int64(l.line)), 10)
			switch shape {
			case bareShape:
				dst = append(append(append(dst, l.time...), `,"value":`...), value...)
				dst = append(dst, "}\n"...)
			case untimedShape:
				dst = append(append(append(dst, l.time...), ','), line[1:]...)
			default:
				dst = append(append(dst, ','), line[1:]...)
			}
		}
		l.line++
	}
	return dst, data, int64(l.line - first)
}

// cutPlain finds the value of the line at the start of data, and the size of the
// line with its end, in one pass over it. The shape is anyShape if it is not one of
// the commonest kinds. It relies on the lines being valid.
func cutPlain(data []byte) (value []byte, size int, s shape) {
	if len(data) < 16 || data[0] != '{' || data[1] != '"' {
		return nil, 0, anyShape
	}
	rest := data[1:]
	switch rest[1] {
	case 't', 'k', 'v', 'l', 'p', 'o', 'h', 's':
		// It may be an envelope.
	default:
		if rest[1] == '\\' {
			return nil, 0, anyShape
		}
		return cutBare(data)
	}
	at, _, _, rest, ok := cutMembers(rest)
	if !ok {
		return nil, 0, anyShape
	}
	if s = untimedShape; at != nil {
		s = timedShape
	}
	const begin = `"value":`
	if len(rest) < len(begin)+4 || string(rest[:len(begin)]) != begin {
		if name := data[2:min(len(data), 2+longestName+1)]; !isEnvelopeName(name) && bytes.IndexByte(name, '\\') < 0 {
			return cutBare(data)
		}
		return nil, 0, anyShape
	}
	v := rest[len(begin):]
	// The first brace that closes is followed by that of the event and by the end
	// of the line: see isWhole.
	n := bytes.IndexByte(v, '}')
	if v[0] != '{' || n < 0 || n+2 >= len(v) || v[n+1] != '}' || v[n+2] != '\n' {
		return nil, 0, anyShape
	}
	return v[:n+1], len(data) - len(v) + n + 3, s
}

// cutBare is cutPlain for an object that is no event.
func cutBare(data []byte) (value []byte, size int, s shape) {
	n := bytes.IndexByte(data, '\n')
	if n < 2 || data[n-1] <= ' ' {
		return nil, 0, anyShape
	}
	return data[:n], n + 1, bareShape
}
