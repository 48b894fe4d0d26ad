package guard

import (
	"errors"
	"strings"
	"testing"

	"logtools/pkg/eventlog"
	"logtools/pkg/expr"
)

func TestCheck(t *testing.T) {
	type rules = eventlog.Rules
	const tail = "it may be another when the event is read back"
	for _, tt := range []struct {
		rules      rules
		partitions int
		flag, msg  string // "": fine
		at         int    // of a SyntaxError; -1 if it is none
	}{
		{rules{Unique: ".username"}, 1, "", "", 0},
		{rules{Unique: ".username", Key: ".username"}, 8, "", "", 0},
		{rules{Unique: ".username", Key: " .username # who"}, 8, "", "", 0},
		{rules{Unique: ".username", Key: ".id"}, 1, "", "", 0},
		{rules{Unique: "[$key, $headers.a]"}, 1, "", "", 0},
		{rules{Unique: "$key", Key: "$key"}, 8, "", "", 0},
		{rules{Unique: "$key[1:]", Key: ".id"}, 1, "", "", 0},
		{rules{Fold: ". + $e.amount", Init: "0", Check: ". >= 0", Key: ".account"}, 8, "", "", 0},
		{rules{Fold: ". + $e.amount", Init: "0", Check: ". >= 0 or $key == 0", Unique: ".id"}, 1, "", "", 0},

		{rules{Unique: ".username", Key: ".id"}, 2, "--unique", "with 2 partitions the key must be .username too, since a value is unique in its partition only", -1},
		{rules{Unique: ".username"}, 2, "--unique", "with 2 partitions", -1},
		{rules{Unique: "$key[1:]", Key: "$key[1:]"}, 2, "--unique", "$key cannot be used in a rule: its value becomes the key itself", 0},
		{rules{Unique: ".a +"}, 1, "--unique", "unexpected EOF", 4},
		{rules{Unique: "  [.a, $time]"}, 1, "--unique", "$time cannot be used in a rule: " + tail, 7},
		{rules{Unique: "$offset"}, 1, "--unique", "$offset cannot be used in a rule: " + tail, 0},
		{rules{Unique: "$partition"}, 1, "--unique", "$partition cannot", 0},
		{rules{Unique: "$log"}, 1, "--unique", "$log cannot", 0},
		{rules{Unique: "$event.value"}, 1, "--unique", "$event cannot", 0},
		{rules{Unique: "now"}, 1, "--unique", "now cannot", 0},
		{rules{Unique: ".t | localtime"}, 1, "--unique", "localtime cannot", 5},
		{rules{Unique: `.t | strptime("%d %Z") | mktime`}, 1, "--unique", "strptime cannot", 5},
		{rules{Unique: ".a + $e"}, 1, "--unique", "variable not defined: $e", 5},

		{rules{Fold: ". + $e"}, 1, "--init", "--fold, --init and --check are one rule, and --init is not given", -1},
		{rules{Fold: ". + $e", Init: "0"}, 1, "--check", "--check is not given", -1},
		{rules{Init: "0", Check: "."}, 1, "--fold", "--fold is not given", -1},
		{rules{Unique: ".a", Check: "."}, 1, "--fold", "--fold is not given", -1},
		{rules{Fold: ". + ", Init: "0", Check: "."}, 1, "--fold", "unexpected EOF", 4},
		{rules{Fold: ". + $time", Init: "0", Check: "."}, 1, "--fold", "$time is not available in a fold", 4},
		{rules{Fold: ". + $headers.a", Init: "0", Check: "."}, 1, "--fold", "$headers is not available in a fold", 4},
		{rules{Fold: "now", Init: "0", Check: "."}, 1, "--fold", "now cannot be used in a rule: it may be another when the state is computed again", 0},
		{rules{Fold: ".", Init: "zero", Check: "."}, 1, "--init", "zero is not JSON: ", -1},
		{rules{Fold: ".", Init: "1 2", Check: "."}, 1, "--init", "1 2 is not JSON: ", -1},
		{rules{Fold: ".", Init: `"` + strings.Repeat("x", maxState) + `"`, Check: "."}, 1, "--init", "state is longer than 64 KiB", -1},
		{rules{Fold: ".", Init: "0", Check: ". >="}, 1, "--check", "unexpected EOF", 4},
		{rules{Fold: ".", Init: "0", Check: ". > $e"}, 1, "--check", "variable not defined: $e", 4},
		{rules{Fold: ".", Init: "0", Check: ". > $time"}, 1, "--check", "$time cannot be used in a rule: a check is about the state", 4},
		{rules{Fold: ".", Init: "0", Check: "$headers"}, 1, "--check", "$headers cannot be used in a rule: a check is about the state", 0},
		{rules{Fold: ".", Init: "0", Check: ". = 0"}, 1, "--check", "it assigns", -1},
		{rules{Fold: ".", Init: "0", Check: ". > now"}, 1, "--check", "now cannot be used in a rule: a check is about the state", 4},
	} {
		err := Check(&tt.rules, tt.partitions)
		if tt.flag == "" {
			if err != nil {
				t.Errorf("%+v: %v", tt.rules, err)
			}
			continue
		}
		var re *RuleError
		if !errors.As(err, &re) || re.Flag != tt.flag || !strings.Contains(re.Error(), tt.msg) {
			t.Errorf("%.60v: %+v, want %s of %s", tt.rules, err, tt.msg, tt.flag)
			continue
		}
		var se *expr.SyntaxError
		if errors.As(err, &se) != (tt.at >= 0) || se != nil && se.Offset != tt.at {
			t.Errorf("%+v: %+v, want it at %d", tt.rules, se, tt.at)
		}
		if strings.Contains(tt.msg, "not given") || strings.Contains(tt.msg, "partitions") {
			if re.Hint() == "" {
				t.Errorf("%+v: no hint", tt.rules)
			}
		}
	}
}

func TestNormal(t *testing.T) {
	got := Normal(eventlog.Rules{Key: " .a ", Unique: ".a # it", Fold: ".+$e .b", Init: ` {"b": 1.0, "a":[ ]} `, Check: ".>=0"})
	if got != (eventlog.Rules{Key: ".a", Unique: ".a", Fold: ". + $e.b", Init: `{"a":[],"b":1}`, Check: ". >= 0"}) {
		t.Errorf("%+v", got)
	}
	if got := Normal(eventlog.Rules{Unique: " "}); got != (eventlog.Rules{Unique: "."}) {
		t.Errorf("%+v", got)
	}
	if again := Normal(got); again != got {
		t.Errorf("%+v, then %+v", got, again)
	}
}

// What is known under some rules is of use under others only if it is the same.
func TestIdentity(t *testing.T) {
	id := func(r eventlog.Rules) [16]byte {
		c, err := compile(&r)
		if err != nil {
			t.Fatal(err)
		}
		return c.id
	}
	base := eventlog.Rules{Unique: ".a", Fold: ". + $e", Init: "0", Check: ". > 0"}
	same, others := base, []eventlog.Rules{base, base, base, {Unique: ".a"}}
	same.Unique, same.Fold, same.Init, same.Check, same.Key = " .a ", ".+$e", " 0", ". > 1", ".k"
	if id(same) != id(base) {
		t.Error("not the same")
	}
	others[0].Unique, others[1].Fold, others[2].Init = ".b", ". - $e", "1"
	for _, o := range others {
		if id(o) == id(base) {
			t.Errorf("the same: %+v", o)
		}
	}
}
