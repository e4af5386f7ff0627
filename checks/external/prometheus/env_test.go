package prometheus

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks/external"
)

func TestConfigFromEnvironment(t *testing.T) {
	var cfg struct {
		External   external.Config `env:", prefix=EXTERNAL_"`
		Prometheus Config          `env:", prefix=PROMETHEUS_"`
	}
	err := envconfig.ProcessWith(t.Context(), &envconfig.Config{
		Target: &cfg,
		Lookuper: envconfig.MapLookuper(map[string]string{
			"EXTERNAL_TIMEOUT": "3s", "PROMETHEUS_ADDRESS": "http://x:9090", "PROMETHEUS_STRICT": "true", "PROMETHEUS_MAX_BYTES": "1000",
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(3*time.Second, cfg.External.Timeout); diff != "" {
		t.Error(diff)
	}
	if c := cfg.Prometheus; c.Address != "http://x:9090" || !c.Strict || c.MaxBytes != 1000 || c.Client != nil || c.Logger != nil || c.Authorization != nil {
		t.Errorf("%+v", c)
	}
	if cfg.External.Logger != nil || cfg.External.Observe != nil {
		t.Errorf("%+v", cfg.External)
	}
}
