package analysis

import (
	"encoding/json"
	"testing"
)

// What each class counts in.
func TestClassMethods(t *testing.T) {
	type row struct {
		Text                               string
		Failed, Answered, Begun, Completes bool
	}
	const yes, no = true, false
	want := []row{
		{"unread", no, no, no, no},
		{"ok", no, yes, yes, yes},
		{"error", yes, yes, yes, no},
		{"timeout", yes, yes, yes, yes},
		{"truncated", yes, yes, yes, no},
		{"refused", no, yes, yes, yes},
		{"empty", yes, yes, yes, no},
		{"invalid", yes, yes, yes, yes},
		{"rejected", no, no, no, no},
		{"limited", yes, yes, no, no},
		{"cancelled", no, no, no, no},
		{"abandoned", no, no, no, no},
	}
	var got []row
	for c := range NumClasses {
		got = append(got, row{c.String(), c.Failed(), c.Answered(), c.Begun(), c.Complete()})
	}
	if diff := differences(want, got); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	if (Observation{}).Class != Unread {
		t.Error("a request whose class was never set is not unread")
	}
	for c := NumClasses; c != 0; c++ { // up to the last of its type
		if !c.Failed() || !c.Answered() || !c.Begun() || c.Complete() {
			t.Fatalf("%v does not count as an error", c)
		}
		if _, err := json.Marshal(c); err == nil {
			t.Fatalf("%v has a text", c)
		}
	}
	var c Class
	for _, text := range []string{`""`, `"OK"`, `"Class(12)"`, `1`} {
		if err := json.Unmarshal([]byte(text), &c); err == nil {
			t.Errorf("%s is the class %v", text, c)
		}
	}
}
