package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

// The order that the contract fixes: 130/143, 2, 75, 5, 6, 1, 4, 3, 0.
var precedence = []Exit{Interrupted, Terminated, Usage, Locked, Damaged, Gone, Failed, Unmet, BadInput, OK}

func TestWorse(t *testing.T) {
	for i, a := range precedence {
		for j, b := range precedence {
			if got, want := Worse(a, b), precedence[min(i, j)]; got != want {
				t.Errorf("Worse(%d, %d) = %d, want %d", a, b, got, want)
			}
		}
	}
	if got := Worse(BadInput, 99); got != 99 {
		t.Errorf("an unknown status counts as failed: got %d", got)
	}
	if got := Worse(99, Damaged); got != Damaged {
		t.Errorf("an unknown status counts as failed: got %d", got)
	}
}

func TestExits(t *testing.T) {
	codes := []int{130, 143, 2, 75, 5, 6, 1, 4, 3, 0}
	if len(Exits) != len(codes) {
		t.Fatalf("%d exit statuses, want %d", len(Exits), len(codes))
	}
	for i, d := range Exits {
		if int(d.Exit) != codes[i] {
			t.Errorf("Exits[%d] is %d, want %d", i, d.Exit, codes[i])
		}
		if d.Name == "" || d.Meaning == "" {
			t.Errorf("exit status %d is not described", d.Exit)
		}
	}
}

func TestExitOf(t *testing.T) {
	plain := errors.New("x")
	for _, c := range []struct {
		err  error
		want Exit
	}{
		{nil, OK},
		{plain, Failed},
		{Usagef("x"), Usage},
		{fmt.Errorf("a: %w", Usagef("x")), Usage},
		{WithHint(plain, "h"), Failed},
		{WithHint(Usagef("x"), "h"), Usage},
		{WithExit(plain, Gone), Gone},
		{WithExit(nil, Gone), OK},
		{WithHint(nil, "h"), OK},
		{errors.Join(WithExit(plain, Gone), Usagef("x"), plain), Usage},
		{fmt.Errorf("%w and %w", WithExit(plain, BadInput), WithExit(plain, Damaged)), Damaged},
		{ErrStop, BadInput},
	} {
		if got := ExitOf(c.err, Failed); got != c.want {
			t.Errorf("ExitOf(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

func TestErrorUnwraps(t *testing.T) {
	err := WithHint(WithExit(fmt.Errorf("open: %w", fs.ErrNotExist), Gone), "h")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
	if err.Error() != "open: "+fs.ErrNotExist.Error() {
		t.Errorf("text is %q", err)
	}
}
