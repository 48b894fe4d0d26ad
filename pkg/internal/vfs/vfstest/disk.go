package vfstest

import (
	"maps"
	"slices"
)

// disk is a file system as a power cut sees it: beside what processes see
// (data, names) it has what is on the platter for sure (safe...), and what lies
// between (pending, moves), in the order in which it came. It checks nothing:
// its callers do.
type disk struct {
	nodes map[id]*node
	last  id     // the newest node
	moves []move // of names, not durable yet
	half  bool   // a write writes half only
}

// id names a node. Those of one history of steps are the same in every replay.
type id int

const root id = 1

// node is a file or a directory.
type node struct {
	dir bool

	// Of a file. Pending has all that makes data out of safe, except what a
	// failed Sync gave up.
	data, safe blob
	pending    []change

	// Of a directory.
	names, safeNames map[string]id

	// Where it is, or 0 if it has no name.
	in, safeIn id
	safeName   string
}

// change is one change of a file's content.
type change struct {
	off  int64
	data []byte // zeros where truncating took something away; never changed
	size int64  // of the file afterwards; -1: the size is durable already
	cut  bool   // by truncating
	lost bool   // a Sync of it failed: no later one writes it
}

// move gives a node a name, another name or none.
type move struct {
	node, from, to id // the directories; 0 for none
	toName         string
}

func newDisk() *disk {
	return &disk{nodes: map[id]*node{root: newNode(true)}, last: root}
}

func newNode(dir bool) *node {
	n := &node{dir: dir}
	if dir {
		n.names = map[string]id{}
		n.safeNames = map[string]id{}
	}
	return n
}

// clone shares the bytes with d until either changes them.
func (d *disk) clone() *disk {
	c := &disk{nodes: make(map[id]*node, len(d.nodes)), last: d.last, moves: slices.Clone(d.moves)}
	for i, n := range d.nodes {
		n.data.owned, n.safe.owned = false, false
		k := *n
		k.pending = slices.Clone(n.pending)
		k.names = maps.Clone(n.names)
		k.safeNames = maps.Clone(n.safeNames)
		c.nodes[i] = &k
	}
	return c
}

// make makes a file or directory.
func (d *disk) make(in id, name string, dir bool) id {
	d.last++
	d.nodes[d.last] = newNode(dir)
	d.move(d.last, 0, "", in, name)
	return d.last
}

// move gives a node another name, its first one (from is 0) or none (to is 0).
// What had that name has none afterwards.
func (d *disk) move(n, from id, fromName string, to id, toName string) {
	if from != 0 {
		delete(d.nodes[from].names, fromName)
	}
	d.nodes[n].in = to
	if to != 0 {
		names := d.nodes[to].names
		if old := names[toName]; old != 0 {
			d.nodes[old].in = 0
		}
		names[toName] = n
	}
	d.moves = append(d.moves, move{node: n, from: from, to: to, toName: toName})
}

// settle makes a move durable. It need not fit the durable names: those before it
// may be lost.
func (d *disk) settle(m move) {
	n := d.nodes[m.node]
	if n.safeIn != 0 {
		delete(d.nodes[n.safeIn].safeNames, n.safeName)
	}
	n.safeIn, n.safeName = m.to, m.toName
	if m.to != 0 {
		names := d.nodes[m.to].safeNames
		if old := names[m.toName]; old != 0 {
			d.nodes[old].safeIn = 0
		}
		names[m.toName] = m.node
	}
}

// syncDir settles all moves that concern a directory. If one of them is from one
// directory to another, then all earlier ones of that other, too: names come in
// the order in which they were given.
func (d *disk) syncDir(dir id) {
	dirs := map[id]bool{dir: true}
	var now, rest []move // the latest first
	for _, m := range slices.Backward(d.moves) {
		if !dirs[m.from] && !dirs[m.to] {
			rest = append(rest, m)
			continue
		}
		now = append(now, m)
		for _, touched := range []id{m.from, m.to} {
			if touched != 0 {
				dirs[touched] = true
			}
		}
	}
	for _, m := range slices.Backward(now) {
		d.settle(m)
	}
	slices.Reverse(rest)
	d.moves = rest
}

func (d *disk) write(f id, off int64, p []byte) {
	n := d.nodes[f]
	if d.half {
		p = p[:len(p)/2]
	}
	if len(p) == 0 {
		return
	}
	n.data.writeAt(off, p)
	n.pending = append(n.pending, change{off: off, data: p, size: int64(len(n.data.b))})
}

func (d *disk) truncate(f id, size int64) {
	n := d.nodes[f]
	c := change{off: size, size: size, cut: true}
	if gone := int64(len(n.data.b)) - size; gone > 0 {
		c.data = make([]byte, gone)
	}
	n.data.resize(size)
	n.pending = append(n.pending, c)
}

func (d *disk) sync(f id) {
	n := d.nodes[f]
	if slices.ContainsFunc(n.pending, func(c change) bool { return c.lost }) {
		n.syncSome()
		return
	}
	for _, c := range n.pending {
		c.apply(&n.safe)
	}
	n.pending = nil
}

// syncSome is a Sync after one that failed: only sectors changed since then are
// written, as they are now. The size is durable then.
func (n *node) syncSome() {
	dirty := map[int64]bool{}
	for _, c := range n.pending {
		if !c.lost {
			for s := range c.sectors() {
				dirty[s] = true
			}
		}
	}
	n.safe.resize(int64(len(n.data.b)))
	for s := range dirty {
		if lo := s * sector; lo < int64(len(n.data.b)) {
			n.safe.writeAt(lo, n.data.b[lo:min(lo+sector, int64(len(n.data.b)))])
		}
	}
	var rest []change
	for _, c := range n.pending {
		if !c.lost {
			continue
		}
		for s := range c.sectors() {
			if part, ok := c.within(s); ok && !dirty[s] {
				part.size = -1
				rest = append(rest, part)
			}
		}
	}
	n.pending = rest
}

// failSync is a Sync that fails: the kernel takes what was to be written for
// clean and forgets it.
func (d *disk) failSync(f id) {
	p := d.nodes[f].pending
	for i := range p {
		p[i].lost = true
	}
}

// plant makes a file durable with its name, whatever is pending.
func (d *disk) plant(in id, name string, data []byte) {
	f := d.nodes[in].names[name]
	if f == 0 {
		f = d.make(in, name, false)
	}
	d.settleNode(f)
	n := d.nodes[f]
	n.data, n.safe, n.pending = blob{b: data}, blob{b: data}, nil
}

// settleNode makes the names of a node and of the directories above it durable.
func (d *disk) settleNode(n id) {
	for ; n != root && n != 0; n = d.nodes[n].in {
		in := d.nodes[n].in
		for name, have := range d.nodes[in].names {
			if have == n {
				d.settle(move{node: n, to: in, toName: name})
			}
		}
		d.moves = slices.DeleteFunc(d.moves, func(m move) bool { return m.node == n })
	}
}

// flip flips one bit, wherever it is already.
func (d *disk) flip(f id, at int64, bit uint) {
	n := d.nodes[f]
	for _, b := range []*blob{&n.data, &n.safe} {
		if at < int64(len(b.b)) {
			b.own()
			b.b[at] ^= 1 << bit
		}
	}
	for i, c := range n.pending {
		if k := at - c.off; !c.cut && k >= 0 && k < int64(len(c.data)) {
			n.pending[i].data = slices.Clone(c.data)
			n.pending[i].data[k] ^= 1 << bit
		}
	}
}

// blob is bytes, which may be shared with others until they are changed.
type blob struct {
	b     []byte
	owned bool
}

func (b *blob) own() {
	if !b.owned {
		b.b, b.owned = slices.Clone(b.b), true
	}
}

func (b *blob) writeAt(off int64, p []byte) {
	b.resize(max(int64(len(b.b)), off+int64(len(p))))
	copy(b.b[off:], p)
}

// resize fills with zeros.
func (b *blob) resize(size int64) {
	b.own()
	old := int64(len(b.b))
	if size > old {
		b.b = slices.Grow(b.b, int(size-old))
	}
	b.b = b.b[:size]
	if size > old {
		clear(b.b[old:])
	}
}

// apply makes the change, in order after those before it.
func (c *change) apply(b *blob) {
	if !c.cut {
		b.writeAt(c.off, c.data)
	}
	if c.size >= 0 {
		b.resize(c.size)
	}
}
