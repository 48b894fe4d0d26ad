// Package stream holds the contracts between where events come from and what
// is done with them. It has no implementations.
package stream

import (
	"context"
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
