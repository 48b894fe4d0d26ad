package logappend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"logtools/pkg/cli"
	"logtools/pkg/eventlog"
	"logtools/pkg/guard"
	"logtools/pkg/stream"
)

// opener opens the log, makes it if it is not there, and changes its settings.
// warn is told what is wrong but no error.
type opener func(ctx context.Context, w *wanted, warn func(msg string)) (*openedLog, error)

// openedLog is what this command needs of a log.
type openedLog struct {
	partitions int
	compacted  bool
	rules      eventlog.Rules
	appender   func() (stream.Appender, error)
}

// change is what the flags want of the log's settings; nil is not given.
type change = eventlog.Change

func openLog(ctx context.Context, w *wanted, warn func(msg string)) (*openedLog, error) {
	if info, err := os.Stat(w.path); err == nil && !info.IsDir() {
		return nil, cli.WithHint(fmt.Errorf("%s: is a file, not a log", w.path), "to read it: logappend LOG < "+w.path)
	}
	timeout := max(w.lockTimeout, time.Millisecond) // 0 is not for ever
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if w.rules == nil && (w.onReject != "" || w.refused != "") {
		// Nothing shall be made for them in vain.
		var has eventlog.Settings
		l, err := eventlog.Open(w.path, eventlog.Options{})
		if err == nil {
			has = l.Settings()
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			if err := w.fits(&has.Rules, has.Partitions); err != nil {
				return nil, err
			}
		}
	}
	c := w.settings
	c.Rules = w.rules
	l, err := eventlog.OpenOrCreate(ctx, w.path, c, eventlog.Options{Warn: warn})
	if dir := filepath.Dir(w.path); errors.Is(err, fs.ErrNotExist) {
		err = cli.WithHint(err, "mkdir -p "+dir)
	}
	if err != nil {
		return nil, err
	}
	settings := l.Settings()
	if err := w.fits(&settings.Rules, settings.Partitions); err != nil {
		return nil, err
	}
	return &openedLog{
		partitions: settings.Partitions,
		compacted:  strings.Contains(settings.Cleanup, "compact"),
		rules:      settings.Rules,
		appender: func() (stream.Appender, error) {
			o := eventlog.AppendOptions{NoSync: w.noSync, LockTimeout: timeout, StopAtRefused: w.onReject == "stop"}
			if !settings.Rules.None() {
				claims := same(keyOf(w.key, &settings.Rules), settings.Rules.Unique)
				g, err := guard.New(l, guard.Options{Memory: w.memory, KeyClaims: claims})
				if err != nil {
					return nil, ruleError(err)
				}
				o.Guard = g
			}
			return l.Appender(o)
		},
	}, nil
}
