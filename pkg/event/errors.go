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
