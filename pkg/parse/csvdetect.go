package parse

import (
	"bytes"
	"unicode/utf8"
)

// fits is Format.FitsAll. Lines are of this format if
//
//   - there is a record besides the first, and 9 of 10 have as many fields as
//     the first, which are two at least;
//   - all fields of the first look like names (see looksLikeName), but for an
//     empty one in front, as data frames with an index are written;
//   - no name is the same as another, and none turns up as a value of its field:
//     log lines of one program begin alike, names and values do not.
//
// One line alone, even if it looks like names, is not enough: to take it for
// names would make it vanish.
func (s separated) fits(lines [][]byte) bool {
	if len(lines) < 2 || bytes.IndexByte(lines[0], byte(s)) < 0 {
		return false
	}
	data := bytes.Join(lines, []byte{'\n'})
	data = append(data, '\n')
	data = data[:s.whole(data)] // a record may go on behind the lines
	first := data[:s.next(data)]
	var names [][]byte
	taken := make(map[string]bool)
	good := checkUTF8(first) == nil
	err := s.fields(bytes.TrimSuffix(first, []byte{'\n'}), func(f csvField) {
		name := s.appendText(nil, first, f)
		good = good && !taken[string(name)] && (looksLikeName(name) || len(name) == 0 && len(names) == 0)
		taken[string(name)] = true
		names = append(names, name)
	})
	if err != nil || !good || len(names) < 2 || len(names) > maxNames {
		return false
	}
	records, fit := 0, 0
	fields := make([]csvField, len(names))
	for data = data[len(first):]; len(data) > 0; records++ {
		n := s.next(data)
		record := data[: n-1 : n-1]
		data = data[n:]
		if s.split(record, fields) != nil {
			continue
		}
		fit++
		for i, f := range fields {
			if len(names[i]) > 0 && bytes.Equal(names[i], record[f.from:f.to]) {
				return false
			}
		}
	}
	return fit > 0 && 10*fit >= 9*records
}

// looksLikeName says whether people would call a field that. It is no number and
// no time, has few words, and nothing of what stands in messages rather than in
// names.
func looksLikeName(name []byte) bool {
	const mostBytes, mostWords = 80, 8
	if len(name) == 0 || len(name) > mostBytes || name[0] == ' ' || name[len(name)-1] == ' ' {
		return false
	}
	if c := name[0]; c < utf8.RuneSelf && c|0x20-'a' > 'z'-'a' && bytes.IndexByte([]byte("_@#$%"), c) < 0 {
		return false
	}
	words := 1
	for i, c := range name {
		switch {
		case c < ' ' || bytes.IndexByte([]byte(`"\={}<>;|,!`), c) >= 0:
			return false
		case c == ' ':
			words++
		case c == ':' && i > 0 && i+1 < len(name) && name[i-1]-'0' <= 9 && name[i+1]-'0' <= 9: // 12:00
			return false
		}
	}
	return words <= mostWords
}
