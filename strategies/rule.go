package strategies

import "fmt"

// Rule routes matching requests to one arm, regardless of weights. Examples are testers of
// a preview, or a customer who stays on one version. Exactly one of Header, Cookie, Query
// and Unit is set.
//
// Everyone who can set the header can choose the arm. Let a proxy remove it from public
// requests.
type Rule struct {
	// Arm serves the matching requests.
	Arm string `json:"arm"`
	// Header, Cookie and Query are names in the request.
	Header string `json:"header,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	Query  string `json:"query,omitempty"`
	// Value is the value to match, byte by byte. Empty matches any value that is not
	// empty.
	Value string `json:"value,omitempty"`
	// Unit is the user, tenant or conversation to match.
	Unit string `json:"unit,omitempty"`
}

func (r Rule) problems(bad func(field string, value any, want string), arms map[string]bool) {
	if !arms[r.Arm] {
		bad("Arm", fmt.Sprintf("%q", r.Arm), "an arm of the split")
	}
	set := 0
	for _, name := range []string{r.Header, r.Cookie, r.Query, r.Unit} {
		if name != "" {
			set++
		}
	}
	if set != 1 {
		bad("Header", fmt.Sprintf("%+v", r), "exactly one of Header, Cookie, Query and Unit")
	}
	if r.Unit != "" && r.Value != "" {
		bad("Value", fmt.Sprintf("%q", r.Value), "no value for a rule about a unit")
	}
}

// Mirror copies a share of the live requests to an arm (shadow traffic). The answer to a
// copy is measured and discarded. The caller does not see it or wait for it.
type Mirror struct {
	// Arm receives the copies. It must not be the baseline.
	Arm string `json:"arm"`
	// Share is the share of the requests that are copied, from 1 (0.01 %) to [Full].
	Share Weight `json:"share"`
}

func (m Mirror) problems(bad func(field string, value any, want string), arms map[string]bool, baseline string) {
	if !arms[m.Arm] || m.Arm == baseline {
		bad("Arm", fmt.Sprintf("%q", m.Arm), "an arm of the split that is not its baseline")
	}
	if m.Share == 0 || m.Share > Full {
		bad("Share", m.Share, "a weight from 0.01% to 100%")
	}
}
