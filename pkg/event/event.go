package event

import "slices"

// Event is one event as a Reader or a foreign format's parser fills it in: the
// envelope's members and the members of the value that programs asked for
// (Slots). One Event is reused for all lines of a worker; everything in it
// points into the line, the block or the event's own scratch memory and is
// valid until the next Reset.
type Event struct {
	// Line is the line as it was read, without its line end.
	Line []byte
	// Bare: the line is a bare value, not an event (or comes from a foreign
	// format). The envelope's members are then Missing.
	Bare bool
	// AsIs: the line is in the uniform format, and written as it is it would
	// be read back as the same event.
	AsIs bool

	// The envelope, as JSON; Missing where the line has no such member. Time
	// is a string in RFC 3339, in any zone, as read; the engine that resolves
	// times replaces it by UTC (SetTime).
	Log, Partition, Offset, Time, Key, Headers, Src Value

	// Slots are the members that Fields asked for, by slot number.
	Slots []Value

	value     Value
	builder   Builder
	scratch   []byte
	enveloped bool // some member of the envelope may be set
	noValue   bool // the whole value has no member named value
}

// Tombstone says whether the event only says that its key is gone: its value is null.
func (ev *Event) Tombstone() bool {
	return ev.Key.Kind > Null && !ev.IsObject() && ev.Value().IsNull()
}

// Builder writes the whole value of an event whose format is parsed lazily.
type Builder interface {
	// AppendValue appends the value, an object, as JSON. What lies behind the
	// result, up to dst's capacity, may be overwritten.
	AppendValue(dst []byte, ev *Event) []byte
}

// Reset prepares ev for the next line, keeping its memory. n is the number of
// slots (Fields.Len).
func (ev *Event) Reset(n int) {
	// This runs once per line, and most lines are bare: the envelope's 300
	// bytes are cleared only if needed.
	if ev.enveloped {
		ev.Log, ev.Partition, ev.Offset, ev.Time = Value{}, Value{}, Value{}, Value{}
		ev.Key, ev.Headers, ev.Src = Value{}, Value{}, Value{}
		ev.enveloped = false
	}
	ev.Bare, ev.AsIs = false, false
	// Of values it is enough to say that they are missing; clearing pointers
	// would cost a detour over the garbage collector.
	ev.value.Kind = Missing
	ev.builder = nil
	ev.noValue = false
	ev.scratch = ev.scratch[:0]
	if cap(ev.Slots) < n {
		ev.Slots = make([]Value, n)
	}
	ev.Slots = ev.Slots[:n]
	for i := range ev.Slots {
		ev.Slots[i].Kind = Missing
	}
}

// SetTime sets the time member.
func (ev *Event) SetTime(v Value) { ev.Time, ev.enveloped = v, true }

// SetHeaders sets the headers member, an object.
func (ev *Event) SetHeaders(v Value) { ev.Headers, ev.enveloped = v, true }

// SetKey sets the key member.
func (ev *Event) SetKey(v Value) { ev.Key, ev.enveloped = v, true }

// SetValue sets the whole value.
func (ev *Event) SetValue(v Value) { ev.value, ev.builder, ev.noValue = v, nil, false }

// SetLazy makes b write the whole value (an object) when somebody asks for it.
func (ev *Event) SetLazy(b Builder) { ev.value, ev.builder, ev.noValue = Value{}, b, false }

// SetLazyBare is SetLazy for an object without a member named value: whatever
// else is in it, no reader takes it for an event, so writing it takes no look
// at its names (see OnlyValue).
func (ev *Event) SetLazyBare(b Builder) {
	// The value is cleared by its Kind alone, as in Reset.
	ev.value.Kind, ev.builder, ev.noValue = Missing, b, true
}

// OnlyValue says that the event is nothing but its value, apart from a time,
// and that a line on which AppendValue alone has written is read back as this
// value. False means that it is not known: ask Classify.
func (ev *Event) OnlyValue() bool {
	if !ev.noValue && (ev.builder != nil || ev.value.Kind == Object) {
		return false
	}
	return !ev.enveloped ||
		ev.Log.Kind|ev.Partition.Kind|ev.Offset.Kind|ev.Key.Kind|ev.Headers.Kind|ev.Src.Kind <= Null
}

// Value returns the whole value, building it where the format is lazy. It is
// valid until Reset.
func (ev *Event) Value() Value {
	if ev.builder != nil {
		n := len(ev.scratch)
		ev.scratch = ev.builder.AppendValue(ev.scratch, ev)
		ev.value = RawValue(ev.scratch[n:len(ev.scratch):len(ev.scratch)])
		ev.builder = nil
	}
	return ev.value
}

// AppendValue appends the whole value as JSON without keeping it.
func (ev *Event) AppendValue(dst []byte) []byte {
	if ev.builder != nil {
		return ev.builder.AppendValue(dst, ev)
	}
	return ev.value.AppendJSON(dst)
}

// IsObject says whether the whole value is an object, without building it.
func (ev *Event) IsObject() bool { return ev.builder != nil || ev.value.Kind == Object }

// Lookup returns a member of the value that no slot was asked for.
func (ev *Event) Lookup(name string) Value { return ev.Value().Lookup(name) }

// Scratch returns n bytes of the event's own memory, valid until Reset.
func (ev *Event) Scratch(n int) []byte {
	k := len(ev.scratch)
	ev.scratch = slices.Grow(ev.scratch, n)[:k+n]
	return ev.scratch[k : k+n : k+n]
}

// Fields is the set of members that the programs of one command read from the
// value of each event. Programs add to it while they are compiled; afterwards
// it is fixed and may be shared by all workers. Each path (".a.b" is the path
// a, b) has a slot; every prefix of a path has one too, so that "no such
// member" and "a is no object" can be told apart.
type Fields struct {
	root field
	n    int
}

type field struct {
	name string // decoded
	slot int    // -1 at the root
	kids []*field
}

// Add asks for a path of member names and returns its slot. Asking again gives
// the same slot. The slots of the prefixes are those of Add(path[:k]...).
func (f *Fields) Add(path ...string) int {
	at := &f.root
next:
	for _, name := range path {
		for _, k := range at.kids {
			if k.name == name {
				at = k
				continue next
			}
		}
		k := &field{name: name, slot: f.n}
		f.n++
		at.kids = append(at.kids, k)
		at = k
	}
	return at.slot
}

// Len returns the number of slots.
func (f *Fields) Len() int { return f.n }

// Top calls yield with each member of the first level that is asked for: its
// name, its slot, and whether deeper members of it are asked for too. Foreign
// formats, which are flat, use it to know what to fill in.
func (f *Fields) Top(yield func(name string, slot int, deeper bool)) {
	for _, k := range f.root.kids {
		yield(k.name, k.slot, len(k.kids) > 0)
	}
}
