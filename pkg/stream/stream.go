// Package stream holds the contracts between where events come from and what
// is done with them. It has no implementations.
package stream

import (
	"context"
	"fmt"
	"time"
)

// Block is a piece of an input: whole lines, as they lie there.
type Block struct {
	// Data are whole lines. Each ends with '\n', except the last line of an
	// input, which may lack it. A byte order mark at the start of an input is
	// left out. Data may be empty.
	Data []byte
	// Input is the index of the operand the block comes from, and Name what
	// messages call it (a path, or "-" for standard input).
	Input int
	Name  string
	// First: this is the first block of that input. It is there for every
	// input that could be opened, also for an empty one (then without Data).
	First bool
	// Seq numbers the blocks of all inputs without gaps, from 0.
	Seq int64
	// SeqInInput numbers the blocks of this input without gaps, from 0.
	SeqInInput int64
	// Long is a part of one line that is longer than the limit: Data is then
	// not whole lines but a piece of that line (without its '\n'), and the
	// pieces follow each other in Seq. LongEnd marks the last one.
	Long, LongEnd bool
	// Last: no more blocks of this input follow (those with Err apart). It comes
	// after the last data of each input that could be opened, in a block without
	// Data. An input that is followed has none.
	Last bool
	// ModTime is when the input was last changed, as far as known.
	ModTime time.Time
	// Live: all that the inputs held when reading began has been given out. It
	// is set on one block without Data, and only where inputs are followed.
	Live bool
	// Pos says where the lines lie in a log, if they come from one: then
	// Pos.Partition is 0 or more, Data has no blank lines, and all lines are
	// valid (in the uniform format, as logappend writes it).
	Pos Positions
	// Err is an error of this input only, such as a file that cannot be
	// opened or that breaks off in the middle of a gzip member: the blocks
	// of other inputs still follow. Data is then empty.
	Err error

	// Buf is what Data points into, for reuse by the implementation.
	Buf []byte
}

// Blocks is an input cut into blocks.
//
// Next fills b with the next block, reusing b.Buf if it is large enough; it
// returns io.EOF after the last block of the last input. Several goroutines
// may call Next at the same time, each with a Block of its own; Seq tells the
// order. Data belongs to the caller until it calls Next with the same Block
// again. Next blocks while a live input has nothing to give and never holds
// back a complete line that has arrived. When ctx is done it returns ctx's
// error (promptly also while it waits for input). Any other error than io.EOF
// means that nothing more can be read; errors of one input travel in
// Block.Err.
type Blocks interface {
	Next(ctx context.Context, b *Block) error
}

// Meter tells how far the reading has come, for progress and status lines.
// It may be called at any time from any goroutine.
type Meter interface {
	// Progress returns the bytes read so far (as stored: of a compressed file
	// the compressed ones) and their total, -1 if it is not known.
	Progress() (done, total int64)
}

// Positions are the positions of the lines of a block in a log.
type Positions struct {
	// InLog: the block comes from a log; without it the rest means nothing.
	InLog bool
	// Log is the log's base name.
	Log       string
	Partition int32
	// Base is the offset of the first line. The lines' offsets follow each
	// other without gaps, unless Offsets has them, one per line.
	Base    int64
	Offsets []int64
	// Appended is when the lines were appended, in microseconds since 1970: the
	// time of those events that have none of their own. Times, if not empty, has
	// it instead, in runs.
	Appended int64
	Times    []TimeRun
}

// Offset returns the offset of a line, counted from 0.
func (p *Positions) Offset(line int64) int64 {
	if uint64(line) < uint64(len(p.Offsets)) {
		return p.Offsets[line]
	}
	return p.Base + line
}

// TimeRun is a number of lines that were appended at the same time.
type TimeRun struct {
	Lines    int64
	Appended int64 // microseconds since 1970
}

// Instant is a moment as an event's time gives it. It orders as (Sec, Nsec).
type Instant struct {
	Sec  int64 // since 1970
	Nsec int32 // 0 to 999,999,999
}

// Before says that i is earlier than u.
func (i Instant) Before(u Instant) bool {
	return i.Sec < u.Sec || i.Sec == u.Sec && i.Nsec < u.Nsec
}

// Batch is what is stored together, wholly or not at all: lines of one partition
// in the uniform format, without their log, partition and offset, and with a time
// only if it is the event's own.
type Batch struct {
	Partition int
	// Lines end with '\n' each. They must not be changed until the batch is done.
	Lines []byte
	Count int
	// MinTime and MaxTime are the bounds of the events' own times, if Timed of
	// them, more than 0, have one.
	MinTime, MaxTime Instant
	Timed            int
	// Expect is the offset that the first line must get; less than 0 if it may
	// be any. A batch without lines only asks whether it holds.
	Expect int64
}

// Ack says where a batch lies. Its events, without those that were refused, have
// the offsets Offset to Offset+Count-1.
type Ack struct {
	Partition int
	Offset    int64
	Count     int
	// Refused are the events that the log's rules refuse, in their order: they are
	// not stored. Stopped: the first of them ended all appending (those behind it
	// are not stored either).
	Refused  []Refusal
	Stopped  bool
	Appended int64 // microseconds since 1970
	// Durable: it survives a power cut, and not only the death of the process.
	Durable bool
}

// Refusal says why an event of a batch was not stored.
type Refusal struct {
	Index  int // of its line, from 0
	Reason string
	// TakenBy is the offset of the event that has what this one claims; -1 if that
	// is not the reason.
	TakenBy int64
}

// Appender stores batches.
//
// Append hands one over and returns when there is room for the next; it may be
// called by one goroutine at a time. done is called once for each batch, those
// of a partition in their order, by any goroutine: with its Ack once it is stored
// as safely as was asked for, or with the error. What was not acknowledged is
// there wholly or not at all. After an error that is not an *ExpectError nothing
// more is stored in that partition, and all later batches of it get that error;
// what to do then is the caller's decision, never the Appender's: it does not
// store a batch twice.
//
// Flush returns when all batches handed over are done. Close flushes, and frees
// what the Appender held.
type Appender interface {
	Append(ctx context.Context, b *Batch, done func(Ack, error)) error
	Flush(ctx context.Context) error
	Close() error
}

// Cursor is a position in a source as text: opaque, printable, without spaces,
// and valid in any later run. Committing one says that all before it is done.
type Cursor string

// An error of reading has one of four kinds, which package event names: bad (a
// line), damaged, gone, retry. Any other error is of the system.

// ExpectError says that a batch was not stored since its Expect did not hold.
type ExpectError struct {
	Partition int
	Expected  int64
	Next      int64 // the offset that it would have got
}

func (e *ExpectError) Error() string {
	return fmt.Sprintf("partition %d: the next offset is %d, not %d: nothing was stored", e.Partition, e.Next, e.Expected)
}

// StoppedError says that a batch was not stored since an event handed over before it
// was refused, and that was to end all appending.
type StoppedError struct {
	Partition int // of the event
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("partition %d: an event was refused: nothing more is stored", e.Partition)
}
