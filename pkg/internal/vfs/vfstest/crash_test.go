package vfstest_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"logtools/pkg/internal/vfs"
	"logtools/pkg/internal/vfs/vfstest"
)

// state is all names and contents of a Mem.
func state(t testing.TB, m *vfstest.Mem) string {
	t.Helper()
	var b strings.Builder
	for _, name := range m.Names() {
		fmt.Fprintf(&b, "%s", name)
		if !strings.HasSuffix(name, "/") {
			content, err := m.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "=%q", content)
		}
		b.WriteByte(' ')
	}
	return strings.TrimSuffix(b.String(), " ")
}

// must is for calls that go well.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, fs vfs.FS, name string) vfs.File {
	t.Helper()
	f, err := fs.Open(name, vfs.Create)
	must(t, err)
	return f
}

func open(t testing.TB, fs vfs.FS, name string) vfs.File {
	t.Helper()
	f, err := fs.Open(name, vfs.ReadWrite)
	must(t, err)
	return f
}

func write(t testing.TB, f vfs.File, off int64, p string) {
	t.Helper()
	n, err := f.WriteAt([]byte(p), off)
	if n != len(p) {
		t.Fatalf("WriteAt = %d, %v", n, err)
	}
	must(t, err)
}

// What is lost when everything is lost that can be.
func TestLoseAll(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(m *vfstest.Mem)
		want string // a is there before, with "old"
	}{
		{"nothing done", func(m *vfstest.Mem) {}, `a="old"`},
		{"write", func(m *vfstest.Mem) { write(t, open(t, m, "a"), 0, "new") }, `a="old"`},
		{"write, sync", func(m *vfstest.Mem) {
			f := open(t, m, "a")
			write(t, f, 0, "new")
			must(t, f.Sync())
			write(t, f, 0, "NEWER")
		}, `a="new"`},
		{"truncate", func(m *vfstest.Mem) { must(t, open(t, m, "a").Truncate(0)) }, `a="old"`},
		{"truncate, sync", func(m *vfstest.Mem) {
			f := open(t, m, "a")
			must(t, f.Truncate(1))
			must(t, f.Truncate(2))
			must(t, f.Sync())
		}, `a="o\x00"`},
		{"sync by another handle", func(m *vfstest.Mem) {
			write(t, open(t, m, "a"), 0, "new")
			must(t, open(t, m, "a").Sync())
		}, `a="new"`},
		{"create", func(m *vfstest.Mem) { must(t, create(t, m, "b").Sync()) }, `a="old"`},
		{"create, directory synced", func(m *vfstest.Mem) {
			write(t, create(t, m, "b"), 0, "B")
			must(t, m.SyncDir("."))
		}, `a="old" b=""`},
		{"remove", func(m *vfstest.Mem) { must(t, m.Remove("a")) }, `a="old"`},
		{"remove, synced", func(m *vfstest.Mem) { must(t, m.Remove("a")); must(t, m.SyncDir(".")) }, ``},
		{"replace", func(m *vfstest.Mem) {
			f := create(t, m, "b")
			write(t, f, 0, "new")
			must(t, f.Sync())
			must(t, m.Rename("b", "a"))
		}, `a="old"`},
		{"replace, synced", func(m *vfstest.Mem) {
			f := create(t, m, "b")
			write(t, f, 0, "new")
			must(t, f.Sync())
			must(t, m.Rename("b", "a"))
			must(t, m.SyncDir("."))
		}, `a="new"`},
		{"replace, content not synced", func(m *vfstest.Mem) {
			write(t, create(t, m, "b"), 0, "new")
			must(t, m.Rename("b", "a"))
			must(t, m.SyncDir("."))
		}, `a=""`},
		{"directory not synced", func(m *vfstest.Mem) {
			must(t, m.Mkdir("d"))
			create(t, m, "d/x")
			must(t, m.SyncDir("d"))
		}, `a="old"`},
		{"directory built and renamed", func(m *vfstest.Mem) {
			must(t, m.Mkdir("d"))
			f := create(t, m, "d/x")
			write(t, f, 0, "X")
			must(t, f.Sync())
			must(t, m.SyncDir("d"))
			must(t, m.Rename("d", "e"))
			must(t, m.SyncDir("."))
		}, `a="old" e/ e/x="X"`},
		{"between directories, one synced", func(m *vfstest.Mem) {
			must(t, m.Mkdir("d"))
			must(t, m.SyncDir("."))
			create(t, m, "b")
			must(t, m.Rename("b", "d/b"))
			must(t, m.Rename("a", "d/a"))
			create(t, m, "a")
			must(t, m.SyncDir("d"))
			must(t, m.SyncDir("."))
		}, `a="" d/ d/a="old" d/b=""`},
		{"lock file", func(m *vfstest.Mem) { _, err := m.Lock("l"); must(t, err) }, `a="old"`},
		{"failed sync, and one that went well", func(m *vfstest.Mem) {
			f := open(t, m, "a")
			write(t, f, 0, "new")
			m.Fail(1, syscall.EIO, false)
			if f.Sync() == nil || !m.Fired() {
				t.Error("the sync did not fail")
			}
			must(t, f.Sync())
		}, `a="old"`},
		{"failed sync, and more written", func(m *vfstest.Mem) {
			f := open(t, m, "a")
			write(t, f, 0, strings.Repeat("1", 513))
			m.Fail(1, syscall.EIO, false)
			f.Sync()
			write(t, f, 513, "2")
			must(t, f.Sync())
		}, `a="old` + strings.Repeat(`\x00`, 509) + `12"`},
		{"failed sync, and the beginning written again", func(m *vfstest.Mem) {
			f := open(t, m, "a")
			write(t, f, 0, strings.Repeat("1", 513))
			m.Fail(1, syscall.EIO, false)
			f.Sync()
			write(t, f, 0, "2")
			must(t, f.Sync()) // the size is durable, the end is not
		}, `a="2` + strings.Repeat("1", 511) + `\x00"`},
		{"failed sync, and the end cut off", func(m *vfstest.Mem) {
			f := open(t, m, "a")
			write(t, f, 0, strings.Repeat("1", 512))
			m.Fail(1, syscall.EIO, false)
			f.Sync()
			must(t, f.Truncate(2))
			must(t, f.Sync())
		}, `a="11"`},
		{"failed sync of a directory", func(m *vfstest.Mem) {
			create(t, m, "b")
			m.Fail(1, syscall.EIO, false)
			if m.SyncDir(".") == nil {
				t.Error("the sync did not fail")
			}
		}, `a="old"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := vfstest.New()
			m.WriteFile("a", []byte("old"))
			tt.do(m)
			before := state(t, m)
			n := len(m.Log())
			if got := state(t, m.Crash(n, vfstest.LoseAll())); got != tt.want {
				t.Errorf("left: %s\nwant: %s", got, tt.want)
			}
			killed := m.Crash(n, vfstest.KeepAll())
			if got := state(t, killed); got != before {
				t.Errorf("after a kill: %s\nbefore: %s", got, before)
			}
			// To be killed syncs nothing.
			if got := state(t, killed.Crash(0, vfstest.LoseAll())); got != tt.want {
				t.Errorf("left after a kill: %s\nwant: %s", got, tt.want)
			}
			// What a power cut left is durable.
			left := m.Crash(n, vfstest.Random(1))
			if a, b := state(t, left), state(t, left.Crash(0, vfstest.LoseAll())); a != b {
				t.Errorf("after a second cut: %s\nafter the first: %s", b, a)
			}
		})
	}
}

// outcomes are the states that many power cuts leave.
func outcomes(t *testing.T, m *vfstest.Mem, loss func(uint64) vfstest.Loss) []string {
	t.Helper()
	all := map[string]bool{}
	for seed := range uint64(2000) {
		all[state(t, m.Crash(len(m.Log()), loss(seed)))] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// All that may be left is left by some seed, and nothing else.
func TestOutcomes(t *testing.T) {
	full := func(c string) string { return strings.Repeat(c, 512) }
	for _, tt := range []struct {
		name            string
		do              func(m *vfstest.Mem)
		random, ordered []string
	}{
		{
			"names", func(m *vfstest.Mem) { create(t, m, "b"); must(t, m.Remove("a")) },
			[]string{``, `a=""`, `a="" b=""`, `b=""`},
			[]string{`a=""`, `a="" b=""`, `b=""`},
		},
		{
			"a rename is one step", func(m *vfstest.Mem) { must(t, m.Rename("a", "b")); must(t, m.Rename("b", "c")) },
			[]string{`a=""`, `b=""`, `c=""`},
			[]string{`a=""`, `b=""`, `c=""`},
		},
		{
			"a rename over what was renamed", func(m *vfstest.Mem) {
				m.WriteFile("a", []byte("1"))
				m.WriteFile("b", []byte("2"))
				must(t, m.Rename("a", "c"))
				must(t, m.Rename("b", "a"))
				must(t, m.Rename("c", "d"))
			},
			[]string{`a="1" b="2"`, `b="2" c="1"`, `a="2"`, `b="2" d="1"`, `a="2" c="1"`, `a="2" d="1"`},
			[]string{`a="1" b="2"`, `b="2" c="1"`, `a="2" c="1"`, `a="2" d="1"`},
		},
		{
			"after a failed sync, and one that went well", func(m *vfstest.Mem) {
				f := open(t, m, "a")
				write(t, f, 0, full("1"))
				m.Fail(1, syscall.EIO, false)
				f.Sync()
				write(t, f, 512, "2")
				must(t, f.Sync())
			},
			[]string{`a="` + full("1") + `2"`, `a="` + full(`\x00`) + `2"`},
			[]string{`a="` + full("1") + `2"`, `a="` + full(`\x00`) + `2"`},
		},
		{
			"sectors", func(m *vfstest.Mem) {
				f := open(t, m, "a")
				write(t, f, 0, full("1")+full("2"))
			},
			[]string{
				`a=""`, `a="` + full("1") + full("2") + `"`, `a="` + full("1") + full(`\x00`) + `"`,
				`a="` + full(`\x00`) + full("2") + `"`, `a="` + full(`\x00`) + full(`\x00`) + `"`,
			},
			[]string{`a=""`, `a="` + full("1") + full("2") + `"`, `a="` + full("1") + `"`},
		},
		{
			"states of a sector", func(m *vfstest.Mem) {
				f := open(t, m, "a")
				write(t, f, 0, "1")
				write(t, f, 1, "2")
			},
			// Never the second without the first: the sector is one.
			[]string{`a=""`, `a="1"`, `a="12"`, `a="1\x00"`, `a="\x00"`, `a="\x00\x00"`},
			[]string{`a=""`, `a="1"`, `a="12"`},
		},
		{
			"old content", func(m *vfstest.Mem) {
				f := open(t, m, "a")
				write(t, f, 0, "old")
				must(t, f.Sync())
				must(t, f.Truncate(1))
				write(t, f, 1, "N")
			},
			[]string{`a="o"`, `a="oN"`, `a="oN\x00"`, `a="o\x00"`, `a="o\x00\x00"`, `a="ol"`, `a="old"`},
			[]string{`a="o"`, `a="oN"`, `a="old"`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := vfstest.New()
			m.WriteFile("a", nil)
			tt.do(m)
			slices.Sort(tt.random)
			if got := outcomes(t, m, vfstest.Random); !slices.Equal(got, sorted(tt.random)) {
				t.Errorf("random: %q\nwant: %q", got, tt.random)
			}
			if got := outcomes(t, m, vfstest.Ordered); !slices.Equal(got, sorted(tt.ordered)) {
				t.Errorf("ordered: %q\nwant: %q", got, tt.ordered)
			}
		})
	}
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// history does a few hundred operations drawn from a program.
func history(t testing.TB, m *vfstest.Mem, program []byte) {
	t.Helper()
	names := []string{"a", "b", "d/a", "d/b", "d", "e"}
	var files []vfs.File
	m.Mkdir("d")
	for ; len(program) >= 3; program = program[3:] {
		op, x, y := program[0], program[1], program[2]
		name, other := names[int(x)%len(names)], names[int(y)%len(names)]
		if op%16 == 15 {
			m.Fail(1+int(y)%3, syscall.EIO, y%2 == 0)
			continue
		}
		switch op % 8 {
		case 0:
			if f, err := m.Open(name, vfs.Create); err == nil {
				files = append(files, f)
			}
		case 1:
			m.Rename(name, other)
		case 2:
			m.Remove(name)
		case 3:
			m.SyncDir([]string{".", "d", "e"}[x%3])
		case 4:
			m.Mkdir(name)
		}
		if len(files) == 0 {
			continue
		}
		f := files[int(x)%len(files)]
		switch op % 8 {
		case 5:
			f.WriteAt(bytes.Repeat([]byte{'A' + op/8}, int(y)*5), int64(x)*7)
		case 6:
			f.Truncate(int64(y) * 9)
		case 7:
			f.Sync()
		}
	}
}

// FuzzCrash checks at every point of a history what holds for all losses: equal
// ones are equal, in whatever order they are asked for; a kill loses nothing; after
// all was synced no cut loses anything.
func FuzzCrash(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x05\x00\x70\x07\x00\x00\x03\x00\x00\x01\x00\x01\x05\x01\x90\x06\x00\x20\x03\x00\x00"))
	f.Add([]byte("\x00\x02\x00\x05\x00\xf0\x0f\x00\x00\x07\x00\x00\x05\x10\x90\x07\x00\x00\x03\x01\x00\x02\x02\x00\x01\x04\x05\x03\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x05\x00\x00")) // writes nothing
	f.Add([]byte("000200020120"))             // a name given again, from another directory
	f.Fuzz(func(t *testing.T, program []byte) {
		m := vfstest.New()
		m.WriteFile("e/x", []byte("x"))
		history(t, m, program[:min(len(program), 240)])
		m.Fail(0, nil, false)
		ops := m.Log()
		losses := []vfstest.Loss{vfstest.LoseAll(), vfstest.Ordered(7), vfstest.Random(7), vfstest.KeepAll(), vfstest.KeepTorn()}
		first := map[string]string{}
		before := map[vfstest.Loss]string{}
		for n := range len(ops) + 1 {
			for _, l := range losses {
				got := state(t, m.Crash(n, l))
				first[fmt.Sprint(n, l)] = got
				if n > 0 && !ops[n-1].Changes() && (l == losses[0] || l == losses[3]) && got != before[l] {
					t.Fatalf("%v changed what %v leaves", ops[n-1], l)
				}
				before[l] = got
			}
		}
		for n := len(ops); n >= 0; n-- {
			for _, l := range losses {
				if got := state(t, m.Crash(n, l)); got != first[fmt.Sprint(n, l)] {
					t.Fatalf("%v after %d: %s\nthe first time: %s", l, n, got, first[fmt.Sprint(n, l)])
				}
			}
		}
		now := state(t, m)
		if got := first[fmt.Sprint(len(ops), vfstest.KeepAll())]; got != now {
			t.Fatalf("after a kill %s\nbefore %s", got, now)
		}
		if slices.ContainsFunc(ops, func(o vfstest.Op) bool { return o.Kind == vfstest.Sync && o.Err != nil }) {
			return
		}
		for _, name := range append(m.Names(), "/") {
			if strings.HasSuffix(name, "/") {
				must(t, m.SyncDir(name))
			} else {
				must(t, open(t, m, name).Sync())
			}
		}
		for _, l := range losses {
			if got := state(t, m.Crash(len(m.Log()), l)); got != now {
				t.Fatalf("all synced, %v: %s\nbefore %s", l, got, now)
			}
		}
	})
}

func TestTornWrite(t *testing.T) {
	m := vfstest.New()
	f := create(t, m, "a")
	write(t, f, 0, "1234")
	write(t, f, 4, "5678")
	n := len(m.Log())
	for _, tt := range []struct {
		n    int
		want string
	}{{n - 2, `a=""`}, {n - 1, `a="12"`}, {n, `a="123456"`}} {
		if got := state(t, m.Crash(tt.n, vfstest.KeepTorn())); got != tt.want {
			t.Errorf("after %d: %s, want %s", tt.n, got, tt.want)
		}
	}
}

// What is written belongs to the caller again.
func TestOwnBytes(t *testing.T) {
	m := vfstest.New()
	m.WriteFile("a", nil)
	f := open(t, m, "a")
	b := []byte("hello")
	f.WriteAt(b, 0)
	b[0] = 'X'
	must(t, f.Sync())
	if got, want := state(t, m.Crash(len(m.Log()), vfstest.LoseAll())), `a="hello"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCorrupt(t *testing.T) {
	m := vfstest.New()
	m.WriteFile("d/a", []byte("abc"))
	f := open(t, m, "d/a")
	write(t, f, 3, "def")
	m.Corrupt("d/a", 1, 0)
	m.Corrupt("d/a", 4, 5)
	n := len(m.Log())
	if got, want := state(t, m), `d/ d/a="accdEf"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := state(t, m.Crash(n, vfstest.LoseAll())), `d/ d/a="acc"`; got != want {
		t.Errorf("lost: %s, want %s", got, want)
	}
	must(t, f.Sync())
	if got, want := state(t, m.Crash(n+1, vfstest.LoseAll())), `d/ d/a="accdEf"`; got != want {
		t.Errorf("synced: %s, want %s", got, want)
	}
	if got, want := state(t, m.Crash(n-2, vfstest.KeepAll())), `d/ d/a="abcdef"`; got != want {
		t.Errorf("before: %s, want %s", got, want)
	}
}

// A power cut over every prefix is what this is for, so it must be cheap.
func BenchmarkCrash(b *testing.B) {
	m := vfstest.New()
	f := create(b, m, "a")
	for i := range 150 {
		write(b, f, int64(i)*1000, strings.Repeat("x", 1000))
		if i%3 == 0 {
			must(b, f.Sync())
		}
	}
	lock, err := m.Lock("l")
	must(b, err)
	must(b, lock.Lock(context.Background()))
	ops := len(m.Log())
	for i := 0; b.Loop(); i++ {
		m.Crash(i%(ops+1), vfstest.Random(uint64(i)))
	}
}
