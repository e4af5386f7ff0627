package rollout_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

func TestWindowContains(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Skip(err)
	}
	night := rollout.Window{Days: "fri", From: "22:00", To: "02:00", Zone: "Europe/Vienna"}
	for _, tt := range []struct {
		at   time.Time
		open bool
	}{
		{time.Date(2026, 3, 27, 21, 59, 59, 0, vienna), false},
		{time.Date(2026, 3, 27, 22, 0, 0, 0, vienna), true},
		{time.Date(2026, 3, 28, 1, 59, 59, 0, vienna), true}, // the day on which it opened counts
		{time.Date(2026, 3, 28, 2, 0, 0, 0, vienna), false},
		{time.Date(2026, 3, 28, 22, 30, 0, 0, vienna), false},
	} {
		if got := night.Contains(tt.at); got != tt.open {
			t.Errorf("%v: %v, want %v", tt.at, got, tt.open)
		}
	}
	if !(rollout.Window{}).Contains(time.Now()) {
		t.Error("the whole day is not open")
	}
	bad := rollout.Window{Days: "noday", From: "25:00", Zone: "Moon"}
	n := 0
	for e := range checks.Invalid(bad.Validate()) {
		n++
		_ = e
	}
	if n != 3 || bad.Contains(time.Now()) || night.Validate() != nil {
		t.Errorf("%d problems, %v", n, bad.Validate())
	}
}

func TestIsPermanent(t *testing.T) {
	err := errors.New("answered 400")
	if !rollout.IsPermanent(fmt.Errorf("webhook: %w", rollout.Permanent(err))) || rollout.IsPermanent(err) || rollout.IsPermanent(nil) {
		t.Error("other errors are permanent")
	}
}
