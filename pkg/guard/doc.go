// Package guard keeps the rules of a log: that no value of an expression comes
// twice (unique), and that a state folded over the events of a key passes a check
// (fold). It implements eventlog.Guard, which says when what is asked.
//
// # What the rules mean
//
// The order of the log settles everything, one partition at a time. What is known of
// a partition at an offset is a function of the events before it, whoever computes
// it: so programs may not look at what can be another when an event is read back
// (its time, its position, the clock).
//
//   - unique claims the canonical JSON of what the expression gives, for ever; null
//     claims nothing. An event whose claim is taken is refused, and so is one on
//     which the expression fails.
//   - fold takes the state of the event's key, at first init, to the next one, which
//     the check must be true of. Else the event is refused, as it is if either
//     program fails, or if it has no key. The state is at most 64 KiB of JSON.
//   - a tombstone, an event with a key whose value is null, passes: it claims
//     nothing, changes no state, and frees nothing.
//
// Events that were in the log before it had rules claim and fold too, without being
// checked: a claim that was taken stays with the first, and what cannot be folded
// leaves the state alone.
//
// # Where it is kept
//
// A Keeper holds the claims and the states of a partition in a table whose keys are
// hashes of 128 bits: partly in memory, partly in files below the log's directory
// guard, which are derived from the log and say how far of it. Whatever is missing,
// damaged, of other rules or of another log is learned anew.
package guard
