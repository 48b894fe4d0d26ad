package logcompact

import (
	"errors"
	"strings"
	"testing"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/compact"
	"logtools/pkg/eventlog"
)

const day = 24 * time.Hour

// What the flags and the settings of a log make of each other.
func TestPolicy(t *testing.T) {
	type want = compact.Options
	for _, c := range []struct {
		flags    func(*options)
		settings eventlog.Settings
		want     want
		err      string // beginning
		hint     string // part
	}{
		{settings: eventlog.Settings{Cleanup: "compact"}, want: want{Compact: true}},
		{settings: eventlog.Settings{Cleanup: "compact", RetainAge: day}, want: want{Compact: true, RetainAge: day}},
		{settings: eventlog.Settings{Cleanup: "delete", RetainBytes: 7}, want: want{Delete: true, RetainBytes: 7}},
		{settings: eventlog.Settings{Cleanup: "compact,delete"}, want: want{Compact: true, Delete: true}},
		{flags: func(o *options) { o.keep, o.tombstones, o.minLag = 3, "0", "1h30m" }, settings: eventlog.Settings{Cleanup: "compact"},
			want: want{Compact: true, Keep: 3, Tombstones: -1, MinLag: 90 * time.Minute}},
		{flags: func(o *options) { o.cleanup, o.retainAge, o.retainBytes = "compact,delete", "30d", "1K" },
			settings: eventlog.Settings{Cleanup: "none", RetainAge: day, RetainBytes: 7},
			want:     want{Compact: true, Delete: true, RetainAge: 30 * day, RetainBytes: 1024}},
		{flags: func(o *options) { o.cleanup = "compact" }, settings: eventlog.Settings{Cleanup: "delete", RetainAge: day},
			want: want{Compact: true, RetainAge: day}},
		{flags: func(o *options) { o.dryRun, o.memory, o.lockTimeout = true, 5<<20, "0" }, settings: eventlog.Settings{Cleanup: "compact"},
			want: want{Compact: true, DryRun: true, Memory: 5 << 20, LockTimeout: time.Millisecond}},

		{settings: eventlog.Settings{Cleanup: "none"}, err: "dir/users: the log's setting cleanup is none",
			hint: "logcompact --cleanup compact dir/users for this once, logappend --cleanup compact dir/users < /dev/null for always"},
		{settings: eventlog.Settings{Cleanup: "delete"}, err: "dir/users: cleanup is delete, but there is no limit", hint: "--retain-age 30d dir/users"},
		{flags: func(o *options) { o.cleanup = "delete" }, settings: eventlog.Settings{Cleanup: "none"}, err: "dir/users: cleanup is delete, but there is no limit"},
		// A limit of 0 is none, whatever the setting.
		{flags: func(o *options) { o.retainAge = "0" }, settings: eventlog.Settings{Cleanup: "delete", RetainAge: day}, err: "dir/users: cleanup is delete"},
		{settings: eventlog.Settings{Cleanup: "compact", Rules: eventlog.Rules{Unique: ".id"}}, err: "dir/users: has rules", hint: "logcat dir/users | logappend NEW"},
		{flags: func(o *options) { o.cleanup, o.retainAge = "delete", "1d" },
			settings: eventlog.Settings{Cleanup: "none", Rules: eventlog.Rules{Fold: ".+1", Init: "0", Check: "true"}}, err: "dir/users: has rules"},
		// What would do nothing.
		{flags: func(o *options) { o.retainAge = "1d" }, settings: eventlog.Settings{Cleanup: "compact"},
			err: "--retain-age belongs to cleanup delete, and that of dir/users is compact", hint: "try --cleanup compact,delete, or leave --retain-age out"},
		{flags: func(o *options) { o.retainBytes = "0" }, settings: eventlog.Settings{Cleanup: "compact"}, err: "--retain-bytes belongs to cleanup delete"},
		{flags: func(o *options) { o.keep = 1 }, settings: eventlog.Settings{Cleanup: "delete", RetainAge: day}, err: "--keep belongs to cleanup compact, and that of dir/users is delete"},
		{flags: func(o *options) { o.tombstones = "24h" }, settings: eventlog.Settings{Cleanup: "delete", RetainAge: day}, err: "--tombstones belongs to cleanup compact"},
		{flags: func(o *options) { o.cleanup, o.keep = "delete", 2 }, settings: eventlog.Settings{Cleanup: "compact"}, err: "--keep belongs to cleanup compact, and --cleanup is delete"},
		{flags: func(o *options) { o.cleanup, o.retainAge = "compact", "1d" }, settings: eventlog.Settings{Cleanup: "delete"}, err: "--retain-age belongs to cleanup delete, and --cleanup is compact"},
		// Values.
		{flags: func(o *options) { o.tombstones = "1" }, err: "--tombstones: "},
		{flags: func(o *options) { o.minLag = "x" }, err: "--min-lag: "},
		{flags: func(o *options) { o.retainAge = "-1d" }, err: "--retain-age: "},
		{flags: func(o *options) { o.retainBytes = "1X" }, err: "--retain-bytes: "},
		{flags: func(o *options) { o.lockTimeout = "soon" }, err: "--lock-timeout: "},
	} {
		o := usual(nil)
		if c.flags != nil {
			c.flags(o)
		}
		p, err := o.policy()
		var got compact.Options
		if err == nil {
			got, err = p.of("dir/users", &c.settings)
		}
		if c.err != "" {
			var e *cli.Error
			if !errors.As(err, &e) || e.Exit != cli.Usage || !strings.HasPrefix(e.Error(), c.err) || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("%+v: %v, want %s", c.settings, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c.settings, err)
			continue
		}
		// What is usual, where nothing else is wanted.
		w := c.want
		if w.Keep == 0 {
			w.Keep = 1
		}
		if w.Tombstones == 0 {
			w.Tombstones = day
		}
		w.Tombstones = max(w.Tombstones, 0)
		if w.Memory == 0 {
			w.Memory = 256 << 20
		}
		if w.LockTimeout == 0 {
			w.LockTimeout = 30 * time.Second
		}
		if g := got; g.Compact != w.Compact || g.Delete != w.Delete || g.Keep != w.Keep || g.Tombstones != w.Tombstones || g.MinLag != w.MinLag ||
			g.RetainAge != w.RetainAge || g.RetainBytes != w.RetainBytes || g.Memory != w.Memory || g.DryRun != w.DryRun || g.LockTimeout != w.LockTimeout {
			t.Errorf("%+v: %+v, want %+v", c.settings, got, w)
		}
	}
}
