package eventlog

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"logtools/pkg/stream"
)

// ErrAgain says that what a Keeper knew is gone, on disk too, since it turned out to
// be damaged or of another life of the log. It has forgotten all by itself: Learn
// from Known on, then Judge again with what Prepare gave.
var ErrAgain = errors.New("what the rules need to know must be learned anew")

// Rules are what a log demands of its events, as texts: package guard knows what
// they mean. "" is none.
type Rules struct {
	// Key is the key that later events get, unless they are given another: what -k
	// was when the rules were made. "": events bring their own.
	Key string `json:"key,omitempty"`
	// Unique is an expression no value of which may come twice.
	Unique string `json:"unique,omitempty"`
	// Fold gives the state of a key after an event, Init is the first state, and
	// Check must be true of each.
	Fold  string `json:"fold,omitempty"`
	Init  string `json:"init,omitempty"`
	Check string `json:"check,omitempty"`
}

// None says that there are no rules.
func (r *Rules) None() bool { return r.Unique == "" && r.Fold == "" }

// maxRule is how long each text of a rule may be.
const maxRule = 16 << 10

// give gives a log with the rules r and so many partitions the rules that are
// wanted, as one change: a log that has rules gets no others. It returns whether r
// changed.
func (r *Rules) give(want *Rules, partitions int) (changed bool, err error) {
	flag, shown := "unique", (&Rules{Unique: want.Unique}).String()
	fold := (&Rules{Fold: want.Fold, Init: want.Init, Check: want.Check}).String()
	if want.Unique == "" {
		flag, shown = "fold", fold
	}
	for _, text := range []string{want.Key, want.Unique, want.Fold, want.Init, want.Check} {
		if len(text) > maxRule || !utf8.ValidString(text) {
			return false, &SettingError{flag, fmt.Sprintf("a rule is a text of at most %d bytes of UTF-8", maxRule), ""}
		}
	}
	switch {
	case want.None():
		return false, nil
	case r.None():
		if want.Unique != "" && want.Key != want.Unique && partitions > 1 {
			return false, &SettingError{flag, fmt.Sprintf("%s cannot hold in a log of %d partitions whose key is another one", shown, partitions),
				"what is equal must come to the same partition: leave -k out"}
		}
		*r = *want
		return true, nil
	case want.Unique != "" && want.Unique != r.Unique:
	case want.Fold != "" && (want.Fold != r.Fold || want.Init != r.Init || want.Check != r.Check):
		flag, shown = "fold", fold
	default:
		return false, nil
	}
	return false, &SettingError{flag, fmt.Sprintf("the log has the rule %s, and cannot get %s", r, shown),
		"the rules of a log are fixed when it gets them: append without naming one, or copy the events into a new log with other rules: logcat LOG | logappend RULES NEW"}
}

// String returns them as flags.
func (r *Rules) String() string {
	var flags []string
	for _, f := range []struct{ name, text string }{
		{"unique", r.Unique}, {"fold", r.Fold}, {"init", r.Init}, {"check", r.Check},
	} {
		if f.text != "" {
			flags = append(flags, "--"+f.name+" "+quoted(f.text))
		}
	}
	return strings.Join(flags, " ")
}

// quoted returns a text as a shell reads it.
func quoted(text string) string {
	if strings.Trim(text, ".abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Mark is a place in a partition that can be told from the same offset of another
// life of the log, such as a copy that was put back: the end of a unit.
type Mark struct {
	Next    int64  // the offset behind the unit
	Segment uint64 // id of the segment that it lies in
	CRC     uint32 // of the unit's header
}

// Guard keeps the rules of a log.
type Guard interface {
	// Keeper returns what keeps them in a partition. It is called under the
	// partition's lock, for each partition that is appended to; for several at the
	// same time. holds says whether a place is one of the log; it may be called
	// during this call.
	Keeper(partition int, holds func(Mark) (bool, error)) (Keeper, error)
	// Prepare looks at a batch before the lock is taken; what it returns is given to
	// Judge. Any number of goroutines may call it. It looks into b.Lines, which must
	// stay as they are until the batch is judged.
	Prepare(b *stream.Batch) (any, error)
}

// Keeper keeps the rules of a log in a partition. Its methods are called by one
// goroutine at a time, all but Due and Close under the partition's lock. After an
// error it knows nothing: Forget comes next, or Close; but after ErrAgain, which
// Learn, Judge and Store may return, see there.
type Keeper interface {
	// Known is the first offset of which it has not learned.
	Known() int64
	// Learn takes events that are in the log, those from Known on, in their order: a
	// block as a Reader gives it out.
	Learn(b *stream.Block) error
	// Reach says that no other events than those learned come before next.
	Reach(next int64)
	// Judge says which lines of a batch must not be stored if the first of the
	// others gets the offset base, and takes those others for stored. With stop it
	// ends at the first that must not, and takes only the lines before it. prepared
	// serves once: only after ErrAgain may it be given again. base is Known.
	// The Refusals, in the order of the lines, are the caller's.
	Judge(prepared any, b *stream.Batch, base int64, stop bool) ([]stream.Refusal, error)
	// Forget makes it forget all that it has not stored: Known goes back.
	Forget() error
	// Due says whether it has learned so much that it is to be stored; closing,
	// whether it is worth it.
	Due(closing bool) bool
	// Store makes what it has learned last beyond the process. All of it is durable
	// in the log, and ends at m: Known is m.Next.
	Store(m Mark) error
	Close() error
}
