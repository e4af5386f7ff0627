package loadtest

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// TestTagsStayDifferent has rows of 80 columns whose names differ, whatever part of the
// tags is equal.
func TestTagsStayDifferent(t *testing.T) {
	for name, tags := range map[string][]string{
		"short":          {"base", "lora"},
		"equal start":    {"meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct", "meta-llama/Llama-3.1-8B"},
		"equal end":      {"alpha/Llama-3.1-8B-Instruct", "beta/Llama-3.1-8B-Instruct"},
		"equal but once": {"meta-llama/Llama-3.1-8B-Instruct-long-name", "meta-llama/Llama-3.1-9B-Instruct-long-name", "seta-llama/Llama-3.1-8B-Instruct-long-name"},
		"accents":        {"ein-Modell-mit-ä-und-ö-und-ü-1", "ein-Modell-mit-ä-und-ö-und-ü-2"},
	} {
		r := newReport(Plan{Start: time.Unix(1_700_000_000, 0)}, "http://127.0.0.1")
		for i, tag := range tags {
			due := time.Unix(1_700_000_000, 0).Add(time.Duration(i) * time.Second)
			r.add(Result{Due: due, Sent: due, Class: analysis.OK, Status: 200, Latency: time.Second, Tag: tag}, chunks{})
		}
		r.finish()
		_, table, found := strings.Cut(r.String(), "\nBy tag, corr.")
		names := make(map[string]bool)
		for line := range strings.Lines(table) {
			line = strings.TrimSuffix(line, "\n")
			if row := []rune(line); len(names) > 0 || !strings.Contains(line, "TTFT p50") {
				if len(row) != 80 {
					t.Errorf("%s: %q is a row of %d columns", name, line, len(row))
					continue
				}
				names[strings.TrimSpace(string(row[:13]))] = true
			}
		}
		if !found || len(names) != len(tags) {
			t.Errorf("%s: %v, want %d names\n%s", name, names, len(tags), table)
		}
	}
}
