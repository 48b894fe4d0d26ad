package logcompact

import (
	"strings"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/compact"
	"logtools/pkg/eventlog"
	"logtools/pkg/when"
)

// policy is what the flags want to be done to logs; what is not given is "" or nil.
type policy struct {
	cleanup     string
	keep        *int
	tombstones  *time.Duration
	minLag      *time.Duration
	retainAge   *time.Duration
	retainBytes *int64
	memory      int64
	dryRun      bool
	lockTimeout time.Duration
}

// usualTombstones is how long a tombstone stays if nothing else is said.
const usualTombstones = 24 * time.Hour

// policy reads the flags. What can be told to be wrong without looking at a log is a
// usage error.
func (o *options) policy() (*policy, error) {
	p := &policy{cleanup: o.cleanup, memory: o.memory, dryRun: o.dryRun}
	if o.keep > 0 {
		n := int(min(o.keep, 1<<30))
		p.keep = &n
	}
	var wait *time.Duration
	for _, d := range []struct {
		flag, text string
		to         **time.Duration
	}{
		{"--tombstones", o.tombstones, &p.tombstones},
		{"--min-lag", o.minLag, &p.minLag},
		{"--retain-age", o.retainAge, &p.retainAge},
		{"--lock-timeout", o.lockTimeout, &wait},
	} {
		if d.text == "" {
			continue
		}
		v, err := when.ParseDuration(d.text)
		if err != nil {
			return nil, cli.Usagef("%s: %w", d.flag, err)
		}
		*d.to = &v
	}
	p.lockTimeout = max(*wait, time.Millisecond) // 0 is not for ever
	if o.retainBytes != "" {
		n, err := cli.ParseSize(o.retainBytes)
		if err != nil {
			return nil, cli.Usagef("--retain-bytes: %w", err)
		}
		p.retainBytes = &n
	}
	if p.cleanup != "" {
		if err := p.fits(p.cleanup, "--cleanup is "+p.cleanup); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// fits returns a usage error if a flag would do nothing with a cleanup; is says which
// one that is, and whose.
func (p *policy) fits(cleanup, is string) error {
	compacts, deletes := parts(cleanup)
	for _, f := range []struct {
		flag
		of   string
		does bool
	}{
		{flag{"--keep", p.keep != nil}, "compact", compacts},
		{flag{"--tombstones", p.tombstones != nil}, "compact", compacts},
		{flag{"--retain-age", p.retainAge != nil}, "delete", deletes},
		{flag{"--retain-bytes", p.retainBytes != nil}, "delete", deletes},
	} {
		if f.given && !f.does {
			e := cli.Usagef("%s belongs to cleanup %s, and %s", f.name, f.of, is)
			e.Hint = "try --cleanup compact,delete, or leave " + f.name + " out"
			return e
		}
	}
	return nil
}

func parts(cleanup string) (compacts, deletes bool) {
	return strings.Contains(cleanup, "compact"), strings.Contains(cleanup, "delete")
}

// of returns what is to be done to the log at path, which has the settings s. Its
// errors are usage errors.
func (p *policy) of(path string, s *eventlog.Settings) (compact.Options, error) {
	none := compact.Options{}
	if !s.Rules.None() {
		ruled := &compact.RulesError{Path: path}
		return none, &cli.Error{Exit: cli.Usage, Err: ruled, Hint: ruled.Hint()}
	}
	cleanup := p.cleanup
	if cleanup == "" {
		cleanup = s.Cleanup
		if cleanup == "none" {
			e := cli.Usagef("%s: the log's setting cleanup is none", path)
			e.Hint = "logcompact --cleanup compact " + path + " for this once, logappend --cleanup compact " + path + " < /dev/null for always"
			return none, e
		}
		if err := p.fits(cleanup, "that of "+path+" is "+cleanup); err != nil {
			return none, err
		}
	}
	o := compact.Options{
		Keep: 1, Tombstones: usualTombstones, RetainAge: s.RetainAge, RetainBytes: s.RetainBytes,
		Memory: p.memory, DryRun: p.dryRun, LockTimeout: p.lockTimeout,
	}
	o.Compact, o.Delete = parts(cleanup)
	give(&o.Keep, p.keep)
	give(&o.Tombstones, p.tombstones)
	give(&o.MinLag, p.minLag)
	give(&o.RetainAge, p.retainAge)
	give(&o.RetainBytes, p.retainBytes)
	if o.Delete && !o.Compact && o.RetainAge == 0 && o.RetainBytes == 0 {
		e := cli.Usagef("%s: cleanup is delete, but there is no limit of age or bytes", path)
		e.Hint = "for example logcompact --cleanup delete --retain-age 30d " + path
		return none, e
	}
	return o, nil
}

// give sets *to if a value is given.
func give[T any](to, value *T) {
	if value != nil {
		*to = *value
	}
}
