package scan

// Span is a piece of a Result's output: what became of one line, or of several that
// follow each other, each of which is an event that was passed on as one line of
// output.
type Span struct {
	End    int   // of the piece in Out; it begins where the one before ends
	Line   int64 // of the block, from 0: the first one
	Lines  int
	Events int // that were put out: as many as the operator noted ends of, or one
}

// Lines is how many lines of a log the block has, those that did not pass too. It is
// 0 if more parts of the block's result follow, or if the run ends in it.
func (r *Result) Lines() int64 { return r.lines }

// TellBad hands over the bad lines of a log now: Sink.Bad does not get them any more.
// It is for a Sink that makes something of the events for good that must not be
// before these are known. line is the line's offset.
func (r *Result) TellBad(tell func(name string, line int64, reason error, raw []byte) error) error {
	bad := r.bad
	r.bad = r.bad[:0]
	for _, b := range bad {
		if err := tell(r.Name, r.Pos.Offset(b.line), b.reason, b.raw); err != nil {
			return err
		}
	}
	return nil
}
