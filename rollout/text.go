package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/serin-go/serin/checks"
)

// Bounds of what people and checks may say, in bytes. What is longer is cut.
const (
	maxReason   = 4 << 10
	maxError    = 2 << 10
	maxSummary  = 1 << 10
	maxPairs    = 32 // of a check's evidence
	maxPair     = 256
	maxReport   = 64 << 10
	maxNameSize = 128 // of a person, a role or an idempotency key, which are refused
)

// bound returns s as valid UTF-8 of at most n bytes and a note of what was cut.
func bound(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	kept := s[:n]
	for !utf8.RuneStart(s[len(kept)]) {
		kept = kept[:len(kept)-1]
	}
	return fmt.Sprintf("%s… (+%d bytes, sha256:%s)", kept, len(s)-len(kept), hashOf([]byte(s))[:16])
}

// boundReport returns r with nothing in it longer than what is stored, and at most
// maxReport in all. What a failed check says is kept longest.
func boundReport(r checks.Report) *checks.Report {
	r.Results = slices.Clone(r.Results)
	for i := range r.Results {
		res := &r.Results[i].Result
		res.Summary = bound(res.Summary, maxSummary)
		if res.Err != nil {
			res.Err = errors.New(bound(res.Err.Error(), maxError))
		}
		pairs := make(map[string]string)
		for _, k := range slices.Sorted(maps.Keys(res.Evidence)) {
			if len(pairs) < maxPairs {
				pairs[bound(k, maxPair)] = bound(res.Evidence[k], maxPair)
			}
		}
		if len(pairs) > 0 || res.Evidence != nil {
			res.Evidence = pairs
		}
	}
	steps := []func(*checks.Result){
		func(res *checks.Result) { res.Evidence = nil },
		func(res *checks.Result) {
			res.Summary = bound(res.Summary, maxPair)
			if res.Err != nil {
				res.Err = errors.New(bound(res.Err.Error(), maxPair))
			}
		},
		func(res *checks.Result) { res.Summary = "" },
	}
	for _, shorten := range steps {
		for _, passed := range []bool{true, false} {
			for i := range r.Results {
				if res := &r.Results[i].Result; (res.Status == checks.Pass) == passed && tooLong(r) {
					shorten(res)
				}
			}
		}
	}
	for n := len(r.Results); n > 1 && tooLong(r); n /= 2 {
		r.Results = r.Results[:n/2]
	}
	return &r
}

func tooLong(r checks.Report) bool {
	body, err := json.Marshal(r)
	return err == nil && len(body) > maxReport
}
