package planfile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/serin-go/serin/rollout/planfile"
)

// long returns a plan of 200 lines.
func long() []byte {
	var b strings.Builder
	b.WriteString("apiVersion: serin/v1\ntarget: chat\nbaseline: {version: \"1.5.0\"}\ncandidate: {version: \"1.6.0\"}\nstages:\n")
	for i := range 24 {
		w := 1 + 4*i
		fmt.Fprintf(&b, `  - name: canary %d%%
    split:
      arms:
        - {name: "1.5.0", weight: %d%%}
        - {name: "1.6.0", weight: %d%%}
    bake: 30m
    until: baked
    before: [ready, error budget]
`, w, 100-w, w)
	}
	b.WriteString("monitor: 24h\nholdback: 1%\npreflight: [ready]\n")
	return []byte(b.String())
}

// BenchmarkRead compares reading a plan of 200 lines with decoding it into a map.
func BenchmarkRead(b *testing.B) {
	text := long()
	if n := bytes.Count(text, []byte{'\n'}); n != 200 {
		b.Fatalf("%d lines", n)
	}
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
			if _, err := planfile.Read("plan.yaml", text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		for b.Loop() {
			var v map[string]any
			if err := yaml.Unmarshal(text, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
