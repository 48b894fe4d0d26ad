package guard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/expr"
	"logtools/pkg/stream"
)

// mapDisk is what several mapTables share.
type mapDisk struct {
	next int64
	all  map[hash]string
}

// mapTable is the naive twin of a table.
type mapTable struct {
	disk     *mapDisk
	base     map[hash]string
	next     int64
	recent   map[hash]string
	most     int // of recent
	damageIn int // calls of get until one finds damage; 0 is never
	closed   bool
}

func openMapTable(d *mapDisk, most int) *mapTable {
	return &mapTable{disk: d, base: maps.Clone(d.all), next: d.next, recent: map[hash]string{}, most: most}
}

func (t *mapTable) stored() int64 { return t.next }

func (t *mapTable) get(h hash, dst []byte) ([]byte, bool, error) {
	if t.damageIn > 0 {
		if t.damageIn--; t.damageIn == 0 {
			return nil, false, fmt.Errorf("x: %w", errDamaged)
		}
	}
	v, ok := t.recent[h]
	if !ok {
		v, ok = t.base[h]
	}
	return append(dst, v...), ok, nil
}

func (t *mapTable) put(h hash, v []byte) { t.recent[h] = string(v) }
func (t *mapTable) full() bool           { return len(t.recent) >= t.most }
func (t *mapTable) forget()              { clear(t.recent) }
func (t *mapTable) close() error         { t.closed = true; return nil }

func (t *mapTable) warm(hash) {}

func (t *mapTable) over() bool { return false }

func (t *mapTable) refresh(known int64) (bool, error) {
	if t.disk.next <= known {
		return false, nil
	}
	t.base, t.next = maps.Clone(t.disk.all), t.disk.next
	clear(t.recent)
	return true, nil
}

func (t *mapTable) store(m eventlog.Mark) error {
	if t.base == nil {
		t.base = map[hash]string{}
	}
	maps.Copy(t.base, t.recent)
	clear(t.recent)
	t.next = m.Next
	if t.next > t.disk.next {
		t.disk.next, t.disk.all = t.next, maps.Clone(t.base)
	}
	return nil
}

func (t *mapTable) clear() error {
	t.base, t.next = nil, 0
	clear(t.recent)
	t.disk.next, t.disk.all = 0, nil
	return nil
}

// model says what the rules mean, plainly: with maps, and with programs that only
// gojq runs.
type model struct {
	unique, fold, check *expr.Program
	init                string
	reader              *event.Reader
	runner              *expr.Runner
	claims              map[string]int64
	states              map[string]string
}

func newModel(t testing.TB, r *eventlog.Rules) *model {
	compile := func(src string) *expr.Program {
		if src == "" {
			return nil
		}
		p, err := expr.Compile("def f: "+src+"; f", new(event.Fields))
		if err != nil {
			t.Fatal(err)
		}
		if p.Fast() {
			t.Fatalf("%s is not for gojq", src)
		}
		return p
	}
	m := &model{
		unique: compile(r.Unique), check: compile(r.Check), init: r.Init,
		reader: event.NewReader(new(event.Fields), event.Auto), runner: expr.NewRunner(),
		claims: map[string]int64{}, states: map[string]string{},
	}
	if r.Fold != "" {
		m.fold = compile(". as [$s, $e] | $s | (" + r.Fold + ")")
	}
	return m
}

// whole makes an event of which all members are found, whatever slots there are.
func whole(value, key string) *event.Event {
	ev := new(event.Event)
	ev.Reset(8)
	if event.NewReader(new(event.Fields), event.ValuesOnly).Read([]byte(value), ev) != nil {
		panic(value)
	}
	if key != "" {
		ev.SetKey(event.RawValue([]byte(key)))
	}
	return ev
}

// try says whether an event may be stored at an offset, and stores it if it may, or
// if it is there anyhow.
func (m *model) try(line string, at int64, anyhow bool) (takenBy int64, why string) {
	var in event.Event
	in.Reset(0)
	if err := m.reader.Read([]byte(line), &in); err != nil {
		panic(line + ": " + err.Error())
	}
	key, value := "", string(in.Value().AppendJSON(nil))
	if in.Key.Kind > event.Null {
		key = string(in.Key.AppendCanonical(nil))
	}
	if key != "" && value == "null" {
		return -1, ""
	}
	claim, state := "", ""
	if m.unique != nil {
		m.runner.Reset()
		ev := whole(value, key)
		ev.SetHeaders(in.Headers)
		switch v, err := m.unique.One(m.runner, ev); {
		case err != nil && !anyhow:
			return -1, "unique fails"
		case err == nil && !v.IsNull():
			claim = string(v.AppendCanonical(nil))
		}
		if m.fold != nil && key == "" && !anyhow {
			return -1, "event has no key"
		}
		if by, ok := m.claims[claim]; ok && claim != "" {
			if !anyhow {
				return by, "is taken"
			}
			claim = ""
		}
	}
	if m.fold != nil {
		if key == "" && !anyhow {
			return -1, "event has no key"
		}
		old, ok := m.states[key]
		if !ok {
			old = m.init
		}
		m.runner.Reset()
		v, err := m.fold.One(m.runner, whole("["+old+","+value+"]", key))
		switch {
		case key == "":
		case err != nil:
			if !anyhow {
				return -1, "fold fails"
			}
		default:
			state = string(v.AppendJSON(nil))
			if !anyhow {
				m.runner.Reset()
				if ok, err := m.check.Test(m.runner, whole(state, key)); err != nil || !ok {
					return -1, "check fails"
				}
			}
		}
	}
	if claim != "" {
		m.claims[claim] = at
	}
	if state != "" {
		m.states[key] = state
	}
	return -1, ""
}

// logOf is a partition as a test has it.
type logOf struct {
	lines   []string
	offsets []int64
	next    int64
}

func (l *logOf) append(line string) {
	l.lines = append(l.lines, line)
	l.offsets = append(l.offsets, l.next)
	l.next++
}

// teach has a keeper learn all that it does not know, in blocks of n lines.
func (l *logOf) teach(k eventlog.Keeper, n int) error {
	for i := 0; i < len(l.lines); {
		if l.offsets[i] < k.Known() {
			i++
			continue
		}
		end := min(i+n, len(l.lines))
		b := &stream.Block{Data: []byte(strings.Join(l.lines[i:end], "\n"))}
		if n%2 == 0 {
			b.Data = append(b.Data, '\n')
		}
		b.Pos.Base = l.offsets[i]
		if l.offsets[end-1] != l.offsets[i]+int64(end-i-1) || n%3 == 0 {
			b.Pos.Offsets = l.offsets[i:end]
		}
		if err := k.Learn(b); err != nil {
			return err
		}
		if k.Known() <= l.offsets[end-1] {
			return fmt.Errorf("known %d after %d was learned", k.Known(), l.offsets[end-1])
		}
		i = end
	}
	k.Reach(l.next)
	return nil
}

func batchOf(lines []string) *stream.Batch {
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	return &stream.Batch{Lines: b.Bytes(), Count: len(lines)}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
