package parse

import (
	"bytes"

	"logtools/pkg/event"
)

// detectLines is how many lines Detect looks at.
const detectLines = 64

// Detect tells the format of an input from its first block: whole lines of
// which the last may lack its end.
//
// It is json if the first line that is not blank is JSON. Otherwise it is the
// format that fits most of the first 64 lines that are not blank, if that is
// more than half of them, so that a few bad lines do no harm; a format that is
// told by all lines together (Format.FitsAll) fits all or none. So csv whose
// records begin like syslog is csv: its first line tells. Of those that fit the
// same it is the first of Formats. If none fits it is text. A last line
// without '\n' may be cut off, so it counts only if it is the only one.
func Detect(block []byte) *Format {
	var lines [][]byte
	for len(block) > 0 && len(lines) < detectLines {
		line, rest, ended := bytes.Cut(block, []byte{'\n'})
		block = rest
		if line = dropCR(line); len(bytes.TrimLeft(line, " \t\r")) > 0 && (ended || len(lines) == 0) {
			lines = append(lines, line)
		}
	}
	if len(lines) > 0 && isJSON(lines[0]) {
		return mustFind("json")
	}
	best, most := mustFind("text"), len(lines)/2
	for i := range Formats {
		if fit := Formats[i].fit(lines); fit > most {
			best, most = &Formats[i], fit
		}
	}
	return best
}

// fit returns how many of the lines fit the format. What fits all together fits
// with every line; but where the lines have been asked one by one as well, no
// more than they said, or just enough.
func (f *Format) fit(lines [][]byte) int {
	n, enough := 0, len(lines)/2+1
	for _, line := range lines {
		if f.Fits != nil && f.Fits(line) {
			n++
		}
	}
	switch {
	case f.FitsAll == nil || n >= enough || !f.FitsAll(lines):
		return n
	case f.Fits != nil:
		return enough
	}
	return len(lines)
}

// mustFind returns a format by a name that is in the table.
func mustFind(name string) *Format {
	for i := range Formats {
		if Formats[i].Name == name {
			return &Formats[i]
		}
	}
	return nil
}

func isJSON(line []byte) bool {
	var ev event.Event
	return event.NewReader(new(event.Fields), event.ValuesOnly).Read(line, &ev) == nil
}

// fitsJSON takes objects only: a log of another kind may well hold a line that
// is a number.
func fitsJSON(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	return len(line) > 0 && line[0] == '{' && isJSON(line)
}
