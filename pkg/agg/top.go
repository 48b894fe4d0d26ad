package agg

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"

	"logtools/pkg/event"
)

// topState counts each different value of each group, in one index for all
// groups: its keys are the group's number (4 bytes) and the encoded value.
type topState struct {
	values index
	hashes [batchLen]uint64
	keys   [batchLen]shortKey
	ids    [batchLen]uint32
	key    []byte // scratch

	// For results: the numbers of all keys, those of group g being
	// byGroup[start[g]:start[g+1]]. nil until results are asked for.
	byGroup, start []uint32
}

const groupBytes = 4

func (st *topState) prepare(r *rows, v *event.Value, c *cell) error {
	from := len(r.buf)
	r.buf = append(r.buf, 0, 0, 0, 0) // the group: not known yet
	r.buf = appendEncoded(r.buf, v)
	c.setSpan(span{uint32(from), uint32(len(r.buf) - from)})
	c.a = hashBytes(r.buf[from+groupBytes:], processSeed)
	return nil
}

func (st *topState) grow(int) {}

// hashInGroup combines the hash of a value with its group.
func hashInGroup(value uint64, group uint32) uint64 {
	return hashWords(value, uint64(group), processSeed)
}

func (st *topState) add(r *rows, cells []cell) {
	st.byGroup = nil
	n := 0
	for i := range cells {
		c := &cells[i]
		if c.kind == event.Missing {
			continue
		}
		key := r.bytes(c.span())
		binary.LittleEndian.PutUint32(key, r.groups[i])
		st.keys[n].set(r.buf[:c.span().off+c.span().len], int(c.span().off))
		st.hashes[n] = hashInGroup(c.a, r.groups[i])
		n++
	}
	st.values.findAll(st.ids[:n], st.hashes[:n], st.keys[:n], r.buf)
}

func (st *topState) merge(o state, groups []uint32) {
	st.byGroup = nil
	other := o.(*topState)
	x := &other.values
	var key []byte
	for id := range uint32(x.n) {
		g := groups[binary.LittleEndian.Uint32(x.key(id))]
		if g == none {
			continue
		}
		key = append(key[:0], x.key(id)...)
		binary.LittleEndian.PutUint32(key, g)
		h := hashInGroup(hashBytes(key[groupBytes:], processSeed), g)
		st.values.entries.at(st.values.find(h, key)).n += x.entries.at(id).n
	}
}

// sortByGroup fills byGroup.
func (st *topState) sortByGroup() {
	x := &st.values
	groupOf := func(id uint32) uint32 { return binary.LittleEndian.Uint32(x.key(id)) }
	groups := uint32(0)
	for id := range uint32(x.n) {
		groups = max(groups, groupOf(id)+1)
	}
	st.start = make([]uint32, groups+1)
	for id := range uint32(x.n) {
		st.start[groupOf(id)+1]++
	}
	for g := range groups {
		st.start[g+1] += st.start[g]
	}
	next := slices.Clone(st.start)
	st.byGroup = make([]uint32, x.n)
	for id := range uint32(x.n) {
		g := groupOf(id)
		st.byGroup[next[g]] = id
		next[g]++
	}
}

func (st *topState) size(int) int64 {
	const byGroupBytes = 8
	return st.values.size() + byGroupBytes*int64(st.values.n)
}

func (st *topState) reset(int) {
	st.values.reset()
	st.byGroup, st.start = nil, nil
}

func (st *topState) save(dst []byte, group uint32, from int) ([]byte, int) {
	limit := len(dst) + partBytes
	for i, id := range st.valuesOf(group)[from:] {
		if len(dst) > limit {
			return endList(dst), from + i
		}
		dst = binary.AppendUvarint(append(dst, more), st.values.entries.at(id).n)
		dst = appendBytes(dst, st.values.key(id)[groupBytes:])
	}
	return endList(dst), done
}

func (st *topState) load(group uint32, d *decoder) {
	st.byGroup = nil
	for d.list() {
		n, value := d.uvarint(), d.bytes()
		st.key = append(binary.LittleEndian.AppendUint32(st.key[:0], group), value...)
		h := hashInGroup(hashBytes(value, processSeed), group)
		st.values.entries.at(st.values.find(h, st.key)).n += n
	}
}

// valuesOf returns the numbers of a group's values.
func (st *topState) valuesOf(group uint32) []uint32 {
	if st.byGroup == nil {
		st.sortByGroup()
	}
	if int(group)+1 >= len(st.start) {
		return nil
	}
	return st.byGroup[st.start[group]:st.start[group+1]]
}

func (st *topState) result(group uint32, s *Spec, buf *[]byte) event.Value {
	x := &st.values
	ids := st.valuesOf(group)
	if len(ids) == 0 {
		return event.Value{Kind: event.Null}
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(x.entries.at(b).n, x.entries.at(a).n),
			compareEncoded(x.key(a)[groupBytes:], x.key(b)[groupBytes:]))
	})
	from := len(*buf)
	dst := append(*buf, '[')
	for i, id := range ids[:min(len(ids), s.N)] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"value":`...)
		dst = decode(x.key(id)[groupBytes:]).AppendJSON(dst)
		dst = append(dst, `,"count":`...)
		dst = strconv.AppendUint(dst, x.entries.at(id).n, 10)
		dst = append(dst, '}')
	}
	*buf = append(dst, ']')
	return event.Value{Kind: event.Array, B: (*buf)[from:len(*buf):len(*buf)]}
}
