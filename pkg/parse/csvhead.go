package parse

import (
	"fmt"
	"strconv"

	"logtools/pkg/event"
)

// maxNames is how many fields a first line may have. It bounds what a Parser
// keeps for each.
const maxNames = 100000

// maxName is how long a name may be, in bytes. It stands in every event: one of
// megabytes before records of two bytes would take more memory than there is.
const maxName = 1024

// csvHead is what the first line says. It never changes: all Parsers of an input
// share it.
type csvHead struct {
	names []string
	// text[prefix[i]] is what stands before the value of field i in the JSON of an
	// event: `{"a":` or `,"b":`. A chunk of other bytes follows the last one.
	text   []byte
	prefix []span
	size   int // of all of them
	// hasValue: one of the names is value.
	hasValue bool
}

// head is Format.Head: the first record names the fields. Every field has a name
// in the end, and all are different: one without a name is column3 after its
// place, and the second one of a name is name_2 (the next number that is free,
// where others have that name).
//
// The error is a *event.BadError; n is then the length of the record all the
// same.
func (s separated) head(data []byte) (n int, head any, err error) {
	n = s.next(data)
	record := data[:n]
	if n > 0 && record[n-1] == '\n' {
		record = record[:n-1]
	}
	record = dropCR(record)
	if err := checkUTF8(record); err != nil {
		return n, nil, err
	}
	var names []string
	var buf []byte
	count, long := 0, 0
	err = s.fields(record, func(f csvField) {
		if count++; count <= maxNames && long == 0 {
			buf = s.appendText(buf[:0], record, f)
			names = append(names, string(buf))
			if len(buf) > maxName {
				long = count
			}
		}
	})
	if err == nil && count > maxNames {
		err = event.Bad("the first line names %d fields, more than %d", count, maxNames)
	}
	if err == nil && long > 0 {
		err = event.Bad("name %d of the first line is longer than %d bytes", long, maxName)
	}
	if err != nil {
		return n, nil, err
	}
	return n, newCSVHead(names), nil
}

func newCSVHead(names []string) *csvHead {
	makeUnique(names)
	h := &csvHead{names: names}
	before := byte('{')
	for _, name := range names {
		from := len(h.text)
		h.text = event.AppendString(append(h.text, before), []byte(name))
		h.text = append(h.text, ':')
		h.prefix = append(h.prefix, span{from, len(h.text)})
		if name == "value" {
			h.hasValue = true
		}
		before = ','
	}
	h.size = len(h.text)
	h.text = append(h.text, make([]byte, chunk)...)
	return h
}

// makeUnique gives every field a name of its own. Where a name stands first it
// stays as it is.
func makeUnique(names []string) {
	first := make(map[string]int, len(names)) // the field that has the name
	for i, name := range names {
		if _, taken := first[name]; !taken && name != "" {
			first[name] = i
		}
	}
	tried := make(map[string]int) // the last number tried for a name
	for i, name := range names {
		if name == "" {
			name = "column" + strconv.Itoa(i+1)
			if _, taken := first[name]; !taken {
				first[name] = i
			}
		}
		base := name
		for k := max(tried[base], 1) + 1; ; k++ {
			at, taken := first[name]
			if !taken {
				first[name] = i
				tried[base] = k - 1
				break
			}
			if at == i {
				break
			}
			name = fmt.Sprintf("%s_%d", base, k)
		}
		names[i] = name
	}
}
