package event

import "fmt"

// BadError says that a line (or an event) is bad input: it is named, counted
// and skipped, and the rest goes on.
type BadError struct {
	// Reason is what is wrong, in lower case, without a full stop.
	Reason string
	// Column is the byte of the line, from 1, at which it went wrong; 0 if
	// there is no such place.
	Column int
	// Hint says what to type instead; it is shown once for all such lines.
	Hint string
}

func (e *BadError) Error() string {
	if e.Column > 0 {
		return fmt.Sprintf("%s at column %d", e.Reason, e.Column)
	}
	return e.Reason
}

// Bad returns a BadError without a column.
func Bad(format string, args ...any) error {
	return &BadError{Reason: fmt.Sprintf(format, args...)}
}

// DamagedError says that stored data is not what was written. Reading goes on
// behind it; nothing was deleted.
type DamagedError struct {
	File     string
	From, To int64 // the range of bytes; To is less than 0 if it is the file's end
	// First and Next are the range of offsets that cannot be read: First up to,
	// but not including Next. Next is less than 0 if it is not known.
	First, Next int64
	Reason      string
}

func (e *DamagedError) Error() string {
	bytes := fmt.Sprintf("bytes %d to %d", e.From, e.To-1)
	if e.To < 0 {
		bytes = fmt.Sprintf("bytes %d to the end", e.From)
	}
	offsets := ""
	switch {
	case e.Next < 0:
		offsets = fmt.Sprintf(", offsets %d and later", e.First)
	case e.Next == e.First+1:
		offsets = fmt.Sprintf(", offset %d", e.First)
	case e.Next > e.First:
		offsets = fmt.Sprintf(", offsets %d to %d", e.First, e.Next-1)
	}
	return fmt.Sprintf("%s: damaged: %s%s: %s", e.File, bytes, offsets, e.Reason)
}

// GoneError says that a position is no longer, or was never, in this log.
type GoneError struct {
	Name  string // of the log
	What  string // such as "offset 12 is before the first, 345"
	Hints string
}

func (e *GoneError) Error() string { return e.Name + ": " + e.What }

// Hint says what to do.
func (e *GoneError) Hint() string { return e.Hints }

// RetryError says that trying again later may help.
type RetryError struct{ Err error }

func (e *RetryError) Error() string { return e.Err.Error() }

func (e *RetryError) Unwrap() error { return e.Err }
