// Package compact keeps a log small: of each key the newest events, of old segments
// none, and of many small segments few. What is to go is decided by pure functions
// (plan.go, keys.go); how segments are replaced so that the log is correct after each
// step is eventlog.Maintenance's.
package compact
