package burn

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"
)

func TestConfigFromEnvironment(t *testing.T) {
	var cfg Config
	err := envconfig.ProcessWith(t.Context(), &envconfig.Config{
		Target:   &cfg,
		Lookuper: envconfig.MapLookuper(map[string]string{"OBJECTIVE": "99.95%", "PERIOD": "168h", "MIN_EVENTS": "50"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Objective: 999_500, Period: 7 * 24 * time.Hour, MinEvents: 50}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}
