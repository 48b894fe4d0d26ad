package compact

import (
	"errors"
	"fmt"
	"math/bits"
)

// bitmap has a bit for each event, which is set until the event is dropped. It lies in
// chunks: it grows without being copied.
type bitmap struct {
	n      int64 // events
	chunks []*[chunkWords]uint64
	memory int64 // of which it may take three quarters
}

const (
	chunkWords  = 8 << 10
	chunkBytes  = chunkWords * 8
	chunkEvents = chunkWords * 64
)

// full says whether it must grow before there is another event.
func (b *bitmap) full() bool { return b.n == int64(len(b.chunks))*chunkEvents }

// grow makes room for more events. Their bits are set in advance, those that never come
// are not counted.
func (b *bitmap) grow() error {
	if err := checkMemory(b.n+1, b.memory); err != nil {
		return err
	}
	c := new([chunkWords]uint64)
	for i := range c {
		c[i] = ^uint64(0)
	}
	b.chunks = append(b.chunks, c)
	return nil
}

func (b *bitmap) bytes() int64 { return int64(len(b.chunks)) * chunkBytes }

func (b *bitmap) clear(n int64) {
	b.chunks[n/chunkEvents][n%chunkEvents/64] &^= 1 << (n % 64)
}

func (b *bitmap) has(n int64) bool {
	return b.chunks[n/chunkEvents][n%chunkEvents/64]>>(n%64)&1 != 0
}

// count counts the bits from number from on and before to.
func (b *bitmap) count(from, to int64) (n int64) {
	from, to = max(from, 0), min(to, b.n)
	for from < to {
		c := b.chunks[from/chunkEvents]
		i := from % chunkEvents / 64
		w := c[i] >> (from % 64) << (from % 64)
		next := from&^63 + 64
		if next > to {
			w &= 1<<(to%64) - 1
		}
		n += int64(bits.OnesCount64(w))
		from = next
	}
	return n
}

// neededMemory is how much memory must be allowed for so many events: their bits take
// three quarters of it at most.
func neededMemory(events int64) int64 {
	chunks := (events + chunkEvents - 1) / chunkEvents
	return max((chunks*chunkBytes*4+2)/3, minMemory)
}

// checkMemory returns a *memoryError if so much memory is too little for so many events,
// whatever their keys. Who knows how many there are asks before adding them.
func checkMemory(events, memory int64) error {
	if need := neededMemory(events); need > max(memory, minMemory) {
		return &memoryError{events: events, need: (total(need) + 1<<20 - 1) >> 20}
	}
	return nil
}

// memoryError: there are at least so many events, and even a bit for each is too much
// for the memory that is allowed.
type memoryError struct {
	events int64
	need   int64 // MiB, for all that a run does
}

func (e *memoryError) Error() string {
	return fmt.Sprintf("compacting %d events takes at least %d MiB of memory", e.events, e.need)
}

func (e *memoryError) Hint() string { return fmt.Sprintf("allow it: --memory %dMiB, or more", e.need) }

var errClosed = errors.New("closed")
