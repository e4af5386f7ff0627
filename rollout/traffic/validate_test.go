package traffic_test

import (
	"errors"
	"math"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// TestConfigValidate: Validate reports what New would, and all of it.
func TestConfigValidate(t *testing.T) {
	bad := traffic.Config{
		Arms: map[string]traffic.Backend{"1.4.0": {URL: "ftp://x"}}, MaxBody: -1,
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 5000}, {Name: "1.5.0", Weight: 5000}}},
	}
	err := bad.Validate()
	var missing *traffic.NoBackendError
	if !errors.As(err, &missing) || missing.Arm != "1.5.0" {
		t.Errorf("%v, want to hear of an arm without a backend", err)
	}
	fields := make(map[string]bool)
	for invalid := range checks.Invalid(err) {
		fields[invalid.Field] = true
	}
	if !fields["Config.MaxBody"] || !fields[`Config.Arms["1.4.0"].URL`] || len(fields) != 2 {
		t.Errorf("fields %v", fields)
	}
	if _, again := traffic.New(bad); again == nil || again.Error() != err.Error() {
		t.Errorf("New: %v\nValidate: %v", again, err)
	}
	if err := (traffic.Config{Arms: map[string]traffic.Backend{"1.4.0": {URL: "http://127.0.0.1:8080"}}}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestFallbackRatio: the ratio is a finite number.
func TestFallbackRatio(t *testing.T) {
	for _, ratio := range []float64{math.Inf(1), math.Inf(-1), math.NaN(), -0.1} {
		var invalid *checks.InvalidError
		err := traffic.Config{Arms: map[string]traffic.Backend{"1.4.0": {}}, FallbackRatio: ratio}.Validate()
		if !errors.As(err, &invalid) || invalid.Field != "Config.FallbackRatio" {
			t.Errorf("%v: %v, want an invalid FallbackRatio", ratio, err)
		}
	}
}
