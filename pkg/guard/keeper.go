package guard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"logtools/pkg/event"
	"logtools/pkg/eventlog"
	"logtools/pkg/expr"
	"logtools/pkg/stream"
)

// index is what a keeper needs of a table.
type index interface {
	stored() int64
	get(h hash, dst []byte) (v []byte, ok bool, err error)
	warm(h hash)
	put(h hash, v []byte)
	full() bool
	store(m eventlog.Mark) error
	refresh(known int64) (bool, error)
	forget()
	over() bool
	clear() error
	close() error
}

// worthStoring is how many events are learned again at most by each process that
// appends only a few: a keeper that has learned more stores that when it is closed.
const worthStoring = 1000

// manyBytes is how much there is to learn at once, in bytes, when it is worth looking
// whether others have stored what is known of it.
const manyBytes = 256 << 10

// keeper keeps the rules of one partition. It implements eventlog.Keeper.
//
// Its table has, for each claim, the offset of the event that has it, and for each
// key that has had an event, the state as JSON.
type keeper struct {
	guard *Guard
	rules *rules
	table index

	known   int64
	learned int // events since the last Store
	many    int // manyBytes

	worker   *worker  // for what is learned
	prepared prepared // likewise

	runner *expr.Runner
	event  event.Event // as the fold sees it
	states *event.Reader
	state  event.Event // as the check sees it
	old    []byte      // a value of the table
	next   []byte      // the state after the event, as JSON
}

// maxSteps is how many steps a fold or a check may take (see expr.Runner.Limit): others
// wait for the lock meanwhile. It is part of what the events in a log mean.
const maxSteps = 1_000_000

func newKeeper(g *Guard, t index) *keeper {
	k := &keeper{
		guard: g, rules: g.rules, table: t, known: t.stored(), many: manyBytes,
		worker: newWorker(g.rules), runner: expr.NewRunner(),
		states: event.NewReader(&g.rules.ofState, event.ValuesOnly),
	}
	k.runner.Limit(maxSteps)
	return k
}

func (k *keeper) Known() int64 { return k.known }

func (k *keeper) Reach(next int64) { k.known = max(k.known, next) }

func (k *keeper) Due(closing bool) bool {
	return k.table.full() || closing && k.learned > worthStoring
}

func (k *keeper) Close() error { return k.table.close() }

func (k *keeper) Forget() error {
	k.table.forget()
	k.known, k.learned = k.table.stored(), 0
	return nil
}

func (k *keeper) Store(m eventlog.Mark) error {
	if m.Next != k.known {
		return fmt.Errorf("rules: the log ends at %d, but %d is known", m.Next, k.known)
	}
	if err := k.table.store(m); err != nil {
		return k.failed(err)
	}
	k.learned = 0
	return nil
}

// failed returns what is said of an error. Of what is damaged nothing is believed
// any more.
func (k *keeper) failed(err error) error {
	if !errors.Is(err, errDamaged) {
		return k.guard.failed(err)
	}
	return k.again()
}

// memoryError says that there is more to remember of what is judged or learned
// together than there is memory for.
type memoryError struct{ memory int64 }

func (e *memoryError) Error() string {
	return fmt.Sprintf("the states of the keys in one batch take more than the memory for the rules of a partition (%d bytes)", e.memory)
}

// Hint says what to do.
func (e *memoryError) Hint() string { return "try a larger --memory, or a smaller --batch-bytes" }

// room returns an error if too much is remembered.
func (k *keeper) room(i int) error {
	if i%together == 0 && k.table.over() {
		return &memoryError{k.guard.memory}
	}
	return nil
}

// again lets go of all that is known.
func (k *keeper) again() error {
	err := k.table.clear()
	k.known, k.learned = k.table.stored(), 0
	if err != nil {
		return err
	}
	return eventlog.ErrAgain
}

func (k *keeper) Learn(b *stream.Block) error {
	if len(b.Data) >= k.many {
		if err := k.refresh(); err != nil {
			return err
		}
	}
	if n := len(b.Pos.Offsets); n > 0 && b.Pos.Offsets[n-1] < k.known {
		return nil
	} else if n == 0 && b.Pos.Base < k.known && b.Pos.Base+int64(bytes.Count(b.Data, lineEnd)) < k.known {
		return nil // its last line may lack its end
	}
	p := &k.prepared
	defer p.reset()
	if err := k.worker.prepare(p, b.Data); err != nil {
		return fmt.Errorf("offset %d: %w", offset(b, len(p.lines)), err)
	}
	for i := range p.lines {
		k.warm(p, i)
		at := offset(b, i)
		if at < k.known {
			continue
		}
		if err := k.take(p, i, at); err != nil {
			return k.failed(err)
		}
		if err := k.room(i); err != nil {
			return err
		}
		k.known = at + 1
		k.learned++
	}
	return nil
}

var lineEnd = []byte{'\n'}

// refresh takes over what other processes have stored, if they know more.
func (k *keeper) refresh() error {
	more, err := k.table.refresh(k.known)
	if err != nil {
		return k.failed(err)
	}
	if more {
		k.known, k.learned = k.table.stored(), 0
	}
	return nil
}

// offset returns the offset of a line of a block.
func offset(b *stream.Block, i int) int64 {
	if len(b.Pos.Offsets) > 0 {
		return b.Pos.Offsets[min(i, len(b.Pos.Offsets)-1)]
	}
	return b.Pos.Base + int64(i)
}

// together is how many lines are looked up at about the same time: to wait for memory
// takes longer than all else there is to do for a line.
const together = 32

// warm, called for each line in turn, prepares the table for those from it on.
func (k *keeper) warm(p *prepared, i int) {
	if i%together != 0 {
		return
	}
	for j := i; j < min(i+together, len(p.lines)); j++ {
		if p.lines[j].flags&claims != 0 {
			k.table.warm(p.lines[j].claim)
		}
		if p.lines[j].flags&folds != 0 {
			k.table.warm(p.foldings[j].hash)
		}
	}
}

// take learns of a line that is in the log.
func (k *keeper) take(p *prepared, i int, at int64) error {
	l := &p.lines[i]
	if l.flags&claims != 0 {
		_, taken, err := k.lookup(l.claim)
		if err != nil {
			return err
		}
		if !taken {
			k.claim(l.claim, at)
		}
	}
	if l.flags&folds != 0 {
		why, err := k.step(p, i)
		if err != nil {
			return err
		}
		if why == "" {
			k.table.put(p.foldings[i].hash, k.next)
		}
	}
	return nil
}

// Judge is eventlog.Keeper's.
func (k *keeper) Judge(given any, _ *stream.Batch, base int64, stop bool) ([]stream.Refusal, error) {
	p := given.(*prepared)
	switch {
	case base < k.known: // of another life of the log
		return nil, k.again()
	case base > k.known:
		return nil, fmt.Errorf("rules: the log ends at %d, but only %d is known", base, k.known)
	}
	var refused []stream.Refusal
	for i := range p.lines {
		k.warm(p, i)
		taken, why, err := k.judge(p, i)
		if err != nil {
			return nil, k.failed(err)
		}
		if err := k.room(i); err != nil {
			return nil, err
		}
		if why == "" {
			k.known++
			k.learned++
			continue
		}
		refused = append(refused, stream.Refusal{Index: i, Reason: why, TakenBy: taken})
		if stop {
			break
		}
	}
	k.guard.release(p)
	return refused, nil
}

// judge says why a line must not be stored, "" if it may: then it has got the offset
// known. takenBy is -1 if it is not known who has its claim.
func (k *keeper) judge(p *prepared, i int) (takenBy int64, why string, err error) {
	l := &p.lines[i]
	switch {
	case l.flags&tombstone != 0:
		return -1, "", nil
	case l.why != "":
		return -1, l.why, nil
	}
	if l.flags&claims != 0 {
		by, taken, err := k.lookup(l.claim)
		if err != nil {
			return -1, "", err
		}
		if taken {
			return by, k.rules.taken, nil
		}
	}
	if l.flags&folds != 0 {
		if why, err = k.step(p, i); err != nil || why != "" {
			return -1, why, err
		}
		if why = k.check(&p.foldings[i]); why != "" {
			return -1, why, nil
		}
		k.table.put(p.foldings[i].hash, k.next)
	}
	if l.flags&claims != 0 {
		k.claim(l.claim, k.known)
	}
	return -1, "", nil
}

// lookup returns the offset of the event that has a claim.
func (k *keeper) lookup(claim hash) (by int64, taken bool, err error) {
	v, taken, err := k.table.get(claim, k.old[:0])
	if err != nil || !taken {
		return 0, false, err
	}
	k.old = v
	if len(v) != 8 {
		return 0, false, errDamaged
	}
	return int64(binary.LittleEndian.Uint64(v)), true, nil
}

// claim notes that the event at an offset has a claim.
func (k *keeper) claim(claim hash, at int64) {
	// On the stack it would not stay: the table is behind an interface.
	k.old = binary.LittleEndian.AppendUint64(k.old[:0], uint64(at))
	k.table.put(claim, k.old)
}

// step leaves the state after a line in k.next, or says why there is none.
func (k *keeper) step(p *prepared, i int) (why string, err error) {
	e := &p.foldings[i]
	state, ok, err := k.table.get(e.hash, k.old[:0])
	if err != nil {
		return "", err
	}
	if ok {
		k.old = state
	} else {
		state = k.rules.init
	}
	n := k.rules.fields.Len()
	ev := &k.event
	ev.Line = e.value.B
	ev.Slots = p.slots[i*n : (i+1)*n : (i+1)*n]
	ev.SetKey(e.key)
	ev.SetValue(e.value)
	k.runner.Reset()
	v, fail := k.rules.fold.Next(k.runner, event.RawValue(state), ev)
	if fail != nil {
		return "fold fails: " + clip(fail.Error()), nil
	}
	if k.next = v.AppendJSON(k.next[:0]); len(k.next) > maxState {
		k.next = nil
		return errLong.Error(), nil
	}
	return "", nil
}

// check says why the state k.next must not be.
func (k *keeper) check(e *folding) (why string) {
	ev, n := &k.state, k.rules.ofState.Len()
	ev.Reset(n)
	if n == 0 {
		ev.Line = k.next
		ev.SetValue(event.RawValue(k.next))
	} else if err := k.states.Read(k.next, ev); err != nil {
		return "check fails: " + clip(err.Error())
	}
	ev.SetKey(e.key)
	ok, err := k.rules.check.Test(k.runner, ev)
	if err != nil {
		return "check fails: " + clip(err.Error())
	}
	if !ok {
		return k.rules.checkFails + clip(string(k.next))
	}
	return ""
}
