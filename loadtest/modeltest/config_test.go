package modeltest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"
)

func TestConfigFromEnvironment(t *testing.T) {
	var got Config
	err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &got, Lookuper: envconfig.MapLookuper(map[string]string{
		"MODELS": "chat,chat-next", "SEED": "7", "LENGTH": "20", "MAX_BODY": "1000", "TTFT": "120ms", "TIME_PER_TOKEN": "8ms",
		"JITTER": "0.3", "TOKENS_PER_CHUNK": "2", "ERROR_RATE": "0.08", "STREAM_ERROR_RATE": "0.01", "REFUSAL_RATE": "0.02",
		"STALL_RATE": "0.03", "STALL_FOR": "5s", "TRUNCATE_RATE": "0.04",
	})})
	want := Config{Models: []string{"chat", "chat-next"}, Seed: 7, Length: 20, MaxBody: 1000, TTFT: 120 * time.Millisecond,
		TimePerToken: 8 * time.Millisecond, Jitter: 0.3, TokensPerChunk: 2, ErrorRate: 0.08, StreamErrorRate: 0.01, RefusalRate: 0.02,
		StallRate: 0.03, StallFor: 5 * time.Second, TruncateRate: 0.04}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, config (-want +got):\n%s", err, diff)
	}
}
