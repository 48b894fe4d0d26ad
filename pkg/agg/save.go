package agg

import (
	"encoding/binary"
	"errors"
)

// The states of a group are saved as a record: key (with its length), count,
// then what each state's save has appended. Of a group whose states are large
// there are several records, with parts of the states: all states merge.

// partBytes is about how many bytes a state saves in one part.
const partBytes = 64 << 10

// done is what save returns when there is no next part.
const done = -1

// What a state saves begins with 0 if there is nothing, and of some kinds of
// state with one of the others.
const (
	savedNone   = iota
	savedValues // all of them
	savedSketch // a histogram or sketch
)

// A list is saved as items, each with the byte more in front, and a zero byte.
const more = 1

func endList(dst []byte) []byte { return append(dst, 0) }

// appendBytes appends b with its length in front.
func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// decoder reads what was saved. What it returns are views. If there is less than
// it is asked for, it returns zeros from then on and sets bad. What values are is
// not checked again: they are this process's own, and files have checksums.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() {
	d.b, d.bad = nil, true
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// list says whether another item of a list follows.
func (d *decoder) list() bool { return d.byte() == more }

func (d *decoder) uvarint() uint64 {
	n, k := binary.Uvarint(d.b)
	if k <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[k:]
	return n
}

func (d *decoder) varint() int64 {
	n, k := binary.Varint(d.b)
	if k <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[k:]
	return n
}

// word reads eight bytes.
func (d *decoder) word() uint64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// bytes reads what appendBytes has appended.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// save calls add with the records of a group.
func (t *Table) save(group uint32, add func(rec []byte) error) error {
	n := t.groups.entries.at(group).n
	at := t.spilled.at
	clear(at)
	for {
		rec := appendBytes(t.spilled.buf[:0], t.groups.key(group))
		rec = binary.AppendUvarint(rec, n)
		n = 0
		another := false
		for j, st := range t.states {
			if at[j] == done {
				rec = append(rec, savedNone) // so all begin if there is nothing
				continue
			}
			rec, at[j] = st.save(rec, group, at[j])
			another = another || at[j] != done
		}
		t.spilled.buf = rec
		if err := add(rec); err != nil {
			return err
		}
		if !another {
			return nil
		}
	}
}

var errDamaged = errors.New("a temporary file has a group that cannot be read")

// loadSaved adds what was saved of some group to group 0 of a table that has no
// other, and makes that group.
func (t *Table) loadSaved(rec []byte) error {
	d := &t.spilled.decoder // one that stays: states are called by an interface
	*d = decoder{b: rec}
	key := d.bytes()
	g := t.groups.find(hashKey(key), key)
	t.groups.entries.at(g).n += d.uvarint()
	for _, st := range t.states {
		st.grow(t.groups.n)
		st.load(g, d)
	}
	if d.bad || len(d.b) > 0 {
		return errDamaged
	}
	return nil
}

// keyOfSaved returns the key of a record.
func keyOfSaved(rec []byte) []byte {
	d := decoder{b: rec}
	return d.bytes()
}
